/*
 * Linear maps by cuBLASLt.  It thinks in columns: a row-major [T,O] is to it a
 * matrix of O rows, T columns and leading dimension O, and so
 *
 *	z = x w' + b	D [O,T] = A' B + bias	A = w [I,O]  B = x [I,T]
 *	dx = dz w	D [I,T] = A B		A = w [I,O]  B = dz [O,T]
 *	dw = dz' x	D [I,O] = A B'		A = x [I,T]  B = dz [O,T]
 *
 * The bias is fused where the library has an algorithm for it, else added by
 * our own kernel.  Its sum, the gradient, is our own kernel's always: the
 * library's epilogue for it overwrites, has given wrong memory accesses in some
 * shapes (CUDA 11.6), and would save reading dz once, about 0.3 ms of a step of
 * BERT-base on an A100.  GELU is not fused either: the library's is the tanh
 * form, ours erf.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <cublasLt.h>

#include "cache.h"
#include "libs.h"

enum op { FWD, FWD_BIAS, DX, DW };

struct key {
	int32_t	 op, T, I, O;
	int32_t	 align_d;	/* of the result, in bytes */
	int32_t	 kib;		/* of space */
};

/* How one product is computed. */
struct way {
	cublasLtMatmulDesc_t product;
	cublasLtMatrixLayout_t a, b, d;
	cublasLtMatmulAlgo_t algo;
	bool	 none;		/* the library cannot */
};

struct cu_lt {
	cublasLtHandle_t handle;
	enum cu_type type;
	cudaDataType_t elem;
	cublasComputeType_t compute;
	cublasLtMatmulPreference_t preference;
	struct cache ways;
};

static int
lt(cublasStatus_t s, const char *call, const struct key *k)
{
	static const char *const name[] = { "forward", "forward with bias",
	    "gradient of x", "gradient of w" };

	if (s == CUBLAS_STATUS_SUCCESS)
		return 0;
	errno = 0;
	if (k == NULL)
		return cb_fail(CB_EIO, "%s: %s", call,
		    cublasLtGetStatusName(s));
	return cb_fail(CB_EIO, "%s: %s: %s of [%d,%d] to [%d,%d]", call,
	    cublasLtGetStatusName(s), name[k->op], k->T, k->I, k->T, k->O);
}

static int
own(int e, const char *call)
{
	if (e == cudaSuccess)
		return 0;
	errno = 0;
	return cb_fail(CB_EIO, "%s: %s", call, cudaGetErrorName(e));
}

int
cu_lt_open(struct cu_lt **out, enum cu_type t, bool tf32)
{
	static const cudaDataType_t elem[] = { CUDA_R_32F, CUDA_R_16BF,
	    CUDA_R_16F };
	struct cu_lt *l;

	if ((l = calloc(1, sizeof(*l))) == NULL)
		return cb_fail(CB_ENOMEM, "cuBLASLt");
	l->type = t;
	l->elem = elem[t];
	l->compute = t == CU_F32 && tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 :
	    CUBLAS_COMPUTE_32F;
	l->ways.key_bytes = sizeof(struct key);
	l->ways.value_bytes = sizeof(struct way);
	if (lt(cublasLtCreate(&l->handle), "cublasLtCreate", NULL) < 0 ||
	    lt(cublasLtMatmulPreferenceCreate(&l->preference),
	    "cublasLtMatmulPreferenceCreate", NULL) < 0) {
		cu_lt_close(l);
		return -1;
	}
	*out = l;
	return 0;
}

static void
way_clear(void *value)
{
	struct way *w = value;

	if (w->product != NULL)
		cublasLtMatmulDescDestroy(w->product);
	if (w->a != NULL)
		cublasLtMatrixLayoutDestroy(w->a);
	if (w->b != NULL)
		cublasLtMatrixLayoutDestroy(w->b);
	if (w->d != NULL)
		cublasLtMatrixLayoutDestroy(w->d);
	memset(w, 0, sizeof(*w));
}

void
cu_lt_close(struct cu_lt *l)
{
	if (l == NULL)
		return;
	cache_clear(&l->ways, way_clear);
	if (l->preference != NULL)
		cublasLtMatmulPreferenceDestroy(l->preference);
	if (l->handle != NULL)
		cublasLtDestroy(l->handle);
	free(l);
}

