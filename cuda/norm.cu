/*
 * Dropout, residual and layer normalisation (arXiv:1607.06450; twin:
 * ref/norm.c):
 *
 *	s = drop(x) + res,  n = (s - mean) rstd,  y = n gain + bias
 *	ds = rstd (g - mean(g) - n mean(g n)),  g = dy gain;  dx = drop(ds)
 *	dgain += sum over t of dy n,  dbias += sum over t of dy
 *
 * One warp has a row.  Up to 1024 wide, it stays in registers, K times 16 bytes
 * a lane, so that everything is read once and the variance is that about the
 * mean.  Backward, a warp goes on to further rows and carries its share of
 * dgain and dbias along; blocks leave these as parts (columns.h).  Wider rows,
 * and those that do not end at 16 bytes, are read once for each pass.  Bound by
 * bytes.  Measured on no device yet.
 *
 * Statistics are those of s before it is rounded to an element.
 */
#include "columns.h"

static const int THREADS = 256;		/* forward, and of wider rows */
static const int WIDEST = 1024;		/* in registers */
static const float EPS = 1e-12f;

/* ---- forward, in registers */

template <typename E, int K> CB_KERNEL2(THREADS, K > 6 ? 1 : 2)
norm_fwd(E *y, E *sum, float *mean, float *rstd, const E *x, const E *res,
    const float *gain, const float *bias, int T, int D, float share,
    cb_mask mask)
{
	const int N = CB_WIDE(E), d0 = cb_lane() * N;
	const int warp = (int)threadIdx.x / 32, warps = THREADS / 32;
	float v[K][N], a[N], b[N];

	for (int t = (int)blockIdx.x * warps + warp; t < T;
	    t += (int)gridDim.x * warps) {
		const int64_t at = (int64_t)t * D + d0;
		float m = 0, r = 0;

#pragma unroll
		for (int k = 0; k < K; k++)
			if (d0 + k * 32 * N < D)
				cb_load(v[k], x + at + k * 32 * N);
		if (mask.limit != 0)
#pragma unroll
			for (int k = 0; k < K; k++) {
				cu_mask<N>(a, mask, at + k * 32 * N);
#pragma unroll
				for (int j = 0; j < N; j++)
					v[k][j] *= a[j];
			}
		if (res != NULL)
#pragma unroll
			for (int k = 0; k < K; k++)
				if (d0 + k * 32 * N < D) {
					cb_load(a, res + at + k * 32 * N);
#pragma unroll
					for (int j = 0; j < N; j++)
						v[k][j] += a[j];
				}
#pragma unroll
		for (int k = 0; k < K; k++)
			if (d0 + k * 32 * N < D) {
				cb_store(sum + at + k * 32 * N, v[k]);
#pragma unroll
				for (int j = 0; j < N; j++)
					m += v[k][j];
			}
		m = cb_warp_sum(m) * share;
#pragma unroll
		for (int k = 0; k < K; k++)
			if (d0 + k * 32 * N < D)
#pragma unroll
				for (int j = 0; j < N; j++)
					r += (v[k][j] - m) * (v[k][j] - m);
		r = cb_rsqrt(cb_warp_sum(r) * share + EPS);
#pragma unroll
		for (int k = 0; k < K; k++)
			if (d0 + k * 32 * N < D) {
				cu_load_param<N>(a, gain + d0 + k * 32 * N);
				cu_load_param<N>(b, bias + d0 + k * 32 * N);
#pragma unroll
				for (int j = 0; j < N; j++)
					v[k][j] = (v[k][j] - m) * r * a[j] +
					    b[j];
				cb_store(y + at + k * 32 * N, v[k]);
			}
		if (cb_lane() == 0) {
			mean[t] = m;
			rstd[t] = r;
		}
	}
}

/* ---- forward, of any width; s is made anew in each of three passes, since
 * it may take the place of what it is made of */

template <int N, typename E> CB_FN void
make_sum(float *v, const E *x, const E *res, const cb_mask &mask, int64_t at)
{
	float a[N];

	cu_load<N>(v, x + at);
	cu_mask<N>(a, mask, at);
#pragma unroll
	for (int j = 0; j < N; j++)
		v[j] *= a[j];
	if (res == NULL)
		return;
	cu_load<N>(a, res + at);
#pragma unroll
	for (int j = 0; j < N; j++)
		v[j] += a[j];
}

