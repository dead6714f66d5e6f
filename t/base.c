/* base: random numbers, threads, files, JSON lines, sizes. */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <signal.h>
#include <unistd.h>

#include "base/base.h"
#include "says.h"
#include "tap.h"

/* Known answers of Random123's kat_vectors, philox 4x32 10. */
static void
test_philox(void)
{
	static const struct {
		struct cb_rng r;
		uint32_t block, want[4];
	} cases[] = {
		{ { 0, 0, 0, 0 }, 0,
		    { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 } },
		{ { UINT64_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX },
		    UINT32_MAX,
		    { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd } },
		/* counter 243f6a88 85a308d3 13198a2e 03707344,
		 * key a4093822 299f31d0 */
		{ { 0x299f31d0a4093822, 0x03707344, 0x13198a2e, 0x85a308d3 },
		    0x243f6a88,
		    { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 } },
	};
	struct cb_rng r = { .seed = 5, .purpose = CB_RNG_SHUFFLE };
	int64_t items[50], seen[50] = { 0 };
	uint32_t w[4];
	double mean = 0, var = 0, x;
	size_t i;
	int moved = 0, good = 0;

	for (i = 0; i < CB_LEN(cases); i++) {
		cb_rng_block(&cases[i].r, cases[i].block, w);
		ok(memcmp(w, cases[i].want, sizeof(w)) == 0,
		    "philox4x32-10 vector %zu", i);
	}
	cb_rng_block(&r, 1, w);
	ok(cb_rng_u32(&r, 6) == w[2], "draw 6 is word 2 of block 1");
	for (i = 0; i < 4000; i++) {
		x = cb_rng_normal(&r, (uint32_t)i);
		mean += x / 4000;
		var += x * x / 4000;
	}
	ok(mean * mean < 0.003 && var > 0.93 && var < 1.07,
	    "normal draws have mean 0 and variance 1");
	for (i = 0; i < 50; i++)
		items[i] = (int64_t)i;
	cb_rng_shuffle(&r, items, 50);
	for (i = 0; i < 50; i++) {
		moved += items[i] != (int64_t)i;
		seen[items[i]]++;
	}
	for (i = 0; i < 50; i++)
		good += seen[i] == 1;
	ok(good == 50 && moved > 40, "a shuffle is a permutation");
	for (i = 0, good = 0; i < 1000; i++)
		good += cb_rng_below(&r, (uint32_t)i, 7) < 7;
	ok(good == 1000, "below 7 is below 7");
}

struct job {
	atomic_int done[1000];
	int threads;
	atomic_int wrong;
};

static void
work(void *arg, int task, int thread)
{
	struct job *j = arg;

	atomic_fetch_add(&j->done[task], 1);
	if (thread < 0 || thread >= j->threads)
		atomic_fetch_add(&j->wrong, 1);
}

static void
test_pool(void)
{
	static const int threads[] = { 1, 2, 5 };
	static struct job j;
	struct cb_pool *p;
	int i, run, bad;
	size_t t;

	for (t = 0; t < CB_LEN(threads); t++) {
		memset(&j, 0, sizeof(j));
		j.threads = threads[t];
		cb_pool_new(&p, threads[t]);
		for (run = 0; run < 20; run++)
			cb_pool_run(p, work, &j, 1000);
		cb_pool_run(p, work, &j, 0);
		for (i = 0, bad = 0; i < 1000; i++)
			bad += j.done[i] != 20;
		ok(bad == 0 && j.wrong == 0 &&
		    cb_pool_threads(p) == threads[t],
		    "%d threads run every task once a run", threads[t]);
		cb_pool_free(p);
	}
}

static void
write_text(const char *path, const char *text)
{
	FILE *fp = fopen(path, "w");

	fputs(text, fp);
	fclose(fp);
}

static bool
holds(const char *path, const char *text)
{
	char *got;
	int64_t n;
	bool same;

	if (cb_file_read(&got, &n, path, 1 << 20) < 0)
		return false;
	same = strcmp(got, text) == 0;
	free(got);
	return same;
}

