/* Element by element: point.cu. */
#include <stdlib.h>

#include "kern.h"

struct bias_case {
	int	 rows, C;
	enum cb_act act;
	bool	 bias, res;
	int	 alias;		/* y is 0: nothing else, 1: x, 2: res */
};

/* The twin is a linear map whose weights are the identity. */
static void
twin_bias_act(struct kern *k, float *y, const float *x, const float *bias,
    const float *res, enum cb_act act, int rows, int C)
{
	struct cb_engine *e = k->twin;
	struct cb_linear_plan *l;
	float *w = calloc((size_t)C * C, sizeof(*w));
	float *sum = calloc((size_t)rows * C, sizeof(*sum));
	int i;

	for (i = 0; i < C; i++)
		w[i * C + i] = 1;
	for (i = 0; i < rows * C; i++)
		sum[i] = x[i] + (res != NULL ? res[i] : 0);
	if (e->linear_new(e, &l, C, C) < 0)
		abort();
	e->linear_pack(e, l, w, bias, false);
	e->linear_fwd(e, l, (struct cb_elem *)y, NULL, (struct cb_elem *)sum,
	    act, rows);
	e->linear_free(e, l);
	free(sum);
	free(w);
}

static void
bias_case(struct kern *k, const void *arg)
{
	const struct bias_case *c = arg;
	int64_t n = (int64_t)c->rows * c->C;
	void *x = acts(k, n), *res = acts(k, n), *y = c->alias == 1 ? x :
	    c->alias == 2 ? res : acts(k, n);
	float *bias = params(k, c->C, -4, 4);
	const void *with = c->res ? res : NULL;
	const float *b = c->bias ? bias : NULL;

	if (k->twin != NULL)
		twin_bias_act(k, y, x, b, with, c->act, c->rows, c->C);
	else
		must(cu_bias_act(k->s, k->t, y, x, b, with, c->act, c->rows,
		    c->C));
	out_elem(k, "y", y, n, 2);
}

struct act_case {
	int64_t	 n;
	enum cb_act act;
	bool	 alias;
};

static void
act_case(struct kern *k, const void *arg)
{
	const struct act_case *c = arg;
	float *v = noise(k, c->n, c->act == CB_ACT_TANH ? -1 : -6, c->act ==
	    CB_ACT_TANH ? 1 : 6);
	void *kept = acts_of(k, v, c->n), *dy = acts(k, c->n), *dz =
	    c->alias ? dy : acts(k, c->n);

	free(v);
	if (k->twin != NULL)
		k->twin->act_bwd(k->twin, dz, dy, kept, c->act, c->n);
	else
		must(cu_act_bwd(k->s, k->t, dz, dy, kept, c->act, c->n));
	/* z phi(z): z^2/2 in f32 is 18 at most, so its exponential is off by
	 * 2^-24 18 of its own size: nothing next to 8 max. */
	out_elem(k, "dz", dz, c->n, 0);
}

static void
add_case(struct kern *k, const void *arg)
{
	int64_t n = *(const int *)arg;
	void *y = acts(k, n), *x = acts(k, n);

	if (k->twin != NULL)
		k->twin->add(k->twin, y, x, n);
	else
		must(cu_add(k->s, k->t, y, x, n));
	out_elem(k, "y", y, n, 0);
}

static const struct kern_case cases[] = {
	/* rows C act bias res alias */
	CASE(bias, EVERY, struct bias_case, { 1, 1, CB_ACT_NONE, 1, 0, 0 }),
	CASE(bias, EVERY, struct bias_case, { 31, 33, CB_ACT_RELU, 1, 1, 0 }),
	CASE(bias, EVERY, struct bias_case, { 33, 8, CB_ACT_GELU, 1, 0, 1 }),
	CASE(bias, EVERY, struct bias_case, { 7, 31, CB_ACT_TANH, 0, 1, 2 }),
	CASE(bias, EVERY, struct bias_case, { 37, 40, CB_ACT_ELU, 1, 1, 2 }),
	CASE(bias, EVERY, struct bias_case, { 127, 24, CB_ACT_RELU, 0, 0, 1 }),
	CASE(bias, EVERY, struct bias_case, { 0, 24, CB_ACT_RELU, 1, 1, 0 }),
	CASE(bias, LARGE, struct bias_case, { 131, 768, CB_ACT_GELU, 1, 0, 0 }),
	/* n act alias */
	CASE(act, EVERY, struct act_case, { 1, CB_ACT_NONE, 0 }),
	CASE(act, EVERY, struct act_case, { 31, CB_ACT_RELU, 1 }),
	CASE(act, EVERY, struct act_case, { 33, CB_ACT_GELU, 0 }),
	CASE(act, EVERY, struct act_case, { 2053, CB_ACT_GELU, 1 }),
	CASE(act, EVERY, struct act_case, { 259, CB_ACT_TANH, 0 }),
	CASE(act, EVERY, struct act_case, { 1021, CB_ACT_ELU, 1 }),
	CASE(act, EVERY, struct act_case, { 0, CB_ACT_ELU, 0 }),
	CASE(act, LARGE, struct act_case, { 140009, CB_ACT_GELU, 0 }),
	CASE(add, EVERY, int[], { 0 }),
	CASE(add, EVERY, int[], { 1 }),
	CASE(add, EVERY, int[], { 31 }),
	CASE(add, EVERY, int[], { 8 * 257 + 7 }),
	/* more than a grid has threads, in 16 bytes: of both kinds */
	CASE(add, LARGE, int[], { 8 * 256 * 2048 + 1003 }),
};

GROUP(point);
