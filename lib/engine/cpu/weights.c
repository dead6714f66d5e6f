/*
 * The weights of a convolution by blocks of 16 x 16 channels, as the ways to
 * compute one lay them out: [O,C,k,k] has a kernel's weights next to each
 * other, vectors want 16 channels of the result.  They are read where the
 * caller has them whenever they are used, so no layout is kept.
 */
#include "conv.h"

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

/* to[j][i] = from[i][j] * scale[i] for 16 x 16; rows lie `apart`. */
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

void
cpu_weights(float *out, const struct cb_conv_plan *c, bool back, int in,
    int o)
{
	int kk = c->g.k * c->g.k, i, at = back ? in : o, from = back ? o : in;
	int64_t apart = (int64_t)c->g.C * kk;
	const float *w = c->w + at * apart + from * kk;
	float block[16 * MAX_TAPS * 16], *to = back ? block : out;

	for (i = 0; i < kk; i++)
		turn(to + 256 * i, 16, w + 16 * i, apart, c->scale + at);
	for (i = 0; back && i < kk; i++)
		turn(out + 16 * (kk - 1 - i), 16 * kk, block + 16 * i, 16 * kk,
		    NULL);
}

void
cpu_weights_ahead(const struct cb_conv_plan *c, bool back, int in, int ni,
    int o, int no)
{
	int kk = c->g.k * c->g.k, rows = back ? ni : no, r, k;
	int n = (back ? no : ni) * kk;
	int64_t apart = (int64_t)c->g.C * kk;
	const float *w = c->w + (back ? in : o) * apart + (back ? o : in) * kk;

	for (r = 0; r < rows; r++)
		for (k = 0; k < n; k += 16)
			__builtin_prefetch(w + r * apart + k, 0, 2);
}

void
cpu_weights_add(float *dw, const struct cb_conv_plan *c, const float *block,
    int in, int o)
{
	int n = 16 * c->g.k * c->g.k, i, j;
	int64_t apart = (int64_t)c->g.C * c->g.k * c->g.k;
	float turned[16 * MAX_TAPS * 16], *to;

	for (i = 0; i < n; i += 16)
		turn(turned + i, n, block + 16 * i, 16, NULL);
	for (i = 0; i < 16; i++) {
		to = dw + (o + i) * apart + (int64_t)in * n / 16;
		for (j = 0; j < n; j += 16)
			store(to + j, load(to + j) + c->scale[o + i] *
			    load(turned + i * n + j));
	}
}
