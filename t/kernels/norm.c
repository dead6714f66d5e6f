/* Layer normalisation: norm.cu. */
#include "kern.h"

struct norm_case {
	int	 T, D;
	float	 p;
	bool	 res;
	int	 alias;		/* s is 0: nothing else, 1: x, 2: res; or ds is
				 * 1: dy */
};

static void
forward_case(struct kern *k, const void *arg)
{
	const struct norm_case *c = arg;
	int T = c->T, D = c->D;
	int64_t n = (int64_t)T * D;
	struct cb_drop drop = drop_of(c->p);
	struct cb_mask mask = mask_of(&drop);
	void *x = acts(k, n), *res = acts(k, n), *y = acts(k, n);
	void *s = c->alias == 1 ? x : c->alias == 2 ? res : acts(k, n);
	const void *with = c->res ? res : NULL;
	float *gain = params(k, D, .5, 2), *bias = params(k, D, -1, 1);
	float *mean = floats(k, T, 0, 0), *rstd = floats(k, T, 0, 0);

	if (k->twin != NULL)
		k->twin->norm_fwd(k->twin, y, s, mean, rstd, x, with, gain,
		    bias, T, D, &drop);
	else
		must(cu_norm_fwd(k->s, k->t, y, s, mean, rstd, x, with, gain,
		    bias, T, D, c->p > 0 ? &mask : NULL));
	out_elem(k, "y", y, n, D);
	out_elem(k, "s", s, n, 0);
	/* The sum is of numbers up to 3, the mean may be near 0. */
	out_f32(k, "mean", mean, T, D)->slack = 8 * 0x1p-24;
	out_f32(k, "rstd", rstd, T, D);
}

/* On inputs of its own: s of the forward pass is rounded, the twin's is not. */
static void
backward_case(struct kern *k, const void *arg)
{
	const struct norm_case *c = arg;
	int T = c->T, D = c->D;
	int64_t n = (int64_t)T * D;
	struct cb_drop drop = drop_of(c->p);
	struct cb_mask mask = mask_of(&drop);
	void *s = acts(k, n), *dy = acts(k, n), *dx = acts(k, n);
	void *ds = c->alias == 1 ? dy : acts(k, n), *to = c->p > 0 ? dx : NULL;
	float *gain = params(k, D, .5, 2), *dgain = params(k, D, -1, 1);
	float *dbias = params(k, D, -1, 1), *mean = floats(k, T, -.2, .2);
	float *rstd = floats(k, T, .5, 2);
	float *part = scratch(k, 2 * CU_PARTS * (int64_t)D);

	if (k->twin != NULL)
		k->twin->norm_bwd(k->twin, to, ds, dgain, dbias, dy, s, mean,
		    rstd, gain, T, D, &drop);
	else
		must(cu_norm_bwd(k->s, k->t, to, ds, dgain, dbias, dy, s, mean,
		    rstd, gain, T, D, c->p > 0 ? &mask : NULL, part));
	out_elem(k, "ds", ds, n, D);
	if (to != NULL)
		out_elem(k, "dx", dx, n, D);
	out_f32(k, "dgain", dgain, D, T);
	out_f32(k, "dbias", dbias, D, T);
}

/* Only one of the two sums, or none. */
static void
some_case(struct kern *k, const void *arg)
{
	const struct norm_case *c = arg;
	int T = c->T, D = c->D;
	int64_t n = (int64_t)T * D;
	void *s = acts(k, n), *dy = acts(k, n), *ds = acts(k, n);
	float *gain = params(k, D, .5, 2), *dgain = params(k, D, -1, 1);
	float *dbias = params(k, D, -1, 1), *mean = floats(k, T, -.2, .2);
	float *rstd = floats(k, T, .5, 2);
	float *part = scratch(k, 2 * CU_PARTS * (int64_t)D);
	int i;

	for (i = 0; i < 3; i++) {
		float *to_gain = i == 0 ? dgain : NULL;
		float *to_bias = i == 1 ? dbias : NULL;

		if (k->twin != NULL)
			k->twin->norm_bwd(k->twin, NULL, ds, to_gain, to_bias,
			    dy, s, mean, rstd, gain, T, D, NULL);
		else
			must(cu_norm_bwd(k->s, k->t, NULL, ds, to_gain,
			    to_bias, dy, s, mean, rstd, gain, T, D, NULL,
			    part));
	}
	out_f32(k, "dgain", dgain, D, T);
	out_f32(k, "dbias", dbias, D, T);
}

/* T D p res alias: each depth of registers, and beyond */
#define BOTH(flags, ...) \
	CASE(forward, flags, struct norm_case, __VA_ARGS__), \
	CASE(backward, flags, struct norm_case, __VA_ARGS__)

static const struct kern_case cases[] = {
	BOTH(EVERY, { 0, 8, .1f, true, 0 }),
	BOTH(EVERY, { 1, 8, 0, false, 0 }),
	BOTH(EVERY, { 31, 33, .1f, true, 0 }),
	BOTH(EVERY, { 33, 17, 0, true, 1 }),
	BOTH(EVERY, { 7, 131, .3f, true, 2 }),
	BOTH(EVERY, { 131, 64, .1f, true, 1 }),
	BOTH(EVERY, { 9, 160, .1f, true, 1 }),
	BOTH(EVERY, { 5, 264, .5f, true, 2 }),
	BOTH(EVERY, { 19, 512, .1f, false, 2 }),
	BOTH(EVERY, { 3, 520, .1f, false, 0 }),
	BOTH(EVERY, { 3, 768, 0, true, 1 }),
	BOTH(EVERY, { 3, 776, .1f, true, 0 }),
	BOTH(EVERY, { 2, 1024, .2f, true, 2 }),
	BOTH(EVERY, { 3, 1032, .1f, true, 1 }),
	BOTH(LARGE, { 2111, 64, .1f, true, 0 }),
	BOTH(LARGE, { 677, 768, .1f, true, 1 }),
	/* more than a grid has warps */
	CASE(forward, LARGE, struct norm_case, { 16500, 8, 0, true, 0 }),
	CASE(forward, LARGE, struct norm_case, { 16500, 17, 0, true, 0 }),
	CASE(backward, LARGE, struct norm_case, { 16500, 17, 0, true, 0 }),
	CASE(some, EVERY, struct norm_case, { 31, 64, 0, false, 0 }),
	CASE(some, EVERY, struct norm_case, { 31, 33, 0, false, 0 }),
};

GROUP(norm);
