/*
 * face: what a kernel sees of the simulated device: the names of cuda/dev.h for
 * the host.  Included by it alone.
 */
#ifndef CBSIM_FACE_H
#define CBSIM_FACE_H

#include <string.h>

#include <new>
#include <tuple>
#include <type_traits>

#include <cuda_runtime_api.h>

#include "types.h"

namespace cbsim {

/* A thread of the block that runs. */
struct Thread {
	uint3	 at;
	int	 lane, warp, index;
	unsigned syncs;			/* cb_syncwarp()s so far */
};

extern Thread *cur;
extern uint3 block_at;
extern dim3 block_size, grid_size;

/* What a collective of a warp does; each lane brings bytes and gets some. */
enum Collective { SYNC, SHFL, BALLOT, LDMATRIX, LDMATRIX_T, MMA_BF16, MMA_F16 };
void	collective(Collective kind, int line, const void *in, size_t nin,
	    void *out, size_t nout);
struct Shfl { int from; uint64_t v; };
struct Mma { float d[4]; uint32_t a[4], b[2]; };

void	barrier(int line);
void	*shared(const void *site, size_t bytes);
void	*shared_dyn(void);
void	cp_async(void *to, const void *from, bool there);
void	cp_commit(void);
void	cp_wait(int left);
uint32_t atomic_add(uint32_t *p, uint32_t v);
int32_t	atomic_max(int32_t *p, int32_t v);

/* A launch that waits in a stream: owns a copy of the arguments. */
struct Launch {
	const char *name;
	const void *kernel;
	dim3	 grid, block;
	size_t	 shared;