template <typename E, int N> CB_KERNEL(THREADS)
norm_fwd_any(E *y, E *sum, float *mean, float *rstd, const E *x, const E *res,
    const float *gain, const float *bias, int T, int D, float share,
    cb_mask mask)
{
	const int warp = (int)threadIdx.x / 32, warps = THREADS / 32;
	float v[N], a[N], b[N];

	for (int t = (int)blockIdx.x * warps + warp; t < T;
	    t += (int)gridDim.x * warps) {
		const int64_t at = (int64_t)t * D;
		float m = 0, r = 0;

		for (int d = cb_lane() * N; d < D; d += 32 * N) {
			make_sum<N>(v, x, res, mask, at + d);
#pragma unroll
			for (int j = 0; j < N; j++)
				m += v[j];
		}
		m = cb_warp_sum(m) * share;
		for (int d = cb_lane() * N; d < D; d += 32 * N) {
			make_sum<N>(v, x, res, mask, at + d);
#pragma unroll
			for (int j = 0; j < N; j++)
				r += (v[j] - m) * (v[j] - m);
		}
		r = cb_rsqrt(cb_warp_sum(r) * share + EPS);
		for (int d = cb_lane() * N; d < D; d += 32 * N) {
			make_sum<N>(v, x, res, mask, at + d);
			cu_store<N>(sum + at + d, v);
			cu_load_param<N>(a, gain + d);
			cu_load_param<N>(b, bias + d);
#pragma unroll
			for (int j = 0; j < N; j++)
				v[j] = (v[j] - m) * r * a[j] + b[j];
			cu_store<N>(y + at + d, v);
		}
		if (cb_lane() == 0) {
			mean[t] = m;
			rstd[t] = r;
		}
	}
}

/* ---- backward, in registers */

/* What becomes of the parts. */
struct Affine {
	enum { SUMS = 2 };
	float	*dgain, *dbias;

	CB_FN void
	finish(const float sum[SUMS], int col) const
	{
		if (dgain != NULL)
			dgain[col] += sum[0];
		if (dbias != NULL)
			dbias[col] += sum[1];
	}
};

/* part [2,CU_PARTS,D] = sums over the warps of this block of what their lanes
 * have: lane i of a warp, of columns (32 k + i) N + j.  held [2,W,32 N]: shared. */
template <int K, int N, int W> CB_FN void
leave_parts(float *part, float *held, const float (&dg)[K][N],
    const float (&db)[K][N], int D)
{
	const int t = (int)threadIdx.x;

#pragma unroll
	for (int k = 0; k < K; k++) {
		cb_syncthreads();
		cu_hold<N>(held, t, dg[k]);
		cu_hold<N>(held, W * 32 + t, db[k]);
		cb_syncthreads();
		for (int i = t; i < 2 * 32 * N; i += W * 32) {
			const int which = i / (32 * N), c = i % (32 * N);
			const int col = k * 32 * N + c;
			float s = 0;

			for (int w = 0; w < W; w++)
				s += held[cu_held<N>((which * W + w) * 32 * N +
				    c)];
			if (col < D)
				part[((int64_t)which * CU_PARTS + blockIdx.x) *
				    D + col] = s;
		}
	}
}

template <typename E, int K, int W> CB_KERNEL(W * 32)
norm_bwd(E *dx, E *ds, float *part, const E *dy, const E *sum,
    const float *mean, const float *rstd, const float *gain, int T, int D,
    float share, cb_mask mask)
{
	const int N = CB_WIDE(E), d0 = cb_lane() * N;
	const int warp = (int)threadIdx.x / 32;
	CB_SHARED(float, held, 2 * W * 32 * N);
	float dg[K][N], db[K][N], g[K][N], n[K][N], a[N];

#pragma unroll
	for (int k = 0; k < K; k++)
#pragma unroll
		for (int j = 0; j < N; j++)
			dg[k][j] = db[k][j] = g[k][j] = n[k][j] = 0;
	for (int t = (int)blockIdx.x * W + warp; t < T;
	    t += (int)gridDim.x * W) {
		const int64_t at = (int64_t)t * D + d0;
		const float m = mean[t], r = rstd[t];
		float mg = 0, mgn = 0;

#pragma unroll
		for (int k = 0; k < K; k++)
			if (d0 + k * 32 * N < D) {
				cb_load(g[k], dy + at + k * 32 * N);
				cb_load(n[k], sum + at + k * 32 * N);
			}
#pragma unroll
		for (int k = 0; k < K; k++)
			if (d0 + k * 32 * N < D) {
				cu_load_param<N>(a, gain + d0 + k * 32 * N);
#pragma unroll
				for (int j = 0; j < N; j++) {
					n[k][j] = (n[k][j] - m) * r;
					dg[k][j] += g[k][j] * n[k][j];
					db[k][j] += g[k][j];
					g[k][j] *= a[j];
					mg += g[k][j];
					mgn += g[k][j] * n[k][j];
				}
			}
		mg = cb_warp_sum(mg) * share;
		mgn = cb_warp_sum(mgn) * share;
#pragma unroll
		for (int k = 0; k < K; k++)
			if (d0 + k * 32 * N < D) {
#pragma unroll
				for (int j = 0; j < N; j++)
					g[k][j] = r * (g[k][j] - mg - n[k][j] *
					    mgn);
				cb_store(ds + at + k * 32 * N, g[k]);
				if (dx == NULL)
					continue;
				cu_mask<N>(a, mask, at + k * 32 * N);
#pragma unroll
				for (int j = 0; j < N; j++)
					a[j] *= g[k][j];
				cb_store(dx + at + k * 32 * N, a);
			}
	}
	leave_parts<K, N, W>(part, held, dg, db, D);
}

