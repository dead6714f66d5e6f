/*
 * The backward passes of an engine against finite differences of its forward
 * passes.  For random weights g of the outputs, L = sum g y, and for
 * coordinates of each input
 *
 *	(L(x + h) - L(x - h)) / 2h = dx
 *
 * up to h^2 times the third derivative and the rounding of y divided by h;
 * with h = 2^-5 and numbers about 1 both stay below 2e-3 of the largest
 * gradient.  Where a formula has a kink, inputs keep away from it by more than
 * h.
 *
 *	engine-gradient [NAME]		default ref
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"
#include "tap.h"

#define H 0x1p-5
#define COORDINATES 24

static struct cb_engine *e;
static uint32_t seed;

/* An input or output: element type where `elem`, its gradient beside it. */
struct var {
	const char *name;
	int64_t	 n;
	bool	 elem;
	float	*host, *grad;	/* host copies */
	void	*p, *dp;	/* engine memory */
};

static struct var
var(const char *name, int64_t n, bool elem, double lo, double hi)
{
	struct var v = { name, n, elem, malloc(n * 4), calloc(n, 4), NULL,
	    NULL };
	struct cb_rng r = { 5, 0, 0, ++seed };
	int64_t i;

	v.p = e->alloc(e, n * 4);
	v.dp = e->alloc(e, n * 4);
	if (v.host == NULL || v.grad == NULL || v.p == NULL || v.dp == NULL)
		abort();
	for (i = 0; i < n; i++)
		v.host[i] = (float)(lo + (hi - lo) * cb_rng_real(&r,
		    (uint32_t)i));
	return v;
}

static void
var_clear(struct var *v)
{
	free(v->host);
	free(v->grad);
	e->release(e, v->p);
	e->release(e, v->dp);
}

static void
put(const struct var *v)
{
	if (v->elem)
		e->put_elem(e, v->p, v->host, v->n);
	else
		e->put(e, v->p, v->host, v->n * 4);
}

static void
get(const struct var *v, float *to, const void *from)
{
	if (v->elem)
		e->get_elem(e, to, from, v->n);
	else
		e->get(e, to, from, v->n * 4);
}

/* An operation with up to four inputs and one output; y.p holds the result of
 * forward, y.dp the gradient that backward starts from. */
struct op {
	struct var in[4], y;
	int	 nin;
	const void *arg;
	void	(*forward)(struct op *);
	void	(*backward)(struct op *);
};

/* sum of g y; y.host holds g. */
static double
value(struct op *o)
{
	float *y = malloc(o->y.n * 4);
	double s = 0;
	int64_t i;

	o->forward(o);
	get(&o->y, y, o->y.p);
	for (i = 0; i < o->y.n; i++)
		s += (double)y[i] * o->y.host[i];
	free(y);
	return s;
}

static double
slope(struct op *o, struct var *v, int64_t i)
{
	float x = v->host[i];
	double a, b;

	v->host[i] = x + (float)H;
	put(v);
	a = value(o);
	v->host[i] = x - (float)H;
	put(v);
	b = value(o);
	v->host[i] = x;
	put(v);
	return (a - b) / (2 * H);
}

static void
check(struct op *o, struct var *v, const char *name)
{
	double worst = 0, top = 1e-3, d;
	int64_t i, k, m = v->n < COORDINATES ? v->n : COORDINATES;

	for (i = 0; i < v->n; i++)
		top = fmax(top, fabs(v->grad[i]));
	for (k = 0; k < m; k++) {
		i = k * v->n / m;
		d = fabs(slope(o, v, i) - v->grad[i]) / top;
		worst = d <= worst ? worst : d;
	}
	ok(worst < 2e-3, "%s: %s of %s (%.1e)", name, v->name, e->name, worst);
}

