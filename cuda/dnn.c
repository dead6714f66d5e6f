/*
 * Convolutions by cuDNN: the handle, the plans made so far (plan.c), and
 * running them.  Where no engine fuses a forward pass, the convolution runs
 * alone and our own kernel does the rest, with one rounding more.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cache.h"
#include "plan.h"

struct cu_dnn {
	cudnnHandle_t handle;		/* NULL: the device is only described */
	struct plan_room room;
	struct cache plans;
};

static int
open_gpu(struct cu_dnn *d, const char *gpu)
{
	cudnnStatus_t s;

	if (gpu == NULL && dnn(cudnnCreate(&d->handle), "cudnnCreate",
	    NULL) < 0)
		return -1;
	if (dnn(cudnnBackendCreateDescriptor(
	    CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, &d->room.gpu),
	    "cudnnBackendCreateDescriptor", NULL) < 0)
		return -1;
	if (gpu == NULL)
		s = cudnnBackendSetAttribute(d->room.gpu,
		    CUDNN_ATTR_DEVICEPROP_HANDLE, CUDNN_TYPE_HANDLE, 1,
		    &d->handle);
	else
		s = cudnnBackendSetAttribute(d->room.gpu,
		    CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
		    (int64_t)strlen(gpu), gpu);
	if (dnn(s, "cudnnBackendSetAttribute: device", NULL) < 0)
		return -1;
	return dnn(cudnnBackendFinalize(d->room.gpu),
	    "cudnnBackendFinalize: device", NULL);
}

int
cu_dnn_open(struct cu_dnn **out, enum cu_type t, bool tf32, const char *gpu)
{
	struct cu_dnn *d;

	if ((d = calloc(1, sizeof(*d))) == NULL)
		return cb_fail(CB_ENOMEM, "cuDNN");
	d->room.type = t;
	d->room.tf32 = tf32;
	d->plans.key_bytes = sizeof(struct plan_key);
	d->plans.value_bytes = sizeof(struct plan);
	if (open_gpu(d, gpu) < 0) {
		cu_dnn_close(d);
		return -1;
	}
	*out = d;
	return 0;
}

static void
clear(void *value)
{
	plan_clear(value);
}

void
cu_dnn_close(struct cu_dnn *d)
{
	if (d == NULL)
		return;
	cache_clear(&d->plans, clear);
	if (d->room.gpu != NULL)
		cudnnBackendDestroyDescriptor(d->room.gpu);
	if (d->handle != NULL)
		cudnnDestroy(d->handle);
	free(d);
}

/* ---- plans */

/* NULL: an error, which that the library cannot is where needed. */
static struct plan *
find(struct cu_dnn *d, const struct plan_key *k, bool needed)
{
	struct plan *p;
	bool found;

	assert(k->g.C % 8 == 0 && k->g.O % 8 == 0);
	if ((p = cache_get(&d->plans, k, &found)) == NULL)
		return NULL;
	if (p->what == NULL && !p->none && plan_make(p, &d->room, k) < 0)
		return NULL;
	if (p->none && needed) {
		dnn(CUDNN_STATUS_NOT_SUPPORTED, "no engine of cuDNN will do",
		    k);
		return NULL;
	}
	return p;
}

int
cu_dnn_plan(struct cu_dnn *d, struct cu_conv_choice *out, enum cu_conv_op op,
    const struct cb_conv *g, int P)
{
	const struct plan_key k = { op, P, *g }, alone = { PLAN_CONV, P, *g };
	const bool fwd = op <= CU_CONV_FWD_RES_RELU;
	struct plan *p;

	if ((p = find(d, &k, !fwd)) == NULL)
		return -1;
	out->fused = !p->none;
	if (p->none && (p = find(d, &alone, true)) == NULL)
		return -1;
	out->engine = p->engine;
	out->bytes = (size_t)p->bytes;
	return 0;
}

/* ---- running them */

