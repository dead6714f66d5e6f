/*
 * The frame of a fuzz target.  A target is a file t/fuzz-NAME.c with
 *
 *	LLVMFuzzerTestOneInput()	must end, whatever the bytes, and adds
 *					to fuzz_got what it got out of them
 *	fuzz_seeds()			calls fuzz_seed() for inputs of its own
 *
 * `make fuzz` builds it with libFuzzer, which defines FUZZER.  Without, main()
 * is here, and damages each seed in the same ways every time:
 *
 *	fuzz-NAME [ROUNDS [FILE ...]]
 *
 * A FILE is one more seed; with .bad at the end of its name it is one that
 * broke something once, and nothing need come out of it.  With FUZZ_CORPUS in
 * the environment the seeds are written to that directory instead.
 */
#ifndef FUZZ_H
#define FUZZ_H
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/base.h"
#include "tap.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
void	fuzz_seeds(void);

static int64_t fuzz_got;

struct fuzz_seed {
	char	*name;
	uint8_t	*at;
	size_t	 n;
};

static struct {
	struct fuzz_seed at[64];
	int	 n;
} fuzz_all;

/* A copy is made. */
static inline void
fuzz_seed(const char *name, const void *at, size_t n)
{
	struct fuzz_seed *s = &fuzz_all.at[fuzz_all.n++];

	if ((size_t)fuzz_all.n > CB_LEN(fuzz_all.at) || n == 0)
		abort();
	s->name = cb_strf("%s", name);
	s->n = n;
	if ((s->at = malloc(n)) == NULL)
		abort();
	memcpy(s->at, at, n);
}

/* A string without its NUL. */
#define FUZZ_TEXT(name, text) fuzz_seed(name, text, sizeof(text) - 1)

/* A nameless file of these bytes, at its beginning. */
static inline int
file_of(const void *p, size_t n)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	if (fd < 0 || cb_write_full(fd, p, (int64_t)n, "fuzz") < 0)
		abort();
	lseek(fd, 0, SEEK_SET);
	return fd;
}

/* All of a file, which is at its beginning again after that. */
static inline void
fuzz_seed_file(const char *name, int fd)
{
	size_t n = (size_t)lseek(fd, 0, SEEK_END);
	uint8_t *p = malloc(n);

	lseek(fd, 0, SEEK_SET);
	if (p == NULL || cb_read_full(fd, p, (int64_t)n, name) != (int64_t)n)
		abort();
	lseek(fd, 0, SEEK_SET);
	fuzz_seed(name, p, n);
	free(p);
}

#ifndef FUZZER
/* Sanitizers report here, when there are any. */
extern void __sanitizer_set_report_fd(void *fd) __attribute__((weak));

/* One edit of n > 1 bytes, at draws 8k...; gives the new length, never more. */
static size_t
fuzz_edit(uint8_t *p, size_t n, const struct cb_rng *r, uint32_t k)
{
	uint32_t d = 8 * k, head = n < 1000 ? (uint32_t)n : 1000;
	/* headers are where it hurts */
	size_t at = cb_rng_below(r, d, cb_rng_below(r, d + 1, 2) ? head :
	    (uint32_t)n), from = cb_rng_below(r, d + 2, (uint32_t)n), len;

	len = n - (at > from ? at : from);
	if (len > 16)
		len = 1 + cb_rng_below(r, d + 3, 16);
	switch (cb_rng_below(r, d + 4, 8)) {
	case 0:
		p[at] ^= 1u << cb_rng_below(r, d + 5, 8);
		return n;
	case 1:
		p[at] = (uint8_t)cb_rng_u32(r, d + 5);
		return n;
	case 2:
		p[at] = cb_rng_below(r, d + 5, 2) ? 0 : 0xff;
		return n;
	case 3:
		p[at] += cb_rng_below(r, d + 5, 2) ? 1 : 255;
		return n;
	case 4:			/* a byte that means something elsewhere */
		p[at] = p[from];
		return n;
	case 5:
		memmove(p + at, p + from, len);
		return n;
	case 6:			/* drop a few */
		memmove(p + at, p + at + len, n - at - len);
		return n - len > 1 ? n - len : 2;
	default:		/* cut, but not often */
		return cb_rng_below(r, d + 5, 4) == 0 && at > 1 ? at : n;
	}
}

