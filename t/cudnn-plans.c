/*
 * cudnn-plans [-p PICTURES] [-t bf16|f16|f32]: what the real cuDNN plans for
 * every convolution of a training step of the model at 448 pixels, on GPUs that
 * are only described to it; no device is needed.  The calls are those that the
 * model makes of its engine, taken down as it makes them; plans are made by the
 * engine's own code (cuda/plan.c).  A line for each, tabs between:
 *
 *	GPU  operation  kernel/stride  [H,W,C]  O  fused|apart  engine  MiB  GFLOP
 *
 * fused: in one call with bias, residual and ReLU; MiB: the space it needs; GFLOP:
 * of PICTURES pictures.  Exit status: 0, 1 something has no plan, 2 usage.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../cuda/libs.h"
#include "engine/host.h"
#include "model/model.h"

/*
 * As cuDNN takes a description where there is no device ("Deviceless ahead of
 * time compilation"); values of the CUDA programming guide and the data sheets.
 */
#define GPU(name, arch, processors, shared, clock, memory_clock, l2, bytes, id) \
	"{\"deviceVer\":" #arch ",\"deviceName\":\"" name "\"," \
	"\"multiProcessorCount\":" #processors ",\"warpSize\":32," \
	"\"maxSharedMemoryPerBlock\":49152," \
	"\"maxSharedMemoryPerBlockOptin\":" #shared "," \
	"\"reservedSharedMemoryPerBlock\":1024,\"maxRegistersPerSM\":65536," \
	"\"maxCtasPerSM\":32,\"maxThreadsPerBlock\":1024," \
	"\"maxThreadsPerSM\":2048,\"regsPerBlock\":65536," \
	"\"totalGlobalMem\":" #bytes ",\"smClockRateKHz\":" #clock "," \
	"\"memClockRateKHz\":" #memory_clock ",\"l2CacheSize\":" #l2 "," \
	"\"maxBlockSize\":[1024,1024,64]," \
	"\"maxGridSize\":[2147483647,65535,65535]," \
	"\"supportCoopLaunch\":1,\"pciDeviceId\":" #id ",\"isTccDriver\":0," \
	"\"cudaDeviceId\":0,\"driverVer\":13000}"
static const struct { const char *name, *json; } gpus[] = {
	{ "A100", GPU("NVIDIA A100-SXM4-80GB", 800, 108, 166912, 1410000,
	    1593000, 41943040, 85899345920, 8370) },
	{ "H100", GPU("NVIDIA H100 80GB HBM3", 900, 132, 232448, 1980000,
	    2619000, 52428800, 85899345920, 9008) },
};
static const char *const op_names[] = { "y", "y+res", "y relu", "y+res relu",
	"dx", "dx+=", "dw" };

struct call { enum cu_conv_op op; struct cb_conv g; };
static struct call calls[256];
static int ncalls;

/* Of a convolution: the model's plan of the engine is the geometry alone. */
struct cb_conv_plan { struct cb_conv g; };

static void
take_down(enum cu_conv_op op, const struct cb_conv *g)
{
	struct call c = { op, *g };
	int i;

	c.g.C = cu_pad8(g->C);
	for (i = 0; i < ncalls; i++)
		if (memcmp(&calls[i], &c, sizeof(c)) == 0)
			return;
	if (ncalls == (int)CB_LEN(calls))
		abort();
	calls[ncalls++] = c;
}

static int
conv_new(struct cb_engine *e, struct cb_conv_plan **out, const struct cb_conv *g)
{
	(void)e;
	if ((*out = malloc(sizeof(**out))) == NULL)
		return cb_fail(CB_ENOMEM, "convolution");
	(*out)->g = *g;
	return 0;
}

static void
conv_free(struct cb_engine *e, struct cb_conv_plan *c)
{
	(void)e;
	free(c);
}

static void
conv_pack(struct cb_engine *e, struct cb_conv_plan *c, const float *w,
    const float *scale, const float *shift, bool backward)
{
	(void)e, (void)c, (void)w, (void)scale, (void)shift, (void)backward;
}

static void
conv_fwd(struct cb_engine *e, struct cb_conv_plan *c, struct cb_elem *y,
    const struct cb_elem *x, const struct cb_elem *res, bool relu, int P)
{
	(void)e, (void)y, (void)x, (void)P;
	take_down(res == NULL ? relu ? CU_CONV_FWD_RELU : CU_CONV_FWD :
	    relu ? CU_CONV_FWD_RES_RELU : CU_CONV_FWD_RES, &c->g);
}

