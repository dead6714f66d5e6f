/*
 * Every operation of an engine against its plain C twin, at ragged sizes, and
 * against itself with other numbers of threads.
 *
 * A case runs on an engine given to it and records what comes out.  It is run
 * on "ref" and on the engine under test; each output may differ by
 *
 *	(2^-24 (8 + 2 sqrt(terms)) + 4 u) max|ref| + slack
 *
 * where terms is the length of the sums that made it, and slack allows for the
 * engine's own erf (1e-6 or so).  Activations that "ref" sees are rounded to the
 * elements of the engine under test; u is what one such rounding may change: 0
 * in f32, 2^-8 in bf16, 2^-11 in f16 and for the products of tf32.  Weights,
 * results and what an operation keeps are rounded once each.  Then once more
 * with 2 and 5 threads: same bits.  Of CUDA these are instead a run without
 * graphs, and one that comes back to its graphs.
 *
 *	engine [NAME[:PRECISION]]	default cpu
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"
#include "tap.h"

#define MAX_OUT 12
#define MAX_MEM 64

struct out {
	const char *name;
	float	*v;
	int64_t	 n;
	double	 terms, slack;
};

enum elem { F32, BF16, F16 };
static enum elem elem;		/* of the engine under test */
static double unit;		/* u above */

struct run {
	struct cb_engine *e;
	struct out out[MAX_OUT];
	int	 nout;
	void	*mem[MAX_MEM];
	int	 nmem;
	uint32_t seed;
};

/* ---- making inputs, recording outputs */

static void *
mem(struct run *r, int64_t bytes)
{
	void *p = r->e->alloc(r->e, bytes);

	if (p == NULL || r->nmem == MAX_MEM)
		abort();
	return r->mem[r->nmem++] = p;
}

static void *
ints(struct run *r, const int32_t *v, int64_t n)
{
	void *p = mem(r, n * 4);

	r->e->put(r->e, p, v, n * 4);
	return p;
}

static float *
noise(struct run *r, int64_t n, double lo, double hi)
{
	struct cb_rng rng = { 7, 0, 0, ++r->seed };
	float *v = malloc(sizeof(*v) * (n + 1));
	int64_t i;

	for (i = 0; i < n; i++)
		v[i] = (float)(lo + (hi - lo) * cb_rng_real(&rng, (uint32_t)i));
	return v;
}

/* f32 parameters. */
static float *
params(struct run *r, int64_t n, double lo, double hi)
{
	float *v = noise(r, n, lo, hi), *p = mem(r, n * 4);

	r->e->put(r->e, p, v, n * 4);
	free(v);
	return p;
}

/* To the nearest element, of two the even one. */
static float
rounded(float f)
{
	uint32_t u;

	if (elem == F16)
		return (float)(_Float16)f;
	if (elem == F32)
		return f;
	memcpy(&u, &f, sizeof(u));
	u = (u + 0x7fff + (u >> 16 & 1)) & 0xffff0000;
	memcpy(&f, &u, sizeof(f));
	return f;
}

/* v, freed, rounded to elements. */
static void
put_acts(struct run *r, struct cb_elem *p, float *v, int64_t n)
{
	int64_t i;

	for (i = 0; i < n; i++)
		v[i] = rounded(v[i]);
	r->e->put_elem(r->e, p, v, n);
	free(v);
}

/* Activations in -1 .. 1. */
static struct cb_elem *
acts(struct run *r, int64_t n)
{
	struct cb_elem *p = mem(r, n * (int64_t)r->e->elem_size);

	put_acts(r, p, noise(r, n, -1, 1), n);
	return p;
}

static struct out *
record(struct run *r, const char *name, int64_t n, double terms)
{
	struct out *o = &r->out[r->nout++];

	if (r->nout > MAX_OUT)
		abort();
	*o = (struct out){ name, calloc(n + 1, sizeof(float)), n, terms, 0 };
	return o;
}

static struct out *
out_elem(struct run *r, const char *name, const struct cb_elem *p, int64_t n,
    double terms)
{
	struct out *o = record(r, name, n, terms);

	r->e->get_elem(r->e, o->v, p, n);
	return o;
}

static struct out *
out_f32(struct run *r, const char *name, const float *p, int64_t n,
    double terms)
{
	struct out *o = record(r, name, n, terms);

	r->e->get(r->e, o->v, p, n * 4);
	return o;
}

static void
run_clear(struct run *r)
{
	while (r->nout > 0)
		free(r->out[--r->nout].v);
	while (r->nmem > 0)
		r->e->release(r->e, r->mem[--r->nmem]);
	r->seed = 0;
}

/* ---- the cases */

typedef void case_fn(struct run *r, const void *arg);

struct conv_case {
	struct cb_conv g;
	int	 P;
	bool	 res, relu, scale, add;
};

static void
conv_case(struct run *r, const void *arg)
{
	const struct conv_case *c = arg;
	const struct cb_conv *g = &c->g;
	struct cb_engine *e = r->e;
	int OH = (g->H + 2 * g->pad - g->k) / g->stride + 1;
	int OW = (g->W + 2 * g->pad - g->k) / g->stride + 1;
	int64_t nx = (int64_t)c->P * g->H * g->W * g->C, ny = (int64_t)c->P *
	    OH * OW * g->O, nw = (int64_t)g->O * g->C * g->k * g->k;
	double terms = g->C * g->k * g->k;
	struct cb_elem *x = acts(r, nx), *y = acts(r, ny), *dx = acts(r, nx);
	struct cb_elem *res = acts(r, ny), *dy = acts(r, ny);
	float *w = params(r, nw, -1, 1), *scale = params(r, g->O, .5, 2);
	float *shift = params(r, g->O, -1, 1), *dw = params(r, nw, -1, 1);
	float *again = params(r, nw, -1, 1);
	struct cb_conv_plan *plan;

	if (e->conv_new(e, &plan, g) < 0)
		abort();
	e->conv_pack(e, plan, w, c->scale ? scale : NULL,
	    c->scale ? shift : NULL, true);
	e->conv_fwd(e, plan, y, x, c->res ? res : NULL, c->relu, c->P);
	out_elem(r, "y", y, ny, terms);
	e->conv_bwd(e, plan, dx, c->add, dw, dy, x, c->P);
	out_elem(r, "dx", dx, nx, (double)g->O * g->k * g->k);
	out_f32(r, "dw", dw, nw, (double)c->P * OH * OW);
	/* New weights; then only one of the two gradients. */
	e->conv_pack(e, plan, again, NULL, shift, true);
	e->conv_fwd(e, plan, y, x, NULL, false, c->P);
	out_elem(r, "y again", y, ny, terms);
	e->conv_bwd(e, plan, NULL, false, dw, dy, x, c->P);
	e->conv_bwd(e, plan, dx, false, NULL, dy, x, c->P);
	out_elem(r, "dx alone", dx, nx, (double)g->O * g->k * g->k);
	out_f32(r, "dw alone", dw, nw, (double)c->P * OH * OW);
	y = e->on_host ? res : y;
	e->conv_fwd(e, plan, y, x, res, c->relu, c->P);
	out_elem(r, "y in place", y, ny, terms);
	e->conv_free(e, plan);
}

