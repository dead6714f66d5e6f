/*
 * Grid and texts to pooled vectors: BERT over packed sequences.
 *
 * One sequence a clip and text: the text's tokens, then the V visual tokens of
 * the clip.  Sequences are laid out clip-major, s = k * N + n, and packed, so
 * padding costs nothing.  Embeddings are computed once a text and once a clip;
 * the rows operation copies them to where they are read, with dropout.
 *
 * Of the last layer few tokens are read: [CLS], and masked words.  Behind its
 * attention it works on these R rows only.
 */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/* Numbers of the dropouts; layers have three each. */
enum { DROP_EMBEDDING, DROP_LAYER };
enum { DROP_PROBABILITY, DROP_ATTENTION, DROP_OUTPUT, DROPS };

static int
drop_op(int layer, int which)
{
	return DROP_LAYER + DROPS * layer + which;
}

/* The three dropouts of a layer.  All clips have equally many tokens. */
struct drops {
	struct cb_drop probability, attention, output;
};

/* Tokens that layer i works on behind its attention. */
static int
rows_of(const struct cb_model *m, int i)
{
	return i == m->c.layers - 1 ? m->bert.R : m->bert.T;
}

static struct drops
layer_drops(const struct cb_model *m, int i)
{
	const struct bert *b = &m->bert;
	int64_t T = b->T / b->K, n = rows_of(m, i) / b->K * m->c.hidden;
	struct drops d = {
		.probability = drop(m, m->c.attention_dropout,
		    drop_op(i, DROP_PROBABILITY), T * m->c.heads * b->longest),
		.attention = drop(m, m->c.dropout,
		    drop_op(i, DROP_ATTENTION), n),
		.output = drop(m, m->c.dropout, drop_op(i, DROP_OUTPUT), n),
	};

	return d;
}

static struct cb_drop
embedding_drop(const struct cb_model *m)
{
	return drop(m, m->c.dropout, DROP_EMBEDDING,
	    (int64_t)m->bert.T / m->bert.K * m->c.hidden);
}

/* ---- building ---------------------------------------------------------------- */

static int
layer_build(struct cb_model *m, struct layer *l, int i)
{
	struct cb_engine *e = m->e;
	int D = m->c.hidden, inter = m->c.inter;
	char at[80];

	snprintf(at, sizeof(at), "transformer.bert.encoder.layer.%d.", i);
	l->p_qkv_w = find(m, "%sattention.self.query.weight", at);
	l->p_qkv_b = find(m, "%sattention.self.query.bias", at);
	l->p_attn = find(m, "%sattention.output.dense.weight", at);
	l->norm1.w = find(m, "%sattention.output.LayerNorm.weight", at);
	l->p_inter = find(m, "%sintermediate.dense.weight", at);
	l->p_out = find(m, "%soutput.dense.weight", at);
	l->norm2.w = find(m, "%soutput.LayerNorm.weight", at);
	if (e->linear_new(e, &l->qkv, D, 3 * D) < 0 ||
	    e->linear_new(e, &l->attn, D, D) < 0 ||
	    e->linear_new(e, &l->inter, D, inter) < 0 ||
	    e->linear_new(e, &l->out, inter, D) < 0)
		return -1;
	return 0;
}

int
bert_build(struct cb_model *m)
{
	struct bert *b = &m->bert;
	const char *t = "transformer.bert.embeddings.";
	const char *v = "transformer.bert.visual_embeddings.";
	int i;

	b->word = find(m, "%sword_embeddings.weight", t);
	b->position = find(m, "%sposition_embeddings.weight", t);
	b->type = find(m, "%stoken_type_embeddings.weight", t);
	b->tnorm.w = find(m, "%sLayerNorm.weight", t);
	b->row = find(m, "%srow_position_embeddings.weight", v);
	b->col = find(m, "%scol_position_embeddings.weight", v);
	b->vtype = find(m, "%stoken_type_embeddings.weight", v);
	b->vnorm.w = find(m, "%sLayerNorm.weight", v);
	b->p_pooler = find(m, "transformer.bert.pooler.dense.weight");
	b->layers = calloc(m->c.layers, sizeof(*b->layers));
	if (b->layers == NULL)
		return cb_fail(CB_ENOMEM, "model");
	for (i = 0; i < m->c.layers; i++)
		if (layer_build(m, &b->layers[i], i) < 0)
			return -1;
	return m->e->linear_new(m->e, &b->pooler, m->c.hidden, m->c.hidden);
}