static void
run(struct op *o, const char *name)
{
	int i;

	for (i = 0; i < o->nin; i++) {
		put(&o->in[i]);
		e->zero(e, o->in[i].dp, o->in[i].n * 4);
	}
	if (o->y.elem)
		e->put_elem(e, o->y.dp, o->y.host, o->y.n);
	else
		e->put(e, o->y.dp, o->y.host, o->y.n * 4);
	o->forward(o);
	o->backward(o);
	if (e->sync(e) < 0)
		abort();
	for (i = 0; i < o->nin; i++)
		get(&o->in[i], o->in[i].grad, o->in[i].dp);
	for (i = 0; i < o->nin; i++)
		check(o, &o->in[i], name);
	for (i = 0; i < o->nin; i++)
		var_clear(&o->in[i]);
	var_clear(&o->y);
}

/* ---- convolution: x, w; scale is a constant */

static const struct cb_conv conv_shape = { 6, 5, 3, 4, 3, 2, 1, 0 };
static struct cb_conv_plan *conv_plan;
static float *conv_scale;

static void
conv_forward(struct op *o)
{
	e->conv_pack(e, conv_plan, o->in[1].p, conv_scale, conv_scale, true);
	e->conv_fwd(e, conv_plan, o->y.p, o->in[0].p, NULL, false, 2);
}

static void
conv_backward(struct op *o)
{
	e->conv_bwd(e, conv_plan, o->in[0].dp, false, o->in[1].dp, o->y.dp,
	    o->in[0].p, 2);
}

static void
conv(void)
{
	struct op o = { .nin = 2, .forward = conv_forward,
	    .backward = conv_backward };
	struct var s = var("scale", 4, false, .5, 2);

	put(&s);
	conv_scale = s.p;
	if (e->conv_new(e, &conv_plan, &conv_shape) < 0)
		abort();
	o.in[0] = var("x", 2 * 6 * 5 * 3, true, -1, 1);
	o.in[1] = var("w", 4 * 3 * 9, false, -1, 1);
	o.y = var("y", 2 * 3 * 3 * 4, true, -1, 1);
	run(&o, "conv");
	e->conv_free(e, conv_plan);
	var_clear(&s);
}

/* ---- max pooling with ReLU; inputs on a lattice of 0.1, 0.05 off zero */

static const struct cb_pool2d pool_shape = { 5, 6, 2, 3, 2, 1, true };

static void
pool_forward(struct op *o)
{
	e->pool_fwd(e, o->y.p, o->in[0].p, &pool_shape, 1);
}

static void
pool_backward(struct op *o)
{
	e->pool_bwd(e, o->in[0].dp, o->y.dp, o->in[0].p, o->y.p, &pool_shape,
	    1);
}

static void
pool(void)
{
	struct op o = { .nin = 1, .forward = pool_forward,
	    .backward = pool_backward };
	int i;

	o.in[0] = var("x", 60, true, 0, 1);
	for (i = 0; i < 60; i++)	/* 37: every number once */
		o.in[0].host[i] = (float)(i * 37 % 60 - 40) * .1f + .05f;
	o.y = var("y", 3 * 3 * 2, true, -1, 1);
	run(&o, "pool");
}

/* ---- embeddings and rows */

static int32_t *ids, *pos, *cells, *src;
static struct cb_drop drop = { .25f, { 77, 1001, 1, 5 }, 6 };

static void
text_forward(struct op *o)
{
	e->embed_text_fwd(e, o->y.p, ids, pos, o->in[0].p, o->in[1].p,
	    o->in[2].p, 6, 5);
}

static void
text_backward(struct op *o)
{
	e->embed_text_bwd(e, o->in[0].dp, o->in[1].dp, o->in[2].dp, o->y.dp,
	    ids, pos, 6, 5);
}

static void
text(void)
{
	struct op o = { .nin = 3, .forward = text_forward,
	    .backward = text_backward };

	o.in[0] = var("word", 8 * 5, false, -1, 1);
	o.in[1] = var("position", 4 * 5, false, -1, 1);
	o.in[2] = var("type", 5, false, -1, 1);
	o.y = var("y", 6 * 5, true, -1, 1);
	run(&o, "embed_text");
}