static int
fill(cudnnBackendDescriptor_t pack, const struct plan_key *k,
    const int64_t *names, const void *const *at, int n, void *space)
{
	if (dnn(cudnnBackendSetAttribute(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS,
	    CUDNN_TYPE_INT64, n, names), "cudnnBackendSetAttribute", k) < 0 ||
	    dnn(cudnnBackendSetAttribute(pack,
	    CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, n, at),
	    "cudnnBackendSetAttribute", k) < 0 ||
	    dnn(cudnnBackendSetAttribute(pack,
	    CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &space),
	    "cudnnBackendSetAttribute", k) < 0)
		return -1;
	return dnn(cudnnBackendFinalize(pack), "cudnnBackendFinalize", k);
}

/* The first n of x, w, y, bias, res. */
static int
execute(struct cu_dnn *d, const struct cu_work *work, const struct plan *p,
    const struct plan_key *k, const void *const *at, int n)
{
	static const int64_t names[] = { PLAN_X, PLAN_W, PLAN_Y, PLAN_BIAS,
	    PLAN_RES };
	cudnnBackendDescriptor_t pack;
	int rc = -1;

	if ((size_t)p->bytes > work->bytes)
		return cb_fail(CB_ELIMIT, "cuDNN: a convolution needs %lld "
		    "bytes of space, there are %zu", (long long)p->bytes,
		    work->bytes);
	if (dnn(cudnnSetStream(d->handle, work->stream), "cudnnSetStream",
	    NULL) < 0 ||
	    dnn(cudnnBackendCreateDescriptor(
	    CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, &pack),
	    "cudnnBackendCreateDescriptor", NULL) < 0)
		return -1;
	if (fill(pack, k, names, at, n, work->space) == 0)
		rc = dnn(cudnnBackendExecute(d->handle, p->what, pack),
		    "cudnnBackendExecute", k);
	cudnnBackendDestroyDescriptor(pack);
	return rc;
}

static int64_t
positions(const struct cb_conv *g, int P)
{
	return (int64_t)P * ((g->H + 2 * g->pad - g->k) / g->stride + 1) *
	    ((g->W + 2 * g->pad - g->k) / g->stride + 1);
}

int
cu_dnn_fwd(struct cu_dnn *d, const struct cu_work *work, void *y,
    const void *x, const void *w, const struct cu_bias *bias, const void *res,
    bool relu, const struct cb_conv *g, int P)
{
	const struct plan_key k = { res == NULL ? relu ? CU_CONV_FWD_RELU :
	    CU_CONV_FWD : relu ? CU_CONV_FWD_RES_RELU : CU_CONV_FWD_RES, P,
	    *g };
	const struct plan_key alone = { PLAN_CONV, P, *g };
	const void *at[] = { x, w, y, bias->elem, res };
	struct plan *p;
	int e;

	if ((p = find(d, &k, false)) == NULL)
		return -1;
	if (!p->none)
		return execute(d, work, p, &k, at, res == NULL ? 4 : 5);
	if ((p = find(d, &alone, true)) == NULL || execute(d, work, p, &alone,
	    at, 3) < 0)
		return -1;
	e = cu_bias_act(work->stream, d->room.type, y, y, bias->f32, res,
	    relu ? CB_ACT_RELU : CB_ACT_NONE, positions(g, P), g->O);
	errno = 0;
	return e == cudaSuccess ? 0 : cb_fail(CB_EIO, "cu_bias_act: %s",
	    cudaGetErrorName(e));
}

/* One of the gradients. */
static int
backward(struct cu_dnn *d, const struct cu_work *work, enum cu_conv_op op,
    const void *x, const void *w, const void *y, const struct cb_conv *g,
    int P)
{
	const struct plan_key k = { op, P, *g };
	const void *at[] = { x, w, y };
	struct plan *p = find(d, &k, true);

	return p == NULL ? -1 : execute(d, work, p, &k, at, 3);
}

int
cu_dnn_dx(struct cu_dnn *d, const struct cu_work *work, void *dx, bool add,
    const void *dy, const void *w, const struct cb_conv *g, int P)
{
	return backward(d, work, add ? CU_CONV_DX_ADD : CU_CONV_DX, dx, w, dy,
	    g, P);
}

int
cu_dnn_dw(struct cu_dnn *d, const struct cu_work *work, void *dw,
    const void *dy, const void *x, const struct cb_conv *g, int P)
{
	return backward(d, work, CU_CONV_DW, x, dw, dy, g, P);
}