struct pool_case {
	struct cb_pool2d g;
	int	 P;
};

static void
pool_case(struct run *r, const void *arg)
{
	const struct pool_case *c = arg;
	const struct cb_pool2d *g = &c->g;
	struct cb_engine *e = r->e;
	int OH = (g->H + 2 * g->pad - g->k) / g->stride + 1;
	int OW = (g->W + 2 * g->pad - g->k) / g->stride + 1, i;
	int64_t nx = (int64_t)c->P * g->H * g->W * g->C, ny = (int64_t)c->P *
	    OH * OW * g->C;
	struct cb_elem *x = acts(r, nx), *y = acts(r, ny), *dx = acts(r, nx);
	struct cb_elem *dy = acts(r, ny);
	float *v = noise(r, nx, -9, 5);

	for (i = 0; i < nx; i++)	/* whole numbers: many ties */
		v[i] = truncf(v[i]);
	put_acts(r, x, v, nx);
	e->pool_fwd(e, y, x, g, c->P);
	out_elem(r, "y", y, ny, 0);
	e->pool_bwd(e, dx, dy, x, y, g, c->P);
	out_elem(r, "dx", dx, nx, 4);
}

static void
moments_case(struct run *r, const void *arg)
{
	const int *a = arg;
	struct cb_elem *x = acts(r, (int64_t)a[0] * a[1]);
	float *mean = params(r, a[1], 0, 1), *var = params(r, a[1], 0, 1);

	r->e->moments(r->e, mean, var, x, a[0], a[1]);
	out_f32(r, "mean", mean, a[1], 0);
	out_f32(r, "var", var, a[1], 0);
}

/* Index i -> a row below n, with repeats. */
static void
spread_ids(int32_t *v, int T, int n)
{
	int i;

	for (i = 0; i < T; i++)
		v[i] = i * 7 % 13 % n;
}

static void
text_case(struct run *r, const void *arg)
{
	const int *a = arg;
	int T = a[0], D = a[1], n = 11;
	struct cb_engine *e = r->e;
	int32_t v[1024];
	int32_t *ids, *pos;
	struct cb_elem *x = acts(r, (int64_t)T * D);
	float *word = params(r, n * D, -1, 1), *type = params(r, D, -1, 1);
	float *position = params(r, n * D, -1, 1);

	spread_ids(v, T, n);
	ids = ints(r, v, T);
	spread_ids(v, T, 5);
	pos = ints(r, v, T);
	e->embed_text_fwd(e, x, ids, pos, word, position, type, T, D);
	out_elem(r, "x", x, (int64_t)T * D, 3);
	e->embed_text_bwd(e, word, position, type, x, ids, pos, T, D);
	e->embed_text_bwd(e, NULL, NULL, NULL, x, ids, pos, T, D);
	out_f32(r, "dword", word, n * D, T);
	out_f32(r, "dposition", position, n * D, T);
	out_f32(r, "dtype", type, D, T);
}

struct grid_case {
	int	 M, F, h, w, V, D;
};

static void
grid_case(struct run *r, const void *arg)
{
	const struct grid_case *c = arg;
	struct cb_engine *e = r->e;
	int64_t n = (int64_t)c->M * c->F * c->h * c->w * c->D;
	int32_t v[256], i, *cells = NULL, V = c->V > 0 ? c->V : c->h * c->w;
	struct cb_elem *grid = acts(r, n), *x;
	float *row = params(r, c->h * c->D, -1, 1);
	float *col = params(r, c->w * c->D, -1, 1);
	float *type = params(r, c->D, -1, 1);

	x = acts(r, (int64_t)c->M * V * c->D);
	for (i = 0; i < c->V; i++)
		v[i] = i * c->h * c->w / c->V;
	if (c->V > 0)
		cells = ints(r, v, V);
	e->embed_grid_fwd(e, x, grid, row, col, type, cells, c->M, c->F, c->h,
	    c->w, V, c->D);
	out_elem(r, "x", x, (int64_t)c->M * V * c->D, c->F);
	e->embed_grid_bwd(e, grid, row, col, type, x, cells, c->M, c->F, c->h,
	    c->w, V, c->D);
	out_elem(r, "dgrid", grid, n, 1);
	out_f32(r, "drow", row, c->h * c->D, c->M * V);
	out_f32(r, "dcol", col, c->w * c->D, c->M * V);
	out_f32(r, "dtype", type, c->D, c->M * V);
}

struct row_case {
	int	 T, D;
	float	 p;
	bool	 res;
	int	 alias;		/* 0: none; 1: s is x, ds is dy; 2: s is res */
};

static struct cb_drop
drop_of(float p)
{
	return (struct cb_drop){ p, { 12345678901234567u, 1003, 2, 99 },
	    ((int64_t)1 << 32) - 4099 };
}

