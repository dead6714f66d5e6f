/*
 * The calls of cuBLASLt that the engine makes, on the simulated device.
 * Signatures are checked against the real header; meanings are those of the
 * cuBLAS documentation, "Using the cuBLASLt API".
 *
 * An algorithm is good for the problem that it was proposed for: its sizes,
 * types, epilogue and alignments.  Space that it asked for is filled with NaN,
 * so that what somebody kept there is lost, as it would be.
 *
 * CBSIM_FAIL also takes CUBLASLT_EPILOGUE_BIAS: no algorithm has that, and
 * cublasLtMatmulAlgo: there is none.
 */
#include <string.h>

#include <map>
#include <typeindex>
#include <vector>

#include <cublasLt.h>

#include "../cudasim/device.h"
#include "product.h"

using namespace cbsim;

/* What the opaque pointers point at. */
struct cublasLtContext { int nothing; };

struct Product {
	cublasComputeType_t compute;
	cudaDataType_t scale;
	bool	 ta, tb;
	uint32_t epilogue;
	void	*bias;
};

struct Layout {
	cudaDataType_t type;
	size_t	 rows, cols, ld;
};

struct Preference {
	size_t	 bytes;
	uint32_t align[4];		/* of A, B, C, D */
	uint32_t reductions;
};

/* What an algorithm was proposed for; lies in cublasLtMatmulAlgo_t. */
struct Algo {
	uint64_t mark;
	uint64_t problem;		/* a hash */
	uint32_t align[4];
	uint64_t space;
};
static_assert(sizeof(Algo) <= sizeof(cublasLtMatmulAlgo_t), "does not fit");

static const uint64_t mark = 0x5eed0a150cb1a5;
static std::map<const void *, std::type_index> live;

template <class T> static T *
of(const void *p)
{
	auto i = live.find(p);

	if (i == live.end() || i->second != typeid(T))
		fault("%p is not what it should be, or no more", p);
	return (T *)p;
}

/* One thing (of a descriptor) made; refuse: the name of the call. */
template <class T, class P> static cublasStatus_t
make(P *out, const char *call, T value)
{
	Lock lock;

	set_running(call);
	if (refuse(call))
		return CUBLAS_STATUS_ALLOC_FAILED;
	T *p = new T(value);
	live.insert({ p, typeid(T) });
	*out = (P)p;
	return CUBLAS_STATUS_SUCCESS;
}

template <class T> static cublasStatus_t
destroy(const void *p)
{
	Lock lock;

	T *was = of<T>(p);
	live.erase(p);
	delete was;
	return CUBLAS_STATUS_SUCCESS;
}

static bool
is_elem(cudaDataType_t t)
{
	return t == CUDA_R_32F || t == CUDA_R_16BF || t == CUDA_R_16F;
}

static Elem
elem_of(cudaDataType_t t)
{
	return t == CUDA_R_32F ? F32 : t == CUDA_R_16BF ? BF16 : F16;
}

/* ---- a problem: D [m,n] = op(A) [m,k] op(B) [k,n], by columns */

struct Problem {
	Product	 p;
	Layout	 a, b, c, d;
	size_t	 m, n, k;
};

static bool
consistent(Problem *q)
{
	const Product &p = q->p;

	q->m = p.ta ? q->a.cols : q->a.rows;
	q->k = p.ta ? q->a.rows : q->a.cols;
	q->n = p.tb ? q->b.rows : q->b.cols;
	return (p.tb ? q->b.cols : q->b.rows) == q->k && q->d.rows == q->m &&
	    q->d.cols == q->n && q->c.rows == q->m && q->c.cols == q->n &&
	    q->m > 0 && q->n > 0 && q->k > 0;
}

/* Of the table of supported types the rows that the engine may need. */
static bool
supported(const Problem &q)
{
	const cudaDataType_t in = q.a.type, out = q.d.type;

	return is_elem(in) && is_elem(out) && q.b.type == in &&
	    q.c.type == out && (out == in || out == CUDA_R_32F) &&
	    q.p.scale == CUDA_R_32F && (q.p.compute == CUBLAS_COMPUTE_32F ||
	    (q.p.compute == CUBLAS_COMPUTE_32F_FAST_TF32 && in ==
	    CUDA_R_32F)) && (q.p.epilogue == CUBLASLT_EPILOGUE_DEFAULT ||
	    q.p.epilogue == CUBLASLT_EPILOGUE_BIAS);
}

