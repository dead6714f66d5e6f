/*
 * Between f32 and elements, between numbers of channels, and between the layout
 * of a convolution's weights as a parameter, [O,C,k,k], and as libraries take
 * them, [O,k,k,C], with the scale of the frozen batch norm in the first:
 *
 *	y[o,u,v,c] = w[o,c,u,v] scale[o]
 *	dw[o,c,u,v] += d[o,u,v,c] scale[o]
 *
 * All are bound by bytes.  Measured on no device yet.
 */
#include "launch.h"

static const int THREADS = 256;

/* ---- casts; a thread: 8 numbers, the last what is left */

template <typename E> CB_FN void load8(float *v, const E *p) { cb_load(v, p); }
template <> CB_FN void
load8(float *v, const float *p)
{
	cu_load_param<8>(v, p);
}
template <typename E> CB_FN void
store8(E *p, const float *v)
{
	cb_store(p, v);
}
template <> CB_FN void
store8(float *p, const float *v)
{
	cu_store_param<8>(p, v);
}

template <typename To, typename From> CB_KERNEL(THREADS)
cast(To *y, const From *x, int64_t n)
{
	float v[8];

	CU_EACH(q, (n + 7) / 8) {
		const int64_t i = 8 * q;

		if (i + 8 <= n) {
			load8(v, x + i);
			store8(y + i, v);
			continue;
		}
		for (int64_t j = i; j < n; j++)
			y[j] = cb_elem_of<To>(cb_f32(x[j]));
	}
}

template <typename To, typename From> static int
cast_of(cudaStream_t s, void *y, const void *x, int64_t n)
{
	if (n == 0)
		return cudaSuccess;
	return CB_LAUNCH((cast<To, From>), cu_blocks((n + 7) / 8, THREADS),
	    THREADS, 0, s, (To *)y, (const From *)x, n);
}

int
cu_to_elem(cudaStream_t s, enum cu_type t, void *y, const float *x, int64_t n)
{
	return t == CU_F32 ? cast_of<float, float>(s, y, x, n) :
	    t == CU_BF16 ? cast_of<cb_bf16, float>(s, y, x, n) :
	    cast_of<cb_f16, float>(s, y, x, n);
}

int
cu_to_f32(cudaStream_t s, enum cu_type t, float *y, const void *x, int64_t n)
{
	return t == CU_F32 ? cast_of<float, float>(s, y, x, n) :
	    t == CU_BF16 ? cast_of<float, cb_bf16>(s, y, x, n) :
	    cast_of<float, cb_f16>(s, y, x, n);
}

/* ---- a bias, and the scale beside it; a thread: one number of each */

template <typename E> CB_KERNEL(THREADS)
bias(E *y, float *wide, float *kept, const float *x, const float *scale,
    int O, int Op)
{
	CU_EACH(i, Op) {
		const E v = cb_elem_of<E>(x != NULL && i < O ? x[i] : 0);

		y[i] = v;
		wide[i] = cb_f32(v);
		if (scale != NULL && i < O)
			kept[i] = scale[i];
	}
}

template <typename E> static int
bias_of(cudaStream_t s, void *y, float *wide, float *kept, const float *x,
    const float *scale, int O, int Op)
{
	return CB_LAUNCH((bias<E>), cu_blocks(Op, THREADS), THREADS, 0, s,
	    (E *)y, wide, kept, x, scale, O, Op);
}

int
cu_bias(cudaStream_t s, enum cu_type t, void *y, float *wide, float *kept,
    const float *x, const float *scale, int O, int Op)
{
	return CU_ELEM(t, bias_of, s, y, wide, kept, x, scale, O, Op);
}

/* ---- other numbers of channels; a thread: N channels of y */

template <typename E, int N> CB_KERNEL(THREADS)
channels(E *y, int Cy, const E *x, int Cx, bool add, int64_t rows)
{
	const int wide = Cy / N;
	float v[N], was[N];
	uint32_t row;

	CU_EACH(i, rows * wide) {
		const int c = (int)cu_split(&row, (uint32_t)i, wide) * N;
		const E *from = x + (int64_t)row * Cx + c;

		if (Cx % N == 0 && c + N <= Cx)
			cu_load<N>(v, from);
		else
#pragma unroll
			for (int j = 0; j < N; j++)
				v[j] = c + j < Cx ? cb_f32(from[j]) : 0;
		if (add) {
			cu_load<N>(was, y + i * N);
#pragma unroll
			for (int j = 0; j < N; j++)
				v[j] += was[j];
		}
		cu_store<N>(y + i * N, v);
	}
}

template <typename E, int N> static int
channels_of(cudaStream_t s, void *y, int Cy, const void *x, int Cx, bool add,
    int64_t n)
{
	return CB_LAUNCH((channels<E, N>), cu_blocks(n * (Cy / N), THREADS),
	    THREADS, 0, s, (E *)y, Cy, (const E *)x, Cx, add, n);
}

int
cu_channels(cudaStream_t s, enum cu_type t, void *y, int Cy, const void *x,
    int Cx, bool add, int64_t n)
{
	if (n == 0 || Cy == 0)
		return cudaSuccess;
	return CU_ROWS(t, Cy, channels_of, s, y, Cy, x, Cx, add, n);
}

/* ---- weights of convolutions
 *
 * A block has one output channel and `run` input channels: their k k taps lie
 * side by side in w, and pass through shared memory, so that both sides are
 * read and written in order.
 */

enum { RUN_FLOATS = 12288 };		/* 48 KB */

/* Where number i of [run,kk] is held, in the second half of 64 channels or not:
 * lanes have N channels of a tap each, which would meet in every fourth bank. */
