/*
 * The CUDA engine, a plug-in: lib/engine/engine.c loads it and calls
 * cb_cuda_open().  Activations are bf16, f16 or f32; weights, sums, norms and
 * losses are f32.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "engine/host.h"
#include "gpu.h"

cb_plugin_open_fn cb_cuda_open __attribute__((visibility("default")));

/* 8.0: mma.sync in bf16, cp.async */
#define CAPABILITY 8

/* The scale that f16 begins with, as PyTorch's GradScaler. */
#define SCALE 65536

/* ---- errors */

void
gpu_fail(struct gpu *g, enum cb_code code, const char *fmt, ...)
{
	va_list ap;

	if (g->code != CB_OK)
		return;
	/* It is whole: cb_fail() must not add errno to it. */
	g->code = code == CB_ENOMEM || code == CB_EIO ? CB_ELIMIT : code;
	va_start(ap, fmt);
	vsnprintf(g->error, sizeof(g->error), fmt, ap);
	va_end(ap);
}

bool
gpu_good(struct gpu *g, int status, const char *call)
{
	if (status == cudaSuccess)
		return true;
	cudaGetLastError();	/* else the next launch would tell of it */
	gpu_fail(g, CB_EIO, "cuda: %.*s: %s", (int)strcspn(call, "("), call,
	    cudaGetErrorString(status));
	return false;
}

bool
gpu_lib(struct gpu *g, int rc)
{
	if (rc == 0)
		return true;
	cudaGetLastError();
	gpu_fail(g, cb_error_code(), "%s%s", strncmp(cb_error(), "cuda: ", 6)
	    == 0 ? "" : "cuda: ", cb_error());
	return false;
}

struct cb_mask
gpu_mask(const struct cb_drop *d)
{
	struct cb_mask m = { .scale = 1 };

	if (d == NULL || d->p == 0)
		return m;
	m.seed[0] = (uint32_t)d->rng.seed;
	m.seed[1] = (uint32_t)(d->rng.seed >> 32);
	m.purpose = d->rng.purpose;
	m.epoch = d->rng.epoch;
	m.seq = d->rng.seq;
	m.first = (uint32_t)d->first;
	m.limit = drop_limit(d);
	m.scale = drop_scale(d);
	return m;
}

/* ---- opening */

static void
gpu_free(struct cb_engine *e)
{
	struct gpu *g = gpu_of(e);

	if (g == NULL)
		return;
	if (g->stream != NULL)
		gpu_wait(g);
	gpu_graphs_free(g);
	gpu_pictures_free(g);
	gpu_optim_free(g);
	cu_dnn_close(g->dnn);
	cu_lt_close(g->lt);
	if (g->stage.p != NULL)
		cudaFreeHost(g->stage.p);
	gpu_mem_free(g);
	if (g->stream != NULL)
		cudaStreamDestroy(g->stream);
	free(g);
}

static const struct cb_engine table = {
	.name = "cuda", .free = gpu_free, .alloc = gpu_alloc,
	.release = gpu_release, .put = gpu_put, .get = gpu_get,
	.put_elem = gpu_put_elem, .get_elem = gpu_get_elem, .zero = gpu_zero,
	.sync = gpu_sync, .expect = gpu_expect, .forget = gpu_forget,
	.pin = gpu_pin, .unpin = gpu_unpin,
	.prepare = gpu_prepare,
	.conv_new = gpu_conv_new, .conv_free = gpu_conv_free,
	.conv_pack = gpu_conv_pack, .conv_fwd = gpu_conv_fwd,
	.conv_bwd = gpu_conv_bwd,
	.linear_new = gpu_linear_new, .linear_free = gpu_linear_free,
	.linear_pack = gpu_linear_pack, .linear_fwd = gpu_linear_fwd,
	.linear_bwd = gpu_linear_bwd,
	.sumsq = gpu_sumsq, .adamw = gpu_adamw,
};

static int
find_device(struct gpu *g)
{
	int n = 0, major = 0, minor = 0;
	cudaError_t s = cudaGetDeviceCount(&n);

	if (s != cudaSuccess || n < 1)
		return cb_fail(CB_EMISSING, "cuda: no GPU answers: "
		    "cudaGetDeviceCount: %s", s != cudaSuccess ?
		    cudaGetErrorString(s) : "none");
	if (!CU(g, cudaSetDevice(0)) ||
	    !CU(g, cudaDeviceGetAttribute(&major,
	    cudaDevAttrComputeCapabilityMajor, 0)) ||
	    !CU(g, cudaDeviceGetAttribute(&minor,
	    cudaDevAttrComputeCapabilityMinor, 0)))
		return -1;
	if (major < CAPABILITY)
		gpu_fail(g, CB_EMISSING, "cuda: the GPU is of compute "
		    "capability %d.%d, %d.0 is the least", major, minor,
		    CAPABILITY);
	return major < CAPABILITY ? -1 : 0;
}

static int
open_parts(struct gpu *g, bool tf32)
{
	const char *graphs = getenv("CB_CUDA_GRAPHS");

	g->graphs.wanted = graphs == NULL || strcmp(graphs, "0") != 0;
	g->graphs.met.key_bytes = sizeof(struct sizes);
	if (find_device(g) < 0)
		return -1;
	if (!CU(g, cudaStreamCreateWithFlags(&g->stream,
	    cudaStreamNonBlocking)) || gpu_pictures_open(g) < 0 ||
	    gpu_optim_open(g) < 0 ||
	    (g->scale = gpu_take(g, sizeof(*g->scale))) == NULL)
		return -1;
	return gpu_lib(g, cu_lt_open(&g->lt, g->type, tf32)) &&
	    gpu_lib(g, cu_dnn_open(&g->dnn, g->type, tf32, NULL)) ? 0 : -1;
}

static int
type_of(enum cu_type *t, bool *tf32, const char *precision)
{
	static const struct { const char *name; enum cu_type t; } all[] = {
		{ "", CU_BF16 }, { "bf16", CU_BF16 }, { "fp16", CU_F16 },
		{ "fp32", CU_F32 }, { "tf32", CU_F32 },
	};
	size_t i;

	*tf32 = strcmp(precision, "tf32") == 0;
	for (i = 0; i < CB_LEN(all); i++) {
		*t = all[i].t;
		if (strcmp(precision, all[i].name) == 0)
			return 0;
	}
	return cb_fail(CB_EUSAGE, "cuda: %s: no such precision (bf16, fp16, "
	    "tf32, fp32)", precision);
}

int
cb_cuda_open(struct cb_engine **out, size_t bytes, const char *precision)
{
	struct gpu *g;
	bool tf32;

	if (bytes != sizeof(g->e))
		return cb_fail(CB_EFORMAT, "cuda: the plug-in is of another "
		    "version than the program");
	if ((g = calloc(1, sizeof(*g))) == NULL)
		return cb_fail(CB_ENOMEM, "engine");
	g->e = table;
	gpu_ops(&g->e);
	if (type_of(&g->type, &tf32, precision) < 0) {
		free(g);
		return -1;
	}
	g->e.blank = CU_COLOURS - 3;
	g->e.elem_size = g->type == CU_F32 ? sizeof(float) : 2;
	g->e.scales = g->type == CU_F16;
	g->e.loss_scale = g->e.scales ? SCALE : 1;
	if (open_parts(g, tf32) < 0) {
		if (g->code != CB_OK)
			cb_fail(g->code, "%s", g->error);
		gpu_free(&g->e);
		return -1;
	}
	*out = &g->e;
	return 0;
}
