/*
 * Convolutions by oneDNN on channels-last pictures: residual and ReLU are
 * applied while a result is in registers.
 *
 * A task is a run of pictures.  A oneDNN primitive is made for one number of
 * pictures, so what is made is kept; there are at most two sizes for one P.
 * Each primitive chooses the layout of its weights; the layouts that were met
 * are repacked when new weights come.
 */
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "conv.h"

#define MAX_TASKS 16		/* runs of pictures, forward and to dx */
#define MAX_GROUPS 8		/* partial weight gradients ... */
#define MAX_PARTIAL (64 << 20)	/* ... and their bytes in all */

enum kind { FWD, FWD_RELU, FWD_RES, FWD_RES_RELU, BWD_X, BWD_W };

/* Weights in one layout. */
struct packed {
	struct packed *next;
	dnnl_memory_desc_t md;
	dnnl_memory_t mem;
	void	*data;
};

struct prim {
	struct prim *next;
	enum kind kind;
	int	 n;			/* pictures */
	bool	 told;			/* layout of w was asked for */
	dnnl_primitive_t p;
	dnnl_memory_desc_t x, y, w, scratch;
	struct packed *packed;		/* not for BWD_W */
};

struct direct {
	dnnl_memory_desc_t plain, bias;
	struct packed *packed;
	struct prim *prims;
};

int
direct_new(struct cb_conv_plan *c)
{
	const struct cb_conv *g = &c->g;
	dnnl_dims_t w = { g->O, g->C, g->k, g->k }, b = { g->O };
	struct direct *d;

	if ((d = c->direct = calloc(1, sizeof(*d))) == NULL)
		return cb_fail(CB_ENOMEM, "convolution");
	if (dnnl_memory_desc_init_by_tag(&d->plain, 4, w, dnnl_f32,
	    dnnl_oihw) != dnnl_success ||
	    dnnl_memory_desc_init_by_tag(&d->bias, 1, b, dnnl_f32, dnnl_a) !=
	    dnnl_success)
		return cb_fail(CB_EUSAGE, "oneDNN: convolution %dx%d of %d to "
		    "%d channels", g->k, g->k, g->C, g->O);
	return 0;
}

void
direct_free(struct direct *d)
{
	struct packed *k;
	struct prim *p;

	if (d == NULL)
		return;
	while ((p = d->prims) != NULL) {
		d->prims = p->next;
		dnnl_primitive_destroy(p->p);
		free(p);
	}
	while ((k = d->packed) != NULL) {
		d->packed = k->next;
		dnnl_memory_destroy(k->mem);
		free(k->data);
		free(k);
	}
	free(d);
}

/* Copies between layouts, here and now. */
static dnnl_status_t
reorder(struct cpu *u, const dnnl_memory_desc_t *to, dnnl_memory_t to_mem,
    const dnnl_memory_desc_t *from, dnnl_memory_t from_mem)
{
	dnnl_primitive_desc_t pd;
	dnnl_primitive_t p;
	dnnl_status_t s;
	struct dnn_arg a[] = {
		{ DNNL_ARG_FROM, NULL, NULL, from_mem },
		{ DNNL_ARG_TO, NULL, NULL, to_mem },
	};

	omp_set_num_threads(1);
	s = dnnl_reorder_primitive_desc_create(&pd, from, u->dnn, to, u->dnn,
	    NULL);
	if (s != dnnl_success)
		return s;
	s = dnnl_primitive_create(&p, pd);
	dnnl_primitive_desc_destroy(pd);
	if (s != dnnl_success)
		return s;
	s = dnn_execute(u, 0, p, a, 2);
	dnnl_primitive_destroy(p);
	return s;
}

static void
repack(struct cpu *u, struct cb_conv_plan *c, struct packed *k)
{
	int64_t n = conv_weights(c), each = n / c->g.O, i;
	float *w = cpu_large(n * (int64_t)sizeof(*w));
	dnnl_memory_t from = NULL;

	for (i = 0; w != NULL && i < n; i++)
		w[i] = c->w[i] * c->scale[i / each];
	if (w == NULL || dnnl_memory_create(&from, &c->direct->plain, u->dnn,
	    w) != dnnl_success)
		cpu_fail(u, CB_ENOMEM, "weights of a convolution");
	else if (reorder(u, &k->md, k->mem, &c->direct->plain, from) !=
	    dnnl_success)
		cpu_fail(u, CB_EIO, "oneDNN cannot pack weights");
	if (from != NULL)
		dnnl_memory_destroy(from);
	free(w);
}

