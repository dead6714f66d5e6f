/*
 * Convolution with scale, shift, residual and ReLU.  With wf = w * scale,
 *
 *	y[p,i,j,o]  = relu(sum over c,u,v of wf[o,c,u,v] x[p,a,b,c]
 *			+ shift[o] + res[p,i,j,o])
 *	dx[p,a,b,c] = sum over o,u,v of wf[o,c,u,v] dy[p,i,j,o]
 *	dw[o,c,u,v] += scale[o] * sum over p,i,j of dy[p,i,j,o] x[p,a,b,c]
 *
 * where a = i stride + u - pad, b = j stride + v - pad, x = 0 outside.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "ref.h"

struct cb_conv_plan {
	struct cb_conv g;
	int	 OH, OW;
	float	*w;		/* [O,C,k,k], not scaled */
	float	*scale, *shift;	/* [O] */
};

int
ref_conv_new(struct cb_engine *e, struct cb_conv_plan **out,
    const struct cb_conv *g)
{
	struct cb_conv_plan *c;

	if ((c = calloc(1, sizeof(*c))) == NULL)
		return cb_fail(CB_ENOMEM, "convolution");
	c->g = *g;
	c->OH = conv_out(g->H, g->k, g->stride, g->pad);
	c->OW = conv_out(g->W, g->k, g->stride, g->pad);
	c->w = cb_alloc((int64_t)g->O * g->C * g->k * g->k * sizeof(float));
	c->scale = cb_alloc((int64_t)g->O * sizeof(float));
	c->shift = cb_alloc((int64_t)g->O * sizeof(float));
	if (c->w == NULL || c->scale == NULL || c->shift == NULL) {
		ref_conv_free(e, c);
		return cb_fail(CB_ENOMEM, "convolution");
	}
	*out = c;
	return 0;
}

void
ref_conv_free(struct cb_engine *e, struct cb_conv_plan *c)
{
	(void)e;
	if (c == NULL)
		return;
	free(c->w);
	free(c->scale);
	free(c->shift);
	free(c);
}

void
ref_conv_pack(struct cb_engine *e, struct cb_conv_plan *c, const float *w,
    const float *scale, const float *shift, bool backward)
{
	const struct cb_conv *g = &c->g;
	int o;

	(void)e;
	(void)backward;
	memcpy(c->w, w, sizeof(*w) * g->O * g->C * g->k * g->k);
	for (o = 0; o < g->O; o++) {
		c->scale[o] = scale != NULL ? scale[o] : 1;
		c->shift[o] = shift != NULL ? shift[o] : 0;
	}
}

/* The input sample under kernel cell (u,v) at output (i,j), or NULL. */
static const float *
under(const struct cb_conv *g, const float *x, int p, int i, int j, int u,
    int v)
{
	int a = i * g->stride + u - g->pad, b = j * g->stride + v - g->pad;

	if (a < 0 || a >= g->H || b < 0 || b >= g->W)
		return NULL;
	return x + (((int64_t)p * g->H + a) * g->W + b) * g->C;
}

static double
one(const struct cb_conv_plan *c, const float *x, int p, int i, int j, int o)
{
	const struct cb_conv *g = &c->g;
	const float *w = c->w + (int64_t)o * g->C * g->k * g->k, *in;
	double sum = 0;
	int u, v, n;

	for (u = 0; u < g->k; u++) for (v = 0; v < g->k; v++) {
		if ((in = under(g, x, p, i, j, u, v)) == NULL)
			continue;
		for (n = 0; n < g->C; n++)
			sum += (double)w[(n * g->k + u) * g->k + v] * in[n];
	}
	return sum;
}

void
ref_conv_fwd(struct cb_engine *e, struct cb_conv_plan *c, struct cb_elem *y,
    const struct cb_elem *x, const struct cb_elem *res, bool relu, int P)
{
	int p, i, j, o;
	int64_t at = 0;
	double s;

	(void)e;
	for (p = 0; p < P; p++) for (i = 0; i < c->OH; i++)
	for (j = 0; j < c->OW; j++) for (o = 0; o < c->g.O; o++, at++) {
		s = one(c, cf32(x), p, i, j, o) * c->scale[o] + c->shift[o];
		if (res != NULL)
			s += cf32(res)[at];
		f32(y)[at] = relu && s < 0 ? 0 : (float)s;
	}
}

/* dx[p,a,b,n]: every output that saw this sample. */
static double
back(const struct cb_conv_plan *c, const float *dy, int p, int a, int b, int n)
{
	const struct cb_conv *g = &c->g;
	int u, v, i, j, o;
	double sum = 0;

	for (u = 0; u < g->k; u++) for (v = 0; v < g->k; v++) {
		i = a + g->pad - u;
		j = b + g->pad - v;
		if (i < 0 || j < 0 || i % g->stride || j % g->stride ||
		    (i /= g->stride) >= c->OH || (j /= g->stride) >= c->OW)
			continue;
		for (o = 0; o < g->O; o++)
			sum += (double)c->scale[o] *
			    c->w[(((int64_t)o * g->C + n) * g->k + u) * g->k +
			    v] * dy[(((int64_t)p * c->OH + i) * c->OW + j) *
			    g->O + o];
	}
	return sum;
}

/* dw[o,n,u,v], without the scale. */
static double
weight(const struct cb_conv_plan *c, const float *dy, const float *x, int P,
    int o, int n, int u, int v)
{
	const float *in;
	double sum = 0;
	int p, i, j;

	for (p = 0; p < P; p++) for (i = 0; i < c->OH; i++)
	for (j = 0; j < c->OW; j++) {
		if ((in = under(&c->g, x, p, i, j, u, v)) == NULL)
			continue;
		sum += (double)in[n] * dy[(((int64_t)p * c->OH + i) * c->OW +
		    j) * c->g.O + o];
	}
	return sum;
}

void
ref_conv_bwd(struct cb_engine *e, struct cb_conv_plan *c, struct cb_elem *dx,
    bool add, float *dw, const struct cb_elem *dy, const struct cb_elem *x,
    int P)
{
	const struct cb_conv *g = &c->g;
	int p, a, b, n, o, u, v;
	int64_t at = 0;

	(void)e;
	if (dx != NULL)
		for (p = 0; p < P; p++) for (a = 0; a < g->H; a++)
		for (b = 0; b < g->W; b++) for (n = 0; n < g->C; n++, at++)
			f32(dx)[at] = (float)((add ? f32(dx)[at] : 0) +
			    back(c, cf32(dy), p, a, b, n));
	if (dw == NULL)
		return;
	for (o = 0; o < g->O; o++) for (n = 0; n < g->C; n++)
	for (u = 0; u < g->k; u++) for (v = 0; v < g->k; v++)
		*dw++ += (float)(c->scale[o] *
		    weight(c, cf32(dy), cf32(x), P, o, n, u, v));
}