/* ---- backward, of any width: the sums first, since ds may be dy */

template <typename E> struct AffineOf : Affine {
	const E	*dy, *sum;
	const float *mean, *rstd;
	int	 D;

	template <int N> CB_FN void
	terms(float v[SUMS][N], int64_t row, int col) const
	{
		const float m = mean[row], r = rstd[row];

		cu_load<N>(v[0], sum + row * D + col);
		cu_load<N>(v[1], dy + row * D + col);
#pragma unroll
		for (int j = 0; j < N; j++)
			v[0][j] = (v[0][j] - m) * r * v[1][j];
	}
};

template <typename E, int N> CB_KERNEL(THREADS)
norm_bwd_any(E *dx, E *ds, const E *dy, const E *sum, const float *mean,
    const float *rstd, const float *gain, int T, int D, float share,
    cb_mask mask)
{
	const int warp = (int)threadIdx.x / 32, warps = THREADS / 32;
	float g[N], n[N], a[N];

	for (int t = (int)blockIdx.x * warps + warp; t < T;
	    t += (int)gridDim.x * warps) {
		const int64_t at = (int64_t)t * D;
		const float m = mean[t], r = rstd[t];
		float mg = 0, mgn = 0;

		for (int d = cb_lane() * N; d < D; d += 32 * N) {
			cu_load<N>(g, dy + at + d);
			cu_load<N>(n, sum + at + d);
			cu_load_param<N>(a, gain + d);
#pragma unroll
			for (int j = 0; j < N; j++) {
				mg += g[j] * a[j];
				mgn += g[j] * a[j] * (n[j] - m) * r;
			}
		}
		mg = cb_warp_sum(mg) * share;
		mgn = cb_warp_sum(mgn) * share;
		for (int d = cb_lane() * N; d < D; d += 32 * N) {
			cu_load<N>(g, dy + at + d);
			cu_load<N>(n, sum + at + d);
			cu_load_param<N>(a, gain + d);
#pragma unroll
			for (int j = 0; j < N; j++)
				g[j] = r * (g[j] * a[j] - mg - (n[j] - m) * r *
				    mgn);
			cu_store<N>(ds + at + d, g);
			if (dx == NULL)
				continue;
			cu_mask<N>(a, mask, at + d);
#pragma unroll
			for (int j = 0; j < N; j++)
				a[j] *= g[j];
			cu_store<N>(dx + at + d, a);
		}
	}
}

/* ---- launchers */

struct Forward {
	void	*y, *sum;
	float	*mean, *rstd;
	const void *x, *res;
	const float *gain, *bias;
	int	 T, D;
	cb_mask	 mask;
};

#define FORWARD(k, E, a) CB_LAUNCH(k, cu_blocks((a).T, THREADS / 32), \
	THREADS, 0, s, (E *)(a).y, (E *)(a).sum, (a).mean, (a).rstd, \
	(const E *)(a).x, (const E *)(a).res, (a).gain, (a).bias, (a).T, \
	(a).D, 1.f / (float)(a).D, (a).mask)

template <typename E> static int
fwd_of(cudaStream_t s, const Forward &a)
{
	const int N = CB_WIDE(E), k = (a.D + 32 * N - 1) / (32 * N);

	if (a.D % N != 0)
		return FORWARD((norm_fwd_any<E, 1>), E, a);
	if (a.D > WIDEST)
		return FORWARD((norm_fwd_any<E, N>), E, a);
	if constexpr (N == 4) {
		if (k > 6)
			return FORWARD((norm_fwd<E, 8>), E, a);
		if (k > 4)
			return FORWARD((norm_fwd<E, 6>), E, a);
	}
	return k == 1 ? FORWARD((norm_fwd<E, 1>), E, a) :
	    k == 2 ? FORWARD((norm_fwd<E, 2>), E, a) :
	    k == 3 ? FORWARD((norm_fwd<E, 3>), E, a) :
	    FORWARD((norm_fwd<E, 4>), E, a);
}

