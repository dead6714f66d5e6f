/*
 * Max pooling, y[p,i,j,c] = max over the window of x, then ReLU if asked; and
 * the moments of channels, mean = sum x / n, var = sum (x - mean)^2 / n.
 */
#include <string.h>

#include "ref.h"

/* Index into x of the first maximum of a window; padding never wins. */
static int64_t
winner(const struct cb_pool2d *g, const float *x, int p, int i, int j, int c)
{
	int64_t best = -1, at;
	int a, b, u, v;

	for (u = 0; u < g->k; u++) for (v = 0; v < g->k; v++) {
		a = i * g->stride + u - g->pad;
		b = j * g->stride + v - g->pad;
		if (a < 0 || a >= g->H || b < 0 || b >= g->W)
			continue;
		at = (((int64_t)p * g->H + a) * g->W + b) * g->C + c;
		if (best < 0 || x[at] > x[best])
			best = at;
	}
	return best;
}

void
ref_pool_fwd(struct cb_engine *e, struct cb_elem *y, const struct cb_elem *x,
    const struct cb_pool2d *g, int P)
{
	int OH = conv_out(g->H, g->k, g->stride, g->pad);
	int OW = conv_out(g->W, g->k, g->stride, g->pad), p, i, j, c;
	float *to = f32(y), v;

	(void)e;
	for (p = 0; p < P; p++) for (i = 0; i < OH; i++)
	for (j = 0; j < OW; j++) for (c = 0; c < g->C; c++) {
		v = cf32(x)[winner(g, cf32(x), p, i, j, c)];
		*to++ = g->relu && v < 0 ? 0 : v;
	}
}

void
ref_pool_bwd(struct cb_engine *e, struct cb_elem *dx,
    const struct cb_elem *dy, const struct cb_elem *x,
    const struct cb_elem *y, const struct cb_pool2d *g, int P)
{
	int OH = conv_out(g->H, g->k, g->stride, g->pad);
	int OW = conv_out(g->W, g->k, g->stride, g->pad), p, i, j, c;
	int64_t at = 0;

	(void)e;
	memset(dx, 0, sizeof(float) * P * g->H * g->W * g->C);
	for (p = 0; p < P; p++) for (i = 0; i < OH; i++)
	for (j = 0; j < OW; j++) for (c = 0; c < g->C; c++, at++) {
		if (g->relu && cf32(y)[at] <= 0)
			continue;
		f32(dx)[winner(g, cf32(x), p, i, j, c)] += cf32(dy)[at];
	}
}

void
ref_moments(struct cb_engine *e, float *mean, float *var,
    const struct cb_elem *x, int64_t n, int C)
{
	double s, q, d;
	int64_t i;
	int c;

	(void)e;
	if (n == 0)
		return;
	for (c = 0; c < C; c++) {
		for (s = 0, i = 0; i < n; i++)
			s += cf32(x)[i * C + c];
		s /= n;
		for (q = 0, i = 0; i < n; i++) {
			d = cf32(x)[i * C + c] - s;
			q += d * d;
		}
		mean[c] = (float)s;
		var[c] = (float)(q / n);
	}
}
