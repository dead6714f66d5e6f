/*
 * Products of matrices, on registers.  A kernel holds a block of the result,
 * up to ROWS rows of one panel, and runs once through the common dimension:
 * a step is one vector or two of b, and each element of a column of a times
 * them.  What multiplies is always read along b's panels, which are packed one
 * after another, so it comes at the speed of the nearest cache; the panel that
 * follows is asked for meanwhile.
 *
 * An element of the result is one sum in the order of the common dimension,
 * however the product is cut, so results never depend on the cutting.
 *
 * With AVX-512, 28 of the 32 registers are sums; those kernels are in avx512.h, by
 * hand.
 */
#include "gemm.h"

#define KERNEL static inline __attribute__((always_inline)) void

struct block {
	float	*y;
	const float *a, *b, *next;
	const float *bias;
	const float *sum, *res;		/* to be added, y itself; or NULL */
	int64_t	 ldy, lda, ldb, step;
	int64_t	 K;
	bool	 relu;
};

static const float no_bias[PANEL];

/* What is added last is asked for first. */
static inline void
look(const float *y, int64_t ldy, int R, int W)
{
	int r, w;

	for (r = 0; y != NULL && r < R; r++, y += ldy)
		for (w = 0; w < W; w++)
			__builtin_prefetch(y + 16 * w);
}

/* Sums over k of a[r ar + k ak] b[k bk + .], for R rows and W vectors. */
KERNEL
kernel(const int R, const int W, const struct block *p, int64_t ar, int64_t ak,
    int64_t bk)
{
	const float *a = p->a, *b = p->b, *next = p->next, *y;
	int64_t ldy = p->ldy, step = p->step, k, K = p->K;
	float *to;
	v16 acc[ROWS][WIDE], v[WIDE];
	int r, w;

#pragma GCC unroll 14
	for (r = 0; r < R; r++)
		for (w = 0; w < W; w++)
			acc[r][w] = load(p->bias + 16 * w);
	look(p->sum, ldy, R, W);
	look(p->res, ldy, R, W);
	for (k = 0; k < K; k++) {
		for (w = 0; w < W; w++)
			v[w] = load(b + k * bk + 16 * w);
		__builtin_prefetch(next + k * step, 0, 2);
#pragma GCC unroll 14
		for (r = 0; r < R; r++)
			for (w = 0; w < W; w++)
				acc[r][w] += a[r * ar + k * ak] * v[w];
	}
	if (p->sum != NULL)
#pragma GCC unroll 14
		for (r = 0, y = p->sum; r < R; r++, y += ldy)
			for (w = 0; w < W; w++)
				acc[r][w] += load(y + 16 * w);
	if (p->res != NULL)
#pragma GCC unroll 14
		for (r = 0, y = p->res; r < R; r++, y += ldy)
			for (w = 0; w < W; w++)
				acc[r][w] += load(y + 16 * w);
	if (p->relu)
#pragma GCC unroll 14
		for (r = 0; r < R; r++)
			for (w = 0; w < W; w++)
				acc[r][w] = positive(acc[r][w]);
#pragma GCC unroll 14
	for (r = 0, to = p->y; r < R; r++, to += ldy)
		for (w = 0; w < W; w++)
			store(to + 16 * w, acc[r][w]);
}

/* Rows of a times panels; columns of a times rows of b. */
#define KERNELS(R, W) \
static void \
rows_##R##_##W(const struct block *p) \
{ \
	kernel(R, W, p, p->lda, 1, 16 * W); \
} \
static void \
columns_##R##_##W(const struct block *p) \
{ \
	kernel(R, W, p, 1, p->lda, p->ldb); \
}

#if WIDE == 2
#include "avx512.h"
#endif

typedef void kernel_fn(const struct block *p);

#define ALL(X, W) X(1, W) X(2, W) X(3, W) X(4, W) X(5, W) X(6, W)
#if ROWS == 14
#define MORE(X, W) X(7, W) X(8, W) X(9, W) X(10, W) X(11, W) X(12, W) \
	X(13, W) X(14, W)
#else
#define MORE(X, W)
#endif
#define ROWS_OF(R, W) [R] = rows_##R##_##W,
#define COLUMNS_OF(R, W) [R] = columns_##R##_##W,

ALL(KERNELS, 1)
MORE(KERNELS, 1)
#if WIDE == 2
ALL(KERNELS_512, 2)
MORE(KERNELS_512, 2)
#endif

static kernel_fn *const rows_kernel[WIDE + 1][ROWS + 1] = {
	[1] = { ALL(ROWS_OF, 1) MORE(ROWS_OF, 1) },
#if WIDE == 2
	[2] = { ALL(ROWS_OF, 2) MORE(ROWS_OF, 2) },
#endif
};

static kernel_fn *const columns_kernel[WIDE + 1][ROWS + 1] = {
	[1] = { ALL(COLUMNS_OF, 1) MORE(COLUMNS_OF, 1) },
#if WIDE == 2
	[2] = { ALL(COLUMNS_OF, 2) MORE(COLUMNS_OF, 2) },
#endif
};

void
gemm_rows(struct gemm *g, int lo, int hi)
{
	int groups = (g->T + ROWS - 1) / ROWS, p, i, n, w;
	int64_t r, end, size = (int64_t)g->K * PANEL;
	struct block b = { .lda = g->lda, .ldy = g->ldy, .K = g->K,
	    .relu = g->relu };

	for (p = lo; p < hi; p++) {
		n = p * PANEL;
		w = (g->N - n < PANEL ? g->N - n : PANEL) / 16;
		b.b = g->b + p * size;
		b.bias = g->bias != NULL ? g->bias + n : no_bias;
		for (i = 0; i < groups; i++) {
			r = part(g->T, groups, i);
			end = part(g->T, groups, i + 1);
			b.a = g->a + r * g->lda;
			b.y = g->y + r * g->ldy + n;
			b.sum = g->add ? b.y : NULL;
			b.res = g->res != NULL ? g->res + r * g->ldy + n :
			    NULL;
			b.next = b.b + (i < WIDE && p + 1 < hi ?
			    size + i * g->K * 16 : 0);
			b.step = 16;
			if (g->ahead < g->ahead_end) {
				b.next = g->ahead;
				b.step = g->ahead_step > 0 ? g->ahead_step : 16;
				g->ahead += g->ahead_step > 0 ? 16 : g->K * 16;
			}
			rows_kernel[w][end - r](&b);
		}
	}
}

void
gemm_columns(float *y, int64_t ldy, const float *a, int64_t lda, int M,
    const float *b, int64_t ldb, int N, int K, bool add)
{
	int groups = (M + ROWS - 1) / ROWS, i;
	struct block k = { .y = y, .ldy = ldy, .lda = lda, .ldb = ldb, .K = K,
	    .b = b, .next = b, .step = 16, .bias = no_bias };
	int64_t m, end;

	for (i = 0; i < groups; i++) {
		m = part(M, groups, i);
		end = part(M, groups, i + 1);
		k.a = a + m;
		k.y = y + m * ldy;
		k.sum = add ? k.y : NULL;
		columns_kernel[N / 16][end - m](&k);
	}
}
