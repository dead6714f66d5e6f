/*
 * dev: the only header that a kernel includes, and the only place with inline
 * assembly and CUDA intrinsics.  It has two faces: for nvcc, thin names over
 * CUDA; under CB_SIM (t/cudasim) the same names run on the host, where every
 * thread is a fiber and every rule below is checked.
 *
 *	CB_KERNEL(n)		a kernel of at most n threads a block; may follow
 *				template <...>
 *	CB_KERNEL2(n, m)	... of which m blocks fit in a multiprocessor
 *	CB_FN			a function that kernels call
 *	CB_LAUNCH(k, grid, block, shared, stream, args ...)
 *				launches; is the cudaError_t.  block: a multiple of
 *				32.  k in parentheses if it has template arguments
 *	CB_SHARED_MAX(k, n)	lets k have n > 48 KB of dynamic shared memory; is
 *				the cudaError_t
 *	CB_SHARED(T, x, n)	T x[n] shared by a block, 16-byte aligned
 *	CB_SHARED2(T, x, a, b)	T x[a][b]; no sizeof on either
 *	CB_SHARED_DYN(T, x)	T *x, the dynamic shared memory of the launch
 *
 * Collectives of a warp take all 32 lanes, at the same place.  A shuffle orders
 * no memory: what one lane writes to shared memory and another reads needs
 * cb_syncwarp() or cb_syncthreads() between.  Barriers are reached by every
 * thread of the block, so no thread returns before one.
 */
#ifndef CB_CUDA_DEV_H
#define CB_CUDA_DEV_H

#include <math.h>
#include <stdint.h>

#include "types.h"

/* What one thread moves at once, from addresses so aligned. */
struct alignas(16) cb_u4 { uint32_t x, y, z, w; };
struct alignas(16) cb_f4 { float x, y, z, w; };
struct alignas(8) cb_u2 { uint32_t x, y; };
struct alignas(8) cb_f2 { float x, y; };

#ifdef CB_SIM
#include "../t/cudasim/face.h"
#else
#include <cuda_runtime.h>

#define CB_FN __device__ __forceinline__
#define CB_KERNEL(n) __global__ void __launch_bounds__(n)
#define CB_KERNEL2(n, m) __global__ void __launch_bounds__(n, m)
#define CB_SHARED(T, x, n) __shared__ __align__(16) T x[n]
#define CB_SHARED2(T, x, a, b) __shared__ __align__(16) T x[a][b]
#define CB_SHARED_DYN(T, x) \
	extern __shared__ __align__(16) unsigned char cb_shared_dyn_[]; \
	T *const x = (T *)cb_shared_dyn_
#define CB_LAUNCH(k, grid, block, shared, stream, ...) \
	(k<<<(grid), (block), (shared), (stream)>>>(__VA_ARGS__), \
	cudaGetLastError())
#define CB_SHARED_MAX(k, n) cudaFuncSetAttribute((const void *)k, \
	cudaFuncAttributeMaxDynamicSharedMemorySize, (int)(n))

/* p, which is of global memory: of what is no argument of the kernel, but was
 * found in memory, the compiler does not know. */
template <typename T> CB_FN T *
cb_global(T *p)
{
	__builtin_assume(__isGlobal(p));
	return p;
}

/* ---- barriers and collectives of a warp */

#define cb_syncthreads() __syncthreads()
#define cb_syncwarp() __syncwarp()

/* T: a type of 4 or 8 bytes.  Each lane gets v of lane ^ m; of lane `from`. */
template <typename T> CB_FN T
cb_shfl_xor(T v, int m)
{
	return __shfl_xor_sync(0xffffffffu, v, m);
}

template <typename T> CB_FN T
cb_shfl(T v, int from)
{
	return __shfl_sync(0xffffffffu, v, from);
}

/* v of the lane d below; the first d lanes keep their own. */
template <typename T> CB_FN T
cb_shfl_up(T v, int d)
{
	return __shfl_up_sync(0xffffffffu, v, d);
}

/* Bit i: whether lane i says so. */
CB_FN uint32_t
cb_ballot(bool yes)
{
	return __ballot_sync(0xffffffffu, yes);
}

/* Adds v to *p as one step; is what was there.  Integers only: sums of floats
 * would depend on the order. */
CB_FN uint32_t
cb_atomic_add(uint32_t *p, uint32_t v)
{
	return atomicAdd(p, v);
}

CB_FN int32_t
cb_atomic_max(int32_t *p, int32_t v)
{
	return atomicMax(p, v);
}

/* ---- numbers */

CB_FN float
cb_bits_f32(uint32_t u)
{
	return __uint_as_float(u);
}

CB_FN uint32_t
cb_f32_bits(float f)
{
	return __float_as_uint(f);
}

CB_FN uint16_t
cb_round_bf16(float f)
{
	uint16_t h;

	asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(h) : "f"(f));
	return h;
}

CB_FN uint16_t
cb_round_f16(float f)
{
	uint16_t h;

	asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h) : "f"(f));
	return h;
}

CB_FN float
cb_widen_f16(uint16_t h)
{
	float f;

	asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"(h));
	return f;
}

