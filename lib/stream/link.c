/*
 * The link of two cb programs on one pipe: see cb-link(7).  The writer's end,
 * and what both have in common; the reader's is peer.c.
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
#include <sys/stat.h>
#include <unistd.h>

#include "stream/link.h"
#include "stream/ring.h"

#define STRANGERS 8		/* refused in one look */
#define HEAR_MAX 64		/* messages in one look */

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

/* ---- both ends ------------------------------------------------------------ */

int
link_address(struct sockaddr_un *a, socklen_t *n, int fd)
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

bool
link_tells(void)
{
	const char *set = getenv("CB_LINK");

	return set != NULL && strcmp(set, "tell") == 0;
}

bool
link_same_user(int sock)
{
	struct ucred c;
	socklen_t n = sizeof(c);

	return getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &c, &n) == 0 &&
	    c.uid == geteuid();
}

int
link_socket(void)
{
	return socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    0);
}

void
link_drop(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* ---- who is there, and what is said ---------------------------------------- */

struct link *
link_listen(int fd)
{
	struct sockaddr_un a;
	struct link *l;
	socklen_t n;

	if (link_address(&a, &n, fd) < 0 || (l = calloc(1, sizeof(*l))) == NULL)
		return NULL;
	l->pipe = fd;
	l->peer = -1;
	l->tell = link_tells();
	l->listener = link_socket();
	if (l->listener < 0 || bind(l->listener, (void *)&a, n) < 0 ||
	    listen(l->listener, STRANGERS) < 0) {
		link_drop(&l->listener);
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
	link_drop(&l->listener);
	link_drop(&l->peer);
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
		if (!link_same_user(l->peer))
			link_drop(&l->peer);
	}
	if (l->peer >= 0)
		link_drop(&l->listener);
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
	link_drop(&fd);
	return -2;
}

/* 1: a message was heard; 0: there is none now; -1: no more will be. */
static int
hear(struct link *l)
{
	/* Exactly one fits: the kernel closes what does not. */
	_Alignas(struct cmsghdr) char room[CMSG_SPACE(sizeof(int))];
	char text[LINK_SAY_MAX];
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
	link_drop(&fd);
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
	link_drop(&l->peer);
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

/* ---- pictures -------------------------------------------------------------- */

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
