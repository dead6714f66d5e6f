/* Fuzz target of the safetensors parser. */
#include "base/safetensors.h"
#include "fuzz.h"

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
		fuzz_got++;
		free(x);
	}
	(void)sink;
	cb_safetensors_meta(f, "a");
	cb_safetensors_close(f);
	return 0;
}

static const char header[] = "{\"__metadata__\":{\"a\":\"b\"},"
    "\"x\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
    "\"y\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[24,25]},"
    "\"z\":{\"dtype\":\"BF16\",\"shape\":[1],\"data_offsets\":[25,27]}}";

void
fuzz_seeds(void)
{
	uint8_t file[8 + sizeof(header) - 1 + 27] = { sizeof(header) - 1 };

	memcpy(file + 8, header, sizeof(header) - 1);
	fuzz_seed("three", file, sizeof(file));
}