void
bert_clear(struct cb_model *m)
{
	struct bert *b = &m->bert;
	int i;

	for (i = 0; b->layers != NULL && i < m->c.layers; i++) {
		linear_clear(m, b->layers[i].qkv);
		linear_clear(m, b->layers[i].attn);
		linear_clear(m, b->layers[i].inter);
		linear_clear(m, b->layers[i].out);
	}
	free(b->layers);
	linear_clear(m, b->pooler);
}

/* Query, key and value lie side by side: one matrix [3D,D]. */
void
bert_pack(struct cb_model *m)
{
	struct cb_engine *e = m->e;
	struct layer *l;
	int i;

	for (i = 0; i < m->c.layers; i++) {
		l = &m->bert.layers[i];
		params_join(m, l->p_qkv_w, 3);
		params_join(m, l->p_qkv_b, 3);
		e->linear_pack(e, l->qkv, param(m, l->p_qkv_w),
		    param(m, l->p_qkv_b), !m->scoring);
		e->linear_pack(e, l->attn, param(m, l->p_attn),
		    param(m, l->p_attn + 1), !m->scoring);
		e->linear_pack(e, l->inter, param(m, l->p_inter),
		    param(m, l->p_inter + 1), !m->scoring);
		e->linear_pack(e, l->out, param(m, l->p_out),
		    param(m, l->p_out + 1), !m->scoring);
	}
	e->linear_pack(e, m->bert.pooler, param(m, m->bert.p_pooler),
	    param(m, m->bert.p_pooler + 1), !m->scoring);
}

/* ---- the batch ----------------------------------------------------------------- */

static int32_t *
put_i32(struct cb_model *m, const int32_t *host, int64_t n)
{
	int32_t *p = arena_take(&m->arena, n, sizeof(*p));

	m->e->put(m->e, p, host, n * sizeof(*p));
	return p;
}

int
bert_check(const struct cb_model *m, const struct cb_inputs *in)
{
	int64_t rows = 0;
	int i;

	for (i = 0; i < in->B; i++)
		rows += in->counts[i];
	if (rows != in->N)
		return cb_fail(CB_EFORMAT, "batch: counts add up to %lld of %d"
		    " texts", (long long)rows, in->N);
	if (in->L > m->c.positions)
		return cb_fail(CB_EFORMAT, "batch: texts of %d tokens, the "
		    "model has %d positions", in->L, m->c.positions);
	for (i = 0; i < in->N * in->L; i++) {
		if (in->mask[i] != 0 &&
		    (in->ids[i] < 0 || in->ids[i] >= m->c.vocab))
			return cb_fail(CB_EFORMAT, "batch: token id %d, the "
			    "vocabulary has %d", in->ids[i], m->c.vocab);
		if (i % in->L == 0 && in->mask[i] == 0)
			return cb_fail(CB_EFORMAT, "batch: text %d begins "
			    "with padding", i / in->L);
	}
	for (i = 0; in->cells != NULL && i < in->ncells; i++)
		if (in->cells[i] < 0 || in->cells[i] >= m->cnn.h * m->cnn.h)
			return cb_fail(CB_EFORMAT, "batch: cell %d, the grid "
			    "has %d", in->cells[i], m->cnn.h * m->cnn.h);
	return 0;
}

bool
bert_reads(const struct cb_model *m, const struct cb_inputs *in, int n, int l)
{
	return l == 0 || m->tap != NULL || (m->head.kind->tokens != NULL &&
	    in->mlm_labels != NULL && in->mlm_labels[n * in->L + l] >= 0);
}

