/*
 * Convolutions as graphs of cuDNN's graph API, and the choice of an engine.
 *
 * A fused forward pass exists compiled in advance only in this order, with the
 * bias in the type of the activations:
 *
 *	conv -> [+ res] -> + bias -> [relu]
 *
 * and a gradient of the weights only in the type of the activations (measured
 * with cuDNN 9.19: t/cudnn-plans.c).  Behind a gradient of x neither the
 * gradient of a ReLU nor a product with a mask can be had so (tried on both GPUs
 * of t/cudnn-plans.c), which would spare act_bwd() its pass over memory.
 *
 * All tensors are NHWC; what lies between operations is virtual and f32.
 *
 * Of what the library proposes the first is taken that
 *	- repeats bit for bit;
 *	- sums in f32;
 *	- does not round f32 to fewer bits, but for TF32 where that is allowed;
 *	- needs no compiler at run time (a second a plan).
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "plan.h"

typedef cudnnBackendDescriptor_t desc;

/* A graph that grows.  After the first failure all else does nothing. */
struct maker {
	struct plan *p;
	const struct plan_room *r;
	const struct plan_key *k;
	cudnnDataType_t type;
	desc	 ops[4];
	int	 nops;
	bool	 failed;
};

static int
out_side(int side, const struct cb_conv *g)
{
	return (side + 2 * g->pad - g->k) / g->stride + 1;
}

int
dnn(cudnnStatus_t s, const char *call, const struct plan_key *k)
{
	static const char *const name[] = { "convolution", "convolution + res",
	    "convolution + relu", "convolution + res + relu",
	    "gradient of x of convolution", "gradient of x of convolution",
	    "gradient of w of convolution", "convolution alone" };
	char why[256] = "";

	if (s == CUDNN_STATUS_SUCCESS)
		return 0;
	cudnnGetLastErrorString(why, sizeof(why));
	why[strcspn(why, "\n")] = '\0';
	errno = 0;
	if (k == NULL)
		return cb_fail(CB_EIO, "%s: %s%s%s", call,
		    cudnnGetErrorString(s), *why == '\0' ? "" : ": ", why);
	return cb_fail(CB_EIO, "%s: %s: %s %dx%d/%d of [%d,%d,%d,%d] to "
	    "[%d,%d,%d,%d]%s%s", call, cudnnGetErrorString(s), name[k->op],
	    k->g.k, k->g.k, k->g.stride, k->P, k->g.H, k->g.W, k->g.C, k->P,
	    out_side(k->g.H, &k->g), out_side(k->g.W, &k->g), k->g.O,
	    *why == '\0' ? "" : ": ", why);
}

/* ---- descriptors */

/* What the library does not support is no error yet. */
static bool
good(struct maker *m, cudnnStatus_t s, const char *call)
{
	if (m->failed || s == CUDNN_STATUS_SUCCESS)
		return !m->failed;
	m->failed = true;
	m->p->none = CUDNN_STATUS_CATEGORY(s) == CUDNN_STATUS_NOT_SUPPORTED;
	dnn(s, call, m->k);
	return false;
}

/* One that lives as long as the plan. */
static desc
make(struct maker *m, cudnnBackendDescriptorType_t type)
{
	desc d = NULL;

	if (m->failed || !good(m, cudnnBackendCreateDescriptor(type, &d),
	    "cudnnBackendCreateDescriptor"))
		return NULL;
	assert(m->p->nparts < (int)CB_LEN(m->p->parts));
	return m->p->parts[m->p->nparts++] = d;
}

static void
set(struct maker *m, desc d, cudnnBackendAttributeName_t a,
    cudnnBackendAttributeType_t type, int64_t n, const void *v)
{
	if (!m->failed)
		good(m, cudnnBackendSetAttribute(d, a, type, n, v),
		    "cudnnBackendSetAttribute");
}

static void
set_part(struct maker *m, desc d, cudnnBackendAttributeName_t a, desc part)
{
	set(m, d, a, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &part);
}

static desc
finish(struct maker *m, desc d)
{
	if (!m->failed)
		good(m, cudnnBackendFinalize(d), "cudnnBackendFinalize");
	return d;
}

/* ---- graphs */

