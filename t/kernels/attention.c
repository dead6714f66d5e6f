/* Attention: attention*.cu. */
#include <math.h>
#include <stdlib.h>

#include "kern.h"

struct attention_case {
	int	 A, w;			/* heads and their width */
	float	 p;			/* dropout */
	int	 n[8];			/* lengths of sequences, ended by -1 */
};

static int32_t *
sequences(struct kern *k, const struct attention_case *c, int *S, int *T,
    int *longest)
{
	int32_t seq[8];

	seq[0] = 0;
	for (*S = *longest = 0; c->n[*S] >= 0; ++*S) {
		seq[*S + 1] = seq[*S] + c->n[*S];
		*longest = c->n[*S] > *longest ? c->n[*S] : *longest;
	}
	*T = seq[*S];
	return ints(k, seq, *S + 1);
}

/*
 * Tensor cores take probabilities p, and ds, rounded to elements: n terms, each
 * off by u of itself at most, and u / sqrt 3 as a rule.  Since p is 1/n or so,
 * and what it is multiplied with 1/sqrt 3, the sum is off by u / (3 sqrt n) as a
 * rule, 6 times that at most; 1/(1-p) times where elements are dropped.
 */
static double
rounding(const struct kern *k, const struct attention_case *c, int n)
{
	static const double u[] = { 0, 0x1p-8, 0x1p-11 };

	if (c->w != 16 && c->w != 32 && c->w != 64)
		return 0;
	return 2 * u[k->t] / sqrt(n > 0 ? n : 1) / (1 - (double)c->p);
}

static int
shortest(const struct attention_case *c)
{
	int n = c->n[0], i;

	for (i = 1; c->n[i] >= 0; i++)
		n = c->n[i] < n ? c->n[i] : n;
	return n;
}

static void
forward_case(struct kern *k, const void *arg)
{
	const struct attention_case *c = arg;
	int S, T, longest, D = c->A * c->w;
	int32_t *seq = sequences(k, c, &S, &T, &longest);
	struct cb_drop drop = drop_of(c->p);
	struct cb_mask mask = mask_of(&drop);
	void *qkv = acts(k, 3 * (int64_t)T * D), *o = acts(k, (int64_t)T * D);
	float *lse = floats(k, (int64_t)T * c->A, 0, 1);

	if (k->twin != NULL)
		k->twin->attention_fwd(k->twin, o, lse, qkv, seq, S, longest,
		    T, D, c->A, &drop);
	else
		must(cu_attention_fwd(k->s, k->t, o, lse, qkv, seq, S, longest,
		    T, D, c->A, &mask));
	out_elem(k, "o", o, (int64_t)T * D, longest)->slack +=
	    rounding(k, c, shortest(c));
	out_f32(k, "lse", lse, (int64_t)T * c->A, longest)->slack =
	    8 * 0x1p-24;
}

/* Queries and keys up to 6, so scores up to 60 or so and probabilities near 0 and
 * 1: what was summed before a larger score must vanish beside it. */
static void
peaks_case(struct kern *k, const void *arg)
{
	const struct attention_case *c = arg;
	int S, T, longest, D = c->A * c->w;
	int32_t *seq = sequences(k, c, &S, &T, &longest);
	float *v = noise(k, 3 * (int64_t)T * D, -1, 1);
	struct cb_drop none = drop_of(0);
	struct cb_mask mask = mask_of(&none);
	void *qkv, *o = acts(k, (int64_t)T * D);
	float *lse = floats(k, (int64_t)T * c->A, 0, 1);
	int64_t i;

	for (i = 0; i < 3 * (int64_t)T * D; i++)
		v[i] *= i % (3 * D) < 2 * D ? 6 : 1;
	qkv = acts_of(k, v, 3 * (int64_t)T * D);
	free(v);
	if (k->twin != NULL)
		k->twin->attention_fwd(k->twin, o, lse, qkv, seq, S, longest,
		    T, D, c->A, &none);
	else
		must(cu_attention_fwd(k->s, k->t, o, lse, qkv, seq, S, longest,
		    T, D, c->A, &mask));
	/* A score is off by 2^-24 of the w products up to 36 / sqrt w in it, as
	 * a rule a sqrt w-th of that; a probability by as much of itself, and
	 * by its rounding. */
	out_f32(k, "lse", lse, (int64_t)T * c->A, 0)->slack = 4 * 36 *
	    0x1p-24;
	out_elem(k, "o", o, (int64_t)T * D, 0)->slack += 8 * 36 * 0x1p-24 +
	    rounding(k, c, 1) / 2;
}

/* lse is what it could be, since scores are near 0; o is noise. */
static void
backward_case(struct kern *k, const void *arg)
{
	const struct attention_case *c = arg;
	int S, T, longest, D = c->A * c->w;
	int32_t *seq = sequences(k, c, &S, &T, &longest);
	struct cb_drop drop = drop_of(c->p);
	struct cb_mask mask = mask_of(&drop);
	void *qkv = acts(k, 3 * (int64_t)T * D), *o = acts(k, (int64_t)T * D);
	void *d_o = acts(k, (int64_t)T * D);
	void *dqkv = acts(k, 3 * (int64_t)T * D);
	float *lse = floats(k, (int64_t)T * c->A, log(longest + 1),
	    log(longest + 1) + 1);

	if (k->twin != NULL)
		k->twin->attention_bwd(k->twin, dqkv, d_o, o, lse, qkv, seq, S,
		    longest, T, D, c->A, &drop);
	else
		must(cu_attention_bwd(k->s, k->t, dqkv, d_o, o, lse, qkv, seq,
		    S, longest, T, D, c->A, &mask));
	out_elem(k, "dqkv", dqkv, 3 * (int64_t)T * D, longest)->slack +=
	    rounding(k, c, longest);
}

#define BOTH(flags, ...) \
	CASE(forward, flags, struct attention_case, { __VA_ARGS__ }), \
	CASE(backward, flags, struct attention_case, { __VA_ARGS__ })
#define N(...) { __VA_ARGS__, -1 }

static const struct kern_case cases[] = {
	/* heads width dropout lengths */
	BOTH(EVERY, 1, 1, 0, N(0)),
	BOTH(EVERY, 1, 1, .1f, N(1)),
	BOTH(EVERY, 3, 7, .1f, N(5, 17)),
	BOTH(EVERY, 1, 33, 0, N(33, 1, 0, 31)),
	BOTH(EVERY, 3, 16, .1f, N(1, 13, 31)),
	BOTH(EVERY, 1, 16, .5f, N(131)),
	BOTH(EVERY, 1, 32, .1f, N(67, 33)),
	BOTH(EVERY, 2, 64, 0, N(16, 31)),
	BOTH(EVERY, 1, 64, .1f, N(65)),
	CASE(peaks, EVERY, struct attention_case, { 1, 7, 0, N(35) }),
	CASE(peaks, EVERY, struct attention_case, { 1, 64, 0, N(150) }),
	BOTH(LARGE, 4, 16, .1f, N(40, 64, 65, 1, 128)),
	BOTH(LARGE, 3, 64, .1f, N(75, 160, 197)),
	BOTH(LARGE, 1, 32, 0, N(331)),
	BOTH(LARGE, 1, 200, .1f, N(65)),
};

GROUP(attention);
