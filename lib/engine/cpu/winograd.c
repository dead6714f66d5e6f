/*
 * 3x3 convolutions with stride 1 by F(4x4, 3x3): 36 multiplications where the
 * plain sum has 144 (arXiv:1509.09308).  With points 0, p, -p, q, -q and
 * infinity,
 *
 *	y = A' [ (G w G') * (B' x B) ] A
 *
 * for tiles x of 6x6 pixels and y of 4x4.  Summed over channels, each of the 36
 * products is one of matrices: [tiles,C] [C,O].  Tiles of two pixels, at the
 * edges, have a part in 24 or 16 of them (winograd.h).
 *
 * dx is the same with the kernel turned round; dw: winograd-dw.c.
 *
 * p and q are not the usual 1 and 2 but 5/8 and 3/2: on 256 channels the
 * largest error is 1.3 times that of the plain sum, with 1 and 2 it is 4.9 times.
 *
 * Transformed weights take four times the memory of plain ones, so none are
 * kept.  Where channels are few, all are transformed at once, and a task is a
 * run of tiles that fits the second cache together with its products.  Where
 * they are many, all tiles are transformed at once, and a task is a panel of
 * output channels: it transforms the weights of a slice of input channels,
 * which fit the second cache, uses them for every tile, and goes on.
 */
#include "winograd.h"

#define APART 16
#define SCRATCH (5 << 17)		/* bytes of tiles at a time ... */
#define LEAST 28			/* ... but so many of them ... */
#define MOST 42			/* ... at most */
#define MANY 512			/* channels, in and out together ... */
#define FEW_TILES 128			/* ... or tiles so few */
#define SLICE 128			/* input channels */
#define ALL 256				/* tiles at once, at most */

/* ---- weights */

/* Rows [c, c + n) of a panel of columns from o on: 36 of [n,PANEL], `apart`. */
static void
weights(float *u, int64_t apart, const struct cb_conv_plan *p, bool back,
    int c, int n, int o)
{
	float block[16 * 9 * 16], *to;
	v16 t[3][6], d[6], x[3];
	int i, j, k, a, b;

	for (j = 0; j < PANEL; j += 16) for (i = 0; i < n; i++) {
		if (i % 16 == 0)
			cpu_weights(block, p, back, c + i, o + j);
		for (a = 0; a < 3; a++) {
			for (b = 0; b < 3; b++)
				x[b] = load(block + (i % 16 * 9 + 3 * a + b) *
				    16);
			weight(t[a], x);
		}
		to = u + i * PANEL + j;
		for (b = 0; b < 6; b++) {
			for (a = 0; a < 3; a++)
				x[a] = t[a][b];
			weight(d, x);
			for (k = 0; k < 6; k++)
				store(to + (6 * k + b) * apart, d[k]);
		}
	}
}

/* ---- tiles */

static inline __attribute__((always_inline)) void
tile(float *v, int64_t vs, int wide, int64_t far, const float *x, int H, int W,
    int C, struct at t, const bool low, const bool narrow)
{
	bool inside = t.i > 0 && t.j > 0 && t.i + 5 <= H && t.j + 5 <= W;
	const float *from = x + ((t.p * H + t.i - 1) * W + t.j - 1) * C;
	int rows = low ? 4 : 6, columns = narrow ? 4 : 6, c, a, b, y, z;
	v16 d[6][6], l[6], k[6];
	float *to;

	for (c = 0; c < C; c += 16) {
		to = v + c / wide * far + c % wide;
		for (a = 0; a < rows; a++) {
			const float *f = from + (int64_t)a * W * C + c;

			if (inside) {
				for (b = 0; b < columns; b++)
					l[b] = load(f + b * C);
			} else {
				y = t.i - 1 + a;
				for (b = 0; b < columns; b++) {
					z = t.j - 1 + b;
					l[b] = y < 0 || y >= H || z < 0 ||
					    z >= W ? (v16){ 0 } :
					    load(f + b * C);
				}
			}
			(narrow ? input_2 : input)(d[a], l);
		}
		for (b = 0; b < 6; b++) {
			if (narrow && is_missing(b))
				continue;
			for (a = 0; a < rows; a++)
				l[a] = d[a][b];
			(low ? input_2 : input)(k, l);
			for (a = 0; a < 6; a++)
				if (!low || !is_missing(a))
					store(to + (6 * a + b) * vs, k[a]);
		}
	}
}

void
winograd_tile(float *v, int64_t vs, int wide, int64_t far, const float *x,
    int H, int W, int C, struct at t)
{
	if (t.low || t.narrow)
		tile(v, vs, wide, far, x, H, W, C, t, t.low, t.narrow);
	else
		tile(v, vs, wide, far, x, H, W, C, t, false, false);
}

