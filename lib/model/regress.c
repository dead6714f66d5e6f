/*
 * The head that counts: pooled vectors to one number by dropout - linear -
 * ELU - batch norm - dropout - linear.  Learning, the batch norm sees the rows of one
 * clip at a time, and its running statistics move once a clip (quirk 18).
 */
#include "internal.h"

#define AT "transformer.regressor."

static void
regress_params(struct table *t, const struct cb_model_config *c)
{
	table_linear(t, AT "0", c->hidden, c->hidden);
	table_norm(t, AT "2", c->hidden);
	/* side by side in the arena: `running` of the operation */
	table_vector(t, cb_strf(AT "2.running_mean"), false, true, c->hidden);
	table_vector(t, cb_strf(AT "2.running_var"), false, true, c->hidden);
	table_put(t, cb_strf(AT "2.num_batches_tracked"), false, true, 0, NULL);
	table_linear(t, AT "4", 1, c->hidden);
}

static int
regress_build(struct cb_model *m)
{
	struct regressor *h = &m->head.regressor;
	int D = m->c.hidden;

	h->norm = find(m, AT "2.weight");
	h->running = find(m, AT "2.running_mean");
	if (linear_build(m, &m->head.fc1, D, D, AT "0.weight") < 0)
		return -1;
	return linear_build(m, &m->head.fc2, D, 1, AT "4.weight");
}

/* The running statistics, which move once a clip: where clips are run again,
 * some that nobody looks at. */
static float *
running(struct cb_model *m)
{
	int64_t n = 2 * (int64_t)m->c.hidden + 1;
	float *scratch;

	if (!m->again)
		return param(m, m->head.regressor.running);
	scratch = take_f32(m, n);
	m->e->zero(m->e, scratch, n * (int64_t)sizeof(*scratch));
	return scratch;
}

static struct cb_elem *
regress_forward(struct cb_model *m, const struct cb_elem *pooled, int K, int N)
{
	struct cb_engine *e = m->e;
	struct regressor *h = &m->head.regressor;
	int D = m->c.hidden, rows = K * N, k;
	int64_t n = (int64_t)rows * D, plane = (int64_t)N * D;
	struct cb_elem *y = take(m, rows);
	float *stats = running(m);

	h->x = take(m, n);
	h->f = take(m, n);
	h->n = take(m, n);
	h->y = take(m, n);
	h->mean = take_f32(m, (int64_t)K * D);
	h->rstd = take_f32(m, (int64_t)K * D);
	head_drop_fwd(m, h->x, pooled, rows, 0);
	linear_forward(m, &m->head.fc1, h->f, NULL, h->x, CB_ACT_ELU, rows);
	for (k = 0; k < K; k++)
		e->batchnorm_fwd(e, elem_at(m, h->n, k * plane),
		    h->mean + (int64_t)k * D, h->rstd + (int64_t)k * D,
		    stats, elem_at(m, h->f, k * plane),
		    param(m, h->norm), param(m, h->norm + 1), N, D,
		    m->training);
	head_drop_fwd(m, h->y, h->n, rows, 1);
	linear_forward(m, &m->head.fc2, y, NULL, h->y, CB_ACT_NONE, rows);
	return y;
}

static struct cb_elem *
regress_backward(struct cb_model *m, struct cb_elem *dscores, int K, int N)
{
	struct cb_engine *e = m->e;
	struct regressor *h = &m->head.regressor;
	int D = m->c.hidden, rows = K * N, k;
	int64_t n = (int64_t)rows * D, plane = (int64_t)N * D;
	struct cb_elem *a = take(m, n), *b = take(m, n), *d;

	linear_backward(m, &m->head.fc2, a, dscores, h->y, rows);
	head_drop_bwd(m, b, a, rows, 1);
	for (k = 0; k < K; k++) {
		d = elem_at(m, b, k * plane);
		e->batchnorm_bwd(e, d, grad(m, h->norm), grad(m, h->norm + 1),
		    d, elem_at(m, h->f, k * plane), h->mean + (int64_t)k * D,
		    h->rstd + (int64_t)k * D, param(m, h->norm), N, D);
	}
	e->act_bwd(e, b, b, h->f, CB_ACT_ELU, n);
	linear_backward(m, &m->head.fc1, a, b, h->x, rows);
	head_drop_bwd(m, b, a, rows, 0);
	return b;
}

const struct head_kind head_regress = {
	.params = regress_params, .build = regress_build,
	.clear = head_layers_clear, .pack = head_layers_pack,
	.forward = regress_forward, .backward = regress_backward,
	.whole = true,
};
