/*
 * What a graph of cuDNN says: one of those of cuda/plan.c, a convolution in one
 * direction, alone or followed by [+ res] + bias [relu].  Others are refused, as
 * by the library where it has no engine compiled in advance.
 */
#include "../cudasim/device.h"
#include "bag.h"

namespace cbsim {

/* Four dimensions, channels last. */
static bool
tensor_of(Tensor *out, const Bag *b)
{
	int64_t s[4], *d = out->dim;

	if (b->type != TENSOR || count(b, CUDNN_ATTR_TENSOR_DIMENSIONS) != 4)
		return false;
	for (int i = 0; i < 4; i++) {
		d[i] = get<int64_t>(b, CUDNN_ATTR_TENSOR_DIMENSIONS, i);
		s[i] = get<int64_t>(b, CUDNN_ATTR_TENSOR_STRIDES, i);
	}
	out->id = get<int64_t>(b, CUDNN_ATTR_TENSOR_UNIQUE_ID);
	out->between = count(b, CUDNN_ATTR_TENSOR_IS_VIRTUAL) == 1 &&
	    get<bool>(b, CUDNN_ATTR_TENSOR_IS_VIRTUAL);
	switch (get<cudnnDataType_t>(b, CUDNN_ATTR_TENSOR_DATA_TYPE)) {
	case CUDNN_DATA_FLOAT:
		out->type = F32;
		break;
	case CUDNN_DATA_BFLOAT16:
		out->type = BF16;
		break;
	case CUDNN_DATA_HALF:
		out->type = F16;
		break;
	default:
		return false;
	}
	return s[1] == 1 && s[3] == d[1] && s[2] == d[1] * d[3] &&
	    s[0] == d[1] * d[2] * d[3];
}

static bool
same_dims(const Tensor &a, const Tensor &b)
{
	return memcmp(a.dim, b.dim, sizeof(a.dim)) == 0;
}

/* The convolution of an operation: sizes that fit, square, not dilated. */
static bool
conv_of(Graph *g, const Bag *op)
{
	const int name[3][5] = {
		{ CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
		    CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
		    CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
		    CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
		    CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA },
		{ CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
		    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
		    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
		    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
		    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA },
		{ CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
		    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
		    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
		    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
		    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA },
	};
	const int *n = name[g->way = op->type == FORWARD ? Graph::FORWARD :
	    op->type == DATA ? Graph::DATA : Graph::FILTER];
	const Bag *c = part(op, n[0]);
	const int64_t *x = g->x.dim, *w = g->w.dim, *y = g->y.dim;

	if (!tensor_of(&g->x, part(op, n[1])) || !tensor_of(&g->w, part(op,
	    n[2])) || !tensor_of(&g->y, part(op, n[3])))
		return false;
	g->beta = get<float>(op, n[4]);
	g->pad = get<int64_t>(c, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS);
	g->stride = get<int64_t>(c, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES);
	for (int i = 0; i < 2; i++)
		if (get<int64_t>(c, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, i) !=
		    g->pad || get<int64_t>(c,
		    CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, i) != g->pad ||
		    get<int64_t>(c, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES,
		    i) != g->stride || get<int64_t>(c,
		    CUDNN_ATTR_CONVOLUTION_DILATIONS, i) != 1 || y[i + 2] !=
		    (x[i + 2] + 2 * g->pad - w[i + 2]) / g->stride + 1)
			return false;
	return get<cudnnConvolutionMode_t>(c,
	    CUDNN_ATTR_CONVOLUTION_CONV_MODE) == CUDNN_CROSS_CORRELATION &&
	    get<cudnnDataType_t>(c, CUDNN_ATTR_CONVOLUTION_COMP_TYPE) ==
	    CUDNN_DATA_FLOAT && x[0] == y[0] && x[1] == w[1] && w[0] == y[1];
}

static bool
adds(const Bag *op)
{
	return op->type == POINT_OP && get<cudnnPointwiseMode_t>(part(op,
	    CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR),
	    CUDNN_ATTR_POINTWISE_MODE) == CUDNN_POINTWISE_ADD;
}

/* Adds an elementwise operation to what is fused so far; of two sums the first
 * is with res. */
static bool
fuse(Graph *g, const Bag *op, bool first)
{
	const Bag *p = part(op, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR);
	Tensor x, y, b;

	if (!tensor_of(&x, part(op, CUDNN_ATTR_OPERATION_POINTWISE_XDESC)) ||
	    !tensor_of(&y, part(op, CUDNN_ATTR_OPERATION_POINTWISE_YDESC)) ||
	    x.id != g->y.id || !x.between || x.type != F32 ||
	    !same_dims(x, y) || g->relu || g->way != Graph::FORWARD)
		return false;
	g->y = y;
	if (get<cudnnPointwiseMode_t>(p, CUDNN_ATTR_POINTWISE_MODE) ==
	    CUDNN_POINTWISE_RELU_FWD)
		return g->relu = g->bias;
	if (!adds(op) || g->bias ||
	    count(op, CUDNN_ATTR_OPERATION_POINTWISE_BDESC) != 1 ||
	    !tensor_of(&b, part(op, CUDNN_ATTR_OPERATION_POINTWISE_BDESC)) ||
	    b.between || b.type != g->x.type)
		return false;
	if (first) {
		g->res = true;
		g->id_res = b.id;
		return same_dims(b, y);
	}
	g->bias = true;
	g->id_bias = b.id;
	return b.dim[0] == 1 && b.dim[1] == y.dim[1] && b.dim[2] == 1 &&
	    b.dim[3] == 1;
}

cudnnStatus_t
graph_of(Graph *g, const Bag *b)
{
	const int n = (int)count(b, CUDNN_ATTR_OPERATIONGRAPH_OPS);
	const Bag *op = part(b, CUDNN_ATTR_OPERATIONGRAPH_OPS);

	*g = Graph();
	if (op->type != FORWARD && op->type != DATA && op->type != FILTER)
		return fail(CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN,
		    "the first operation is no convolution");
	if (!conv_of(g, op))
		return fail(CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH,
		    "a convolution that cannot be");
	for (int i = 1; i < n; i++) {
		op = part(b, CUDNN_ATTR_OPERATIONGRAPH_OPS, i);
		if (refuse("CUDNN_POINTWISE_ADD") || op->type != POINT_OP ||
		    !fuse(g, op, i + 1 < n && adds(part(b,
		    CUDNN_ATTR_OPERATIONGRAPH_OPS, i + 1))))
			return fail(CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN,
			    "operations that are not fused");
	}
	if (g->y.between || g->x.between || g->w.between)
		return fail(CUDNN_STATUS_BAD_PARAM, "a result that is virtual");
	return CUDNN_STATUS_SUCCESS;
}

} /* namespace cbsim */