static void
rows_case(struct run *r, const void *arg)
{
	const struct row_case *c = arg;
	struct cb_engine *e = r->e;
	int T = c->T, D = c->D, i;
	int32_t v[1024], *src;
	struct cb_drop drop = drop_of(c->p);
	struct cb_elem *a = acts(r, 7 * D), *b = acts(r, 6 * D);
	struct cb_elem *y = acts(r, (int64_t)T * D);

	for (i = 0; i < T; i++)
		v[i] = i * 5 % 12 - 5;	/* row 6 of a and b stay unused */
	src = ints(r, v, T);
	e->rows_fwd(e, y, a, b, src, T, D, &drop);
	out_elem(r, "y", y, (int64_t)T * D, 0);
	e->rows_bwd(e, a, 7, b, 6, y, src, T, D, &drop);
	out_elem(r, "da", a, 7 * D, T);
	out_elem(r, "db", b, 6 * D, T);
}

static void
norm_case(struct run *r, const void *arg)
{
	const struct row_case *c = arg;
	struct cb_engine *e = r->e;
	int T = c->T, D = c->D;
	int64_t n = (int64_t)T * D;
	struct cb_drop drop = drop_of(c->p);
	struct cb_elem *x = acts(r, n), *res = acts(r, n), *y = acts(r, n);
	struct cb_elem *s = c->alias == 1 ? x : c->alias == 2 ? res :
	    acts(r, n);
	struct cb_elem *dy = acts(r, n), *dx = acts(r, n);
	struct cb_elem *ds = c->alias == 1 ? dy : acts(r, n);
	float *gain = params(r, D, .5, 2), *bias = params(r, D, -1, 1);
	float *mean = params(r, T, 0, 0), *rstd = params(r, T, 0, 0);
	float *dgain = params(r, D, -1, 1);

	e->norm_fwd(e, y, s, mean, rstd, x, c->res ? res : NULL, gain, bias, T,
	    D, &drop);
	out_elem(r, "y", y, n, D);
	out_elem(r, "s", s, n, 0);
	out_f32(r, "mean", mean, T, D)->slack = 1e-6;
	out_f32(r, "rstd", rstd, T, D);
	e->norm_bwd(e, c->p > 0 ? dx : NULL, ds, dgain, bias, dy, s, mean,
	    rstd, gain, T, D, &drop);
	out_elem(r, "ds", ds, n, D);
	if (c->p > 0)
		out_elem(r, "dx", dx, n, D);
	out_f32(r, "dgain", dgain, D, T + D);
	out_f32(r, "dbias", bias, D, T);
}

static void
batchnorm_case(struct run *r, const void *arg)
{
	const int *a = arg;
	struct cb_engine *e = r->e;
	int T = a[0], D = a[1];
	int64_t n = (int64_t)T * D;
	struct cb_elem *x = acts(r, n), *y = acts(r, n), *dy = acts(r, n);
	float *gain = params(r, D, .5, 2), *bias = params(r, D, -1, 1);
	float *running = params(r, 2 * D + 1, .5, 2);
	float *mean = params(r, D, 0, 0), *rstd = params(r, D, 0, 0);
	float *dgain = params(r, D, -1, 1);

	e->batchnorm_fwd(e, y, NULL, NULL, running, x, gain, bias, T, D, false);
	out_elem(r, "y of running", y, n, 4);
	e->batchnorm_fwd(e, y, mean, rstd, running, x, gain, bias, T, D, true);
	out_elem(r, "y", y, n, T);
	out_f32(r, "mean", mean, D, T);
	out_f32(r, "rstd", rstd, D, T);
	out_f32(r, "running", running, 2 * D + 1, T);
	e->batchnorm_bwd(e, dy, dgain, bias, dy, x, mean, rstd, gain, T, D);
	e->batchnorm_bwd(e, y, NULL, NULL, dy, x, mean, rstd, gain, T, D);
	out_elem(r, "dx", dy, n, T);
	out_f32(r, "dgain", dgain, D, T);
	out_f32(r, "dbias", bias, D, T);
}

struct linear_case {
	int	 T, I, O;
	enum cb_act act;
	bool	 keep, add;
};

static void
linear_case(struct run *r, const void *arg)
{
	const struct linear_case *c = arg;
	struct cb_engine *e = r->e;
	int T = c->T, I = c->I, O = c->O;
	struct cb_elem *x = acts(r, (int64_t)T * I), *y = acts(r, (int64_t)T *
	    O), *z = acts(r, (int64_t)T * O), *dz = acts(r, (int64_t)T * O);
	struct cb_elem *dx = acts(r, (int64_t)T * I);
	float *w = params(r, (int64_t)I * O, -1, 1), *b = params(r, O, -1, 1);
	struct cb_linear_plan *plan;

	if (e->linear_new(e, &plan, I, O) < 0)
		abort();
	e->linear_pack(e, plan, w, b, true);
	e->linear_fwd(e, plan, y, c->keep ? z : NULL, x, c->act, T);
	out_elem(r, "y", y, (int64_t)T * O, I)->slack = 2e-6;
	if (c->keep)
		out_elem(r, "z", z, (int64_t)T * O, I);
	e->linear_bwd(e, plan, dx, c->add, w, b, dz, x, T);
	e->linear_bwd(e, plan, NULL, false, NULL, NULL, dz, x, T);
	out_elem(r, "dx", dx, (int64_t)T * I, O);
	out_f32(r, "dw", w, (int64_t)I * O, T);
	out_f32(r, "dbias", b, O, T);
	e->linear_pack(e, plan, w, NULL, false);
	e->linear_fwd(e, plan, y, NULL, x, CB_ACT_NONE, T);
	out_elem(r, "y again", y, (int64_t)T * O, I);
	e->linear_free(e, plan);
}

static void
act_case(struct run *r, const void *arg)
{
	const int *a = arg;
	struct cb_engine *e = r->e;
	struct cb_elem *k = acts(r, a[1]), *dy = acts(r, a[1]);
	float *v = noise(r, a[1], -6, 6);

	if (a[0] != CB_ACT_TANH)
		put_acts(r, k, v, a[1]);
	else
		free(v);
	e->act_bwd(e, dy, dy, k, a[0], a[1]);
	out_elem(r, "dz", dy, a[1], 0)->slack = 2e-6;
	e->add(e, dy, k, a[1]);
	out_elem(r, "sum", dy, a[1], 0)->slack = 2e-6;
}

