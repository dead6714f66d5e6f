/*
 * Kernels that each hold one thing to find: what t/sass.c counts in them is
 * known from their text (t/4300-cuda-sass.t).
 */
#include <stdint.h>

extern "C" __global__ void __launch_bounds__(256)
wide(uint4 *y, const uint4 *x)
{
	y[blockIdx.x * 256 + threadIdx.x] = x[blockIdx.x * 256 + threadIdx.x];
}

extern "C" __global__ void __launch_bounds__(256)
narrow(uint8_t *y, const uint16_t *x, const uint32_t *z, const uint2 *u)
{
	const int i = blockIdx.x * 256 + threadIdx.x;
	const uint2 v = u[i];

	y[i] = (uint8_t)(x[i] + z[i] + v.x * v.y);
}

/* Reversed through 1 KB of shared memory; one barrier. */
extern "C" __global__ void __launch_bounds__(256)
reverse(float *x)
{
	__shared__ float s[256];

	s[threadIdx.x] = x[threadIdx.x];
	__syncthreads();
	x[threadIdx.x] = exp2f(s[255 - threadIdx.x]) +
	    __shfl_xor_sync(0xffffffffu, x[threadIdx.x + 256], 1);
}

/* An array with a run-time index: local memory. */
extern "C" __global__ void
local(float *x, const int *at, int n)
{
	float v[32];

	for (int i = 0; i < 32; i++)
		v[i] = x[i * 32 + threadIdx.x];
	for (int i = 0; i < n; i++)
		v[at[i] & 31] += v[at[i + 1] & 31];
	for (int i = 0; i < 32; i++)
		x[i * 32 + threadIdx.x] = v[i];
}

/* cp.async of 16 bytes, ldmatrix, one mma of 16x8x16. */
extern "C" __global__ void __launch_bounds__(32)
tensor(float4 *d, const uint4 *a)
{
	__shared__ __align__(16) uint4 s[32];
	const uint32_t p = (uint32_t)__cvta_generic_to_shared(s + threadIdx.x);
	uint32_t r[4];
	float c[4] = { 0, 0, 0, 0 };

	asm volatile("cp.async.cg.shared.global [%0], [%1], 16;\n"
	    "cp.async.commit_group;\ncp.async.wait_group 0;" ::
	    "r"(p), "l"(a + threadIdx.x) : "memory");
	__syncthreads();
	asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 "
	    "{%0,%1,%2,%3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]),
	    "=r"(r[3]) : "r"(p) : "memory");
	asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
	    "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%4,%5}, {%0,%1,%2,%3};" :
	    "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3]) :
	    "r"(r[0]), "r"(r[1]), "r"(r[2]), "r"(r[3]));
	d[threadIdx.x] = make_float4(c[0], c[1], c[2], c[3]);
}
