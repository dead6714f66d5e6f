/*
 * Attention in f32 on ordinary cores, for any element type, width of a head and
 * length.  (Twin: lib/engine/ref/attention.c, with the formulas.)
 *
 * A block owns OWN rows of one head of one sequence, a warp R of them, and goes
 * through the rows of the other side 32 at a time: a lane has one of these when
 * scores are made, and one column when they are multiplied with rows.  Forward,
 * the own rows are queries; the softmax is kept relative to the largest score so
 * far (Milakov and Gimelshein, arXiv:1805.02867).  Backward, one half of the
 * blocks own queries and make dq, the other half own keys and make dk and dv:
 * probabilities are made twice, but every sum has one owner and a fixed order,
 * and no length is too long.
 *
 * Rows of the other side pass through `tile`, 32 x 32 elements at a time, which
 * all warps share.
 */
#include "attention.h"

enum { WARPS = 4, R = 4, OWN = WARPS * R, SIDE = 32, LD = SIDE + 1 };

/* Rows of one head in memory. */
template <typename E> struct rows {
	const E	*at;
	int64_t	 ld;
};

/* tile = rows first .. first+31 and columns c .. c+31; zeros outside. */
template <typename E> CB_FN void
fetch(float *tile, const rows<E> &x, const head &h, int first, int c)
{
	cb_syncthreads();
#pragma unroll 4
	for (int i = (int)threadIdx.x; i < SIDE * SIDE; i += 32 * WARPS) {
		const int r = first + i / SIDE, d = c + i % SIDE;

		tile[i / SIDE * LD + i % SIDE] = r < h.n && d < h.w ?
		    cb_f32(x.at[r * x.ld + d]) : 0;
	}
	cb_syncthreads();
}

/* The warp's own rows, from `first` on, as floats. */
template <typename E> CB_FN void
fetch_own(float *own, const rows<E> &x, const head &h, int first)
{
	for (int r = 0; r < R; r++)
		for (int d = cb_lane(); d < h.w; d += 32)
			own[r * h.w + d] = first + r < h.n ?
			    cb_f32(x.at[(first + r) * x.ld + d]) : 0;
	cb_syncwarp();
}

/* s[r] = own row r times row first + lane of x. */
template <typename E> CB_FN void
dots(float s[R], const float *own, float *tile, const rows<E> &x,
    const head &h, int first)
{
	const float *mine = tile + cb_lane() * LD;

#pragma unroll
	for (int r = 0; r < R; r++)
		s[r] = 0;
	for (int c = 0; c < h.w; c += SIDE) {
		const int m = cb_min((int)SIDE, h.w - c);

		fetch(tile, x, h, first, c);
#pragma unroll 4
		for (int d = 0; d < m; d++)
#pragma unroll
			for (int r = 0; r < R; r++)
				s[r] += own[r * h.w + c + d] * mine[d];
	}
}

/* acc row r = keep[r] times itself + sum over i of f[r,i] times row first + i
 * of x. */
template <typename E> CB_FN void
accumulate(float *acc, const float keep[R], const float *f, float *tile,
    const rows<E> &x, const head &h, int first)
{
	for (int c = 0; c < h.w; c += SIDE) {
		const float *mine = tile + cb_lane();
		float sum[R];

		fetch(tile, x, h, first, c);
#pragma unroll
		for (int r = 0; r < R; r++)
			sum[r] = 0;
#pragma unroll 4
		for (int i = 0; i < SIDE; i++)
#pragma unroll
			for (int r = 0; r < R; r++)
				sum[r] += f[r * SIDE + i] * mine[i * LD];
#pragma unroll
		for (int r = 0; r < R; r++) {
			float *to = acc + r * h.w + c + cb_lane();

			if (c + cb_lane() < h.w)
				*to = *to * keep[r] + sum[r];
		}
	}
}

/* Rows acc times f[r] to out, from row `first` on. */
template <typename E> CB_FN void
put_rows(E *out, int64_t ld, const float *acc, const float f[R],
    const head &h, int first)
{
	cb_syncwarp();
#pragma unroll
	for (int r = 0; r < R; r++)
		for (int d = cb_lane(); d < h.w && first + r < h.n; d += 32)
			out[(first + r) * ld + d] =
			    cb_elem_of<E>(acc[r * h.w + d] * f[r]);
}

