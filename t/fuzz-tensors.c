/*
 * Fuzz target of the reader of PyTorch's files and pickles.  Files are named on
 * the command line.
 */
#include "train/tensors.h"
#include "fuzz.h"

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
		fuzz_got++;
		free(x);
	}
	(void)sink;
	cb_tensors_close(f);
	return 0;
}

void
fuzz_seeds(void)
{
}
