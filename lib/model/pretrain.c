/*
 * The heads of pretraining: whether text and picture belong together, a linear
 * map of the pooled vector; and the masked words, mlm.c.
 */
#include <stdlib.h>

#include "internal.h"

#define ITM "transformer.cls.seq_relationship"

static void
pretrain_params(struct table *t, const struct cb_model_config *c)
{
	mlm_params(t, c);
	table_linear(t, ITM, c->labels, c->hidden);
}

static int
pretrain_build(struct cb_model *m)
{
	if (linear_build(m, &m->head.itm, m->c.hidden, m->c.labels,
	    ITM ".weight") < 0)
		return -1;
	return mlm_build(m);
}

static void
pretrain_clear(struct cb_model *m)
{
	linear_clear(m, m->head.itm.plan);
	mlm_clear(m);
}

static void
pretrain_pack(struct cb_model *m)
{
	linear_pack(m, &m->head.itm);
	mlm_pack(m);
}

static struct cb_elem *
pretrain_forward(struct cb_model *m, const struct cb_elem *pooled, int K,
    int N)
{
	struct cb_elem *y = take(m, (int64_t)K * N * m->c.labels);

	m->head.pooled = pooled;
	m->head.mlm.n = 0;
	linear_forward(m, &m->head.itm, y, NULL, pooled, CB_ACT_NONE, K * N);
	return y;
}

static struct cb_elem *
pretrain_backward(struct cb_model *m, struct cb_elem *dscores, int K, int N)
{
	struct cb_elem *dpooled = take(m, (int64_t)K * N * m->c.hidden);

	linear_backward(m, &m->head.itm, dpooled, dscores, m->head.pooled,
	    K * N);
	return dpooled;
}

static double
sum_of(struct cb_model *m, const float *each, int n)
{
	float *x = malloc(sizeof(*x) * (n + 1));
	double sum = 0;
	int i;

	if (x == NULL)
		abort();
	m->e->get(m->e, x, each, n * (int64_t)sizeof(*x));
	m->e->sync(m->e);
	for (i = 0; i < n; i++)
		sum += x[i];
	free(x);
	return sum;
}

static void
pretrain_count(struct cb_model *m, const struct cb_inputs *in)
{
	const struct mlm *h = &m->head.mlm;
	const int32_t *match = in->labels;
	struct cb_tally *t = &m->tally;
	float *x = malloc(sizeof(*x) * 2 * in->N);
	int i;

	if (x == NULL)
		abort();
	m->e->get_elem(m->e, x, m->last.scores, 2 * (int64_t)in->N);
	m->e->sync(m->e);
	for (i = 0; i < in->N; i++)
		t->matched += (x[2 * i + 1] > x[2 * i]) == match[i];
	free(x);
	t->texts += in->N;
	t->positions += (int64_t)in->N * in->L;
	t->itm_loss += sum_of(m, m->last.each, in->N);
	if (h->n == 0)
		return;
	t->words += h->n;
	t->told += h->right;
	t->mlm_loss += sum_of(m, m->last.words, h->n);
}

const struct head_kind head_pretrain = {
	.params = pretrain_params, .build = pretrain_build,
	.clear = pretrain_clear, .pack = pretrain_pack,
	.forward = pretrain_forward, .backward = pretrain_backward,
	.check_tokens = mlm_check, .tokens = mlm_learn,
	.count = pretrain_count,
};
