/*
 * Pictures for the CNN.  The longer side becomes S; along each axis
 *
 *	scale = (float)in / (float)out
 *	pos   = max(0, scale * (o + 0.5) - 0.5)			in double
 *	i0 = (int)pos,  i1 = min(i0 + 1, in - 1),  l1 = pos - i0,  l0 = 1 - l1
 *
 * and the value is l0 (l0 a + l1 b) + l1 (l0 c + l1 d), in float; zeros at the
 * right and the bottom; then (value - mean) / std, in the order B G R.
 */
#include "ref.h"

static int
tap(float l[2], int i[2], int o, int in, int out)
{
	float scale = (float)in / (float)out;
	double pos = scale * (o + 0.5) - 0.5;

	if (o >= out)
		return 0;
	if (pos < 0)
		pos = 0;
	i[0] = (int)pos;
	i[1] = i[0] + 1 < in ? i[0] + 1 : in - 1;
	l[1] = (float)(pos - i[0]);
	l[0] = 1 - l[1];
	return 1;
}

static void
prepare(float *x, const struct cb_array *a, int S, const float mean[3],
    const float std[3])
{
	const uint8_t *u = a->data;
	int h = (int)a->dim[0], w = (int)a->dim[1], rows, cols, y, z, c;
	int iy[2], ix[2];
	float ly[2], lx[2], v;

#define AT(i, j) ((float)u[((int64_t)iy[i] * w + ix[j]) * 3 + c])
	cb_resized(&rows, &cols, h, w, S);
	for (y = 0; y < S; y++) for (z = 0; z < S; z++)
	for (c = 0; c < 3; c++) {
		v = 0;
		if (tap(ly, iy, y, h, rows) && tap(lx, ix, z, w, cols))
			v = ly[0] * (lx[0] * AT(0, 0) + lx[1] * AT(0, 1)) +
			    ly[1] * (lx[0] * AT(1, 0) + lx[1] * AT(1, 1));
		x[((int64_t)y * S + z) * 3 + 2 - c] = (v - mean[c]) / std[c];
	}
#undef AT
}

void
ref_prepare(struct cb_engine *e, struct cb_elem *x,
    const struct cb_array *pictures, int P, int S, const float mean[3],
    const float std[3])
{
	int p;

	(void)e;
	for (p = 0; p < P; p++)
		prepare(f32(x) + (int64_t)p * S * S * 3, &pictures[p], S, mean,
		    std);
}
