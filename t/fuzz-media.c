/*
 * Fuzz target of media: opening, listing, fetching and JPEG, from memory.  With
 * libFuzzer: clang -fsanitize=fuzzer,address -DFUZZER -Ilib t/fuzz-media.c ...
 *
 * Without, main() damages the files named, a fixed number of times each, always
 * the same way: fuzz-media ROUNDS FILE...
 */
#include <stdlib.h>
#include <string.h>

#include "media/media.h"
#include "tap.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static int opened, pictures;

static void
fetch(struct cb_media *m)
{
	struct cb_plan plan = { .strategy = CB_SAMPLE_CLIPS, .clips = 2,
	    .frames = 2, .fps = 2 };
	struct cb_frame *out[4];
	struct cb_cut cut;
	int i, exact;

	if (cb_plan_resolve(&cut, &plan, cb_media_info(m)) < 0)
		return;
	if (cb_media_fetch(m, cut.want, cut.nwant, out, &exact) == 0) {
		for (i = 0; i < cut.nwant; i++) {
			pictures += out[i]->rgb.dim[2] == 3;
			cb_frame_free(out[i]);
		}
	}
	cb_cut_clear(&cut);
}

/* Must end, whatever the bytes. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const struct cb_media_limits limits = { .max_pixels = 1 << 18,
	    .timeout_s = 10, .upright = true };
	struct cb_source src = { .name = "fuzz", .data = data,
	    .bytes = (int64_t)n };
	struct cb_media *m;
	struct cb_frame *f;

	if (cb_media_open(&m, &src, &limits) < 0)
		return 0;
	opened++;
	fetch(m);
	if (cb_media_next(m, &f) > 0)
		cb_frame_free(f);
	cb_media_close(m);
	return 0;
}

#ifndef FUZZER
/* Bytes set, bits turned, a piece cut out or the end cut off. */
static int64_t
damage(uint8_t *p, int64_t n, uint32_t round)
{
	const struct cb_rng r = { .seed = 1, .purpose = CB_RNG_DEMO,
	    .seq = round };
	uint32_t i, k = 1 + cb_rng_below(&r, 0, 8), at, len;

	for (i = 0; i < k; i++) {
		/* headers are where it hurts */
		at = cb_rng_below(&r, 4 * i + 1, cb_rng_below(&r, 4 * i + 2,
		    2) ? (uint32_t)n : (uint32_t)(n < 1000 ? n : 1000));
		if (cb_rng_below(&r, 4 * i + 3, 2))
			p[at] ^= 1 << cb_rng_below(&r, 4 * i + 4, 8);
		else
			p[at] = cb_rng_below(&r, 4 * i + 4, 2) ? 0xff : 0;
	}
	at = cb_rng_below(&r, 100, (uint32_t)n);
	len = cb_rng_below(&r, 101, (uint32_t)(n - at));
	switch (cb_rng_below(&r, 102, 4)) {
	case 0:
		return at > 0 ? at : 1;
	case 1:
		memmove(p + at, p + at + len, n - at - len);
		return n - len > 0 ? n - len : 1;
	}
	return n;
}

int
main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 0, i, k;
	int64_t n, m;
	uint8_t *copy;
	char *bytes;

	plan(argc - 2);
	for (i = 2; i < argc; i++) {
		if (cb_file_read(&bytes, &n, argv[i], 1 << 24) < 0)
			return cb_complain();
		opened = pictures = 0;
		for (k = 0; k < rounds; k++) {
			/* exactly as long as it is, for the sanitizer */
			if ((copy = malloc(n)) == NULL)
				abort();
			memcpy(copy, bytes, n);
			m = damage(copy, n, k);
			if ((copy = realloc(copy, m)) == NULL)
				abort();
			LLVMFuzzerTestOneInput(copy, m);
			free(copy);
		}
		ok(opened > 0 && opened < rounds, "%s: %d of %d opened, "
		    "%d pictures", strrchr(argv[i], '/') + 1, opened, rounds,
		    pictures);
		free(bytes);
	}
	return done();
}
#endif
