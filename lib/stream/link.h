/*
 * Private to the stream room: the link of cb-link(7), by which the program that
 * reads a pipe tells the one that writes it what it will use, and gives it
 * memory through which pictures go.
 */
#ifndef CB_STREAM_LINK_H
#define CB_STREAM_LINK_H

#include <sys/socket.h>
#include <sys/un.h>

#include "stream/stream.h"

/* ---- both ends: link.c ----------------------------------------------------- */

#define LINK_SAY_MAX 4096	/* bytes of a message */

/* 0: the name of the pipe's socket; -1: no pipe, or CB_LINK=0. */
int	link_address(struct sockaddr_un *a, socklen_t *n, int fd);
int	link_socket(void);	/* -1: none to be had */
bool	link_same_user(int sock);
void	link_drop(int *fd);	/* closes it, if it is open, and makes it -1 */
bool	link_tells(void);	/* CB_LINK=tell: figures at the end */

/* ---- the writer's end: link.c ---------------------------------------------- */

struct link;

/* Before the header is written.  NULL: no link can be. */
struct link *link_listen(int fd);
void	link_close(struct link *l);	/* takes NULL */

/* What the reader has asked for so far; NULL: nothing.  Never waits; on any
 * thread; valid until close. */
const json_t *link_asked(struct link *l);

/*
 * Data to go through shared memory: where they lie in it, for the reader; -1:
 * not now, since it is full; -2: they cannot.
 */
int64_t	link_put(struct link *l, const void *data, int64_t bytes);
/*
 * After -1, and with all that was written in the pipe.  True: it is worth trying
 * again.  Waits as long as the reader leaves something in the pipe, so that the
 * writer could not go on there either; but for a moment only where it has read
 * all of it and still takes nothing.
 */
bool	link_wait(struct link *l);

/* ---- the reader's end: peer.c ---------------------------------------------- */

struct peer;

/*
 * Waits for the first byte, which a reader does anyway, and then looks whether
 * a cb program wrote it.  NULL: no.
 */
struct peer *peer_connect(int fd);
/* In place of a peer, where there is none: the memory is the reader's own, which
 * puts in what it reads.  NULL: no memory. */
struct peer *peer_alone(void);
void	peer_close(struct peer *p);	/* takes NULL */

/* These never wait and take NULL; what cannot be sent has not been said. */
void	peer_ask(struct peer *p, const json_t *plan);
/* So many pictures are to stay in the shared memory at once; before it is
 * offered. */
void	peer_keep(struct peer *p, int64_t pictures);
/* A picture of so many bytes came through the pipe: others need not, once it is
 * known how large they are. */
void	peer_offer(struct peer *p, int64_t bytes);
/* The memory in which pictures stay; NULL: there is none. */
void	*peer_memory(const struct peer *p, int64_t *bytes);

/* What lies in the shared memory, until it is given back, on any thread; that may
 * be when the peer is closed. */
struct loan {
	struct peer *peer;
	void	*data;
	uint64_t item;
	bool	 stay;		/* there is room enough to keep it for long */
};

/* -1: there is no such memory. */
int	peer_take(struct peer *p, struct loan *l, int64_t at, int64_t bytes);
/* A place for what is to be read, where the memory is one's own; -1: none. */
int	peer_place(struct peer *p, struct loan *l, int64_t bytes);
void	peer_give(struct loan *l);

#endif
