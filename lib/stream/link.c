/*
 * The link of two cb programs on one pipe: see cb-link(7).
 *
 * The writer listens on an abstract socket named after the pipe before it
 * writes its header.  A reader that finds the first byte in the pipe therefore
 * finds the socket too, whichever program began first, and nobody waits for
 * anybody.  The other side may be hostile: only the same user is let in, a
 * message is of bounded size and brings at most the one descriptor of the ring,
 * and the only call here that blocks gives up.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "stream/link.h"
#include "stream/ring.h"

#define SAY_MAX 4096		/* bytes of a message */
#define STRANGERS 8		/* refused in one look */
#define HEAR_MAX 64		/* messages in one look */

/* Memory for pictures that are copied out at once: of how many, and how much at
 * most. */
#define ITEMS 4
#define PASSING ((int64_t)32 << 20)
/* For those that stay, which are of several sizes, it is made when one of so many
 * has been seen. */
#define SAMPLE 4

/* Seconds that a writer waits for a reader that has emptied the pipe, at a time
 * and in all. */
#define WAIT 0.1
#define WAIT_ALL 5.0

struct link {
	pthread_mutex_t lock;
	int pipe;
	int listener, peer;	/* -1: none, or no more */
	json_t *asked;
	struct ring *ring;	/* NULL: none yet, or no more */
	double since, waited;	/* the writer waits; waited in vain, seconds */
	int64_t shared;		/* items that went through the ring */
	bool tell;
};

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

/* 0: the name of the pipe's socket; -1: no pipe, or CB_LINK=0. */
static int
name_socket(struct sockaddr_un *a, socklen_t *n, int fd)
{
	const char *set = getenv("CB_LINK");
	struct stat st;
	int k;

	if ((set != NULL && strcmp(set, "0") == 0) || fstat(fd, &st) < 0 ||
	    !S_ISFIFO(st.st_mode))
		return -1;
	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	k = snprintf(a->sun_path + 1, sizeof(a->sun_path) - 1,
	    "cb-link/1/%lu/%llx/%llx", (unsigned long)geteuid(),
	    (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
	*n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1) +
	    (socklen_t)k;
	return 0;
}

static bool
tells(void)
{
	const char *set = getenv("CB_LINK");

	return set != NULL && strcmp(set, "tell") == 0;
}

static bool
same_user(int sock)
{
	struct ucred c;
	socklen_t n = sizeof(c);

	return getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &c, &n) == 0 &&
	    c.uid == geteuid();
}

static int
new_socket(void)
{
	return socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    0);
}

