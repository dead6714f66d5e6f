/*
 * Fuzz target of the link: what a peer may send to either end.  The first byte
 * says which end is under test.
 *
 * 'w': the writer.  The rest are messages, each a byte for what comes with it,
 * one for its length, and itself; a picture is written before each.
 * 'r': the reader.  The rest is the stream behind a picture, at which it has
 * offered its memory.
 */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "stream/link.h"
#include "stream/ring.h"
#include "stream/stream.h"
#include "fuzz.h"

static struct cb_array picture;

/* The picture of all inputs. */
static const struct cb_array *
any_picture(void)
{
	if (picture.data == NULL && cb_array_init(&picture, CB_U8, 3,
	    (int64_t[]){ 128, 256, 3 }) < 0)
		abort();
	return &picture;
}

static void
new_pipe(int p[2])
{
	if (pipe2(p, O_CLOEXEC) < 0 || fcntl(p[1], F_SETPIPE_SZ, 1 << 20) < 0)
		abort();
	fcntl(p[0], F_SETFL, O_NONBLOCK);
}

static char all[1 << 20];

static void
drain(int fd)
{
	while (read(fd, all, sizeof(all)) > 0)
		;
}

/* ---- the writer under test -------------------------------------------------- */

static int
connect_to(int fd)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct stat st;
	int s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), n;

	if (s < 0 || fstat(fd, &st) < 0)
		abort();
	n = snprintf(a.sun_path + 1, sizeof(a.sun_path) - 1,
	    "cb-link/1/%lu/%llx/%llx", (unsigned long)geteuid(),
	    (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
	if (connect(s, (void *)&a, (socklen_t)(offsetof(struct sockaddr_un,
	    sun_path) + 1) + (socklen_t)n) < 0)
		abort();
	return s;
}

static int
memory(int64_t bytes, unsigned seals)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || fallocate(fd, 0, 0, bytes) < 0 ||
	    fcntl(fd, F_ADD_SEALS, seals) < 0)
		abort();
	return fd;
}

/* What comes with a message: descriptors of this kind, yours to close. */
static int
things(int fd[2], int kind)
{
	static const unsigned both = F_SEAL_SHRINK | F_SEAL_GROW;

	fd[0] = fd[1] = -1;
	switch (kind % 8) {
	case 1:
		fd[0] = memory(4096 + RING_MIN, both);
		return 1;
	case 2:
		fd[0] = memory(4096 + RING_MIN, F_SEAL_GROW);
		return 1;
	case 3:
		fd[0] = memory(4096, both);
		return 1;
	case 4:
		fd[0] = memory(4096 + RING_MIN, both | F_SEAL_WRITE);
		return 1;
	case 5:
		fd[0] = memory(4096 + RING_MIN, both);
		fd[1] = memory(4096 + RING_MIN, both);
		return 2;
	case 6:
		fd[0] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		return 1;
	default:
		return 0;
	}
}

static void
send_one(int sock, int kind, const uint8_t *text, size_t n)
{
	_Alignas(struct cmsghdr) char room[CMSG_SPACE(2 * sizeof(int))] = { 0 };
	struct iovec v = { (void *)text, n };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
	struct cmsghdr *c = (struct cmsghdr *)room;
	int fd[2], k = things(fd, kind), i;

	if (k > 0) {
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)k);
		memcpy(CMSG_DATA(c), fd, sizeof(int) * (size_t)k);
		m.msg_control = room;
		m.msg_controllen = c->cmsg_len;
	}
	(void)sendmsg(sock, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
	for (i = 0; i < k; i++)
		close(fd[i]);
}

static void
try_writer(const uint8_t *p, size_t n)
{
	char *argv[] = { "fuzz" };
	struct cb_writer *w;
	size_t k;
	int pipes[2], sock, i;

	new_pipe(pipes);
	if (cb_writer_open(&w, pipes[1], NULL, 1, argv) < 0)
		abort();
	sock = connect_to(pipes[0]);
	for (i = 0; i < 32 && n >= 2; i++) {
		k = p[1] < n - 2 ? p[1] : n - 2;
		send_one(sock, p[0], p + 2, k);
		p += 2 + k;
		n -= 2 + k;
		if (cb_writer_picture(w, any_picture(), 0, i, i) < 0)
			abort();
		fuzz_got += cb_writer_asked(w) != NULL;
		drain(pipes[0]);
	}
	close(sock);
	if (cb_writer_picture(w, any_picture(), 0, i, i) < 0)
		abort();
	drain(pipes[0]);
	fuzz_got += i > 0;
	cb_writer_close(w);
	close(pipes[0]);
	close(pipes[1]);
}