struct attention_case {
	int	 S, D, A, first, more;	/* lengths: first + (i * more) % 7 */
	float	 p;
};

static void
attention_case(struct run *r, const void *arg)
{
	const struct attention_case *c = arg;
	struct cb_engine *e = r->e;
	int32_t seq[64] = { 0 }, longest = 0, i, n, T, D = c->D;
	struct cb_drop drop = drop_of(c->p);
	struct cb_elem *qkv, *o, *d_o, *d;
	float *lse;
	int32_t *at;

	for (i = 0; i < c->S; i++) {
		n = c->first + i * c->more % 7;
		seq[i + 1] = seq[i] + n;
		longest = n > longest ? n : longest;
	}
	T = seq[c->S];
	at = ints(r, seq, c->S + 1);
	qkv = acts(r, (int64_t)T * 3 * D);
	o = acts(r, (int64_t)T * D);
	d_o = acts(r, (int64_t)T * D);
	d = acts(r, (int64_t)T * 3 * D);
	lse = params(r, (int64_t)T * c->A, 0, 0);
	e->attention_fwd(e, o, lse, qkv, at, c->S, longest, T, D, c->A, &drop);
	out_elem(r, "o", o, (int64_t)T * D, longest + D / c->A);
	out_f32(r, "lse", lse, (int64_t)T * c->A, longest + D / c->A);
	e->attention_bwd(e, d, d_o, o, lse, qkv, at, c->S, longest, T, D, c->A,
	    &drop);
	out_elem(r, "dqkv", d, (int64_t)T * 3 * D, longest + D / c->A);
}

static void
loss_case(struct run *r, const void *arg)
{
	const struct cb_loss *l = arg;
	struct cb_engine *e = r->e;
	int64_t n = (int64_t)l->N * l->C, each = l->kind == CB_LOSS_BCE ? n :
	    l->kind == CB_LOSS_RANK ? l->N / l->group * (l->group - 1) : l->N;
	struct cb_elem *x = acts(r, l->K * n), *dx = acts(r, l->K * n);
	float *out = params(r, n, 0, 1), *v = noise(r, l->K * n, -8, 8);
	float *a = params(r, each, 0, 1), *total = params(r, 1, 0, 0);
	void *labels = params(r, n, 0, 1);
	int32_t ids[512], i;
	struct out *o;

	for (i = 0; i < l->K * n; i += 3)	/* ties between clips */
		v[i] = 2;
	put_acts(r, x, v, l->K * n);
	for (i = 0; i < l->N; i++)
		ids[i] = i % 4 == 3 ? -100 : i * 5 % l->C;
	if (l->kind == CB_LOSS_CE)
		labels = ints(r, ids, l->N);
	e->pool_scores(e, out, x, l->agg, l->K, l->N, l->C);
	out_f32(r, "pooled", out, n, l->K);
	e->loss(e, total, a, NULL, x, labels, l);
	out_f32(r, "total alone", total, 1, each);
	e->loss(e, total, a, dx, x, labels, l);
	out_f32(r, "total", total, 1, each);
	out_f32(r, "each", a, each, l->C);
	out_elem(r, "dclip", dx, l->K * n, l->C);
	/* on a scale that can be, and divided by it again */
	e->loss_scale = e->scales ? 1024 : 1;
	e->loss(e, total, a, dx, x, labels, l);
	out_f32(r, "total of scaled", total, 1, each);
	o = out_elem(r, "scaled dclip", dx, l->K * n, l->C);
	for (i = 0; i < l->K * n; i++)
		o->v[i] /= e->loss_scale;
	e->loss_scale = 1;
}

static void
adamw_case(struct run *r, const void *arg)
{
	int n = *(const int *)arg, i;
	struct cb_engine *e = r->e;
	float *w = params(r, n, -1, 1), *m = params(r, n, -1, 1);
	float *v = params(r, n, 0, 1), *g = params(r, n, -1, 1);
	struct cb_adamw a = { 1e-2f, .9f, .98f, 1e-6f, 1e-2f, .5f, .25f };
	struct out *o;
	double s = -1;

	for (i = 0; i < 3; i++)
		e->adamw(e, w, m, v, g, n, &a);
	out_f32(r, "w", w, n, 1);
	out_f32(r, "m", m, n, 1);
	out_f32(r, "v", v, n, 1);
	e->sumsq(e, &s, g, n);
	if (e->sync(e) < 0)
		abort();
	o = record(r, "sumsq", 1, 0);
	o->v[0] = (float)s;
}

/*
 * Maps that take their weights from one vector, right behind AdamW: what it does
 * as a whole or in parts, what two maps share, what is frozen.
 */
enum { PACK_T = 6, PACK_ALL = 512 };
enum { ONE_STEP, TWO_STEPS, PUT_BETWEEN, PUT_BEHIND, AGAIN };

static const struct { int w, bias, I, O; } pack_linear[] = {
	{ 0, 384, 12, 9 }, { 0, 384, 12, 9 }, { 393, -1, 12, 9 },
	{ 380, 396, 10, 2 }, { 373, 3, 4, 3 },
};
static const struct { int w; struct cb_conv g; } pack_conv[] = {
	{ 108, { 3, 2, 12, 8, 1, 1, 0, 0 } }, { 204, { 3, 2, 5, 4, 3, 1, 1, 0 } },
};
static const struct { int at, n; } pack_steps[] = {
	{ 0, 150 }, { 150, 234 }, { 384, 9 },
};

struct packed {
	struct cb_linear_plan *linear[CB_LEN(pack_linear)];
	struct cb_conv_plan *conv[CB_LEN(pack_conv)];
	float	*w, *m, *v, *g, *scale;
	struct cb_elem *x;
};

static void
pack_adamw(struct run *r, const struct packed *p)
{
	struct cb_adamw a = { .b1 = .9f, .b2 = .98f, .eps = 1e-6f,
	    .fix = .5f, .grad_scale = .25f };
	int i, at;

	for (i = 0; i < (int)CB_LEN(pack_steps); i++) {
		at = pack_steps[i].at;
		a.lr = .1f * (float)(i + 1);
		r->e->adamw(r->e, p->w + at, p->m + at, p->v + at, p->g + at,
		    pack_steps[i].n, &a);
	}
}

