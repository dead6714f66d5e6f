/*
 * Private to the stream room: the link of cb-link(7), by which the program that
 * reads a pipe tells the one that writes it what it will use.
 */
#ifndef CB_STREAM_LINK_H
#define CB_STREAM_LINK_H

#include "stream/stream.h"

struct link;

/* The writer's end, before the header is written.  NULL: no link can be. */
struct link *link_listen(int fd);
void	link_close(struct link *l);	/* takes NULL */

/* What the reader has asked for so far; NULL: nothing.  Never waits; on any
 * thread; valid until close. */
const json_t *link_asked(struct link *l);

/*
 * The reader's end: waits for the first byte, which a reader does anyway, and
 * then looks whether a cb program wrote it.  -1: no.  Yours to close.
 */
int	link_connect(int fd);
/* Never waits; where it cannot be sent, nothing has been asked. */
void	link_ask(int sock, const json_t *what);

#endif
