/*
 * Scores of K clips pooled over k, s = mean | max | log sum exp, and losses with
 * their gradients.  (Twin: lib/engine/ref/loss.c, with the formulas.)
 *
 * A loss is a sum over rows, so its gradient needs nothing of other rows but for
 * RANK, where a match needs those that it is compared with; loss and gradient
 * come from one kernel, and a second adds up the losses.  Cross-entropy takes a
 * block a row, since rows are long (the vocabulary): one pass for the log of the
 * sum of exponentials, kept relative to the largest so far (Milakov and
 * Gimelshein, arXiv:1805.02867), one for the gradient.
 */
#include "dev.h"
#include "kernels.h"

enum { ROW = 256 };		/* threads of a row of cross-entropy */

/* Scores of clips x [K,N,C], and what becomes of their gradient dx. */
template <typename E> struct scores {
	const E	*x;
	E	*dx;		/* may be NULL */
	int64_t	 plane;		/* N * C */
	int	 K;
	cb_agg	 agg;
	float	 share;		/* of a row in the total */
	const float *scale;	/* of the gradient; NULL: 1 */
};

template <typename E> CB_FN float
gradient_share(const scores<E> &s)
{
	return s.scale != nullptr ? s.share * *s.scale : s.share;
}

/* Score `at` pooled over the clips; *who: the clip that MAX takes. */
template <typename E> CB_FN float
pooled(const scores<E> &s, int64_t at, int *who)
{
	float v = cb_f32(s.x[at]), sum = 0;
	int k;

	*who = 0;
	if (s.agg == CB_AGG_MEAN) {
		for (k = 1; k < s.K; k++)
			v += cb_f32(s.x[k * s.plane + at]);
		return v / s.K;
	}
	for (k = 1; k < s.K; k++) {
		const float u = cb_f32(s.x[k * s.plane + at]);

		if (u > v) {
			v = u;
			*who = k;
		}
	}
	if (s.agg == CB_AGG_MAX)
		return v;
	for (k = 0; k < s.K; k++)
		sum += cb_exp(cb_f32(s.x[k * s.plane + at]) - v);
	return v + cb_log(sum);
}

/* Gradient d of pooled score `at`, of which `who` was taken, to the clips. */
template <typename E> CB_FN void
spread(const scores<E> &s, int64_t at, int who, float d)
{
	for (int k = 0; k < s.K; k++)
		s.dx[k * s.plane + at] = cb_elem_of<E>(s.agg == CB_AGG_MEAN ?
		    d / s.K : k == who ? d : 0);
}

/* A thread pools one score.  Bound by memory. */
template <typename E> CB_KERNEL(256)
pool_scores(float *out, scores<E> s)
{
	const int64_t at = (int64_t)blockIdx.x * 256 + threadIdx.x;
	int who;

	if (at < s.plane)
		out[at] = pooled(s, at, &who);
}

/* ---- cross-entropy */

/* sum * exp(top) is a sum of exponentials. */
struct exps { float top, sum; };

CB_FN exps
join(exps a, exps b)
{
	const float top = cb_max(a.top, b.top);

	return { top, a.sum * cb_exp(a.top - top) +
	    b.sum * cb_exp(b.top - top) };
}

CB_FN void
include(exps &a, float v)
{
	if (v > a.top) {
		a.sum *= cb_exp(a.top - v);
		a.top = v;
	}
	a.sum += cb_exp(v - a.top);
}

/* Log of the sum over the block, in every thread; part: one a warp, shared. */
CB_FN float
block_log_sum(exps a, exps *part)
{
#pragma unroll
	for (int m = 16; m > 0; m >>= 1)
		a = join(a, { cb_shfl_xor(a.top, m), cb_shfl_xor(a.sum, m) });
	if (cb_lane() == 0)
		part[threadIdx.x / 32] = a;
	cb_syncthreads();
	a = part[0];
	for (int i = 1; i < ROW / 32; i++)
		a = join(a, part[i]);
	return a.top + cb_log(a.sum);
}

