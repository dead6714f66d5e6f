/*
 * Attention on tensor cores, backward.  (Twin: lib/engine/ref/attention.c.)  With
 * p the probabilities, made again from lse, f the factors of the dropout and
 * delta_i = do_i o_i:
 *
 *	ds_ij = p_ij (f_ij do_i v_j - delta_i)
 *	dq_i = sum_j ds_ij k_j / sqrt w
 *	dk_j = sum_i ds_ij q_i / sqrt w,  dv_j = sum_i p_ij f_ij do_i
 *
 * A block owns 64 rows of one head of one sequence, a warp 16 of them: queries
 * with their do, whence dq, or keys with their values, whence dk and dv.  Seen so
 * both are one algorithm: own rows x1, x2 against tiles of rows y1, y2,
 *
 *	s = x1 y1',  dp = x2 y2',  acc1 += ds y1,  acc2 += (p f) y2
 *
 * and no sum is shared between blocks, of whatever length the sequence is: two
 * more of seven products than where blocks that own keys also add to dq, but
 * neither atomics nor a second pass.  Scores stay in registers, 16 x 16 at a
 * time.  Dao, arXiv:2307.08691, sec. 3.1 (delta, lse).
 */
#include "attention.h"
#include "tiles.h"

/* lse, as a power of 2, and delta of queries first .. first+63, a thread for
 * half a row; zeros behind the last, as in all that p is multiplied by. */
template <typename E, int W> CB_FN void
fetch_stats(float *lse, float *delta, const attention &t, const head &h,
    int first)
{
	const int r = (int)threadIdx.x / 2, row = first + r;
	const int64_t at = (h.lo + row) * t.D + h.a * W + threadIdx.x % 2 * (W /
	    2);
	const E *d_o = (const E *)t.d_o + at, *o = (const E *)t.o + at;
	float sum = 0, x[8], y[8];

#pragma unroll
	for (int i = 0; i < W / 2; i += 8) {
		if (row >= h.n)
			continue;
		cb_load(x, d_o + i);
		cb_load(y, o + i);
#pragma unroll
		for (int k = 0; k < 8; k++)
			sum += x[k] * y[k];
	}
	sum += cb_shfl_xor(sum, 1);
	if (threadIdx.x % 2 == 0) {
		delta[r] = sum;
		lse[r] = row < h.n ? LOG2_E * t.lse[(h.lo + row) * t.A +
		    h.a] : 0;
	}
}

/*
 * What is kept of the own 16 rows times the 64 of the tile, as words of bits.
 * Own queries: a lane draws half a row of keys.  Own keys: a lane draws the 16
 * keys of two queries, j + lane and j + lane + 32.
 */
template <bool BY_KEY> CB_FN uint32_t
draw(const attention &t, const head &h, int first, int j)
{
	const int lane = cb_lane(), half = j + lane % 2 * 32;
	const int keys = cb_min(16, h.n - first), i = j + lane;

	if (!BY_KEY)
		return keep(t.mask, element(t, h, first + lane / 2, half),
		    cb_min(32, h.n - half));
	return keep(t.mask, element(t, h, i, first), i < h.n ? keys : 0) |
	    keep(t.mask, element(t, h, i + 32, first), i + 32 < h.n ? keys :
	    0) << 16;
}

/* Bits of row g + 8 r and columns 8 t + q and the next, in bits 0 and 1. */
template <bool BY_KEY> CB_FN uint32_t
drawn(uint32_t own, int r, int t)
{
	const int g = tile_g() + 8 * r, c = 8 * t + tile_q();

	if (!BY_KEY)
		return cb_shfl(own, 2 * g + t / 4) >> (c % 32);
	return (cb_shfl(own, c % 32) >> (c / 32 * 16 + g) & 1) |
	    (cb_shfl(own, c % 32 + 1) >> (c / 32 * 16 + g) & 1) << 1;
}

/* Scores s and dp of columns 16u .. become p f and ds; see above. */
template <bool BY_KEY> CB_FN void
slopes(float s[2][4], float dp[2][4], const attention &t, const float lse[2],
    const float delta[2], const float *lses, const float *deltas,
    uint32_t own, int u, float scale, int left)
{
#pragma unroll
	for (int k = 0; k < 2; k++) {
		const int c = 16 * u + 8 * k + tile_q();

#pragma unroll
		for (int r = 0; r < 2; r++) {
			const uint32_t bits = t.mask.limit == 0 ? 3 :
			    drawn<BY_KEY>(own, r, 2 * u + k);

#pragma unroll
			for (int i = 0; i < 2; i++) {
				float &x = s[k][2 * r + i];
				float &y = dp[k][2 * r + i];
				const float f = bits >> i & 1 ? t.mask.scale :
				    0;
				const float p = !BY_KEY && c + i >= left ? 0 :
				    cb_exp2_fast(x * scale - (BY_KEY ?
				    lses[c + i] : lse[r]));

				x = p * f;
				y = p * (f * y - (BY_KEY ? deltas[c + i] :
				    delta[r]));
			}
		}
	}
}

/*
 * Shared: two stages of a tile of y1 and one of y2, with lse and delta of
 * queries; the own rows pass through the second stage before its first use.
 */
