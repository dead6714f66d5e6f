/* Casts and layouts: cast.cu.  Their twins are plain enough to stand here. */
#include <stdlib.h>
#include <string.h>

#include "kern.h"

static void
cast_case(struct kern *k, const void *arg)
{
	int64_t n = *(const int *)arg;
	float *v = params(k, n, -3, 3), *back = params(k, n, 0, 0);
	void *y = acts(k, n), *x = acts(k, n);

	if (k->twin != NULL) {
		memcpy(y, v, (size_t)(4 * n));
		memcpy(back, x, (size_t)(4 * n));
	} else {
		must(cu_to_elem(k->s, k->t, y, v, n));
		must(cu_to_f32(k->s, k->t, back, x, n));
	}
	out_elem(k, "elements", y, n, 0);
	out_f32(k, "f32", back, n, 0);
}

struct bias_case {
	int	 O, Op;
	bool	 x, scale;
};

static void
bias_case(struct kern *k, const void *arg)
{
	const struct bias_case *c = arg;
	float *x = params(k, c->O, -3, 3);
	float *scale = params(k, c->O, .5, 2), *kept = floats(k, c->O, 0, 0);
	float *wide = floats(k, c->Op, 1, 1), *to;
	void *y = acts(k, c->Op);
	struct out *a, *b;
	int i;

	if (k->twin == NULL)
		must(cu_bias(k->s, k->t, y, wide, kept, c->x ? x : NULL,
		    c->scale ? scale : NULL, c->O, c->Op));
	else for (to = y, i = 0; i < c->Op; i++) {
		to[i] = wide[i] = c->x && i < c->O ? x[i] : 0;
		if (c->scale && i < c->O)
			kept[i] = scale[i];
	}
	a = out_elem(k, "y", y, c->Op, 0);
	b = out_f32(k, "wide less y", wide, c->Op, 0);
	for (i = 0; i < c->Op; i++)
		b->v[i] -= a->v[i];
	out_f32(k, "scale", kept, c->O, 0);
}

struct channels_case {
	int	 rows, Cy, Cx;
	bool	 add;
};

static void
channels_case(struct kern *k, const void *arg)
{
	const struct channels_case *c = arg;
	int64_t ny = (int64_t)c->rows * c->Cy, nx = (int64_t)c->rows * c->Cx;
	void *y = acts(k, ny), *x = acts(k, nx);
	float *to = y, *from = x;
	int i, j;

	if (k->twin == NULL)
		must(cu_channels(k->s, k->t, y, c->Cy, x, c->Cx, c->add,
		    c->rows));
	else for (i = 0; i < c->rows; i++) for (j = 0; j < c->Cy; j++)
		to[i * c->Cy + j] = (c->add ? to[i * c->Cy + j] : 0) +
		    (j < c->Cx ? from[i * c->Cx + j] : 0);
	out_elem(k, "y", y, ny, 0);
}

struct weights_case {
	int	 O, Op, C, Cp, k;
	bool	 scale;
};

static void
weights_case(struct kern *k, const void *arg)
{
	const struct weights_case *c = arg;
	int kk = c->k * c->k, o, i, u;
	int64_t nw = (int64_t)c->O * c->C * kk, ny = (int64_t)c->Op * kk *
	    c->Cp;
	float *w = params(k, nw, -1, 1), *dw = params(k, nw, -1, 1);
	float *factor = params(k, c->O, .5, 2), *scale = c->scale ? factor :
	    NULL, *to;
	void *y = acts(k, ny), *d = acts(k, ny);

	if (k->twin == NULL) {
		must(cu_conv_weights(k->s, k->t, y, w, scale, c->O, c->Op,
		    c->C, c->Cp, c->k));
		must(cu_conv_gradient(k->s, k->t, dw, d, scale, c->O, c->C,
		    c->Cp, c->k));
	} else {
		to = memset(y, 0, (size_t)(4 * ny));
		for (o = 0; o < c->O; o++) for (i = 0; i < c->C; i++)
		for (u = 0; u < kk; u++) {
			int64_t at = ((int64_t)o * c->C + i) * kk + u;
			int64_t by = ((int64_t)o * kk + u) * c->Cp + i;
			float a = scale != NULL ? scale[o] : 1;

			to[by] = w[at] * a;
			dw[at] += ((float *)d)[by] * a;
		}
	}
	out_elem(k, "y", y, ny, 0);
	out_f32(k, "dw", dw, nw, 0);
}

static const struct kern_case cases[] = {
	CASE(cast, EVERY, int[], { 0 }),
	CASE(cast, EVERY, int[], { 1 }),
	CASE(cast, EVERY, int[], { 31 }),
	CASE(cast, EVERY, int[], { 2056 }),
	CASE(cast, LARGE, int[], { 600011 }),
	/* O Op x scale */
	CASE(bias, EVERY, struct bias_case, { 1, 1, 1, 0 }),
	CASE(bias, EVERY, struct bias_case, { 3, 8, 0, 1 }),
	CASE(bias, EVERY, struct bias_case, { 513, 520, 1, 1 }),
	/* rows Cy Cx add */
	CASE(channels, EVERY, struct channels_case, { 31, 8, 3, 0 }),
	CASE(channels, EVERY, struct channels_case, { 33, 3, 8, 1 }),
	CASE(channels, EVERY, struct channels_case, { 7, 16, 24, 1 }),
	CASE(channels, EVERY, struct channels_case, { 37, 24, 16, 0 }),
	CASE(channels, EVERY, struct channels_case, { 1, 17, 33, 0 }),
	CASE(channels, EVERY, struct channels_case, { 31, 40, 33, 1 }),
	CASE(channels, EVERY, struct channels_case, { 0, 8, 3, 0 }),
	/* O Op C Cp k scale */
	CASE(weights, EVERY, struct weights_case, { 1, 1, 1, 1, 1, 0 }),
	CASE(weights, EVERY, struct weights_case, { 5, 8, 3, 8, 7, 1 }),
	CASE(weights, EVERY, struct weights_case, { 3, 3, 131, 131, 3, 1 }),
	CASE(weights, EVERY, struct weights_case, { 2, 8, 61, 136, 3, 0 }),
	CASE(weights, EVERY, struct weights_case, { 7, 7, 64, 64, 1, 1 }),
	CASE(weights, EVERY, struct weights_case, { 1, 1, 17, 24, 31, 1 }),
	CASE(weights, LARGE, struct weights_case, { 64, 64, 256, 256, 3, 1 }),
};

GROUP(cast);
