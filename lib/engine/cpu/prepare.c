/*
 * Pictures for the CNN.  (Twin: ref/prepare.c, with the formulas.)  A task is
 * a band of a picture.  Rows of the source are widened to S columns once each
 * and kept while neighbouring rows of the result need them; the arithmetic is
 * that of the twin.
 */
#include "cpu.h"

#define BANDS 8			/* of a picture */

struct tap {
	int	 i0, i1;
	float	 l0, l1;
};

struct job {
	struct cpu *u;
	float	*x;
	const struct cb_array *pictures;
	const float *mean, *std;
	int	 S;
};

static struct tap
tap(int o, int in, int out)
{
	float scale = (float)in / (float)out;
	double pos = scale * (o + 0.5) - 0.5;
	struct tap t;

	if (pos < 0)
		pos = 0;
	t.i0 = (int)pos;
	t.i1 = t.i0 + 1 < in ? t.i0 + 1 : in - 1;
	t.l1 = (float)(pos - t.i0);
	t.l0 = 1 - t.l1;
	return t;
}

/* Row y of the source over the columns of the result, in the order B G R. */
static void
widen(float *to, const struct cb_array *a, int y, const struct tap *t, int cols)
{
	const uint8_t *u = (const uint8_t *)a->data + y * a->dim[1] * 3, *p, *q;
	int i, c;

	for (i = 0; i < cols; i++) {
		p = u + t[i].i0 * 3;
		q = u + t[i].i1 * 3;
		for (c = 0; c < 3; c++)
			to[3 * i + 2 - c] = t[i].l0 * p[c] + t[i].l1 * q[c];
	}
}

/* x of n values v, (v - mean) / std with the channels in turn. */
static void
normalise(const struct job *j, float *x, int n)
{
	int i;

	for (i = 0; i < n; i += 3) {
		x[i] = (x[i] - j->mean[2]) / j->std[2];
		x[i + 1] = (x[i + 1] - j->mean[1]) / j->std[1];
		x[i + 2] = (x[i + 2] - j->mean[0]) / j->std[0];
	}
}

static void
prepare_task(void *arg, int task, int thread)
{
	const struct job *j = arg;
	const struct cb_array *a = &j->pictures[task / BANDS];
	int S = j->S, h = (int)a->dim[0], w = (int)a->dim[1], rows, cols, i, k;
	int end = (int)part(S, BANDS, task % BANDS + 1);
	float *line[2] = { j->u->own[thread], NULL }, *to, *swap;
	struct tap *tx, ty;
	int have[2] = { -1, -1 };

	line[1] = line[0] + 3 * (int64_t)S;
	tx = (struct tap *)(line[1] + 3 * (int64_t)S);
	cb_resized(&rows, &cols, h, w, S);
	for (i = 0; i < cols; i++)
		tx[i] = tap(i, w, cols);
	for (i = (int)part(S, BANDS, task % BANDS); i < end; i++) {
		to = j->x + ((int64_t)task / BANDS * S + i) * S * 3;
		memset(to, 0, sizeof(*to) * 3 * S);
		if (i < rows) {
			ty = tap(i, h, rows);
			if (have[1] == ty.i0) {
				swap = line[0];
				line[0] = line[1];
				line[1] = swap;
				have[1] = have[0];
				have[0] = ty.i0;
			}
			if (have[0] != ty.i0)
				widen(line[0], a, have[0] = ty.i0, tx, cols);
			if (have[1] != ty.i1)
				widen(line[1], a, have[1] = ty.i1, tx, cols);
			for (k = 0; k < 3 * cols; k++)
				to[k] = ty.l0 * line[0][k] + ty.l1 * line[1][k];
		}
		normalise(j, to, 3 * S);
	}
}

void
cpu_prepare(struct cb_engine *e, struct cb_elem *x,
    const struct cb_array *pictures, int P, int S, const float mean[3],
    const float std[3])
{
	struct job j = { cpu_of(e), f32(x), pictures, mean, std, S };

	if (cpu_own(j.u, S * (int64_t)(6 * sizeof(float) +
	    sizeof(struct tap))) == 0)
		cpu_run(j.u, prepare_task, &j, P * BANDS);
}
