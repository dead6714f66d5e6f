/*
 * attention: what the two ways to compute it are given, and how they divide it.
 * attention-plain.cu takes any type and any width of a head and computes in f32;
 * attention-forward.cu and attention-backward.cu are for tensor cores.
 */
#ifndef CB_CUDA_ATTENTION_H
#define CB_CUDA_ATTENTION_H

#include "launch.h"

/* Exponentials of tensor cores' scores are powers of 2. */
static const float LOG2_E = 1.4426950408889634f, LN_2 = .6931471805599453f;

struct attention {
	void	*out;			/* o, backward: dqkv */
	float	*lse_out;		/* forward */
	const void *qkv, *d_o, *o;
	const float *lse;
	const int32_t *seq;
	int	 S, longest, D, A;
	cb_mask	 mask;
};

/* One head of one sequence: what blockIdx.x stands for. */
struct head {
	int64_t	 lo;			/* its first token */
	int	 n, a, w;		/* tokens, number and width */
};

CB_FN head
head_of(const attention &t)
{
	const int s = (int)blockIdx.x / t.A;
	const int32_t lo = t.seq[s];

	return { lo, t.seq[s + 1] - lo, (int)blockIdx.x % t.A, t.D / t.A };
}

/* Number of the element of the dropout of query i and key j. */
CB_FN uint32_t
element(const attention &t, const head &h, int i, int j)
{
	return (uint32_t)(((h.lo + i) * t.A + h.a) * t.longest + j);
}

/*
 * Bit k, k < n <= 32: whether element i + k is kept.  Draws come four a block of
 * the generator, so that this costs n/4 of them, one more where i is not a
 * multiple of 4.
 */
CB_FN uint32_t
keep(const cb_mask &m, uint32_t i, int n)
{
	const int skew = (int)((i + m.first) & 3);
	uint32_t w[4], four, bits = 0;

	for (int k = 0; k < n + skew && n > 0; k += 4) {
		cb_draw_block(w, m, (i + m.first + (uint32_t)k) / 4);
		four = (w[0] >= m.limit) | (w[1] >= m.limit) << 1 |
		    (w[2] >= m.limit) << 2 | (w[3] >= m.limit) << 3;
		bits |= k == 0 ? four >> skew : four << (k - skew);
	}
	return n < 32 ? bits & ((1u << cb_max(n, 0)) - 1) : bits;
}

int	attention_fwd_plain(cudaStream_t s, cu_type type, const attention &t);
int	attention_bwd_plain(cudaStream_t s, cu_type type, const attention &t);

/* Of 16-bit types and heads 16, 32 or 64 wide. */
int	attention_fwd_tensor(cudaStream_t s, cu_type type, const attention &t);
int	attention_bwd_tensor(cudaStream_t s, cu_type type, const attention &t);

#endif
