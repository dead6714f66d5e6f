/*
 * Scores of K clips pooled over k, s = mean | max | log sum exp, and losses:
 *
 *	CE	log sum exp over c of s[i,c] - s[i,label_i], mean over i
 *	CE, LSE	log sum exp over k,c of x[k,i,c] - the same over k at label_i
 *	BCE	log(1 + exp(s)) - y s, sum over c, mean over i
 *	MSE	(s - y)^2, mean over i
 *	RANK	max(0, margin + sigmoid(s_j) - sigmoid(s_0)), mean over all
 *
 * The gradient goes from the loss to s (ds below), then to the clips: a K-th to
 * each for mean, all to the first largest for max.  Total and gradient are
 * multiplied by the share of the batch that this is.
 */
#include <string.h>

#include "ref.h"

/* The clip that MAX takes for (i,c). */
static int
best(const float *x, int K, int64_t plane, int64_t at)
{
	int k, b = 0;

	for (k = 1; k < K; k++)
		if (x[k * plane + at] > x[b * plane + at])
			b = k;
	return b;
}

static double
lse_clips(const float *x, int K, int64_t plane, int64_t at)
{
	double top = x[best(x, K, plane, at) * plane + at], sum = 0;
	int k;

	for (k = 0; k < K; k++)
		sum += exp(x[k * plane + at] - top);
	return top + log(sum);
}

static double
pooled(const float *x, enum cb_agg agg, int K, int64_t plane, int64_t at)
{
	double sum = 0;
	int k;

	if (agg == CB_AGG_LSE)
		return lse_clips(x, K, plane, at);
	if (agg == CB_AGG_MAX)
		return x[best(x, K, plane, at) * plane + at];
	for (k = 0; k < K; k++)
		sum += x[k * plane + at];
	return sum / K;
}

void
ref_pool_scores(struct cb_engine *e, float *out, const struct cb_elem *clip,
    enum cb_agg agg, int K, int N, int C)
{
	int64_t at, plane = (int64_t)N * C;

	(void)e;
	for (at = 0; at < plane; at++)
		out[at] = (float)pooled(cf32(clip), agg, K, plane, at);
}

/* Adds the gradient ds of the pooled score `at` to the clips. */
static void
spread(float *dclip, const float *x, const struct cb_loss *l, int64_t at,
    double ds)
{
	int64_t plane = (int64_t)l->N * l->C;
	int k;

	if (dclip == NULL)
		return;
	if (l->agg == CB_AGG_MAX) {
		dclip[best(x, l->K, plane, at) * plane + at] += (float)ds;
		return;
	}
	for (k = 0; k < l->K; k++)
		dclip[k * plane + at] += (float)(ds / l->K);
}

/* One row of CE; with LSE the classes of all clips compete. */
static double
ce_row(float *dclip, const float *x, const struct cb_loss *l, int i, int label)
{
	int64_t plane = (int64_t)l->N * l->C, at = (int64_t)i * l->C;
	double top = -INFINITY, sum = 0, s;
	int k, c;

	if (label < 0)
		return 0;
	for (c = 0; c < l->C; c++)
		top = fmax(top, pooled(x, l->agg, l->K, plane, at + c));
	for (c = 0; c < l->C; c++)
		sum += exp(pooled(x, l->agg, l->K, plane, at + c) - top);
	top += log(sum);
	s = pooled(x, l->agg, l->K, plane, at + label);
	for (c = 0; c < l->C && l->agg != CB_AGG_LSE; c++)
		spread(dclip, x, l, at + c, (exp(pooled(x, l->agg, l->K, plane,
		    at + c) - top) - (c == label)) / l->N);
	if (l->agg == CB_AGG_LSE && dclip != NULL)
		for (k = 0; k < l->K; k++) for (c = 0; c < l->C; c++)
			dclip[k * plane + at + c] = (float)((exp(x[k * plane +
			    at + c] - top) - (c == label ? exp(x[k * plane +
			    at + c] - s) : 0)) / l->N);
	return top - s;
}

static double
sigmoid(double x)
{
	return 1 / (1 + exp(-x));
}

static double
bce(float *dclip, const float *x, const struct cb_loss *l, int64_t at,
    double y)
{
	double s = pooled(x, l->agg, l->K, (int64_t)l->N * l->C, at);

	spread(dclip, x, l, at, (sigmoid(s) - y) / l->N);
	return fmax(s, 0) - s * y + log1p(exp(-fabs(s)));
}

static double
mse(float *dclip, const float *x, const struct cb_loss *l, int64_t at,
    double y)
{
	double s = pooled(x, l->agg, l->K, l->N, at);

	spread(dclip, x, l, at, 2 * (s - y) / l->N);
	return (s - y) * (s - y);
}

/* Row j against the match of its group, row m. */
static double
hinge(float *dclip, const float *x, const struct cb_loss *l, int j, int m)
{
	double sj = sigmoid(pooled(x, l->agg, l->K, l->N, j));
	double sm = sigmoid(pooled(x, l->agg, l->K, l->N, m));
	double h = l->margin + sj - sm;
	int n = l->N / l->group * (l->group - 1);

	if (h < 0)
		return 0;
	spread(dclip, x, l, j, sj * (1 - sj) / n);
	spread(dclip, x, l, m, -sm * (1 - sm) / n);
	return h;
}

void
ref_loss(struct cb_engine *e, float *total, float *each,
    struct cb_elem *dclip, const struct cb_elem *clip, const void *labels,
    const struct cb_loss *l)
{
	const float *x = cf32(clip), *y = labels;
	float *dx = f32(dclip);
	int64_t plane = (int64_t)l->N * l->C, i, n = 0;
	double sum = 0, v;

	(void)e;
	if (dx != NULL)
		memset(dx, 0, sizeof(*dx) * l->K * plane);
	for (i = 0; i < (l->kind == CB_LOSS_BCE ? plane : l->N); i++) {
		switch (l->kind) {
		case CB_LOSS_CE:
			v = ce_row(dx, x, l, (int)i,
			    ((const int32_t *)labels)[i]);
			break;
		case CB_LOSS_BCE:
			v = bce(dx, x, l, i, y[i]);
			break;
		case CB_LOSS_MSE:
			v = mse(dx, x, l, i, y[i]);
			break;
		default:
			if (i % l->group == 0)
				continue;
			v = hinge(dx, x, l, (int)i, (int)(i - i % l->group));
		}
		each[n++] = (float)v;
		sum += v;
	}
	if (l->kind != CB_LOSS_RANK)
		n = l->N;
	*total = n > 0 ? (float)(l->share * sum / n) : 0;
	for (i = 0; dx != NULL && i < l->K * plane; i++)
		dx[i] *= l->share;
}
