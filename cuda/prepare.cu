/*
 * Pictures for the CNN, from bytes to normalised elements in one pass (twin:
 * ref/prepare.c, with the formulas): resize, pad with zeros, (value - mean) / std,
 * in the order B G R, and zeros behind them to as many channels as convolutions
 * are quick with.  The place of a pixel is computed in double, as there: its
 * weights decide what the network sees.
 *
 * A thread has one pixel, so that the threads of a warp read neighbouring bytes,
 * 12 a pixel that the L1 cache mostly has, and write 16 bytes each, side by side.
 * Bound by instructions and bytes alike.  Measured on no device yet.
 */
#include "launch.h"

static const int THREADS = 256;

struct Normal { float mean[3], scale[3]; };	/* in the order of x: B G R */

/* Output o of `out` along an axis of `in` inputs: i[0] (1-l) + i[1] l. */
CB_FN void
tap(float *l, int i[2], int o, int in, int out)
{
	const float scale = (float)in / (float)out;
	const double pos = cb_max(scale * (o + .5) - .5, 0.);

	i[0] = (int)pos;
	i[1] = cb_min(i[0] + 1, in - 1);
	*l = (float)(pos - i[0]);
}

/* Pixel (y,z) of the picture after resizing and padding: R G B. */
CB_FN void
pixel(float v[3], const cu_picture &a, int y, int z)
{
	int iy[2], ix[2];
	float ly, lx;

	v[0] = v[1] = v[2] = 0;
	if (y >= a.rows || z >= a.cols)
		return;
	tap(&ly, iy, y, a.h, a.rows);
	tap(&lx, ix, z, a.w, a.cols);
	const uint8_t *up = cb_global(a.rgb) + (int64_t)iy[0] * a.w * 3;
	const uint8_t *down = cb_global(a.rgb) + (int64_t)iy[1] * a.w * 3;
#pragma unroll
	for (int c = 0; c < 3; c++)
		v[c] = (1 - ly) * ((1 - lx) * up[3 * ix[0] + c] +
		    lx * up[3 * ix[1] + c]) +
		    ly * ((1 - lx) * down[3 * ix[0] + c] +
		    lx * down[3 * ix[1] + c]);
}

template <typename E> CB_KERNEL(THREADS)
prepare(E *x, const cu_picture *pictures, int64_t n, int S, Normal to)
{
	const int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x;
	float v[3], out[CU_COLOURS] = { 0 };
	uint32_t line, p;

	if (i >= n)
		return;
	const int z = (int)cu_split(&line, (uint32_t)i, S);
	const int y = (int)cu_split(&p, line, S);

	pixel(v, pictures[p], y, z);
#pragma unroll
	for (int c = 0; c < 3; c++)
		out[c] = (v[2 - c] - to.mean[c]) * to.scale[c];
#pragma unroll
	for (int c = 0; c < CU_COLOURS; c += CB_WIDE(E))
		cb_store(x + CU_COLOURS * i + c, out + c);
}

template <typename E> static int
prepare_of(cudaStream_t s, void *x, const struct cu_picture *pictures,
    int64_t n, int S, const Normal &to)
{
	return CB_LAUNCH((prepare<E>), (unsigned)((n + THREADS - 1) / THREADS),
	    THREADS, 0, s, (E *)x, pictures, n, S, to);
}

int
cu_prepare(cudaStream_t s, enum cu_type t, void *x,
    const struct cu_picture *pictures, int P, int S, const float mean[3],
    const float std[3])
{
	const Normal to = { { mean[2], mean[1], mean[0] },
	    { 1 / std[2], 1 / std[1], 1 / std[0] } };

	if (P == 0)
		return cudaSuccess;
	return CU_ELEM(t, prepare_of, s, x, pictures, (int64_t)P * S * S, S,
	    to);
}
