/*
 * plan: what cuDNN is to execute, as a graph of operations, and the engine
 * chosen for it.  Needs a description of a device, but no device.
 */
#ifndef CB_CUDA_PLAN_H
#define CB_CUDA_PLAN_H

#include <cudnn_graph.h>

#include "libs.h"

/* Names of the tensors of a graph. */
enum { PLAN_X = 1, PLAN_W, PLAN_Y, PLAN_BIAS, PLAN_RES };

/* PLAN_CONV: the convolution alone.  The others as enum cu_conv_op. */
enum { PLAN_CONV = CU_CONV_DW + 1 };

/* What to plan; no padding, it is a key. */
struct plan_key {
	int32_t	 op, P;
	struct cb_conv g;
};

struct plan {
	cudnnBackendDescriptor_t what;	/* to execute */
	bool	 none;			/* or the library cannot */
	int64_t	 engine, bytes;
	cudnnBackendDescriptor_t parts[40];
	int	 nparts;
};

/* What plans are made for. */
struct plan_room {
	enum cu_type type;
	bool	 tf32;
	cudnnBackendDescriptor_t gpu;
};

/* Status into cb_error(), -1 unless it is good.  k NULL: none. */
int	dnn(cudnnStatus_t s, const char *call, const struct plan_key *k);

/* Into *p, zeroed before and after a failure. */
int	plan_make(struct plan *p, const struct plan_room *r,
	    const struct plan_key *k);
void	plan_clear(struct plan *p);

#endif
