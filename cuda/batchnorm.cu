/*
 * Batch normalisation of columns (arXiv:1502.03167; twin: ref/batchnorm.c):
 *
 *	n = (x - mean) rstd,  y = n gain + bias,  rstd = 1 / sqrt(var + 1e-5)
 *	dx = rstd gain (dy - mean(dy) - n mean(dy n)),  means over the rows
 *	dgain += sum over t of dy n,  dbias += sum over t of dy
 *
 * Sums over rows as columns.h makes them, the mean before the variance; then one
 * pass element by element.  Bound by bytes.  Measured on no device yet.
 */
#include "columns.h"

static const int THREADS = 256;
static const float EPS = 1e-5f;

/* ---- statistics of these rows */

template <typename E> struct Spread {
	enum { SUMS = 1 };
	const E	*x;
	int	 D, T;
	const float *mean;
	float	*rstd, *running;

	template <int N> CB_FN void
	terms(float v[SUMS][N], int64_t row, int col) const
	{
		float m[N];

		cu_load<N>(v[0], x + row * D + col);
		cu_load_param<N>(m, mean + col);
#pragma unroll
		for (int j = 0; j < N; j++)
			v[0][j] = (v[0][j] - m[j]) * (v[0][j] - m[j]);
	}
	CB_FN void
	finish(const float sum[SUMS], int col) const
	{
		float *const means = running, *const vars = running + D;

		means[col] = .9f * means[col] + .1f * mean[col];
		vars[col] = .9f * vars[col] + .1f * sum[0] / (float)(T - 1);
		if (col == 0)
			running[2 * D] += 1;
		rstd[col] = cb_rsqrt(sum[0] / (float)T + EPS);
	}
};

/* ---- y; a thread: N columns of a row.  spread: rstd, or where `var` the
 * variance. */

template <typename E, int N> CB_KERNEL(THREADS)
apply(E *y, const E *x, const float *mean, const float *spread, bool var,
    const float *gain, const float *bias, int64_t T, int D)
{
	const int wide = D / N;
	float v[N], m[N], r[N], a[N], b[N];

	CU_EACH(i, T * wide) {
		const int col = (int)((uint32_t)i % (uint32_t)wide) * N;

		cu_load<N>(v, x + i * N);
		cu_load_param<N>(m, mean + col);
		cu_load_param<N>(r, spread + col);
		cu_load_param<N>(a, gain + col);
		cu_load_param<N>(b, bias + col);
#pragma unroll
		for (int j = 0; j < N; j++) {
			if (var)
				r[j] = cb_rsqrt(r[j] + EPS);
			v[j] = (v[j] - m[j]) * r[j] * a[j] + b[j];
		}
		cu_store<N>(y + i * N, v);
	}
}

struct Forward {
	void	*y;
	float	*mean, *rstd, *running;
	const void *x;
	const float *gain, *bias;
	int	 T, D;
	bool	 learn;
	float	*part;
};

template <typename E, int N> static int
fwd_of(cudaStream_t s, const Forward &a)
{
	const E *x = (const E *)a.x;
	int e = cudaSuccess;

	if (a.learn) {
		const Mean<E> m = { x, a.D, 1.f / (float)a.T, a.mean };
		const Spread<E> v = { x, a.D, a.T, a.mean, a.rstd, a.running };

		if ((e = columns<N>(s, m, a.T, a.D, a.part)) != cudaSuccess ||
		    (e = columns<N>(s, v, a.T, a.D, a.part)) != cudaSuccess)
			return e;
	}
	return CB_LAUNCH((apply<E, N>), cu_blocks((int64_t)a.T * (a.D / N),
	    THREADS), THREADS, 0, s, (E *)a.y, x, a.learn ? a.mean : a.running,
	    a.learn ? a.rstd : a.running + a.D, !a.learn, a.gain, a.bias,
	    (int64_t)a.T, a.D);
}

