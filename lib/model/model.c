/*
 * The whole model: pictures and texts to scores, and back.
 *
 *	cnn.c	pictures [P,S,S,3] -> grid [P,h,h,D]
 *	bert.c	grid and texts -> pooled [K*N,D]
 *	head.c	pooled -> scores [K*N,C]; in pretraining mlm.c besides
 *	engine	scores -> loss, and its gradient
 */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/* Tokens that go through BERT at once in scoring, so that texts may be many:
 * each takes some 10,000 numbers in the full-size model. */
#define SCORE_TOKENS 4096

void
cb_model_tap(struct cb_model *m, cb_tap_fn *fn, void *arg)
{
	m->tap = fn;
	m->tap_arg = arg;
}

/* ---- building ---------------------------------------------------------------- */

int
cb_model_grid(const struct cb_model_config *c)
{
	int H = c->image, i;

	for (i = 0; i < 5; i++)	/* stem, its pool, res3, res4, res5 */
		H = (H - 1) / 2 + 1;
	return H / 2;
}

static int
check_config(const struct cb_model_config *c)
{
	int grid = cb_model_grid(c);

	if (c->heads < 1 || c->hidden % c->heads != 0)
		return cb_fail(CB_EUSAGE, "hidden size %d is no multiple of "
		    "%d heads", c->hidden, c->heads);
	if (head_check(c) < 0)
		return -1;
	if (c->agg == CB_AGG_LSE && c->loss != CB_LOSS_CE)
		return cb_fail(CB_EUSAGE, "lse pooling of clips goes with the "
		    "cross-entropy loss only");
	if (grid > c->rows || grid > c->cols)
		return cb_fail(CB_EUSAGE, "images of %d pixels give a grid of "
		    "%d, the model has %d rows and %d columns", c->image, grid,
		    c->rows, c->cols);
	return 0;
}

int
cb_model_table(struct cb_param **out, int *n, const struct cb_model_config *c)
{
	return check_config(c) < 0 ? -1 : params_table(out, n, c);
}

static int
build(struct cb_model **out, struct cb_engine *e,
    const struct cb_model_config *c, bool scoring)
{
	struct cb_model *m;

	if (check_config(c) < 0)
		return -1;
	if ((m = calloc(1, sizeof(*m))) == NULL)
		return cb_fail(CB_ENOMEM, "model");
	m->e = m->arena.e = e;
	m->c = *c;
	m->scoring = scoring;
	if (params_build(m) < 0 || cnn_build(m) < 0 || bert_build(m) < 0 ||
	    head_build(m) < 0) {
		cb_model_free(m);
		return -1;
	}
	*out = m;
	return 0;
}

int
cb_model_new(struct cb_model **out, struct cb_engine *e,
    const struct cb_model_config *c)
{
	return build(out, e, c, false);
}

int
cb_model_new_scoring(struct cb_model **out, struct cb_engine *e,
    const struct cb_model_config *c)
{
	return build(out, e, c, true);
}

void
cb_model_free(struct cb_model *m)
{
	if (m == NULL)
		return;
	free(m->some);
	arena_clear(&m->arena);
	head_clear(m);
	bert_clear(m);
	cnn_clear(m);
	params_clear(m);
	free(m);
}

const struct cb_model_config *
cb_model_config(const struct cb_model *m)
{
	return &m->c;
}

struct cb_engine *
cb_model_engine(struct cb_model *m)
{
	return m->e;
}

void
cb_model_pack(struct cb_model *m, bool all)
{
	cnn_pack(m, all);
	bert_pack(m);
	m->head.kind->pack(m);
}

void
cb_model_clip_memory(struct cb_model *m, int clips)
{
	m->clip_memory = clips;
}

void
cb_model_memory(struct cb_model *m, int64_t bytes)
{
	m->memory = bytes;
}

/* ---- running ------------------------------------------------------------------ */

static int
pictures_of(const struct cb_inputs *in)
{
	return in->B * in->K * in->F;
}

static int
check_pictures(const struct cb_array *p, int n)
{
	int i;

	for (i = 0; i < n; i++) {
		if (p[i].type != CB_U8 || p[i].rank != 3 || p[i].dim[2] != 3 ||
		    p[i].dim[0] < 1 || p[i].dim[1] < 1 ||
		    p[i].dim[0] > INT32_MAX || p[i].dim[1] > INT32_MAX)
			return cb_fail(CB_EFORMAT, "batch: picture %d is not "
			    "u8 [H,W,3]", i);
	}
	return 0;
}

int
model_rows(const struct cb_model *m, int N)
{
	return m->c.head == CB_HEAD_CHOICE ? N / m->c.labels : N;
}