static void
grid_forward(struct op *o)
{
	e->embed_grid_fwd(e, o->y.p, o->in[0].p, o->in[1].p, o->in[2].p,
	    o->in[3].p, cells, 2, 3, 2, 3, 4, 5);
}

static void
grid_backward(struct op *o)
{
	e->embed_grid_bwd(e, o->in[0].dp, o->in[1].dp, o->in[2].dp,
	    o->in[3].dp, o->y.dp, cells, 2, 3, 2, 3, 4, 5);
}

static void
grid(void)
{
	struct op o = { .nin = 4, .forward = grid_forward,
	    .backward = grid_backward };

	o.in[0] = var("grid", 2 * 3 * 6 * 5, true, -1, 1);
	o.in[1] = var("row", 2 * 5, false, -1, 1);
	o.in[2] = var("col", 3 * 5, false, -1, 1);
	o.in[3] = var("type", 5, false, -1, 1);
	o.y = var("y", 2 * 4 * 5, true, -1, 1);
	run(&o, "embed_grid");
}

static void
rows_forward(struct op *o)
{
	e->rows_fwd(e, o->y.p, o->in[0].p, o->in[1].p, src, 7, 5, &drop);
}

static void
rows_backward(struct op *o)
{
	e->rows_bwd(e, o->in[0].dp, 4, o->in[1].dp, 3, o->y.dp, src, 7, 5,
	    &drop);
}

static void
rows(void)
{
	struct op o = { .nin = 2, .forward = rows_forward,
	    .backward = rows_backward };

	o.in[0] = var("a", 4 * 5, true, -1, 1);
	o.in[1] = var("b", 3 * 5, true, -1, 1);
	o.y = var("y", 7 * 5, true, -1, 1);
	run(&o, "rows");
}

/* ---- normalisation: x, res, gain, bias */

static struct var norm_s, norm_mean, norm_rstd;

static void
norm_forward(struct op *o)
{
	e->norm_fwd(e, o->y.p, norm_s.p, norm_mean.p, norm_rstd.p, o->in[0].p,
	    o->in[1].p, o->in[2].p, o->in[3].p, 5, 9, &drop);
}

static void
norm_backward(struct op *o)
{
	e->norm_bwd(e, o->in[0].dp, o->in[1].dp, o->in[2].dp, o->in[3].dp,
	    o->y.dp, norm_s.p, norm_mean.p, norm_rstd.p, o->in[2].p, 5, 9,
	    &drop);
}

static void
norm(void)
{
	struct op o = { .nin = 4, .forward = norm_forward,
	    .backward = norm_backward };

	norm_s = var("s", 45, true, 0, 0);
	norm_mean = var("mean", 5, false, 0, 0);
	norm_rstd = var("rstd", 5, false, 0, 0);
	o.in[0] = var("x", 45, true, -2, 2);
	o.in[1] = var("res", 45, true, -2, 2);
	o.in[2] = var("gain", 9, false, .5, 2);
	o.in[3] = var("bias", 9, false, -1, 1);
	o.y = var("y", 45, true, -1, 1);
	run(&o, "norm");
	var_clear(&norm_s);
	var_clear(&norm_mean);
	var_clear(&norm_rstd);
}

/* ---- batch normalisation: x, gain, bias */

static struct var batch_mean, batch_rstd, batch_running;

static void
batchnorm_forward(struct op *o)
{
	e->batchnorm_fwd(e, o->y.p, batch_mean.p, batch_rstd.p,
	    batch_running.p, o->in[0].p, o->in[1].p, o->in[2].p, 9, 5, true);
}

static void
batchnorm_backward(struct op *o)
{
	e->batchnorm_bwd(e, o->in[0].dp, o->in[1].dp, o->in[2].dp, o->y.dp,
	    o->in[0].p, batch_mean.p, batch_rstd.p, o->in[1].p, 9, 5);
}

