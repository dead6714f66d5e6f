/*
 * AdamW over many parameters at once, and the norm that clips the gradient
 * before it.  (Twin: lib/engine/ref/adamw.c.)
 *
 *	g' = g * grad_scale
 *	m = b1 m + (1 - b1) g',  v = b2 v + (1 - b2) g'^2
 *	w -= lr fix m / (sqrt(v) + eps),  then  w -= lr wd w
 *
 * Weights, moments and gradients are four vectors with the same offsets, cut
 * into segments that share a rate and a decay.  The vectors, not the segments,
 * are dealt out to blocks: one launch, whatever the sizes, and a block looks up
 * by halving which segments its piece touches.  Loshchilov and Hutter, ICLR
 * 2019, arXiv:1711.05101; as the original steps it, see the twin.
 *
 * Libraries compute with weights in elements: these are written beside, from the
 * registers that hold the new weights, in the layout of cast.cu and with the same
 * bits, so that nobody has to read them again.
 */
#include "launch.h"

enum { PIECE = 4096, ROUND = 4 * 256 };	/* elements: of a block, a round */

struct rule {
	float	 b1, c1, b2, c2, eps, fix, grad_scale;
};

CB_FN void
update(float &w, float &m, float &v, float g, const rule &r, float step,
    float decay)
{
	g *= r.grad_scale;
	m = r.b1 * m + r.c1 * g;
	v = r.b2 * v + r.c2 * g * g;
	w -= step * m / (cb_sqrt(v) + r.eps);
	w -= decay * w;
}

/* ---- copies; j: the place in what is copied */

template <typename E> CB_FN void
store4(E *p, const float *v)
{
	*(uint64_t *)p = cb_pack2<E>(v[0], v[1]) |
	    (uint64_t)cb_pack2<E>(v[2], v[3]) << 32;
}

template <> CB_FN void store4(float *p, const float *v) { cb_store(p, v); }

template <typename E> CB_FN void
leave_in_order(const cu_copy &y, float v, int64_t j)
{
	const E e = cb_elem_of<E>(y.scale != NULL ? v *
	    cb_global(y.scale)[(uint32_t)j / (uint32_t)y.C] : v);

	cb_global((E *)y.to)[j] = e;
	if (y.wide != NULL)
		cb_global(y.wide)[j] = cb_f32(e);
}

/* n weights of a convolution.  Taps are far apart in the copy: the cache puts
 * together what neighbours in a block write. */
template <typename E> CB_FN void
leave_taps(const cu_copy &y, const float *v, int64_t j, int n)
{
	uint32_t o, c, u;

	u = cu_split(&o, (uint32_t)j, y.kk);
	c = cu_split(&o, o, y.C);
#pragma unroll
	for (int k = 0; k < 4; k++) {
		if (k < n)
			cb_global((E *)y.to)[((int64_t)o * y.kk + u) * y.Cp +
			    c] = cb_elem_of<E>(y.scale != NULL ? v[k] *
			    cb_global(y.scale)[o] : v[k]);
		if (++u == (uint32_t)y.kk) {
			u = 0;
			if (++c == (uint32_t)y.C) {
				c = 0;
				o++;
			}
		}
	}
}

/* The four weights at i of the vectors. */
template <typename E> CB_FN void
leave4(const cu_copy &y, const float *v, int64_t i)
{
	const int64_t j = i - y.from;
	float a = 1, scaled[4];

	if (y.kk > 0)
		leave_taps<E>(y, v, j, 4);
	else if (j % 4 == 0 && y.wide == NULL) {
		if (y.scale != NULL)
			a = cb_global(y.scale)[(uint32_t)j / (uint32_t)y.C];
#pragma unroll
		for (int k = 0; k < 4; k++)
			scaled[k] = v[k] * a;
		store4(cb_global((E *)y.to) + j, scaled);
	} else
#pragma unroll
		for (int k = 0; k < 4; k++)
			leave_in_order<E>(y, v[k], j + k);
}

template <typename E> CB_FN void
leave1(const cu_copy &y, float v, int64_t i)
{
	if (y.kk > 0)
		leave_taps<E>(y, &v, i - y.from, 1);
	else
		leave_in_order<E>(y, v, i - y.from);
}

/* ---- the step */

/* Four elements from i on, of which those in lo .. hi-1 are meant; wide: where
 * 16 bytes begin. */
template <typename E> CB_FN void
update4(float *w, float *m, float *v, const float *g, int64_t i, bool wide,
    int64_t lo, int64_t hi, const rule &r, float step, float decay,
    const cu_copy &copy)
{
	float w4[4], m4[4], v4[4], g4[4];

	if (wide && lo <= i && i + 4 <= hi) {
		cb_load(w4, w + i);
		cb_load(m4, m + i);
		cb_load(v4, v + i);
		cb_load(g4, g + i);
#pragma unroll
		for (int j = 0; j < 4; j++)
			update(w4[j], m4[j], v4[j], g4[j], r, step, decay);
		cb_store(w + i, w4);
		cb_store(m + i, m4);
		cb_store(v + i, v4);
		if (copy.to != NULL)
			leave4<E>(copy, w4, i);
		return;
	}
#pragma unroll 1
	for (int64_t j = cb_max(i, lo); j < cb_min(i + 4, hi); j++) {
		update(w[j], m[j], v[j], g[j], r, step, decay);
		if (copy.to != NULL)
			leave1<E>(copy, w[j], j);
	}
}