CB_FN uint32_t
cb_mul_hi(uint32_t a, uint32_t b)
{
	return __umulhi(a, b);
}

/* The place of the lowest bit that is set; u is not 0. */
CB_FN int
cb_lowest(uint32_t u)
{
	return 31 - __clz((int)(u & (0u - u)));
}

CB_FN float cb_exp(float x) { return expf(x); }
CB_FN float cb_expm1(float x) { return expm1f(x); }
CB_FN float cb_log(float x) { return logf(x); }
CB_FN float cb_erf(float x) { return erff(x); }
CB_FN float cb_tanh(float x) { return tanhf(x); }
CB_FN float cb_sqrt(float x) { return sqrtf(x); }
CB_FN float cb_rsqrt(float x) { return rsqrtf(x); }
/* ex2.approx: 2 ulp near 0, 2 + 1.2|x| far from it.  For what is rounded to 16
 * bits after. */
CB_FN float cb_exp_fast(float x) { return __expf(x); }

/* 2^x, to 2 ulp; 0 where that is below the normal numbers.  For what is rounded
 * to 16 bits after. */
CB_FN float
cb_exp2_fast(float x)
{
	float y;

	asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
	return y;
}

/* ---- asynchronous copies from global to shared memory, 16 bytes each */

CB_FN uint32_t
cb_shared_address(const void *p)
{
	return (uint32_t)__cvta_generic_to_shared(p);
}

/* 16 bytes, or 16 zero bytes where not `there` (from is still a valid
 * address). */
CB_FN void
cb_cp_async(void *to, const void *from, bool there = true)
{
	asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::
	    "r"(cb_shared_address(to)), "l"(from), "r"(there ? 16 : 0) :
	    "memory");
}

CB_FN void
cb_cp_commit(void)
{
	asm volatile("cp.async.commit_group;" ::: "memory");
}

/* Until all but the last N groups that this thread committed have landed; a
 * barrier then shows them to other threads. */
template <int N> CB_FN void
cb_cp_wait(void)
{
	asm volatile("cp.async.wait_group %0;" :: "n"(N) : "memory");
}

/* ---- tensor cores */

/*
 * Four 8x8 matrices of 16-bit elements: lane i gives the address of row i%8 of
 * matrix i/8 (16 bytes, aligned, in shared memory).  Lane i gets of matrix j,
 * in r[j], elements 2(i%4) and 2(i%4)+1 of row i/4.  _t: of the transposed.
 */
CB_FN void
cb_ldmatrix(uint32_t r[4], const void *row)
{
	asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 "
	    "{%0,%1,%2,%3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]),
	    "=r"(r[3]) : "r"(cb_shared_address(row)) : "memory");
}

CB_FN void
cb_ldmatrix_t(uint32_t r[4], const void *row)
{
	asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 "
	    "{%0,%1,%2,%3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]),
	    "=r"(r[3]) : "r"(cb_shared_address(row)) : "memory");
}

/*
 * d [16,8] += a [16,16] b [16,8], a row-major, b column-major, d in f32.  With
 * g = lane/4 and q = 2(lane%4), a lane holds, first the lower half of a word:
 *	a[0] (g,q) (g,q+1)	a[1] (g+8,q) ...	a[2] (g,q+8) ...
 *	a[3] (g+8,q+8) ...	b[0] (q,g) (q+1,g)	b[1] (q+8,g) ...
 *	d[0] (g,q)	d[1] (g,q+1)	d[2] (g+8,q)	d[3] (g+8,q+1)
 * PTX ISA, "Matrix Fragments for mma.m16n8k16".
 */
template <typename E> CB_FN void cb_mma(float d[4], const uint32_t a[4],
    const uint32_t b[2]);