CB_FN void
clear(float *acc, int n)
{
	for (int i = cb_lane(); i < n; i += 32)
		acc[i] = 0;
	cb_syncwarp();
}

/* Bound by reads of shared memory: R + 1 for every R products. */
template <typename E> CB_KERNEL(32 * WARPS)
attention_fwd_any(attention t)
{
	CB_SHARED_DYN(float, shared);
	const head h = head_of(t);
	const int warp = (int)threadIdx.x / 32, lane = cb_lane();
	const int first = (int)blockIdx.y * OWN + warp * R;
	const int64_t ld = 3 * (int64_t)t.D;
	const E *q = (const E *)t.qkv + h.lo * ld + h.a * h.w;
	const rows<E> queries = { q, ld }, keys = { q + t.D, ld };
	const rows<E> values = { q + 2 * t.D, ld };
	float *tile = shared, *f = tile + SIDE * LD + warp * R * SIDE;
	float *own = tile + SIDE * LD + OWN * SIDE + warp * R * h.w;
	float *acc = own + OWN * h.w;
	const float scale = 1 / cb_sqrt((float)h.w);
	float s[R], top[R], sum[R], keep[R];

	if ((int)blockIdx.y * OWN >= h.n)
		return;
	fetch_own(own, queries, h, first);
	clear(acc, R * h.w);
#pragma unroll
	for (int r = 0; r < R; r++) {
		top[r] = -INFINITY;
		sum[r] = 0;
	}
	for (int j = 0; j < h.n; j += SIDE) {
		dots(s, own, tile, keys, h, j);
#pragma unroll
		for (int r = 0; r < R; r++) {
			const float v = j + lane < h.n ? s[r] * scale :
			    -INFINITY, best = cb_max(top[r], cb_warp_max(v));
			const float p = cb_exp(v - best);

			keep[r] = cb_exp(top[r] - best);
			sum[r] = sum[r] * keep[r] + cb_warp_sum(p);
			top[r] = best;
			f[r * SIDE + lane] = p * cb_mask_at(t.mask, element(t,
			    h, first + r, j + lane));
		}
		accumulate(acc, keep, f, tile, values, h, j);
	}
#pragma unroll
	for (int r = 0; r < R; r++) {
		if (lane == 0 && first + r < h.n)
			t.lse_out[(h.lo + first + r) * t.A + h.a] = top[r] +
			    cb_log(sum[r]);
		keep[r] = 1 / sum[r];
	}
	put_rows((E *)t.out + h.lo * t.D + h.a * h.w, t.D, acc, keep, h,
	    first);
}

/* Row i of x times row i of y, by a warp. */
template <typename E> CB_FN float
row_dot(const rows<E> &x, const rows<E> &y, const head &h, int i)
{
	float s = 0;

	for (int d = cb_lane(); d < h.w && i < h.n; d += 32)
		s += cb_f32(x.at[i * x.ld + d]) * cb_f32(y.at[i * y.ld + d]);
	return cb_warp_sum(s);
}

