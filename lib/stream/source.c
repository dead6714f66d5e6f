/* The bytes of a stream, from a pipe or a file through a small buffer. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stream/link.h"
#include "stream/source.h"
#include "stream/wire.h"

#define BUFFER (64 << 10)

int
source_open(struct source *r, int fd, const char *name)
{
	memset(r, 0, sizeof(*r));
	if ((r->buffer = malloc(BUFFER)) == NULL)
		return cb_fail(CB_ENOMEM, "%s", name);
	r->fd = fd;
	fcntl(fd, F_SETPIPE_SZ, WIRE_PIPE);
	r->peer = peer_connect(fd);
	r->name = cb_strf("%s", name);
	r->limit = MESSAGE_MAX;
	return 0;
}

void
source_close(struct source *r)
{
	peer_close(r->peer);
	free(r->buffer);
	free(r->name);
}

static int
cut(struct source *r)
{
	return cb_fail(CB_EFORMAT, "%s: the stream ends within a message: the "
	    "upstream program died", r->name);
}

int
source_fill(struct source *r, size_t n)
{
	ssize_t got;

	if (r->have - r->at >= n)
		return 1;
	memmove(r->buffer, r->buffer + r->at, r->have - r->at);
	r->have -= r->at;
	r->at = 0;
	while (r->have < n) {
		got = read(r->fd, r->buffer + r->have, BUFFER - r->have);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return cb_fail(CB_EIO, "%s", r->name);
		if (got == 0)
			return r->have == 0 ? 0 : cut(r);
		r->have += (size_t)got;
	}
	return 1;
}

int
source_need(struct source *r, size_t n)
{
	int got = source_fill(r, n);

	return got > 0 ? 0 : got == 0 ? cut(r) : -1;
}

int
source_copy(struct source *r, char *to, int64_t n)
{
	int64_t k = (int64_t)(r->have - r->at), got;

	k = k < n ? k : n;
	memcpy(to, r->buffer + r->at, (size_t)k);
	r->at += (size_t)k;
	if ((got = cb_read_full(r->fd, to + k, n - k, r->name)) < 0)
		return -1;
	return got < n - k ? cut(r) : 0;
}
