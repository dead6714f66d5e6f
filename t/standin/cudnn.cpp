/*
 * The calls of cuDNN that the engine makes, on the simulated device: its graph
 * API, in which everything is a bag of attributes.  Signatures are checked
 * against the real header; meanings are those of the cuDNN documentation, "Graph
 * API", and what a wrong call gives was seen on the real library.
 *
 * This file holds the bags: setting and finishing them, and what is proposed for
 * a graph.  cudnn-graph.cpp reads what a graph says, convolve.cpp computes it.
 * For each there are engines of every kind, good and bad, so that choosing is
 * tested; notes change nothing but that tensor cores round f32 to TF32.
 *
 * CBSIM_FAIL also takes CUDNN_POINTWISE_ADD (no graph with one is supported),
 * CUDNN_HEUR_MODE_A (that proposes nothing) and CUDNN_ATTR_ENGINEHEUR_RESULTS
 * (no mode does).
 */
#include <string.h>

#include <set>
#include <vector>

#include "../cudasim/device.h"
#include "bag.h"

using namespace cbsim;

struct cudnnContext { cudaStream_t stream; };

static std::set<const void *> live;	/* descriptors and handles */
static int handles;
static std::string last;

cudnnStatus_t
cbsim::fail(cudnnStatus_t s, const char *why)
{
	last = why;
	return s;
}

Bag *
cbsim::bag_of(const void *p)
{
	if (live.count(p) == 0)
		fault("%p is no descriptor, or no more", p);
	return (Bag *)p;
}

/* ---- attributes */

struct Rule {
	cudnnBackendDescriptorType_t of;
	int	 name;
	cudnnBackendAttributeType_t type;
	int	 least, most;		/* least 0: may be absent */
};

#define CONV(type, DIR, x, w, y) \
	{ type, CUDNN_ATTR_OPERATION_CONVOLUTION_##DIR##_CONV_DESC, \
	    CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1 }, \
	{ type, CUDNN_ATTR_OPERATION_CONVOLUTION_##DIR##_##x, \
	    CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1 }, \
	{ type, CUDNN_ATTR_OPERATION_CONVOLUTION_##DIR##_##w, \
	    CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1 }, \
	{ type, CUDNN_ATTR_OPERATION_CONVOLUTION_##DIR##_##y, \
	    CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1 }, \
	{ type, CUDNN_ATTR_OPERATION_CONVOLUTION_##DIR##_ALPHA, \
	    CUDNN_TYPE_FLOAT, 1, 1 }, \
	{ type, CUDNN_ATTR_OPERATION_CONVOLUTION_##DIR##_BETA, \
	    CUDNN_TYPE_FLOAT, 1, 1 }

static const Rule rules[] = {
	{ TENSOR, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, 1 },
	{ TENSOR, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, 1 },
	{ TENSOR, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 1, 8 },
	{ TENSOR, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 1, 8 },
	{ TENSOR, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, 1 },
	{ TENSOR, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 0, 1 },
	{ CONVOLUTION, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64,
	    1, 1 },
	{ CONVOLUTION, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE,
	    1, 1 },
	{ CONVOLUTION, CUDNN_ATTR_CONVOLUTION_CONV_MODE,
	    CUDNN_TYPE_CONVOLUTION_MODE, 1, 1 },
	{ CONVOLUTION, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64,
	    1, 8 },
	{ CONVOLUTION, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64,
	    1, 8 },
	{ CONVOLUTION, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 1,
	    8 },
	{ CONVOLUTION, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES,
	    CUDNN_TYPE_INT64, 1, 8 },
	CONV(FORWARD, FORWARD, X, W, Y),
	CONV(DATA, BWD_DATA, DX, W, DY),
	CONV(FILTER, BWD_FILTER, X, DW, DY),
	{ POINT, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, 1 },
	{ POINT, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, 1 },
	{ POINT_OP, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR,
	    CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1 },
	{ POINT_OP, CUDNN_ATTR_OPERATION_POINTWISE_XDESC,
	    CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1 },
	{ POINT_OP, CUDNN_ATTR_OPERATION_POINTWISE_BDESC,
	    CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, 1 },
	{ POINT_OP, CUDNN_ATTR_OPERATION_POINTWISE_YDESC,
	    CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1 },
	{ GRAPH, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR,
	    1, 50 },
	{ HEUR, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH,
	    CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1 },
	{ HEUR, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, 1 },
	{ HEUR, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP,
	    CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1 },
	{ PLAN, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG,
	    CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1 },
	{ PLAN, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP,
	    CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1 },
	{ PACK, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, 1, 64 },
	{ PACK, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, 1,
	    64 },
	{ PACK, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 0, 1 },
	{ GPU, CUDNN_ATTR_DEVICEPROP_HANDLE, CUDNN_TYPE_HANDLE, 0, 1 },
	{ GPU, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, 0,
	    1 << 20 },
};

