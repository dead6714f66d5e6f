/* Pooled vectors to scores: dropout - linear - ReLU - linear. */
#include <stdlib.h>

#include "internal.h"

/* Behind every dropout of the longest BERT. */
#define DROP_HEAD 100000

int
head_build(struct cb_model *m)
{
	struct cb_engine *e = m->e;
	struct head *h = &m->head;
	int D = m->c.hidden;

	h->p_fc1 = find(m, "transformer.classifier.0.weight");
	h->p_fc2 = find(m, "transformer.classifier.2.weight");
	if (e->linear_new(e, &h->fc1, D, 2 * D) < 0)
		return -1;
	return e->linear_new(e, &h->fc2, 2 * D, m->c.choice ? 1 : m->c.labels);
}

void
head_clear(struct cb_model *m)
{
	if (m->head.fc1 != NULL)
		m->e->linear_free(m->e, m->head.fc1);
	if (m->head.fc2 != NULL)
		m->e->linear_free(m->e, m->head.fc2);
}

void
head_pack(struct cb_model *m)
{
	struct cb_engine *e = m->e;
	struct head *h = &m->head;

	e->linear_pack(e, h->fc1, param(m, h->p_fc1), param(m, h->p_fc1 + 1),
	    true);
	e->linear_pack(e, h->fc2, param(m, h->p_fc2), param(m, h->p_fc2 + 1),
	    true);
}

/* Row numbers 0 .. n-1 in engine memory: the rows operation as dropout. */
static int32_t *
count_up(struct cb_model *m, int n)
{
	int32_t *p = arena_take(&m->arena, n, sizeof(*p)), *host;
	int i;

	if ((host = malloc(n * sizeof(*host))) == NULL)
		abort();
	for (i = 0; i < n; i++)
		host[i] = i;
	m->e->put(m->e, p, host, n * sizeof(*host));
	free(host);
	return p;
}

struct cb_elem *
head_forward(struct cb_model *m, const struct cb_elem *pooled, int rows)
{
	struct cb_engine *e = m->e;
	struct head *h = &m->head;
	struct cb_drop p = drop(m, m->c.dropout, DROP_HEAD);
	int D = m->c.hidden;

	h->x = take(m, (int64_t)rows * D);
	h->f = take(m, (int64_t)rows * 2 * D);
	h->y = take(m, (int64_t)rows * (m->c.choice ? 1 : m->c.labels));
	e->rows_fwd(e, h->x, pooled, NULL, count_up(m, rows), rows, D, &p);
	e->linear_fwd(e, h->fc1, h->f, NULL, h->x, CB_ACT_RELU, rows);
	e->linear_fwd(e, h->fc2, h->y, NULL, h->f, CB_ACT_NONE, rows);
	return h->y;
}

/* -> gradient of pooled */
struct cb_elem *
head_backward(struct cb_model *m, struct cb_elem *dscores, int rows)
{
	struct cb_engine *e = m->e;
	struct head *h = &m->head;
	struct cb_drop p = drop(m, m->c.dropout, DROP_HEAD);
	int D = m->c.hidden;
	struct cb_elem *df = take(m, (int64_t)rows * 2 * D);
	struct cb_elem *dx = take(m, (int64_t)rows * D);
	struct cb_elem *dpooled = take(m, (int64_t)rows * D);

	e->linear_bwd(e, h->fc2, df, false, grad(m, h->p_fc2),
	    grad(m, h->p_fc2 + 1), dscores, h->f, rows);
	e->act_bwd(e, df, df, h->f, CB_ACT_RELU, (int64_t)rows * 2 * D);
	e->linear_bwd(e, h->fc1, dx, false, grad(m, h->p_fc1),
	    grad(m, h->p_fc1 + 1), df, h->x, rows);
	e->rows_bwd(e, dpooled, rows, NULL, 0, dx, count_up(m, rows), rows, D,
	    &p);
	return dpooled;
}