struct cb_elem *
model_forward(struct cb_model *m, const struct cb_inputs *in)
{
	struct cb_elem *grid, *pooled;

	grid = cnn_forward(m, in->pictures, pictures_of(in));
	pooled = bert_forward(m, grid, in->F);
	return m->head.kind->forward(m, pooled, in->K, in->N);
}

/* How many texts of a batch go through BERT at once.  Words are not told by
 * parts: their losses are asked for when all are done. */
static int
texts_at_once(const struct cb_model *m, const struct cb_inputs *in)
{
	int64_t V = in->cells != NULL ? in->ncells : m->cnn.h * m->cnn.h;
	int64_t unit = m->c.head == CB_HEAD_CHOICE ? m->c.labels : 1, n;

	if (in->mlm_labels != NULL)
		return in->N;
	n = SCORE_TOKENS / (in->K * (in->L + V)) / unit * unit;
	n = n < unit ? unit : n;
	return n < in->N ? (int)n : in->N;
}

/* The n texts from `at` on, with all videos; counts [B] receives how many
 * of them belong to each. */
static struct cb_inputs
some_texts(const struct cb_inputs *in, int32_t *counts, int at, int n)
{
	struct cb_inputs part = *in;
	int b, first = 0, from, to;

	for (b = 0; b < in->B; b++) {
		from = first > at ? first : at;
		first += in->counts[b];
		to = first < at + n ? first : at + n;
		counts[b] = to > from ? to - from : 0;
	}
	part.N = n;
	part.counts = counts;
	part.ids = in->ids + (int64_t)at * in->L;
	part.mask = in->mask + (int64_t)at * in->L;
	return part;
}

/* A part's scores, to the rows of the whole from `row` on. */
static void
score_part(struct cb_model *m, const struct cb_inputs *part,
    const struct cb_elem *grid, int64_t row, int64_t rows, float *scores,
    float *clip_scores)
{
	int N = model_rows(m, part->N), C = m->c.labels, k;
	int64_t n = (int64_t)N * C;
	struct cb_engine *e = m->e;
	struct cb_elem *pooled, *y;
	float *out, tokens;

	pooled = bert_forward(m, grid, part->F);
	y = m->head.kind->forward(m, pooled, part->K, part->N);
	out = take_f32(m, n);
	e->pool_scores(e, out, y, m->c.agg, part->K, N, C);
	e->get(e, scores + row * C, out, n * sizeof(*out));
	for (k = 0; clip_scores != NULL && k < part->K; k++)
		e->get_elem(e, clip_scores + (k * rows + row) * C,
		    elem_at(m, y, k * n), n);
	if (part->mlm_labels != NULL && m->head.kind->tokens != NULL)
		m->head.kind->tokens(m, part, 1, &tokens);
}

/* Pictures are encoded once, whatever the number of texts. */
static int
run_score(struct cb_model *m, const struct cb_inputs *in, int32_t *counts,
    float *scores, float *clip_scores)
{
	int at, n = texts_at_once(m, in), rows = model_rows(m, in->N);
	struct cb_elem *grid;
	struct cb_inputs part;
	struct mark mark;

	m->training = m->again = false;
	m->clip = 0;
	arena_reset(&m->arena);
	grid = cnn_forward(m, in->pictures, pictures_of(in));
	for (at = 0; at < in->N; at += n) {
		n = n < in->N - at ? n : in->N - at;
		part = some_texts(in, counts, at, n);
		mark = arena_mark(&m->arena);
		if (bert_batch(m, &part) < 0)
			return -1;
		score_part(m, &part, grid, model_rows(m, at), rows, scores,
		    clip_scores);
		if (at + n < in->N)
			arena_release(&m->arena, mark);
	}
	return m->e->sync(m->e);
}

int
cb_model_score(struct cb_model *m, const struct cb_inputs *in, float *scores,
    float *clip_scores)
{
	int P = pictures_of(in), rc;
	int32_t *counts;
	jmp_buf full;

	if (check_pictures(in->pictures, P) < 0 ||
	    bert_check(m, in) < 0 ||
	    (in->mlm_labels != NULL && m->head.kind->check_tokens != NULL &&
	    m->head.kind->check_tokens(m, in) < 0))
		return -1;
	if ((counts = malloc(in->B * sizeof(*counts))) == NULL)
		return cb_fail(CB_ENOMEM, "batch");
	m->e->expect(m->e, in->pictures, P);
	m->arena.full = &full;
	rc = setjmp(full) != 0 ? -1 :
	    run_score(m, in, counts, scores, clip_scores);
	m->e->forget(m->e, in->pictures, P);
	free(counts);
	return rc;
}

