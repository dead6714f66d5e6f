/*
 * pass-pictures write N H W | pass-pictures read: one group of N equal pictures
 * from one process to the next, for bench-stream.  The reader tells how many
 * bytes of pixels came, in how many seconds from the first picture to the last.
 * With a name behind "read" it says that it stops at the second picture, and
 * does so until that file can be opened, a fifo.  pass-pictures copy N H W: the
 * same by memcpy() within one process.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stream/stream.h"

static void
tell(int64_t bytes, double seconds)
{
	printf("%lld %.9f\n", (long long)bytes, seconds);
}

static int
put(int argc, char **argv, struct cb_array *a, int n)
{
	struct cb_writer *w;
	struct cb_msg *m;
	int i;

	if (cb_msg_new(&m) < 0 ||
	    cb_writer_open(&w, STDOUT_FILENO, NULL, argc, argv) < 0)
		return -1;
	cb_map_set(m, &m->root, "group", cb_obj_map(m, 0));
	if (cb_writer_put(w, m) < 0)
		return -1;
	for (i = 0; i < n; i++)
		if (cb_writer_picture(w, a, 0, i, i) < 0)
			return -1;
	if (cb_writer_end(w, n, NULL) < 0 || cb_writer_eos(w, 0, NULL) < 0)
		return -1;
	cb_writer_close(w);
	cb_msg_free(m);
	return 0;
}

/* Every page is looked at, as whoever wants the picture would. */
static int64_t
look(const struct cb_array *a)
{
	int64_t bytes = cb_array_bytes(a), i, sum = 0;

	for (i = 0; i < bytes; i += 4096)
		sum += ((uint8_t *)a->data)[i];
	return sum;
}

/* Until somebody writes to it. */
static int
stop(const char *fifo)
{
	int fd;

	cb_warn("stops");
	if ((fd = open(fifo, O_RDONLY | O_CLOEXEC)) < 0)
		return cb_fail(CB_EIO, "%s", fifo);
	close(fd);
	return 0;
}

static int
get(const char *fifo)
{
	int64_t bytes = 0, sum = 0;
	struct cb_reader *r;
	struct cb_array a;
	struct cb_msg *m;
	double began = 0, now = 0;
	int rc;

	if (cb_reader_open(&r, STDIN_FILENO, "stdin") < 0)
		return -1;
	while ((rc = cb_reader_next(r, &m)) > 0) {
		if (cb_msg_kind(m) == CB_MSG_PICTURE) {
			if (cb_map_array(&m->root, "picture", &a) < 0)
				return -1;
			sum += look(&a);
			now = cb_now();
			if (began == 0)
				began = now;
			else
				bytes += cb_array_bytes(&a);
			if (bytes > 0 && fifo != NULL && stop(fifo) < 0)
				return -1;
			fifo = bytes > 0 ? NULL : fifo;
		}
		cb_msg_free(m);
	}
	cb_reader_close(r);
	tell(bytes, now - began);
	return sum < 0 ? -1 : rc;
}

static int
copy(const struct cb_array *a, int n)
{
	int64_t bytes = cb_array_bytes(a);
	struct cb_array b;
	double began;
	int i;

	if (cb_array_init(&b, a->type, a->rank, a->dim) < 0)
		return -1;
	began = cb_now();
	for (i = 0; i < n; i++) {
		((uint8_t *)a->data)[i % bytes]++;
		memcpy(b.data, a->data, (size_t)bytes);
		if (look(&b) < 0)
			return -1;
	}
	tell(n * bytes, cb_now() - began);
	cb_array_clear(&b);
	return 0;
}

int
main(int argc, char **argv)
{
	struct cb_array a;
	int n, rc;

	cb_program_set(argv[0]);
	if (argc > 1 && strcmp(argv[1], "read") == 0)
		return get(argv[2]) < 0 ? cb_complain() : 0;
	if (argc != 5)
		return 2;
	n = atoi(argv[2]);
	if (cb_array_init(&a, CB_U8, 3,
	    (int64_t[]){ atoi(argv[3]), atoi(argv[4]), 3 }) < 0)
		return cb_complain();
	memset(a.data, 7, (size_t)cb_array_bytes(&a));
	rc = strcmp(argv[1], "copy") == 0 ? copy(&a, n) :
	    put(argc, argv, &a, n);
	cb_array_clear(&a);
	return rc < 0 ? cb_complain() : 0;
}
