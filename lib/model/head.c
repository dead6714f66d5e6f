/* Which head the model has, the layers and the dropout that heads share. */
#include <stdlib.h>

#include "internal.h"

/* Behind every dropout of the longest BERT. */
#define DROP_HEAD 100000

const struct head_kind *
head_kind(const struct cb_model_config *c)
{
	switch (c->head) {
	case CB_HEAD_PRETRAIN:
		return &head_pretrain;
	case CB_HEAD_REGRESS:
		return &head_regress;
	default:
		return &head_classify;
	}
}

int
head_check(const struct cb_model_config *c)
{
	if (c->labels < 1)
		return cb_fail(CB_EUSAGE, "a head of %d classes", c->labels);
	if (c->head == CB_HEAD_CHOICE && c->loss != CB_LOSS_CE)
		return cb_fail(CB_EUSAGE, "a choice among options goes with "
		    "the cross-entropy loss only");
	if (c->head == CB_HEAD_PRETRAIN &&
	    (c->loss != CB_LOSS_CE || c->labels != 2))
		return cb_fail(CB_EUSAGE, "pretraining goes with the "
		    "cross-entropy loss and two labels only");
	if (c->head == CB_HEAD_REGRESS &&
	    (c->loss != CB_LOSS_MSE || c->labels != 1))
		return cb_fail(CB_EUSAGE, "regression goes with the mse loss "
		    "and one label only");
	return 0;
}

int
head_build(struct cb_model *m)
{
	m->head.kind = head_kind(&m->c);
	return m->head.kind->build(m);
}

void
head_clear(struct cb_model *m)
{
	if (m->head.kind != NULL)
		m->head.kind->clear(m);
}

void
head_layers_clear(struct cb_model *m)
{
	linear_clear(m, m->head.fc1.plan);
	linear_clear(m, m->head.fc2.plan);
}

void
head_layers_pack(struct cb_model *m)
{
	linear_pack(m, &m->head.fc1);
	linear_pack(m, &m->head.fc2);
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

void
head_drop_fwd(struct cb_model *m, struct cb_elem *y, const struct cb_elem *x,
    int rows, int n)
{
	struct cb_drop p = drop(m, m->c.dropout, DROP_HEAD + n,
	    (int64_t)m->bert.N * m->c.hidden);

	m->e->rows_fwd(m->e, y, x, NULL, count_up(m, rows), rows, m->c.hidden,
	    &p);
}

void
head_drop_bwd(struct cb_model *m, struct cb_elem *dx,
    const struct cb_elem *dy, int rows, int n)
{
	struct cb_drop p = drop(m, m->c.dropout, DROP_HEAD + n,
	    (int64_t)m->bert.N * m->c.hidden);

	m->e->rows_bwd(m->e, dx, rows, NULL, 0, dy, count_up(m, rows), rows,
	    m->c.hidden, &p);
}
