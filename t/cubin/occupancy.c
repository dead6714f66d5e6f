/*
 * How many blocks share a multiprocessor: the vendor's calculator, which is a
 * header, with devices as the CUDA programming guide describes them ("Compute
 * Capabilities").
 */
#include <cuda_occupancy.h>

#include "cubin.h"

int
cubin_blocks(const struct kernel *k, int threads, int64_t dynamic)
{
	const struct cudaOccDeviceProp device = {
		.computeMajor = k->arch / 10,
		.computeMinor = k->arch % 10,
		.maxThreadsPerBlock = 1024,
		.maxThreadsPerMultiprocessor = SM_THREADS,
		.regsPerBlock = 65536,
		.regsPerMultiprocessor = 65536,
		.warpSize = 32,
		.sharedMemPerBlock = 48 << 10,
		.sharedMemPerMultiprocessor = (k->arch == 80 ? 164 : 228) << 10,
		.numSms = k->arch == 80 ? 108 : 132,
		.sharedMemPerBlockOptin = (k->arch == 80 ? 163 : 227) << 10,
		.reservedSharedMemPerBlock = 1 << 10,
	};
	const struct cudaOccFuncAttributes kernel = {
		.maxThreadsPerBlock = (int)k->threads,
		.numRegs = (int)k->regs,
		.sharedSizeBytes = (size_t)k->shared,
		.shmemLimitConfig = FUNC_SHMEM_LIMIT_OPTIN,
		.maxDynamicSharedSizeBytes =
		    device.sharedMemPerBlockOptin - (size_t)k->shared,
		.numBlockBarriers = 1,
	};
	const struct cudaOccDeviceState state = {
		.carveoutConfig = SHAREDMEM_CARVEOUT_DEFAULT };
	struct cudaOccResult r;

	if (cudaOccMaxActiveBlocksPerMultiprocessor(&r, &device, &kernel,
	    &state, threads, (size_t)dynamic) != CUDA_OCC_SUCCESS)
		return -1;
	return r.activeBlocksPerMultiprocessor;
}
