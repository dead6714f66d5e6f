/*
 * Blocks of 16 x 16 transposed, in registers; private to the CPU engine.  This is
 * how weights, which lie with the common dimension last, become panels.
 */
#ifndef CB_CPU_TURN_H
#define CB_CPU_TURN_H

#include "cpu.h"

typedef float v8 __attribute__((vector_size(32), aligned(4), may_alias));

/* Bit h of the number of a row and of a place in it change places. */
#define LOW(h, j) ((j) & (h) ? 8 + (j) - (h) : (j))
#define HIGH(h, j) ((j) & (h) ? 8 + (j) : (j) + (h))
#define EIGHT(f, h) f(h, 0), f(h, 1), f(h, 2), f(h, 3), f(h, 4), f(h, 5), \
	f(h, 6), f(h, 7)
#define SWAP(h) \
	for (i = 0; i < 8; i++) { \
		if (i & (h)) \
			continue; \
		a = t[i]; \
		b = t[i + (h)]; \
		t[i] = __builtin_shufflevector(a, b, EIGHT(LOW, h)); \
		t[i + (h)] = __builtin_shufflevector(a, b, EIGHT(HIGH, h)); \
	}

/* to[j][i] = from[i][j] * scale[i] (NULL: 1); rows lie `apart`. */
static inline void
turn(float *to, int64_t to_apart, const float *from, int64_t apart,
    const float *scale)
{
	v8 t[8], s = (v8){ 0 } + 1, a, b;
	int r, c, i;

	for (r = 0; r < 16; r += 8) {
		if (scale != NULL)
			s = *(const v8 *)(scale + r);
		for (c = 0; c < 16; c += 8) {
#pragma GCC unroll 8
			for (i = 0; i < 8; i++)
				t[i] = *(const v8 *)(from + (r + i) * apart +
				    c);
#pragma GCC unroll 8
			SWAP(1)
#pragma GCC unroll 8
			SWAP(2)
#pragma GCC unroll 8
			SWAP(4)
#pragma GCC unroll 8
			for (i = 0; i < 8; i++)
				*(v8 *)(to + (c + i) * to_apart + r) = t[i] * s;
		}
	}
}

#undef SWAP
#undef EIGHT
#undef HIGH
#undef LOW

#endif
