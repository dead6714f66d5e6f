/*
 * The rest of the CUDA runtime that the engine calls: the device, memory,
 * copies, errors.  Streams and events are in t/cudasim/stream.cpp.  Signatures
 * are checked against the real header; meanings are those of the CUDA Runtime
 * API reference.
 */
#include <string.h>
#include <sys/mman.h>

#include <map>
#include <string>

#include "../cudasim/device.h"

using namespace cbsim;

/* An H100, as far as a program may ask. */
static const size_t memory_bytes = (size_t)(dry() ? 80 : 4) << 30;
static const size_t shared_most = 227 << 10;

namespace cbsim {

static std::map<const void *, int> dynamic;
static thread_local cudaError_t last;

int
dynamic_max(const void *kernel)
{
	auto i = dynamic.find(kernel);

	return i == dynamic.end() ? 48 << 10 : i->second;
}

cudaError_t
last_error(cudaError_t e)
{
	return last = e;
}

} /* namespace cbsim */

static bool
on_host(const void *p)
{
	const Area *a = area_of(p);

	return a == NULL || a->kind == PINNED || a->kind == LOCKED;
}

extern "C" {

cudaError_t
cudaGetDeviceCount(int *n)
{
	if (refuse("cudaGetDeviceCount"))
		return last_error(cudaErrorInsufficientDriver);
	*n = 1;
	return cudaSuccess;
}

cudaError_t
cudaSetDevice(int device)
{
	if (refuse("cudaSetDevice") || device != 0)
		return last_error(cudaErrorInvalidDevice);
	return cudaSuccess;
}

cudaError_t
cudaGetDevice(int *device)
{
	*device = 0;
	return cudaSuccess;
}

cudaError_t
cudaDeviceGetAttribute(int *v, enum cudaDeviceAttr a, int)
{
	if (refuse("cudaDeviceGetAttribute"))
		return last_error(cudaErrorInvalidDevice);
	switch (a) {
	case cudaDevAttrComputeCapabilityMajor:
		*v = 9;
		break;
	case cudaDevAttrComputeCapabilityMinor:
		*v = 0;
		break;
	case cudaDevAttrMultiProcessorCount:
		*v = 4;
		break;
	case cudaDevAttrMaxSharedMemoryPerBlockOptin:
		*v = (int)shared_most;
		break;
	case cudaDevAttrMaxThreadsPerBlock:
		*v = 1024;
		break;
	case cudaDevAttrWarpSize:
		*v = 32;
		break;
	default:
		return last_error(cudaErrorInvalidValue);
	}
	return cudaSuccess;
}

cudaError_t
cudaRuntimeGetVersion(int *v)
{
	*v = CUDART_VERSION;
	return cudaSuccess;
}

cudaError_t
cudaDriverGetVersion(int *v)
{
	*v = CUDART_VERSION;
	return cudaSuccess;
}

cudaError_t
cudaMemGetInfo(size_t *left, size_t *all)
{
	Lock lock;

	*all = memory_bytes;
	*left = memory_bytes - area_total();
	return cudaSuccess;
}

cudaError_t
cudaMalloc(void **p, size_t n)
{
	Lock lock;

	if (break_captures("cudaMalloc"))
		return last_error(cudaErrorStreamCaptureUnsupported);
	if (refuse("cudaMalloc") || n > memory_bytes - area_total() ||
	    (*p = area_new(n, DEVICE, 256)) == NULL)
		return last_error(cudaErrorMemoryAllocation);
	return cudaSuccess;
}

/* Waits for the device, as the real one does. */
cudaError_t
cudaFree(void *p)
{
	Lock lock;

	refuse("cudaFree");
	if (break_captures("cudaFree"))
		return last_error(cudaErrorStreamCaptureUnsupported);
	drain_all();
	if (p != NULL && !area_free(p, DEVICE))
		return last_error(cudaErrorInvalidValue);
	return cudaSuccess;
}

cudaError_t
cudaMallocHost(void **p, size_t n)
{
	Lock lock;

	if (break_captures("cudaMallocHost"))
		return last_error(cudaErrorStreamCaptureUnsupported);
	if (refuse("cudaMallocHost") || (*p = area_new(n, PINNED, 4096)) == NULL)
		return last_error(cudaErrorMemoryAllocation);
	return cudaSuccess;
}

cudaError_t
cudaHostAlloc(void **p, size_t n, unsigned)
{
	return cudaMallocHost(p, n);
}

cudaError_t
cudaFreeHost(void *p)
{
	Lock lock;

	drain_all();
	if (p != NULL && !area_free(p, PINNED))
		return last_error(cudaErrorInvalidValue);
	return cudaSuccess;
}

/* Copies that wait to read an area of host memory, by its beginning. */
static std::map<const void *, int> waiting;

/* Memory of the program, page by page, which must not go while it is pinned. */
cudaError_t
cudaHostRegister(void *p, size_t n, unsigned)
{
	Lock lock;

	if (break_captures("cudaHostRegister"))
		return last_error(cudaErrorStreamCaptureUnsupported);
	if (refuse("cudaHostRegister"))
		return last_error(cudaErrorMemoryAllocation);
	if (p == NULL || n == 0)
		return last_error(cudaErrorInvalidValue);
	return area_lock(p, n) ? cudaSuccess :
	    last_error(cudaErrorHostMemoryAlreadyRegistered);
}

cudaError_t
cudaHostUnregister(void *p)
{
	Lock lock;

	refuse("cudaHostUnregister");
	if (waiting[p] > 0)
		fault("%p is unregistered before it was copied", p);
	return area_unlock(p) ? cudaSuccess :
	    last_error(cudaErrorHostMemoryNotRegistered);
}

static bool
is_mapped(const void *p, size_t n)
{
	uintptr_t first = (uintptr_t)p / 4096 * 4096;
	std::vector<unsigned char> pages(n / 4096 + 2);

	return mincore((void *)first, (uintptr_t)p + n - first,
	    pages.data()) == 0;
}

static const char *
direction(const void *to, const void *from)
{
	return on_host(to) ? "copy-to-host" : on_host(from) ?
	    "copy-to-device" : "copy";
}

/* FNV-1a, of words */
static uint64_t
sum_of(const void *p, size_t n)
{
	uint64_t sum = 14695981039346656037u, word = 0;

	for (size_t i = 0; i < n; i += sizeof(word)) {
		memcpy(&word, (const char *)p + i, n - i < sizeof(word) ?
		    n - i : sizeof(word));
		sum = (sum ^ word) * 1099511628211u;
	}
	return sum;
}

static void
copy(void *to, const void *from, size_t n)
{
	if (area_of(from) != NULL)
		range_read(from, n, "what is copied");
	if (area_of(to) != NULL)
		range_write(to, n, "where the copy goes");
	log_line("%s bytes %zu", direction(to, from), n);
	if (!dry() || on_host(to) || on_host(from))
		memcpy(to, from, n);
}

/*
 * Memory of the host that is not pinned is staged before the call returns, or
 * waited for: "API synchronization behavior" of the reference.  That which is
 * must stay as it is until the copy has been made.
 */
cudaError_t
cudaMemcpyAsync(void *to, const void *from, size_t n, enum cudaMemcpyKind kind,
    cudaStream_t s)
{
	Lock lock;

	if (refuse("cudaMemcpyAsync"))
		return last_error(cudaErrorInvalidValue);
	set_running("cudaMemcpyAsync");
	if (kind != cudaMemcpyDefault && n > 0 &&
	    (on_host(to) != (kind == cudaMemcpyDeviceToHost || kind ==
	    cudaMemcpyHostToHost) || on_host(from) != (kind ==
	    cudaMemcpyHostToDevice || kind == cudaMemcpyHostToHost)))
		fault("the direction %d does not fit %p from %p", (int)kind, to,
		    from);
	bool captured = capture_of(s)->on;

	if (!captured)
		log_line("asks %s bytes %zu", direction(to, from), n);
	if (captured && (area_of(from) == NULL || area_of(to) == NULL))
		fault("captured, but %p is host memory that is not pinned",
		    area_of(from) == NULL ? from : to);
	if (n > 0 && area_of(from) == NULL) {
		auto kept = std::make_shared<std::string>((const char *)from,
		    n);
		return enqueue(s, "cudaMemcpyAsync", [=] {
		    copy(to, kept->data(), n); });
	}
	if (!captured && n > 0 && on_host(from) && !on_host(to)) {
		uint64_t sum = sum_of(from, n);
		const void *area = area_of(from)->p;

		waiting[area]++;
		return enqueue(s, "cudaMemcpyAsync to the device", [=] {
			waiting[area]--;
			if (!is_mapped(from, n))
				fault("%p is gone before it was copied", from);
			if (sum_of(from, n) != sum)
				fault("%p was changed before it was copied",
				    from);
			copy(to, from, n);
		});
	}
	/* Of a node of a graph the direction cannot be changed. */
	cudaError_t e = enqueue(s, on_host(to) ? "cudaMemcpyAsync to the host" :
	    on_host(from) ? "cudaMemcpyAsync to the device" :
	    "cudaMemcpyAsync", [=] { copy(to, from, n); });
	return e == cudaSuccess && n > 0 && area_of(to) == NULL ? drain(s) : e;
}

cudaError_t
cudaMemcpy(void *to, const void *from, size_t n, enum cudaMemcpyKind kind)
{
	cudaError_t e;

	{
		Lock lock;

		if (break_captures("any"))
			return last_error(cudaErrorStreamCaptureUnsupported);
	}
	e = cudaMemcpyAsync(to, from, n, kind, NULL);
	return e != cudaSuccess ? e : cudaStreamSynchronize(NULL);
}

cudaError_t
cudaMemsetAsync(void *p, int v, size_t n, cudaStream_t s)
{
	Lock lock;

	if (refuse("cudaMemsetAsync"))
		return last_error(cudaErrorInvalidValue);
	return enqueue(s, "cudaMemsetAsync", [=] {
		range_write(p, n, "what is set");
		log_line("set bytes %zu", n);
		if (!dry())
			memset(p, v, n);
	});
}

cudaError_t
cudaFuncSetAttribute(const void *kernel, enum cudaFuncAttribute a, int v)
{
	Lock lock;

	if (refuse("cudaFuncSetAttribute") ||
	    a != cudaFuncAttributeMaxDynamicSharedMemorySize || v < 0 ||
	    (size_t)v > shared_most)
		return last_error(cudaErrorInvalidValue);
	dynamic[kernel] = v;
	return cudaSuccess;
}

cudaError_t
cudaPeekAtLastError(void)
{
	return last;
}

cudaError_t
cudaGetLastError(void)
{
	cudaError_t e = last;

	last = cudaSuccess;
	return e;
}

const char *
cudaGetErrorName(cudaError_t e)
{
	switch (e) {
	case cudaSuccess:
		return "cudaSuccess";
	case cudaErrorInvalidValue:
		return "cudaErrorInvalidValue";
	case cudaErrorMemoryAllocation:
		return "cudaErrorMemoryAllocation";
	case cudaErrorInvalidConfiguration:
		return "cudaErrorInvalidConfiguration";
	case cudaErrorInsufficientDriver:
		return "cudaErrorInsufficientDriver";
	case cudaErrorNoDevice:
		return "cudaErrorNoDevice";
	case cudaErrorInvalidDevice:
		return "cudaErrorInvalidDevice";
	case cudaErrorInvalidResourceHandle:
		return "cudaErrorInvalidResourceHandle";
	case cudaErrorHostMemoryAlreadyRegistered:
		return "cudaErrorHostMemoryAlreadyRegistered";
	case cudaErrorHostMemoryNotRegistered:
		return "cudaErrorHostMemoryNotRegistered";
	case cudaErrorNotReady:
		return "cudaErrorNotReady";
	case cudaErrorLaunchFailure:
		return "cudaErrorLaunchFailure";
	case cudaErrorStreamCaptureUnsupported:
		return "cudaErrorStreamCaptureUnsupported";
	case cudaErrorStreamCaptureInvalidated:
		return "cudaErrorStreamCaptureInvalidated";
	case cudaErrorStreamCaptureIsolation:
		return "cudaErrorStreamCaptureIsolation";
	case cudaErrorStreamCaptureImplicit:
		return "cudaErrorStreamCaptureImplicit";
	case cudaErrorCapturedEvent:
		return "cudaErrorCapturedEvent";
	case cudaErrorGraphExecUpdateFailure:
		return "cudaErrorGraphExecUpdateFailure";
	default:
		return "an error of the simulated device";
	}
}

const char *
cudaGetErrorString(cudaError_t e)
{
	return cudaGetErrorName(e);
}

} /* extern "C" */
