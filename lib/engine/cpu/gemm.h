/*
 * Products of matrices by blocks that stay in registers; private to the CPU
 * engine.  They run in the thread that calls.
 */
#ifndef CB_CPU_GEMM_H
#define CB_CPU_GEMM_H

#include "cpu.h"

#ifdef __AVX512F__
#define ROWS 14			/* of the result in registers ... */
#define WIDE 2			/* ... by so many vectors of 16 */
#else
#define ROWS 6
#define WIDE 1
#endif
#define PANEL (16 * WIDE)

static inline int
panels(int N)
{
	return (N + PANEL - 1) / PANEL;
}

/* Where row k of panel p begins in b [K,N] that was packed in panels: each
 * [K,PANEL], the last perhaps narrower. */
static inline int64_t
panel_at(int K, int N, int p, int k)
{
	int w = N - p * PANEL < PANEL ? N - p * PANEL : PANEL;

	return (int64_t)p * PANEL * K + (int64_t)k * w;
}

/*
 * y = [relu](a b + bias [+ y] [+ res])
 *
 * a		[T,K], rows lda apart
 * b		[K,N] in panels; N is a multiple of 16
 * bias		[N], NULL: 0
 * y res	[T,N], rows ldy apart; res NULL: none
 */
struct gemm {
	const float *a, *b, *bias, *res;
	float	*y;
	int64_t	 lda, ldy;
	int	 T, K, N;
	bool	 add, relu;
	/* What will be read next: lines one after another or, where a step is
	 * given, K of them so far apart, then those behind each. */
	const float *ahead, *ahead_end;
	int64_t	 ahead_step;
};

/* The columns of panels [lo, hi); `ahead` moves on. */
void	gemm_rows(struct gemm *g, int lo, int hi);

/* y [M,N] = a' b [+ y] for a [K,M] and b [K,N] with rows lda and ldb apart; N
 * is 16 or PANEL. */
void	gemm_columns(float *y, int64_t ldy, const float *a, int64_t lda, int M,
	    const float *b, int64_t ldb, int N, int K, bool add);

#endif
