/*
 * Streams and graphs.  The first operation after a wait begins to capture the
 * stream, and the wait launches what was captured as one graph: the host then
 * speaks to the device once a step, not some thousand times.
 *
 * Building an executable graph is slow (milliseconds), updating one is not: a
 * graph with the same operations and as many nodes is made from the last such,
 * whatever the sizes, pointers and other arguments are now; where CUDA will not
 * have it, it is built anew.  Sizes are not part of what is compared, since the
 * number of tokens is another in almost every batch.
 *
 * Libraries choose and load their kernels when they first see some sizes, which
 * is not for captures.  What holds an operation with such sizes goes on without
 * a graph from there to the wait (`plain`).  CB_CUDA_GRAPHS=0 leaves out graphs
 * altogether: the same bits.
 */
#include <string.h>

#include "gpu.h"

/* FNV-1a */
#define HASH_EMPTY 14695981039346656037u
#define HASH_TIMES 1099511628211u

static void
add_name(struct graphs *a, const char *name)
{
	do
		a->names = (a->names ^ (unsigned char)*name) * HASH_TIMES;
	while (*name++ != '\0');
}

static void
capture(struct gpu *g)
{
	g->graphs.names = HASH_EMPTY;
	g->graphs.capturing = CU(g, cudaStreamBeginCapture(g->stream,
	    cudaStreamCaptureModeRelaxed));
}

cudaStream_t
gpu_begin(struct gpu *g, const char *name)
{
	struct graphs *a = &g->graphs;

	gpu_optim_step(g);
	a->pending = true;
	if (a->wanted && !a->plain && !a->capturing && g->code == CB_OK)
		capture(g);
	if (a->capturing)
		add_name(a, name);
	return g->stream;
}

/* ---- running what was captured */

/* The least recently used makes room. */
static struct exec *
place(struct graphs *a)
{
	struct exec *x = a->at;
	int i;

	if (a->n < GPU_GRAPHS)
		return memset(&a->at[a->n++], 0, sizeof(*x));
	for (i = 1; i < a->n; i++)
		if (a->at[i].used < x->used)
			x = &a->at[i];
	return x;
}

/* An executable form of a graph; NULL: an error, which is kept. */
static struct exec *
executable(struct gpu *g, cudaGraph_t graph, size_t nodes)
{
	struct graphs *a = &g->graphs;
	cudaGraphExecUpdateResultInfo info;
	struct exec *x = NULL;
	int i;

	for (i = 0; i < a->n && x == NULL; i++)
		if (a->at[i].exec != NULL && a->at[i].names == a->names &&
		    a->at[i].nodes == nodes)
			x = &a->at[i];
	if (x != NULL && cudaGraphExecUpdate(x->exec, graph, &info) ==
	    cudaSuccess)
		return x;
	cudaGetLastError();		/* that it cannot be is no error */
	if (x == NULL)
		x = place(a);
	if (x->exec != NULL)
		CU(g, cudaGraphExecDestroy(x->exec));
	*x = (struct exec){ NULL, a->names, nodes, 0 };
	return CU(g, cudaGraphInstantiate(&x->exec, graph, 0)) ? x : NULL;
}

static void
run(struct gpu *g, cudaGraph_t graph)
{
	struct exec *x;
	size_t nodes;

	gpu_pictures_order(g);
	if (!CU(g, cudaGraphGetNodes(graph, NULL, &nodes)) || nodes == 0 ||
	    (x = executable(g, graph, nodes)) == NULL)
		return;
	x->used = ++g->graphs.clock;
	CU(g, cudaGraphLaunch(x->exec, g->stream));
}

/* What was captured goes to the device; after an error it is dropped. */
static void
launch(struct gpu *g)
{
	cudaGraph_t graph = NULL;

	if (!g->graphs.capturing)
		return;
	g->graphs.capturing = false;
	CU(g, cudaStreamEndCapture(g->stream, &graph));
	if (g->code == CB_OK)
		run(g, graph);
	if (graph != NULL)
		CU(g, cudaGraphDestroy(graph));
}

cudaStream_t
gpu_begin_lib(struct gpu *g, const char *name, const struct sizes *s)
{
	struct graphs *a = &g->graphs;
	bool found;

	if (a->wanted && cache_get(&a->met, s, &found) == NULL)
		gpu_lib(g, -1);
	else if (a->wanted && !found && !a->plain) {
		launch(g);
		a->plain = true;
	}
	return gpu_begin(g, name);
}

void
gpu_wait(struct gpu *g)
{
	struct graphs *a = &g->graphs;

	gpu_optim_step(g);
	gpu_optim_fetch(g);
	if (!a->pending)
		return;
	launch(g);
	a->pending = a->plain = false;
	gpu_pictures_send(g);		/* while the device computes */
	CU(g, cudaStreamSynchronize(g->stream));
	gpu_pictures_idle(g);
	gpu_optim_deliver(g);
	g->stage.used = 0;
}

int
gpu_sync(struct cb_engine *e)
{
	struct gpu *g = gpu_of(e);
	enum cb_code code;

	gpu_wait(g);
	code = g->code;
	g->code = CB_OK;
	return code == CB_OK ? 0 : cb_fail(code, "%s", g->error);
}

static void
no_value(void *p)
{
	(void)p;
}

void
gpu_graphs_free(struct gpu *g)
{
	int i;

	for (i = 0; i < g->graphs.n; i++)
		if (g->graphs.at[i].exec != NULL)
			cudaGraphExecDestroy(g->graphs.at[i].exec);
	cache_clear(&g->graphs.met, no_value);
}