/* blockIdx.z: 0 for blocks that own queries, 1 for keys.  Bound as forward. */
template <typename E> CB_KERNEL2(32 * WARPS, 4)
attention_bwd_any(attention t)
{
	CB_SHARED_DYN(float, shared);
	const head h = head_of(t);
	const bool by_key = blockIdx.z == 1;
	const int warp = (int)threadIdx.x / 32, lane = cb_lane();
	const int first = (int)blockIdx.y * OWN + warp * R;
	const int64_t ld = 3 * (int64_t)t.D, at = h.lo * t.D + h.a * h.w;
	const E *q = (const E *)t.qkv + h.lo * ld + h.a * h.w;
	const rows<E> queries = { q, ld }, keys = { q + t.D, ld };
	const rows<E> values = { q + 2 * t.D, ld };
	const rows<E> d_o = { (const E *)t.d_o + at, t.D };
	const rows<E> o = { (const E *)t.o + at, t.D };
	const rows<E> x1 = by_key ? keys : queries;
	const rows<E> x2 = by_key ? values : d_o;
	const rows<E> y1 = by_key ? queries : keys;
	const rows<E> y2 = by_key ? d_o : values;
	float *tile = shared, *deltas = tile + SIDE * LD;
	float *ds = deltas + SIDE + warp * R * SIDE, *p = ds + OWN * SIDE;
	float *own1 = deltas + SIDE + 2 * OWN * SIDE + warp * R * h.w;
	float *own2 = own1 + OWN * h.w, *acc1 = own2 + OWN * h.w;
	float *acc2 = acc1 + OWN * h.w;
	const float scale = 1 / cb_sqrt((float)h.w);
	const float ones[R] = { 1, 1, 1, 1 };
	const float *lse = t.lse + h.lo * t.A + h.a;
	E *out = (E *)t.out + h.lo * ld + h.a * h.w + (by_key ? t.D : 0);
	float s[R], dp[R], delta[R];

	if ((int)blockIdx.y * OWN >= h.n)
		return;
	fetch_own(own1, x1, h, first);
	fetch_own(own2, x2, h, first);
	clear(acc1, R * h.w);
	clear(acc2, R * h.w);
#pragma unroll
	for (int r = 0; r < R; r++)
		delta[r] = row_dot(d_o, o, h, first + r);
	for (int j = 0; j < h.n; j += SIDE) {
		dots(s, own1, tile, y1, h, j);
		dots(dp, own2, tile, y2, h, j);
		for (int i = warp; i < SIDE && by_key; i += WARPS) {
			const float d = row_dot(d_o, o, h, j + i);

			if (lane == 0)
				deltas[i] = d;
		}
		cb_syncthreads();
#pragma unroll
		for (int r = 0; r < R; r++) {
			const int own = first + r, other = j + lane;
			const int query = by_key ? other : own;
			const bool there = own < h.n && other < h.n;
			const float e = there ? cb_exp(s[r] * scale -
			    lse[(int64_t)query * t.A]) : 0;
			const float m = cb_mask_at(t.mask, element(t, h, query,
			    by_key ? own : other));

			p[r * SIDE + lane] = e * m;
			ds[r * SIDE + lane] = e * scale * (m * dp[r] -
			    (by_key ? deltas[lane] : delta[r]));
		}
		accumulate(acc1, ones, ds, tile, y1, h, j);
		if (by_key)
			accumulate(acc2, ones, p, tile, y2, h, j);
	}
	put_rows(out, ld, acc1, ones, h, first);
	if (by_key)
		put_rows(out + t.D, ld, acc2, ones, h, first);
}

/* ---- launches: so many floats of shared memory, and `by` roles */

typedef void kernel_fn(attention);

static int
launch(kernel_fn *kernel, cudaStream_t s, const attention &t, int floats,
    unsigned by)
{
	const size_t bytes = sizeof(float) * (size_t)floats;
	int e = bytes > 48 << 10 ? CB_SHARED_MAX(kernel, bytes) : cudaSuccess;

	return e != cudaSuccess ? e : CB_LAUNCH(kernel, dim3((unsigned)(t.S *
	    t.A), (unsigned)(t.longest + OWN - 1) / OWN, by), 32 * WARPS,
	    bytes, s, t);
}

int
attention_fwd_plain(cudaStream_t s, cu_type type, const attention &t)
{
	return launch(type == CU_F32 ? attention_fwd_any<float> :
	    type == CU_BF16 ? attention_fwd_any<cb_bf16> :
	    attention_fwd_any<cb_f16>, s, t, SIDE * LD + OWN * SIDE +
	    2 * OWN * (t.D / t.A), 1);
}

int
attention_bwd_plain(cudaStream_t s, cu_type type, const attention &t)
{
	return launch(type == CU_F32 ? attention_bwd_any<float> :
	    type == CU_BF16 ? attention_bwd_any<cb_bf16> :
	    attention_bwd_any<cb_f16>, s, t, SIDE * LD + SIDE +
	    2 * OWN * SIDE + 4 * OWN * (t.D / t.A), 2);
}
