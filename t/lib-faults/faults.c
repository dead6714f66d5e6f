/*
 * The stand-ins of libraries prove themselves: `lib-faults CASE` does one thing
 * wrong, which they must see.  One that goes unseen ends with 0.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cublasLt.h>

#include "../../cuda/libs.h"

static void
must(int e)
{
	if (e == cudaSuccess)
		return;
	fprintf(stderr, "lib-faults: %s\n", cudaGetErrorName((cudaError_t)e));
	exit(1);
}

static void
fine(int rc)
{
	if (rc == 0)
		return;
	fprintf(stderr, "lib-faults: %s\n", cb_error());
	exit(1);
}

/* Zeroed. */
static void *
device(size_t bytes)
{
	void *p;

	must(cudaMalloc(&p, bytes));
	must(cudaMemsetAsync(p, 0, bytes, NULL));
	must(cudaStreamSynchronize(NULL));
	return p;
}

static cudaStream_t
stream(void)
{
	cudaStream_t s;

	must(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking));
	return s;
}

/* z [4,8] is 16 bytes too short. */
static void
short_z(void)
{
	struct cu_work k = { NULL, NULL, 0 };
	struct cu_lt *l;

	fine(cu_lt_open(&l, CU_F32, false));
	fine(cu_lt_fwd(l, &k, device(4 * 8 * 4 - 16), device(4 * 8 * 4),
	    device(8 * 8 * 4), NULL, 4, 8, 8));
	must(cudaStreamSynchronize(NULL));
}

/* dx [1,4,4,8] is, and where it is added to, first read. */
static void
short_dx(void)
{
	const struct cb_conv g = { 4, 4, 8, 8, 1, 1, 0, 0 };
	struct cu_work k = { NULL, device(4096), 4096 };
	struct cu_dnn *d;

	fine(cu_dnn_open(&d, CU_BF16, false, NULL));
	fine(cu_dnn_dx(d, &k, device(16 * 8 * 2 - 16), true, device(16 * 8 *
	    2), device(8 * 8 * 2), &g, 1));
	must(cudaStreamSynchronize(NULL));
}

/* A gradient wants space for partial sums. */
static void
space(void)
{
	const struct cb_conv g = { 4, 4, 8, 8, 1, 1, 0, 0 };
	struct cu_work k = { NULL, device(64), 64 };
	struct cu_dnn *d;

	fine(cu_dnn_open(&d, CU_BF16, false, NULL));
	fine(cu_dnn_dw(d, &k, device(8 * 8 * 2), device(16 * 8 * 2),
	    device(16 * 8 * 2), &g, 1));
}

/* Two streams that nothing orders share their space. */
static void
streams(void)
{
	struct cu_work k[2] = { { stream(), device(65536), 65536 },
	    { stream(), NULL, 65536 } };
	void *x = device(4 * 520 * 4), *w = device(8 * 520 * 4);
	struct cu_lt *l;
	int i;

	k[1].space = k[0].space;
	fine(cu_lt_open(&l, CU_F32, false));
	for (i = 0; i < 2; i++)
		fine(cu_lt_fwd(l, &k[i], device(4 * 8 * 4), x, w, NULL, 4,
		    520, 8));
	must(cudaStreamSynchronize(k[0].stream));
	must(cudaStreamSynchronize(k[1].stream));
}

/* ---- what cuda/lt.c never does */

struct product {
	cublasLtHandle_t h;
	cublasLtMatmulDesc_t p;
	cublasLtMatrixLayout_t m[2];		/* [8,8] and [8,4] */
	cublasLtMatmulPreference_t f;
	cublasLtMatmulHeuristicResult_t got;
};

static struct product
product(void)
{
	struct product q;
	int n;

	memset(&q, 0, sizeof(q));
	must(cublasLtCreate(&q.h));
	must(cublasLtMatmulDescCreate(&q.p, CUBLAS_COMPUTE_32F, CUDA_R_32F));
	must(cublasLtMatrixLayoutCreate(&q.m[0], CUDA_R_32F, 8, 8, 8));
	must(cublasLtMatrixLayoutCreate(&q.m[1], CUDA_R_32F, 8, 4, 8));
	must(cublasLtMatmulPreferenceCreate(&q.f));
	must(cublasLtMatmulAlgoGetHeuristic(q.h, q.p, q.m[0], q.m[1], q.m[1],
	    q.m[1], q.f, 1, &q.got, &n));
	return q;
}

static void
multiply(struct product *q, cublasLtMatrixLayout_t b, char *from)
{
	const float one = 1, none = 0;
	void *to = device(256);
	cublasStatus_t s = cublasLtMatmul(q->h, q->p, &one, device(256),
	    q->m[0], from, b, &none, to, b, to, b, &q->got.algo, NULL, 0,
	    NULL);

	if (s != CUBLAS_STATUS_SUCCESS) {
		fprintf(stderr, "lib-faults: %s\n", cublasLtGetStatusName(s));
		exit(1);
	}
	must(cudaStreamSynchronize(NULL));
}

/* An algorithm that was proposed for other sizes. */
static void
algorithm(void)
{
	struct product q = product();

	multiply(&q, q.m[0], device(256));
}

/* B is to be aligned to 256 bytes, for nobody said otherwise. */
static void
aligned(void)
{
	struct product q = product();

	multiply(&q, q.m[1], (char *)device(256) + 64);
}

static void
destroyed(void)
{
	struct product q = product();

	must(cublasLtMatrixLayoutDestroy(q.m[1]));
	multiply(&q, q.m[1], device(256));
}

static void
left(void)
{
	cublasLtDestroy(product().h);
}

static const struct {
	const char *name;
	void	(*fn)(void);
} cases[] = {
	{ "short_z", short_z }, { "short_dx", short_dx }, { "space", space },
	{ "streams", streams }, { "algorithm", algorithm },
	{ "aligned", aligned }, { "destroyed", destroyed }, { "left", left },
};

int
main(int argc, char **argv)
{
	size_t i;

	for (i = 0; i < CB_LEN(cases); i++)
		if (argc == 2 && strcmp(argv[1], cases[i].name) == 0) {
			cases[i].fn();
			return 0;
		}
	fprintf(stderr, "lib-faults: which case?\n");
	return 2;
}