static void
conv_bwd(struct cb_engine *e, struct cb_conv_plan *c, struct cb_elem *dx,
    bool add, float *dw, const struct cb_elem *dy, const struct cb_elem *x,
    int P)
{
	(void)e, (void)dy, (void)x, (void)P;
	if (dx != NULL)
		take_down(add ? CU_CONV_DX_ADD : CU_CONV_DX, &c->g);
	if (dw != NULL)
		take_down(CU_CONV_DW, &c->g);
}

/* One step of the model as the paper trains it, with one layer of BERT for
 * twelve, and convolutions that compute nothing. */
static int
run_model(void)
{
	const struct cb_model_config c = { .image = 448, .stem = 64,
	    .width = 64, .res2 = 256, .blocks = { 3, 4, 6, 3 }, .freeze_at = 2,
	    .hidden = 768, .layers = 1, .heads = 12, .inter = 3072,
	    .vocab = 100, .positions = 64, .types = 2, .rows = 100,
	    .cols = 100, .labels = 2, .loss = CB_LOSS_CE, .agg = CB_AGG_LSE,
	    .std = { 1, 1, 1 } };
	int64_t dim[] = { 8, 8, 3 };
	int32_t one = 1, ids[] = { 1, 2 }, mask[] = { 1, 1 }, label = 0;
	struct cb_array picture;
	const struct cb_inputs in = { .B = 1, .K = 1, .F = 1, .N = 1, .L = 2,
	    .pictures = &picture, .counts = &one, .ids = ids, .mask = mask,
	    .labels = &label };
	struct cb_engine *e = NULL;
	struct cb_model *m = NULL;
	float loss;
	int rc = -1;

	if (cb_array_init(&picture, CB_U8, 3, dim) < 0)
		return -1;
	memset(picture.data, 0, (size_t)cb_array_bytes(&picture));
	if (cb_cpu_open(&e, 1) < 0)
		goto done;
	e->conv_new = conv_new;
	e->conv_free = conv_free;
	e->conv_pack = conv_pack;
	e->conv_fwd = conv_fwd;
	e->conv_bwd = conv_bwd;
	if (cb_model_new(&m, e, &c) < 0)
		goto done;
	cb_model_pack(m, true);
	rc = cb_model_train(m, &in, 1, 1, &loss);
done:
	cb_model_free(m);
	if (e != NULL)
		e->free(e);
	cb_array_clear(&picture);
	return rc;
}

static double
gflop(const struct cb_conv *g, int P)
{
	const double rows = (g->H + 2 * g->pad - g->k) / g->stride + 1;
	const double cols = (g->W + 2 * g->pad - g->k) / g->stride + 1;

	return 2e-9 * P * rows * cols * g->O * g->C * g->k * g->k;
}

/* How many have no plan; -1: the library fails. */
static int
plan_all(int gpu, enum cu_type type, int P)
{
	struct cu_conv_choice chosen;
	struct cu_dnn *d;
	int i, bad = 0;

	if (cu_dnn_open(&d, type, false, gpus[gpu].json) < 0)
		return -1;
	for (i = 0; i < ncalls; i++) {
		const struct cb_conv *g = &calls[i].g;

		if (cu_dnn_plan(d, &chosen, calls[i].op, g, P) < 0) {
			cb_complain();
			bad++;
			continue;
		}
		printf("%s\t%s\t%d/%d\t[%d,%d,%d]\t%d\t%s\t%jd\t%.1f\t%.1f\n",
		    gpus[gpu].name, op_names[calls[i].op], g->k, g->stride,
		    g->H, g->W, g->C, g->O, chosen.fused ? "fused" : "apart",
		    (intmax_t)chosen.engine, (double)chosen.bytes / (1 << 20),
		    gflop(g, P));
	}
	cu_dnn_close(d);
	return bad;
}

int
main(int argc, char **argv)
{
	static const char *const types[] = { "f32", "bf16", "f16" };
	int P = 16, type = CU_BF16, c, i, n, bad = 0;

	cb_program_set("cudnn-plans");
	while ((c = getopt(argc, argv, "p:t:")) != -1) {
		if (c == 'p')
			P = atoi(optarg);
		for (i = 0; c == 't' && i < 3; i++)
			if (strcmp(optarg, types[i]) == 0)
				type = i;
		if (c == '?')
			return 2;
	}
	if (P < 1 || optind < argc) {
		fprintf(stderr, "usage: cudnn-plans [-p PICTURES] "
		    "[-t bf16|f16|f32]\n");
		return 2;
	}
	if (run_model() < 0)
		return cb_complain();
	for (i = 0; i < (int)CB_LEN(gpus); i++) {
		if ((n = plan_all(i, (enum cu_type)type, P)) < 0)
			return cb_complain();
		bad += n;
	}
	return bad > 0;
}
