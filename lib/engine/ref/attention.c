/*
 * Attention within packed sequences, per head of width w = D/A:
 *
 *	p_ij = exp(q_i k_j / sqrt w - lse_i), r = drop(p), o_i = sum_j r_ij v_j
 *
 * Backward, with f_ij the factor of the dropout:
 *
 *	dv_j = sum_i r_ij do_i
 *	ds_ij = p_ij (f_ij do_i v_j - do_i o_i)
 *	dq_i = sum_j ds_ij k_j / sqrt w,  dk_j = sum_i ds_ij q_i / sqrt w
 */
#include <string.h>

#include "ref.h"

static double
dot(const float *a, const float *b, int n)
{
	double s = 0;
	int i;

	for (i = 0; i < n; i++)
		s += (double)a[i] * b[i];
	return s;
}

/* One query row i of one head, against the keys lo .. hi-1. */
static void
row_fwd(float *o, float *lse, const float *qkv, int i, int head, int lo,
    int hi, int longest, int D, int A, const struct cb_drop *drop)
{
	int w = D / A, j, d;
	const float *q = qkv + (int64_t)i * 3 * D + head * w;
	const float *k = qkv + D + head * w, *v = k + D;
	double scale = 1 / sqrt(w), top = -INFINITY, sum = 0, s, acc;

	for (j = lo; j < hi; j++)
		top = fmax(top, dot(q, k + (int64_t)j * 3 * D, w) * scale);
	for (j = lo; j < hi; j++)
		sum += exp(dot(q, k + (int64_t)j * 3 * D, w) * scale - top);
	s = top + log(sum);
	lse[(int64_t)i * A + head] = (float)s;
	for (d = 0; d < w; d++) {
		acc = 0;
		for (j = lo; j < hi; j++)
			acc += exp(dot(q, k + (int64_t)j * 3 * D, w) * scale -
			    s) * v[(int64_t)j * 3 * D + d] * drop_factor(drop,
			    ((int64_t)i * A + head) * longest + j - lo);
		o[(int64_t)i * D + head * w + d] = (float)acc;
	}
}

void
ref_attention_fwd(struct cb_engine *e, struct cb_elem *o, float *lse,
    const struct cb_elem *qkv, const int32_t *seq, int S, int longest, int T,
    int D, int A, const struct cb_drop *drop)
{
	int s, i, a;

	(void)e;
	(void)T;
	for (s = 0; s < S; s++) for (i = seq[s]; i < seq[s + 1]; i++)
	for (a = 0; a < A; a++)
		row_fwd(f32(o), lse, cf32(qkv), i, a, seq[s], seq[s + 1],
		    longest, D, A, drop);
}

static void
row_bwd(float *dqkv, const float *d_o, const float *o, const float *lse,
    const float *qkv, int i, int head, int lo, int hi, int longest, int D,
    int A, const struct cb_drop *drop)
{
	int w = D / A, j, d;
	int64_t at = (int64_t)i * D + head * w, qi = (int64_t)i * 3 * D +
	    head * w, kj, vj;
	double scale = 1 / sqrt(w), delta = dot(d_o + at, o + at, w), p, f, ds;

	for (j = lo; j < hi; j++) {
		kj = ((int64_t)j * 3 + 1) * D + head * w;
		vj = kj + D;
		p = exp(dot(qkv + qi, qkv + kj, w) * scale -
		    lse[(int64_t)i * A + head]);
		f = drop_factor(drop, ((int64_t)i * A + head) * longest + j -
		    lo);
		ds = p * (f * dot(d_o + at, qkv + vj, w) - delta) * scale;
		for (d = 0; d < w; d++) {
			dqkv[vj + d] += (float)(p * f * d_o[at + d]);
			dqkv[qi + d] += (float)(ds * qkv[kj + d]);
			dqkv[kj + d] += (float)(ds * qkv[qi + d]);
		}
	}
}

void
ref_attention_bwd(struct cb_engine *e, struct cb_elem *dqkv,
    const struct cb_elem *d_o, const struct cb_elem *o, const float *lse,
    const struct cb_elem *qkv, const int32_t *seq, int S, int longest, int T,
    int D, int A, const struct cb_drop *drop)
{
	int s, i, a;

	(void)e;
	memset(dqkv, 0, sizeof(float) * T * 3 * D);
	for (s = 0; s < S; s++) for (i = seq[s]; i < seq[s + 1]; i++)
	for (a = 0; a < A; a++)
		row_bwd(f32(dqkv), cf32(d_o), cf32(o), lse, cf32(qkv), i, a,
		    seq[s], seq[s + 1], longest, D, A, drop);
}