/* Host copies of the layout, built in one allocation. */
struct layout {
	int32_t *ids, *pos, *start;	/* [Tt] [Tt] [N+1] */
	int32_t *src, *seq;		/* [T] [S+1] */
	int32_t *read, *first;		/* [R] [S] */
	int	 Tt, T, R;
};

static void
lay_texts(struct layout *y, const struct cb_inputs *in)
{
	int n, l;

	for (n = 0; n < in->N; n++) {
		y->start[n] = y->Tt;
		for (l = 0; l < in->L; l++) {
			if (in->mask[n * in->L + l] == 0)
				continue;
			y->ids[y->Tt] = in->ids[n * in->L + l];
			y->pos[y->Tt++] = l;
		}
	}
	y->start[in->N] = y->Tt;
}

/* One sequence: text n, then the V cells of clip c. */
static void
lay_sequence(struct layout *y, const struct cb_model *m,
    const struct cb_inputs *in, int n, int c)
{
	int i, V = m->bert.V;

	for (i = y->start[n]; i < y->start[n + 1]; i++) {
		if (bert_reads(m, in, n, y->pos[i]))
			y->read[y->R++] = y->T;
		y->src[y->T++] = i;
	}
	for (i = 0; i < V; i++) {
		if (m->tap != NULL)
			y->read[y->R++] = y->T;
		y->src[y->T++] = -1 - (c * V + i);
	}
}

static void
lay_sequences(struct layout *y, const struct cb_model *m,
    const struct cb_inputs *in)
{
	int k, b, n, r, s = 0;

	for (k = 0; k < in->K; k++) {
		for (b = 0, n = 0; b < in->B; b++) {
			for (r = 0; r < in->counts[b]; r++, n++, s++) {
				y->seq[s] = y->T;
				y->first[s] = y->R;
				lay_sequence(y, m, in, n, b * in->K + k);
			}
		}
	}
	y->seq[s] = y->T;
}

int
bert_batch(struct cb_model *m, const struct cb_inputs *in)
{
	struct bert *b = &m->bert;
	int64_t NL = (int64_t)in->N * in->L, S = (int64_t)in->K * in->N, most;
	struct layout y = { 0 };
	int32_t *memory;
	int s;

	if (bert_check(m, in) < 0)
		return -1;
	b->V = in->cells != NULL ? in->ncells : m->cnn.h * m->cnn.h;
	b->M = in->B * in->K;
	b->N = in->N;
	b->K = in->K;
	b->S = (int)S;
	most = S * (in->L + (int64_t)b->V);
	if (most > INT32_MAX)
		return cb_fail(CB_ELIMIT, "batch: %lld tokens",
		    (long long)most);
	memory = malloc((2 * NL + in->N + 1 + 2 * most + 2 * S + 1) *
	    sizeof(*memory));
	if (memory == NULL)
		return cb_fail(CB_ENOMEM, "batch");
	y.ids = memory;
	y.pos = y.ids + NL;
	y.start = y.pos + NL;
	y.src = y.start + in->N + 1;
	y.read = y.src + most;
	y.first = y.read + most;
	y.seq = y.first + S;
	lay_texts(&y, in);
	lay_sequences(&y, m, in);
	b->longest = 0;
	for (s = 0; s < S; s++)
		if (y.seq[s + 1] - y.seq[s] > b->longest)
			b->longest = y.seq[s + 1] - y.seq[s];
	b->Tt = y.Tt;
	b->T = y.T;
	b->R = y.R;
	b->ids = put_i32(m, y.ids, y.Tt);
	b->pos = put_i32(m, y.pos, y.Tt);
	b->src = put_i32(m, y.src, y.T);
	b->seq = put_i32(m, y.seq, S + 1);
	b->read = put_i32(m, y.read, y.R);
	b->first = put_i32(m, y.first, S);
	b->cells = in->cells != NULL ? put_i32(m, in->cells, b->V) : NULL;
	free(memory);
	return 0;
}

/* ---- forward ------------------------------------------------------------------- */

