/*
 * tiles: products of tiles of 64 rows of W elements by tensor cores.  A block of
 * four warps holds tiles in shared memory, fetched by cp.async; a warp owns 16
 * rows of one and keeps their products in registers, as cb_mma() lays them out:
 * with g = lane / 4 and q = 2 (lane % 4), x[t][0] and x[t][1] are columns
 * 8t + q and the next of row g, x[t][2] and x[t][3] of row g + 8.
 *
 * A row takes W + 8 elements, so that the eight rows that one ldmatrix wants lie
 * in different banks.
 */
#ifndef CB_CUDA_TILES_H
#define CB_CUDA_TILES_H

#include "dev.h"

enum { TILE = 64, TILE_THREADS = 128 };

template <int W> constexpr int tile_ld = W + 8;
template <int W> constexpr int tile_size = TILE * (W + 8);

CB_FN int tile_warp(void) { return (int)threadIdx.x / 32; }
CB_FN int tile_g(void) { return cb_lane() / 4; }
CB_FN int tile_q(void) { return cb_lane() % 4 * 2; }

/* Row and column of the i-th 16 bytes of a tile, in an order that has any eight
 * in different banks: of one row of 64, or of eight rows that are narrower. */
template <int W> CB_FN void
tile_piece(int *r, int *c, int i)
{
	constexpr int ACROSS = W / 8;

	*r = W == 64 ? i / 8 : i % 8 + i / (8 * ACROSS) * 8;
	*c = W == 64 ? i % 8 * 8 : i / 8 % ACROSS * 8;
}

/* to = rows first .. first+63 of the n of x, zeros behind them; by cp.async. */
template <int W, typename E> CB_FN void
tile_fetch(E *to, const E *x, int64_t ld, int first, int n)
{
	constexpr int STEP = TILE_THREADS / (W / 8);	/* rows at once */
	int r, c;

	tile_piece<W>(&r, &c, (int)threadIdx.x);
	const E *from = x + (first + r) * ld + c;
	to += r * tile_ld<W> + c;
#pragma unroll
	for (int k = 0; k < TILE; k += STEP) {
		const bool there = first + r + k < n;

		cb_cp_async(to + k * tile_ld<W>, there ? from : x, there);
		from += STEP * ld;
	}
}

/* The warp's own 16 rows, as the left factor of products. */
template <int W, typename E> CB_FN void
tile_own(uint32_t a[W / 16][4], const E *tile)
{
	const E *row = tile + (16 * tile_warp() + cb_lane() % 16) *
	    tile_ld<W> + cb_lane() / 16 * 8;

#pragma unroll
	for (int k = 0; k < W / 16; k++)
		cb_ldmatrix(a[k], row + 16 * k);
}

/* x [16,16] = own rows times rows 16u .. 16u+15 of the tile. */
template <int W, typename E> CB_FN void
tile_dots(float x[2][4], const uint32_t a[W / 16][4], const E *tile, int u)
{
	const E *row = tile + (16 * u + cb_lane() / 16 * 8 + cb_lane() % 8) *
	    tile_ld<W> + cb_lane() / 8 % 2 * 8;
	uint32_t b[4];

#pragma unroll
	for (int i = 0; i < 4; i++)
		x[0][i] = x[1][i] = 0;
#pragma unroll
	for (int k = 0; k < W / 16; k++) {
		cb_ldmatrix(b, row + 16 * k);
		cb_mma<E>(x[0], a[k], b);
		cb_mma<E>(x[1], a[k], b + 2);
	}
}

/* acc [16,W] += x [16,16], rounded to E, times rows 16u .. 16u+15. */
template <int W, typename E> CB_FN void
tile_add(float acc[W / 8][4], const float x[2][4], const E *tile, int u)
{
	const E *row = tile + (16 * u + cb_lane() % 16) * tile_ld<W> +
	    cb_lane() / 16 * 8;
	const uint32_t a[4] = { cb_pack2<E>(x[0][0], x[0][1]),
	    cb_pack2<E>(x[0][2], x[0][3]), cb_pack2<E>(x[1][0], x[1][1]),
	    cb_pack2<E>(x[1][2], x[1][3]) };
	uint32_t b[4];

#pragma unroll
	for (int k = 0; k < W / 16; k++) {
		cb_ldmatrix_t(b, row + 16 * k);
		cb_mma<E>(acc[2 * k], a, b);
		cb_mma<E>(acc[2 * k + 1], a, b + 2);
	}
}

/*
 * Own rows to rows first .. of the n of out: acc times f0 for row g, f1 for row
 * g + 8.  They pass through the warp's own rows of the tile, so that 16 bytes are
 * stored at a time.
 */
template <int W, typename E> CB_FN void
tile_put(E *out, int64_t ld, const float acc[W / 8][4], float f0, float f1,
    E *tile, int first, int n)
{
	E *own = tile + 16 * tile_warp() * tile_ld<W>;
	E *to = own + tile_g() * tile_ld<W> + tile_q();

	cb_syncwarp();
#pragma unroll
	for (int t = 0; t < W / 8; t++) {
		*(uint32_t *)(to + 8 * t) = cb_pack2<E>(acc[t][0] * f0,
		    acc[t][1] * f0);
		*(uint32_t *)(to + 8 * tile_ld<W> + 8 * t) =
		    cb_pack2<E>(acc[t][2] * f1, acc[t][3] * f1);
	}
	cb_syncwarp();
#pragma unroll
	for (int k = 0; k < W / 16; k++) {
		int r, c;

		tile_piece<W>(&r, &c, 32 * k + cb_lane());
		if (first + r < n)
			*(cb_u4 *)(out + (first + r) * ld + c) =
			    *(const cb_u4 *)(own + r * tile_ld<W> + c);
	}
}

/* Over the four lanes that share rows. */
CB_FN float
tile_row_sum(float v)
{
	v += cb_shfl_xor(v, 1);
	return v + cb_shfl_xor(v, 2);
}

CB_FN float
tile_row_max(float v)
{
	v = fmaxf(v, cb_shfl_xor(v, 1));
	return fmaxf(v, cb_shfl_xor(v, 2));
}

#endif
