/*
 * What one core can do at most: fused multiply-adds on registers and nothing
 * else, in GMAC/s.  For the benches.
 */
#ifndef PEAK_H
#define PEAK_H

#include "base/base.h"

typedef float v16 __attribute__((vector_size(64)));

/* Twelve independent chains hide the latency of an addition. */
static inline __attribute__((always_inline)) double
chains(float *out)
{
	v16 a[12] = { 0 }, m = (v16){ 0 } + 0.5f;
	double t = cb_now();
	int i, k;

	__asm__ volatile("" : : "r"(a) : "memory");	/* not earlier */
	for (k = 0; k < 1000000; k++) {
#pragma GCC unroll 12
		for (i = 0; i < 12; i++)
			a[i] = a[i] * m + m;
	}
	__asm__ volatile("" : : "r"(a) : "memory");	/* not later */
	t = cb_now() - t;
	for (i = 0; i < 12; i++)
		*out += a[i][0];
	return 12 * 16e-3 / t;
}

#define FAST __attribute__((noinline, optimize("O3,fp-contract=fast")

FAST, target("avx512f"))) static double
chains512(float *out)
{
	return chains(out);
}

FAST, target("avx2,fma"))) static double
chains256(float *out)
{
	return chains(out);
}

static double
core_peak(void)
{
	double best = 0, now;
	float out = 0;
	int r;

	for (r = 0; r < 5; r++) {
		now = __builtin_cpu_supports("avx512f") ? chains512(&out) :
		    chains256(&out);
		best = now > best ? now : best;
	}
	return out > 0 ? best : 0;
}

#endif