/* A block does a row, a thread every ROW-th class.  Bound by memory: scores are
 * read twice, the second time from the cache. */
template <typename E> CB_KERNEL(ROW)
loss_ce(float *each, scores<E> s, const int32_t *labels, int C)
{
	CB_SHARED(exps, part, ROW / 32);
	const int t = (int)threadIdx.x, label = labels[blockIdx.x];
	const int64_t row = (int64_t)blockIdx.x * C;
	const bool lse = s.agg == CB_AGG_LSE;
	exps sum = { -3e38f, 0 };	/* so that -inf - top is no NaN */
	float all, own, share;
	int c, k, who;

	for (c = t; c < C && label >= 0; c += ROW) {
		if (!lse)
			include(sum, pooled(s, row + c, &who));
		for (k = 0; k < s.K && lse; k++)
			include(sum, cb_f32(s.x[k * s.plane + row + c]));
	}
	all = block_log_sum(sum, part);
	own = label < 0 ? 0 : pooled(s, row + label, &who);
	if (t == 0)
		each[blockIdx.x] = label < 0 ? 0 : all - own;
	if (s.dx == nullptr)
		return;
	share = gradient_share(s);
	for (c = t; c < C; c += ROW) {
		if (label < 0)
			spread(s, row + c, 0, 0);
		else if (!lse) {
			const float v = cb_exp(pooled(s, row + c, &who) - all);

			spread(s, row + c, who, share * (c == label ? v - 1 :
			    v));
		} else for (k = 0; k < s.K; k++) {
			const float v = cb_f32(s.x[k * s.plane + row + c]);

			s.dx[k * s.plane + row + c] = cb_elem_of<E>(share *
			    (cb_exp(v - all) - (c == label ? cb_exp(v - own) :
			    0)));
		}
	}
}

/* ---- what has a thread a score */

CB_FN float
sigmoid(float x)
{
	const float e = cb_exp(x < 0 ? x : -x);

	return (x < 0 ? e : 1) / (1 + e);
}

template <typename E> CB_KERNEL(256)
loss_bce(float *each, scores<E> s, const float *labels)
{
	const int64_t at = (int64_t)blockIdx.x * 256 + threadIdx.x;
	int who;

	if (at >= s.plane)
		return;
	const float v = pooled(s, at, &who), y = labels[at];
	each[at] = cb_max(v, 0.f) - v * y + log1pf(cb_exp(v < 0 ? v : -v));
	if (s.dx != nullptr)
		spread(s, at, who, (sigmoid(v) - y) * gradient_share(s));
}

template <typename E> CB_KERNEL(256)
loss_mse(float *each, scores<E> s, const float *labels)
{
	const int64_t at = (int64_t)blockIdx.x * 256 + threadIdx.x;
	int who;

	if (at >= s.plane)
		return;
	const float d = pooled(s, at, &who) - labels[at];
	each[at] = d * d;
	if (s.dx != nullptr)
		spread(s, at, who, 2 * d * gradient_share(s));
}

/* A thread owns the gradient of a row: that of a match is the sum over its
 * group. */
template <typename E> CB_KERNEL(256)
loss_rank(float *each, scores<E> s, float margin, int group)
{
	const int64_t at = (int64_t)blockIdx.x * 256 + threadIdx.x;
	const int64_t match = at / group * group;
	int who, other;

	if (at >= s.plane)
		return;
	const float own = sigmoid(pooled(s, at, &who));
	float d = 0;
	if (at != match) {
		const float h = margin + own -
		    sigmoid(pooled(s, match, &other));

		each[match / group * (group - 1) + at - match - 1] =
		    cb_max(h, 0.f);
		d = h < 0 ? 0 : 1;
	}
	for (int j = 1; j < group && at == match && match + j < s.plane; j++)
		d -= margin + sigmoid(pooled(s, at + j, &other)) - own < 0 ?
		    0 : 1;
	if (s.dx != nullptr)
		spread(s, at, who, d * own * (1 - own) * gradient_share(s));
}