int
cu_batchnorm_fwd(cudaStream_t s, enum cu_type t, void *y, float *mean,
    float *rstd, float *running, const void *x, const float *gain,
    const float *bias, int T, int D, bool learn, float *part)
{
	const Forward a = { y, mean, rstd, running, x, gain, bias, T, D, learn,
	    part };

	return T == 0 || D == 0 ? cudaSuccess : CU_ROWS(t, D, fwd_of, s, a);
}

/* ---- backward: both sums end in the first rows of the parts, where the pass
 * over dx finds them */

template <typename E> struct Gradient {
	enum { SUMS = 2 };
	const E	*dy, *x;
	const float *mean, *rstd;
	int	 D;
	float	*dgain, *dbias, *part;

	template <int N> CB_FN void
	terms(float v[SUMS][N], int64_t row, int col) const
	{
		float m[N], r[N];

		cu_load<N>(v[0], x + row * D + col);
		cu_load<N>(v[1], dy + row * D + col);
		cu_load_param<N>(m, mean + col);
		cu_load_param<N>(r, rstd + col);
#pragma unroll
		for (int j = 0; j < N; j++)
			v[0][j] = (v[0][j] - m[j]) * r[j] * v[1][j];
	}
	CB_FN void
	finish(const float sum[SUMS], int col) const
	{
		if (dgain != NULL)
			dgain[col] += sum[0];
		if (dbias != NULL)
			dbias[col] += sum[1];
		part[col] = sum[0];
		part[(int64_t)CU_PARTS * D + col] = sum[1];
	}
};

template <typename E, int N> CB_KERNEL(THREADS)
gradient(E *dx, const E *dy, const E *x, const float *mean, const float *rstd,
    const float *gain, const float *part, int64_t T, int D, float share)
{
	const int wide = D / N;
	float g[N], v[N], m[N], r[N], p[N];

	CU_EACH(i, T * wide) {
		const int col = (int)((uint32_t)i % (uint32_t)wide) * N;

		cu_load<N>(v, x + i * N);
		cu_load<N>(g, dy + i * N);
		cu_load_param<N>(m, mean + col);
		cu_load_param<N>(r, rstd + col);
		cu_load_param<N>(p, part + col);
#pragma unroll
		for (int j = 0; j < N; j++)
			g[j] -= (v[j] - m[j]) * r[j] * p[j] * share;
		cu_load_param<N>(p, part + (int64_t)CU_PARTS * D + col);
		cu_load_param<N>(m, gain + col);
#pragma unroll
		for (int j = 0; j < N; j++)
			g[j] = r[j] * m[j] * (g[j] - p[j] * share);
		cu_store<N>(dx + i * N, g);
	}
}

struct Backward {
	void	*dx;
	float	*dgain, *dbias;
	const void *dy, *x;
	const float *mean, *rstd, *gain;
	int	 T, D;
	float	*part;
};

template <typename E, int N> static int
bwd_of(cudaStream_t s, const Backward &a)
{
	const Gradient<E> f = { (const E *)a.dy, (const E *)a.x, a.mean,
	    a.rstd, a.D, a.dgain, a.dbias, a.part };
	int e = columns<N>(s, f, a.T, a.D, a.part);

	if (e != cudaSuccess)
		return e;
	return CB_LAUNCH((gradient<E, N>), cu_blocks((int64_t)a.T * (a.D / N),
	    THREADS), THREADS, 0, s, (E *)a.dx, (const E *)a.dy,
	    (const E *)a.x, a.mean, a.rstd, a.gain, a.part, (int64_t)a.T, a.D,
	    1.f / (float)a.T);
}

int
cu_batchnorm_bwd(cudaStream_t s, enum cu_type t, void *dx, float *dgain,
    float *dbias, const void *dy, const void *x, const float *mean,
    const float *rstd, const float *gain, int T, int D, float *part)
{
	const Backward a = { dx, dgain, dbias, dy, x, mean, rstd, gain, T, D,
	    part };

	return T == 0 || D == 0 ? cudaSuccess : CU_ROWS(t, D, bwd_of, s, a);
}
