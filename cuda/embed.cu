/*
 * Embeddings (twin: ref/embed.c).  Text: x_t = word[ids_t] + position[pos_t] +
 * type.  Pictures: for clip m and kept cell v at (i,j), x[m,v] = mean over the
 * frames f of grid[m,f,i,j] + row[i] + col[j] + type.
 *
 * Backward without atomics, by owners: of a word's row the block of the first
 * token that has it, which gathers all others; of a row or column of cells, one
 * block that goes through all clips.  Sums are shared out among the warps of the
 * block and added in their order.  Bound by bytes.  Measured on no device yet.
 */
#include "gather.h"

static const int THREADS = 256;
static const int WARPS = THREADS / 32;

/* ---- text */

/* A thread: N elements of a token. */
template <typename E, int N> CB_KERNEL2(THREADS, 4)
text_fwd(E *x, const int32_t *ids, const int32_t *pos, const float *word,
    const float *position, const float *type, int64_t T, int D)
{
	const int wide = D / N;
	float v[N], a[N], b[N];
	uint32_t t;

	CU_EACH(i, T * wide) {
		const int d = (int)cu_split(&t, (uint32_t)i, wide) * N;

		cu_load_param<N>(v, word + (int64_t)ids[t] * D + d);
		cu_load_param<N>(a, position + (int64_t)pos[t] * D + d);
		cu_load_param<N>(b, type + d);
#pragma unroll
		for (int j = 0; j < N; j++)
			v[j] = v[j] + a[j] + b[j];
		cu_store<N>(x + i * N, v);
	}
}

template <typename E, int N> static int
text_fwd_of(cudaStream_t s, void *x, const int32_t *ids, const int32_t *pos,
    const float *word, const float *position, const float *type, int T, int D)
{
	return CB_LAUNCH((text_fwd<E, N>), cu_blocks((int64_t)T * (D / N),
	    THREADS), THREADS, 0, s, (E *)x, ids, pos, word, position, type,
	    (int64_t)T, D);
}

int
cu_embed_text_fwd(cudaStream_t s, enum cu_type t, void *x, const int32_t *ids,
    const int32_t *pos, const float *word, const float *position,
    const float *type, int T, int D)
{
	if (T == 0 || D == 0)
		return cudaSuccess;
	return CU_ROWS(t, D, text_fwd_of, s, x, ids, pos, word, position, type,
	    T, D);
}

/* to [col + (32 k + lane) N ...] += the sums of all warps of the block.  held
 * [WARPS,32 N]: shared. */
template <int N, int K> CB_FN void
add_warps(float *to, float *held, const float (&sum)[K][N], int col, int D)
{
	const int t = (int)threadIdx.x;

#pragma unroll
	for (int k = 0; k < K; k++) {
		const int first = col + 32 * k * N;

		cb_syncthreads();
		cu_hold<N>(held, t, sum[k]);
		cb_syncthreads();
		for (int i = t; i < 32 * N && first + i < D; i += THREADS) {
			float s = held[cu_held<N>(i)];

			for (int w = 1; w < WARPS; w++)
				s += held[cu_held<N>(w * 32 * N + i)];
			to[first + i] += s;
		}
	}
}

/* A block: token t and up to GATHER_DEPTH 32 N columns.  out [..,D] += rows of
 * dx with the key of t, if t is the first that has it; key `skip` is left
 * out. */
template <typename E, int N> CB_KERNEL2(THREADS, 4)
text_bwd(float *out, const E *dx, const int32_t *key, int32_t skip, int T,
    int D)
{
	CB_SHARED(int, earlier, 1);
	CB_SHARED(float, held, WARPS * 32 * N);
	const int t = (int)blockIdx.x, warp = (int)threadIdx.x / 32;
	const int col = (int)blockIdx.y * GATHER_DEPTH * 32 * N;
	const int32_t own = key[t];
	float sum[GATHER_DEPTH][N];

	if (threadIdx.x == 0)
		earlier[0] = own == skip;
	cb_syncthreads();
	for (int t0 = warp * 128; t0 < t; t0 += WARPS * 128)
		if (which_of(key, own, t0, t) != 0)
			cb_atomic_max(earlier, 1);
	cb_syncthreads();
	if (earlier[0] != 0)
		return;
#pragma unroll
	for (int k = 0; k < GATHER_DEPTH; k++)
#pragma unroll
		for (int j = 0; j < N; j++)
			sum[k][j] = 0;
	gather<N, false>(sum, dx, key, own, warp * 128, WARPS * 128, T, D, col,
	    cb_mask());
	add_warps<N>(out + (int64_t)own * D, held, sum, col, D);
}

