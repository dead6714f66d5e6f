/* Files: read whole, written whole, and descriptors that never fall short. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <sha256.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base.h"

int64_t
cb_read_full(int fd, void *to, int64_t n, const char *name)
{
	int64_t have = 0;
	ssize_t got;

	while (have < n) {
		got = read(fd, (char *)to + have, n - have);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return cb_fail(CB_EIO, "%s", name);
		if (got == 0)
			break;
		have += got;
	}
	return have;
}

int
cb_write_full(int fd, const void *from, int64_t n, const char *name)
{
	int64_t done = 0;
	ssize_t put;

	while (done < n) {
		put = write(fd, (const char *)from + done, n - done);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return cb_fail(CB_EIO, "%s", name);
		done += put;
	}
	return 0;
}

int
cb_file_read(char **out, int64_t *bytes, const char *path, int64_t max)
{
	int64_t room = 4096, have = 0, got;
	bool std = strcmp(path, "-") == 0;
	char *text = NULL, *more;
	int fd, rc = -1;

	if ((fd = std ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC)) < 0)
		return cb_fail(CB_EIO, "%s", path);
	for (;;) {
		if ((more = realloc(text, room + 1)) == NULL) {
			cb_fail(CB_ENOMEM, "%s", path);
			goto done;
		}
		text = more;
		if ((got = cb_read_full(fd, text + have, room - have, path)) < 0)
			goto done;
		have += got;
		if (have > max) {
			cb_fail(CB_ELIMIT, "%s: larger than %lld bytes", path,
			    (long long)max);
			goto done;
		}
		if (have < room)
			break;
		room *= 2;
	}
	text[have] = '\0';
	*out = text;
	text = NULL;
	*bytes = have;
	rc = 0;
done:
	free(text);
	if (!std)
		close(fd);
	return rc;
}

int
cb_file_map(void **out, int64_t *bytes, const char *path)
{
	struct stat st;
	int fd, rc = -1;

	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) < 0 || fstat(fd, &st) < 0) {
		cb_fail(errno == ENOENT ? CB_EMISSING : CB_EIO, "%s%s", path,
		    errno == ENOENT ? ": no such file" : "");
		goto done;
	}
	if (!S_ISREG(st.st_mode)) {
		cb_fail(CB_EFORMAT, "%s: not a regular file", path);
		goto done;
	}
	*out = NULL;
	*bytes = st.st_size;
	if (st.st_size > 0) {
		*out = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (*out == MAP_FAILED) {
			cb_fail(CB_EIO, "%s", path);
			goto done;
		}
	}
	rc = 0;
done:
	if (fd >= 0)
		close(fd);
	return rc;
}

void
cb_file_unmap(void *map, int64_t bytes)
{
	if (map != NULL)
		munmap(map, bytes);
}

int
cb_file_create(struct cb_file **out, const char *path)
{
	struct cb_file *f;

	if ((f = calloc(1, sizeof(*f))) == NULL)
		return cb_fail(CB_ENOMEM, "%s", path);
	f->path = cb_strf("%s", path);
	f->temp = cb_strf("%s.new", path);
	if ((f->fp = fopen(f->temp, "we")) == NULL) {
		cb_fail(CB_EIO, "%s", f->temp);
		cb_file_discard(f);
		return -1;
	}
	*out = f;
	return 0;
}

static void
file_free(struct cb_file *f)
{
	free(f->path);
	free(f->temp);
	free(f);
}

/* The directory is synced too, so that the new name outlives a power cut. */
static int
sync_parent(const char *path)
{
	char *copy = cb_strf("%s", path);
	int fd, rc;

	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	rc = fd < 0 ? -1 : fsync(fd);
	if (fd >= 0)
		close(fd);
	free(copy);
	return rc;
}

int
cb_file_commit(struct cb_file *f)
{
	/* An earlier write that failed is not failed again by fflush(). */
	bool bad = ferror(f->fp) != 0 || fflush(f->fp) != 0 ||
	    fsync(fileno(f->fp)) != 0;
	int saved = errno;

	if (fclose(f->fp) != 0 && !bad) {
		bad = true;
		saved = errno;
	}
	f->fp = NULL;
	if (bad) {
		errno = saved;
		cb_fail(CB_EIO, "%s", f->path);
		cb_file_discard(f);
		return -1;
	}
	if (rename(f->temp, f->path) != 0 || sync_parent(f->path) != 0) {
		cb_fail(CB_EIO, "%s", f->path);
		cb_file_discard(f);
		return -1;
	}
	file_free(f);
	return 0;
}

void
cb_file_discard(struct cb_file *f)
{
	if (f == NULL)
		return;
	if (f->fp != NULL)
		fclose(f->fp);
	unlink(f->temp);
	file_free(f);
}

int
cb_mkdirs(const char *path)
{
	char *copy = cb_strf("%s", path), *p;
	int rc = 0;

	for (p = copy + 1; rc == 0; p++) {
		if (*p != '/' && *p != '\0')
			continue;
		char was = *p;
		*p = '\0';
		if (mkdir(copy, 0777) != 0 && errno != EEXIST)
			rc = cb_fail(CB_EIO, "%s", copy);
		*p = was;
		if (was == '\0')
			break;
	}
	free(copy);
	return rc;
}

char *
cb_strf(const char *fmt, ...)
{
	va_list ap;
	char *s;

	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) < 0)
		abort();
	va_end(ap);
	return s;
}

void
cb_sha256(char out[65], const void *data, int64_t bytes)
{
	SHA2_CTX ctx;

	SHA256Init(&ctx);
	SHA256Update(&ctx, data, bytes);
	SHA256End(&ctx, out);
}