void
direct_pack(struct cpu *u, struct cb_conv_plan *c)
{
	struct packed *k;

	for (k = c->direct->packed; k != NULL; k = k->next)
		repack(u, c, k);
}

static struct packed *
pack_as(struct cpu *u, struct cb_conv_plan *c, const dnnl_memory_desc_t *md)
{
	struct packed *k;

	for (k = c->direct->packed; k != NULL; k = k->next)
		if (dnnl_memory_desc_equal(&k->md, md))
			return k;
	if ((k = calloc(1, sizeof(*k))) == NULL)
		return NULL;
	k->md = *md;
	k->data = cb_alloc((int64_t)dnnl_memory_desc_get_size(md));
	if (k->data == NULL || dnnl_memory_create(&k->mem, md, u->dnn,
	    k->data) != dnnl_success) {
		free(k->data);
		free(k);
		return NULL;
	}
	k->next = c->direct->packed;
	c->direct->packed = k;
	repack(u, c, k);
	return k;
}

/* ---- making primitives */

static dnnl_status_t
attributes(dnnl_primitive_attr_t *out, enum kind kind,
    const dnnl_memory_desc_t *y)
{
	dnnl_post_ops_t ops;
	dnnl_status_t s;

	if ((s = dnnl_primitive_attr_create(out)) != dnnl_success)
		return s;
	dnnl_primitive_attr_set_scratchpad_mode(*out,
	    dnnl_scratchpad_mode_user);
	if ((s = dnnl_post_ops_create(&ops)) != dnnl_success)
		goto done;
	if (kind == FWD_RES || kind == FWD_RES_RELU)
		s = dnnl_post_ops_append_binary(ops, dnnl_binary_add, y);
	if (s == dnnl_success && (kind == FWD_RELU || kind == FWD_RES_RELU))
		s = dnnl_post_ops_append_eltwise(ops, 1, dnnl_eltwise_relu, 0,
		    0);
	if (s == dnnl_success)
		s = dnnl_primitive_attr_set_post_ops(*out, ops);
	dnnl_post_ops_destroy(ops);
done:
	if (s != dnnl_success)
		dnnl_primitive_attr_destroy(*out);
	return s;
}

static dnnl_status_t
describe(struct cpu *u, dnnl_primitive_desc_t *out, const struct cb_conv *g,
    struct prim *p, const dnnl_memory_desc_t *w,
    const dnnl_memory_desc_t *bias, dnnl_primitive_attr_t attr)
{
	dnnl_dims_t stride = { g->stride, g->stride };
	dnnl_dims_t pad = { g->pad, g->pad };
	dnnl_convolution_desc_t f, b;
	dnnl_primitive_desc_t hint;
	dnnl_status_t s;
	bool fwd = p->kind < BWD_X;

	s = dnnl_convolution_forward_desc_init(&f, fwd ?
	    dnnl_forward_inference : dnnl_forward_training,
	    dnnl_convolution_direct, &p->x, w, fwd ? bias : NULL, &p->y, stride,
	    pad, pad);
	if (s != dnnl_success || fwd)
		return s != dnnl_success ? s :
		    dnnl_primitive_desc_create(out, &f, attr, u->dnn, NULL);
	s = dnnl_primitive_desc_create(&hint, &f, NULL, u->dnn, NULL);
	if (s != dnnl_success)
		return s;
	s = p->kind == BWD_X ?
	    dnnl_convolution_backward_data_desc_init(&b,
	    dnnl_convolution_direct, &p->x, w, &p->y, stride, pad, pad) :
	    dnnl_convolution_backward_weights_desc_init(&b,
	    dnnl_convolution_direct, &p->x, w, NULL, &p->y, stride, pad, pad);
	if (s == dnnl_success)
		s = dnnl_primitive_desc_create(out, &b, attr, u->dnn, hint);
	dnnl_primitive_desc_destroy(hint);
	return s;
}