static void
embed_forward(struct cb_model *m, const struct cb_elem *grid, int F)
{
	struct cb_engine *e = m->e;
	struct bert *b = &m->bert;
	int D = m->c.hidden, h = m->cnn.h, MV = b->M * b->V;
	struct cb_drop none = { 0 }, d;
	int64_t dim[] = { b->T, D };

	b->text_s = take(m, (int64_t)b->Tt * D);
	b->text_y = take(m, (int64_t)b->Tt * D);
	b->tmean = take_f32(m, b->Tt);
	b->trstd = take_f32(m, b->Tt);
	e->embed_text_fwd(e, b->text_s, b->ids, b->pos, param(m, b->word),
	    param(m, b->position), param(m, b->type), b->Tt, D);
	e->norm_fwd(e, b->text_y, b->text_s, b->tmean, b->trstd, b->text_s,
	    NULL, param(m, b->tnorm.w), param(m, b->tnorm.w + 1), b->Tt, D,
	    &none);

	b->vis_s = take(m, (int64_t)MV * D);
	b->vis_y = take(m, (int64_t)MV * D);
	b->vmean = take_f32(m, MV);
	b->vrstd = take_f32(m, MV);
	e->embed_grid_fwd(e, b->vis_s, grid, param(m, b->row),
	    param(m, b->col), param(m, b->vtype), b->cells, b->M, F, h, h,
	    b->V, D);
	e->norm_fwd(e, b->vis_y, b->vis_s, b->vmean, b->vrstd, b->vis_s, NULL,
	    param(m, b->vnorm.w), param(m, b->vnorm.w + 1), MV, D, &none);

	d = embedding_drop(m);
	b->x0 = take(m, (int64_t)b->T * D);
	e->rows_fwd(e, b->x0, b->text_y, b->vis_y, b->src, b->T, D, &d);
	tap(m, b->x0, 2, dim, "embedding");
}

/* x [T,D], and of the last layer the rows that are read, [R,D]. */
static struct cb_elem *
read_rows(struct cb_model *m, int i, struct cb_elem *x)
{
	int R = rows_of(m, i), D = m->c.hidden;
	struct cb_drop none = { 0 };
	struct cb_elem *y;

	if (i < m->c.layers - 1)
		return x;
	y = take(m, (int64_t)R * D);
	m->e->rows_fwd(m->e, y, x, NULL, m->bert.read, R, D, &none);
	return y;
}

/* dx [T,D] from the gradient of what read_rows() returned, which is dx itself
 * but in the last layer. */
static void
read_rows_back(struct cb_model *m, struct cb_elem *dx,
    const struct cb_elem *dy)
{
	struct bert *b = &m->bert;
	struct cb_drop none = { 0 };

	if (dx != dy)
		m->e->rows_bwd(m->e, dx, b->T, NULL, 0, dy, b->read, b->R,
		    m->c.hidden, &none);
}

