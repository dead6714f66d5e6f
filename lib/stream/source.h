/*
 * Private to the stream room: what a reader is made of.  source.c has the bytes
 * of a stream, scan.c makes whole messages of them, in which nothing is to be
 * trusted; in which order they may come is for reader.c.
 */
#ifndef CB_STREAM_SOURCE_H
#define CB_STREAM_SOURCE_H

#include "stream/stream.h"

#define MESSAGE_MAX ((int64_t)1 << 30)

struct source {
	int fd;
	struct peer *peer;	/* the program upstream; NULL: not linked */
	char *name;
	int64_t limit;		/* bytes of a message */
	unsigned char *buffer;
	size_t at, have;	/* not yet taken: buffer[at..have-1] */
	bool begun;		/* a message has come */
};

/* ---- source.c -------------------------------------------------------------- */

/* fd is borrowed.  Closed also after -1, which is lack of memory. */
int	source_open(struct source *r, int fd, const char *name);
void	source_close(struct source *r);	/* takes one that is all zero */

/* At least n bytes at buffer + at, n small.  1; 0: the end; -1. */
int	source_fill(struct source *r, size_t n);
/* The same where the end is an error: 0 or -1. */
int	source_need(struct source *r, size_t n);
/* Takes n bytes, which go past the buffer but for what it holds; 0 or -1. */
int	source_copy(struct source *r, char *to, int64_t n);

/* ---- scan.c ---------------------------------------------------------------- */

/* The next message, whatever it is; yours to free.  1, 0 at the end of the file,
 * -1. */
int	scan_message(struct source *r, struct cb_msg **out);

#endif