static size_t
size_of(cudnnBackendAttributeType_t t)
{
	switch (t) {
	case CUDNN_TYPE_CHAR:
	case CUDNN_TYPE_BOOLEAN:
		return 1;
	case CUDNN_TYPE_INT64:
	case CUDNN_TYPE_HANDLE:
	case CUDNN_TYPE_VOID_PTR:
	case CUDNN_TYPE_BACKEND_DESCRIPTOR:
		return 8;
	default:
		return 4;
	}
}

/* ---- engines */

struct Engine {
	std::vector<cudnnBackendNumericalNote_t> notes;
	std::vector<cudnnBackendBehaviorNote_t> ways;
};

enum { CANNOT = 3, CORES, PLAIN };

static const Engine engines[] = {
	{ { CUDNN_NUMERICAL_NOTE_TENSOR_CORE,
	    CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC }, {} },
	{ { CUDNN_NUMERICAL_NOTE_TENSOR_CORE,
	    CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS,
	    CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION }, {} },
	{ { CUDNN_NUMERICAL_NOTE_TENSOR_CORE },
	    { CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION } },
	{ {}, {} },			/* CANNOT: no plan comes of it */
	{ { CUDNN_NUMERICAL_NOTE_TENSOR_CORE }, {} },
	{ {}, {} },
};

/* What the heuristic proposes, best first. */
static std::vector<int>
proposals(const Bag *heur)
{
	const Graph &g = heur->graph;

	if (g.x.type != g.y.type || g.w.type != g.x.type ||
	    refuse("CUDNN_ATTR_ENGINEHEUR_RESULTS"))
		return {};
	if (get<cudnnBackendHeurMode_t>(heur, CUDNN_ATTR_ENGINEHEUR_MODE) !=
	    CUDNN_HEUR_MODE_A)
		return { PLAIN };
	if (refuse("CUDNN_HEUR_MODE_A"))
		return {};
	return { 0, 1, 2, CANNOT, CORES, PLAIN };
}

/* Space that a plan wants: partial sums of gradients. */
static int64_t
space_of(const Graph &g)
{
	return g.way == Graph::FORWARD ? 0 : 4 * g.w.count() + 16;
}

/* ---- finishing */

