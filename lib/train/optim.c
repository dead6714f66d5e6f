/*
 * One optimiser step: what is global (the norm, the bias correction) is computed
 * here in double, what is per element belongs to the engine.
 */
#include <math.h>
#include <stdlib.h>

#include "train.h"

/* The norm of all segments; the sums of their squares come at once. */
static int
norm_of(double *norm, struct cb_engine *e, const struct cb_segments *segs,
    const float *g)
{
	double *part = malloc(sizeof(*part) * (size_t)(segs->n + 1)), sum = 0;
	int i, rc;

	if (part == NULL)
		return cb_fail(CB_ENOMEM, "the optimiser's sums");
	for (i = 0; i < segs->n; i++)
		e->sumsq(e, &part[i], g + segs->at[i].at, segs->at[i].count);
	if ((rc = e->sync(e)) == 0)
		for (i = 0; i < segs->n; i++)
			sum += part[i];
	free(part);
	*norm = sqrt(sum) / (double)e->loss_scale;
	return rc;
}

int
cb_optim_step(double *norm, struct cb_engine *e, const struct cb_segments *segs,
    float *w, float *m, float *v, const float *g, int64_t t,
    const double betas[2], double max_norm)
{
	const struct cb_segment *s;
	struct cb_adamw a;
	double scale = 1;
	int i;

	if (norm_of(norm, e, segs, g) < 0)
		return -1;
	if (!isfinite(*norm) && e->scales && e->loss_scale > 1)
		return 1;
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
	a.grad_scale = (float)(scale / (double)e->loss_scale);
	for (i = 0; i < segs->n; i++) {
		s = &segs->at[i];
		a.lr = (float)s->lr;
		a.wd = (float)s->wd;
		e->adamw(e, w + s->at, m + s->at, v + s->at, g + s->at,
		    s->count, &a);
	}
	return 0;
}

void
cb_scaling_init(struct cb_scaling *s, const struct cb_engine *e)
{
	*s = (struct cb_scaling){ .scale = e->loss_scale };
}

void
cb_scaling_step(struct cb_scaling *s, struct cb_engine *e, bool skipped)
{
	if (!e->scales)
		return;
	s->skipped += skipped;
	s->good = skipped ? 0 : s->good + 1;
	if (skipped)
		s->scale /= 2;
	if (s->good >= CB_SCALING_STEPS && s->scale < CB_SCALING_MAX) {
		s->good = 0;
		s->scale *= 2;
	}
	e->loss_scale = s->scale;
}

json_t *
cb_scaling_json(const struct cb_scaling *s)
{
	return s->scale == 1 && s->skipped == 0 ? NULL : json_pack("{s:f, s:I, s:I}", "scale",
	    (double)s->scale, "good", (json_int_t)s->good, "skipped",
	    (json_int_t)s->skipped);
}

void
cb_scaling_take(struct cb_scaling *s, struct cb_engine *e, const json_t *v)
{
	double scale = json_number_value(json_object_get(v, "scale"));

	if (!(scale > 0 && scale <= (double)CB_SCALING_MAX))
		return;
	s->scale = (float)scale;
	s->good = json_integer_value(json_object_get(v, "good"));
	s->skipped = json_integer_value(json_object_get(v, "skipped"));
	if (e->scales)
		e->loss_scale = s->scale;
}