static dnnl_status_t
prim_init(struct cpu *u, struct cb_conv_plan *c, struct prim *p,
    const dnnl_memory_desc_t *want)
{
	const struct cb_conv *g = &c->g;
	dnnl_dims_t x = { p->n, g->C, g->H, g->W };
	dnnl_dims_t y = { p->n, g->O, c->OH, c->OW };
	dnnl_dims_t w = { g->O, g->C, g->k, g->k };
	dnnl_memory_desc_t any;
	dnnl_primitive_attr_t attr;
	dnnl_primitive_desc_t pd;
	dnnl_status_t s;

	if ((s = dnnl_memory_desc_init_by_tag(&p->x, 4, x, dnnl_f32,
	    dnnl_nhwc)) != dnnl_success ||
	    (s = dnnl_memory_desc_init_by_tag(&p->y, 4, y, dnnl_f32,
	    dnnl_nhwc)) != dnnl_success ||
	    (s = dnnl_memory_desc_init_by_tag(&any, 4, w, dnnl_f32,
	    dnnl_format_tag_any)) != dnnl_success ||
	    (s = attributes(&attr, p->kind, &p->y)) != dnnl_success)
		return s;
	s = describe(u, &pd, g, p, want != NULL ? want : &any,
	    &c->direct->bias, attr);
	dnnl_primitive_attr_destroy(attr);
	if (s != dnnl_success)
		return s;
	p->w = *dnnl_primitive_desc_query_md(pd, p->kind == BWD_W ?
	    dnnl_query_diff_weights_md : dnnl_query_weights_md, 0);
	p->scratch = *dnnl_primitive_desc_query_md(pd,
	    dnnl_query_scratchpad_md, 0);
	s = dnnl_primitive_create(&p->p, pd);
	dnnl_primitive_desc_destroy(pd);
	return s;
}

static struct prim *
prim_new(struct cpu *u, struct cb_conv_plan *c, enum kind kind, int n,
    const dnnl_memory_desc_t *want)
{
	struct prim *p;
	dnnl_status_t s;

	omp_set_num_threads(1);
	if ((p = calloc(1, sizeof(*p))) == NULL) {
		cpu_fail(u, CB_ENOMEM, "convolution");
		return NULL;
	}
	p->kind = kind;
	p->n = n;
	p->told = want != NULL;
	if ((s = prim_init(u, c, p, want)) != dnnl_success ||
	    (kind != BWD_W && (p->packed = pack_as(u, c, &p->w)) == NULL)) {
		cpu_fail(u, s == dnnl_success || s == dnnl_out_of_memory ?
		    CB_ENOMEM : CB_EIO, "oneDNN cannot make a convolution");
		if (p->p != NULL)
			dnnl_primitive_destroy(p->p);
		free(p);
		return NULL;
	}
	p->next = c->direct->prims;
	c->direct->prims = p;
	return p;
}

/* The primitive for n pictures, with a layout of the weights that oneDNN likes
 * best (want NULL) or the one wanted.  NULL: recorded, give up. */
static struct prim *
prim(struct cpu *u, struct cb_conv_plan *c, enum kind kind, int n,
    const dnnl_memory_desc_t *want)
{
	struct prim *p;

	for (p = c->direct->prims; p != NULL; p = p->next)
		if (p->kind == kind && p->n == n &&
		    p->told == (want != NULL) &&
		    (want == NULL || dnnl_memory_desc_equal(want, &p->w)))
			return p;
	return prim_new(u, c, kind, n, want);
}

/* ---- running them */

struct job {
	struct cpu *u;
	struct cb_conv_plan *c;
	struct prim *p[2];	/* for part sizes P/parts and one more */
	int	 P, parts;
	const float *x, *res, *dy;
	float	*y, *dx, *partial;
	int64_t	 pstride;	/* floats between partial gradients */
	int64_t	 at_scratch;	/* bytes into own memory */
	bool	 add;
};

static int64_t
up(int64_t bytes)
{
	return (bytes + 63) / 64 * 64;
}

/* Chooses primitives and own memory for P pictures in so many parts. */
static int
job_init(struct job *j, struct cpu *u, struct cb_conv_plan *c, enum kind kind,
    int P, int parts, int64_t own)
{
	int64_t need = 0, n;
	int i;

	j->u = u;
	j->c = c;
	j->P = P;
	j->parts = parts;
	j->at_scratch = up(own);
	j->p[0] = j->p[1] = NULL;
	for (i = 0; i < 1 + (P % parts != 0); i++) {
		if ((j->p[i] = prim(u, c, kind, P / parts + i, NULL)) ==
		    NULL)
			return -1;
		/* Partial gradients must be alike to be added. */
		if (i == 1 && kind == BWD_W &&
		    !dnnl_memory_desc_equal(&j->p[0]->w, &j->p[1]->w) &&
		    (j->p[1] = prim(u, c, kind, P / parts + 1,
		    &j->p[0]->w)) == NULL)
			return -1;
		n = (int64_t)dnnl_memory_desc_get_size(&j->p[i]->scratch);
		need = n > need ? n : need;
	}
	return cpu_own(u, j->at_scratch + need + 64);
}

