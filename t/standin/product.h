/*
 * product: the arithmetic of the stand-ins: matrices of any element type as
 * f32, and their products.  Sums are f32 in the order of the inner dimension.
 */
#ifndef CB_STANDIN_PRODUCT_H
#define CB_STANDIN_PRODUCT_H

#include <stddef.h>
#include <stdint.h>

#include <vector>

namespace cbsim {

enum Elem { F32, BF16, F16 };

static inline size_t
elem_bytes(Elem t)
{
	return t == F32 ? 4 : 2;
}

/* to [n] = from [n]; between f32 and elements, rounding to nearest even. */
void	widen(float *to, const void *from, Elem t, size_t n);
void	narrow(void *to, const float *from, Elem t, size_t n);
/* To the ten bits of TF32, ties away from zero. */
void	round_tf32(float *v, size_t n);

/* to [cols,rows] = from [rows,cols] */
void	turn(float *to, const float *from, size_t rows, size_t cols);

/* c [M,N] += a [M,K] b [K,N], all dense. */
void	product(float *c, const float *a, const float *b, size_t M, size_t N,
	    size_t K);

} /* namespace cbsim */

#endif