/* x [T,D] -> [R,D] */
static struct cb_elem *
layer_forward(struct cb_model *m, int i, struct cb_elem *x)
{
	struct cb_engine *e = m->e;
	struct bert *b = &m->bert;
	struct layer *l = &b->layers[i];
	int T = b->T, R = rows_of(m, i), A = m->c.heads;
	int D = m->c.hidden, inter = m->c.inter;
	int64_t n = (int64_t)R * D, dim[] = { R, D };
	struct drops p = layer_drops(m, i);
	bool keep = m->training;
	struct cb_elem *res;
	struct mark mark, inner;

	/* where nothing is kept, x has done its work before y2 is made, and so
	 * have the queries and what they gave before f is */
	l->y2 = keep ? take(m, n) : x;
	mark = arena_mark(&m->arena);
	l->s1 = take(m, n);
	l->y1 = take(m, n);
	l->s2 = keep ? take(m, n) : l->s1;
	l->mean1 = take_f32(m, R);
	l->rstd1 = take_f32(m, R);
	l->mean2 = take_f32(m, R);
	l->rstd2 = take_f32(m, R);
	inner = arena_mark(&m->arena);
	l->x = x;
	l->qkv_y = take(m, 3 * (int64_t)T * D);
	l->o = take(m, (int64_t)T * D);
	l->lse = take_f32(m, (int64_t)T * A);
	e->linear_fwd(e, l->qkv, l->qkv_y, NULL, x, CB_ACT_NONE, T);
	e->attention_fwd(e, l->o, l->lse, l->qkv_y, b->seq, b->S, b->longest,
	    T, D, A, &p.probability);
	l->r = read_rows(m, i, l->o);
	res = read_rows(m, i, x);
	e->linear_fwd(e, l->attn, l->s1, NULL, l->r, CB_ACT_NONE, R);
	e->norm_fwd(e, l->y1, l->s1, l->mean1, l->rstd1, l->s1, res,
	    param(m, l->norm1.w), param(m, l->norm1.w + 1), R, D, &p.attention);

	if (!keep)
		arena_release(&m->arena, inner);
	l->z = keep ? take(m, (int64_t)R * inter) : NULL;
	l->f = take(m, (int64_t)R * inter);
	e->linear_fwd(e, l->inter, l->f, l->z, l->y1, CB_ACT_GELU, R);
	e->linear_fwd(e, l->out, l->s2, NULL, l->f, CB_ACT_NONE, R);
	e->norm_fwd(e, l->y2, l->s2, l->mean2, l->rstd2, l->s2, l->y1,
	    param(m, l->norm2.w), param(m, l->norm2.w + 1), R, D, &p.output);
	tap(m, l->y2, 2, dim, "layer.%d", i);
	if (!keep)
		arena_release(&m->arena, mark);
	return l->y2;
}

struct cb_elem *
bert_forward(struct cb_model *m, const struct cb_elem *grid, int F)
{
	struct cb_engine *e = m->e;
	struct bert *b = &m->bert;
	int D = m->c.hidden, i;
	int64_t dim[] = { b->S, D };
	struct cb_drop none = { 0 };
	struct cb_elem *x;

	embed_forward(m, grid, F);
	x = b->x0;
	for (i = 0; i < m->c.layers; i++)
		x = layer_forward(m, i, x);
	b->last = x;
	b->cls = take(m, (int64_t)b->S * D);
	b->pooled = take(m, (int64_t)b->S * D);
	e->rows_fwd(e, b->cls, x, NULL, b->first, b->S, D, &none);
	e->linear_fwd(e, b->pooler, b->pooled, NULL, b->cls, CB_ACT_TANH,
	    b->S);
	tap(m, b->pooled, 2, dim, "pooled");
	return b->pooled;
}

/* ---- backward ------------------------------------------------------------------ */

/* Gradient of s through drop(), in temp where there is dropout. */
static struct cb_elem *
norm_backward(struct cb_model *m, struct cb_elem *d, struct cb_elem *temp,
    const struct norm *w, const struct cb_elem *s, const float *mean,
    const float *rstd, int T, const struct cb_drop *p)
{
	m->e->norm_bwd(m->e, p->p > 0 ? temp : NULL, d, grad(m, w->w),
	    grad(m, w->w + 1), d, s, mean, rstd, param(m, w->w), T,
	    m->c.hidden, p);
	return p->p > 0 ? temp : d;
}

/* Gradient of y2 [R,D], which is overwritten, to that of x [T,D]; both are one
 * but in the last layer. */
static void
layer_backward(struct cb_model *m, int i, struct cb_elem *dy,
    struct cb_elem *dx)
{
	struct cb_engine *e = m->e;
	struct bert *b = &m->bert;
	struct layer *l = &b->layers[i];
	int T = b->T, R = rows_of(m, i), D = m->c.hidden, A = m->c.heads;
	int64_t n = (int64_t)T * D, nf = (int64_t)R * m->c.inter;
	struct drops p = layer_drops(m, i);
	struct mark mark = arena_mark(&m->arena);
	struct cb_elem *temp = take(m, (int64_t)R * D), *df = take(m, nf);
	struct cb_elem *d_o = take(m, n), *dqkv = take(m, 3 * n), *dh;
	struct cb_elem *dr = dx == dy ? d_o : take(m, (int64_t)R * D);