/* One block: total = factor * sum of each [n]. */
CB_KERNEL(1024)
loss_total(float *total, const float *each, int64_t n, float factor)
{
	CB_SHARED(float, part, 32);
	const int t = (int)threadIdx.x;
	float sum = 0;

	for (int64_t i = t; i < n; i += 1024)
		sum += each[i];
	sum = cb_warp_sum(sum);
	if (t % 32 == 0)
		part[t / 32] = sum;
	cb_syncthreads();
	if (t < 32) {
		sum = cb_warp_sum(part[t]);
		if (t == 0)
			*total = factor * sum;
	}
}

/* ---- launches */

static unsigned
blocks(int64_t n)
{
	return (unsigned)((n + 255) / 256);
}

template <typename E> static int
pool_of(cudaStream_t st, float *out, const void *clip, cb_agg agg, int K,
    int N, int C)
{
	const scores<E> s = { (const E *)clip, nullptr, (int64_t)N * C, K, agg,
	    0, nullptr };

	return s.plane == 0 ? cudaSuccess : CB_LAUNCH(pool_scores<E>,
	    blocks(s.plane), 256, 0, st, out, s);
}

int
cu_pool_scores(cudaStream_t s, enum cu_type t, float *out, const void *clip,
    enum cb_agg agg, int K, int N, int C)
{
	return t == CU_F32 ? pool_of<float>(s, out, clip, agg, K, N, C) :
	    t == CU_BF16 ? pool_of<cb_bf16>(s, out, clip, agg, K, N, C) :
	    pool_of<cb_f16>(s, out, clip, agg, K, N, C);
}

/* How many losses, and of how many their total is the mean. */
static int64_t
losses(int64_t *mean_of, const struct cb_loss *l)
{
	const int64_t hinges = l->kind == CB_LOSS_RANK ?
	    (int64_t)(l->N / l->group) * (l->group - 1) : 0;

	*mean_of = l->kind == CB_LOSS_RANK ? hinges : l->N;
	return l->kind == CB_LOSS_BCE ? (int64_t)l->N * l->C : *mean_of;
}

template <typename E> static int
loss_of(cudaStream_t st, float *each, void *dclip, const void *clip,
    const void *labels, const struct cb_loss *l, float share,
    const float *scale)
{
	const scores<E> s = { (const E *)clip, (E *)dclip, (int64_t)l->N *
	    l->C, l->K, l->agg, share, scale };
	const float *y = (const float *)labels;

	if (s.plane == 0)
		return cudaSuccess;
	switch (l->kind) {
	case CB_LOSS_CE:
		return CB_LAUNCH(loss_ce<E>, (unsigned)l->N, ROW, 0, st, each,
		    s, (const int32_t *)labels, l->C);
	case CB_LOSS_BCE:
		return CB_LAUNCH(loss_bce<E>, blocks(s.plane), 256, 0, st,
		    each, s, y);
	case CB_LOSS_MSE:
		return CB_LAUNCH(loss_mse<E>, blocks(s.plane), 256, 0, st,
		    each, s, y);
	default:
		return CB_LAUNCH(loss_rank<E>, blocks(s.plane), 256, 0, st,
		    each, s, l->margin, l->group);
	}
}

int
cu_loss(cudaStream_t s, enum cu_type t, float *total, float *each,
    void *dclip, const void *clip, const void *labels,
    const struct cb_loss *l, const float *scale)
{
	int64_t mean_of, n = losses(&mean_of, l);
	const float share = mean_of > 0 ? l->share / mean_of : 0;
	int e;

	e = t == CU_F32 ? loss_of<float>(s, each, dclip, clip, labels, l,
	    share, scale) : t == CU_BF16 ? loss_of<cb_bf16>(s, each, dclip,
	    clip, labels, l, share, scale) : loss_of<cb_f16>(s, each, dclip,
	    clip, labels, l, share, scale);
	return e != cudaSuccess ? e : CB_LAUNCH(loss_total, 1, 1024, 0, s,
	    total, each, n, share);
}