static void
drop(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* ---- the writer's end: who is there, and what is said --------------------- */

struct link *
link_listen(int fd)
{
	struct sockaddr_un a;
	struct link *l;
	socklen_t n;

	if (name_socket(&a, &n, fd) < 0 || (l = calloc(1, sizeof(*l))) == NULL)
		return NULL;
	l->pipe = fd;
	l->peer = -1;
	l->tell = tells();
	l->listener = new_socket();
	if (l->listener < 0 || bind(l->listener, (void *)&a, n) < 0 ||
	    listen(l->listener, STRANGERS) < 0) {
		drop(&l->listener);
		free(l);
		return NULL;
	}
	pthread_mutex_init(&l->lock, NULL);
	return l;
}

void
link_close(struct link *l)
{
	if (l == NULL)
		return;
	if (l->tell)
		cb_warn("link: %s, %lld pictures through memory",
		    l->asked != NULL ? "asked" : "not asked",
		    (long long)l->shared);
	drop(&l->listener);
	drop(&l->peer);
	ring_free(l->ring);
	json_decref(l->asked);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

static void
let_in(struct link *l)
{
	int i;

	for (i = 0; i < STRANGERS && l->peer < 0 && l->listener >= 0; i++) {
		l->peer = accept4(l->listener, NULL, NULL, SOCK_CLOEXEC |
		    SOCK_NONBLOCK);
		if (l->peer < 0)
			return;
		if (!same_user(l->peer))
			drop(&l->peer);
	}
	if (l->peer >= 0)
		drop(&l->listener);
}

/* A message of n > 0 bytes, and the descriptor that came with it or -1.  -1:
 * it makes no sense. */
static int
understand(struct link *l, const char *text, size_t n, int fd)
{
	json_t *said, *plan;

	if (fd >= 0)
		return l->ring == NULL && (l->ring = ring_map(fd)) != NULL ?
		    0 : -1;
	if (n == 1)			/* it woke the writer, no more */
		return 0;
	if ((said = json_loadb(text, n, 0, NULL)) == NULL)
		return -1;
	plan = json_object_get(said, "plan");
	if (plan != NULL && l->asked == NULL)
		l->asked = json_incref(plan);
	json_decref(said);
	return plan == NULL ? -1 : 0;
}

/* The one descriptor of a message; -1: none; -2: more than one. */
static int
descriptor(struct msghdr *m)
{
	struct cmsghdr *c;
	int fd = -1;

	for (c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
			memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	if ((m->msg_flags & MSG_CTRUNC) == 0)
		return fd;
	drop(&fd);
	return -2;
}

/* 1: a message was heard; 0: there is none now; -1: no more will be. */
static int
hear(struct link *l)
{
	/* Exactly one fits: the kernel closes what does not. */
	_Alignas(struct cmsghdr) char room[CMSG_SPACE(sizeof(int))];
	char text[SAY_MAX];
	struct iovec v = { text, sizeof(text) };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1,
	    .msg_control = room, .msg_controllen = CMSG_LEN(sizeof(int)) };
	ssize_t n;
	int fd, rc;

	n = recvmsg(l->peer, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	fd = n < 0 ? -1 : descriptor(&m);
	rc = n > 0 && fd > -2 && (m.msg_flags & MSG_TRUNC) == 0 ?
	    understand(l, text, (size_t)n, fd) : -1;
	drop(&fd);
	return rc < 0 ? -1 : 1;
}

/* Who has been heard to the end is not looked at again, nor is its memory. */
static void
look(struct link *l)
{
	int i, rc = 1;

	let_in(l);
	for (i = 0; i < HEAR_MAX && l->peer >= 0 && rc > 0; i++)
		rc = hear(l);
	if (rc >= 0)
		return;
	drop(&l->peer);
	ring_free(l->ring);
	l->ring = NULL;
}

const json_t *
link_asked(struct link *l)
{
	const json_t *asked;

	if (l == NULL)
		return NULL;
	pthread_mutex_lock(&l->lock);
	look(l);
	asked = l->asked;
	pthread_mutex_unlock(&l->lock);
	return asked;
}

/* ---- the writer's end: pictures ------------------------------------------- */

int64_t
link_put(struct link *l, const void *data, int64_t bytes)
{
	int64_t at = -2;

	if (l == NULL)
		return -2;
	pthread_mutex_lock(&l->lock);
	look(l);
	if (l->ring != NULL)
		at = ring_put(l->ring, data, bytes);
	if (at >= 0) {
		l->shared++;
		l->since = 0;
	}
	pthread_mutex_unlock(&l->lock);
	return at;
}

/* Is there something that the reader has not even read? */
static bool
pipe_holds(const struct link *l)
{
	int n;

	return ioctl(l->pipe, FIONREAD, &n) == 0 && n > 0;
}

bool
link_wait(struct link *l)
{
	struct pollfd p = { .events = POLLIN };
	double now = cb_now();
	bool wait, more;

	pthread_mutex_lock(&l->lock);
	p.fd = l->peer;
	wait = l->ring != NULL && l->waited < WAIT_ALL;
	more = wait && !ring_want_room(l->ring);
	pthread_mutex_unlock(&l->lock);
	if (!wait || more)
		return more;
	if (l->since == 0)
		l->since = now;
	poll(&p, 1, (int)(WAIT * 1000));
	pthread_mutex_lock(&l->lock);
	more = l->ring != NULL && !ring_want_room(l->ring);
	pthread_mutex_unlock(&l->lock);
	now = cb_now() - l->since;
	if (more || pipe_holds(l) || now < WAIT)
		return true;
	l->waited += now;
	l->since = 0;
	return false;
}

/* ---- the reader's end ----------------------------------------------------- */

struct peer *
peer_connect(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct sockaddr_un a;
	struct peer *peer;
	socklen_t n;
	int sock;

	if (name_socket(&a, &n, fd) < 0)
		return NULL;
	while (poll(&p, 1, -1) < 0 && errno == EINTR)
		;
	if ((sock = new_socket()) < 0)
		return NULL;
	if (connect(sock, (void *)&a, n) < 0 || !same_user(sock) ||
	    (peer = calloc(1, sizeof(*peer))) == NULL) {
		drop(&sock);
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
		drop(&p->sock);
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
	if (p->keep > 0 && tells())
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
	    strlen(text) <= SAY_MAX)
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
