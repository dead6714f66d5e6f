/*
 * FFmpeg at arm's length: its log is kept per thread instead of going to
 * stderr, its status becomes one message, and it reads through callbacks from
 * a descriptor or from memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <libavutil/error.h>
#include <libavutil/log.h>

#include "media/private.h"

#define IO_BYTES (64 << 10)
#define PIPE_MAX ((int64_t)1 << 30)

static _Thread_local char log_first[256];
static _Thread_local int log_errors;
static _Thread_local const char *log_forgiven;

static void
log_keep(void *context, int level, const char *fmt, va_list ap)
{
	char *p;

	(void)context;
	if (level > AV_LOG_ERROR || (log_forgiven != NULL &&
	    strncmp(fmt, log_forgiven, strlen(log_forgiven)) == 0) ||
	    log_errors++ > 0)
		return;
	vsnprintf(log_first, sizeof(log_first), fmt, ap);
	for (p = log_first; *p != '\0'; p++)
		if ((unsigned char)*p < ' ')
			*p = ' ';
	while (p > log_first && (p[-1] == ' ' || p[-1] == '.'))
		*--p = '\0';
}

static void
log_install(void)
{
	av_log_set_callback(log_keep);
}

void
av_log_clear(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, log_install);
	log_first[0] = '\0';
	log_errors = 0;
}

void
av_log_forgive(const char *text)
{
	log_forgiven = text;
}

const char *
av_log_first(void)
{
	return log_first;
}

int
av_log_count(void)
{
	return log_errors;
}

int
av(int status, const char *where)
{
	char text[AV_ERROR_MAX_STRING_SIZE];

	if (status >= 0)
		return status;
	if (status == AVERROR(ENOMEM))
		return cb_fail(CB_ENOMEM, "%s", where);
	if (status == AVERROR_EXIT)
		return cb_fail(CB_ELIMIT, "%s: took longer than --timeout",
		    where);
	if (log_first[0] != '\0')
		return cb_fail(CB_EFORMAT, "%s: %s", where, log_first);
	av_strerror(status, text, sizeof(text));
	return cb_fail(CB_EFORMAT, "%s: %s", where, text);
}

/* ---- input ---------------------------------------------------------------- */

/* Waits until a byte, or the end, can be read. */
static int
pipe_wait(const struct input *in, const struct cb_source *src)
{
	struct pollfd p = { .fd = in->fd, .events = POLLIN };
	double left = in->deadline - cb_now();
	int rc;

	if (in->deadline > 0 && left <= 0)
		return av(AVERROR_EXIT, src->name);
	/* a longer wait is made of several */
	rc = poll(&p, 1, in->deadline > 0 && left < 1000 ?
	    (int)(1e3 * left) + 1 : 1000000);
	if (rc < 0 && errno != EINTR)
		return cb_fail(CB_EIO, "%s", src->name);
	return rc > 0;
}

/*
 * A pipe cannot seek, so all of it is read.  Opening does not wait for the
 * writer: poll() does, because it knows the end of a pipe that had no writer
 * yet from that of one whose writer has gone.
 */