/* ---- choosing */

static int
layout(cublasLtMatrixLayout_t *out, cudaDataType_t t, int rows, int cols,
    const struct key *k)
{
	return lt(cublasLtMatrixLayoutCreate(out, t, (uint64_t)rows,
	    (uint64_t)cols, rows), "cublasLtMatrixLayoutCreate", k);
}

static int
prefer(struct cu_lt *l, cublasLtMatmulPreferenceAttributes_t a, uint32_t v,
    const struct key *k)
{
	const uint64_t wide = v;
	const bool bytes = a == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES;

	return lt(cublasLtMatmulPreferenceSetAttribute(l->preference, a,
	    bytes ? (const void *)&wide : &v, bytes ? sizeof(wide) :
	    sizeof(v)), "cublasLtMatmulPreferenceSetAttribute", k);
}

static int
product_set(struct way *w, cublasLtMatmulDescAttributes_t a, const void *v,
    size_t n, const struct key *k)
{
	return lt(cublasLtMatmulDescSetAttribute(w->product, a, v, n),
	    "cublasLtMatmulDescSetAttribute", k);
}

static int
describe(struct cu_lt *l, struct way *w, const struct key *k,
    const void *bias)
{
	const int32_t ta = k->op <= FWD_BIAS ? CUBLAS_OP_T : CUBLAS_OP_N;
	const int32_t tb = k->op == DW ? CUBLAS_OP_T : CUBLAS_OP_N;
	const uint32_t epilogue = CUBLASLT_EPILOGUE_BIAS;
	const int a_cols = k->op == DW ? k->T : k->O;
	const int b_rows = k->op <= FWD_BIAS ? k->I : k->O;
	const int d_rows = k->op <= FWD_BIAS ? k->O : k->I;
	const int d_cols = k->op == DW ? k->O : k->T;

	if (lt(cublasLtMatmulDescCreate(&w->product, l->compute, CUDA_R_32F),
	    "cublasLtMatmulDescCreate", k) < 0 ||
	    product_set(w, CUBLASLT_MATMUL_DESC_TRANSA, &ta, sizeof(ta),
	    k) < 0 ||
	    product_set(w, CUBLASLT_MATMUL_DESC_TRANSB, &tb, sizeof(tb),
	    k) < 0 ||
	    layout(&w->a, l->elem, k->I, a_cols, k) < 0 ||
	    layout(&w->b, l->elem, b_rows, k->T, k) < 0 ||
	    layout(&w->d, k->op == DW ? CUDA_R_32F : l->elem, d_rows, d_cols,
	    k) < 0)
		return -1;
	if (k->op != FWD_BIAS)
		return 0;
	/* Its value only tells how it is aligned, for now. */
	if (product_set(w, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue,
	    sizeof(epilogue), k) < 0)
		return -1;
	return product_set(w, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias,
	    sizeof(bias), k);
}

/*
 * The library's first proposal.  Partial sums must stay f32, also where it
 * splits the inner dimension: not in the type of a 16-bit result.
 */
static int
choose(struct cu_lt *l, struct way *w, const struct key *k)
{
	cublasLtMatmulHeuristicResult_t got;
	cublasStatus_t s;
	int n = 0;

	if (prefer(l, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
	    (uint32_t)k->kib << 10, k) < 0 ||
	    prefer(l, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, 16, k) < 0 ||
	    prefer(l, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, 16, k) < 0 ||
	    prefer(l, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
	    (uint32_t)k->align_d, k) < 0 ||
	    prefer(l, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES,
	    (uint32_t)k->align_d, k) < 0 ||
	    prefer(l, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
	    k->op == DW || l->type == CU_F32 ? CUBLASLT_REDUCTION_SCHEME_MASK :
	    CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE, k) < 0)
		return -1;
	s = cublasLtMatmulAlgoGetHeuristic(l->handle, w->product, w->a, w->b,
	    w->d, w->d, l->preference, 1, &got, &n);
	if (s != CUBLAS_STATUS_NOT_SUPPORTED && lt(s,
	    "cublasLtMatmulAlgoGetHeuristic", k) < 0)
		return -1;
	w->none = s != CUBLAS_STATUS_SUCCESS || n < 1 ||
	    got.state != CUBLAS_STATUS_SUCCESS;
	if (!w->none)
		w->algo = got.algo;
	return 0;
}