static void
pack_all(struct run *r, const struct packed *p)
{
	int i, b;

	for (i = (int)CB_LEN(pack_conv) - 1; i >= 0; i--)
		r->e->conv_pack(r->e, p->conv[i], p->w + pack_conv[i].w,
		    i == 0 ? p->scale : NULL, p->scale + 8, true);
	for (i = 0; i < (int)CB_LEN(pack_linear); i++) {
		b = pack_linear[i].bias;
		r->e->linear_pack(r->e, p->linear[i], p->w + pack_linear[i].w,
		    b < 0 ? NULL : p->w + b, true);
	}
}

static void
pack_use(struct run *r, const struct packed *p)
{
	struct cb_engine *e = r->e;
	struct cb_elem *y;
	int i;

	for (i = 0; i < (int)CB_LEN(pack_linear); i++) {
		y = acts(r, PACK_T * pack_linear[i].O);
		e->linear_fwd(e, p->linear[i], y, NULL, p->x, CB_ACT_NONE,
		    PACK_T);
		out_elem(r, "linear", y, PACK_T * pack_linear[i].O,
		    pack_linear[i].I);
	}
	for (i = 0; i < (int)CB_LEN(pack_conv); i++) {
		y = acts(r, PACK_T * pack_conv[i].g.O);
		e->conv_fwd(e, p->conv[i], y, p->x, NULL, false, 1);
		out_elem(r, "conv", y, PACK_T * pack_conv[i].g.O, 45);
	}
}

static void
packs_case(struct run *r, const void *arg)
{
	const int what = *(const int *)arg;
	struct cb_engine *e = r->e;
	struct packed p;
	float *fresh = noise(r, PACK_ALL, -1, 1);
	int i;

	p.w = params(r, PACK_ALL, -1, 1);
	p.m = params(r, PACK_ALL, -1, 1);
	p.v = params(r, PACK_ALL, 0, 1);
	p.g = params(r, PACK_ALL, -1, 1);
	p.scale = params(r, 16, .5, 2);
	p.x = acts(r, PACK_T * 12);
	for (i = 0; i < (int)CB_LEN(pack_linear); i++)
		if (e->linear_new(e, &p.linear[i], pack_linear[i].I,
		    pack_linear[i].O) < 0)
			abort();
	for (i = 0; i < (int)CB_LEN(pack_conv); i++)
		if (e->conv_new(e, &p.conv[i], &pack_conv[i].g) < 0)
			abort();
	pack_adamw(r, &p);
	if (what == PUT_BETWEEN)
		e->put(e, p.w + 60, fresh, 330 * (int64_t)sizeof(*fresh));
	pack_all(r, &p);
	if (what == PUT_BEHIND) {
		e->put(e, p.w, fresh, PACK_ALL * (int64_t)sizeof(*fresh));
		pack_all(r, &p);
	}
	if (what == TWO_STEPS) {
		pack_adamw(r, &p);
		pack_all(r, &p);
	}
	if (what == AGAIN)
		for (i = 0; i < 80; i++)	/* more than are collected */
			pack_all(r, &p);
	pack_use(r, &p);
	for (i = 0; i < (int)CB_LEN(pack_linear); i++)
		e->linear_free(e, p.linear[i]);
	for (i = 0; i < (int)CB_LEN(pack_conv); i++)
		e->conv_free(e, p.conv[i]);
	out_f32(r, "w", p.w, PACK_ALL, 1);
	free(fresh);
}

struct picture_case {
	int	 h, w, S;
};

/* x is of P pictures of S x S; what is behind B G R, which are left, is zero. */
static void
out_pictures(struct run *r, const struct cb_elem *x, int P, int S)
{
	const int colours = 3 + r->e->blank;
	const int64_t n = (int64_t)P * S * S;
	struct out *o = record(r, "x", n * colours, 1);
	int64_t i;

	r->e->get_elem(r->e, o->v, x, o->n);
	for (i = 0; i < o->n; i++)
		if (i % colours < 3)
			o->v[i / colours * 3 + i % colours] = o->v[i];
		else if (o->v[i] != 0)
			abort();
	o->n = 3 * n;
}

/* The convolution of pictures, and its gradient. */
static void
stem(struct run *r, const struct cb_elem *x, int P, int S)
{
	const struct cb_conv g = { S, S, 3, 5, 3, 1, 1, r->e->blank };
	const int64_t ny = (int64_t)P * S * S * 5;
	float *w = params(r, 5 * 3 * 9, -.01, .01);
	float *dw = params(r, 5 * 3 * 9, -1, 1);
	struct cb_elem *y = acts(r, ny), *dy = acts(r, ny);
	struct cb_conv_plan *c;

	if (r->e->conv_new(r->e, &c, &g) < 0)
		abort();
	r->e->conv_pack(r->e, c, w, NULL, NULL, true);
	r->e->conv_fwd(r->e, c, y, x, NULL, false, P);
	r->e->conv_bwd(r->e, c, NULL, false, dw, dy, x, P);
	out_elem(r, "stem", y, ny, 27);
	out_f32(r, "its gradient", dw, 5 * 3 * 9, (double)P * S * S);
	r->e->conv_free(r->e, c);
}

static void
prepare_case(struct run *r, const void *arg)
{
	const struct picture_case *c = arg;
	struct cb_array a[3];
	int64_t dim[3] = { c->h, c->w, 3 }, n = (int64_t)c->S * c->S * 3 *
	    (3 + r->e->blank), i;
	struct cb_rng rng = { 3, 1, 2, 3 };
	struct cb_elem *x = mem(r, n * (int64_t)r->e->elem_size);
	int k;

	for (k = 0; k < 3; k++) {
		if (cb_array_init(&a[k], CB_U8, 3, dim) < 0)
			abort();
		for (i = 0; i < cb_array_count(&a[k]); i++)
			((uint8_t *)a[k].data)[i] = (uint8_t)cb_rng_u32(&rng,
			    (uint32_t)(i + 1000 * k));
	}
	r->e->expect(r->e, a, 3);
	r->e->prepare(r->e, x, a, 3, c->S, (float[]){ 123.675f, 116.28f,
	    103.53f }, (float[]){ 1, 2, .5f });
	out_pictures(r, x, 3, c->S);
	stem(r, x, 3, c->S);
	r->e->forget(r->e, a, 3);
	for (k = 0; k < 3; k++)
		cb_array_clear(&a[k]);
}

