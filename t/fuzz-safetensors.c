/*
 * Fuzz target of the safetensors parser.  With clang:
 *	clang -fsanitize=fuzzer,address -DCB_LIBFUZZER ...
 * Without libFuzzer main() feeds it a file of its own with seeded damage.
 */
#include <stdlib.h>
#include <string.h>

#include "base/safetensors.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static volatile float sink;
	struct cb_safetensors *f;
	const struct cb_tensor *t;
	float *x;
	int i;

	if (cb_safetensors_parse(&f, data, (int64_t)n, "fuzz") < 0)
		return 0;
	for (i = 0; i < cb_safetensors_count(f); i++) {
		t = cb_safetensors_at(f, i);
		if (cb_safetensors_find(f, t->name) != &t->array)
			abort();
		if ((x = cb_alloc(4 * cb_array_count(&t->array))) == NULL)
			continue;
		cb_array_to_f32(x, &t->array);
		sink = x[0];
		free(x);
	}
	(void)sink;
	cb_safetensors_meta(f, "a");
	cb_safetensors_close(f);
	return 0;
}

#ifndef CB_LIBFUZZER
#include "tap.h"

#define ROUNDS 20000

static const char header[] = "{\"__metadata__\":{\"a\":\"b\"},"
    "\"x\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
    "\"y\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[24,25]},"
    "\"z\":{\"dtype\":\"BF16\",\"shape\":[1],\"data_offsets\":[25,27]}}";
static const char spice[] = "0123456789-\"[]{},:.eFU\\\0 ";

int
main(void)
{
	struct cb_rng r = { 1, CB_RNG_DEMO, 0, 0 };
	size_t n = 8 + strlen(header) + 27, size, at;
	uint64_t head = strlen(header);
	uint8_t *good = calloc(1, n), *bad;
	int round, k, changes;

	plan(1);
	memcpy(good, &head, 8);
	memcpy(good + 8, header, head);
	LLVMFuzzerTestOneInput(good, n);
	for (round = 0; round < ROUNDS; round++) {
		r.seq = (uint32_t)round;
		changes = 1 + (int)cb_rng_below(&r, 0, 4);
		size = round % 5 == 0 ? cb_rng_below(&r, 1, (uint32_t)n + 1) : n;
		bad = malloc(size > 0 ? size : 1);	/* exact, for ASan */
		memcpy(bad, good, size);
		for (k = 0; k < changes && size > 0; k++) {
			at = cb_rng_below(&r, 2 + 3 * k, (uint32_t)size);
			bad[at] = round % 3 == 0 ?
			    (uint8_t)cb_rng_u32(&r, 1000 + k) :
			    (uint8_t)spice[cb_rng_below(&r, 3 + 3 * k,
			    sizeof(spice) - 1)];
		}
		LLVMFuzzerTestOneInput(bad, size);
		free(bad);
	}
	free(good);
	return !ok(true, "%d damaged files", ROUNDS);
}
#endif