static void
batchnorm(void)
{
	struct op o = { .nin = 3, .forward = batchnorm_forward,
	    .backward = batchnorm_backward };

	batch_mean = var("mean", 5, false, 0, 0);
	batch_rstd = var("rstd", 5, false, 0, 0);
	batch_running = var("running", 11, false, 0, 0);
	o.in[0] = var("x", 45, true, -2, 2);
	o.in[1] = var("gain", 5, false, .5, 2);
	o.in[2] = var("bias", 5, false, -1, 1);
	o.y = var("y", 45, true, -1, 1);
	run(&o, "batchnorm");
	var_clear(&batch_mean);
	var_clear(&batch_rstd);
	var_clear(&batch_running);
}

/* ---- linear maps: x, w, bias, through an activation */

static struct cb_linear_plan *linear_plan;
static enum cb_act act;
static struct var kept;

static void
linear_forward(struct op *o)
{
	e->linear_pack(e, linear_plan, o->in[1].p, o->in[2].p, true);
	e->linear_fwd(e, linear_plan, o->y.p, kept.p, o->in[0].p, act, 5);
}

static void
linear_backward(struct op *o)
{
	e->act_bwd(e, o->y.dp, o->y.dp, act == CB_ACT_GELU ? kept.p : o->y.p,
	    act, o->y.n);
	e->linear_bwd(e, linear_plan, o->in[0].dp, false, o->in[1].dp,
	    o->in[2].dp, o->y.dp, o->in[0].p, 5);
}

static void
linear(enum cb_act a, const char *name)
{
	struct op o = { .nin = 3, .forward = linear_forward,
	    .backward = linear_backward };

	act = a;
	kept = var("z", 20, true, 0, 0);
	if (e->linear_new(e, &linear_plan, 3, 4) < 0)
		abort();
	o.in[0] = var("x", 15, true, -1, 1);
	o.in[1] = var("w", 12, false, -.5, .5);
	o.in[2] = var("bias", 4, false, -.5, .5);
	if (a == CB_ACT_RELU) {		/* two units always on, two off */
		memcpy(o.in[2].host, (float[]){ 3, 3, -3, -3 }, 16);
	}
	o.y = var("y", 20, true, -1, 1);
	run(&o, name);
	e->linear_free(e, linear_plan);
	var_clear(&kept);
}

/* ---- attention */

static int32_t *seq;
static struct var lse;
static struct cb_drop attention_drop;

static void
attention_forward(struct op *o)
{
	e->attention_fwd(e, o->y.p, lse.p, o->in[0].p, seq, 3, 5, 9, 8, 2,
	    &attention_drop);
}

static void
attention_backward(struct op *o)
{
	e->attention_bwd(e, o->in[0].dp, o->y.dp, o->y.p, lse.p, o->in[0].p,
	    seq, 3, 5, 9, 8, 2, &attention_drop);
}

static void
attention(float p)
{
	struct op o = { .nin = 1, .forward = attention_forward,
	    .backward = attention_backward };

	attention_drop = drop;
	attention_drop.p = p;
	lse = var("lse", 18, false, 0, 0);
	o.in[0] = var("qkv", 9 * 24, true, -1, 1);
	o.y = var("o", 9 * 8, true, -1, 1);
	run(&o, p > 0 ? "attention with dropout" : "attention");
	var_clear(&lse);
}

/* ---- losses: y is the total, so g must be 1 */

static struct var each;
static void *labels;

static void
loss_forward(struct op *o)
{
	e->loss(e, o->y.p, each.p, NULL, o->in[0].p, labels, o->arg);
}

static void
loss_backward(struct op *o)
{
	e->loss(e, o->y.p, each.p, o->in[0].dp, o->in[0].p, labels, o->arg);
}