int
cu_norm_fwd(cudaStream_t s, enum cu_type t, void *y, void *sum, float *mean,
    float *rstd, const void *x, const void *res, const float *gain,
    const float *bias, int T, int D, const struct cb_mask *mask)
{
	const Forward a = { y, sum, mean, rstd, x, res, gain, bias, T, D,
	    cu_mask_of(mask) };

	return T == 0 ? cudaSuccess : CU_ELEM(t, fwd_of, s, a);
}

struct Backward {
	void	*dx, *ds;
	float	*dgain, *dbias;
	const void *dy, *sum;
	const float *mean, *rstd, *gain;
	int	 T, D;
	cb_mask	 mask;
	float	*part;
};

/*
 * A block has a multiprocessor for itself, or nearly so.  An A100 has 108 of
 * these, and a second wave of a few blocks would take as long as the first; on
 * more of them so many blocks keep memory busy all the same.
 */
enum { BLOCKS = 108 };
static_assert((int)BLOCKS <= (int)CU_PARTS, "parts for all blocks");

template <typename E, int K, int W> static int
bwd_parts(cudaStream_t s, const Backward &a)
{
	const Affine f = { a.dgain, a.dbias };
	const int need = (a.T + W - 1) / W;
	const int parts = need < BLOCKS ? need : (int)BLOCKS;
	int e = CB_LAUNCH((norm_bwd<E, K, W>), (unsigned)parts, W * 32, 0, s,
	    (E *)a.dx, (E *)a.ds, a.part, (const E *)a.dy, (const E *)a.sum,
	    a.mean, a.rstd, a.gain, a.T, a.D, 1.f / (float)a.D, a.mask);

	return e != cudaSuccess ? e : columns_finish(s, f, parts, a.D, a.part);
}

template <typename E, int N> static int
bwd_any(cudaStream_t s, const Backward &a)
{
	AffineOf<E> f;
	int e;

	f.dgain = a.dgain;
	f.dbias = a.dbias;
	f.dy = (const E *)a.dy;
	f.sum = (const E *)a.sum;
	f.mean = a.mean;
	f.rstd = a.rstd;
	f.D = a.D;
	if ((e = columns<N>(s, f, a.T, a.D, a.part)) != cudaSuccess)
		return e;
	return CB_LAUNCH((norm_bwd_any<E, N>), cu_blocks(a.T, THREADS / 32),
	    THREADS, 0, s, (E *)a.dx, (E *)a.ds, (const E *)a.dy,
	    (const E *)a.sum, a.mean, a.rstd, a.gain, a.T, a.D,
	    1.f / (float)a.D, a.mask);
}

/* A block has as many warps as its lanes, of which each element takes about four
 * registers, leave room for. */
template <typename E> static int
bwd_of(cudaStream_t s, const Backward &a)
{
	const int N = CB_WIDE(E), k = (a.D + 32 * N - 1) / (32 * N);

	if (a.D % N != 0)
		return bwd_any<E, 1>(s, a);
	if (a.D > WIDEST)
		return bwd_any<E, N>(s, a);
	if constexpr (N == 4) {
		if (k > 6)
			return bwd_parts<E, 8, 8>(s, a);
		if (k > 4)
			return bwd_parts<E, 6, 12>(s, a);
	}
	return k == 1 ? bwd_parts<E, 1, 16>(s, a) :
	    k == 2 ? bwd_parts<E, 2, 16>(s, a) :
	    k == 3 ? bwd_parts<E, 3, N == 4 ? 16 : 12>(s, a) :
	    bwd_parts<E, 4, N == 4 ? 16 : 8>(s, a);
}

int
cu_norm_bwd(cudaStream_t s, enum cu_type t, void *dx, void *ds, float *dgain,
    float *dbias, const void *dy, const void *sum, const float *mean,
    const float *rstd, const float *gain, int T, int D,
    const struct cb_mask *mask, float *part)
{
	const Backward a = { dx, ds, dgain, dbias, dy, sum, mean, rstd, gain, T,
	    D, cu_mask_of(mask), part };

	return T == 0 ? cudaSuccess : CU_ELEM(t, bwd_of, s, a);
}
