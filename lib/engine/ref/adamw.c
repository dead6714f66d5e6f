/*
 * AdamW as the original steps it (reference, quirks 24 and 25): eps before the
 * correction, which sits in the step size; the decay from the updated weight.
 */
#include "ref.h"

void
ref_sumsq(struct cb_engine *e, double *host, const float *g, int64_t n)
{
	double s = 0;
	int64_t i;

	(void)e;
	for (i = 0; i < n; i++)
		s += (double)g[i] * g[i];
	*host = s;
}

void
ref_adamw(struct cb_engine *e, float *w, float *m, float *v, const float *g,
    int64_t n, const struct cb_adamw *a)
{
	double d, x;
	int64_t i;

	(void)e;
	for (i = 0; i < n; i++) {
		d = (double)g[i] * a->grad_scale;
		m[i] = (float)(a->b1 * (double)m[i] + (1 - (double)a->b1) * d);
		v[i] = (float)(a->b2 * (double)v[i] +
		    (1 - (double)a->b2) * d * d);
		x = w[i] - (double)a->lr * a->fix * m[i] /
		    (sqrt(v[i]) + a->eps);
		w[i] = (float)(x - (double)a->lr * a->wd * x);
	}
}