static void
loss(const struct cb_loss *l, const char *name)
{
	struct op o = { .nin = 1, .arg = l, .forward = loss_forward,
	    .backward = loss_backward };
	int64_t n = (int64_t)l->N * l->C, i, k;
	struct var y = var("labels", n, false, 0, 1);
	int32_t whole[] = { 1, 0, -1, 2, 1, 0 };

	put(&y);
	if (l->kind == CB_LOSS_CE)
		e->put(e, y.p, whole, 4 * l->N);
	labels = y.p;
	each = var("each", n, false, 0, 0);
	o.in[0] = var("clips", l->K * n, true, -1, 1);
	for (i = 0; i < n; i++)		/* the best clip is best by 0.3 */
		for (k = 0; k < l->K && l->agg == CB_AGG_MAX; k++)
			o.in[0].host[k * n + i] = (float)((i + k) % l->K) *
			    .3f + (float)(i % 3) * .1f;
	o.y = var("total", 1, false, 1, 1);
	run(&o, name);
	var_clear(&each);
	var_clear(&y);
}

static int32_t *
ints(int n, const int32_t *v)
{
	int32_t *p = e->alloc(e, n * 4);

	e->put(e, p, v, n * 4);
	return p;
}

int
main(int argc, char **argv)
{
	if (cb_engine_open(&e, argc > 1 ? argv[1] : "ref", 2) < 0)
		return cb_complain();
	/* no [PAD] here: its gradient is not the derivative, on purpose */
	ids = ints(6, (int32_t[]){ 3, 1, 7, 3, 3, 2 });
	pos = ints(6, (int32_t[]){ 0, 1, 2, 0, 1, 3 });
	cells = ints(4, (int32_t[]){ 0, 2, 3, 5 });
	src = ints(7, (int32_t[]){ 0, -1, 3, 3, -3, 1, -1 });
	seq = ints(4, (int32_t[]){ 0, 3, 4, 9 });
	plan(44);
	conv();
	pool();
	text();
	grid();
	rows();
	norm();
	batchnorm();
	linear(CB_ACT_NONE, "linear");
	linear(CB_ACT_RELU, "linear, relu");
	linear(CB_ACT_GELU, "linear, gelu");
	linear(CB_ACT_TANH, "linear, tanh");
	linear(CB_ACT_ELU, "linear, elu");
	attention(0);
	attention(.25f);
	loss(&(struct cb_loss){ CB_LOSS_CE, CB_AGG_MEAN, 2, 6, 3, 0, 0, 1 },
	    "ce, mean");
	loss(&(struct cb_loss){ CB_LOSS_CE, CB_AGG_MAX, 3, 6, 3, 0, 0, .5f },
	    "ce, max");
	loss(&(struct cb_loss){ CB_LOSS_CE, CB_AGG_LSE, 3, 6, 3, 0, 0, 1 },
	    "ce, lse");
	loss(&(struct cb_loss){ CB_LOSS_BCE, CB_AGG_MEAN, 2, 3, 4, 0, 0, 1 },
	    "bce, mean");
	loss(&(struct cb_loss){ CB_LOSS_BCE, CB_AGG_MAX, 2, 3, 4, 0, 0, 1 },
	    "bce, max");
	loss(&(struct cb_loss){ CB_LOSS_MSE, CB_AGG_MEAN, 3, 5, 1, 0, 0, 1 },
	    "mse, mean");
	loss(&(struct cb_loss){ CB_LOSS_RANK, CB_AGG_MEAN, 2, 6, 1, .6f, 3,
	    1 }, "rank, mean");
	loss(&(struct cb_loss){ CB_LOSS_RANK, CB_AGG_MAX, 2, 6, 1, .6f, 3,
	    1 }, "rank, max");
	e->release(e, ids);
	e->release(e, pos);
	e->release(e, cells);
	e->release(e, src);
	e->release(e, seq);
	e->free(e);
	return done();
}