static int64_t
loss_items(const struct cb_model *m, const struct cb_inputs *in)
{
	switch (m->c.loss) {
	case CB_LOSS_BCE:
		return (int64_t)in->N * m->c.labels;
	case CB_LOSS_RANK:
		return in->N - in->B;
	default:
		return model_rows(m, in->N);
	}
}

void *
put_labels(struct cb_model *m, const struct cb_inputs *in)
{
	int64_t n = m->c.loss == CB_LOSS_BCE ?
	    (int64_t)in->N * m->c.labels : model_rows(m, in->N);
	void *p = arena_take(&m->arena, n, sizeof(float));

	m->e->put(m->e, p, in->labels, n * sizeof(float));
	return p;
}

static int
check_labels(const struct cb_model *m, const struct cb_inputs *in)
{
	const int32_t *y = in->labels;
	int i;

	if (y == NULL)
		return cb_fail(CB_EFORMAT, "batch: no labels to learn from");
	for (i = 0; m->c.loss == CB_LOSS_CE && i < model_rows(m, in->N); i++)
		if (y[i] >= m->c.labels)
			return cb_fail(CB_EFORMAT, "batch: label %d, the head "
			    "has %d classes", y[i], m->c.labels);
	if (m->head.kind->whole && in->N < 2)
		return cb_fail(CB_EFORMAT, "batch: one row; the batch norm of "
		    "this head learns from two at least");
	return m->head.kind->check_tokens == NULL ? 0 :
	    m->head.kind->check_tokens(m, in);
}

void
last_make(struct cb_model *m, const struct cb_inputs *in)
{
	struct last *l = &m->last;
	int64_t all;

	l->K = in->K;
	l->N = model_rows(m, in->N);
	all = (int64_t)l->K * l->N * m->c.labels;
	l->neach = loss_items(m, in);
	l->each = take_f32(m, l->neach);
	l->total = take_f32(m, 1);
	l->words = in->mlm_labels != NULL ?
	    take_f32(m, (int64_t)in->N * in->L) : NULL;
	l->scores = take(m, all);
	l->dscores = take(m, all);
	m->e->zero(m->e, l->scores, all * (int64_t)m->e->elem_size);
}

void
last_put(struct cb_model *m, const struct cb_elem *scores, int k, int n)
{
	int64_t clip = (int64_t)m->last.N * m->c.labels;

	m->e->add(m->e, elem_at(m, m->last.scores, k * clip), scores,
	    n * clip);
}

void
last_learn(struct cb_model *m, const struct cb_inputs *in, const void *labels,
    float share)
{
	struct cb_loss l = { .kind = m->c.loss, .agg = m->c.agg,
	    .K = m->last.K, .N = m->last.N, .C = m->c.labels,
	    .margin = m->c.margin, .group = in->N / in->B, .share = share };

	m->e->loss(m->e, m->last.total, m->last.each, m->last.dscores,
	    m->last.scores, labels, &l);
}

/* Forward and backward of a part that makes up `share` of the batch. */
static int
run_part(struct cb_model *m, const struct cb_inputs *in, float share,
    float *loss)
{
	const struct head_kind *head = m->head.kind;
	struct cb_elem *d, *dlast = NULL;
	struct cb_engine *e = m->e;
	float tokens = 0;
	int rc;

	arena_reset(&m->arena);
	m->clip = 0;
	m->again = false;
	if (clips_many(m, in))
		return clips_run(m, in, share, loss);
	if (bert_batch(m, in) < 0)
		return -1;
	last_make(m, in);
	last_put(m, model_forward(m, in), 0, in->K);
	last_learn(m, in, put_labels(m, in), share);
	if (head->tokens != NULL)
		dlast = head->tokens(m, in, share, &tokens);
	d = head->backward(m, m->last.dscores, in->K, in->N);
	bert_backward(m, d, dlast, m->cnn.dgrid, in->F);
	cnn_backward(m);
	e->get(e, loss, m->last.total, sizeof(*loss));
	rc = e->sync(e);
	*loss += tokens;
	if (rc == 0 && head->count != NULL)
		head->count(m, in);
	return rc;
}

static int
train_part(struct cb_model *m, const struct cb_inputs *in, float share,
    float *loss)
{
	jmp_buf full;

	m->arena.full = &full;
	return setjmp(full) != 0 ? -1 : run_part(m, in, share, loss);
}

/* How many videos of this shape go through at once. */
static int
videos_at_once(const struct cb_model *m, const struct cb_inputs *in)
{
	int K = clips_many(m, in) ? m->clip_memory : in->K;
	int64_t each = cnn_bytes(m) * K * in->F, n;

	if (m->memory <= 0 || m->head.kind->whole)
		return in->B;
	n = m->memory / (each > 0 ? each : 1);
	return n < 1 ? 1 : n > in->B ? in->B : (int)n;
}