/* Nothing to do is no reason to fail. */
static void
empty_case(struct run *r, const void *arg)
{
	struct cb_engine *e = r->e;
	struct cb_elem *x = acts(r, 64);
	float *f = params(r, 64, 0, 1), *dw = params(r, 16, 1, 2);
	int32_t zero = 0;
	int32_t *i = ints(r, &zero, 1);
	struct cb_conv g = { 4, 4, 4, 4, 1, 1, 0, 0 };
	struct cb_pool2d p = { 4, 4, 4, 2, 2, 0, true };
	struct cb_conv_plan *c;
	struct cb_linear_plan *l;
	double s = -1;

	(void)arg;
	if (e->conv_new(e, &c, &g) < 0 || e->linear_new(e, &l, 4, 4) < 0)
		abort();
	e->conv_pack(e, c, dw, NULL, NULL, true);
	e->conv_fwd(e, c, x, x, NULL, true, 0);
	e->conv_bwd(e, c, x, false, dw, x, x, 0);
	e->pool_fwd(e, x, x, &p, 0);
	e->pool_bwd(e, x, x, x, x, &p, 0);
	e->linear_pack(e, l, dw, NULL, true);
	e->linear_fwd(e, l, x, NULL, x, CB_ACT_GELU, 0);
	e->linear_bwd(e, l, x, false, dw, f, x, x, 0);
	e->embed_text_fwd(e, x, i, i, f, f, f, 0, 4);
	e->embed_text_bwd(e, f, f, f, x, i, i, 0, 4);
	e->embed_grid_fwd(e, x, x, f, f, f, NULL, 0, 1, 2, 2, 4, 4);
	e->embed_grid_bwd(e, x, f, f, f, x, NULL, 0, 1, 2, 2, 4, 4);
	e->rows_fwd(e, x, x, NULL, i, 0, 4, NULL);
	e->norm_fwd(e, x, x, f, f, x, NULL, f, f, 0, 4, NULL);
	e->norm_bwd(e, NULL, x, f, f, x, x, f, f, f, 0, 4, NULL);
	e->attention_fwd(e, x, f, x, i, 0, 0, 0, 4, 1, NULL);
	e->attention_bwd(e, x, x, x, f, x, i, 0, 0, 0, 4, 1, NULL);
	e->act_bwd(e, x, x, x, CB_ACT_GELU, 0);
	e->add(e, x, x, 0);
	e->adamw(e, f, f, f, f, 0, &(struct cb_adamw){ .lr = 1 });
	e->sumsq(e, &s, f, 0);
	e->expect(e, NULL, 0);
	e->prepare(e, x, NULL, 0, 8, f, f);
	e->forget(e, NULL, 0);
	out_f32(r, "untouched parameters", f, 64, 0);
	out_f32(r, "untouched gradient", dw, 16, 0);
	out_elem(r, "untouched activations", x, 64, 0);
	record(r, "sumsq", 1, 0)->v[0] = (float)s;
	e->conv_free(e, c);
	e->linear_free(e, l);
}

#define CASE(what, type, ...) { #what " " #__VA_ARGS__, what##_case, \
	&(const type)__VA_ARGS__ }

