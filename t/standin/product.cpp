/*
 * See product.h.  Built for the machine at hand, so that the compiler makes
 * vectors of the inner loops: 4 rows and 32 columns of c stay in registers.
 */
#include <string.h>

#include "../cudasim/device.h"
#include "product.h"

namespace cbsim {

void
widen(float *to, const void *from, Elem t, size_t n)
{
	size_t i;

	switch (t) {
	case F32:
		memcpy(to, from, 4 * n);
		break;
	case BF16:
		for (i = 0; i < n; i++)
			to[i] = cb_f32(((const cb_bf16 *)from)[i]);
		break;
	case F16:
		for (i = 0; i < n; i++)
			to[i] = cb_f32(((const cb_f16 *)from)[i]);
		break;
	}
}

void
narrow(void *to, const float *from, Elem t, size_t n)
{
	size_t i;

	switch (t) {
	case F32:
		memcpy(to, from, 4 * n);
		break;
	case BF16:
		for (i = 0; i < n; i++)
			((cb_bf16 *)to)[i] = cb_elem_of<cb_bf16>(from[i]);
		break;
	case F16:
		for (i = 0; i < n; i++)
			((cb_f16 *)to)[i] = cb_elem_of<cb_f16>(from[i]);
		break;
	}
}

void
round_tf32(float *v, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (v[i] == v[i])
			v[i] = cb_bits_f32((cb_f32_bits(v[i]) + 0x1000) &
			    0xffffe000u);
}

void
turn(float *to, const float *from, size_t rows, size_t cols)
{
	const size_t B = 32;
	size_t i, j, r, c;

	for (i = 0; i < rows; i += B)
		for (j = 0; j < cols; j += B)
			for (r = i; r < rows && r < i + B; r++)
				for (c = j; c < cols && c < j + B; c++)
					to[c * rows + r] = from[r * cols + c];
}

enum { ROWS = 4, COLS = 32 };

/* c [rows,COLS] += a [rows,K] b [K,COLS], with the given steps between rows. */
template <int rows> static inline void
tile(float *c, size_t ldc, const float *a, size_t lda, const float *b,
    size_t ldb, size_t K)
{
	float sum[rows][COLS];

	for (int r = 0; r < rows; r++)
		for (int j = 0; j < COLS; j++)
			sum[r][j] = c[(size_t)r * ldc + (size_t)j];
	for (size_t k = 0; k < K; k++)
		for (int r = 0; r < rows; r++) {
			const float v = a[(size_t)r * lda + k];

			for (int j = 0; j < COLS; j++)
				sum[r][j] += v * b[k * ldb + (size_t)j];
		}
	for (int r = 0; r < rows; r++)
		for (int j = 0; j < COLS; j++)
			c[(size_t)r * ldc + (size_t)j] = sum[r][j];
}

/* The same for all rows of c, with n <= COLS columns, through a full tile. */
static void
edge(float *c, const float *a, const float *b, size_t M, size_t N, size_t K,
    size_t n)
{
	std::vector<float> wide(K * COLS), out(COLS);

	for (size_t k = 0; k < K; k++)
		memcpy(&wide[k * COLS], b + k * N, 4 * n);
	for (size_t i = 0; i < M; i++) {
		memcpy(out.data(), c + i * N, 4 * n);
		tile<1>(out.data(), COLS, a + i * K, K, wide.data(), COLS, K);
		memcpy(c + i * N, out.data(), 4 * n);
	}
}

void
product(float *c, const float *a, const float *b, size_t M, size_t N, size_t K)
{
	std::vector<float> packed(K * COLS);
	size_t i, j, k;

	for (j = 0; j + COLS <= N; j += COLS) {
		for (k = 0; k < K; k++)
			memcpy(&packed[k * COLS], b + k * N + j, 4 * COLS);
		for (i = 0; i + ROWS <= M; i += ROWS)
			tile<ROWS>(c + i * N + j, N, a + i * K, K,
			    packed.data(), COLS, K);
		for (; i < M; i++)
			tile<1>(c + i * N + j, N, a + i * K, K, packed.data(),
			    COLS, K);
	}
	if (j < N)
		edge(c + j, a, b + j, M, N, K, N - j);
}

} /* namespace cbsim */
