/* Fuzz target of streams of groups and batches: fed to a model, and looked
 * over. */
#include "task/check.h"
#include "fuzz.h"

static void
hear(void *arg, const char *kind, const char *what)
{
	(void)arg;
	fuzz_got += strlen(kind) > 0 && strlen(what) > 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct cb_feed_options o = { .groups = 2 };
	struct cb_batch *b;
	const struct cb_check_how how = { .found = hear };
	json_t *counts = json_object();
	struct cb_feed *f;
	int fd = file_of(data, n);

	if (cb_feed_open(&f, fd, "fuzz", &o) == 0) {
		while (cb_feed_next(f, &b) > 0) {
			fuzz_got++;
			cb_batch_free(b);
		}
		cb_feed_close(f);
	}
	lseek(fd, 0, SEEK_SET);
	cb_check_stream(counts, fd, "fuzz", &how);
	json_decref(counts);
	close(fd);
	return 0;
}

static const char lines[] =
    "{\"question\": \"how many?\", \"answer\": \"2\", \"video_id\": \"v\"}\n"
    "{\"question\": \"where?\", \"answer\": \"here\", \"video_id\": \"w\"}\n"
    "\n{\"question\": \"who?\", \"answer\": \"she\", \"video_id\": \"v\"}\n";

/* A stream of groups with a picture each. */
static int
make_groups(void)
{
	struct cb_list_options o = cb_list_defaults();
	char *argv[] = { "t", NULL }, *path;
	int64_t dim[3] = { 1, 2, 3 };
	int in = file_of(lines, sizeof(lines) - 1), fd;
	struct cb_writer *w;
	struct cb_list *l;
	struct cb_array a;
	struct cb_msg *m;

	path = cb_strf("/dev/fd/%d", in);
	fd = memfd_create("groups", 0);
	cb_array_init(&a, CB_U8, 3, dim);
	if (cb_list_open(&l, &path, 1, &o) < 0 ||
	    cb_writer_open(&w, fd, cb_list_header(l), 1, argv) < 0)
		abort();
	while (cb_list_next(l, &m) > 0) {
		cb_writer_put(w, m);
		cb_msg_free(m);
		cb_writer_picture(w, &a, 0, 0, 0);
		cb_writer_end(w, 1, NULL);
	}
	cb_writer_eos(w, 0, NULL);
	cb_writer_close(w);
	cb_list_close(l);
	cb_array_clear(&a);
	free(path);
	close(in);
	lseek(fd, 0, SEEK_SET);
	return fd;
}

/* The same as batches. */
static int
make_batches(int groups)
{
	struct cb_feed_options o = { .groups = 2 };
	char *argv[] = { "t", NULL };
	int fd = memfd_create("batches", 0);
	struct cb_writer *w;
	struct cb_batch *b;
	struct cb_feed *f;

	if (cb_feed_open(&f, groups, "groups", &o) < 0 ||
	    cb_writer_open(&w, fd, cb_feed_header(f), 1, argv) < 0)
		abort();
	while (cb_feed_next(f, &b) > 0) {
		cb_batch_put(w, b);
		cb_batch_free(b);
	}
	cb_writer_eos(w, 0, NULL);
	cb_writer_close(w);
	cb_feed_close(f);
	lseek(fd, 0, SEEK_SET);
	return fd;
}

void
fuzz_seeds(void)
{
	int groups = make_groups(), batches = make_batches(groups);

	fuzz_seed_file("groups", groups);
	fuzz_seed_file("batches", batches);
	close(groups);
	close(batches);
}