static int
input_pipe(struct input *in, const struct cb_source *src)
{
	int64_t room = 0;
	ssize_t got = 1;
	void *more;
	int rc;

	in->fd = open(src->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (in->fd < 0)
		return cb_fail(CB_EIO, "%s", src->name);
	while (got != 0) {
		if (in->bytes >= PIPE_MAX)
			return cb_fail(CB_ELIMIT, "%s: is larger than %lld "
			    "bytes", src->name, (long long)PIPE_MAX);
		if (in->bytes == room) {
			room = room > 0 ? 2 * room : IO_BYTES;
			if ((more = realloc(in->owned, room)) == NULL)
				return cb_fail(CB_ENOMEM, "%s", src->name);
			in->owned = more;
		}
		if ((rc = pipe_wait(in, src)) < 0)
			return -1;
		if (rc == 0)
			continue;
		got = read(in->fd, (char *)in->owned + in->bytes,
		    room - in->bytes);
		if (got > 0)
			in->bytes += got;
		else if (got < 0 && errno != EINTR && errno != EAGAIN)
			return cb_fail(CB_EIO, "%s", src->name);
	}
	close(in->fd);
	in->fd = -1;
	in->data = in->owned;
	return 0;
}

int
input_open(struct input *in, const struct cb_source *src, double timeout_s)
{
	struct stat st;

	memset(in, 0, sizeof(*in));
	in->fd = -1;
	in->data = src->data;
	in->bytes = src->path != NULL ? 0 : src->bytes;
	in->deadline = timeout_s > 0 ? cb_now() + timeout_s : 0;
	if (src->path != NULL) {
		if (stat(src->path, &st) < 0)
			return cb_fail(CB_EIO, "%s", src->name);
		if (S_ISDIR(st.st_mode))
			return cb_fail(CB_EFORMAT, "%s: is a directory",
			    src->name);
		if (S_ISREG(st.st_mode)) {
			in->fd = open(src->path, O_RDONLY | O_CLOEXEC);
			if (in->fd < 0)
				return cb_fail(CB_EIO, "%s", src->name);
			in->bytes = st.st_size;
		} else if (input_pipe(in, src) < 0) {
			input_close(in);
			return -1;
		}
	}
	if (in->bytes == 0) {
		input_close(in);
		return cb_fail(CB_EFORMAT, "%s: is empty", src->name);
	}
	return 0;
}

void
input_close(struct input *in)
{
	if (in->fd >= 0)
		close(in->fd);
	free(in->owned);
	in->owned = NULL;
	in->fd = -1;
}

int64_t
input_at(struct input *in, void *to, int64_t n, int64_t pos)
{
	ssize_t got;

	if (pos >= in->bytes || pos < 0)
		return 0;
	if (n > in->bytes - pos)
		n = in->bytes - pos;
	if (in->fd < 0) {
		memcpy(to, in->data + pos, n);
		return n;
	}
	do
		got = pread(in->fd, to, n, pos);
	while (got < 0 && errno == EINTR);
	return got;
}

int
input_peek(struct input *in, void *to, int n)
{
	int64_t got = input_at(in, to, n, 0);

	return got < 0 ? 0 : (int)got;
}

bool
input_late(const struct input *in)
{
	return in->deadline > 0 && cb_now() > in->deadline;
}

int
input_bytes(struct input *in, const uint8_t **data, void **owned,
    const char *name)
{
	int64_t have = 0, got;
	uint8_t *p;

	*owned = NULL;
	*data = in->data;
	if (in->fd < 0)
		return 0;
	if ((p = malloc(in->bytes)) == NULL)
		return cb_fail(CB_ENOMEM, "%s", name);
	while (have < in->bytes) {
		got = input_at(in, p + have, in->bytes - have, have);
		if (got < 0) {
			free(p);
			return cb_fail(CB_EIO, "%s", name);
		}
		if (got == 0)
			break;		/* it shrank: what is there counts */
		have += got;
	}
	in->bytes = have;
	*owned = p;
	*data = p;
	return 0;
}

static int
io_read(void *opaque, uint8_t *to, int n)
{
	struct input *in = opaque;
	int64_t got;

	if (input_late(in))
		return AVERROR_EXIT;
	got = input_at(in, to, n, in->pos);
	if (got < 0)
		return AVERROR(errno);
	if (got == 0)
		return AVERROR_EOF;
	in->pos += got;
	return (int)got;
}

static int64_t
io_seek(void *opaque, int64_t offset, int whence)
{
	struct input *in = opaque;

	if (whence & AVSEEK_SIZE)
		return in->bytes;
	switch (whence & ~AVSEEK_FORCE) {
	case SEEK_CUR:
		offset += in->pos;
		break;
	case SEEK_END:
		offset += in->bytes;
		break;
	}
	if (offset < 0)
		return AVERROR(EINVAL);
	return in->pos = offset;
}

int
input_io(AVIOContext **out, struct input *in)
{
	uint8_t *buffer;

	in->pos = 0;
	if ((buffer = av_malloc(IO_BYTES)) == NULL)
		return AVERROR(ENOMEM);
	*out = avio_alloc_context(buffer, IO_BYTES, 0, in, io_read, NULL,
	    io_seek);
	if (*out == NULL) {
		av_free(buffer);
		return AVERROR(ENOMEM);
	}
	return 0;
}

void
input_io_free(AVIOContext **io)
{
	if (*io == NULL)
		return;
	av_freep(&(*io)->buffer);
	avio_context_free(io);
}