template <typename E, int N> static int
text_bwd_of(cudaStream_t s, float *out, const void *dx, const int32_t *key,
    int32_t skip, int T, int D)
{
	const int cols = GATHER_DEPTH * 32 * N;

	return CB_LAUNCH((text_bwd<E, N>), dim3((unsigned)T,
	    (unsigned)((D + cols - 1) / cols)), THREADS, 0, s, out,
	    (const E *)dx, key, skip, T, D);
}

int
cu_embed_text_bwd(cudaStream_t s, enum cu_type t, float *dword,
    float *dposition, float *dtype, const void *dx, const int32_t *ids,
    const int32_t *pos, int T, int D, float *part)
{
	int e = cudaSuccess;

	if (T == 0 || D == 0)
		return e;
	if (dword != NULL)			/* [PAD]: quirk 6 */
		e = CU_ROWS(t, D, text_bwd_of, s, dword, dx, ids, 0, T, D);
	if (dposition != NULL && e == cudaSuccess)
		e = CU_ROWS(t, D, text_bwd_of, s, dposition, dx, pos, -1, T,
		    D);
	if (dtype != NULL && e == cudaSuccess)
		e = cu_column_sum(s, t, dtype, dx, T, D, part);
	return e;
}

/* ---- pictures */

struct Grid { int M, F, h, w, V, D; };

/* A thread: N elements of a cell of a clip. */
template <typename E, int N> CB_KERNEL2(THREADS, 4)
grid_fwd(E *x, const E *grid, const float *row, const float *col,
    const float *type, const int32_t *cells, Grid g, float share)
{
	const int wide = g.D / N;
	float v[N], a[N];
	uint32_t at, m;

	CU_EACH(i, (int64_t)g.M * g.V * wide) {
		const int d = (int)cu_split(&at, (uint32_t)i, wide) * N;
		const int k = (int)cu_split(&m, at, g.V);
		const int cell = cells != NULL ? cells[k] : k;
		const int y = cell / g.w;
		const E *from = grid + ((int64_t)m * g.F * g.h * g.w + cell) *
		    g.D + d;

		cu_load<N>(v, from);
		for (int f = 1; f < g.F; f++) {
			from += (int64_t)g.h * g.w * g.D;
			cu_load<N>(a, from);
#pragma unroll
			for (int j = 0; j < N; j++)
				v[j] += a[j];
		}
		cu_load_param<N>(a, row + (int64_t)y * g.D + d);
#pragma unroll
		for (int j = 0; j < N; j++)
			v[j] = v[j] * share + a[j];
		cu_load_param<N>(a, col + (int64_t)(cell - y * g.w) * g.D + d);
#pragma unroll
		for (int j = 0; j < N; j++)
			v[j] += a[j];
		cu_load_param<N>(a, type + d);
#pragma unroll
		for (int j = 0; j < N; j++)
			v[j] += a[j];
		cu_store<N>(x + i * N, v);
	}
}

template <typename E, int N> static int
grid_fwd_of(cudaStream_t s, void *x, const void *grid, const float *row,
    const float *col, const float *type, const int32_t *cells, const Grid &g)
{
	return CB_LAUNCH((grid_fwd<E, N>), cu_blocks((int64_t)g.M * g.V *
	    (g.D / N), THREADS), THREADS, 0, s, (E *)x, (const E *)grid, row,
	    col, type, cells, g, 1.f / (float)g.F);
}

int
cu_embed_grid_fwd(cudaStream_t s, enum cu_type t, void *x, const void *grid,
    const float *row, const float *col, const float *type,
    const int32_t *cells, int M, int F, int h, int w, int V, int D)
{
	const Grid g = { M, F, h, w, V, D };

	if (M == 0 || V == 0 || D == 0)
		return cudaSuccess;
	return CU_ROWS(t, D, grid_fwd_of, s, x, grid, row, col, type, cells,
	    g);
}

/* A warp: a cell of a clip, in all its frames.  Where it is among the kept
 * ones, it finds out for itself. */