template <int N> CB_FN int
place(int i, bool second)
{
	return i + (second ? N / 2 : 0);
}

/* Input channels of a block: at most 64, at least 8; 0: k is too large. */
static int
run_of(int k)
{
	const int64_t fit = (RUN_FLOATS - 4) / ((int64_t)k * k) / 8 * 8;

	return (int)(fit < 64 ? fit : 64);
}

template <typename E, int N> CB_KERNEL(THREADS)
conv_weights(E *y, const float *w, const float *scale, int O, int C, int Cp,
    int kk, int run)
{
	CB_SHARED_DYN(float, held);		/* place() of [run,kk] */
	const int o = (int)blockIdx.x, c0 = (int)blockIdx.y * run;
	const int there = o < O ? cb_max(cb_min(run, C - c0), 0) : 0;
	const int wide = cb_min(run, Cp - c0) / N;
	const float a = scale != NULL && o < O ? scale[o] : 1;
	float v[N];

	w += ((int64_t)o * C + c0) * kk;
	for (int i = (int)threadIdx.x; i < there * kk; i += THREADS)
		held[place<N>(i, i >= 32 * kk)] = w[i] * a;
	cb_syncthreads();
	for (int i = (int)threadIdx.x; i < wide * kk; i += THREADS) {
		const int u = i / wide, c = (i - u * wide) * N;

#pragma unroll
		for (int j = 0; j < N; j++)
			v[j] = c + j < there ? held[place<N>((c + j) * kk + u,
			    c >= 32)] : 0;
		cu_store<N>(y + ((int64_t)o * kk + u) * Cp + c0 + c, v);
	}
}

template <typename E, int N> static int
conv_weights_of(cudaStream_t s, void *y, const float *w, const float *scale,
    int O, int Op, int C, int Cp, int kk, int run)
{
	return CB_LAUNCH((conv_weights<E, N>), dim3((unsigned)Op,
	    (unsigned)((Cp + run - 1) / run)), THREADS, sizeof(float) *
	    (size_t)(run * kk + N / 2), s, (E *)y, w, scale, O, C, Cp, kk, run);
}

int
cu_conv_weights(cudaStream_t s, enum cu_type t, void *y, const float *w,
    const float *scale, int O, int Op, int C, int Cp, int k)
{
	const int run = run_of(k);

	if (run == 0)
		return cudaErrorInvalidValue;
	return CU_ROWS(t, Cp, conv_weights_of, s, y, w, scale, O, Op, C, Cp,
	    k * k, run);
}

template <typename E, int N> CB_KERNEL(THREADS)
conv_gradient(float *dw, const E *d, const float *scale, int C, int Cp,
    int kk, int run)
{
	CB_SHARED_DYN(float, held);		/* place() of [run,kk] */
	const int o = (int)blockIdx.x, c0 = (int)blockIdx.y * run;
	const int there = cb_min(run, C - c0);
	const int wide = cb_min(run, Cp - c0) / N;
	const float a = scale != NULL ? scale[o] : 1;
	float v[N];

	for (int i = (int)threadIdx.x; i < wide * kk; i += THREADS) {
		const int u = i / wide, c = (i - u * wide) * N;

		cu_load<N>(v, d + ((int64_t)o * kk + u) * Cp + c0 + c);
#pragma unroll
		for (int j = 0; j < N; j++)
			held[place<N>((c + j) * kk + u, c >= 32)] = v[j];
	}
	cb_syncthreads();
	dw += ((int64_t)o * C + c0) * kk;
	for (int i = (int)threadIdx.x; i < there * kk; i += THREADS)
		dw[i] += held[place<N>(i, i >= 32 * kk)] * a;
}

template <typename E, int N> static int
conv_gradient_of(cudaStream_t s, float *dw, const void *d, const float *scale,
    int O, int C, int Cp, int kk, int run)
{
	return CB_LAUNCH((conv_gradient<E, N>), dim3((unsigned)O,
	    (unsigned)((C + run - 1) / run)), THREADS, sizeof(float) *
	    (size_t)(run * kk + N / 2), s, dw, (const E *)d, scale, C, Cp, kk, run);
}

/* Of 1 x 1, in which all stays in order.  A thread: N numbers of a row. */
template <typename E, int N> CB_KERNEL(THREADS)
row_gradient(float *dw, const E *d, const float *scale, int O, int C)
{
	const int wide = C / N;
	float v[N], was[N];
	uint32_t o;

	CU_EACH(i, (int64_t)O * wide) {
		cu_split(&o, (uint32_t)i, wide);
		const float a = scale != NULL ? scale[o] : 1;

		cu_load<N>(v, d + i * N);
		cu_load_param<N>(was, dw + i * N);
#pragma unroll
		for (int j = 0; j < N; j++)
			was[j] += v[j] * a;
		cu_store_param<N>(dw + i * N, was);
	}
}

template <typename E, int N> static int
row_gradient_of(cudaStream_t s, float *dw, const void *d, const float *scale,
    int O, int C)
{
	return CB_LAUNCH((row_gradient<E, N>), cu_blocks((int64_t)O * (C / N),
	    THREADS), THREADS, 0, s, dw, (const E *)d, scale, O, C);
}

int
cu_conv_gradient(cudaStream_t s, enum cu_type t, float *dw, const void *d,
    const float *scale, int O, int C, int Cp, int k)
{
	const int run = run_of(k);

	if (k == 1 && C == Cp)
		return CU_ROWS(t, C, row_gradient_of, s, dw, d, scale, O, C);
	if (run == 0)
		return cudaErrorInvalidValue;
	return CU_ROWS(t, Cp, conv_gradient_of, s, dw, d, scale, O, C, Cp,
	    k * k, run);
}
