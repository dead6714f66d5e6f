/*
 * The link of two cb programs on one pipe: see cb-link(7).
 *
 * The writer listens on an abstract socket named after the pipe before it
 * writes its header.  A reader that finds the first byte in the pipe therefore
 * finds the socket too, whichever program began first, and nobody waits for
 * anybody.  The other side may be hostile: only the same user is let in, one
 * message of bounded size is taken, descriptors that come with it are dropped
 * by the kernel, and no call here blocks.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "stream/link.h"

#define ASK_MAX 4096		/* bytes of what is asked */
#define STRANGERS 8		/* refused in one look */

struct link {
	pthread_mutex_t lock;
	int listener, peer;	/* -1: none, or no more */
	json_t *asked;
	bool tell;
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

/* ---- the writer's end ----------------------------------------------------- */

struct link *
link_listen(int fd)
{
	const char *set = getenv("CB_LINK");
	struct sockaddr_un a;
	struct link *l;
	socklen_t n;

	if (name_socket(&a, &n, fd) < 0 || (l = calloc(1, sizeof(*l))) == NULL)
		return NULL;
	l->peer = -1;
	l->tell = set != NULL && strcmp(set, "tell") == 0;
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
		cb_warn("link: %s", l->asked != NULL ? "asked" : "not asked");
	drop(&l->listener);
	drop(&l->peer);
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

/* One message; whatever it is, nothing more is heard after it. */
static void
hear(struct link *l)
{
	char text[ASK_MAX];
	ssize_t n = recv(l->peer, text, sizeof(text), MSG_TRUNC);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0 && n <= ASK_MAX)
		l->asked = json_loadb(text, (size_t)n, 0, NULL);
	drop(&l->peer);
}

const json_t *
link_asked(struct link *l)
{
	const json_t *asked;

	if (l == NULL)
		return NULL;
	pthread_mutex_lock(&l->lock);
	let_in(l);
	if (l->peer >= 0)
		hear(l);
	asked = l->asked;
	pthread_mutex_unlock(&l->lock);
	return asked;
}

/* ---- the reader's end ----------------------------------------------------- */

int
link_connect(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct sockaddr_un a;
	socklen_t n;
	int sock;

	if (name_socket(&a, &n, fd) < 0)
		return -1;
	while (poll(&p, 1, -1) < 0 && errno == EINTR)
		;
	if ((sock = new_socket()) < 0)
		return -1;
	if (connect(sock, (void *)&a, n) < 0 || !same_user(sock))
		drop(&sock);
	return sock;
}

void
link_ask(int sock, const json_t *what)
{
	char *text;

	if (sock < 0 || (text = json_dumps(what, JSON_COMPACT)) == NULL)
		return;
	if (strlen(text) <= ASK_MAX)
		(void)send(sock, text, strlen(text), MSG_NOSIGNAL);
	free(text);
}
