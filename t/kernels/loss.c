/* Pooled scores and losses: loss.cu. */
#include <stdlib.h>
#include <string.h>

#include "kern.h"

/* Scores up to +-4; where `ties`, every third is one of two. */
static void *
clips(struct kern *k, int K, int64_t plane, bool ties)
{
	float *v = noise(k, K * plane, -4, 4);
	int64_t i;
	void *x;

	for (i = 0; i < K * plane && ties; i++)
		if (i % plane % 3 == 0)
			v[i] = (float)(i * 7 % 11 % 2);
	x = acts_of(k, v, K * plane);
	free(v);
	return x;
}

struct pool_case {
	enum cb_agg agg;
	int	 K, N, C;
};

static void
pool_case(struct kern *k, const void *arg)
{
	const struct pool_case *c = arg;
	int64_t n = (int64_t)c->N * c->C;
	void *x = clips(k, c->K, n, true);
	float *out = floats(k, n, 0, 1);

	if (k->twin != NULL)
		k->twin->pool_scores(k->twin, out, x, c->agg, c->K, c->N,
		    c->C);
	else
		must(cu_pool_scores(k->s, k->t, out, x, c->agg, c->K, c->N,
		    c->C));
	out_f32(k, "out", out, n, c->K);
}

/* How many losses come out one by one. */
static int64_t
each_of(const struct cb_loss *l)
{
	return l->kind == CB_LOSS_BCE ? (int64_t)l->N * l->C :
	    l->kind == CB_LOSS_RANK ? l->N / l->group * (l->group - 1) : l->N;
}

/* Every fourth row is ignored. */
static void *
labels_of(struct kern *k, const struct cb_loss *l)
{
	int64_t n = (int64_t)l->N * l->C, i;
	float *v = noise(k, n, 0, 1);
	int32_t *label = malloc((size_t)(4 * n + 1));
	void *p;

	for (i = 0; i < n; i++)
		label[i] = i % 4 == 3 ? -1 : (int32_t)(v[i] * (float)l->C);
	for (i = 0; i < n && l->kind == CB_LOSS_BCE; i++)
		v[i] = v[i] < .5f ? 0 : v[i];
	p = l->kind == CB_LOSS_CE ? (void *)ints(k, label, l->N) :
	    floats_of(k, v, n);
	free(label);
	free(v);
	return p;
}

struct loss_case {
	struct cb_loss l;
	bool	 backward, scale;
};

static void
loss_case(struct kern *k, const void *arg)
{
	const struct loss_case *c = arg;
	const struct cb_loss *l = &c->l;
	int64_t n = (int64_t)l->K * l->N * l->C, each_n = each_of(l), i;
	void *x = clips(k, l->K, (int64_t)l->N * l->C, l->agg == CB_AGG_MAX);
	void *dx = acts(k, n), *labels = labels_of(k, l);
	float *each = floats(k, each_n, 0, 1), *total = floats(k, 1, 0, 1);
	float eight = 8, *scale = floats_of(k, &eight, 1);

	if (k->twin != NULL) {
		k->twin->loss(k->twin, total, each, c->backward ? dx : NULL, x,
		    labels, l);
		for (i = 0; i < n && c->backward && c->scale; i++)
			((float *)dx)[i] *= eight;
	} else
		must(cu_loss(k->s, k->t, total, each, c->backward ? dx : NULL,
		    x, labels, l, c->scale ? scale : NULL));
	/* A loss may be small beside the scores that it is a difference of,
	 * which are up to 4, or 4 + log(C K). */
	out_f32(k, "each", each, each_n, l->C)->slack = 32 * 0x1p-24;
	out_f32(k, "total", total, 1, l->C + each_n)->slack = 32 * 0x1p-24 *
	    (l->kind == CB_LOSS_BCE ? l->C : 1);
	if (c->backward)	/* of scores up to 10, so of exponentials too */
		out_elem(k, "dclip", dx, n, l->C)->slack += 16 * 0x1p-24 *
		    (c->scale ? 8 : 1) * l->share / l->N;
}

#define LOSS(flags, ...) CASE(loss, flags, struct loss_case, { __VA_ARGS__ })
#define CE(agg, K, N, C) { CB_LOSS_CE, CB_AGG_##agg, K, N, C, 0, 1, .75f }
#define BCE(agg, K, N, C) { CB_LOSS_BCE, CB_AGG_##agg, K, N, C, 0, 1, 1 }
#define MSE(agg, K, N) { CB_LOSS_MSE, CB_AGG_##agg, K, N, 1, 0, 1, .5f }
#define RANK(agg, K, N, of) { CB_LOSS_RANK, CB_AGG_##agg, K, N, 1, .2f, of, 1 }

static const struct kern_case cases[] = {
	/* agg K N C */
	CASE(pool, EVERY, struct pool_case, { CB_AGG_MEAN, 1, 1, 1 }),
	CASE(pool, EVERY, struct pool_case, { CB_AGG_MEAN, 3, 7, 37 }),
	CASE(pool, EVERY, struct pool_case, { CB_AGG_MAX, 4, 31, 33 }),
	CASE(pool, EVERY, struct pool_case, { CB_AGG_LSE, 5, 3, 11 }),
	CASE(pool, EVERY, struct pool_case, { CB_AGG_LSE, 2, 0, 11 }),
	/* loss backward scale */
	LOSS(EVERY, CE(MEAN, 1, 1, 1), 1, 0),
	LOSS(EVERY, CE(MEAN, 1, 5, 31), 1, 1),
	LOSS(EVERY, CE(MEAN, 3, 4, 257), 1, 0),
	LOSS(EVERY, CE(MAX, 3, 7, 33), 1, 1),
	LOSS(EVERY, CE(MAX, 2, 3, 521), 0, 0),
	LOSS(EVERY, CE(LSE, 1, 5, 2), 1, 0),
	LOSS(EVERY, CE(LSE, 4, 9, 67), 1, 1),
	LOSS(EVERY, CE(MEAN, 2, 0, 67), 1, 1),
	LOSS(LARGE, CE(MEAN, 1, 3, 30522), 1, 0),
	LOSS(EVERY, BCE(MEAN, 1, 3, 1), 1, 1),
	LOSS(EVERY, BCE(MEAN, 3, 7, 37), 1, 0),
	LOSS(EVERY, BCE(MAX, 2, 5, 31), 1, 1),
	LOSS(EVERY, BCE(MAX, 2, 5, 31), 0, 0),
	LOSS(LARGE, BCE(MEAN, 2, 16, 3129), 1, 0),
	LOSS(EVERY, MSE(MEAN, 2, 31), 1, 1),
	LOSS(EVERY, MSE(MAX, 5, 1), 1, 0),
	LOSS(EVERY, RANK(MEAN, 1, 33, 3), 1, 1),
	LOSS(EVERY, RANK(MAX, 3, 10, 5), 1, 0),
	LOSS(EVERY, RANK(MEAN, 2, 4, 1), 1, 0),
	LOSS(EVERY, RANK(MEAN, 2, 600, 2), 0, 0),
};

GROUP(loss);
