/*
 * Batch normalisation (arXiv:1502.03167), a column at a time:
 *
 *	n = (x - mean) rstd,  y = n gain + bias,  rstd = 1 / sqrt(var + 1e-5)
 *
 * Backward, with g = dy gain and means over the rows:
 *
 *	dx = rstd (g - mean(g) - n mean(g n))
 *	dgain += sum over t of dy n,  dbias += sum over t of dy
 */
#include "ref.h"

/* Mean and biased variance of column d. */
static void
column(double *mean, double *var, const float *x, int T, int D, int d)
{
	double m = 0, v = 0;
	int t;

	for (t = 0; t < T; t++)
		m += x[(int64_t)t * D + d];
	m /= T;
	for (t = 0; t < T; t++)
		v += (x[(int64_t)t * D + d] - m) * (x[(int64_t)t * D + d] - m);
	*mean = m;
	*var = v / T;
}

void
ref_batchnorm_fwd(struct cb_engine *e, struct cb_elem *y, float *mean,
    float *rstd, float *running, const struct cb_elem *x, const float *gain,
    const float *bias, int T, int D, bool learn)
{
	double m, v;
	int t, d;

	(void)e;
	for (d = 0; d < D; d++) {
		m = running[d];
		v = running[D + d];
		if (learn) {
			column(&m, &v, cf32(x), T, D, d);
			running[d] = (float)(0.9 * running[d] + 0.1 * m);
			running[D + d] = (float)(0.9 * running[D + d] +
			    0.1 * v * T / (T - 1));
			mean[d] = (float)m;
			rstd[d] = (float)(1 / sqrt(v + 1e-5));
		}
		v = 1 / sqrt(v + 1e-5);
		for (t = 0; t < T; t++)
			f32(y)[(int64_t)t * D + d] = (float)((cf32(x)[
			    (int64_t)t * D + d] - m) * v * gain[d] + bias[d]);
	}
	if (learn)
		running[2 * D]++;
}

void
ref_batchnorm_bwd(struct cb_engine *e, struct cb_elem *dx, float *dgain,
    float *dbias, const struct cb_elem *dy, const struct cb_elem *x,
    const float *mean, const float *rstd, const float *gain, int T, int D)
{
	double a, b, n;
	int64_t at;
	int t, d;

	(void)e;
	for (d = 0; d < D; d++) {
		a = b = 0;
		for (t = 0; t < T; t++) {
			at = (int64_t)t * D + d;
			n = ((double)cf32(x)[at] - mean[d]) * rstd[d];
			a += cf32(dy)[at] * n;
			b += cf32(dy)[at];
		}
		if (dgain != NULL)
			dgain[d] += (float)a;
		if (dbias != NULL)
			dbias[d] += (float)b;
		for (t = 0; t < T; t++) {
			at = (int64_t)t * D + d;
			n = ((double)cf32(x)[at] - mean[d]) * rstd[d];
			f32(dx)[at] = (float)(rstd[d] * gain[d] *
			    (cf32(dy)[at] - b / T - n * a / T));
		}
	}
}
