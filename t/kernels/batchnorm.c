/* Batch normalisation: batchnorm.cu. */
#include "kern.h"

static void
forward_case(struct kern *k, const void *arg)
{
	const int *a = arg;
	int T = a[0], D = a[1], learn;
	int64_t n = (int64_t)T * D;
	void *x = acts(k, n), *y = acts(k, n);
	float *gain = params(k, D, .5, 2), *bias = params(k, D, -1, 1);
	float *running = params(k, 2 * D + 1, .5, 2);
	float *mean = floats(k, D, 0, 0), *rstd = floats(k, D, 0, 0);
	float *part = scratch(k, 2 * CU_PARTS * (int64_t)D);

	for (learn = 0; learn < (T == 1 ? 1 : 2); learn++) {
		float *m = learn ? mean : NULL, *r = learn ? rstd : NULL;

		if (k->twin != NULL)
			k->twin->batchnorm_fwd(k->twin, y, m, r, running, x,
			    gain, bias, T, D, learn);
		else
			must(cu_batchnorm_fwd(k->s, k->t, y, m, r, running, x,
			    gain, bias, T, D, learn, part));
		out_elem(k, learn ? "y" : "y of running", y, n, T);
	}
	/* The sum is of numbers up to 1, the mean may be near 0. */
	out_f32(k, "mean", mean, D, T)->slack = 8 * 0x1p-24;
	out_f32(k, "rstd", rstd, D, T);
	out_f32(k, "running", running, 2 * D + 1, T);
}

static void
backward_case(struct kern *k, const void *arg)
{
	const int *a = arg;
	int T = a[0], D = a[1];
	int64_t n = (int64_t)T * D;
	void *x = acts(k, n), *dy = acts(k, n), *dx = a[2] ? dy : acts(k, n);
	float *gain = params(k, D, .5, 2), *mean = floats(k, D, -.2, .2);
	float *rstd = floats(k, D, .5, 2), *dgain = params(k, D, -1, 1);
	float *dbias = params(k, D, -1, 1);
	float *part = scratch(k, 2 * CU_PARTS * (int64_t)D);
	void *other = acts(k, n);

	if (k->twin != NULL) {
		k->twin->batchnorm_bwd(k->twin, other, NULL, NULL, dy, x, mean,
		    rstd, gain, T, D);
		k->twin->batchnorm_bwd(k->twin, dx, dgain, dbias, dy, x, mean,
		    rstd, gain, T, D);
	} else {
		must(cu_batchnorm_bwd(k->s, k->t, other, NULL, NULL, dy, x,
		    mean, rstd, gain, T, D, part));
		must(cu_batchnorm_bwd(k->s, k->t, dx, dgain, dbias, dy, x,
		    mean, rstd, gain, T, D, part));
	}
	out_elem(k, "dx alone", other, n, T);
	out_elem(k, "dx", dx, n, T);
	out_f32(k, "dgain", dgain, D, T);
	out_f32(k, "dbias", dbias, D, T);
}

static const struct kern_case cases[] = {
	CASE(forward, EVERY, int[], { 1, 8 }),
	CASE(forward, EVERY, int[], { 3, 1 }),
	CASE(forward, EVERY, int[], { 5, 33 }),
	CASE(forward, EVERY, int[], { 31, 264 }),
	CASE(forward, LARGE, int[], { 131, 1024 }),
	/* T D, dx is dy */
	CASE(backward, EVERY, int[], { 1, 8, 0 }),
	CASE(backward, EVERY, int[], { 3, 1, 1 }),
	CASE(backward, EVERY, int[], { 33, 31, 0 }),
	CASE(backward, EVERY, int[], { 31, 264, 1 }),
	CASE(backward, LARGE, int[], { 131, 1024, 1 }),
};

GROUP(batchnorm);
