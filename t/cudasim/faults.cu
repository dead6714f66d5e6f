/*
 * Kernels with one fault each, and their right forms; faults.cpp runs them.
 * Every one sums or moves a few numbers.
 */
#include "dev.h"

/* out = sum of in [n], one block of 256. */
template <int bug> CB_KERNEL(256)
sum(float *out, const float *in, int n)
{
	CB_SHARED(float, part, 8);
	const int t = threadIdx.x;
	float s = 0;

	for (int i = t; i < n + (bug == 1); i += 256)	/* 1: out of bounds */
		s += in[i];
	s = cb_warp_sum(s);
	if (t % 32 == 0 && !(bug == 2 && t == 224))	/* 2: part[7] unset */
		part[t / 32] = s;
	if (bug != 3)					/* 3: no barrier */
		cb_syncthreads();
	if (t != 0)
		return;
	for (int i = 1; i < 8; i++)
		part[0] += part[i];
	*out = part[0];
}

/* y = x through shared memory by cp.async, 16 bytes a thread, one block of 32:
 * each lane gets what its neighbour fetched. */
template <int bug> CB_KERNEL(32)
fetch(float *y, const float *x)
{
	CB_SHARED(float, held, 4 * 32);
	const int t = threadIdx.x, u = t ^ 1;

	cb_cp_async(held + 4 * t, x + 4 * t);
	cb_cp_commit();
	if (bug != 1)					/* 1: no wait */
		cb_cp_wait<0>();
	cb_syncthreads();
	float v[4];
	cb_load(v, held + 4 * u + (bug == 2 ? 2 : 0));	/* 2: misaligned */
	cb_store(y + 4 * u, v);
	if (bug == 1)
		cb_cp_wait<0>();
}

/* Lanes hand a number on through shared memory, twice. */
template <int bug> CB_KERNEL(32)
hand_on(float *y)
{
	CB_SHARED(float, held, 32);
	const int t = threadIdx.x;
	float v = (float)t;

	for (int i = 0; i < 2; i++) {
		held[t] = v;
		if (bug != 1)				/* 1: no syncwarp */
			cb_syncwarp();
		v = held[(t + 1) % 32];
		cb_syncwarp();
	}
	y[t] = v;
}

template <int bug> CB_KERNEL(64)
diverge(float *y)
{
	const int t = threadIdx.x;

	if (bug == 1 && t == 5)				/* 1: returns early */
		return;
	if (bug == 2 && t % 2 == 1)			/* 2: half a warp */
		y[t] = cb_shfl_xor(1.f, 2);
	if (bug == 3 && t < 32)				/* 3: two barriers */
		cb_syncthreads();
	else
		cb_syncthreads();
	y[t] = 1;
}

/* Every block writes y[0 .. 63], where bug: each its own share else. */
template <int bug> CB_KERNEL(64)
blocks(float *y)
{
	y[(bug ? 0 : blockIdx.x * 64) + threadIdx.x] = 1;
}

CB_KERNEL(64)
scale(float *y, const float *x, float a)
{
	y[threadIdx.x] = a * x[threadIdx.x];
}

CB_KERNEL(128)
draws(uint32_t *words, float *kept, cb_mask m, int n)
{
	const int i = (int)(4 * (blockIdx.x * 128 + threadIdx.x));
	uint32_t w[4];

	if (i + 4 > n)
		return;
	cb_draw_block(w, m, (uint32_t)i / 4);
	for (int j = 0; j < 4; j++)
		words[i + j] = w[j];
	cb_mask_run<4>(kept + i, m, (uint32_t)i);
}

/* d [16,8] = a [16,16] b [16,8] of elements; a row-major, b [n][k]. */
template <typename E> CB_KERNEL(32)
tile(float *d, const E *a, const E *b)
{
	CB_SHARED2(E, sa, 16, 24);
	CB_SHARED2(E, sb, 16, 24);
	const int t = threadIdx.x, g = t / 4, q = 2 * (t % 4);
	uint32_t fa[4], fb[4];
	float c[4] = { 0, 0, 0, 0 };

	for (int i = t; i < 32; i += 32) {
		cb_cp_async(&sa[i / 2][i % 2 * 8], a + 8 * i);
		cb_cp_async(&sb[i / 2][i % 2 * 8], b + 8 * cb_min(i, 15),
		    i < 16);
	}
	cb_cp_commit();
	cb_cp_wait<0>();
	cb_syncthreads();
	cb_ldmatrix(fa, &sa[t % 16][t / 16 * 8]);
	cb_ldmatrix(fb, &sb[t % 8 + t / 16 * 8][t / 8 % 2 * 8]);
	cb_mma<E>(c, fa, fb);
	d[8 * g + q] = c[0];
	d[8 * g + q + 1] = c[1];
	d[8 * (g + 8) + q] = c[2];
	d[8 * (g + 8) + q + 1] = c[3];
}

#define PICK(k, ...) (bug == 0 ? CB_LAUNCH((k<0>), __VA_ARGS__) : \
	bug == 1 ? CB_LAUNCH((k<1>), __VA_ARGS__) : \
	bug == 2 ? CB_LAUNCH((k<2>), __VA_ARGS__) : \
	CB_LAUNCH((k<3>), __VA_ARGS__))

cudaError_t
launch_sum(int bug, float *out, const float *in, int n, cudaStream_t s)
{
	return PICK(sum, 1, 256, 0, s, out, in, n);
}

cudaError_t
launch_fetch(int bug, float *y, const float *x, cudaStream_t s)
{
	return PICK(fetch, 1, 32, 0, s, y, x);
}

cudaError_t
launch_hand_on(int bug, float *y, cudaStream_t s)
{
	return PICK(hand_on, 1, 32, 0, s, y);
}

cudaError_t
launch_diverge(int bug, float *y, cudaStream_t s)
{
	return PICK(diverge, 1, 64, 0, s, y);
}

cudaError_t
launch_blocks(int bug, float *y, dim3 grid, dim3 block, size_t shared,
    cudaStream_t s)
{
	return PICK(blocks, grid, block, shared, s, y);
}

cudaError_t
launch_scale(float *y, const float *x, float a, cudaStream_t s)
{
	return CB_LAUNCH(scale, 1, 64, 0, s, y, x, a);
}

cudaError_t
launch_draws(uint32_t *words, float *kept, cb_mask m, int n, cudaStream_t s)
{
	return CB_LAUNCH(draws, (n + 511) / 512, 128, 0, s, words, kept, m, n);
}

cudaError_t
launch_tile(bool bf16, float *d, const void *a, const void *b, cudaStream_t s)
{
	return bf16 ? CB_LAUNCH(tile<cb_bf16>, 1, 32, 0, s, d,
	    (const cb_bf16 *)a, (const cb_bf16 *)b) : CB_LAUNCH(tile<cb_f16>, 1,
	    32, 0, s, d, (const cb_f16 *)a, (const cb_f16 *)b);
}
