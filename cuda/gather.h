/*
 * gather: sums of the rows of a matrix that carry one key, without atomics: who
 * owns a result looks through all keys for its own.  A warp compares 128 keys at
 * a time, which costs little next to the rows themselves.
 */
#ifndef CB_CUDA_GATHER_H
#define CB_CUDA_GATHER_H

#include "launch.h"

enum { GATHER_DEPTH = 4 };	/* runs of 32 N columns that a warp sums */

/* Which of 128 keys from t0 on, up to T, are `want`: bit j of the result is of
 * key t0 + 4 lane + j.  key is 16-byte aligned, t0 a multiple of 4. */
CB_FN uint32_t
which_of(const int32_t *key, int32_t want, int t0, int T)
{
	const int t = t0 + 4 * cb_lane();
	uint32_t is = 0;

	if (t + 4 <= T) {
		const cb_u4 u = *(const cb_u4 *)(key + t);

		is = (u.x == (uint32_t)want ? 1u : 0) |
		    (u.y == (uint32_t)want ? 2u : 0) |
		    (u.z == (uint32_t)want ? 4u : 0) |
		    (u.w == (uint32_t)want ? 8u : 0);
	} else
		for (int j = 0; t + j < T; j++)
			is |= key[t + j] == want ? 1u << j : 0;
	return is;
}

/*
 * A warp: sum [k] += x[t, col + (32 k + lane) N ...], dropped by the mask if so
 * asked, for the t < T with key[t] == want, of those chunks of 128 that begin at
 * t0 and lie `step` apart; by j, then by t within a chunk.  x [T,D].
 */
template <int N, bool drop, typename E> CB_FN void
gather(float (&sum)[GATHER_DEPTH][N], const E *x, const int32_t *key,
    int32_t want, int t0, int step, int T, int D, int col,
    const cb_mask &mask)
{
	float v[N], f[N];

	for (; t0 < T; t0 += step) {
		const uint32_t is = which_of(key, want, t0, T);

		if (cb_ballot(is != 0) == 0)
			continue;
		for (int j = 0; j < 4; j++)
			for (uint32_t hits = cb_ballot((is >> j & 1) != 0);
			    hits != 0; hits &= hits - 1) {
				const int64_t at = (int64_t)(t0 + 4 *
				    cb_lowest(hits) + j) * D;

#pragma unroll
				for (int k = 0; k < GATHER_DEPTH; k++) {
					const int c = col + (32 * k +
					    cb_lane()) * N;

					if (c >= D)
						continue;
					cu_load<N>(v, x + at + c);
					if (drop)
						cu_mask<N>(f, mask, at + c);
#pragma unroll
					for (int i = 0; i < N; i++)
						sum[k][i] += drop ? v[i] *
						    f[i] : v[i];
				}
			}
	}
}

#endif