/* Columns [n0, n1) of the 36 products of a tile, to y. */
static inline __attribute__((always_inline)) void
out(const struct way *w, const struct conv_args *g, const float *m,
    int64_t ms, struct at t, int n0, int n1, const bool low, const bool narrow)
{
	int rows = w->OH - t.i < 4 ? w->OH - t.i : 4;
	int columns = w->OW - t.j < 4 ? w->OW - t.j : 4, c, a, b;
	int64_t first = ((t.p * w->OH + t.i) * w->OW + t.j) * w->O, i;
	v16 d[6][4], l[6], y[4], z;

	for (c = n0; c < n1; c += 16) {
		for (a = 0; a < 6; a++) {
			if (low && is_missing(a))
				continue;
			for (b = 0; b < 6; b++)
				if (!narrow || !is_missing(b))
					l[b] = load(m + (6 * a + b) * ms + c);
			(narrow ? output_2 : output)(d[a], l);
		}
		for (b = 0; b < columns; b++) {
			for (a = 0; a < 6; a++)
				if (!low || !is_missing(a))
					l[a] = d[a][b];
			(low ? output_2 : output)(y, l);
			for (a = 0; a < rows; a++) {
				i = first + ((int64_t)a * w->OW + b) * w->O + c;
				z = y[a];
				if (g->bias != NULL)
					z += load(g->bias + c);
				if (g->add)
					z += load(g->y + i);
				if (g->res != NULL)
					z += load(g->res + i);
				store(g->y + i, g->relu ? positive(z) : z);
			}
		}
	}
}

static void
tile_out(const struct way *w, const struct conv_args *g, const float *m,
    int64_t ms, struct at t, int n0, int n1)
{
	if (t.low || t.narrow)
		out(w, g, m, ms, t, n0, n1, t.low, t.narrow);
	else
		out(w, g, m, ms, t, n0, n1, false, false);
}

/* ---- y from x, dx from dy */

struct job {
	struct cpu *u;
	const struct cb_conv_plan *c;
	struct way w;
	struct tiles t;
	const struct conv_args *a;
	float	*shared;	/* transformed: weights, or tiles */
	int	 runs, splits, most;	/* tiles in a run */
	int64_t	 lo;		/* with many channels: the tiles of now */
	int	 n;
};

/* ---- few channels: a task is a run of tiles and a range of columns */

static int
slices(const struct way *w)
{
	return (w->C + SLICE - 1) / SLICE;
}

static int
in_slice(const struct way *w, int s)
{
	return w->C - s * SLICE < SLICE ? w->C - s * SLICE : SLICE;
}

static void
weights_task(void *arg, int task, int thread)
{
	const struct job *j = arg;
	const struct way *w = &j->w;
	int p = task / slices(w), s = task % slices(w);

	(void)thread;
	weights(j->shared + panel_at(w->C, w->O, p, s * SLICE), (int64_t)w->C *
	    w->O, j->c, w->back, s * SLICE, in_slice(w, s), p * PANEL);
}

static void
run_task(void *arg, int task, int thread)
{
	const struct job *j = arg;
	const struct way *w = &j->w;
	int run = task / j->splits, s = task % j->splits, i, first;
	int64_t lo = part(j->t.n, j->runs, run), ldv = w->C + APART, r;
	int64_t ldm = w->O + APART, vs = j->most * ldv, ms = j->most * ldm;
	int n = (int)(part(j->t.n, j->runs, run + 1) - lo);
	int p0 = (int)part(panels(w->O), j->splits, s);
	int p1 = (int)part(panels(w->O), j->splits, s + 1);
	float *v = j->u->own[thread], *m = v + POINTS * vs;
	struct gemm g = { .lda = ldv, .ldy = ldm, .K = w->C, .N = w->O };

	for (r = 0; r < n; r++)
		winograd_tile(v + r * ldv, vs, w->C, 0, j->a->x, w->H, w->W, w->C,
		    at(&j->t, lo + r));
	for (i = 0; i < POINTS; i++) {
		g.T = tiles_in(&j->t, i, lo, n, &first);
		g.a = v + i * vs + first * ldv;
		g.b = j->shared + (int64_t)i * w->C * w->O;
		g.y = m + i * ms + first * ldm;
		gemm_rows(&g, p0, p1);
	}
	for (r = 0; r < n; r++)
		tile_out(w, j->a, m + r * ldm, ms, at(&j->t, lo + r),
		    p0 * PANEL, p1 * PANEL < w->O ? p1 * PANEL : w->O);
}