static uint64_t
hash_of(const Problem &q)
{
	const uint64_t v[] = { q.m, q.n, q.k, q.a.ld, q.b.ld, q.c.ld, q.d.ld,
	    (uint64_t)q.a.type, (uint64_t)q.d.type, q.p.ta, q.p.tb,
	    q.p.epilogue, (uint64_t)q.p.compute };
	uint64_t h = 1;

	for (uint64_t x : v)
		h = (h ^ x) * 0x9e3779b97f4a7c15u, h ^= h >> 29;
	return h;
}

static size_t
bytes_of(const Layout &l)
{
	return ((l.cols - 1) * l.ld + l.rows) * elem_bytes(elem_of(l.type));
}

/* ---- a product that runs */

struct Run {
	Problem	 q;
	float	 alpha, beta;
	const void *a, *b, *c;
	void	*d, *space;
	size_t	 space_bytes;
};

/* Columns of a matrix, dense and as f32: [cols,rows] in rows of memory. */
static std::vector<float>
columns(const void *p, const Layout &l, bool tf32)
{
	std::vector<float> v(l.rows * l.cols);
	const Elem e = elem_of(l.type);

	for (size_t i = 0; i < l.cols; i++)
		widen(&v[i * l.rows], (const char *)p + i * l.ld *
		    elem_bytes(e), e, l.rows);
	if (tf32)
		round_tf32(v.data(), v.size());
	return v;
}

static std::vector<float>
turned(const std::vector<float> &v, size_t rows, size_t cols)
{
	std::vector<float> w(v.size());

	turn(w.data(), v.data(), rows, cols);
	return w;
}

static void
check(const Run &r)
{
	const Elem e = elem_of(r.q.d.type);

	range_read(r.a, bytes_of(r.q.a), "A");
	range_read(r.b, bytes_of(r.q.b), "B");
	if (r.beta != 0)
		range_read(r.c, bytes_of(r.q.c), "C");
	if (r.q.p.epilogue == CUBLASLT_EPILOGUE_BIAS)
		range_read(r.q.p.bias, r.q.m * elem_bytes(e), "the bias");
	if (r.space_bytes > 0) {
		range_write(r.space, r.space_bytes, "the workspace");
		memset(r.space, 0xff, r.space_bytes);
	}
	range_write(r.d, bytes_of(r.q.d), "D");
}

static void
run(const Run &r)
{
	const Problem &q = r.q;
	const bool tf32 = q.p.compute == CUBLAS_COMPUTE_32F_FAST_TF32;
	const bool bias = q.p.epilogue == CUBLASLT_EPILOGUE_BIAS;
	const Elem e = elem_of(q.d.type);
	std::vector<float> a, b, d, c(q.m), add(q.m);

	log_line("cublasLtMatmul m %zu n %zu k %zu bytes %zu to %zu%s flop %zu "
	    "read %zu written %zu", q.m, q.n, q.k, bytes_of(q.a) / (q.a.rows *
	    q.a.cols), elem_bytes(e), bias ? " bias" : "", 2 * q.m * q.n * q.k,
	    bytes_of(q.a) + bytes_of(q.b) + (r.beta != 0 ? bytes_of(q.c) : 0) +
	    (bias ? q.m * elem_bytes(e) : 0), bytes_of(q.d));
	if (dry())
		return;
	check(r);
	d.resize(q.m * q.n);
	/* By rows: d' [n,m] = op(B)' [n,k] op(A)' [k,m]. */
	a = columns(r.a, q.a, tf32);
	b = columns(r.b, q.b, tf32);
	if (q.p.ta)
		a = turned(a, q.m, q.k);
	if (q.p.tb)
		b = turned(b, q.k, q.n);
	product(d.data(), b.data(), a.data(), q.n, q.m, q.k);
	if (bias)
		widen(add.data(), q.p.bias, e, q.m);
	for (size_t j = 0; j < q.n; j++) {
		float *row = &d[j * q.m];

		if (r.beta != 0)
			widen(c.data(), (const char *)r.c + j * q.c.ld *
			    elem_bytes(e), e, q.m);
		for (size_t i = 0; i < q.m; i++)
			row[i] = r.alpha * row[i] + r.beta * c[i] + add[i];
		narrow((char *)r.d + j * q.d.ld * elem_bytes(e), row, e, q.m);
	}
}

