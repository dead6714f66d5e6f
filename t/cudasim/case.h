/*
 * case: what the cases of faults.cpp and isa.cpp share: memory of the device
 * from and to the host, by the calls of the CUDA runtime alone, so that they run
 * on whatever it is linked with.
 */
#ifndef CBSIM_CASE_H
#define CBSIM_CASE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vector>

#include <cuda_runtime_api.h>

static inline void
must(cudaError_t e)
{
	if (e != cudaSuccess) {
		fprintf(stderr, "faults: %s\n", cudaGetErrorName(e));
		exit(1);
	}
}

template <class T> static inline T *
device(const std::vector<T> &v)
{
	void *p;

	must(cudaMalloc(&p, v.size() * sizeof(T)));
	must(cudaMemcpyAsync(p, v.data(), v.size() * sizeof(T),
	    cudaMemcpyHostToDevice, NULL));
	return (T *)p;
}

template <class T> static inline T *
empty(size_t n)
{
	void *p;

	must(cudaMalloc(&p, n * sizeof(T)));
	return (T *)p;
}

template <class T> static inline std::vector<T>
host(const T *p, size_t n)
{
	std::vector<T> v(n);

	must(cudaMemcpyAsync(v.data(), p, n * sizeof(T),
	    cudaMemcpyDeviceToHost, NULL));
	must(cudaStreamSynchronize(NULL));
	return v;
}

/* isa.cpp */
bool	fragments_case(int);
bool	matrices_case(int);

#endif
