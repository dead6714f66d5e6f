/*
 * The reader's end of the link: see link.c.  It says what will be used, offers
 * memory for pictures and lends what lies there.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stream/link.h"
#include "stream/ring.h"

/* Memory for pictures that are copied out at once: of how many, and how much at
 * most. */
#define ITEMS 4
#define PASSING ((int64_t)32 << 20)
/* For those that stay, which are of several sizes, it is made when one of so many
 * has been seen. */
#define SAMPLE 4

struct peer {
	pthread_mutex_t lock;
	int users;		/* who has it open, and loans */
	int sock;		/* -1: closed, or nobody is there */
	bool alone;
	struct ring *ring;
	bool offered;
	int64_t seen, bytes;	/* pictures before that, and of all of them */
	int64_t keep;		/* pictures that are wanted there at once */
	bool ample;		/* there is memory for these */
	int64_t came, stayed;	/* through the ring */
};

struct peer *
peer_connect(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct sockaddr_un a;
	struct peer *peer;
	socklen_t n;
	int sock;

	if (link_address(&a, &n, fd) < 0)
		return NULL;
	while (poll(&p, 1, -1) < 0 && errno == EINTR)
		;
	if ((sock = link_socket()) < 0)
		return NULL;
	if (connect(sock, (void *)&a, n) < 0 || !link_same_user(sock) ||
	    (peer = calloc(1, sizeof(*peer))) == NULL) {
		link_drop(&sock);
		return NULL;
	}
	pthread_mutex_init(&peer->lock, NULL);
	peer->users = 1;
	peer->sock = sock;
	return peer;
}

struct peer *
peer_alone(void)
{
	struct peer *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	pthread_mutex_init(&p->lock, NULL);
	p->users = 1;
	p->sock = -1;
	p->alone = true;
	return p;
}

/* Wakes the writer or closes the socket, if so, and leaves. */
static void
leave(struct peer *p, bool wake, bool close)
{
	bool last;

	pthread_mutex_lock(&p->lock);
	if (wake && p->sock >= 0)
		(void)send(p->sock, "w", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (close)
		link_drop(&p->sock);
	last = --p->users == 0;
	pthread_mutex_unlock(&p->lock);
	if (!last)
		return;
	ring_free(p->ring);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

void
peer_close(struct peer *p)
{
	if (p == NULL)
		return;
	if (p->keep > 0 && link_tells())
		cb_warn("link: %lld of %lld pictures in memory stayed there",
		    (long long)p->stayed, (long long)p->came);
	leave(p, false, true);
}

/* One message, with a descriptor unless fd is -1. */
static int
say(struct peer *p, const char *text, size_t n, int fd)
{
	_Alignas(struct cmsghdr) char room[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec v = { (void *)text, n };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
	struct cmsghdr *c = (struct cmsghdr *)room;

	if (fd >= 0) {
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
		m.msg_control = room;
		m.msg_controllen = c->cmsg_len;
	}
	return sendmsg(p->sock, &m, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -1 : 0;
}

void
peer_ask(struct peer *p, const json_t *plan)
{
	json_t *o;
	char *text;

	if (p == NULL || (o = json_pack("{s:O}", "plan", plan)) == NULL)
		return;
	if ((text = json_dumps(o, JSON_COMPACT)) != NULL &&
	    strlen(text) <= LINK_SAY_MAX)
		(void)say(p, text, strlen(text), -1);
	free(text);
	json_decref(o);
}

void
peer_keep(struct peer *p, int64_t pictures)
{
	if (p != NULL && !p->offered)
		p->keep = pictures;
}

/* For pictures of this size; those that stay may have three quarters. */
static int64_t
memory_for(struct peer *p, int64_t bytes)
{
	p->ample = p->keep > 0 && bytes <= RING_MAX / 4 * 3 / p->keep;
	if (p->ample)
		return bytes * p->keep / 3 * 4 + RING_MIN;
	return bytes > PASSING / ITEMS ? PASSING : bytes * ITEMS;
}

void
peer_offer(struct peer *p, int64_t bytes)
{
	int fd;

	if (p == NULL || p->offered)
		return;
	p->bytes += bytes;
	if (++p->seen < p->keep / SAMPLE)
		return;
	p->offered = true;
	p->ring = ring_new(&fd, memory_for(p, p->bytes / p->seen + 1));
	if (p->ring == NULL)
		return;
	if (!p->alone && say(p, "r", 1, fd) < 0) {
		ring_free(p->ring);
		p->ring = NULL;
	}
	close(fd);
}

void *
peer_memory(const struct peer *p, int64_t *bytes)
{
	return p == NULL || p->ring == NULL || !p->ample ? NULL :
	    ring_memory(p->ring, bytes);
}

static int
take(struct peer *p, struct loan *l, int64_t at, int64_t bytes)
{
	bool stay = p->ample && !ring_tight(p->ring, bytes);

	*l = (struct loan){ .peer = p, .stay = stay };
	if (ring_take(p->ring, &l->data, &l->item, at, bytes) < 0)
		return -1;
	p->came++;
	p->stayed += stay;
	pthread_mutex_lock(&p->lock);
	p->users++;
	pthread_mutex_unlock(&p->lock);
	return 0;
}

int
peer_take(struct peer *p, struct loan *l, int64_t at, int64_t bytes)
{
	return p == NULL || p->ring == NULL || p->alone ? -1 :
	    take(p, l, at, bytes);
}

int
peer_place(struct peer *p, struct loan *l, int64_t bytes)
{
	int64_t at;

	if (p == NULL || p->ring == NULL || !p->alone || !p->ample ||
	    ring_tight(p->ring, bytes) ||
	    (at = ring_place(p->ring, bytes)) < 0)
		return -1;
	return take(p, l, at, bytes);
}

void
peer_give(struct loan *l)
{
	leave(l->peer, ring_give(l->peer->ring, l->item), false);
}
