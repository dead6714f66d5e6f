/*
 * Graphs: what a captured stream was given is kept, with its arguments by
 * value, and put into a stream as often as the graph is launched.  Only one
 * stream can be captured at a time into one graph, so the nodes of a graph are
 * a row.  What a capture allows and what spoils it: CUDA Programming Guide,
 * "Creating a Graph Using Stream Capture".
 */
#include <string.h>

#include "device.h"

using namespace cbsim;

struct CUgraph_st {
	std::vector<Node> nodes;
};

struct CUgraphExec_st {
	std::vector<Node> nodes;
};

/* Copies by their direction, fills, and kernels of any function. */
static const char *
type_of(const Node &n)
{
	return strncmp(n.name, "cudaMem", 7) == 0 ? n.name : "kernel";
}

extern "C" {

cudaError_t
cudaStreamBeginCapture(cudaStream_t s, enum cudaStreamCaptureMode mode)
{
	Lock lock;

	if (refuse("cudaStreamBeginCapture"))
		return last_error(cudaErrorUnknown);
	if (s == NULL || s == cudaStreamLegacy)
		return last_error(cudaErrorStreamCaptureUnsupported);
	if (capture_of(s)->on)
		return last_error(cudaErrorIllegalState);
	*capture_of(s) = { true, mode == cudaStreamCaptureModeRelaxed, false,
	    {} };
	return cudaSuccess;
}

cudaError_t
cudaStreamEndCapture(cudaStream_t s, cudaGraph_t *out)
{
	Lock lock;
	Capture *c = capture_of(s);
	bool refused = refuse("cudaStreamEndCapture");

	*out = NULL;
	if (!c->on)
		return last_error(cudaErrorIllegalState);
	c->on = false;
	if (refused || c->broken)
		return last_error(cudaErrorStreamCaptureInvalidated);
	*out = new CUgraph_st{ std::move(c->nodes) };
	return cudaSuccess;
}

cudaError_t
cudaStreamIsCapturing(cudaStream_t s, enum cudaStreamCaptureStatus *out)
{
	Lock lock;
	Capture *c = capture_of(s);

	*out = !c->on ? cudaStreamCaptureStatusNone : c->broken ?
	    cudaStreamCaptureStatusInvalidated : cudaStreamCaptureStatusActive;
	return cudaSuccess;
}

cudaError_t
cudaGraphGetNodes(cudaGraph_t g, cudaGraphNode_t *nodes, size_t *n)
{
	if (nodes != NULL)
		fault("cudaGraphGetNodes: only their number is simulated");
	*n = g->nodes.size();
	return cudaSuccess;
}

cudaError_t
cudaGraphDestroy(cudaGraph_t g)
{
	delete g;
	return cudaSuccess;
}

cudaError_t
cudaGraphInstantiate(cudaGraphExec_t *out, cudaGraph_t g, unsigned long long)
{
	Lock lock;

	if (refuse("cudaGraphInstantiate"))
		return last_error(cudaErrorMemoryAllocation);
	*out = new CUgraphExec_st{ g->nodes };
	return cudaSuccess;
}

cudaError_t
cudaGraphExecUpdate(cudaGraphExec_t exec, cudaGraph_t g,
    cudaGraphExecUpdateResultInfo *info)
{
	Lock lock;
	bool refused = refuse("cudaGraphExecUpdate");

	memset(info, 0, sizeof(*info));
	info->result = cudaGraphExecUpdateErrorTopologyChanged;
	if (refused || g->nodes.size() != exec->nodes.size())
		return last_error(cudaErrorGraphExecUpdateFailure);
	info->result = cudaGraphExecUpdateErrorNodeTypeChanged;
	for (size_t i = 0; i < g->nodes.size(); i++)
		if (strcmp(type_of(g->nodes[i]), type_of(exec->nodes[i])) != 0)
			return last_error(cudaErrorGraphExecUpdateFailure);
	info->result = cudaGraphExecUpdateSuccess;
	exec->nodes = g->nodes;
	return cudaSuccess;
}

cudaError_t
cudaGraphExecDestroy(cudaGraphExec_t exec)
{
	delete exec;
	return cudaSuccess;
}

cudaError_t
cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t s)
{
	Lock lock;

	if (refuse("cudaGraphLaunch"))
		return last_error(cudaErrorLaunchFailure);
	if (capture_of(s)->on)
		fault("a graph within a graph is not simulated");
	log_line("asks graph");
	for (const Node &n : exec->nodes)
		enqueue(s, n.name, n.work);
	return cudaSuccess;
}

} /* extern "C" */
