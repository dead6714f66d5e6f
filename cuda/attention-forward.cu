/*
 * Attention on tensor cores, forward.  (Twin: lib/engine/ref/attention.c.)
 *
 *	o = drop(softmax(q k' / sqrt w)) v
 *
 * A block owns 64 queries of one head of one sequence, a warp 16 of them, and
 * goes through tiles of 64 keys and values; while it works on one the next is on
 * its way, so that all of a sequence of up to 128 tokens is asked for
 * before the first product.  Scores never leave the registers: the softmax is
 * kept relative to the largest so far, and what was summed before is scaled when
 * that grows.  Dao et al., arXiv:2205.14135 and arXiv:2307.08691.
 *
 * Products are of 16-bit elements with sums in f32, probabilities are rounded
 * to elements before they meet the values; maximum, exponentials and sum are in
 * f32.
 */
#include "attention.h"
#include "tiles.h"

/* Scores x [16,32], of which `left` columns are of keys, become probabilities
 * relative to 2^top. */
CB_FN void
relative(float x[2][2][4], float top[2], float sum[2], float was[2],
    float scale, int left)
{
	const int q = tile_q();

#pragma unroll
	for (int r = 0; r < 2; r++) {
		float best = top[r], all = 0;

#pragma unroll
		for (int t = 0; t < 8; t++) {
			float &v = x[t / 4][t / 2 % 2][2 * r + t % 2];

			v = t / 2 * 8 + q + t % 2 < left ? v * scale :
			    -INFINITY;
			best = fmaxf(best, v);
		}
		best = tile_row_max(best);
#pragma unroll
		for (int t = 0; t < 8; t++) {
			float &v = x[t / 4][t / 2 % 2][2 * r + t % 2];

			v = cb_exp2_fast(v - best);
			all += v;
		}
		was[r] = cb_exp2_fast(top[r] - best);
		sum[r] = sum[r] * was[r] + all;
		top[r] = best;
	}
}

/* Dropped ones become 0.  A lane draws for half a row; see keep(). */
CB_FN void
drop(float x[2][2][4], const attention &t, const head &h, int first, int j)
{
	const int lane = cb_lane(), half = j + lane % 2 * 16;
	const uint32_t own = keep(t.mask, element(t, h, first + lane / 2,
	    half), cb_min(16, h.n - half));

#pragma unroll
	for (int i = 0; i < 4; i++) {		/* rows, halves */
		const uint32_t w = cb_shfl(own, 2 * (tile_g() + i / 2 * 8) +
		    i % 2) >> tile_q();

#pragma unroll
		for (int k = 0; k < 4; k++) {
			float &v = x[i % 2][k / 2][i / 2 * 2 + k % 2];

			v = w >> (k / 2 * 8 + k % 2) & 1 ? v : 0;
		}
	}
}

/* Own queries meet keys j .. j+31, which are groups u and u + 1 of 16 in the
 * tile of keys and the tile of values behind it. */
template <int W, typename E> CB_FN void
attend(float acc[W / 8][4], float top[2], float sum[2],
    const uint32_t own[W / 16][4], const E *tile, const attention &t,
    const head &h, int first, int j, int u)
{
	const bool both = j + 16 < h.n;
	float x[2][2][4] = {}, was[2];

	tile_dots<W>(x[0], own, tile, u);
	if (both)
		tile_dots<W>(x[1], own, tile, u + 1);
	relative(x, top, sum, was, LOG2_E / cb_sqrt((float)W), h.n - j);
	if (t.mask.limit != 0)
		drop(x, t, h, first, j);
#pragma unroll
	for (int i = 0; i < W / 2; i++)
		acc[i / 4][i % 4] *= was[i % 4 / 2];
	tile_add<W>(acc, x[0], tile + tile_size<W>, u);
	if (both)
		tile_add<W>(acc, x[1], tile + tile_size<W>, u + 1);
}

/*
 * Shared: two stages of a tile of keys and one of values; the queries pass
 * through the second before its first use.  Bound by the exponentials and the
 * draws rather than the products.  Measured on no device yet.
 */
template <typename E, int W> CB_KERNEL2(TILE_THREADS, 4)
attention_fwd_mma(attention t)
{
	CB_SHARED(E, shared, 4 * tile_size<W>);
	const head h = head_of(t);
	const int block = (int)blockIdx.y * TILE, first = block + 16 *
	    tile_warp();
	const int64_t ld = 3 * (int64_t)t.D;
	const E *q = (const E *)t.qkv + h.lo * ld + h.a * W, *k = q + t.D;
	const E *v = k + t.D;
	E *now = shared, *next = shared + 2 * tile_size<W>;
	uint32_t own[W / 16][4];
	float acc[W / 8][4], top[2] = { -INFINITY, -INFINITY };
	float sum[2] = { 0, 0 };

	if (block >= h.n)
		return;
	tile_fetch<W>(now, k, ld, 0, h.n);
	tile_fetch<W>(now + tile_size<W>, v, ld, 0, h.n);
	tile_fetch<W>(next, q, ld, block, h.n);
	cb_cp_commit();
	cb_cp_wait<0>();
	cb_syncthreads();
	tile_own<W>(own, next);
	cb_syncthreads();
#pragma unroll
	for (int i = 0; i < W / 2; i++)
		acc[i / 4][i % 4] = 0;
	for (int j = 0; j < h.n; j += TILE) {
		if (j + TILE < h.n) {
			tile_fetch<W>(next, k, ld, j + TILE, h.n);
			tile_fetch<W>(next + tile_size<W>, v, ld, j + TILE,
			    h.n);
		}
		cb_cp_commit();
		cb_cp_wait<1>();
		cb_syncthreads();
		if (first < h.n)
			for (int i = 0; i < TILE && j + i < h.n; i += 32)
				attend<W>(acc, top, sum, own, now, t, h, first,
				    j + i, i / 16);
		cb_syncthreads();
		E *const done = now;
		now = next;
		next = done;
	}
	if (first >= h.n)
		return;
#pragma unroll
	for (int r = 0; r < 2; r++) {
		const int row = first + tile_g() + 8 * r;

		sum[r] = tile_row_sum(sum[r]);
		if (tile_q() == 0 && row < h.n)
			t.lse_out[(h.lo + row) * t.A + h.a] = top[r] * LN_2 +
			    cb_log(sum[r]);
	}
	tile_put<W>((E *)t.out + h.lo * t.D + h.a * W, t.D, acc, t.mask.scale /
	    sum[0], t.mask.scale / sum[1], shared, first, h.n);
}

template <typename E> static int
forward(cudaStream_t s, const attention &t)
{
	const dim3 grid((unsigned)(t.S * t.A), (unsigned)(t.longest + TILE -
	    1) / TILE);

	switch (t.D / t.A) {
	case 16:
		return CB_LAUNCH((attention_fwd_mma<E, 16>), grid,
		    TILE_THREADS, 0, s, t);
	case 32:
		return CB_LAUNCH((attention_fwd_mma<E, 32>), grid,
		    TILE_THREADS, 0, s, t);
	default:
		return CB_LAUNCH((attention_fwd_mma<E, 64>), grid,
		    TILE_THREADS, 0, s, t);
	}
}

int
attention_fwd_tensor(cudaStream_t s, cu_type type, const attention &t)
{
	return type == CU_BF16 ? forward<cb_bf16>(s, t) : forward<cb_f16>(s,
	    t);
}
