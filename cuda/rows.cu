/*
 * Rows chosen from two sources, with dropout: y_t = drop(a[src_t]), or
 * drop(b[-1 - src_t]) where src_t is negative (twin: ref/rows.c).  Backward, each
 * row of da and db gathers what was made of it: a warp has a row and looks for
 * its number in src.  Bound by bytes.  Measured on no device yet.
 */
#include "gather.h"

static const int THREADS = 256;

/* A thread: N elements of a row. */
template <typename E, int N> CB_KERNEL(THREADS)
rows_fwd(E *y, const E *a, const E *b, const int32_t *src, int64_t T, int D,
    cb_mask mask)
{
	const int wide = D / N;
	float v[N], f[N];
	uint32_t t;

	CU_EACH(i, T * wide) {
		const int d = (int)cu_split(&t, (uint32_t)i, wide) * N;
		const int32_t from = src[t];

		cu_load<N>(v, (from >= 0 ? a + (int64_t)from * D :
		    b + (int64_t)(-1 - from) * D) + d);
		cu_mask<N>(f, mask, i * N);
#pragma unroll
		for (int j = 0; j < N; j++)
			v[j] *= f[j];
		cu_store<N>(y + i * N, v);
	}
}

template <typename E, int N> static int
fwd_of(cudaStream_t s, void *y, const void *a, const void *b,
    const int32_t *src, int T, int D, const cb_mask &mask)
{
	return CB_LAUNCH((rows_fwd<E, N>), cu_blocks((int64_t)T * (D / N),
	    THREADS), THREADS, 0, s, (E *)y, (const E *)a, (const E *)b, src,
	    (int64_t)T, D, mask);
}

int
cu_rows_fwd(cudaStream_t s, enum cu_type t, void *y, const void *a,
    const void *b, const int32_t *src, int T, int D,
    const struct cb_mask *mask)
{
	if (T == 0 || D == 0)
		return cudaSuccess;
	return CU_ROWS(t, D, fwd_of, s, y, a, b, src, T, D, cu_mask_of(mask));
}

/* A warp: up to GATHER_DEPTH 32 N columns of a row of da or db. */
template <typename E, int N> CB_KERNEL2(THREADS, 2)
rows_bwd(E *da, int Ta, E *db, int Tb, const E *dy, const int32_t *src, int T,
    int D, cb_mask mask)
{
	const int r = (int)(blockIdx.x * THREADS + threadIdx.x) / 32;
	const int col = (int)blockIdx.y * GATHER_DEPTH * 32 * N;
	float sum[GATHER_DEPTH][N];

	if (r >= Ta + Tb)
		return;
#pragma unroll
	for (int k = 0; k < GATHER_DEPTH; k++)
#pragma unroll
		for (int j = 0; j < N; j++)
			sum[k][j] = 0;
	gather<N, true>(sum, dy, src, r < Ta ? r : -1 - (r - Ta), 0, 128, T, D, col,
	    mask);
	E *to = r < Ta ? da + (int64_t)r * D : db + (int64_t)(r - Ta) * D;
#pragma unroll
	for (int k = 0; k < GATHER_DEPTH; k++) {
		const int c = col + (32 * k + cb_lane()) * N;

		if (c < D)
			cu_store<N>(to + c, sum[k]);
	}
}

template <typename E, int N> static int
bwd_of(cudaStream_t s, void *da, int Ta, void *db, int Tb, const void *dy,
    const int32_t *src, int T, int D, const cb_mask &mask)
{
	const int warps = THREADS / 32, cols = GATHER_DEPTH * 32 * N;

	return CB_LAUNCH((rows_bwd<E, N>), dim3((unsigned)((Ta + Tb + warps -
	    1) / warps), (unsigned)((D + cols - 1) / cols)), THREADS, 0, s,
	    (E *)da, Ta, (E *)db, Tb, (const E *)dy, src, T, D, mask);
}

int
cu_rows_bwd(cudaStream_t s, enum cu_type t, void *da, int Ta, void *db,
    int Tb, const void *dy, const int32_t *src, int T, int D,
    const struct cb_mask *mask)
{
	Ta = da != NULL ? Ta : 0;
	Tb = db != NULL ? Tb : 0;
	if (Ta + Tb == 0 || D == 0)
		return cudaSuccess;
	return CU_ROWS(t, D, bwd_of, s, da, Ta, db, Tb, dy, src, T, D,
	    cu_mask_of(mask));
}
