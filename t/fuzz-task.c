/*
 * Fuzz targets of the task room: annotation jsonl, and streams of groups and
 * batches.  The first byte of an input says which.  As t/fuzz-stream.c: with
 * libFuzzer define FUZZER; without, main() mutates seeds, always the same way.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "task/task.h"
#include "fuzz.h"
#include "tap.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static int64_t got_groups, got_batches;

static void
list(int fd, bool eval)
{
	struct cb_list_options o = cb_list_defaults();
	char *path = cb_strf("/dev/fd/%d", fd);
	struct cb_list *l;
	struct cb_msg *m;

	o.eval = eval;
	o.per_group = 2;
	if (cb_list_open(&l, &path, 1, &o) == 0) {
		while (cb_list_next(l, &m) > 0) {
			got_groups++;
			cb_msg_free(m);
		}
		cb_list_close(l);
	}
	free(path);
}

static void
feed(int fd)
{
	struct cb_feed_options o = { .groups = 2 };
	struct cb_batch *b;
	struct cb_feed *f;

	if (cb_feed_open(&f, fd, "fuzz", &o) < 0)
		return;
	while (cb_feed_next(f, &b) > 0) {
		got_batches++;
		cb_batch_free(b);
	}
	cb_feed_close(f);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	int fd;

	if (n == 0)
		return 0;
	fd = file_of(data + 1, n - 1);
	if (data[0] < 2)
		list(fd, data[0] == 1);
	else
		feed(fd);
	close(fd);
	return 0;
}

#ifndef FUZZER
static const char lines[] =
    "{\"question\": \"how many?\", \"answer\": \"2\", \"video_id\": \"v\"}\n"
    "{\"question\": \"where?\", \"answer\": \"here\", \"video_id\": \"w\"}\n"
    "\n{\"question\": \"who?\", \"answer\": \"she\", \"video_id\": \"v\"}\n";

static struct seed
seed_of(uint8_t kind, int fd)
{
	size_t n = (size_t)lseek(fd, 0, SEEK_END) + 1;
	uint8_t *p = malloc(n);

	p[0] = kind;
	lseek(fd, 0, SEEK_SET);
	if (cb_read_full(fd, p + 1, (int64_t)n - 1, "seed") < 0)
		abort();
	lseek(fd, 0, SEEK_SET);
	return (struct seed){ p, n };
}

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

static void
mutate(uint8_t *p, size_t *n, uint32_t round)
{
	struct cb_rng rng = { .epoch = round };
	uint32_t k, edits = 1 + cb_rng_below(&rng, 0, 3);
	size_t at;

	for (k = 1; k <= edits; k++) {
		at = 1 + cb_rng_below(&rng, 8 * k, (uint32_t)*n - 1);
		switch (cb_rng_below(&rng, 8 * k + 1, 5)) {
		case 0:
			p[at] ^= 1u << cb_rng_below(&rng, 8 * k + 2, 8);
			break;
		case 1:
			p[at] = (uint8_t)cb_rng_u32(&rng, 8 * k + 2);
			break;
		case 2:
			p[at] = cb_rng_below(&rng, 8 * k + 2, 2) ? 0 : 0xff;
			break;
		case 3:
			p[at]++;
			break;
		default:
			memmove(p + at, p + at + 1, *n - at - 1);
			--*n;
		}
	}
}

int
main(int argc, char **argv)
{
	int64_t rounds = argc > 1 ? atoll(argv[1]) : 6000, i;
	int in = file_of(lines, sizeof(lines) - 1), groups = make_groups(), b;
	struct seed seeds[4];
	uint8_t *text;
	size_t n, k;

	plan(3);
	seeds[0] = seed_of(0, in);
	seeds[1] = seed_of(1, in);
	seeds[2] = seed_of(2, groups);
	b = make_batches(groups);
	seeds[3] = seed_of(2, b);
	for (k = 0; k < 4; k++)
		LLVMFuzzerTestOneInput(seeds[k].at, seeds[k].n);
	ok(got_groups == 4 && got_batches == 2, "whole inputs are read");
	/* What is skipped is not worth a line each. */
	if (freopen("/dev/null", "w", stderr) == NULL)
		abort();
	for (i = 0; i < rounds; i++) {
		k = (size_t)i % 4;
		n = seeds[k].n;
		text = malloc(n);
		memcpy(text, seeds[k].at, n);
		mutate(text, &n, (uint32_t)i);
		LLVMFuzzerTestOneInput(text, n);
		free(text);
	}
	ok(got_groups > 100, "damaged annotations gave %lld groups",
	    (long long)got_groups);
	ok(got_batches > 100, "damaged streams gave %lld batches",
	    (long long)got_batches);
	for (k = 0; k < 4; k++)
		free((void *)seeds[k].at);
	close(in);
	close(groups);
	close(b);
	return done();
}
#endif
