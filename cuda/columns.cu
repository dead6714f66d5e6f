/*
 * Sums over rows, and the moments of channels (twin: ref/pool.c):
 *
 *	mean = sum x / n,  var = sum (x - mean)^2 / n
 *
 * in two sweeps, so that no digits cancel; the second finds much of x in the L2
 * cache.  How sums are made, and the mean, is in columns.h.
 */
#include "columns.h"

template <typename E> struct Sum {
	enum { SUMS = 1 };
	const E	*x;
	int	 C;
	float	*out;

	template <int N> CB_FN void
	terms(float v[SUMS][N], int64_t row, int col) const
	{
		cu_load<N>(v[0], x + row * C + col);
	}
	CB_FN void
	finish(const float sum[SUMS], int col) const
	{
		out[col] += sum[0];
	}
};

template <typename E> struct Variance {
	enum { SUMS = 1 };
	const E	*x;
	int	 C;
	float	 share;
	const float *mean;
	float	*out;

	template <int N> CB_FN void
	terms(float v[SUMS][N], int64_t row, int col) const
	{
		float m[N];

		cu_load<N>(v[0], x + row * C + col);
		cu_load_param<N>(m, mean + col);
#pragma unroll
		for (int j = 0; j < N; j++)
			v[0][j] = (v[0][j] - m[j]) * (v[0][j] - m[j]);
	}
	CB_FN void
	finish(const float sum[SUMS], int col) const
	{
		out[col] = sum[0] * share;
	}
};

template <typename E, int N> static int
sum_of(cudaStream_t s, float *out, const void *x, int64_t n, int C,
    float *part)
{
	const Sum<E> f = { (const E *)x, C, out };

	return columns<N>(s, f, n, C, part);
}

int
cu_column_sum(cudaStream_t s, enum cu_type t, float *out, const void *x,
    int64_t n, int C, float *part)
{
	if (n == 0 || C == 0)
		return cudaSuccess;
	return CU_ROWS(t, C, sum_of, s, out, x, n, C, part);
}

template <typename E, int N> static int
moments_of(cudaStream_t s, float *mean, float *var, const void *x, int64_t n,
    int C, float *part)
{
	const float share = (float)(1. / (double)n);
	const Mean<E> m = { (const E *)x, C, share, mean };
	const Variance<E> v = { (const E *)x, C, share, mean, var };
	int e = columns<N>(s, m, n, C, part);

	return e != cudaSuccess ? e : columns<N>(s, v, n, C, part);
}

int
cu_moments(cudaStream_t s, enum cu_type t, float *mean, float *var,
    const void *x, int64_t n, int C, float *part)
{
	if (n == 0 || C == 0)
		return cudaSuccess;
	return CU_ROWS(t, C, moments_of, s, mean, var, x, n, C, part);
}
