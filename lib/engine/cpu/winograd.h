/*
 * Winograd's F(4x4, 3x3): points, transforms and tiles; private.  What they are
 * for: winograd.c.
 */
#ifndef CB_CPU_WINOGRAD_H
#define CB_CPU_WINOGRAD_H

#include "conv.h"

#define P1 0.625f
#define Q1 1.5f
#define P2 (P1 * P1)
#define Q2 (Q1 * Q1)
#define N0 (1 / (P2 * Q2))		/* rows of G are divided by ... */
#define NP (1 / (2 * P2 * (P2 - Q2)))
#define NQ (1 / (2 * Q2 * (Q2 - P2)))

#define POINTS 36

/*
 * Of six, four or three vectors in a line; where a tile is but two pixels there,
 * F(2, 3) with the points 0, p, -p and infinity serves, so numbers 3 and 4 of the
 * six are missing.  It uses the same weights: what they are divided by is made
 * good in the input.
 */

static inline void
input(v16 t[6], const v16 x[6])
{
	v16 e = x[4] - Q2 * x[2], o = P1 * (x[3] - Q2 * x[1]);

	t[0] = P2 * Q2 * x[0] - (P2 + Q2) * x[2] + x[4];
	t[1] = e + o;
	t[2] = e - o;
	e = x[4] - P2 * x[2];
	o = Q1 * (x[3] - P2 * x[1]);
	t[3] = e + o;
	t[4] = e - o;
	t[5] = P2 * Q2 * x[1] - (P2 + Q2) * x[3] + x[5];
}

static inline void
input_2(v16 t[6], const v16 x[4])
{
	v16 e = (P2 - Q2) * x[2], o = (P2 - Q2) * P1 * x[1];

	t[0] = Q2 * (P2 * x[0] - x[2]);
	t[1] = e + o;
	t[2] = e - o;
	t[5] = x[3] - P2 * x[1];
}

static inline void
output(v16 y[4], const v16 m[6])
{
	v16 s = m[1] + m[2], d = m[1] - m[2], u = m[3] + m[4], v = m[3] - m[4];

	y[0] = m[0] + s + u;
	y[1] = P1 * d + Q1 * v;
	y[2] = P2 * s + Q2 * u;
	y[3] = P1 * P2 * d + Q1 * Q2 * v + m[5];
}

static inline void
output_2(v16 y[2], const v16 m[6])
{
	y[0] = m[0] + m[1] + m[2];
	y[1] = P1 * (m[1] - m[2]) + m[5];
}

static inline void
weight(v16 u[6], const v16 w[3])
{
	v16 e = NP * (w[0] + P2 * w[2]), o = NP * P1 * w[1];

	u[0] = N0 * w[0];
	u[1] = e + o;
	u[2] = e - o;
	e = NQ * (w[0] + Q2 * w[2]);
	o = NQ * Q1 * w[1];
	u[3] = e + o;
	u[4] = e - o;
	u[5] = w[2];
}

/* The adjoints of the last three. */
static inline void
output_back(v16 m[6], const v16 y[4])
{
	v16 e = y[0] + P2 * y[2], o = P1 * (y[1] + P2 * y[3]);

	m[0] = y[0];
	m[1] = e + o;
	m[2] = e - o;
	e = y[0] + Q2 * y[2];
	o = Q1 * (y[1] + Q2 * y[3]);
	m[3] = e + o;
	m[4] = e - o;
	m[5] = y[3];
}

static inline void
output_2_back(v16 m[6], const v16 y[2])
{
	m[0] = y[0];
	m[1] = y[0] + P1 * y[1];
	m[2] = y[0] - P1 * y[1];
	m[5] = y[1];
}

static inline void
weight_back(v16 w[3], const v16 u[6])
{
	v16 s = NP * (u[1] + u[2]), d = NP * (u[1] - u[2]);
	v16 t = NQ * (u[3] + u[4]), v = NQ * (u[3] - u[4]);

	w[0] = N0 * u[0] + s + t;
	w[1] = P1 * d + Q1 * v;
	w[2] = P2 * s + Q2 * t + u[5];
}

/* ---- tiles */

/*
 * Tiles are in order of kind, so that each of the 36 products has its own in one
 * range: first narrow ones (of two columns or one, at the right), then whole
 * ones, low ones (at the bottom), and last those that are both.
 */
enum { NARROW, WHOLE, LOW, BOTH, KINDS };

struct tiles {
	int	 h[KINDS], w[KINDS];	/* rows and columns of a kind, a picture */
	int64_t	 end[KINDS];
	int64_t	 n;			/* in all */
};

static inline struct tiles
tiles_of(int H, int W, int P)
{
	int low = (H + 3) % 4 < 2, narrow = (W + 3) % 4 < 2, k;
	int h = (H + 3) / 4 - low, w = (W + 3) / 4 - narrow;
	struct tiles t = { .h = { h, h, low, low },
	    .w = { narrow, w, w, narrow } };

	for (k = 0; k < KINDS; k++)
		t.end[k] = t.n += (int64_t)t.h[k] * t.w[k] * P;
	return t;
}

/* A tile: its picture and the row and column of y where it begins. */
struct at {
	int64_t	 p;
	int	 i, j;
	bool	 low, narrow;
};

static inline struct at
at(const struct tiles *t, int64_t n)
{
	struct at a;
	int k = 0;

	while (n >= t->end[k])
		k++;
	n -= k > 0 ? t->end[k - 1] : 0;
	a.low = k == LOW || k == BOTH;
	a.narrow = k == NARROW || k == BOTH;
	a.p = n / ((int64_t)t->h[k] * t->w[k]);
	a.i = (int)(n / t->w[k] % t->h[k] + (a.low ? t->h[WHOLE] : 0)) * 4;
	a.j = (int)(n % t->w[k] + (a.narrow ? t->w[WHOLE] : 0)) * 4;
	return a;
}

/* Is number i of six missing where tiles are two pixels? */
static inline bool
is_missing(int i)
{
	return i == 3 || i == 4;
}

/* Those of the tiles [lo, lo + n) that have a part in product `point`: so many
 * from *first on, which counts from lo. */
static inline int
tiles_in(const struct tiles *t, int point, int64_t lo, int n, int *first)
{
	bool tall = is_missing(point / 6), wide = is_missing(point % 6);
	int64_t from = wide ? t->end[NARROW] : 0;
	int64_t to = tall ? t->end[WHOLE] : wide ? t->end[LOW] : t->n;

	from = from > lo ? from : lo;
	to = to < lo + n ? to : lo + n;
	*first = (int)(from - lo);
	return to > from ? (int)(to - from) : 0;
}

/*
 * The 6x6 pixels around a tile of x [P,H,W,C], transformed: number i of the 36
 * at v + i vs.  Channel c is found at c / wide * far + c % wide, for a layout
 * in panels or slices of `wide` channels, or in rows (wide is C).
 */
void	winograd_tile(float *v, int64_t vs, int wide, int64_t far,
	    const float *x, int H, int W, int C, struct at t);

#endif