static const struct {
	const char *name;
	case_fn *fn;
	const void *arg;
} cases[] = {
	/* H W C O k stride pad, P, res relu scale add */
	CASE(conv, struct conv_case, {{ 5, 4, 1, 2, 1, 1, 0, 0 },
	    1, 0, 0, 1, 0 }),
	CASE(conv, struct conv_case, {{ 7, 6, 2, 3, 3, 1, 1, 0 },
	    2, 1, 1, 1, 1 }),
	CASE(conv, struct conv_case, {{ 9, 9, 3, 8, 7, 2, 3, 0 },
	    3, 0, 1, 1, 0 }),
	CASE(conv, struct conv_case, {{ 8, 9, 8, 16, 3, 1, 1, 0 },
	    5, 1, 0, 0, 1 }),
	CASE(conv, struct conv_case, {{ 7, 7, 16, 17, 1, 2, 0, 0 },
	    4, 1, 1, 1, 1 }),
	CASE(conv, struct conv_case, {{ 8, 8, 16, 16, 1, 2, 0, 0 },
	    17, 0, 1, 1, 0 }),
	CASE(conv, struct conv_case, {{ 6, 5, 17, 33, 3, 2, 1, 0 },
	    5, 1, 1, 1, 0 }),
	CASE(conv, struct conv_case, {{ 4, 4, 33, 64, 3, 1, 1, 0 },
	    9, 1, 1, 1, 1 }),
	CASE(conv, struct conv_case, {{ 2, 2, 64, 32, 3, 1, 1, 0 },
	    19, 0, 0, 0, 0 }),
	/* whole vectors of channels: by taps, ragged panels and rows */
	CASE(conv, struct conv_case, {{ 13, 7, 48, 80, 1, 1, 0, 0 },
	    2, 1, 1, 1, 1 }),
	CASE(conv, struct conv_case, {{ 23, 21, 64, 64, 3, 1, 1, 0 },
	    1, 1, 1, 1, 0 }),
	CASE(conv, struct conv_case, {{ 9, 5, 16, 48, 3, 1, 1, 0 },
	    6, 0, 1, 1, 1 }),
	CASE(conv, struct conv_case, {{ 9, 7, 32, 48, 1, 2, 0, 0 },
	    31, 1, 1, 1, 0 }),
	CASE(conv, struct conv_case, {{ 9, 8, 48, 32, 3, 2, 1, 0 },
	    3, 1, 1, 1, 1 }),
	CASE(conv, struct conv_case, {{ 3, 3, 1024, 32, 1, 1, 0, 0 },
	    1, 0, 0, 0, 0 }),
	CASE(conv, struct conv_case, {{ 10, 10, 64, 32, 1, 3, 0, 0 },
	    3, 0, 0, 1, 1 }),
	CASE(conv, struct conv_case, {{ 43, 37, 16, 64, 7, 2, 3, 0 },
	    1, 0, 1, 1, 0 }),
	/* few rows, many weights */
	CASE(conv, struct conv_case, {{ 5, 5, 528, 512, 1, 1, 0, 0 },
	    1, 1, 1, 1, 1 }),
	CASE(conv, struct conv_case, {{ 9, 7, 1040, 272, 1, 2, 0, 0 },
	    2, 1, 0, 1, 0 }),
	/* by Winograd, tiles whole and cut */
	CASE(conv, struct conv_case, {{ 12, 16, 64, 96, 3, 1, 1, 0 },
	    4, 1, 1, 1, 1 }),
	CASE(conv, struct conv_case, {{ 12, 13, 160, 64, 3, 1, 1, 0 },
	    3, 1, 1, 1, 1 }),
	CASE(conv, struct conv_case, {{ 29, 31, 96, 64, 3, 1, 1, 0 },
	    1, 0, 1, 1, 0 }),
	CASE(conv, struct conv_case, {{ 13, 14, 64, 64, 3, 1, 1, 0 },
	    31, 1, 0, 1, 0 }),
	/* sums that oneDNN makes in parts */
	CASE(conv, struct conv_case, {{ 9, 7, 1030, 24, 1, 1, 0, 0 },
	    2, 1, 1, 1, 0 }),
	CASE(conv, struct conv_case, {{ 9, 7, 1040, 40, 3, 2, 1, 0 },
	    2, 1, 1, 1, 0 }),
	/* few channels: by windows, inside and over every edge */
	CASE(conv, struct conv_case, {{ 43, 37, 3, 64, 7, 2, 3, 0 },
	    2, 0, 1, 1, 0 }),
	CASE(conv, struct conv_case, {{ 5, 6, 15, 48, 3, 1, 1, 0 },
	    3, 1, 1, 1, 1 }),
	CASE(conv, struct conv_case, {{ 3, 2, 1, 16, 5, 3, 4, 0 },
	    1, 1, 0, 1, 0 }),
	/* H W C k stride pad relu, P */
	CASE(pool, struct pool_case, {{ 7, 6, 3, 3, 2, 1, false }, 2 }),
	CASE(pool, struct pool_case, {{ 5, 7, 17, 2, 2, 0, true }, 3 }),
	CASE(pool, struct pool_case, {{ 7, 6, 24, 1, 2, 0, false }, 2 }),
	CASE(pool, struct pool_case, {{ 4, 4, 300, 2, 2, 0, true }, 1 }),
	CASE(moments, int[], { 1, 3 }),
	CASE(moments, int[], { 4099, 17 }),
	CASE(text, int[], { 1, 8 }),
	CASE(text, int[], { 31, 33 }),
	CASE(text, int[], { 127, 160 }),
	/* M F h w V D */
	CASE(grid, struct grid_case, { 1, 1, 2, 3, 0, 8 }),
	CASE(grid, struct grid_case, { 3, 2, 4, 5, 7, 33 }),
	CASE(grid, struct grid_case, { 5, 3, 7, 7, 0, 256 }),
	/* T D p res alias */
	CASE(rows, struct row_case, { 1, 17, 0, false, 0 }),
	CASE(rows, struct row_case, { 31, 33, .1f, false, 0 }),
	CASE(rows, struct row_case, { 127, 259, .5f, false, 0 }),
	CASE(norm, struct row_case, { 1, 8, 0, false, 0 }),
	CASE(norm, struct row_case, { 31, 33, .1f, true, 0 }),
	CASE(norm, struct row_case, { 33, 17, 0, true, 1 }),
	CASE(norm, struct row_case, { 127, 257, .3f, true, 2 }),
	CASE(norm, struct row_case, { 677, 64, .1f, false, 1 }),
	/* T D; of two rows dx is nothing but rounding */
	CASE(batchnorm, int[], { 3, 1 }),
	CASE(batchnorm, int[], { 5, 33 }),
	CASE(batchnorm, int[], { 31, 1025 }),
	/* T I O act keep add */
	CASE(linear, struct linear_case, { 1, 1, 1, CB_ACT_NONE, 0, 0 }),
	CASE(linear, struct linear_case, { 31, 17, 33, CB_ACT_RELU, 0, 1 }),
	CASE(linear, struct linear_case, { 33, 32, 67, CB_ACT_GELU, 1, 0 }),
	CASE(linear, struct linear_case, { 5, 64, 3, CB_ACT_TANH, 1, 1 }),
	CASE(linear, struct linear_case, { 7, 31, 33, CB_ACT_ELU, 0, 0 }),
	CASE(linear, struct linear_case, { 131, 257, 200, CB_ACT_GELU, 0, 1 }),
	CASE(linear, struct linear_case, { 397, 64, 600, CB_ACT_NONE, 1, 0 }),
	CASE(linear, struct linear_case, { 3, 4100, 20, CB_ACT_GELU, 1, 1 }),
	CASE(linear, struct linear_case, { 15, 48, 8200, CB_ACT_NONE, 0, 1 }),
	CASE(act, int[], { CB_ACT_NONE, 31 }),
	CASE(act, int[], { CB_ACT_RELU, 33 }),
	CASE(act, int[], { CB_ACT_GELU, 70001 }),
	CASE(act, int[], { CB_ACT_TANH, 1 }),
	CASE(act, int[], { CB_ACT_ELU, 259 }),
	/* S D A first more p */
	CASE(attention, struct attention_case, { 1, 8, 1, 1, 0, 0 }),
	CASE(attention, struct attention_case, { 5, 34, 2, 3, 2, .1f }),
	CASE(attention, struct attention_case, { 7, 64, 4, 13, 3, 0 }),
	CASE(attention, struct attention_case, { 3, 128, 2, 61, 1, .2f }),
	CASE(attention, struct attention_case, { 2, 32, 1, 33, 1, .5f }),
	CASE(loss, struct cb_loss, { CB_LOSS_CE, CB_AGG_MEAN,
	    1, 5, 3, 0, 0, 1 }),
	CASE(loss, struct cb_loss, { CB_LOSS_CE, CB_AGG_MEAN,
	    3, 31, 33, 0, 0, 1 }),
	CASE(loss, struct cb_loss, { CB_LOSS_CE, CB_AGG_MAX,
	    3, 7, 17, 0, 0, .75f }),
	CASE(loss, struct cb_loss, { CB_LOSS_CE, CB_AGG_LSE,
	    3, 127, 31, 0, 0, .5f }),
	CASE(loss, struct cb_loss, { CB_LOSS_CE, CB_AGG_LSE,
	    1, 2, 5003, 0, 0, .5f }),
	CASE(loss, struct cb_loss, { CB_LOSS_BCE, CB_AGG_MEAN,
	    2, 31, 33, 0, 0, 1 }),
	CASE(loss, struct cb_loss, { CB_LOSS_BCE, CB_AGG_MAX,
	    3, 5, 129, 0, 0, .75f }),
	CASE(loss, struct cb_loss, { CB_LOSS_MSE, CB_AGG_MEAN,
	    2, 5, 1, 0, 0, 1 }),
	CASE(loss, struct cb_loss, { CB_LOSS_MSE, CB_AGG_MAX,
	    3, 7, 1, 0, 0, .75f }),
	CASE(loss, struct cb_loss, { CB_LOSS_RANK, CB_AGG_MEAN,
	    3, 9, 1, .2f, 3, 1 }),
	CASE(loss, struct cb_loss, { CB_LOSS_RANK, CB_AGG_MAX,
	    2, 8, 1, .2f, 4, .75f }),
	CASE(adamw, int[], { 1 }),
	CASE(adamw, int[], { 131101 }),
	/* h w S */
	CASE(packs, int[], { ONE_STEP }),
	CASE(packs, int[], { TWO_STEPS }),
	CASE(packs, int[], { PUT_BETWEEN }),
	CASE(packs, int[], { PUT_BEHIND }),
	CASE(packs, int[], { AGAIN }),
	CASE(prepare, struct picture_case, { 1, 1, 8 }),
	CASE(prepare, struct picture_case, { 31, 17, 33 }),
	CASE(prepare, struct picture_case, { 40, 97, 32 }),
	CASE(prepare, struct picture_case, { 64, 1, 16 }),
	CASE(prepare, struct picture_case, { 16, 16, 16 }),
	CASE(empty, int[], { 0 }),
};