static int
job_part(const struct job *j, int task, struct prim **p)
{
	int lo = (int)part(j->P, j->parts, task);

	*p = j->p[(int)part(j->P, j->parts, task + 1) - lo > j->P / j->parts];
	return lo;
}

static struct dnn_arg
scratchpad(const struct job *j, const struct prim *p, int thread)
{
	return (struct dnn_arg){ DNNL_ARG_SCRATCHPAD, &p->scratch,
	    (char *)j->u->own[thread] + j->at_scratch, NULL };
}

static void
note(struct job *j, dnnl_status_t s)
{
	if (s != dnnl_success)
		atomic_store(&j->u->status, s);
}

static void
fwd_task(void *arg, int task, int thread)
{
	struct job *j = arg;
	struct prim *p;
	int64_t lo = job_part(j, task, &p);
	int64_t y = lo * j->c->OH * j->c->OW * j->c->g.O;
	struct dnn_arg a[] = {
		{ DNNL_ARG_SRC, &p->x, j->x + lo * j->c->g.H * j->c->g.W *
		    j->c->g.C, NULL },
		{ DNNL_ARG_WEIGHTS, NULL, NULL, p->packed->mem },
		{ DNNL_ARG_BIAS, &j->c->direct->bias, j->c->shift, NULL },
		{ DNNL_ARG_DST, &p->y, j->y + y, NULL },
		scratchpad(j, p, thread),
		{ DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, &p->y,
		    j->res != NULL ? j->res + y : NULL, NULL },
	};

	note(j, dnn_execute(j->u, thread, p->p, a, j->res != NULL ? 6 : 5));
}

void
direct_fwd(struct cpu *u, struct cb_conv_plan *c, const struct conv_args *r)
{
	struct job j = { .x = r->x, .res = r->res, .y = r->y };
	enum kind kind = (r->res != NULL || r->add ? FWD_RES : FWD) + r->relu;
	int P = r->P;

	if (r->add) {		/* oneDNN may write y before it reads res */
		int64_t bytes = (int64_t)P * c->OH * c->OW * c->g.O *
		    (int64_t)sizeof(float);
		float *res = cpu_shared(u, bytes);

		if (res == NULL)
			return;
		j.res = memcpy(res, r->y, bytes);
	}
	if (job_init(&j, u, c, kind, P, P < MAX_TASKS ? P : MAX_TASKS, 0) == 0)
		cpu_run(u, fwd_task, &j, j.parts);
}

static void
dx_task(void *arg, int task, int thread)
{
	struct job *j = arg;
	struct prim *p;
	int lo = job_part(j, task, &p);
	int64_t xn = (int64_t)j->c->g.H * j->c->g.W * j->c->g.C, i;
	float *dx = j->dx + lo * xn, *to = j->add ? j->u->own[thread] : dx;
	struct dnn_arg a[] = {
		{ DNNL_ARG_DIFF_DST, &p->y, j->dy + (int64_t)lo * j->c->OH *
		    j->c->OW * j->c->g.O, NULL },
		{ DNNL_ARG_WEIGHTS, NULL, NULL, p->packed->mem },
		{ DNNL_ARG_DIFF_SRC, &p->x, to, NULL },
		scratchpad(j, p, thread),
	};

	note(j, dnn_execute(j->u, thread, p->p, a, 4));
	if (j->add)
		for (i = 0; i < p->n * xn; i++)
			dx[i] += to[i];
}

static void
dw_task(void *arg, int task, int thread)
{
	struct job *j = arg;
	struct prim *p;
	int lo = job_part(j, task, &p);
	struct dnn_arg a[] = {
		{ DNNL_ARG_SRC, &p->x, j->x + (int64_t)lo * j->c->g.H *
		    j->c->g.W * j->c->g.C, NULL },
		{ DNNL_ARG_DIFF_DST, &p->y, j->dy + (int64_t)lo * j->c->OH *
		    j->c->OW * j->c->g.O, NULL },
		{ DNNL_ARG_DIFF_WEIGHTS, &p->w, j->partial +
		    task * j->pstride, NULL },
		scratchpad(j, p, thread),
	};

	note(j, dnn_execute(j->u, thread, p->p, a, 4));
}