/* ---- the calls */

extern "C" {

cublasStatus_t
cublasLtCreate(cublasLtHandle_t *out)
{
	return make(out, "cublasLtCreate", cublasLtContext());
}

cublasStatus_t
cublasLtDestroy(const cublasLtHandle_t h)
{
	destroy<cublasLtContext>(h);
	Lock lock;
	set_running("cublasLtDestroy");
	for (const auto &i : live)
		if (i.second == typeid(cublasLtContext))
			return CUBLAS_STATUS_SUCCESS;
	if (!live.empty())
		fault("%zu descriptors are left", live.size());
	return CUBLAS_STATUS_SUCCESS;
}

size_t
cublasLtGetVersion(void)
{
	return CUBLAS_VERSION;
}

const char *
cublasLtGetStatusName(cublasStatus_t s)
{
	switch (s) {
	case CUBLAS_STATUS_SUCCESS:
		return "CUBLAS_STATUS_SUCCESS";
	case CUBLAS_STATUS_NOT_INITIALIZED:
		return "CUBLAS_STATUS_NOT_INITIALIZED";
	case CUBLAS_STATUS_ALLOC_FAILED:
		return "CUBLAS_STATUS_ALLOC_FAILED";
	case CUBLAS_STATUS_INVALID_VALUE:
		return "CUBLAS_STATUS_INVALID_VALUE";
	case CUBLAS_STATUS_NOT_SUPPORTED:
		return "CUBLAS_STATUS_NOT_SUPPORTED";
	case CUBLAS_STATUS_EXECUTION_FAILED:
		return "CUBLAS_STATUS_EXECUTION_FAILED";
	default:
		return "CUBLAS_STATUS_INTERNAL_ERROR";
	}
}

cublasStatus_t
cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *out, cublasComputeType_t compute,
    cudaDataType_t scale)
{
	return make(out, "cublasLtMatmulDescCreate", Product{ compute, scale,
	    false, false, CUBLASLT_EPILOGUE_DEFAULT, NULL });
}

cublasStatus_t
cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t d)
{
	return destroy<Product>(d);
}

cublasStatus_t
cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t d,
    cublasLtMatmulDescAttributes_t a, const void *v, size_t n)
{
	Lock lock;
	Product *p = of<Product>(d);
	int32_t i = 0;

	set_running("cublasLtMatmulDescSetAttribute");
	if (refuse("cublasLtMatmulDescSetAttribute") || v == NULL ||
	    n != (a == CUBLASLT_MATMUL_DESC_BIAS_POINTER ? 8 : 4))
		return CUBLAS_STATUS_INVALID_VALUE;
	if (n == 4)
		memcpy(&i, v, 4);
	switch (a) {
	case CUBLASLT_MATMUL_DESC_TRANSA:
		p->ta = i != CUBLAS_OP_N;
		break;
	case CUBLASLT_MATMUL_DESC_TRANSB:
		p->tb = i != CUBLAS_OP_N;
		break;
	case CUBLASLT_MATMUL_DESC_EPILOGUE:
		p->epilogue = (uint32_t)i;
		break;
	case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
		memcpy(&p->bias, v, sizeof(p->bias));
		break;
	default:
		fault("attribute %d of a product is not simulated", (int)a);
	}
	return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t
cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *out, cudaDataType t,
    uint64_t rows, uint64_t cols, int64_t ld)
{
	if (ld < (int64_t)rows)
		return CUBLAS_STATUS_INVALID_VALUE;
	return make(out, "cublasLtMatrixLayoutCreate", Layout{ t, rows, cols,
	    (size_t)ld });
}

cublasStatus_t
cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t l)
{
	return destroy<Layout>(l);
}

cublasStatus_t
cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *out)
{
	return make(out, "cublasLtMatmulPreferenceCreate", Preference{ 0, {
	    256, 256, 256, 256 }, CUBLASLT_REDUCTION_SCHEME_MASK });
}

cublasStatus_t
cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t p)
{
	return destroy<Preference>(p);
}