template <typename E, int N> CB_KERNEL2(THREADS, 4)
grid_bwd(E *dgrid, const E *dx, const int32_t *cells, Grid g, float share)
{
	const int r = (int)(blockIdx.x * THREADS + threadIdx.x) / 32;
	const int n = g.h * g.w, m = r / n, cell = r - m * n;
	int at = cells == NULL ? cell : -1;
	float v[N];

	if (m >= g.M)
		return;
	for (int v0 = 0; cells != NULL && v0 < g.V && at < 0; v0 += 128) {
		const uint32_t is = which_of(cells, cell, v0, g.V);
		const uint32_t hits = cb_ballot(is != 0);

		if (hits != 0)
			at = v0 + 4 * cb_lowest(hits) + cb_lowest(cb_shfl(is,
			    cb_lowest(hits)));
	}
	for (int d = cb_lane() * N; d < g.D; d += 32 * N) {
		if (at >= 0)
			cu_load<N>(v, dx + ((int64_t)m * g.V + at) * g.D + d);
#pragma unroll
		for (int j = 0; j < N; j++)
			v[j] = at >= 0 ? v[j] * share : 0;
		for (int f = 0; f < g.F; f++)
			cu_store<N>(dgrid + (((int64_t)m * g.F + f) * n +
			    cell) * g.D + d, v);
	}
}

/* A block: row or column `line` of cells and 32 N channels; its warps share
 * out the clips.  out [line] += sum of dx over all its cells. */
template <typename E, int N> CB_KERNEL2(THREADS, 4)
line_bwd(float *out, const E *dx, const int32_t *cells, bool column, Grid g)
{
	const int line = (int)blockIdx.x, col = (int)blockIdx.y * 32 * N;
	const int c = col + cb_lane() * N;
	CB_SHARED(float, held, WARPS * 32 * N);
	float sum[1][N], v[N];

#pragma unroll
	for (int j = 0; j < N; j++)
		sum[0][j] = 0;
	for (int k = 0; k < g.V && c < g.D; k++) {
		const int cell = cells != NULL ? cells[k] : k;

		if ((column ? cell % g.w : cell / g.w) != line)
			continue;
		for (int m = (int)threadIdx.x / 32; m < g.M; m += WARPS) {
			cu_load<N>(v, dx + ((int64_t)m * g.V + k) * g.D + c);
#pragma unroll
			for (int j = 0; j < N; j++)
				sum[0][j] += v[j];
		}
	}
	add_warps<N>(out + (int64_t)line * g.D, held, sum, col, g.D);
}

template <typename E, int N> static int
grid_bwd_of(cudaStream_t s, void *dgrid, const void *dx, const int32_t *cells,
    const Grid &g)
{
	const int64_t total = (int64_t)g.M * g.h * g.w;

	return CB_LAUNCH((grid_bwd<E, N>), (unsigned)((total + WARPS - 1) /
	    WARPS), THREADS, 0, s, (E *)dgrid, (const E *)dx, cells, g,
	    1.f / (float)g.F);
}

template <typename E, int N> static int
line_bwd_of(cudaStream_t s, float *out, const void *dx, const int32_t *cells,
    bool column, const Grid &g)
{
	return CB_LAUNCH((line_bwd<E, N>), dim3((unsigned)(column ? g.w : g.h),
	    (unsigned)((g.D + 32 * N - 1) / (32 * N))), THREADS, 0, s, out,
	    (const E *)dx, cells, column, g);
}

int
cu_embed_grid_bwd(cudaStream_t s, enum cu_type t, void *dgrid, float *drow,
    float *dcol, float *dtype, const void *dx, const int32_t *cells, int M,
    int F, int h, int w, int V, int D, float *part)
{
	const Grid g = { M, F, h, w, V, D };
	int e = cudaSuccess;

	if (M == 0 || h == 0 || w == 0 || D == 0)
		return e;
	if (dgrid != NULL)
		e = CU_ROWS(t, D, grid_bwd_of, s, dgrid, dx, cells, g);
	if (drow != NULL && e == cudaSuccess)
		e = CU_ROWS(t, D, line_bwd_of, s, drow, dx, cells, false, g);
	if (dcol != NULL && e == cudaSuccess)
		e = CU_ROWS(t, D, line_bwd_of, s, dcol, dx, cells, true, g);
	if (dtype != NULL && e == cudaSuccess)
		e = cu_column_sum(s, t, dtype, dx, (int64_t)M * V, D, part);
	return e;
}