static void
test_files(void)
{
	struct rlimit old, tight;
	struct cb_file *f;
	char *text, big[5000];
	int64_t n;
	int rc;

	ok(cb_mkdirs("a/b/c") == 0 && cb_mkdirs("a/b/c") == 0, "mkdirs, twice");
	ok(cb_file_create(&f, "a/b/f") == 0, "a file is begun");
	fputs("one\n", f->fp);
	ok(access("a/b/f", F_OK) != 0, "and not there yet");
	ok(cb_file_commit(f) == 0 && holds("a/b/f", "one\n"), "committed");
	cb_file_create(&f, "a/b/f");
	fputs("two\n", f->fp);
	cb_file_discard(f);
	ok(holds("a/b/f", "one\n") && access("a/b/f.new", F_OK) != 0,
	    "discarding leaves the old one and no litter");
	/* A file size limit stands in for a full disk. */
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	tight = (struct rlimit){ 1000, old.rlim_max };
	cb_file_create(&f, "a/b/f");
	memset(big, 'x', sizeof(big));
	setrlimit(RLIMIT_FSIZE, &tight);
	fwrite(big, 1, sizeof(big), f->fp);
	rc = cb_file_commit(f);
	setrlimit(RLIMIT_FSIZE, &old);
	ok(rc < 0 && says("a/b/f: File too large"),
	    "a commit that cannot be is an error");
	ok(holds("a/b/f", "one\n") && access("a/b/f.new", F_OK) != 0,
	    "and leaves the old file whole");
	ok(cb_file_create(&f, "nowhere/f") < 0 &&
	    says("nowhere/f.new: No such file"), "no folder");
	ok(cb_file_read(&text, &n, "a/b/f", 3) < 0 && says("larger than 3") &&
	    cb_error_code() == CB_ELIMIT, "a cap on reading");
	ok(cb_file_read(&text, &n, "gone", 3) < 0 &&
	    says("gone: No such file"), "a missing file is named");
}

static void
test_jsonl(void)
{
	static const struct {
		const char *line, *says;
	} cases[] = {
		{ "{\"a\": 1", "x.jsonl:4: not JSON" },
		{ "[1]", "x.jsonl:4: not an object" },
		{ "{\"a\": 1, \"a\": 2}", "x.jsonl:4: not JSON: duplicate" },
		{ "{} {}", "x.jsonl:4: not JSON" },
	};
	struct cb_jsonl *r;
	json_t *v;
	char *text;
	size_t i;
	int n;

	for (i = 0; i < CB_LEN(cases); i++) {
		text = cb_strf("{\"n\": 1}\n\n  {\"n\": 2}  \n%s\n",
		    cases[i].line);
		write_text("x.jsonl", text);
		free(text);
		cb_jsonl_open(&r, "x.jsonl");
		for (n = 0; cb_jsonl_next(r, &v) > 0; n++)
			json_decref(v);
		ok(n == 2 && says(cases[i].says), "%s", cases[i].says);
		cb_jsonl_close(r);
	}
	write_text("x.jsonl", "{\"n\": 1}");
	cb_jsonl_open(&r, "x.jsonl");
	n = cb_jsonl_next(r, &v);
	ok(n == 1 && cb_jsonl_line(r) == 1, "the last line needs no newline");
	json_decref(v);
	ok(cb_jsonl_next(r, &v) == 0, "and then it ends");
	cb_jsonl_close(r);
	ok(cb_jsonl_open(&r, "gone.jsonl") < 0 && says("gone.jsonl: No such"),
	    "a missing file is named");
}

static void
test_sizes(void)
{
	int64_t n[3] = { 1 << 20, 1 << 20, 1 << 20 }, minus = -1, out;
	struct cb_array a;

	ok(cb_size_mul(&out, 4, 2, n, INT64_MAX) == 0 &&
	    out == (int64_t)4 << 40, "sizes multiply");
	n[2] = INT64_MAX / 2;
	ok(cb_size_mul(&out, 4, 3, n, INT64_MAX) < 0 && says("overflows"),
	    "and do not overflow");
	ok(cb_size_mul(&out, 1, 1, n, 1000) < 0 && says("over the cap"),
	    "nor go over the cap");
	ok(cb_size_mul(&out, 1, 1, &minus, 9) < 0 && says("negative"),
	    "nor below zero");
	n[0] = 3;
	n[1] = 5;
	ok(cb_array_init(&a, CB_F32, 2, n) == 0 && cb_array_bytes(&a) == 60 &&
	    (uintptr_t)a.data % 64 == 0 && ((float *)a.data)[14] == 0,
	    "an array is aligned and zero");
	cb_array_clear(&a);
}

static void
test_errors(void)
{
	errno = ENOENT;
	ok(cb_fail(CB_EIO, "x") == -1 &&
	    strcmp(cb_error(), "x: No such file or directory") == 0,
	    "the system's reason is added");
	ok(cb_fail(CB_EFORMAT, "%s, again", cb_error()) == -1 &&
	    strcmp(cb_error(), "x: No such file or directory, again") == 0,
	    "a message may hold the one before");
	ok(cb_fail_at("where") == -1 && says("where: x") &&
	    cb_error_code() == CB_EFORMAT, "callers add where");
}

int
main(void)
{
	plan(35);
	test_philox();
	test_pool();
	test_files();
	test_jsonl();
	test_sizes();
	test_errors();
	return done();
}
