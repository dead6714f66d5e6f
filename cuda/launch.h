/*
 * launch: what the kernels of this folder and their launchers share: the choice
 * of element type and of how many elements a thread moves at once, grids, and
 * access by so many elements.
 */
#ifndef CB_CUDA_LAUNCH_H
#define CB_CUDA_LAUNCH_H

#include "dev.h"
#include "kernels.h"

/* f<E>(...), E the element type of enum cu_type t. */
#define CU_ELEM(t, f, ...) \
	((t) == CU_F32 ? f<float>(__VA_ARGS__) : \
	(t) == CU_BF16 ? f<cb_bf16>(__VA_ARGS__) : f<cb_f16>(__VA_ARGS__))

/* f<E, N>(...): a thread moves N elements of a row at once.  Rows of C elements
 * that end at 16 bytes are moved 16 bytes at a time, others by element. */
#define CU_ROWS(t, C, f, ...) \
	((t) == CU_F32 ? CU_ROWS_OF(float, C, f, __VA_ARGS__) : \
	(t) == CU_BF16 ? CU_ROWS_OF(cb_bf16, C, f, __VA_ARGS__) : \
	CU_ROWS_OF(cb_f16, C, f, __VA_ARGS__))
#define CU_ROWS_OF(E, C, f, ...) ((C) % CB_WIDE(E) == 0 ? \
	f<E, CB_WIDE(E)>(__VA_ARGS__) : f<E, 1>(__VA_ARGS__))

/*
 * Blocks of so many threads for n items, one a thread; from two waves of the
 * largest devices on, threads go on at a stride of the grid.  Places are told from
 * the number of an item by division in 32 bits: where 2^32 items, 64 GB of them,
 * do not do, the launch is refused for its 0 blocks.
 */
enum { CU_MAX_BLOCKS = 2048 };

static inline unsigned
cu_blocks(int64_t n, int threads)
{
	const int64_t blocks = (n + threads - 1) / threads;

	return n >> 32 != 0 ? 0 : (unsigned)(blocks < CU_MAX_BLOCKS ? blocks :
	    (int64_t)CU_MAX_BLOCKS);
}

/* The items of a thread: its own, and those at strides of the grid. */
#define CU_EACH(i, n) \
	for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; \
	    i < (n); i += (int64_t)gridDim.x * blockDim.x)

/* q = i / n, is i % n. */
CB_FN uint32_t
cu_split(uint32_t *q, uint32_t i, int n)
{
	*q = i / (uint32_t)n;
	return i - *q * (uint32_t)n;
}

/* N elements, N being CB_WIDE(E) or 1. */
template <int N, typename E> CB_FN void
cu_load(float *v, const E *p)
{
	if constexpr (N == 1)
		v[0] = cb_f32(*p);
	else
		cb_load(v, p);
}

template <int N, typename E> CB_FN void
cu_store(E *p, const float *v)
{
	if constexpr (N == 1)
		*p = cb_elem_of<E>(v[0]);
	else
		cb_store(p, v);
}

/*
 * N floats each of the threads of a block in shared memory, to be read by element:
 * that of thread t and place j is held[cu_held<N>(t N + j)].  Eight lanes store 16
 * bytes each at a time; of 8 floats, the halves of every other four lanes are
 * exchanged, that all of these lie in different banks.
 */
template <int N> CB_FN int
cu_held(int i)
{
	return N == 8 ? i ^ (i >> 3 & 4) : i;
}

template <int N> CB_FN void
cu_hold(float *held, int t, const float *v)
{
	if constexpr (N == 1)
		held[t] = v[0];
	else
#pragma unroll
		for (int j = 0; j < N; j += 4)
			cb_store(held + cu_held<N>(t * N + j), v + j);
}

/* N floats of parameters, which may begin at any float. */
template <int N> CB_FN void
cu_load_param(float *v, const float *p)
{
	if (N % 4 == 0 && (uintptr_t)p % 16 == 0) {
#pragma unroll
		for (int i = 0; i + 3 < N; i += 4)
			cb_load(v + i, p + i);
		return;
	}
#pragma unroll
	for (int i = 0; i < N; i++)
		v[i] = p[i];
}

template <int N> CB_FN void
cu_store_param(float *p, const float *v)
{
	if (N % 4 == 0 && (uintptr_t)p % 16 == 0) {
#pragma unroll
		for (int i = 0; i + 3 < N; i += 4)
			cb_store(p + i, v + i);
		return;
	}
#pragma unroll
	for (int i = 0; i < N; i++)
		p[i] = v[i];
}

/* What elements i .. i+N-1 are multiplied by; i wraps as counters do. */
template <int N> CB_FN void
cu_mask(float *f, const cb_mask &m, int64_t i)
{
	if constexpr (N == 1)
		f[0] = cb_mask_at(m, (uint32_t)i);
	else
		cb_mask_run<N>(f, m, (uint32_t)i);
}

/* Of a NULL mask: no dropout. */
static inline struct cb_mask
cu_mask_of(const struct cb_mask *m)
{
	const struct cb_mask none = { { 0, 0 }, 0, 0, 0, 0, 0, 1 };

	return m != NULL ? *m : none;
}

#endif
