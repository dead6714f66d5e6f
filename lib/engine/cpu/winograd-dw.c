/*
 * dw of a 3x3 convolution by Winograd, the adjoint of winograd.c: the gradient
 * of G w G' is (B' x B) * (A dy A') summed over tiles, 36 products of matrices
 * [C,tiles] [tiles,O].
 *
 * Some tiles at a time, x and dy are transformed into panels.  Then a task is a
 * block of dw: its 36 products stay in the second cache until they are turned
 * back and added.
 */
#include "winograd.h"

#define BYTES (16 << 20)		/* of transformed tiles at a time ... */
#define LEAST 128			/* ... but so many of them */
#define ROWS_1 128			/* of a panel, for the first cache */
#define DEEP 2				/* panels of C in a block, one of O */

struct dw {
	struct cpu *u;
	const struct cb_conv_plan *c;
	struct tiles t;
	const float *x, *dy;
	float	*v, *m, *dw;		/* transformed: x and dy */
	int64_t	 lo;			/* the tiles of now */
	int	 n;
};

/* One tile of dy, transformed, in panels [.,n,PANEL]. */
static void
tile_dy(const struct dw *d, int r)
{
	const struct cb_conv_plan *p = d->c;
	struct at t = at(&d->t, d->lo + r);
	int rows = t.low ? 2 : 4, columns = t.narrow ? 2 : 4, O = p->g.O, c, a, b;
	int64_t first = ((t.p * p->OH + t.i) * p->OW + t.j) * O;
	v16 e[4][6], l[6], k[6];
	float *to;

	for (c = 0; c < O; c += 16) {
		to = d->m + panel_at(d->n, O, c / PANEL, r) + c % PANEL;
		for (a = 0; a < rows; a++) {
			for (b = 0; b < columns; b++)
				l[b] = t.i + a >= p->OH || t.j + b >= p->OW ?
				    (v16){ 0 } : load(d->dy + first +
				    ((int64_t)a * p->OW + b) * O + c);
			(t.narrow ? output_2_back : output_back)(e[a], l);
		}
		for (b = 0; b < 6; b++) {
			if (t.narrow && is_missing(b))
				continue;
			for (a = 0; a < rows; a++)
				l[a] = e[a][b];
			(t.low ? output_2_back : output_back)(k, l);
			for (a = 0; a < 6; a++)
				if (!t.low || !is_missing(a))
					store(to + (int64_t)(6 * a + b) *
					    d->n * O, k[a]);
		}
	}
}

static void
in_task(void *arg, int task, int thread)
{
	const struct dw *d = arg;
	const struct cb_conv *g = &d->c->g;

	(void)thread;
	winograd_tile(d->v + task * PANEL, (int64_t)d->n * g->C, PANEL, (int64_t)
	    d->n * PANEL, d->x, g->H, g->W, g->C, at(&d->t, d->lo + task));
	tile_dy(d, task);
}

/* Products [36][DEEP * PANEL, PANEL] of rows [c, c + n) and panel p. */
static void
products(const struct dw *d, float *u, int64_t apart, int c, int n, int p)
{
	int C = d->c->g.C, O = d->c->g.O, i, r, m, rows, first, end;
	const float *v, *k;

	for (i = 0; i < POINTS; i++) {
		end = tiles_in(&d->t, i, d->lo, d->n, &first);
		end += first;
		r = first;
		do {		/* once where there are none: zeros */
			rows = end - r < ROWS_1 ? end - r : ROWS_1;
			k = d->m + (int64_t)i * d->n * O +
			    panel_at(d->n, O, p, r);
			for (m = 0; m < n; m += PANEL) {
				v = d->v + (int64_t)i * d->n * C +
				    panel_at(d->n, C, (c + m) / PANEL, r);
				gemm_columns(u + i * apart + m * PANEL, PANEL,
				    v, PANEL, PANEL, k, PANEL, PANEL, rows,
				    r > first);
			}
			r += rows;
		} while (r < end);
	}
}

static void
block_task(void *arg, int task, int thread)
{
	const struct dw *d = arg;
	const int64_t apart = DEEP * PANEL * PANEL + 16;
	int C = d->c->g.C, np = panels(d->c->g.O), p = task % np, i, j, a, b;
	int c = task / np * DEEP * PANEL;
	int n = C - c < DEEP * PANEL ? C - c : DEEP * PANEL;
	float *u = d->u->own[thread], *from, block[16 * 9 * 16];
	v16 t[6][3], l[6], w[3];

	products(d, u, apart, c, n, p);
	for (j = 0; j < PANEL; j += 16) for (i = 0; i < n; i++) {
		from = u + i * PANEL + j;
		for (a = 0; a < 6; a++) {
			for (b = 0; b < 6; b++)
				l[b] = load(from + (6 * a + b) * apart);
			weight_back(t[a], l);
		}
		for (b = 0; b < 3; b++) {
			for (a = 0; a < 6; a++)
				l[a] = t[a][b];
			weight_back(w, l);
			for (a = 0; a < 3; a++)
				store(block + (i % 16 * 9 + 3 * a + b) * 16,
				    w[a]);
		}
		if (i % 16 == 15)
			cpu_weights_add(d->dw, d->c, block, c + i - 15,
			    p * PANEL + j);
	}
}

void
winograd_dw(struct cpu *u, const struct cb_conv_plan *c, float *dw,
    const float *dy, const float *x, int P)
{
	struct dw d = { .u = u, .c = c, .t = tiles_of(c->OH, c->OW, P), .x = x,
	    .dy = dy, .dw = dw };
	int64_t tile = POINTS * (int64_t)sizeof(float) * (c->g.C + c->g.O);
	int64_t fit = BYTES / tile < LEAST ? LEAST : BYTES / tile;
	int64_t runs = (d.t.n + fit - 1) / fit;
	int64_t most = (d.t.n + runs - 1) / runs;

	d.v = cpu_shared(u, most * tile);
	if (d.v == NULL || cpu_own(u, POINTS * (DEEP * PANEL * PANEL + 16) *
	    (int64_t)sizeof(float)) < 0)
		return;
	d.m = d.v + POINTS * most * c->g.C;
	for (d.lo = 0; d.lo < d.t.n; d.lo += d.n) {
		d.n = (int)(d.t.n - d.lo < most ? d.t.n - d.lo : most);
		cpu_run(u, in_task, &d, d.n);
		cpu_run(u, block_task, &d, panels(c->g.O) * ((c->g.C + DEEP *
		    PANEL - 1) / (DEEP * PANEL)));
	}
}
