/*
 * Masked words: the tokens of the last layer to scores of the vocabulary by
 * linear - GELU - norm - decoder, where the decoder is the word embedding
 * transposed, with a bias of its own (quirk 2: a checkpoint has both twice).
 * Only labelled tokens are scored: a seventh of them, and the decoder is the
 * largest matrix of all.
 */
#include <stdlib.h>

#include "internal.h"

#define AT "transformer.cls.predictions."
#define WORDS "transformer.bert.embeddings.word_embeddings.weight"

void
mlm_params(struct table *t, const struct cb_model_config *c)
{
	table_vector(t, cb_strf(AT "bias"), true, false, c->vocab);
	table_linear(t, AT "transform.dense", c->hidden, c->hidden);
	table_norm(t, AT "transform.LayerNorm", c->hidden);
}

int
mlm_build(struct cb_model *m)
{
	struct mlm *h = &m->head.mlm;
	int D = m->c.hidden;

	h->norm.w = find(m, AT "transform.LayerNorm.weight");
	h->p_bias = find(m, AT "bias");
	if (linear_build(m, &h->transform, D, D, AT "transform.dense.weight") <
	    0)
		return -1;
	return m->e->linear_new(m->e, &h->decoder, D, m->c.vocab);
}

void
mlm_clear(struct cb_model *m)
{
	linear_clear(m, m->head.mlm.transform.plan);
	linear_clear(m, m->head.mlm.decoder);
	free(m->head.mlm.told);
}

void
mlm_pack(struct cb_model *m)
{
	struct mlm *h = &m->head.mlm;

	linear_pack(m, &h->transform);
	m->e->linear_pack(m->e, h->decoder, param(m, m->bert.word),
	    param(m, h->p_bias), !m->scoring);
}

int
mlm_check(const struct cb_model *m, const struct cb_inputs *in)
{
	int64_t i;

	if (in->K != 1)
		return cb_fail(CB_EUSAGE, "pretraining takes one clip, not %d",
		    in->K);
	if (in->mlm_labels == NULL)
		return cb_fail(CB_EFORMAT, "batch: no masked words to learn "
		    "from");
	for (i = 0; i < (int64_t)in->N * in->L; i++) {
		if (in->mlm_labels[i] >= m->c.vocab)
			return cb_fail(CB_EFORMAT, "batch: masked word %d, the"
			    " vocabulary has %d", in->mlm_labels[i],
			    m->c.vocab);
		if (in->mlm_labels[i] >= 0 && in->mask[i] == 0)
			return cb_fail(CB_EFORMAT, "batch: a masked word in "
			    "the padding of text %d", (int)(i / in->L));
	}
	return 0;
}

/* Rows of bert.last and their labels: of labelled tokens, or of all of the
 * texts.  One clip, so sequence n is text n, then its V cells, of which one who
 * looks sees the rows. */
struct picks {
	int32_t *row, *label;		/* engine */
	int	 n;
};

static void
pick(struct picks *p, struct cb_model *m, const struct cb_inputs *in, bool all)
{
	int64_t NL = (int64_t)in->N * in->L, i;
	int32_t *row, *label, at = 0;

	p->row = arena_take(&m->arena, NL, sizeof(*row));
	p->label = arena_take(&m->arena, NL, sizeof(*label));
	if ((row = malloc((2 * NL + 1) * sizeof(*row))) == NULL)
		abort();
	label = row + NL;
	p->n = 0;
	for (i = 0; i < NL; i++) {
		if (in->mask[i] != 0 && (all || in->mlm_labels[i] >= 0)) {
			row[p->n] = at;
			label[p->n++] = in->mlm_labels[i];
		}
		at += in->mask[i] != 0 &&
		    bert_reads(m, in, (int)(i / in->L), (int)(i % in->L));
		if (m->tap != NULL && i % in->L == in->L - 1)
			at += m->bert.V;
	}
	m->e->put(m->e, p->row, row, p->n * sizeof(*row));
	m->e->put(m->e, p->label, label, p->n * sizeof(*label));
	free(row);
}

/* What a pass over n tokens keeps. */
struct pass {
	struct cb_elem *x, *z, *f, *y, *scores;
	float	*mean, *rstd;
};

static void
score(struct pass *p, struct cb_model *m, const struct picks *on)
{
	struct cb_engine *e = m->e;
	struct mlm *h = &m->head.mlm;
	struct cb_drop none = { 0 };
	int D = m->c.hidden, n = on->n;
	int64_t size = (int64_t)n * D;

	p->x = take(m, size);
	p->z = take(m, size);
	p->f = take(m, size);
	p->y = take(m, size);
	p->scores = take(m, (int64_t)n * m->c.vocab);
	p->mean = take_f32(m, n);
	p->rstd = take_f32(m, n);
	e->rows_fwd(e, p->x, m->bert.last, NULL, on->row, n, D, &none);
	linear_forward(m, &h->transform, p->f, p->z, p->x, CB_ACT_GELU, n);
	e->norm_fwd(e, p->y, p->f, p->mean, p->rstd, p->f, NULL,
	    param(m, h->norm.w), param(m, h->norm.w + 1), n, D, &none);
	e->linear_fwd(e, h->decoder, p->scores, NULL, p->y, CB_ACT_NONE, n);
}

