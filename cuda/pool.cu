/*
 * Max pooling (twin: ref/pool.c).  y[p,i,j,c] = max over the window of x, then
 * ReLU if asked.  Backward, each element of x looks through the windows that it
 * lies in for those that it won: it is the maximum, which y tells, and none
 * before it in row-major order is; so no two threads write to one place, and dx
 * is written once.
 *
 * A thread has N channels of one output.  Bound by bytes: what windows share
 * comes from the caches.  Measured on no device yet.
 */
#include "launch.h"

static const int THREADS = 256;

struct Shape {
	int	 H, W, C, OH, OW, k, stride, pad;
	bool	 relu;
};

template <typename E, int N> CB_KERNEL(THREADS)
pool_fwd(E *y, const E *x, Shape g, int64_t n)
{
	float best[N] = {}, v[N];
	uint32_t at, line, p;

	CU_EACH(i, n) {
		const int c = (int)cu_split(&at, (uint32_t)i, g.C / N) * N;
		const int b0 = (int)cu_split(&line, at, g.OW) * g.stride -
		    g.pad;
		const int a0 = (int)cu_split(&p, line, g.OH) * g.stride -
		    g.pad;
		bool first = true;

		for (int a = cb_max(a0, 0); a < cb_min(a0 + g.k, g.H); a++)
			for (int b = cb_max(b0, 0); b < cb_min(b0 + g.k, g.W);
			    b++) {
				cu_load<N>(v, x + (((int64_t)p * g.H + a) *
				    g.W + b) * g.C + c);
#pragma unroll
				for (int j = 0; j < N; j++)
					best[j] = first || v[j] > best[j] ?
					    v[j] : best[j];
				first = false;
			}
#pragma unroll
		for (int j = 0; j < N; j++)
			best[j] = g.relu && best[j] < 0 ? 0 : best[j];
		cu_store<N>(y + i * N, best);
	}
}

/* sum += dy where window (i,j) of picture p was won by (a,b). */
template <int N, typename E> CB_FN void
take(float *sum, const float *own, const E *dy, const E *x, const E *y,
    const Shape &g, int64_t p, int i, int j, int a, int b, int c)
{
	const int64_t at = ((p * g.OH + i) * g.OW + j) * g.C + c;
	float top[N], v[N];
	bool won[N], any = false;

	cu_load<N>(top, y + at);
#pragma unroll
	for (int q = 0; q < N; q++) {
		won[q] = own[q] == top[q] && !(g.relu && top[q] <= 0);
		any = any || won[q];
	}
	if (!any)
		return;
	/* the places of the window before (a,b) */
	for (int u = cb_max(i * g.stride - g.pad, 0); u <= a; u++)
		for (int w = cb_max(j * g.stride - g.pad, 0);
		    w < (u < a ? cb_min(j * g.stride - g.pad + g.k, g.W) : b);
		    w++) {
			cu_load<N>(v, x + ((p * g.H + u) * g.W + w) * g.C + c);
#pragma unroll
			for (int q = 0; q < N; q++)
				won[q] = won[q] && v[q] != own[q];
		}
	cu_load<N>(v, dy + at);
#pragma unroll
	for (int q = 0; q < N; q++)
		sum[q] += won[q] ? v[q] : 0;
}

template <typename E, int N> CB_KERNEL2(THREADS, 2)
pool_bwd(E *dx, const E *dy, const E *x, const E *y, Shape g, int64_t n)
{
	float own[N], sum[N];
	uint32_t at, line, p;

	CU_EACH(q, n) {
		const int c = (int)cu_split(&at, (uint32_t)q, g.C / N) * N;
		const int b = (int)cu_split(&line, at, g.W);
		const int a = (int)cu_split(&p, line, g.H);
		/* The first window that ends behind it, the last that begins
		 * before. */
		const int i0 = cb_max(a + g.pad - g.k + g.stride, 0) / g.stride;
		const int j0 = cb_max(b + g.pad - g.k + g.stride, 0) / g.stride;
		const int i1 = cb_min((a + g.pad) / g.stride, g.OH - 1);
		const int j1 = cb_min((b + g.pad) / g.stride, g.OW - 1);

		cu_load<N>(own, x + q * N);
#pragma unroll
		for (int j = 0; j < N; j++)
			sum[j] = 0;
		for (int i = i0; i <= i1; i++)
			for (int j = j0; j <= j1; j++)
				take<N>(sum, own, dy, x, y, g, p, i, j, a, b,
				    c);
		cu_store<N>(dx + q * N, sum);
	}
}

/* ---- launchers */

static Shape
shape_of(const struct cb_pool2d *g)
{
	return { g->H, g->W, g->C, (g->H + 2 * g->pad - g->k) / g->stride + 1,
	    (g->W + 2 * g->pad - g->k) / g->stride + 1, g->k, g->stride, g->pad,
	    g->relu };
}

template <typename E, int N> static int
fwd_of(cudaStream_t s, void *y, const void *x, const Shape &g, int P)
{
	const int64_t n = (int64_t)P * g.OH * g.OW * (g.C / N);

	return n == 0 ? cudaSuccess : CB_LAUNCH((pool_fwd<E, N>),
	    cu_blocks(n, THREADS), THREADS, 0, s, (E *)y, (const E *)x, g, n);
}

int
cu_pool_fwd(cudaStream_t s, enum cu_type t, void *y, const void *x,
    const struct cb_pool2d *g, int P)
{
	return CU_ROWS(t, g->C, fwd_of, s, y, x, shape_of(g), P);
}

template <typename E, int N> static int
bwd_of(cudaStream_t s, void *dx, const void *dy, const void *x, const void *y,
    const Shape &g, int P)
{
	const int64_t n = (int64_t)P * g.H * g.W * (g.C / N);

	return n == 0 ? cudaSuccess : CB_LAUNCH((pool_bwd<E, N>),
	    cu_blocks(n, THREADS), THREADS, 0, s, (E *)dx, (const E *)dy,
	    (const E *)x, (const E *)y, g, n);
}

int
cu_pool_bwd(cudaStream_t s, enum cu_type t, void *dx, const void *dy,
    const void *x, const void *y, const struct cb_pool2d *g, int P)
{
	return CU_ROWS(t, g->C, bwd_of, s, dx, dy, x, y, shape_of(g), P);
}
