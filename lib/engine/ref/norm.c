/*
 * Dropout, residual and layer normalisation (arXiv:1607.06450):
 *
 *	s = drop(x) + res,  n = (s - mean) rstd,  y = n gain + bias
 *
 * where rstd = 1 / sqrt(var + 1e-12).  Backward, with g = dy gain:
 *
 *	ds = rstd (g - mean(g) - n mean(g n)),  dx = drop(ds)
 *	dgain += sum over t of dy n,  dbias += sum over t of dy
 */
#include "ref.h"

void
ref_norm_fwd(struct cb_engine *e, struct cb_elem *y, struct cb_elem *s,
    float *mean, float *rstd, const struct cb_elem *x,
    const struct cb_elem *res, const float *gain, const float *bias, int T,
    int D, const struct cb_drop *drop)
{
	int64_t at;
	double m, v;
	int t, d;

	(void)e;
	for (t = 0; t < T; t++) {
		at = (int64_t)t * D;
		for (m = 0, d = 0; d < D; d++) {
			f32(s)[at + d] = cf32(x)[at + d] *
			    drop_factor(drop, at + d) +
			    (res != NULL ? cf32(res)[at + d] : 0);
			m += f32(s)[at + d];
		}
		m /= D;
		for (v = 0, d = 0; d < D; d++)
			v += (f32(s)[at + d] - m) * (f32(s)[at + d] - m);
		v = 1 / sqrt(v / D + 1e-12);
		for (d = 0; d < D; d++)
			f32(y)[at + d] = (float)((f32(s)[at + d] - m) * v *
			    gain[d] + bias[d]);
		mean[t] = (float)m;
		rstd[t] = (float)v;
	}
}

/* dgain and dbias, a column at a time; before ds, which may be dy. */
static void
columns(float *dgain, float *dbias, const float *dy, const float *s,
    const float *mean, const float *rstd, int T, int D)
{
	double a, b;
	int64_t at;
	int t, d;

	for (d = 0; d < D; d++) {
		a = b = 0;
		for (t = 0; t < T; t++) {
			at = (int64_t)t * D + d;
			a += (double)dy[at] * (s[at] - mean[t]) * rstd[t];
			b += dy[at];
		}
		if (dgain != NULL)
			dgain[d] += (float)a;
		if (dbias != NULL)
			dbias[d] += (float)b;
	}
}

void
ref_norm_bwd(struct cb_engine *e, struct cb_elem *dx, struct cb_elem *ds,
    float *dgain, float *dbias, const struct cb_elem *dy,
    const struct cb_elem *s, const float *mean, const float *rstd,
    const float *gain, int T, int D, const struct cb_drop *drop)
{
	double g, n, mg, mgn;
	int64_t at;
	int t, d;

	(void)e;
	columns(dgain, dbias, cf32(dy), cf32(s), mean, rstd, T, D);
	for (t = 0; t < T; t++) {
		at = (int64_t)t * D;
		mg = mgn = 0;
		for (d = 0; d < D; d++) {
			g = (double)cf32(dy)[at + d] * gain[d];
			n = ((double)cf32(s)[at + d] - mean[t]) * rstd[t];
			mg += g / D;
			mgn += g * n / D;
		}
		for (d = 0; d < D; d++) {
			g = (double)cf32(dy)[at + d] * gain[d];
			n = ((double)cf32(s)[at + d] - mean[t]) * rstd[t];
			g = rstd[t] * (g - mg - n * mgn);
			f32(ds)[at + d] = (float)g;
			if (dx != NULL)
				f32(dx)[at + d] = (float)g *
				    drop_factor(drop, at + d);
		}
	}
}