/* All that must be set is, and what it refers to is finished. */
static cudnnStatus_t
complete(const Bag *b)
{
	for (const Rule &r : rules) {
		if (r.of != b->type)
			continue;
		if (count(b, r.name) < r.least)
			return fail(CUDNN_STATUS_BAD_PARAM,
			    "an attribute is missing");
		if (r.type != CUDNN_TYPE_BACKEND_DESCRIPTOR)
			continue;
		for (int i = 0; i < (int)count(b, r.name); i++)
			if (!part(b, r.name, i)->finished)
				return fail(CUDNN_STATUS_BAD_PARAM,
				    "a part is not finalized");
	}
	return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t
finish(Bag *b)
{
	const Bag *from;
	cudnnStatus_t s;

	if (b->finished)
		return fail(CUDNN_STATUS_BAD_PARAM, "finalized already");
	if ((s = complete(b)) != CUDNN_STATUS_SUCCESS)
		return s;
	switch (b->type) {
	case CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR:
		if ((s = graph_of(&b->graph, b)) != CUDNN_STATUS_SUCCESS)
			return s;
		break;
	case CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR:
		from = part(b, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH);
		b->graph = from->graph;
		break;
	case CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR:
		from = part(b, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG);
		b->graph = from->graph;
		b->engine = from->engine;
		if (b->engine == CANNOT)
			return fail(CUDNN_STATUS_NOT_SUPPORTED,
			    "an engine that cannot");
		break;
	case CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR:
		if (count(b, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS) != count(b,
		    CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS))
			return fail(CUDNN_STATUS_BAD_PARAM,
			    "not as many names as pointers");
		break;
	case CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR:
		if (b->values.size() != 1)
			return fail(CUDNN_STATUS_BAD_PARAM, "which device?");
		break;
	default:
		break;
	}
	b->finished = true;
	return CUDNN_STATUS_SUCCESS;
}

/* ---- asking */

/* Fills descriptors that the caller made, so that they are as if finished. */
static cudnnStatus_t
hand_out(const Bag *b, const std::vector<int> &found,
    cudnnBackendDescriptorType_t type, int64_t room, int64_t *n, void **to)
{
	*n = (int64_t)found.size();
	for (int64_t i = 0; i < *n && i < room; i++) {
		Bag *t = bag_of(to[i]);

		if (t->type != type)
			return fail(CUDNN_STATUS_BAD_PARAM_DESCRIPTOR_TYPE,
			    "room for results of another type");
		t->graph = b->graph;
		t->engine = found[(size_t)i];
		t->finished = true;
	}
	*n = room == 0 || *n < room ? *n : room;
	return CUDNN_STATUS_SUCCESS;
}

template <class T> static cudnnStatus_t
answer(const std::vector<T> &v, int64_t room, int64_t *n, void *to)
{
	*n = (int64_t)v.size();
	for (int64_t i = 0; i < *n && i < room; i++)
		((T *)to)[i] = v[(size_t)i];
	return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t
ask(const Bag *b, int name, int64_t room, int64_t *n, void *to)
{
	if (!b->finished)
		return fail(CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED,
		    "not finalized");
	switch (name) {
	case CUDNN_ATTR_ENGINEHEUR_RESULTS:
		return hand_out(b, proposals(b), CONFIG, room, n, (void **)to);
	case CUDNN_ATTR_ENGINECFG_ENGINE:
		return hand_out(b, { b->engine }, ENGINE, room, n,
		    (void **)to);
	case CUDNN_ATTR_ENGINE_GLOBAL_INDEX:
		return answer<int64_t>({ b->engine }, room, n, to);
	case CUDNN_ATTR_ENGINE_NUMERICAL_NOTE:
		return answer(engines[b->engine].notes, room, n, to);
	case CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE:
		return answer(engines[b->engine].ways, room, n, to);
	case CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE:
		return answer<int64_t>({ space_of(b->graph) }, room, n, to);
	default:
		fault("asking for attribute %d is not simulated", name);
	}
}

/* ---- executing */

/* The pointer that a pack gives for a tensor; the tensors say 16 bytes. */
static void *
pointer(const Bag *pack, int64_t id)
{
	for (int i = 0; i < (int)count(pack,
	    CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS); i++)
		if (get<int64_t>(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS,
		    i) == id) {
			void *p = get<void *>(pack,
			    CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, i);

			if ((uintptr_t)p % 16 != 0)
				fault("tensor %d at %p, not aligned to 16 "
				    "bytes", (int)id, p);
			return p;
		}
	return NULL;
}

static cudnnStatus_t
execute(cudaStream_t s, const Bag *plan, const Bag *pack)
{
	const Graph &g = plan->graph;
	Convolution c = { g, pointer(pack, g.x.id), pointer(pack, g.w.id),
	    pointer(pack, g.y.id), g.bias ? pointer(pack, g.id_bias) : NULL,
	    g.res ? pointer(pack, g.id_res) : NULL, NULL,
	    (size_t)space_of(g), g.x.type == F32 && plan->engine != PLAIN };

	if (c.x == NULL || c.w == NULL || c.y == NULL || (g.bias &&
	    c.bias == NULL) || (g.res && c.res == NULL))
		return fail(CUDNN_STATUS_BAD_PARAM, "a pointer is missing");
	if (c.space_bytes > 0 && count(pack,
	    CUDNN_ATTR_VARIANT_PACK_WORKSPACE) == 1)
		c.space = get<void *>(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE);
	if (c.space_bytes > 0 && c.space == NULL)
		return fail(CUDNN_STATUS_BAD_PARAM_NULL_POINTER,
		    "no workspace");
	enqueue(s, "cudnnBackendExecute", [c] { convolve(c); });
	return CUDNN_STATUS_SUCCESS;
}

/* ---- the calls */

extern "C" {

size_t
cudnnGetVersion(void)
{
	return CUDNN_VERSION;
}

const char *
cudnnGetErrorString(cudnnStatus_t s)
{
	switch (s) {
	case CUDNN_STATUS_SUCCESS:
		return "CUDNN_STATUS_SUCCESS";
	case CUDNN_STATUS_NOT_INITIALIZED:
		return "CUDNN_STATUS_NOT_INITIALIZED";
	case CUDNN_STATUS_BAD_PARAM:
		return "CUDNN_STATUS_BAD_PARAM";
	case CUDNN_STATUS_NOT_SUPPORTED:
		return "CUDNN_STATUS_NOT_SUPPORTED";
	case CUDNN_STATUS_INTERNAL_ERROR:
		return "CUDNN_STATUS_INTERNAL_ERROR";
	case CUDNN_STATUS_EXECUTION_FAILED:
		return "CUDNN_STATUS_EXECUTION_FAILED";
	default:
		return "a status of the simulated device";
	}
}

/* Tells once. */
void
cudnnGetLastErrorString(char *to, size_t n)
{
	if (n > 0)
		to[last.copy(to, n - 1)] = '\0';
	last.clear();
}

cudnnStatus_t
cudnnCreate(cudnnHandle_t *out)
{
	Lock lock;

	if (refuse("cudnnCreate"))
		return fail(CUDNN_STATUS_NOT_INITIALIZED, "refused");
	*out = new cudnnContext{ NULL };
	live.insert(*out);
	handles++;
	return CUDNN_STATUS_SUCCESS;
}

static cudnnContext *
context_of(cudnnHandle_t h)
{
	if (live.count(h) == 0)
		fault("%p is no handle, or no more", (void *)h);
	return h;
}

cudnnStatus_t
cudnnDestroy(cudnnHandle_t h)
{
	Lock lock;

	set_running("cudnnDestroy");
	delete context_of(h);
	live.erase(h);
	handles--;
	if (handles == 0 && !live.empty())
		fault("%zu descriptors are left", live.size());
	return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t
cudnnSetStream(cudnnHandle_t h, cudaStream_t s)
{
	Lock lock;

	if (refuse("cudnnSetStream"))
		return fail(CUDNN_STATUS_BAD_PARAM, "refused");
	context_of(h)->stream = s;
	return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t
cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type,
    cudnnBackendDescriptor_t *out)
{
	Lock lock;

	if (refuse("cudnnBackendCreateDescriptor"))
		return fail(CUDNN_STATUS_INTERNAL_ERROR, "refused");
	*out = new Bag{ type, false, {}, {}, -1 };
	live.insert(*out);
	return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t
cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t d)
{
	Lock lock;
	Bag *b = bag_of(d);

	live.erase(b);
	delete b;
	return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t
cudnnBackendSetAttribute(cudnnBackendDescriptor_t d,
    cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
    int64_t n, const void *v)
{
	Lock lock;
	Bag *b = bag_of(d);

	set_running("cudnnBackendSetAttribute");
	if (refuse("cudnnBackendSetAttribute"))
		return fail(CUDNN_STATUS_INTERNAL_ERROR, "refused");
	if (b->finished)
		return fail(CUDNN_STATUS_BAD_PARAM, "finalized already");
	for (const Rule &r : rules) {
		if (r.of != b->type || r.name != name)
			continue;
		if (type != r.type)
			return fail(CUDNN_STATUS_BAD_PARAM_ATTRIBUTE_TYPE,
			    "an attribute of another type");
		if (n < 1 || n > r.most)
			return fail(CUDNN_STATUS_BAD_PARAM,
			    "too many elements, or none");
		b->values[name] = { type, n, std::string((const char *)v,
		    (size_t)n * size_of(type)) };
		return CUDNN_STATUS_SUCCESS;
	}
	return fail(CUDNN_STATUS_BAD_PARAM, "no such attribute here");
}

cudnnStatus_t
cudnnBackendGetAttribute(cudnnBackendDescriptor_t const d,
    cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t,
    int64_t room, int64_t *n, void *to)
{
	Lock lock;

	set_running("cudnnBackendGetAttribute");
	if (refuse("cudnnBackendGetAttribute"))
		return fail(CUDNN_STATUS_INTERNAL_ERROR, "refused");
	return ask(bag_of(d), name, room, n, to);
}

cudnnStatus_t
cudnnBackendFinalize(cudnnBackendDescriptor_t d)
{
	Lock lock;

	set_running("cudnnBackendFinalize");
	if (refuse("cudnnBackendFinalize"))
		return fail(CUDNN_STATUS_INTERNAL_ERROR, "refused");
	return finish(bag_of(d));
}

cudnnStatus_t
cudnnBackendExecute(cudnnHandle_t h, cudnnBackendDescriptor_t plan,
    cudnnBackendDescriptor_t pack)
{
	Lock lock;
	const Bag *p = bag_of(plan), *v = bag_of(pack);

	set_running("cudnnBackendExecute");
	if (refuse("cudnnBackendExecute"))
		return fail(CUDNN_STATUS_EXECUTION_FAILED, "refused");
	if (p->type != PLAN || v->type != PACK || !p->finished || !v->finished)
		return fail(CUDNN_STATUS_BAD_PARAM, "no plan, or no pack");
	return execute(context_of(h)->stream, p, v);
}

} /* extern "C" */
