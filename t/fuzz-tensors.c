/*
 * Fuzz target of the reader of PyTorch's files and pickles.  With clang:
 *	clang -fsanitize=fuzzer,address -DCB_LIBFUZZER ...
 * Without libFuzzer main() damages the files that are its arguments, seeded;
 * -n ROUNDS for each file [2000].
 */
#include <stdlib.h>
#include <string.h>

#include "train/tensors.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static volatile float sink;
	struct cb_tensors *f;
	float *x;
	int i;

	if (cb_tensors_parse(&f, data, (int64_t)n, "fuzz") < 0)
		return 0;
	for (i = 0; i < f->n; i++) {
		if (cb_array_count(&f->at[i].array) > (1 << 20))
			continue;
		x = cb_alloc(4 * cb_array_count(&f->at[i].array));
		if (x == NULL)
			continue;
		cb_array_to_f32(x, &f->at[i].array);
		sink = x[0];
		free(x);
	}
	(void)sink;
	cb_tensors_close(f);
	return 0;
}

#ifndef CB_LIBFUZZER
#include "tap.h"

/* Opcodes and numbers that mean something to either parser. */
static const uint8_t spice[] = "\x80\x02.(0123NJKM\x88\x89\x8aGTXUBC]})\x85\x86"
    "\x87tldaseuqrhj\x94\x93\x81RbQc\x00\x01\x7f\xff\x8f\x90PK\x05\x06\x06";

static void
damage(uint8_t *bad, size_t n, int round)
{
	struct cb_rng r = { 1, CB_RNG_DEMO, 0, (uint32_t)round };
	int changes = 1 + (int)cb_rng_below(&r, 0, 6), k;
	size_t at, from, length;

	for (k = 0; k < changes; k++) {
		at = cb_rng_below(&r, 10 + 4 * k, (uint32_t)n);
		switch (cb_rng_below(&r, 11 + 4 * k, 4)) {
		case 0:
			bad[at] = (uint8_t)cb_rng_u32(&r, 12 + 4 * k);
			break;
		case 1:		/* a piece from elsewhere */
			from = cb_rng_below(&r, 12 + 4 * k, (uint32_t)n);
			length = 1 + cb_rng_below(&r, 13 + 4 * k, 16);
			if (length > n - (at > from ? at : from))
				length = n - (at > from ? at : from);
			memmove(bad + at, bad + from, length);
			break;
		default:
			bad[at] = spice[cb_rng_below(&r, 12 + 4 * k,
			    sizeof(spice) - 1)];
		}
	}
}

static void
fuzz_file(const char *path, int rounds)
{
	struct cb_rng r = { 2, CB_RNG_DEMO, 0, 0 };
	uint8_t *bad;
	int64_t n, size;
	char *good;
	int round;

	if (cb_file_read(&good, &n, path, 1 << 20) < 0 || n == 0)
		exit(cb_complain());
	LLVMFuzzerTestOneInput((uint8_t *)good, n);
	for (round = 0; round < rounds; round++) {
		size = round % 7 == 0 ? 1 + cb_rng_below(&r, (uint32_t)round,
		    (uint32_t)n) : n;
		bad = malloc(size);		/* exact, for ASan */
		memcpy(bad, good, size);
		damage(bad, size, round);
		LLVMFuzzerTestOneInput(bad, size);
		free(bad);
	}
	free(good);
}

int
main(int argc, char **argv)
{
	int i = 1, rounds = 2000;

	if (argc > 2 && strcmp(argv[1], "-n") == 0) {
		rounds = atoi(argv[2]);
		i = 3;
	}
	plan(argc - i);
	for (; i < argc; i++) {
		fuzz_file(argv[i], rounds);
		ok(true, "%s: %d damaged files", argv[i], rounds);
	}
	return done();
}
#endif