/* ---- the reader under test -------------------------------------------------- */

static void
read_on(struct cb_reader *r, struct link *l)
{
	struct cb_msg *m;

	while (cb_reader_next(r, &m) > 0) {
		fuzz_got++;
		if (l != NULL) {	/* something lies in the memory */
			(void)link_put(l, picture.data,
			    cb_array_bytes(&picture));
			l = NULL;
		}
		json_decref(cb_obj_json(&m->root));
		cb_msg_free(m);
	}
}

/* A group of one picture, in all[]; how many bytes. */
static int64_t
whole_group(void)
{
	char *argv[] = { "fuzz" };
	struct cb_writer *w;
	struct cb_msg *m;
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	int64_t n;

	if (fd < 0 || cb_msg_new(&m) < 0 ||
	    cb_writer_open(&w, fd, NULL, 1, argv) < 0)
		abort();
	cb_map_set(m, &m->root, "group", cb_obj_map(m, 0));
	if (cb_writer_put(w, m) < 0 ||
	    cb_writer_picture(w, any_picture(), 0, 0, 0) < 0 ||
	    cb_writer_end(w, 1, NULL) < 0)
		abort();
	cb_writer_close(w);
	cb_msg_free(m);
	lseek(fd, 0, SEEK_SET);
	n = cb_read_full(fd, all, sizeof(all), "fuzz");
	close(fd);
	return n;
}

static void
try_reader(const uint8_t *p, size_t n)
{
	struct cb_reader *r;
	struct link *l;
	int pipes[2];
	int64_t k;

	new_pipe(pipes);
	if ((l = link_listen(pipes[1])) == NULL)
		abort();
	k = whole_group();
	n = n < 200 << 10 ? n : 200 << 10;
	if (cb_write_full(pipes[1], all, k, "fuzz") < 0 ||
	    cb_write_full(pipes[1], p, (int64_t)n, "fuzz") < 0)
		abort();
	close(pipes[1]);
	if (cb_reader_open(&r, pipes[0], "fuzz") == 0) {
		cb_reader_limit(r, 1 << 20);
		read_on(r, l);
		cb_reader_close(r);
	}
	link_close(l);
	close(pipes[0]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	if (n > 0 && data[0] == 'w')
		try_writer(data + 1, n - 1);
	else if (n > 0)
		try_reader(data + 1, n - 1);
	return 0;
}

#define PLAN "{\"plan\":{\"strategy\":\"clips\",\"clips\":1}}"
#define SHARED "\xc7\x48\2" "\0\3\0\0\0\0\0\0" "\x80\0\0\0\0\0\0\0" \
	"\0\1\0\0\0\0\0\0" "\3\0\0\0\0\0\0\0" "\0\0\0\0\0\0\0\0" \
	"\0\0\0\0\0\0\0\0" "\0\0\0\0\0\0\0\0" "\0\0\0\0\0\0\0\0"

void
fuzz_seeds(void)
{
	FUZZ_TEXT("plan", "w\0\x27" PLAN "\0\1w");
	FUZZ_TEXT("ring", "w\1\1r\0\1w\0\1w\0\x27" PLAN "\0\1w");
	FUZZ_TEXT("rings", "w\2\1r\1\1r");
	FUZZ_TEXT("small", "w\3\1r\0\1w");
	FUZZ_TEXT("fixed", "w\4\1r\0\1w");
	FUZZ_TEXT("two", "w\5\1r\0\1w");
	FUZZ_TEXT("socket", "w\6\1r\0\1w");
	FUZZ_TEXT("shared", "r\x81\xa5group\x80" "\x81\xa7picture" SHARED
	    "\0\0\0\0\0\0\0\0" "\x81\xa7picture" SHARED
	    "\0\0\1\0\0\0\0\0" "\x81\xa3" "end\x81\xa8pictures\2"
	    "\x81\xa3" "eos\x80");
}
