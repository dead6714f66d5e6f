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

/* Of six, four or three vectors in a line. */

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
output(v16 y[4], const v16 m[6])
{
	v16 s = m[1] + m[2], d = m[1] - m[2], u = m[3] + m[4], v = m[3] - m[4];

	y[0] = m[0] + s + u;
	y[1] = P1 * d + Q1 * v;
	y[2] = P2 * s + Q2 * u;
	y[3] = P1 * P2 * d + Q1 * Q2 * v + m[5];
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

/* The adjoints of the last two. */
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
weight_back(v16 w[3], const v16 u[6])
{
	v16 s = NP * (u[1] + u[2]), d = NP * (u[1] - u[2]);
	v16 t = NQ * (u[3] + u[4]), v = NQ * (u[3] - u[4]);

	w[0] = N0 * u[0] + s + t;
	w[1] = P1 * d + Q1 * v;
	w[2] = P2 * s + Q2 * t + u[5];
}

/* ---- tiles */

struct tiles {
	int	 h, w;		/* of a picture, rows and columns of tiles */
	int64_t	 n;		/* in all */
};

static inline struct tiles
tiles_of(int H, int W, int P)
{
	struct tiles t = { (H + 3) / 4, (W + 3) / 4, 0 };

	t.n = (int64_t)t.h * t.w * P;
	return t;
}

/* Tile t: its picture and the row and column of y where it begins. */
struct at {
	int64_t	 p;
	int	 i, j;
};

static inline struct at
at(const struct tiles *t, int64_t n)
{
	return (struct at){ n / ((int64_t)t->h * t->w),
	    (int)(n / t->w % t->h) * 4, (int)(n % t->w) * 4 };
}

/*
 * The 6x6 pixels around a tile of x [P,H,W,C], transformed: number i of the 36
 * at v + i vs.  Channel c is found at c / wide * far + c % wide, for a layout
 * in panels or slices of `wide` channels, or in rows (wide is C).
 */
void	winograd_tile(float *v, int64_t vs, int wide, int64_t far,
	    const float *x, int H, int W, int C, struct at t);

#endif
