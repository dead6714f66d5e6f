/*
 * Element by element: bias and activation, the derivative of activations, and
 * addition.  (Twin: ref/linear.c, with the formulas.)  All are bound by bytes: a
 * thread moves 16 of each operand at once, and the activation is chosen once for
 * them.  Measured on no device yet.
 */
#include "launch.h"

static const int THREADS = 256;

/* v = act(v), for N of them. */
template <int N> CB_FN void
activate(float *v, int act)
{
	switch (act) {
	case CB_ACT_RELU:
#pragma unroll
		for (int j = 0; j < N; j++)
			v[j] = v[j] > 0 ? v[j] : 0;
		break;
	case CB_ACT_GELU:
#pragma unroll
		for (int j = 0; j < N; j++)
			v[j] *= .5f * (1 + cb_erf(v[j] * .70710678f));
		break;
	case CB_ACT_TANH:
#pragma unroll
		for (int j = 0; j < N; j++)
			v[j] = cb_tanh(v[j]);
		break;
	case CB_ACT_ELU:
#pragma unroll
		for (int j = 0; j < N; j++)
			v[j] = v[j] > 0 ? v[j] : cb_expm1(v[j]);
		break;
	}
}

/* v *= act'(.) by what is kept, for N of them. */
template <int N> CB_FN void
slope(float *v, const float *k, int act)
{
	switch (act) {
	case CB_ACT_RELU:
#pragma unroll
		for (int j = 0; j < N; j++)
			v[j] = k[j] > 0 ? v[j] : 0;
		break;
	case CB_ACT_GELU:	/* Phi(z) + z phi(z) */
#pragma unroll
		for (int j = 0; j < N; j++)
			v[j] *= .5f * (1 + cb_erf(k[j] * .70710678f)) +
			    k[j] * .39894228f * cb_exp(-.5f * k[j] * k[j]);
		break;
	case CB_ACT_TANH:
#pragma unroll
		for (int j = 0; j < N; j++)
			v[j] *= 1 - k[j] * k[j];
		break;
	case CB_ACT_ELU:
#pragma unroll
		for (int j = 0; j < N; j++)
			v[j] *= k[j] > 0 ? 1 : k[j] + 1;
		break;
	}
}

/* ---- y = act(x + bias [+ res]); a thread: N channels of a row */

template <typename E, int N> CB_KERNEL(THREADS)
bias_act(E *y, const E *x, const float *bias, const E *res, int act,
    int64_t rows, int C)
{
	const int wide = C / N;
	float v[N], b[N];
	uint32_t row;

	CU_EACH(i, rows * wide) {
		const int c = (int)cu_split(&row, (uint32_t)i, wide) * N;

		cu_load<N>(v, x + i * N);
		if (bias != NULL) {
			cu_load_param<N>(b, bias + c);
#pragma unroll
			for (int j = 0; j < N; j++)
				v[j] += b[j];
		}
		if (res != NULL) {
			cu_load<N>(b, res + i * N);
#pragma unroll
			for (int j = 0; j < N; j++)
				v[j] += b[j];
		}
		activate<N>(v, act);
		cu_store<N>(y + i * N, v);
	}
}

template <typename E, int N> static int
bias_act_of(cudaStream_t s, void *y, const void *x, const float *bias,
    const void *res, int act, int64_t rows, int C)
{
	return CB_LAUNCH((bias_act<E, N>), cu_blocks(rows * (C / N), THREADS),
	    THREADS, 0, s, (E *)y, (const E *)x, bias, (const E *)res, act,
	    rows, C);
}

int
cu_bias_act(cudaStream_t s, enum cu_type t, void *y, const void *x,
    const float *bias, const void *res, enum cb_act act, int64_t n, int C)
{
	if (n == 0 || C == 0)
		return cudaSuccess;
	return CU_ROWS(t, C, bias_act_of, s, y, x, bias, res, act, n, C);
}

/* ---- runs without rows; a thread: 16 bytes, the last what is left */

template <typename E> CB_KERNEL(THREADS)
act_bwd(E *dz, const E *dy, const E *kept, int act, int64_t n)
{
	const int N = CB_WIDE(E);
	float v[N], k[N];

	CU_EACH(q, (n + N - 1) / N) {
		const int64_t i = q * N;

		if (i + N <= n) {
			cb_load(v, dy + i);
			cb_load(k, kept + i);
			slope<N>(v, k, act);
			cb_store(dz + i, v);
			continue;
		}
		for (int64_t j = i; j < n; j++) {
			v[0] = cb_f32(dy[j]);
			k[0] = cb_f32(kept[j]);
			slope<1>(v, k, act);
			dz[j] = cb_elem_of<E>(v[0]);
		}
	}
}

template <typename E> static int
act_bwd_of(cudaStream_t s, void *dz, const void *dy, const void *kept, int act,
    int64_t n)
{
	return CB_LAUNCH((act_bwd<E>), cu_blocks((n + CB_WIDE(E) - 1) /
	    CB_WIDE(E), THREADS), THREADS, 0, s, (E *)dz, (const E *)dy,
	    (const E *)kept, act, n);
}

int
cu_act_bwd(cudaStream_t s, enum cu_type t, void *dz, const void *dy,
    const void *kept, enum cb_act act, int64_t n)
{
	if (n == 0)
		return cudaSuccess;
	if (act == CB_ACT_NONE)		/* its slope needs no kept */
		kept = dy;
	return CU_ELEM(t, act_bwd_of, s, dz, dy, kept, act, n);
}

template <typename E> CB_KERNEL(THREADS)
add(E *y, const E *x, int64_t n)
{
	const int N = CB_WIDE(E);
	float v[N], a[N];

	CU_EACH(q, (n + N - 1) / N) {
		const int64_t i = q * N;

		if (i + N <= n) {
			cb_load(v, y + i);
			cb_load(a, x + i);
#pragma unroll
			for (int j = 0; j < N; j++)
				v[j] += a[j];
			cb_store(y + i, v);
			continue;
		}
		for (int64_t j = i; j < n; j++)
			y[j] = cb_elem_of<E>(cb_f32(y[j]) + cb_f32(x[j]));
	}
}

template <typename E> static int
add_of(cudaStream_t s, void *y, const void *x, int64_t n)
{
	return CB_LAUNCH((add<E>), cu_blocks((n + CB_WIDE(E) - 1) / CB_WIDE(E),
	    THREADS), THREADS, 0, s, (E *)y, (const E *)x, n);
}

int
cu_add(cudaStream_t s, enum cu_type t, void *y, const void *x, int64_t n)
{
	return n == 0 ? cudaSuccess : CU_ELEM(t, add_of, s, y, x, n);
}