/* The first segment that ends behind `at`. */
CB_FN int
segment_at(const cu_segment *segments, int count, int64_t at)
{
	int lo = 0, hi = count;

	while (lo < hi) {
		const int mid = (lo + hi) / 2;

		if (segments[mid].at + segments[mid].n > at)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

/* How many floats p is behind where 16 bytes begin. */
CB_FN int
behind(const float *p)
{
	return (int)((uintptr_t)p / 4 & 3);
}

/*
 * A block updates one piece of the vectors, a thread four elements a round.
 * Bound by memory: 28 bytes an element, and 2 of a copy in 16 bits.
 */
template <typename E> CB_KERNEL2(256, 5)
adamw(float *w, float *m, float *v, const float *g,
    const cu_segment *segments, int count, rule r)
{
	const int64_t first = (int64_t)blockIdx.x * PIECE;
	const int skew = behind(w);
	const bool wide = behind(m) == skew && behind(v) == skew &&
	    behind(g) == skew;
	int k = segment_at(segments, count, first);

	for (; k < count && segments[k].at < first + PIECE; k++) {
		const cu_segment &s = segments[k];
		const int64_t lo = cb_max(first, s.at);
		const int64_t hi = cb_min(first + PIECE, s.at + s.n);
		const float step = s.lr * r.fix, decay = s.lr * s.wd;
		int64_t i = (lo + skew) / 4 * 4 - skew + 4 * (int)threadIdx.x;

		for (; i < hi; i += ROUND)
			update4<E>(w, m, v, g, i, wide, lo, hi, r, step, decay,
			    s.copy);
	}
}

template <typename E> static int
adamw_of(cudaStream_t s, float *w, float *m, float *v, const float *g,
    const cu_segment *segments, int count, int64_t end, const rule &r)
{
	return CB_LAUNCH((adamw<E>), (unsigned)((end + PIECE - 1) / PIECE), 256,
	    0, s, w, m, v, g, segments, count, r);
}

int
cu_adamw(cudaStream_t s, enum cu_type t, float *w, float *m, float *v,
    const float *g, const struct cu_segment *segments, int count, int64_t end,
    float b1, float b2, float eps, float fix, float grad_scale)
{
	const rule r = { b1, (float)(1 - (double)b1), b2,
	    (float)(1 - (double)b2), eps, fix, grad_scale };

	if (count == 0 || end == 0)
		return cudaSuccess;
	return CU_ELEM(t, adamw_of, s, w, m, v, g, segments, count, end, r);
}

/* ---- the sum of squares: CU_PARTS sums, then their sum, all in double */

enum { SUMMERS = 512 };

/* Sum over the block of N threads, in the first; warps: one a warp, shared. */
template <int N> CB_FN double
block_sum(double v, double *warps)
{
	v = cb_warp_sum(v);
	if (cb_lane() == 0)
		warps[threadIdx.x / 32] = v;
	cb_syncthreads();
	v = 0;
	if (threadIdx.x == 0)
		for (int i = 0; i < N / 32; i++)
			v += warps[i];
	return v;
}

/*
 * A thread takes four elements at a time, and four times at once, for the many
 * loads that a memory wants in flight; the first and the last block take what
 * is before and behind the whole groups of four.  Bound by memory.
 */
CB_KERNEL(SUMMERS)
squares(double *part, const float *g, int64_t n)
{
	CB_SHARED(double, warps, SUMMERS / 32);
	const int64_t head = cb_min(n, (int64_t)((4 - behind(g)) & 3));
	const int64_t groups = (n - head) / 4, tail = head + 4 * groups;
	const int64_t stride = (int64_t)gridDim.x * SUMMERS;
	const int t = (int)threadIdx.x;
	double sum = 0;

	for (int64_t i = (int64_t)blockIdx.x * SUMMERS + t; i < groups;
	    i += 4 * stride) {
		float x[4][4];

#pragma unroll
		for (int k = 0; k < 4; k++) {
			x[k][0] = x[k][1] = x[k][2] = x[k][3] = 0;
			if (i + k * stride < groups)
				cb_load(x[k], g + head + 4 * (i + k * stride));
		}
#pragma unroll
		for (int k = 0; k < 4; k++)
#pragma unroll
			for (int j = 0; j < 4; j++)
				sum += (double)x[k][j] * x[k][j];
	}
	if (blockIdx.x == 0 && t < head)
		sum += (double)g[t] * g[t];
	if (blockIdx.x == gridDim.x - 1 && tail + t < n)
		sum += (double)g[tail + t] * g[tail + t];
	sum = block_sum<SUMMERS>(sum, warps);
	if (t == 0)
		part[blockIdx.x] = sum;
}

CB_KERNEL(CU_PARTS)
squares_total(double *out, const double *part)
{
	CB_SHARED(double, warps, CU_PARTS / 32);
	const double sum = block_sum<CU_PARTS>(part[threadIdx.x], warps);

	if (threadIdx.x == 0)
		*out = sum;
}

int
cu_sumsq(cudaStream_t s, double *out, const float *g, int64_t n, double *part)
{
	int e = CB_LAUNCH(squares, CU_PARTS, SUMMERS, 0, s, part, g, n);

	return e != cudaSuccess ? e : CB_LAUNCH(squares_total, 1, CU_PARTS, 0,
	    s, out, part);
}
