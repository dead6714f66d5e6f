/*
 * bag: a descriptor of cuDNN as a bag of attributes.  cudnn.cpp fills them,
 * cudnn-graph.cpp reads what a graph says.
 */
#ifndef CB_STANDIN_BAG_H
#define CB_STANDIN_BAG_H

#include <string.h>

#include <map>
#include <string>

#include <cudnn_graph.h>

#include "convolve.h"

namespace cbsim {

static const auto TENSOR = CUDNN_BACKEND_TENSOR_DESCRIPTOR;
static const auto CONVOLUTION = CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR;
static const auto FORWARD =
    CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR;
static const auto DATA =
    CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR;
static const auto FILTER =
    CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR;
static const auto POINT = CUDNN_BACKEND_POINTWISE_DESCRIPTOR;
static const auto POINT_OP = CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR;
static const auto GRAPH = CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR;
static const auto HEUR = CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR;
static const auto CONFIG = CUDNN_BACKEND_ENGINECFG_DESCRIPTOR;
static const auto ENGINE = CUDNN_BACKEND_ENGINE_DESCRIPTOR;
static const auto PLAN = CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR;
static const auto PACK = CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR;
static const auto GPU = CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR;

struct Value {
	cudnnBackendAttributeType_t type;
	int64_t	 count;
	std::string bytes;
};

struct Bag {
	cudnnBackendDescriptorType_t type;
	bool	 finished;
	std::map<int, Value> values;
	Graph	 graph;			/* of a graph, and all made from it */
	int	 engine;		/* of a configuration, engine or plan */
};

/* A fault if there is no such descriptor. */
Bag	*bag_of(const void *p);
/* Keeps why for cudnnGetLastErrorString(); is s. */
cudnnStatus_t fail(cudnnStatus_t s, const char *why);

/* The i-th element of what was set. */
template <class T> static inline T
get(const Bag *b, int name, int i = 0)
{
	T v;

	memcpy(&v, b->values.at(name).bytes.data() + (size_t)i * sizeof(T),
	    sizeof(T));
	return v;
}

static inline Bag *
part(const Bag *b, int name, int i = 0)
{
	return bag_of(get<void *>(b, name, i));
}

static inline int64_t
count(const Bag *b, int name)
{
	auto i = b->values.find(name);

	return i == b->values.end() ? 0 : i->second.count;
}

/* The graph of a bag of operations. */
cudnnStatus_t graph_of(Graph *g, const Bag *b);

} /* namespace cbsim */

#endif