cublasStatus_t
cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t pref,
    cublasLtMatmulPreferenceAttributes_t a, const void *v, size_t n)
{
	Lock lock;
	Preference *p = of<Preference>(pref);
	uint32_t u = 0;

	set_running("cublasLtMatmulPreferenceSetAttribute");
	if (refuse("cublasLtMatmulPreferenceSetAttribute") || v == NULL ||
	    n != (a == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES ? 8 : 4))
		return CUBLAS_STATUS_INVALID_VALUE;
	if (n == 4)
		memcpy(&u, v, 4);
	switch (a) {
	case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
		memcpy(&p->bytes, v, 8);
		break;
	case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK:
		p->reductions = u;
		break;
	case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES:
	case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES:
	case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES:
	case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES:
		p->align[a - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES] = u;
		break;
	default:
		fault("attribute %d of a preference is not simulated", (int)a);
	}
	return CUBLAS_STATUS_SUCCESS;
}

/*
 * One algorithm, which splits the inner dimension where that is long and the
 * space given holds the partial sums, in f32.
 */
cublasStatus_t
cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t h, cublasLtMatmulDesc_t p,
    cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
    cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
    cublasLtMatmulPreference_t pref, int wanted,
    cublasLtMatmulHeuristicResult_t *out, int *got)
{
	Lock lock;
	Problem q = { *of<Product>(p), *of<Layout>(a), *of<Layout>(b),
	    *of<Layout>(c), *of<Layout>(d), 0, 0, 0 };
	const Preference *f = of<Preference>(pref);
	Algo algo = {};

	set_running("cublasLtMatmulAlgoGetHeuristic");
	of<cublasLtContext>(h);
	if (refuse("cublasLtMatmulAlgoGetHeuristic"))
		return CUBLAS_STATUS_INTERNAL_ERROR;
	if (wanted <= 0 || !consistent(&q))
		return CUBLAS_STATUS_INVALID_VALUE;
	*got = 0;
	if (!supported(q))
		return CUBLAS_STATUS_NOT_SUPPORTED;
	if ((q.p.epilogue == CUBLASLT_EPILOGUE_BIAS &&
	    refuse("CUBLASLT_EPILOGUE_BIAS")) || refuse("cublasLtMatmulAlgo"))
		return CUBLAS_STATUS_SUCCESS;
	algo.mark = mark;
	algo.problem = hash_of(q);
	memcpy(algo.align, f->align, sizeof(algo.align));
	if (q.k >= 512 && 8 * q.m * q.n <= f->bytes && (f->reductions &
	    CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE) != 0)
		algo.space = 8 * q.m * q.n;
	memset(out, 0, sizeof(*out));
	memcpy(&out->algo, &algo, sizeof(algo));
	out->workspaceSize = algo.space;
	out->state = CUBLAS_STATUS_SUCCESS;
	out->wavesCount = 1;
	*got = 1;
	return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t
cublasLtMatmul(cublasLtHandle_t h, cublasLtMatmulDesc_t p, const void *alpha,
    const void *A, cublasLtMatrixLayout_t a, const void *B,
    cublasLtMatrixLayout_t b, const void *beta, const void *C,
    cublasLtMatrixLayout_t c, void *D, cublasLtMatrixLayout_t d,
    const cublasLtMatmulAlgo_t *with, void *space, size_t bytes,
    cudaStream_t s)
{
	Lock lock;
	Run r = { { *of<Product>(p), *of<Layout>(a), *of<Layout>(b),
	    *of<Layout>(c), *of<Layout>(d), 0, 0, 0 }, *(const float *)alpha,
	    *(const float *)beta, A, B, C, D, space, 0 };
	const void *const at[] = { A, B, C, D };
	Algo algo;

	set_running("cublasLtMatmul");
	of<cublasLtContext>(h);
	if (refuse("cublasLtMatmul"))
		return CUBLAS_STATUS_EXECUTION_FAILED;
	if (with == NULL || !consistent(&r.q))
		return CUBLAS_STATUS_INVALID_VALUE;
	memcpy(&algo, with, sizeof(algo));
	if (algo.mark != mark || algo.problem != hash_of(r.q) ||
	    bytes < algo.space || (uintptr_t)space % 16 != 0)
		return CUBLAS_STATUS_INVALID_VALUE;
	for (int i = 0; i < 4; i++)
		if ((uintptr_t)at[i] % algo.align[i] != 0)
			fault("%c is not aligned to %u bytes, as was said",
			    "ABCD"[i], algo.align[i]);
	r.space_bytes = algo.space;
	enqueue(s, "cublasLtMatmul", [r] { run(r); });
	return CUBLAS_STATUS_SUCCESS;
}

} /* extern "C" */