/* Forward and backward of a batch, in as many parts as memory wants. */
static int
train_parts(struct cb_model *m, const struct cb_inputs *in, float *loss)
{
	int at, b, rows, first = 0, n = videos_at_once(m, in);
	size_t label = sizeof(float) *
	    (m->c.loss == CB_LOSS_BCE ? m->c.labels : 1);
	struct cb_inputs part = *in;
	float partial;

	*loss = 0;
	m->part = 0;
	for (at = 0; at < in->B; at += part.B, m->part++) {
		part.B = in->B - at < n ? in->B - at : n;
		for (b = 0, rows = 0; b < part.B; b++)
			rows += in->counts[at + b];
		part.N = rows;
		part.pictures = in->pictures + (int64_t)at * in->K * in->F;
		part.counts = in->counts + at;
		part.ids = in->ids + (int64_t)first * in->L;
		part.mask = in->mask + (int64_t)first * in->L;
		part.labels = (const char *)in->labels +
		    model_rows(m, first) * label;
		if (in->mlm_labels != NULL)
			part.mlm_labels = in->mlm_labels +
			    (int64_t)first * in->L;
		first += rows;
		if (rows == 0)
			continue;
		if (train_part(m, &part, (float)rows / (float)in->N,
		    &partial) < 0)
			return -1;
		*loss += partial;
	}
	return 0;
}

int
cb_model_train(struct cb_model *m, const struct cb_inputs *in, uint64_t seed,
    uint32_t step, float *loss)
{
	int P = pictures_of(in), rc;

	if (check_pictures(in->pictures, P) < 0 || check_labels(m, in) < 0 ||
	    clips_room(m, in) < 0)
		return -1;
	m->training = true;
	m->seed = seed;
	m->step = step;
	m->tally = (struct cb_tally){ 0 };
	m->e->expect(m->e, in->pictures, P);
	rc = train_parts(m, in, loss);
	m->e->forget(m->e, in->pictures, P);
	return rc;
}

void
cb_model_last(struct cb_model *m, float *each, float *scores,
    float *clip_scores, float *dclip)
{
	int64_t n = (int64_t)m->last.N * m->c.labels;
	struct cb_engine *e = m->e;
	float *pooled;
	int64_t i;

	if (each != NULL)
		e->get(e, each, m->last.each, m->last.neach * sizeof(*each));
	if (scores != NULL && (pooled = e->alloc(e, n * sizeof(*pooled)))) {
		e->pool_scores(e, pooled, m->last.scores, m->c.agg, m->last.K,
		    m->last.N, m->c.labels);
		e->get(e, scores, pooled, n * sizeof(*scores));
		e->release(e, pooled);
	}
	if (clip_scores != NULL)
		e->get_elem(e, clip_scores, m->last.scores, m->last.K * n);
	if (dclip != NULL)
		e->get_elem(e, dclip, m->last.dscores, m->last.K * n);
	for (i = 0; dclip != NULL && i < m->last.K * n; i++)
		dclip[i] /= e->loss_scale;
	e->sync(e);
}

int
cb_model_last_mlm(struct cb_model *m, float *each, int32_t *told)
{
	int n = m->head.mlm.n;

	if (told != NULL && n > 0)
		memcpy(told, m->head.mlm.told, n * sizeof(*told));
	if (each != NULL && n > 0)
		m->e->get(m->e, each, m->last.words, n * sizeof(*each));
	m->e->sync(m->e);
	return n;
}

struct cb_tally
cb_model_tally(const struct cb_model *m)
{
	return m->tally;
}

void
cb_tally_add(struct cb_tally *to, struct cb_tally more)
{
	to->texts += more.texts;
	to->matched += more.matched;
	to->itm_loss += more.itm_loss;
	to->positions += more.positions;
	to->words += more.words;
	to->told += more.told;
	to->mlm_loss += more.mlm_loss;
}

static int
run_calibrate(struct cb_model *m, const struct cb_array *pictures, int P)
{
	m->training = false;
	arena_reset(&m->arena);
	cnn_forward(m, pictures, P);
	return m->e->sync(m->e);
}

int
cb_model_calibrate(struct cb_model *m, const struct cb_array *pictures, int P)
{
	jmp_buf full;
	int rc;

	if (check_pictures(pictures, P) < 0)
		return -1;
	m->e->expect(m->e, pictures, P);
	m->arena.full = &full;
	m->calibrating = true;
	rc = setjmp(full) != 0 ? -1 : run_calibrate(m, pictures, P);
	m->calibrating = false;
	m->e->forget(m->e, pictures, P);
	arena_clear(&m->arena);		/* far more than a step takes */
	cb_model_pack(m, true);
	return rc;
}
