/*
 * One mma and one ldmatrix, of what each lane is given: isa.cpp.
 */
#include "dev.h"

template <typename E> CB_KERNEL(32)
fragments(float *c, const uint32_t *a, const uint32_t *b)
{
	const int t = threadIdx.x;
	uint32_t fa[4], fb[2];
	float d[4] = { 0, 0, 0, 0 };

	for (int i = 0; i < 4; i++)
		fa[i] = a[4 * t + i];
	for (int i = 0; i < 2; i++)
		fb[i] = b[2 * t + i];
	cb_mma<E>(d, fa, fb);
	for (int i = 0; i < 4; i++)
		c[4 * t + i] = d[i];
}

/* Row i % 8 of matrix i / 8 is what lane i points at. */
template <bool turned> CB_KERNEL(32)
matrices(uint32_t *r, const uint16_t *m)
{
	CB_SHARED(uint16_t, held, 32 * 8);
	const int t = threadIdx.x;
	uint32_t got[4];

	for (int i = 0; i < 8; i++)
		held[8 * t + i] = m[8 * t + i];
	cb_syncwarp();
	if (turned)
		cb_ldmatrix_t(got, held + 8 * t);
	else
		cb_ldmatrix(got, held + 8 * t);
	for (int i = 0; i < 4; i++)
		r[4 * t + i] = got[i];
}

cudaError_t
launch_fragments(bool bf16, float *c, const uint32_t *a, const uint32_t *b,
    cudaStream_t s)
{
	return bf16 ? CB_LAUNCH(fragments<cb_bf16>, 1, 32, 0, s, c, a, b) :
	    CB_LAUNCH(fragments<cb_f16>, 1, 32, 0, s, c, a, b);
}

cudaError_t
launch_matrices(bool turned, uint32_t *r, const uint16_t *m, cudaStream_t s)
{
	return turned ? CB_LAUNCH(matrices<true>, 1, 32, 0, s, r, m) :
	    CB_LAUNCH(matrices<false>, 1, 32, 0, s, r, m);
}
