/*
 * Private to the stream room: memory that the two programs of a link share, a
 * ring through which the data of pictures go: cb-link(7).
 *
 * The reader makes it and is the only one to take from it; the writer maps it
 * and is the only one to put in.  Data are taken in the order in which they were
 * put, and each side trusts nothing that the other can write: the writer keeps
 * to itself what lies where, and to the reader nothing there has a meaning.
 */
#ifndef CB_STREAM_RING_H
#define CB_STREAM_RING_H

#include "base/base.h"

#define RING_MIN ((int64_t)4 << 20)
#define RING_MAX ((int64_t)256 << 20)

struct ring;

/* The reader's: memory of about so many bytes.  NULL: there is none to be had.
 * *fd is for the writer, and yours to close. */
struct ring *ring_new(int *fd, int64_t bytes);
/* The writer's: maps what another program offers, whatever it is.  NULL: it
 * could be made to fail under us, or is no ring.  fd is borrowed. */
struct ring *ring_map(int fd);
void	ring_free(struct ring *r);	/* takes NULL */

/* The writer's place for an item: as ring_put(), which copies it in besides. */
int64_t	ring_place(struct ring *r, int64_t bytes);
/*
 * The writer copies an item in.  Where it lies, for the reader; -1: there is no
 * room now; -2: nor will there ever be.
 */
int64_t	ring_put(struct ring *r, const void *data, int64_t bytes);
/* Asks the reader to say when it has taken something.  False: there may be room
 * already. */
bool	ring_want_room(struct ring *r);

/*
 * The reader takes the next item: *data is valid until ring_give() of *item, on
 * any thread and in any order.  -1: it does not lie within the ring, or too many
 * are taken.  ring_give() is whether the writer wants to know.
 */
int	ring_take(struct ring *r, void **data, uint64_t *item, int64_t at,
	    int64_t bytes);
bool	ring_give(struct ring *r, uint64_t item);
/* Would one more item leave the writer too little to go on with? */
bool	ring_tight(struct ring *r, int64_t bytes);
/* Where items lie. */
void	*ring_memory(const struct ring *r, int64_t *bytes);

#endif