/* [n,h,w,c] in memory; uid > PLAN_RES: virtual, and f32. */
static desc
tensor(struct maker *m, int64_t uid, int64_t n, int64_t c, int64_t h, int64_t w)
{
	const int64_t dims[4] = { n, c, h, w };
	const int64_t strides[4] = { h * w * c, 1, w * c, c }, align = 16;
	const bool between = uid > PLAN_RES;
	const cudnnDataType_t type = between ? CUDNN_DATA_FLOAT : m->type;
	desc d = make(m, CUDNN_BACKEND_TENSOR_DESCRIPTOR);

	set(m, d, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &uid);
	set(m, d, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
	set(m, d, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, dims);
	set(m, d, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, strides);
	set(m, d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1,
	    &align);
	set(m, d, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1,
	    &between);
	return finish(m, d);
}

static desc
tensor_x(struct maker *m)
{
	const struct cb_conv *g = &m->k->g;

	return tensor(m, PLAN_X, m->k->P, g->C, g->H, g->W);
}

static desc
tensor_w(struct maker *m)
{
	const struct cb_conv *g = &m->k->g;

	return tensor(m, PLAN_W, g->O, g->C, g->k, g->k);
}

/* y, what is like it, or what comes before it. */
static desc
tensor_y(struct maker *m, int64_t uid)
{
	const struct cb_conv *g = &m->k->g;

	return tensor(m, uid, m->k->P, g->O, out_side(g->H, g),
	    out_side(g->W, g));
}

static desc
convolution(struct maker *m)
{
	const struct cb_conv *g = &m->k->g;
	const int64_t dims = 2, pads[2] = { g->pad, g->pad };
	const int64_t strides[2] = { g->stride, g->stride };
	const int64_t dilations[2] = { 1, 1 };
	const cudnnDataType_t f32 = CUDNN_DATA_FLOAT;
	const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
	desc d = make(m, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);

	set(m, d, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1,
	    &dims);
	set(m, d, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1,
	    &f32);
	set(m, d, CUDNN_ATTR_CONVOLUTION_CONV_MODE,
	    CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode);
	set(m, d, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2,
	    pads);
	set(m, d, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2,
	    pads);
	set(m, d, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2,
	    dilations);
	set(m, d, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2,
	    strides);
	return finish(m, d);
}

/* The three directions of a convolution differ only in the names of their
 * attributes. */
static const struct direction {
	cudnnBackendDescriptorType_t type;
	cudnnBackendAttributeName_t conv, x, w, y, alpha, beta;
} forward = {
	CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
	CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
	CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
	CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
	CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
	CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
	CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA,
}, backward_x = {
	CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
	CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
	CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
	CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
	CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
	CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
	CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA,
}, backward_w = {
	CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
	CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
	CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
	CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
	CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
	CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
	CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA,
};

static void
add_conv(struct maker *m, const struct direction *a, desc y, float beta)
{
	const float one = 1;
	desc d = make(m, a->type);

	set_part(m, d, a->conv, convolution(m));
	set_part(m, d, a->x, tensor_x(m));
	set_part(m, d, a->w, tensor_w(m));
	set_part(m, d, a->y, y);
	set(m, d, a->alpha, CUDNN_TYPE_FLOAT, 1, &one);
	set(m, d, a->beta, CUDNN_TYPE_FLOAT, 1, &beta);
	m->ops[m->nops++] = finish(m, d);
}

/* y = x + b, or with b NULL max(0, x); returns y. */
static desc
add_point(struct maker *m, desc x, desc b, desc y)
{
	const cudnnPointwiseMode_t mode = b != NULL ? CUDNN_POINTWISE_ADD :
	    CUDNN_POINTWISE_RELU_FWD;
	const cudnnDataType_t f32 = CUDNN_DATA_FLOAT;
	desc p = make(m, CUDNN_BACKEND_POINTWISE_DESCRIPTOR), d;

	set(m, p, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1,
	    &mode);
	set(m, p, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1,
	    &f32);
	finish(m, p);
	d = make(m, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
	set_part(m, d, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, p);
	set_part(m, d, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x);
	if (b != NULL)
		set_part(m, d, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, b);
	set_part(m, d, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
	m->ops[m->nops++] = finish(m, d);
	return y;
}

static void
fused(struct maker *m, bool res, bool relu)
{
	int64_t between = PLAN_RES + 1;
	desc y = tensor_y(m, between++);

	add_conv(m, &forward, y, 0);
	if (res)
		y = add_point(m, y, tensor_y(m, PLAN_RES), tensor_y(m,
		    between++));
	y = add_point(m, y, tensor(m, PLAN_BIAS, 1, m->k->g.O, 1, 1),
	    tensor_y(m, relu ? between : PLAN_Y));
	if (relu)
		add_point(m, y, NULL, tensor_y(m, PLAN_Y));
}

static void
graph(struct maker *m)
{
	switch (m->k->op) {
	case CU_CONV_DX:
	case CU_CONV_DX_ADD:
		add_conv(m, &backward_x, tensor_y(m, PLAN_Y),
		    m->k->op == CU_CONV_DX_ADD);
		break;
	case CU_CONV_DW:
		add_conv(m, &backward_w, tensor_y(m, PLAN_Y), 0);
		break;
	case PLAN_CONV:
		add_conv(m, &forward, tensor_y(m, PLAN_Y), 0);
		break;
	default:
		fused(m, m->k->op == CU_CONV_FWD_RES ||
		    m->k->op == CU_CONV_FWD_RES_RELU,
		    m->k->op == CU_CONV_FWD_RELU ||
		    m->k->op == CU_CONV_FWD_RES_RELU);
	}
}

/* ---- engines */

/* Whether an engine that is noted so will not do. */
static bool
unwanted(const struct plan_room *r, cudnnBackendNumericalNote_t note)
{
	switch (note) {
	case CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC:
	case CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION:
		return true;
	case CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS:
		return r->type == CU_F32;
	case CUDNN_NUMERICAL_NOTE_TENSOR_CORE:
		return r->type == CU_F32 && !r->tf32;
	default:
		return false;
	}
}

/* The engine of a configuration, if it will do. */
static bool
suits(struct maker *m, desc config)
{
	cudnnBackendNumericalNote_t notes[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
	cudnnBackendBehaviorNote_t ways[CUDNN_BEHAVIOR_NOTE_TYPE_COUNT];
	int64_t n = 0, nways = 0, one, i;
	desc e = NULL;
	bool ok;

	ok = good(m, cudnnBackendCreateDescriptor(
	    CUDNN_BACKEND_ENGINE_DESCRIPTOR, &e),
	    "cudnnBackendCreateDescriptor") &&
	    good(m, cudnnBackendGetAttribute(config,
	    CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
	    &one, &e), "cudnnBackendGetAttribute") &&
	    good(m, cudnnBackendGetAttribute(e, CUDNN_ATTR_ENGINE_GLOBAL_INDEX,
	    CUDNN_TYPE_INT64, 1, &one, &m->p->engine),
	    "cudnnBackendGetAttribute") &&
	    good(m, cudnnBackendGetAttribute(e,
	    CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
	    CB_LEN(notes), &n, notes), "cudnnBackendGetAttribute") &&
	    good(m, cudnnBackendGetAttribute(e,
	    CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE, CUDNN_TYPE_BEHAVIOR_NOTE,
	    CB_LEN(ways), &nways, ways), "cudnnBackendGetAttribute");
	for (i = 0; ok && i < n; i++)
		ok = !unwanted(m->r, notes[i]);
	for (i = 0; ok && i < nways; i++)
		ok = ways[i] != CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION;
	if (e != NULL)
		cudnnBackendDestroyDescriptor(e);
	return ok;
}

/* Whether a plan came of it: an engine may yet find that it cannot. */
static bool
planned(struct maker *m, desc config)
{
	int64_t one;
	desc d = make(m, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);

	set_part(m, d, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, config);
	set_part(m, d, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, m->r->gpu);
	if (m->failed)
		return false;
	if (cudnnBackendFinalize(d) != CUDNN_STATUS_SUCCESS) {
		m->p->nparts--;
		cudnnBackendDestroyDescriptor(d);
		return false;
	}
	if (!good(m, cudnnBackendGetAttribute(d,
	    CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1,
	    &one, &m->p->bytes), "cudnnBackendGetAttribute"))
		return false;
	m->p->what = d;
	return true;
}

/* Goes through what the library proposes for the graph, in its order. */
static void
choose(struct maker *m, desc g, cudnnBackendHeurMode_t mode)
{
	desc h = make(m, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR), config[16];
	const int most = (int)CB_LEN(config);
	int64_t got = 0, chosen = -1, i;
	int n;

	set_part(m, h, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, g);
	set(m, h, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
	set_part(m, h, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, m->r->gpu);
	finish(m, h);
	for (n = 0; n < most && !m->failed; n++)
		if (!good(m, cudnnBackendCreateDescriptor(
		    CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, &config[n]),
		    "cudnnBackendCreateDescriptor"))
			break;
	if (!m->failed)
		good(m, cudnnBackendGetAttribute(h,
		    CUDNN_ATTR_ENGINEHEUR_RESULTS,
		    CUDNN_TYPE_BACKEND_DESCRIPTOR, most, &got, config),
		    "cudnnBackendGetAttribute");
	for (i = 0; i < got && chosen < 0 && !m->failed; i++)
		if (suits(m, config[i]) && planned(m, config[i]))
			chosen = i;
	assert(m->p->nparts < (int)CB_LEN(m->p->parts));
	for (i = 0; i < n; i++)
		if (i == chosen)
			m->p->parts[m->p->nparts++] = config[i];
		else
			cudnnBackendDestroyDescriptor(config[i]);
}

static void
destroy_parts(struct plan *p)
{
	while (p->nparts > 0)
		cudnnBackendDestroyDescriptor(p->parts[--p->nparts]);
}

int
plan_make(struct plan *p, const struct plan_room *r, const struct plan_key *k)
{
	static const cudnnDataType_t type[] = { CUDNN_DATA_FLOAT,
	    CUDNN_DATA_BFLOAT16, CUDNN_DATA_HALF };
	struct maker m = { p, r, k, type[r->type], { NULL }, 0, false };
	desc g;

	graph(&m);
	g = make(&m, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
	set(&m, g, CUDNN_ATTR_OPERATIONGRAPH_OPS,
	    CUDNN_TYPE_BACKEND_DESCRIPTOR, m.nops, m.ops);
	finish(&m, g);
	choose(&m, g, CUDNN_HEUR_MODE_A);
	if (!m.failed && p->what == NULL)
		choose(&m, g, CUDNN_HEUR_MODE_FALLBACK);
	if (p->what != NULL && !m.failed)
		return 0;
	p->none |= !m.failed;
	p->what = NULL;
	destroy_parts(p);
	return p->none ? 0 : -1;
}

void
plan_clear(struct plan *p)
{
	destroy_parts(p);
	memset(p, 0, sizeof(*p));
}
