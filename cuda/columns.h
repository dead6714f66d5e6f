/*
 * columns: sums over the rows of a matrix, column by column, in two passes.
 *
 * An operation is a struct F of what its sums are made of and what becomes of
 * them, which goes to both kernels by value:
 *
 *	enum { SUMS = k }				of each column
 *	template <int N> CB_FN void
 *	terms(float v[SUMS][N], int64_t row, int col) const
 *			what row adds to the sums of columns col .. col+N-1
 *	CB_FN void
 *	finish(const float sum[SUMS], int col) const
 *
 * First, blocks of 256 threads, 2^k of them side by side on N columns each and
 * the others below on further rows: part [SUMS,CU_PARTS,C] gets what each block
 * sums, over rows that lie CU_PARTS apart by so many.  Then one warp for each 32
 * columns adds the parts up.  Both orders depend on n, C and N only.  Bound by
 * the bytes of the first pass.
 */
#ifndef CB_CUDA_COLUMNS_H
#define CB_CUDA_COLUMNS_H

#include "launch.h"

enum { COLUMN_THREADS = 256 };

/* across: threads side by side, a power of two that divides 256. */
template <int N, typename F> CB_KERNEL(COLUMN_THREADS)
column_parts(float *part, const F f, int64_t n, int C, int across)
{
	CB_SHARED(float, held, F::SUMS * COLUMN_THREADS * N);
	const int t = (int)threadIdx.x, down = COLUMN_THREADS / across;
	const int col = ((int)blockIdx.x * across + t % across) * N;
	float sum[F::SUMS][N], v[F::SUMS][N];

#pragma unroll
	for (int k = 0; k < F::SUMS; k++)
#pragma unroll
		for (int j = 0; j < N; j++)
			sum[k][j] = 0;
	for (int64_t row = (int64_t)blockIdx.y * down + t / across; row < n &&
	    col < C; row += (int64_t)gridDim.y * down) {
		f.template terms<N>(v, row, col);
#pragma unroll
		for (int k = 0; k < F::SUMS; k++)
#pragma unroll
			for (int j = 0; j < N; j++)
				sum[k][j] += v[k][j];
	}
	/* held [SUMS,down,across N] */
#pragma unroll
	for (int k = 0; k < F::SUMS; k++)
		cu_hold<N>(held, k * COLUMN_THREADS + t, sum[k]);
	cb_syncthreads();
	for (int i = t; i < across * N; i += COLUMN_THREADS) {
		const int c = (int)blockIdx.x * across * N + i;

		for (int k = 0; k < F::SUMS && c < C; k++) {
			float s = 0;

			for (int d = 0; d < down; d++)
				s += held[cu_held<N>((k * COLUMN_THREADS + d *
				    across) * N + i)];
			part[((int64_t)k * CU_PARTS + blockIdx.y) * C + c] = s;
		}
	}
}

/* Eight warps share out the parts of 32 columns. */
template <typename F> CB_KERNEL(COLUMN_THREADS)
column_finish(const float *part, const F f, int parts, int C)
{
	CB_SHARED2(float, held, F::SUMS * COLUMN_THREADS / 32, 32);
	const int lane = cb_lane(), w = (int)threadIdx.x / 32;
	const int warps = COLUMN_THREADS / 32;
	const int col = (int)blockIdx.x * 32 + lane;
	float sum[F::SUMS];

#pragma unroll
	for (int k = 0; k < F::SUMS; k++) {
		sum[k] = 0;
		for (int p = w; p < parts && col < C; p += warps)
			sum[k] += part[((int64_t)k * CU_PARTS + p) * C + col];
		held[k * warps + w][lane] = sum[k];
	}
	cb_syncthreads();
	if (w > 0 || col >= C)
		return;
#pragma unroll
	for (int k = 0; k < F::SUMS; k++)
		for (int i = 1; i < warps; i++)
			sum[k] += held[k * warps + i][lane];
	f.finish(sum, col);
}

template <typename F> static int
columns_finish(cudaStream_t s, const F &f, int parts, int C, float *part)
{
	return CB_LAUNCH((column_finish<F>), (unsigned)((C + 31) / 32),
	    COLUMN_THREADS, 0, s, part, f, parts, C);
}

/* Both passes over n >= 0 rows of C > 0 columns, N at once.  N divides C. */
template <int N, typename F> static int
columns(cudaStream_t s, const F &f, int64_t n, int C, float *part)
{
	int across = 1, parts, e;
	int64_t blocks;

	while (across < 32 && across * N < C)
		across *= 2;
	blocks = (n * across + COLUMN_THREADS - 1) / COLUMN_THREADS;
	parts = (int)(blocks < CU_PARTS ? blocks : (int64_t)CU_PARTS);
	if (parts > 0 && (e = CB_LAUNCH((column_parts<N, F>),
	    dim3((unsigned)((C + across * N - 1) / (across * N)),
	    (unsigned)parts), COLUMN_THREADS, 0, s, part, f, n, C, across)) !=
	    cudaSuccess)
		return e;
	return columns_finish(s, f, parts, C, part);
}

/* An operation that two files share: the mean of each column of x [n,C]. */
template <typename E> struct Mean {
	enum { SUMS = 1 };
	const E	*x;
	int	 C;
	float	 share;			/* 1 / n */
	float	*out;

	template <int N> CB_FN void
	terms(float v[SUMS][N], int64_t row, int col) const
	{
		cu_load<N>(v[0], x + row * C + col);
	}
	CB_FN void
	finish(const float sum[SUMS], int col) const
	{
		out[col] = sum[0] * share;
	}
};

#endif
