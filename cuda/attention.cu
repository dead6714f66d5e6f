/*
 * Attention within packed sequences: the choice of kernels.  (Twin:
 * lib/engine/ref/attention.c.)
 */
#include "attention.h"

static bool
fits_tensor(cu_type type, int w)
{
	return type != CU_F32 && (w == 16 || w == 32 || w == 64);
}

int
cu_attention_fwd(cudaStream_t s, enum cu_type type, void *o, float *lse,
    const void *qkv, const int32_t *seq, int S, int longest, int T, int D,
    int A, const struct cb_mask *mask)
{
	const attention t = { o, lse, qkv, nullptr, nullptr, nullptr, seq, S,
	    longest, D, A, cu_mask_of(mask) };

	if (T == 0)
		return cudaSuccess;
	return fits_tensor(type, D / A) ? attention_fwd_tensor(s, type, t) :
	    attention_fwd_plain(s, type, t);
}

int
cu_attention_bwd(cudaStream_t s, enum cu_type type, void *dqkv,
    const void *d_o, const void *o, const float *lse, const void *qkv,
    const int32_t *seq, int S, int longest, int T, int D, int A,
    const struct cb_mask *mask)
{
	const attention t = { dqkv, nullptr, qkv, d_o, o, lse, seq, S,
	    longest, D, A, cu_mask_of(mask) };

	if (T == 0)
		return cudaSuccess;
	return fits_tensor(type, D / A) ? attention_bwd_tensor(s, type, t) :
	    attention_bwd_plain(s, type, t);
}
