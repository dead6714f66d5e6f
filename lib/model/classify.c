/*
 * The head of classification, retrieval and multiple choice: pooled vectors to
 * scores by dropout - linear - ReLU - linear.
 */
#include "internal.h"

#define FC1 "transformer.classifier.0"
#define FC2 "transformer.classifier.2"

/* Of a choice every row is one option. */
static int
width(const struct cb_model_config *c)
{
	return c->head == CB_HEAD_CHOICE ? 1 : c->labels;
}

static void
classify_params(struct table *t, const struct cb_model_config *c)
{
	table_linear(t, FC1, 2 * c->hidden, c->hidden);
	table_linear(t, FC2, width(c), 2 * c->hidden);
}

static int
classify_build(struct cb_model *m)
{
	int D = m->c.hidden;

	if (linear_build(m, &m->head.fc1, D, 2 * D, FC1 ".weight") < 0)
		return -1;
	return linear_build(m, &m->head.fc2, 2 * D, width(&m->c),
	    FC2 ".weight");
}

static struct cb_elem *
classify_forward(struct cb_model *m, const struct cb_elem *pooled, int K,
    int N)
{
	struct classifier *h = &m->head.classifier;
	int D = m->c.hidden, rows = K * N;
	struct cb_elem *y;

	h->x = take(m, (int64_t)rows * D);
	h->f = take(m, (int64_t)rows * 2 * D);
	y = take(m, (int64_t)rows * width(&m->c));
	head_drop_fwd(m, h->x, pooled, rows, 0);
	linear_forward(m, &m->head.fc1, h->f, NULL, h->x, CB_ACT_RELU, rows);
	linear_forward(m, &m->head.fc2, y, NULL, h->f, CB_ACT_NONE, rows);
	return y;
}

static struct cb_elem *
classify_backward(struct cb_model *m, struct cb_elem *dscores, int K, int N)
{
	struct cb_engine *e = m->e;
	struct classifier *h = &m->head.classifier;
	int D = m->c.hidden, rows = K * N;
	struct cb_elem *df = take(m, (int64_t)rows * 2 * D);
	struct cb_elem *dx = take(m, (int64_t)rows * D);
	struct cb_elem *dpooled = take(m, (int64_t)rows * D);

	linear_backward(m, &m->head.fc2, df, dscores, h->f, rows);
	e->act_bwd(e, df, df, h->f, CB_ACT_RELU, (int64_t)rows * 2 * D);
	linear_backward(m, &m->head.fc1, dx, df, h->x, rows);
	head_drop_bwd(m, dpooled, dx, rows, 0);
	return dpooled;
}

const struct head_kind head_classify = {
	.params = classify_params, .build = classify_build,
	.clear = head_layers_clear, .pack = head_layers_pack,
	.forward = classify_forward, .backward = classify_backward,
};
