/*
 * One optimiser step: what is global (the norm, the bias correction) is computed
 * here in double, what is per element belongs to the engine.
 */
#include <math.h>

#include "train.h"

int
cb_optim_step(double *norm, struct cb_engine *e, const struct cb_segments *segs,
    float *w, float *m, float *v, const float *g, int64_t t,
    const double betas[2], double max_norm)
{
	const struct cb_segment *s;
	struct cb_adamw a;
	double sum = 0, part, scale = 1;
	int i;

	for (i = 0; i < segs->n; i++) {
		s = &segs->at[i];
		e->sumsq(e, &part, g + s->at, s->count);
		if (e->sync(e) < 0)	/* part is written by then */
			return -1;
		sum += part;
	}
	*norm = sqrt(sum);
	if (!isfinite(*norm))
		return cb_fail(CB_EFORMAT, "the gradient is not finite: "
		    "training has diverged; try a smaller learning_rate");
	if (max_norm != -1 && max_norm / (*norm + 1e-6) < 1)
		scale = max_norm / (*norm + 1e-6);
	a.b1 = (float)betas[0];
	a.b2 = (float)betas[1];
	a.eps = 1e-6f;
	a.fix = (float)(sqrt(1 - pow(betas[1], (double)t)) /
	    (1 - pow(betas[0], (double)t)));
	a.grad_scale = (float)scale;
	for (i = 0; i < segs->n; i++) {
		s = &segs->at[i];
		a.lr = (float)s->lr;
		a.wd = (float)s->wd;
		e->adamw(e, w + s->at, m + s->at, v + s->at, g + s->at,
		    s->count, &a);
	}
	return 0;
}