static int
align_of(const void *p)
{
	const uintptr_t u = (uintptr_t)p | 16;

	return (int)(u & -u);
}

static struct key
key_of(enum op op, int T, int I, int O, const void *d,
    const struct cu_work *work)
{
	const size_t kib = work->bytes >> 10;

	return (struct key){ op, T, I, O, align_of(d), (int32_t)(kib <
	    CU_LT_BYTES >> 10 ? kib : CU_LT_BYTES >> 10) };
}

/* NULL: an error.  The result may say that there is none. */
static struct way *
find(struct cu_lt *l, const struct key *k, const void *bias)
{
	struct way *w;
	bool found;

	if ((w = cache_get(&l->ways, k, &found)) == NULL)
		return NULL;
	if (w->product == NULL && (describe(l, w, k, bias) < 0 || choose(l, w,
	    k) < 0)) {
		way_clear(w);
		return NULL;
	}
	return w;
}

/* D = A B, or D + A B.  none: whether the library cannot; NULL: it must. */
static int
multiply(struct cu_lt *l, const struct cu_work *work, const struct key *k,
    void *d, bool add, const void *a, const void *b, const void *bias,
    bool *none)
{
	const float one = 1, beta = add;
	struct way *w;

	assert(align_of(a) == 16 && align_of(b) == 16 && align_of(bias) == 16);
	if ((w = find(l, k, bias)) == NULL)
		return -1;
	if (none != NULL)
		*none = w->none;
	if (w->none)
		return none != NULL ? 0 : lt(CUBLAS_STATUS_NOT_SUPPORTED,
		    "cublasLtMatmulAlgoGetHeuristic", k);
	if (k->op == FWD_BIAS && product_set(w,
	    CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof(bias), k) < 0)
		return -1;
	return lt(cublasLtMatmul(l->handle, w->product, &one, a, w->a, b, w->b,
	    &beta, d, w->d, d, w->d, &w->algo, work->space,
	    (size_t)k->kib << 10, work->stream), "cublasLtMatmul", k);
}

/* ---- the operations */

int
cu_lt_fwd(struct cu_lt *l, const struct cu_work *k, void *z, const void *x,
    const void *w, const struct cu_bias *bias, int T, int I, int O)
{
	const struct key fused = key_of(FWD_BIAS, T, I, O, z, k);
	const struct key plain = key_of(FWD, T, I, O, z, k);
	bool none = true;

	if (T == 0)
		return 0;
	if (bias != NULL && multiply(l, k, &fused, z, false, w, x, bias->elem,
	    &none) < 0)
		return -1;
	if (!none)
		return 0;
	if (multiply(l, k, &plain, z, false, w, x, NULL, NULL) < 0)
		return -1;
	return bias == NULL ? 0 : own(cu_bias_act(k->stream, l->type, z, z,
	    bias->f32, NULL, CB_ACT_NONE, T, O), "cu_bias_act");
}

int
cu_lt_dx(struct cu_lt *l, const struct cu_work *k, void *dx, bool add,
    const void *dz, const void *w, int T, int I, int O)
{
	const struct key plain = key_of(DX, T, I, O, dx, k);

	return T == 0 ? 0 : multiply(l, k, &plain, dx, add, w, dz, NULL, NULL);
}

int
cu_lt_dw(struct cu_lt *l, const struct cu_work *k, float *dw, float *dbias,
    const void *dz, const void *x, float *part, int T, int I, int O)
{
	const struct key plain = key_of(DW, T, I, O, dw, k);

	if (T == 0)
		return 0;
	if (dw != NULL && multiply(l, k, &plain, dw, true, x, dz, NULL,
	    NULL) < 0)
		return -1;
	return dbias == NULL ? 0 : own(cu_column_sum(k->stream, l->type, dbias,
	    dz, T, O, part), "cu_column_sum");
}