template <> CB_FN void
cb_mma<cb_bf16>(float d[4], const uint32_t a[4], const uint32_t b[2])
{
	asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
	    "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};" :
	    "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) :
	    "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

template <> CB_FN void
cb_mma<cb_f16>(float d[4], const uint32_t a[4], const uint32_t b[2])
{
	asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
	    "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};" :
	    "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) :
	    "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

#endif /* CB_SIM */

/* ---- the same in both worlds */

template <typename T> CB_FN T cb_min(T a, T b) { return b < a ? b : a; }
template <typename T> CB_FN T cb_max(T a, T b) { return a < b ? b : a; }

CB_FN int cb_lane(void) { return (int)threadIdx.x & 31; }

/* An element as float, and a float rounded to nearest even as an element. */
CB_FN float cb_f32(float x) { return x; }
CB_FN float cb_f32(cb_bf16 x) { return cb_bits_f32((uint32_t)x.v << 16); }
CB_FN float cb_f32(cb_f16 x) { return cb_widen_f16(x.v); }

template <typename E> CB_FN E cb_elem_of(float f);
template <> CB_FN float cb_elem_of<float>(float f) { return f; }
template <> CB_FN cb_bf16
cb_elem_of<cb_bf16>(float f)
{
	cb_bf16 e = { cb_round_bf16(f) };

	return e;
}
template <> CB_FN cb_f16
cb_elem_of<cb_f16>(float f)
{
	cb_f16 e = { cb_round_f16(f) };

	return e;
}

/* Two elements of 16 bits in a word, the first below. */
template <typename E> CB_FN uint32_t
cb_pack2(float lo, float hi)
{
	return (uint32_t)cb_elem_of<E>(lo).v |
	    (uint32_t)cb_elem_of<E>(hi).v << 16;
}

/*
 * 16 bytes of elements at once: CB_WIDE(E) of them, 4 of f32 and 8 of 16 bits,
 * between memory that is 16-byte aligned and floats in registers.
 */
#define CB_WIDE(E) ((int)(16 / sizeof(E)))

template <typename E> CB_FN void
cb_load(float *v, const E *p)
{
	const cb_u4 u = *(const cb_u4 *)p;
	const uint32_t w[4] = { u.x, u.y, u.z, u.w };

#pragma unroll
	for (int i = 0; i < 4; i++) {
		v[2 * i] = cb_f32(E{ (uint16_t)w[i] });
		v[2 * i + 1] = cb_f32(E{ (uint16_t)(w[i] >> 16) });
	}
}

template <> CB_FN void
cb_load<float>(float *v, const float *p)
{
	const cb_f4 u = *(const cb_f4 *)p;

	v[0] = u.x;
	v[1] = u.y;
	v[2] = u.z;
	v[3] = u.w;
}

template <typename E> CB_FN void
cb_store(E *p, const float *v)
{
	const cb_u4 u = { cb_pack2<E>(v[0], v[1]), cb_pack2<E>(v[2], v[3]),
	    cb_pack2<E>(v[4], v[5]), cb_pack2<E>(v[6], v[7]) };

	*(cb_u4 *)p = u;
}

template <> CB_FN void
cb_store<float>(float *p, const float *v)
{
	const cb_f4 u = { v[0], v[1], v[2], v[3] };

	*(cb_f4 *)p = u;
}

/* Over the lanes of a warp, in a fixed order; every lane gets the result. */
template <typename T> CB_FN T
cb_warp_sum(T v)
{
#pragma unroll
	for (int m = 16; m > 0; m >>= 1)
		v += cb_shfl_xor(v, m);
	return v;
}

template <typename T> CB_FN T
cb_warp_max(T v)
{
#pragma unroll
	for (int m = 16; m > 0; m >>= 1)
		v = cb_max(v, cb_shfl_xor(v, m));
	return v;
}

/*
 * Philox4x32-10 as lib/base/rng.c draws it: draw i is word i%4 of block i/4.
 * Salmon et al., SC 2011.
 */
CB_FN void
cb_draw_block(uint32_t w[4], const cb_mask &m, uint32_t block)
{
	uint32_t k0 = m.seed[0], k1 = m.seed[1], h0, h1, l0, l1;

	w[0] = block;
	w[1] = m.seq;
	w[2] = m.epoch;
	w[3] = m.purpose;
#pragma unroll
	for (int i = 0; i < 10; i++) {
		h0 = cb_mul_hi(0xD2511F53u, w[0]);
		l0 = 0xD2511F53u * w[0];
		h1 = cb_mul_hi(0xCD9E8D57u, w[2]);
		l1 = 0xCD9E8D57u * w[2];
		w[0] = h1 ^ w[1] ^ k0;
		w[1] = l1;
		w[2] = h0 ^ w[3] ^ k1;
		w[3] = l0;
		k0 += 0x9E3779B9u;
		k1 += 0xBB67AE85u;
	}
}

/* What element i is multiplied by: 0, or 1/(1-p). */
CB_FN float
cb_mask_at(const cb_mask &m, uint32_t i)
{
	uint32_t w[4], u;

	if (m.limit == 0)
		return 1;
	i += m.first;
	cb_draw_block(w, m, i / 4);
	u = (i & 2) ? ((i & 1) ? w[3] : w[2]) : ((i & 1) ? w[1] : w[0]);
	return u < m.limit ? 0 : m.scale;
}

/*
 * The same for elements i .. i+N-1 for the price of their blocks, and of one more
 * where they do not begin with one: N is a multiple of 4.
 */
template <int N> CB_FN void
cb_mask_run(float f[N], const cb_mask &m, uint32_t i)
{
	const uint32_t at = i + m.first, shift = at & 3;
	uint32_t w[N + 4];

#pragma unroll
	for (int j = 0; j < N; j++)
		f[j] = 1;
	if (m.limit == 0)
		return;
#pragma unroll
	for (int j = 0; j < N; j += 4)
		cb_draw_block(w + j, m, (at - shift + (uint32_t)j) / 4);
	if (shift != 0) {
		cb_draw_block(w + N, m, (at - shift + (uint32_t)N) / 4);
#pragma unroll
		for (int j = 0; j < N + 3; j++)
			w[j] = (shift & 1) != 0 ? w[j + 1] : w[j];
#pragma unroll
		for (int j = 0; j < N; j++)
			w[j] = (shift & 2) != 0 ? w[j + 2] : w[j];
	}
#pragma unroll
	for (int j = 0; j < N; j++)
		f[j] = w[j] < m.limit ? 0 : m.scale;
}

#endif