	virtual ~Launch() {}
	virtual void call(void) = 0;	/* as one thread */
	virtual void check(void) = 0;	/* that pointers are of the device */
	virtual void run(void);		/* all of it: block.cpp */
};
cudaError_t launch(Launch *l, cudaStream_t stream);	/* handed over */
/* Whether an argument may go to a device; says which if not. */
bool	good_pointer(const Launch &l, int arg, const void *p);

template <class T> bool
good_argument(const Launch &l, int arg, const T &v)
{
	if constexpr (std::is_pointer<T>::value)
		return good_pointer(l, arg, (const void *)v);
	else
		return true;
}

template <class... P> struct LaunchOf final : Launch {
	void	(*k)(P...);
	std::tuple<P...> args;

	template <class... A>
	LaunchOf(void (*kernel_)(P...), A... a) : k(kernel_), args(a...) {}
	void call(void) override { std::apply(k, args); }
	void
	check(void) override
	{
		int arg = 0;

		std::apply([&](const auto &...v) {
			(void)(good_argument(*this, arg++, v) && ...);
		}, args);
	}
};

template <class... P, class... A> cudaError_t
launch_of(const char *name, void (*k)(P...), dim3 grid, dim3 block,
    size_t bytes, cudaStream_t stream, A... a)
{
	auto *l = new LaunchOf<P...>(k, a...);

	l->name = name;
	l->kernel = (const void *)k;
	l->grid = grid;
	l->block = block;
	l->shared = bytes;
	l->check();
	return launch(l, stream);
}

template <class... P> cudaError_t
shared_max(void (*k)(P...), int bytes)
{
	return cudaFuncSetAttribute((const void *)k,
	    cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
}

float	widen_f16(uint16_t h);
uint16_t round_f16(float f);

} /* namespace cbsim */

#define CB_FN inline
#define CB_KERNEL(n) void
#define CB_KERNEL2(n, m) void
#define CB_SHARED(T, x, n) \
	static char x##_site_; \
	T *const x = (T *)cbsim::shared(&x##_site_, sizeof(T) * (n))
#define CB_SHARED2(T, x, a, b) \
	static char x##_site_; \
	T (*const x)[b] = (T (*)[b])cbsim::shared(&x##_site_, \
	    sizeof(T) * (a) * (b))
#define CB_SHARED_DYN(T, x) T *const x = (T *)cbsim::shared_dyn()
#define CB_LAUNCH(k, grid, block, shared, stream, ...) \
	(cbsim::launch_of(#k, k, dim3(grid), dim3(block), (shared), (stream), \
	    __VA_ARGS__), cudaGetLastError())
#define CB_SHARED_MAX(k, n) cbsim::shared_max(k, (int)(n))

#define threadIdx (cbsim::cur->at)
#define blockIdx cbsim::block_at
#define blockDim cbsim::block_size
#define gridDim cbsim::grid_size

template <typename T> CB_FN T *cb_global(T *p) { return p; }

CB_FN void
cb_syncthreads(int line = __builtin_LINE())
{
	cbsim::barrier(line);
}

CB_FN void
cb_syncwarp(int line = __builtin_LINE())
{
	cbsim::collective(cbsim::SYNC, line, nullptr, 0, nullptr, 0);
	cbsim::cur->syncs++;
}

template <typename T> CB_FN T
cb_shfl(T v, int from, int line = __builtin_LINE())
{
	cbsim::Shfl s = { from & 31, 0 };
	T got;

	static_assert(sizeof(T) == 4 || sizeof(T) == 8, "4 or 8 bytes");
	memcpy(&s.v, &v, sizeof(v));
	cbsim::collective(cbsim::SHFL, line, &s, sizeof(s), &s.v, sizeof(s.v));
	memcpy(&got, &s.v, sizeof(got));
	return got;
}

template <typename T> CB_FN T
cb_shfl_xor(T v, int m, int line = __builtin_LINE())
{
	return cb_shfl(v, cbsim::cur->lane ^ m, line);
}

template <typename T> CB_FN T
cb_shfl_up(T v, int d, int line = __builtin_LINE())
{
	int lane = cbsim::cur->lane;

	return cb_shfl(v, lane < d ? lane : lane - d, line);
}

CB_FN uint32_t
cb_ballot(bool yes, int line = __builtin_LINE())
{
	uint32_t all;

	cbsim::collective(cbsim::BALLOT, line, &yes, sizeof(yes), &all,
	    sizeof(all));
	return all;
}

CB_FN uint32_t
cb_atomic_add(uint32_t *p, uint32_t v)
{
	return cbsim::atomic_add(p, v);
}

CB_FN int32_t
cb_atomic_max(int32_t *p, int32_t v)
{
	return cbsim::atomic_max(p, v);
}

CB_FN float
cb_bits_f32(uint32_t u)
{
	float f;

	memcpy(&f, &u, sizeof(f));
	return f;
}

CB_FN uint32_t
cb_f32_bits(float f)
{
	uint32_t u;

	memcpy(&u, &f, sizeof(u));
	return u;
}

/* To nearest even; every NaN becomes the one of cvt.rn.bf16.f32. */
CB_FN uint16_t
cb_round_bf16(float f)
{
	uint32_t u = cb_f32_bits(f);

	return f != f ? 0x7fff :
	    (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

CB_FN uint16_t cb_round_f16(float f) { return cbsim::round_f16(f); }
CB_FN float cb_widen_f16(uint16_t h) { return cbsim::widen_f16(h); }

CB_FN uint32_t
cb_mul_hi(uint32_t a, uint32_t b)
{
	return (uint32_t)((uint64_t)a * b >> 32);
}

CB_FN int cb_lowest(uint32_t u) { return __builtin_ctz(u); }

CB_FN float cb_exp(float x) { return expf(x); }
CB_FN float cb_expm1(float x) { return expm1f(x); }
CB_FN float cb_log(float x) { return logf(x); }
CB_FN float cb_erf(float x) { return erff(x); }
CB_FN float cb_tanh(float x) { return tanhf(x); }
CB_FN float cb_sqrt(float x) { return sqrtf(x); }
CB_FN float cb_rsqrt(float x) { return 1 / sqrtf(x); }
CB_FN float cb_exp_fast(float x) { return expf(x); }
CB_FN float cb_exp2_fast(float x) { return exp2f(x); }

CB_FN void
cb_cp_async(void *to, const void *from, bool there = true)
{
	cbsim::cp_async(to, from, there);
}

CB_FN void cb_cp_commit(void) { cbsim::cp_commit(); }
template <int N> CB_FN void cb_cp_wait(void) { cbsim::cp_wait(N); }

/* A lane reads its own row here, so that the access is its own; the collective
 * only deals out what was read. */
CB_FN void
cb_ldmatrix(uint32_t r[4], const void *row, int line = __builtin_LINE())
{
	const cb_u4 own = *(const cb_u4 *)row;

	cbsim::collective(cbsim::LDMATRIX, line, &own, 16, r, 16);
}

CB_FN void
cb_ldmatrix_t(uint32_t r[4], const void *row, int line = __builtin_LINE())
{
	const cb_u4 own = *(const cb_u4 *)row;

	cbsim::collective(cbsim::LDMATRIX_T, line, &own, 16, r, 16);
}

template <typename E> CB_FN void
cb_mma(float d[4], const uint32_t a[4], const uint32_t b[2],
    int line = __builtin_LINE())
{
	cbsim::Mma m;

	static_assert(sizeof(E) == 2, "bf16 or f16");
	memcpy(m.d, d, sizeof(m.d));
	memcpy(m.a, a, sizeof(m.a));
	memcpy(m.b, b, sizeof(m.b));
	cbsim::collective(std::is_same<E, cb_bf16>::value ? cbsim::MMA_BF16 :
	    cbsim::MMA_F16, line, &m, sizeof(m), d, 16);
}

#endif