template <typename E, int W, bool BY_KEY> CB_FN void
backward(const attention &t, const head &h, E *shared, float *stats)
{
	const int block = (int)blockIdx.y * TILE, first = block + 16 *
	    tile_warp();
	const int64_t ld = 3 * (int64_t)t.D, at = h.lo * ld + h.a * W;
	const E *q = (const E *)t.qkv + at, *k = q + t.D, *v = k + t.D;
	const E *d_o = (const E *)t.d_o + h.lo * t.D + h.a * W;
	const E *y1 = BY_KEY ? q : k, *y2 = BY_KEY ? d_o : v;
	const int64_t ld2 = BY_KEY ? t.D : ld;
	const float scale = 1 / cb_sqrt((float)W);
	E *now = shared, *next = shared + 2 * tile_size<W>;
	float *lses = stats, *lses_next = stats + 2 * TILE;
	uint32_t x1[W / 16][4], x2[W / 16][4];
	float acc1[W / 8][4], acc2[W / 8][4], lse[2], delta[2];

	tile_fetch<W>(now, y1, ld, 0, h.n);
	tile_fetch<W>(now + tile_size<W>, y2, ld2, 0, h.n);
	tile_fetch<W>(next, BY_KEY ? k : q, ld, block, h.n);
	tile_fetch<W>(next + tile_size<W>, BY_KEY ? v : d_o, BY_KEY ? ld :
	    t.D, block, h.n);
	cb_cp_commit();
	fetch_stats<E, W>(lses, lses + TILE, t, h, BY_KEY ? 0 : block);
	cb_cp_wait<0>();
	cb_syncthreads();
	tile_own<W>(x1, next);
	tile_own<W>(x2, next + tile_size<W>);
#pragma unroll
	for (int r = 0; r < 2; r++) {
		lse[r] = lses[first - block + tile_g() + 8 * r];
		delta[r] = lses[TILE + first - block + tile_g() + 8 * r];
	}
	cb_syncthreads();
#pragma unroll
	for (int i = 0; i < W / 2; i++)
		acc1[i / 4][i % 4] = acc2[i / 4][i % 4] = 0;
	for (int j = 0; j < h.n; j += TILE) {
		if (j + TILE < h.n) {
			tile_fetch<W>(next, y1, ld, j + TILE, h.n);
			tile_fetch<W>(next + tile_size<W>, y2, ld2, j + TILE,
			    h.n);
			if (BY_KEY)
				fetch_stats<E, W>(lses_next, lses_next + TILE,
				    t, h, j + TILE);
		}
		cb_cp_commit();
		cb_cp_wait<1>();
		cb_syncthreads();
		if (first < h.n) {
			const uint32_t own = t.mask.limit == 0 ? 0 :
			    draw<BY_KEY>(t, h, first, j);

			for (int u = 0; u < 4 && j + 16 * u < h.n; u++) {
				float s[2][4], dp[2][4];

				tile_dots<W>(s, x1, now, u);
				tile_dots<W>(dp, x2, now + tile_size<W>, u);
				slopes<BY_KEY>(s, dp, t, lse, delta, lses,
				    lses + TILE, own, u, LOG2_E * scale,
				    h.n - j);
				tile_add<W>(acc1, dp, now, u);
				if (BY_KEY)
					tile_add<W>(acc2, s, now +
					    tile_size<W>, u);
			}
		}
		cb_syncthreads();
		E *const done = now;
		float *const read = lses;
		now = next;
		next = done;
		lses = lses_next;
		lses_next = read;
	}
	if (first >= h.n)
		return;
	E *out = (E *)t.out + at + (BY_KEY ? t.D : 0);
	tile_put<W>(out, ld, acc1, scale, scale, shared, first, h.n);
	if (BY_KEY)
		tile_put<W>(out + t.D, ld, acc2, 1, 1, shared, first, h.n);
}

/* blockIdx.z: 0 for blocks that own queries, 1 for keys.  Bound as forward. */
template <typename E, int W> CB_KERNEL2(TILE_THREADS, 3)
attention_bwd_mma(attention t)
{
	CB_SHARED(E, shared, 4 * tile_size<W>);
	CB_SHARED(float, stats, 4 * TILE);
	const head h = head_of(t);

	if ((int)blockIdx.y * TILE >= h.n)
		return;
	if (blockIdx.z == 0)
		backward<E, W, false>(t, h, shared, stats);
	else
		backward<E, W, true>(t, h, shared, stats);
}

template <typename E> static int
launch(cudaStream_t s, const attention &t)
{
	const dim3 grid((unsigned)(t.S * t.A), (unsigned)(t.longest + TILE -
	    1) / TILE, 2);

	switch (t.D / t.A) {
	case 16:
		return CB_LAUNCH((attention_bwd_mma<E, 16>), grid,
		    TILE_THREADS, 0, s, t);
	case 32:
		return CB_LAUNCH((attention_bwd_mma<E, 32>), grid,
		    TILE_THREADS, 0, s, t);
	default:
		return CB_LAUNCH((attention_bwd_mma<E, 64>), grid,
		    TILE_THREADS, 0, s, t);
	}
}

int
attention_bwd_tensor(cudaStream_t s, cu_type type, const attention &t)
{
	return type == CU_BF16 ? launch<cb_bf16>(s, t) : launch<cb_f16>(s, t);
}
