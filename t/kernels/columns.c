/* Sums over rows: columns.cu. */
#include "kern.h"

static void
sum_case(struct kern *k, const void *arg)
{
	const int *a = arg;
	int n = a[0], C = a[1], i;
	void *x = acts(k, (int64_t)n * C);
	float *out = params(k, C, -1, 1), *part = scratch(k, CU_PARTS * C);
	double s;

	if (k->twin == NULL)
		must(cu_column_sum(k->s, k->t, out, x, n, C, part));
	else for (int c = 0; c < C; c++) {
		for (s = 0, i = 0; i < n; i++)
			s += ((float *)x)[i * C + c];
		out[c] += (float)s;
	}
	out_f32(k, "out", out, C, n);
}

static void
moments_case(struct kern *k, const void *arg)
{
	const int *a = arg;
	int n = a[0], C = a[1];
	void *x = acts(k, (int64_t)n * C);
	float *mean = params(k, C, 0, 1), *var = params(k, C, 0, 1);
	float *part = scratch(k, 2 * CU_PARTS * C);

	if (k->twin != NULL)
		k->twin->moments(k->twin, mean, var, x, n, C);
	else
		must(cu_moments(k->s, k->t, mean, var, x, n, C, part));
	/* The sum is of numbers up to 1, the mean may be near 0. */
	out_f32(k, "mean", mean, C, n)->slack = 8 * 0x1p-24;
	out_f32(k, "var", var, C, n);
}

static const struct kern_case cases[] = {
	/* n C */
	CASE(sum, EVERY, int[], { 0, 7 }),
	CASE(sum, EVERY, int[], { 1, 1 }),
	CASE(sum, EVERY, int[], { 31, 33 }),
	CASE(sum, EVERY, int[], { 33, 8 }),
	CASE(sum, EVERY, int[], { 257, 264 }),
	CASE(sum, EVERY, int[], { 4099, 3 }),
	CASE(sum, LARGE, int[], { 3001, 776 }),
	CASE(moments, EVERY, int[], { 0, 3 }),
	CASE(moments, EVERY, int[], { 1, 3 }),
	CASE(moments, EVERY, int[], { 131, 17 }),
	CASE(moments, EVERY, int[], { 67, 40 }),
	CASE(moments, LARGE, int[], { 12007, 64 }),
};

GROUP(columns);