struct reduce {
	float *partial, *dw;
	const float *scale;
	int64_t n, stride;
	int parts, tasks, O;
};

/* partial[0] += partial[1] + ... in this order, over a range of elements. */
static void
reduce_task(void *arg, int task, int thread)
{
	struct reduce *r = arg;
	int64_t i, lo = part(r->n, r->tasks, task);
	int64_t hi = part(r->n, r->tasks, task + 1);
	float *to = r->partial;
	int g;

	(void)thread;
	for (g = 1; g < r->parts; g++) {
		const float *from = r->partial + g * r->stride;
#pragma GCC ivdep
		for (i = lo; i < hi; i++)
			to[i] += from[i];
	}
}

static void
scale_task(void *arg, int task, int thread)
{
	struct reduce *r = arg;
	int64_t each = r->n / r->O, i;
	int o, hi = (int)part(r->O, r->tasks, task + 1);

	(void)thread;
	for (o = (int)part(r->O, r->tasks, task); o < hi; o++)
		for (i = o * each; i < (o + 1) * each; i++)
			r->dw[i] += r->scale[o] * r->partial[i];
}

/* Into [O,C,k,k] behind the partial sums, then scaled and added to dw. */
static void
add_weights(struct job *j, float *dw)
{
	struct cpu *u = j->u;
	struct cb_conv_plan *c = j->c;
	const dnnl_memory_desc_t *md = &j->p[0]->w;
	dnnl_memory_t from, to;
	struct reduce r = { j->partial, dw, c->scale,
	    (int64_t)dnnl_memory_desc_get_size(md) / (int64_t)sizeof(float),
	    j->pstride, j->parts, 0, c->g.O };

	r.tasks = tasks_for(r.n, r.parts);
	cpu_run(u, reduce_task, &r, r.tasks);
	r.partial += j->parts * j->pstride;
	r.n = conv_weights(c);
	if (dnnl_memory_create(&from, md, u->dnn, j->partial) != dnnl_success) {
		cpu_fail(u, CB_ENOMEM, "oneDNN");
		return;
	}
	if (dnnl_memory_create(&to, &c->direct->plain, u->dnn, r.partial) !=
	    dnnl_success) {
		cpu_fail(u, CB_ENOMEM, "oneDNN");
	} else {
		note(j, reorder(u, &c->direct->plain, to, md, from));
		dnnl_memory_destroy(to);
		r.tasks = tasks_for(r.O, r.n / r.O);
		cpu_run(u, scale_task, &r, r.tasks);
	}
	dnnl_memory_destroy(from);
}

static int
groups(const struct cb_conv_plan *c, int P)
{
	int64_t fit = MAX_PARTIAL / (conv_weights(c) * (int64_t)sizeof(float));
	int g = P < MAX_GROUPS ? P : MAX_GROUPS;

	if (g > fit)
		g = fit < 2 ? 2 : (int)fit;
	return g < P ? g : P;
}

void
direct_dx(struct cpu *u, struct cb_conv_plan *c, float *dx, bool add,
    const float *dy, int P)
{
	struct job j = { .dy = dy, .dx = dx, .add = add };
	int parts = P < MAX_TASKS ? P : MAX_TASKS;
	int64_t xn = (int64_t)c->g.H * c->g.W * c->g.C;

	if (job_init(&j, u, c, BWD_X, P, parts, add ? (P + parts - 1) / parts *
	    xn * (int64_t)sizeof(float) : 0) == 0)
		cpu_run(u, dx_task, &j, j.parts);
}

void
direct_dw(struct cpu *u, struct cb_conv_plan *c, float *dw, const float *dy,
    const float *x, int P)
{
	struct job j = { .x = x, .dy = dy };
	int64_t n;

	if (job_init(&j, u, c, BWD_W, P, groups(c, P), 0) < 0)
		return;
	n = up((int64_t)dnnl_memory_desc_get_size(&j.p[0]->w));
	j.pstride = n / (int64_t)sizeof(float);
	j.partial = cpu_shared(u, n * j.parts + up(conv_weights(c) *
	    (int64_t)sizeof(float)));
	if (j.partial == NULL)
		return;
	cpu_run(u, dw_task, &j, j.parts);
	add_weights(&j, dw);
}