static void
few_channels(struct job *j)
{
	struct cpu *u = j->u;
	int64_t tile = POINTS * (int64_t)sizeof(float) * (j->w.C + j->w.O);
	int64_t fit = SCRATCH / tile;

	fit = fit < LEAST ? LEAST : fit > MOST ? MOST : fit;
	j->runs = (int)((j->t.n + fit - 1) / fit);
	if (j->runs > u->threads)	/* so that all end together */
		j->runs += (u->threads - j->runs % u->threads) % u->threads;
	j->splits = j->runs >= u->threads ? 1 : (u->threads + j->runs - 1) /
	    j->runs;
	if (j->splits > panels(j->w.O))
		j->splits = panels(j->w.O);
	j->most = (int)((j->t.n + j->runs - 1) / j->runs);
	j->shared = cpu_shared(u, POINTS * (int64_t)j->w.C * j->w.O *
	    (int64_t)sizeof(float));
	if (j->shared == NULL || cpu_own(u, j->most * (tile + 2 * POINTS *
	    APART * (int64_t)sizeof(float))) < 0)
		return;
	cpu_run(u, weights_task, j, panels(j->w.O) * slices(&j->w));
	cpu_run(u, run_task, j, j->runs * j->splits);
}

/* ---- many channels: tiles as [slices][36][tiles,SLICE], panels as tasks */

static int64_t
tiles_apart(const struct job *j)
{
	return (int64_t)j->n * SLICE + APART;
}

static void
tile_task(void *arg, int task, int thread)
{
	const struct job *j = arg;
	const struct way *w = &j->w;
	int64_t vs = tiles_apart(j);

	(void)thread;
	winograd_tile(j->shared + task * SLICE, vs, SLICE, POINTS * vs,
	    j->a->x, w->H, w->W, w->C, at(&j->t, j->lo + task));
}

/* Asks for what product i can wait for of the slice that comes next. */
static void
weights_ahead(const struct job *j, int p, int s, int i)
{
	const struct way *w = &j->w;
	int c, n;

	if (s == slices(w)) {
		s = 0;
		p += 1;
	}
	if (p >= panels(w->O))
		return;
	n = in_slice(w, s);
	c = (int)part(n, POINTS, i);
	cpu_weights_ahead(j->c, w->back, s * SLICE + c, (int)part(n, POINTS,
	    i + 1) - c, p * PANEL, PANEL);
}

static void
panel_task(void *arg, int p, int thread)
{
	const struct job *j = arg;
	const struct way *w = &j->w;
	const int64_t us = SLICE * PANEL + APART, vs = tiles_apart(j);
	const int64_t ms = (int64_t)j->n * PANEL + APART;
	float *d = j->u->own[thread], *m = d + POINTS * us;
	struct gemm g = { .lda = SLICE, .ldy = PANEL, .N = PANEL };
	int s, i, r, first;

	for (s = 0; s < slices(w); s++) {
		g.K = in_slice(w, s);
		g.add = s > 0;
		weights(d, us, j->c, w->back, s * SLICE, g.K, p * PANEL);
		for (i = 0; i < POINTS; i++) {
			weights_ahead(j, p, s + 1, i);
			g.T = tiles_in(&j->t, i, j->lo, j->n, &first);
			g.a = j->shared + (s * POINTS + i) * vs;
			g.ahead = g.a + vs;
			g.ahead_end = g.ahead + vs;
			g.a += first * SLICE;
			g.b = d + i * us;
			g.y = m + i * ms + first * PANEL;
			gemm_rows(&g, 0, 1);
		}
	}
	for (r = 0; r < j->n; r++)
		tile_out(w, j->a, m + r * PANEL - p * PANEL, ms, at(&j->t,
		    j->lo + r), p * PANEL, (p + 1) * PANEL);
}

static void
many_channels(struct job *j)
{
	int runs = (int)((j->t.n + ALL - 1) / ALL);
	int64_t most = (j->t.n + runs - 1) / runs;

	j->shared = cpu_shared(j->u, slices(&j->w) * POINTS * (most * SLICE +
	    APART) * (int64_t)sizeof(float));
	if (j->shared == NULL || cpu_own(j->u, POINTS * ((most + SLICE) *
	    PANEL + 2 * APART) * (int64_t)sizeof(float)) < 0)
		return;
	for (j->lo = 0; j->lo < j->t.n; j->lo += j->n) {
		j->n = (int)(j->t.n - j->lo < most ? j->t.n - j->lo : most);
		cpu_run(j->u, tile_task, j, j->n);
		cpu_run(j->u, panel_task, j, panels(j->w.O));
	}
}

void
winograd_run(struct cpu *u, const struct cb_conv_plan *c, bool back,
    const struct conv_args *a)
{
	struct job j = { .u = u, .c = c, .w = cpu_conv_way(c, back), .a = a,
	    .t = tiles_of(c->OH, c->OW, a->P) };

	if (j.w.C + j.w.O > MANY || j.t.n < FEW_TILES)
		many_channels(&j);
	else
		few_channels(&j);
}