static void
fuzz_round(const struct fuzz_seed *s, uint32_t seed, uint32_t round)
{
	struct cb_rng r = { .seed = seed, .epoch = round };
	uint32_t k, edits = 1 + cb_rng_below(&r, 0, 6);
	uint8_t *bad = malloc(s->n);
	size_t n = s->n;

	if (bad == NULL)
		abort();
	memcpy(bad, s->at, n);
	for (k = 1; k <= edits && n > 1; k++)
		n = fuzz_edit(bad, n, &r, k);
	/* exactly as long as it is: overreads show */
	if ((bad = realloc(bad, n)) == NULL)
		abort();
	LLVMFuzzerTestOneInput(bad, n);
	free(bad);
}

/* What each damaged input is complained of is not worth a line. */
static void
fuzz_hush(void)
{
	int fd = open("/dev/null", O_WRONLY | O_CLOEXEC), old;

	if (__sanitizer_set_report_fd != NULL && (old = dup(2)) >= 0)
		__sanitizer_set_report_fd((void *)(intptr_t)old);
	if (fd < 0 || dup2(fd, 2) < 0)
		abort();
	close(fd);
}

static void
fuzz_run(const struct fuzz_seed *s, uint32_t seed, uint32_t rounds)
{
	size_t n = strlen(s->name);
	bool bad = n > 4 && strcmp(s->name + n - 4, ".bad") == 0;
	int64_t whole;
	uint32_t i;

	fuzz_got = 0;
	LLVMFuzzerTestOneInput(s->at, s->n);
	whole = fuzz_got;
	for (i = 0; i < rounds; i++)
		fuzz_round(s, seed, i);
	ok(bad || (whole > 0 && (rounds < 50 || fuzz_got > whole)),
	    "%s: %lld got of it, %lld of %u damaged ones", s->name,
	    (long long)whole, (long long)(fuzz_got - whole), rounds);
}

static int
fuzz_write(const char *dir)
{
	struct cb_file *f;
	char *path;
	int i;

	if (cb_mkdirs(dir) < 0)
		return cb_complain();
	for (i = 0; i < fuzz_all.n; i++) {
		path = cb_strf("%s/%s", dir, fuzz_all.at[i].name);
		if (cb_file_create(&f, path) < 0)
			return cb_complain();
		fwrite(fuzz_all.at[i].at, 1, fuzz_all.at[i].n, f->fp);
		if (cb_file_commit(f) < 0)
			return cb_complain();
		free(path);
	}
	return 0;
}

int
main(int argc, char **argv)
{
	int64_t rounds = argc > 1 ? atoll(argv[1]) : 0, bytes;
	const char *corpus = getenv("FUZZ_CORPUS"), *slash;
	char *text;
	int i, rc = 0;

	fuzz_seeds();
	for (i = 2; i < argc; i++) {
		if (cb_file_read(&text, &bytes, argv[i], 1 << 24) < 0)
			return cb_complain();
		slash = strrchr(argv[i], '/');
		fuzz_seed(slash != NULL ? slash + 1 : argv[i], text,
		    (size_t)bytes);
		free(text);
	}
	plan(corpus != NULL ? 1 : fuzz_all.n);
	if (corpus != NULL)
		rc = !ok(fuzz_write(corpus) == 0, "%d seeds", fuzz_all.n);
	else
		fuzz_hush();
	for (i = 0; i < fuzz_all.n; i++) {
		if (corpus == NULL)
			fuzz_run(&fuzz_all.at[i], (uint32_t)i,
			    (uint32_t)rounds);
		free(fuzz_all.at[i].name);
		free(fuzz_all.at[i].at);
	}
	return rc || done();
}
#endif
#endif