/* dscores -> gradient of bert.last, dlast [R,D] */
static void
back(struct cb_model *m, const struct pass *p, const struct picks *on,
    const struct cb_elem *dscores, struct cb_elem *dlast)
{
	struct cb_engine *e = m->e;
	struct mlm *h = &m->head.mlm;
	struct cb_drop none = { 0 };
	int D = m->c.hidden, n = on->n;
	struct cb_elem *d = take(m, (int64_t)n * D);
	struct cb_elem *dx = take(m, (int64_t)n * D);

	e->linear_bwd(e, h->decoder, d, false, grad(m, m->bert.word),
	    grad(m, h->p_bias), dscores, p->y, n);
	e->norm_bwd(e, NULL, d, grad(m, h->norm.w), grad(m, h->norm.w + 1), d,
	    p->f, p->mean, p->rstd, param(m, h->norm.w), n, D, &none);
	e->act_bwd(e, d, d, p->z, CB_ACT_GELU, (int64_t)n * D);
	linear_backward(m, &h->transform, dx, d, p->x, n);
	e->rows_bwd(e, dlast, m->bert.R, NULL, 0, dx, on->row, n, D, &none);
}

/* The most probable word for each of n tokens, the first of equals. */
static void
tell(struct cb_model *m, const struct cb_elem *scores, const struct picks *on,
    const struct cb_inputs *in)
{
	struct mlm *h = &m->head.mlm;
	int64_t V = m->c.vocab, NL = (int64_t)in->N * in->L, i, v;
	float *x = malloc(sizeof(*x) * on->n * V), *row;
	int k = 0, best;

	free(h->told);
	h->told = malloc(sizeof(*h->told) * on->n);
	if (x == NULL || h->told == NULL)
		abort();
	m->e->get_elem(m->e, x, scores, on->n * V);
	m->e->sync(m->e);
	h->right = 0;
	for (i = 0; i < NL; i++) {
		if (in->mlm_labels[i] < 0)
			continue;
		row = x + k * V;
		for (v = 1, best = 0; v < V; v++)
			best = row[v] > row[best] ? (int)v : best;
		h->told[k++] = best;
		h->right += best == in->mlm_labels[i];
	}
	free(x);
}

/* Scores of all tokens of the texts, packed [Tt,V], for whoever looks. */
static void
show(struct cb_model *m, const struct cb_inputs *in)
{
	struct mark mark = arena_mark(&m->arena);
	int64_t dim[2] = { 0, m->c.vocab };
	struct picks all;
	struct pass p;

	pick(&all, m, in, true);
	score(&p, m, &all);
	dim[0] = all.n;
	tap(m, p.scores, 2, dim, "mlm_scores");
	arena_release(&m->arena, mark);
}

struct cb_elem *
mlm_learn(struct cb_model *m, const struct cb_inputs *in, float share,
    float *loss)
{
	struct cb_engine *e = m->e;
	struct mlm *h = &m->head.mlm;
	struct cb_elem *dlast = NULL, *dscores = NULL;
	struct picks on;
	struct pass p;
	struct mark mark;
	float *total;

	if (m->tap != NULL)
		show(m, in);
	pick(&on, m, in, false);
	h->n = on.n;
	if (on.n == 0)
		return NULL;
	/* the mean over all positions: quirk 13 */
	struct cb_loss l = { .kind = CB_LOSS_CE, .agg = CB_AGG_MEAN, .K = 1,
	    .N = on.n, .C = m->c.vocab,
	    .share = share * (float)on.n / ((float)in->N * (float)in->L) };

	if (!m->training)
		m->last.words = take_f32(m, on.n);
	total = take_f32(m, 1);
	if (m->training)
		dlast = take(m, (int64_t)m->bert.R * m->c.hidden);
	mark = arena_mark(&m->arena);
	score(&p, m, &on);
	if (m->training)
		dscores = take(m, (int64_t)on.n * m->c.vocab);
	e->loss(e, total, m->last.words, dscores, p.scores, on.label, &l);
	e->get(e, loss, total, sizeof(*loss));
	tell(m, p.scores, &on, in);
	if (m->training)
		back(m, &p, &on, dscores, dlast);
	arena_release(&m->arena, mark);
	return dlast;
}
