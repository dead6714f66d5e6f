/*
 * Learning rates as the original computes them, oddities included, so that a
 * run of either program sees the same numbers.
 */
#include <math.h>

#include "train.h"

#define FLOOR 1e-8	/* the original's: the last linear step would be 0 */

static double
linear(int64_t step, int64_t total, int64_t warm)
{
	double left;

	if (step < warm)
		return (double)step / (double)warm;
	left = (double)(total - step) / (double)(total - warm);
	return left > 0 ? left : 0;
}

static double
invsqrt(int64_t step, int64_t warm)
{
	if (step <= warm)
		return (double)step / (double)warm;
	return pow((double)warm, 0.5) * pow((double)step, -0.5);
}

/* One power is skipped when the last milestone is passed: quirk 36. */
static double
multi_step(const int *milestones, int n, int64_t epoch)
{
	int passed = 0, i;

	for (i = 0; i < n; i++)
		passed += epoch >= milestones[i];
	return pow(0.5, passed < n ? passed : n + 1);
}

double
cb_lr_at(int64_t step, int64_t total, double base, enum cb_decay kind,
    double warmup_ratio, const int *milestones, int n, int64_t epoch)
{
	int64_t warm = (int64_t)(warmup_ratio * (double)total);
	double lr = base;

	switch (kind) {
	case CB_LINEAR:
		lr = base * linear(step, total, warm);
		break;
	case CB_INVSQRT:
		lr = base * invsqrt(step, warm);
		break;
	case CB_CONSTANT:
		break;
	case CB_MULTI_STEP:
		lr = base * multi_step(milestones, n, epoch);
		break;
	}
	return lr > 0 ? lr : FLOOR;
}

/* ---- how long a run is ----------------------------------------------------- */

int64_t
cb_plan_steps(double epochs, int64_t groups, int64_t batch, int64_t accumulate)
{
	return (int64_t)ceil(epochs * (double)groups /
	    (double)(batch * accumulate));
}

void
cb_plan_points(int64_t *valid, int64_t *save, const struct cb_settings *s,
    int64_t steps)
{
	*valid = (int64_t)ceil((double)steps / s->num_valid /
	    s->min_valid_steps) * s->min_valid_steps;
	*save = (int64_t)(s->save_steps_ratio * (double)steps);
	if (*save < 1)
		*save = 1;
}