/* ---- running and comparing them */

/* How far an output is from the twin's, as a share of what is allowed. */
static double
share(const struct out *o, const struct out *ref)
{
	double top = 0, worst = 0, d;
	int64_t i;

	for (i = 0; i < ref->n; i++)
		top = fmax(top, fabs(ref->v[i]));
	for (i = 0; i < ref->n; i++) {
		d = fabs((double)o->v[i] - ref->v[i]);
		worst = d <= worst ? worst : d;		/* NaN counts */
	}
	return worst == 0 ? 0 : worst / (top * (0x1p-24 *
	    (8 + 2 * sqrt(ref->terms)) + 4 * unit) + ref->slack);
}

static void
near(const struct run *r, const struct run *ref, const char *name)
{
	const char *which = "";
	double s, worst = 0;
	int i;

	for (i = 0; i < ref->nout; i++) {
		s = share(&r->out[i], &ref->out[i]);
		if (s <= worst)
			continue;
		worst = s;
		which = ref->out[i].name;
	}
	ok(worst <= 1, "%s: %s as the twin (%.3f of the tolerance%s%s)", name,
	    r->e->name, worst, *which ? ": " : "", which);
}

static bool
same(const struct run *a, const struct run *b)
{
	int i;

	for (i = 0; i < a->nout; i++)
		if (memcmp(a->out[i].v, b->out[i].v, sizeof(float) *
		    a->out[i].n) != 0)
			return false;
	return true;
}

static void
open_run(struct run *r, const char *name, int threads)
{
	memset(r, 0, sizeof(*r));
	if (cb_engine_open(&r->e, name, threads) < 0) {
		printf("Bail out! %s\n", cb_error());
		exit(1);
	}
	r->e->loss_scale = 1;
}

/* What the name says of elements. */
static void
find_elem(const struct cb_engine *e, const char *name)
{
	if (e->elem_size == 2)
		elem = e->scales ? F16 : BF16;
	unit = elem == BF16 ? 0x1p-8 : elem == F16 ||
	    strstr(name, "tf32") != NULL ? 0x1p-11 : 0;
}

static void
run_case(struct run *r, int i)
{
	cases[i].fn(r, cases[i].arg);
	if (r->e->sync(r->e) < 0)
		ok(false, "%s: %s", cases[i].name, cb_error());
}

int
main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "cpu";
	struct run ref, one, two, five;
	bool cuda;
	int i, k;

	open_run(&ref, "ref", 1);
	open_run(&one, name, 1);
	cuda = strcmp(one.e->name, "cuda") == 0;
	setenv("CB_CUDA_GRAPHS", "0", 1);
	open_run(&two, name, 2);
	unsetenv("CB_CUDA_GRAPHS");
	open_run(&five, name, 5);
	struct run *runs[] = { &ref, &one, &two, &five };
	find_elem(one.e, name);

	plan(2 * (int)CB_LEN(cases));
	for (i = 0; i < (int)CB_LEN(cases); i++) {
		for (k = 0; k < 4; k++)
			run_case(runs[k], i);
		if (cuda) {
			run_clear(&five);
			run_case(&five, i);
		}
		near(&one, &ref, cases[i].name);
		ok(same(&one, &two) && same(&one, &five),
		    cuda ? "%s: same bits without graphs, and again" :
		    "%s: same bits with 1, 2 and 5 threads", cases[i].name);
		for (k = 0; k < 4; k++)
			run_clear(runs[k]);
	}
	for (k = 0; k < 4; k++)
		runs[k]->e->free(runs[k]->e);
	return done();
}