	dh = norm_backward(m, dy, temp, &l->norm2, l->s2, l->mean2, l->rstd2,
	    R, &p.output);
	e->linear_bwd(e, l->out, df, false, grad(m, l->p_out),
	    grad(m, l->p_out + 1), dh, l->f, R);
	e->act_bwd(e, df, df, l->z, CB_ACT_GELU, nf);
	e->linear_bwd(e, l->inter, dy, true, grad(m, l->p_inter),
	    grad(m, l->p_inter + 1), df, l->y1, R);

	dh = norm_backward(m, dy, temp, &l->norm1, l->s1, l->mean1, l->rstd1,
	    R, &p.attention);
	e->linear_bwd(e, l->attn, dr, false, grad(m, l->p_attn),
	    grad(m, l->p_attn + 1), dh, l->r, R);
	read_rows_back(m, d_o, dr);
	read_rows_back(m, dx, dy);
	e->attention_bwd(e, dqkv, d_o, l->o, l->lse, l->qkv_y, b->seq, b->S,
	    b->longest, T, D, A, &p.probability);
	e->linear_bwd(e, l->qkv, dx, true, grad(m, l->p_qkv_w),
	    grad(m, l->p_qkv_b), dqkv, l->x, T);
	arena_release(&m->arena, mark);
}

static void
embed_backward(struct cb_model *m, struct cb_elem *dgrid, struct cb_elem *d,
    int F)
{
	struct cb_engine *e = m->e;
	struct bert *b = &m->bert;
	int D = m->c.hidden, h = m->cnn.h, MV = b->M * b->V;
	struct cb_drop none = { 0 }, p = embedding_drop(m);
	struct cb_elem *dt = take(m, (int64_t)b->Tt * D);
	struct cb_elem *dv = take(m, (int64_t)MV * D);

	e->rows_bwd(e, dt, b->Tt, dv, MV, d, b->src, b->T, D, &p);
	norm_backward(m, dt, NULL, &b->tnorm, b->text_s, b->tmean, b->trstd,
	    b->Tt, &none);
	e->embed_text_bwd(e, grad(m, b->word), grad(m, b->position),
	    grad(m, b->type), dt, b->ids, b->pos, b->Tt, D);
	norm_backward(m, dv, NULL, &b->vnorm, b->vis_s, b->vmean, b->vrstd,
	    MV, &none);
	e->embed_grid_bwd(e, dgrid, grad(m, b->row), grad(m, b->col),
	    grad(m, b->vtype), dv, b->cells, b->M, F, h, h, b->V, D);
}

void
bert_backward(struct cb_model *m, struct cb_elem *dpooled,
    const struct cb_elem *dlast, struct cb_elem *dgrid, int F)
{
	struct cb_engine *e = m->e;
	struct bert *b = &m->bert;
	int D = m->c.hidden, i;
	struct mark mark = arena_mark(&m->arena);
	struct cb_elem *d = take(m, (int64_t)b->T * D);
	struct cb_elem *dread = take(m, (int64_t)b->R * D);
	struct cb_elem *dcls = take(m, (int64_t)b->S * D);
	struct cb_drop none = { 0 };

	e->act_bwd(e, dpooled, dpooled, b->pooled, CB_ACT_TANH,
	    (int64_t)b->S * D);
	e->linear_bwd(e, b->pooler, dcls, false, grad(m, b->p_pooler),
	    grad(m, b->p_pooler + 1), dpooled, b->cls, b->S);
	e->rows_bwd(e, dread, b->R, NULL, 0, dcls, b->first, b->S, D, &none);
	if (dlast != NULL)
		e->add(e, dread, dlast, (int64_t)b->R * D);
	for (i = m->c.layers - 1; i >= 0; i--)
		layer_backward(m, i, i == m->c.layers - 1 ? dread : d, d);
	embed_backward(m, dgrid, d, F);
	arena_release(&m->arena, mark);
}
