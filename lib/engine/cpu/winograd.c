/*
 * 3x3 convolutions with stride 1 by F(4x4, 3x3): 36 multiplications where the
 * plain sum has 144 (arXiv:1509.09308).  With points 0, p, -p, q, -q and
 * infinity,
 *
 *	y = A' [ (G w G') * (B' x B) ] A
 *
 * for tiles x of 6x6 pixels and y of 4x4.  Summed over channels, each of the 36
 * products is one of matrices: [tiles,C] [C,O].
 *
 * dx is the same with the kernel turned round.  dw is the adjoint in w: the
 * gradient of G w G' is (B' x B) * (A dy A') summed over tiles, again 36
 * products of matrices, [C,tiles] [tiles,O].
 *
 * p and q are not the usual 1 and 2 but 5/8 and 3/2: on 256 channels the
 * largest error is 1.3 times that of the plain sum, with 1 and 2 it is 4.9 times.
 */
#include "conv.h"

#define P1 0.625f
#define Q1 1.5f
#define P2 (P1 * P1)
#define Q2 (Q1 * Q1)
#define N0 (1 / (P2 * Q2))		/* rows of G are divided by ... */
#define NP (1 / (2 * P2 * (P2 - Q2)))
#define NQ (1 / (2 * Q2 * (Q2 - P2)))

#define POINTS 36
#define APART 16
#define SCRATCH (5 << 18)		/* bytes of tiles at a time ... */
#define LEAST 28			/* ... but so many of them ... */
#define MOST 112			/* ... at most */

/* ---- the transforms, of six, four or three vectors in a line */

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

/* ---- weights: for each of the 36, [C,O] in panels */

int64_t
winograd_bytes(const struct cb_conv_plan *c)
{
	return (int64_t)POINTS * c->g.C * c->g.O * (int64_t)sizeof(float);
}

struct pack {
	const struct cb_conv_plan *c;
	struct way w;
	float	*out;
};

static void
pack_task(void *arg, int task, int thread)
{
	const struct pack *p = arg;
	const struct way *w = &p->w;
	int64_t in = w->back ? (int64_t)w->O * 9 : 9;	/* between channels */
	int64_t on = w->back ? 9 : (int64_t)w->C * 9;
	int n = task * 16, c, o, a, b;
	const float *from = p->c->w + n * on, *f;
	float *to = p->out + panel_at(w->C, w->O, n / PANEL, 0) + n % PANEL;
	int64_t step = panel_at(w->C, w->O, n / PANEL, 1) -
	    panel_at(w->C, w->O, n / PANEL, 0);
	float lane[9][16];
	v16 t[3][6], u[6], x[3];

	(void)thread;
	for (c = 0; c < w->C; c++, from += in, to += step) {
		for (o = 0; o < 16; o++)
			for (a = 0, f = from + o * on; a < 9; a++)
				lane[w->back ? 8 - a : a][o] = f[a];
		for (a = 0; a < 3; a++) {
			for (b = 0; b < 3; b++)
				x[b] = load(lane[3 * a + b]);
			weight(t[a], x);
		}
		for (b = 0; b < 6; b++) {
			for (a = 0; a < 3; a++)
				x[a] = t[a][b];
			weight(u, x);
			for (a = 0; a < 6; a++)
				store(to + (int64_t)(6 * a + b) * w->C * w->O,
				    u[a]);
		}
	}
}

void
winograd_pack(struct cpu *u, const struct cb_conv_plan *c, bool back,
    float *out)
{
	struct pack p = { c, cpu_conv_way(c, back), out };

	cpu_run(u, pack_task, &p, p.w.O / 16);
}

/* ---- tiles */

struct tiles {
	int	 h, w;		/* of a picture, rows and columns of tiles */
	int64_t	 n;		/* in all */
};

static struct tiles
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

static struct at
at(const struct tiles *t, int64_t n)
{
	return (struct at){ n / ((int64_t)t->h * t->w),
	    (int)(n / t->w % t->h) * 4, (int)(n % t->w) * 4 };
}

/*
 * The 6x6 pixels around a tile of x [P,H,W,C], transformed: number i of the 36
 * at v + i vs.  Channel c is found at c / wide * far + c % wide, for a layout
 * in panels (wide is PANEL) or in rows (wide is C).
 */
static void
tile_in(float *v, int64_t vs, int wide, int64_t far, const float *x, int H,
    int W, int C, struct at t)
{
	bool inside = t.i > 0 && t.j > 0 && t.i + 5 <= H && t.j + 5 <= W;
	const float *from = x + ((t.p * H + t.i - 1) * W + t.j - 1) * C;
	int c, a, b, y, z;
	v16 d[6][6], l[6];
	float *to;

	for (c = 0; c < C; c += 16) {
		to = v + c / wide * far + c % wide;
		for (a = 0; a < 6; a++) {
			const float *f = from + (int64_t)a * W * C + c;

			if (inside) {
				for (b = 0; b < 6; b++)
					l[b] = load(f + b * C);
			} else {
				y = t.i - 1 + a;
				for (b = 0; b < 6; b++) {
					z = t.j - 1 + b;
					l[b] = y < 0 || y >= H || z < 0 ||
					    z >= W ? (v16){ 0 } :
					    load(f + b * C);
				}
			}
			input(d[a], l);
		}
		for (b = 0; b < 6; b++) {
			for (a = 0; a < 6; a++)
				l[a] = d[a][b];
			input(l, (v16 [6]){ l[0], l[1], l[2], l[3], l[4],
			    l[5] });
			for (a = 0; a < 6; a++)
				store(to + (6 * a + b) * vs, l[a]);
		}
	}
}

/* Columns [n0, n1) of the 36 products of a tile, to y. */
static void
tile_out(const struct way *w, const struct conv_args *g, const float *m,
    int64_t ms, struct at t, int n0, int n1)
{
	int rows = w->OH - t.i < 4 ? w->OH - t.i : 4;
	int columns = w->OW - t.j < 4 ? w->OW - t.j : 4, c, a, b;
	int64_t first = ((t.p * w->OH + t.i) * w->OW + t.j) * w->O, i;
	v16 d[6][4], l[6], y[4], z;

	for (c = n0; c < n1; c += 16) {
		for (a = 0; a < 6; a++) {
			for (b = 0; b < 6; b++)
				l[b] = load(m + (6 * a + b) * ms + c);
			output(d[a], l);
		}
		for (b = 0; b < columns; b++) {
			for (a = 0; a < 6; a++)
				l[a] = d[a][b];
			output(y, l);
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

/* ---- y from x, dx from dy */

/* A task is a run of tiles and a range of columns. */
struct job {
	struct cpu *u;
	struct way w;
	struct tiles t;
	const struct conv_args *a;
	const float *packed;
	int	 runs, splits, most;	/* tiles in a run */
};

static void
run_task(void *arg, int task, int thread)
{
	const struct job *j = arg;
	const struct way *w = &j->w;
	int run = task / j->splits, s = task % j->splits, i;
	int64_t lo = part(j->t.n, j->runs, run), ldv = w->C + APART, r;
	int64_t ldm = w->O + APART, vs = j->most * ldv, ms = j->most * ldm;
	int n = (int)(part(j->t.n, j->runs, run + 1) - lo);
	int p0 = (int)part(panels(w->O), j->splits, s);
	int p1 = (int)part(panels(w->O), j->splits, s + 1);
	float *v = j->u->own[thread], *m = v + POINTS * vs;
	struct gemm g = { .lda = ldv, .ldy = ldm, .T = n, .K = w->C,
	    .N = w->O };

	for (r = 0; r < n; r++)
		tile_in(v + r * ldv, vs, w->C, 0, j->a->x, w->H, w->W, w->C,
		    at(&j->t, lo + r));
	for (i = 0; i < POINTS; i++) {
		g.a = v + i * vs;
		g.b = j->packed + (int64_t)i * w->C * w->O;
		g.y = m + i * ms;
		gemm_rows(&g, p0, p1);
	}
	for (r = 0; r < n; r++)
		tile_out(w, j->a, m + r * ldm, ms, at(&j->t, lo + r),
		    p0 * PANEL, p1 * PANEL < w->O ? p1 * PANEL : w->O);
}

void
winograd_run(struct cpu *u, const struct cb_conv_plan *c, bool back,
    const float *packed, const struct conv_args *a)
{
	struct job j = { .u = u, .w = cpu_conv_way(c, back), .a = a,
	    .packed = packed, .t = tiles_of(c->OH, c->OW, a->P) };
	int64_t tile = POINTS * (int64_t)sizeof(float) * (j.w.C + j.w.O);
	int64_t fit = SCRATCH / tile;

	fit = fit < LEAST ? LEAST : fit > MOST ? MOST : fit;
	j.runs = (int)((j.t.n + fit - 1) / fit);
	if (j.runs > u->threads)	/* so that all end together */
		j.runs += (u->threads - j.runs % u->threads) % u->threads;
	j.splits = j.runs >= u->threads ? 1 : (u->threads + j.runs - 1) /
	    j.runs;
	if (j.splits > panels(j.w.O))
		j.splits = panels(j.w.O);
	j.most = (int)((j.t.n + j.runs - 1) / j.runs);
	if (cpu_own(u, j.most * (tile + 2 * POINTS * APART *
	    (int64_t)sizeof(float))) == 0)
		cpu_run(u, run_task, &j, j.runs * j.splits);
}

/* ---- dw from x and dy */

#define DW_BYTES (16 << 20)		/* of transformed tiles at a time */
#define DW_ROWS 128			/* that stay in the first cache */

struct dw {
	const struct cb_conv_plan *c;
	struct tiles t;
	const float *x, *dy;
	float	*v, *m, *u, *dw;	/* transformed: x, dy and dw */
	int64_t	 lo;			/* the tiles of now */
	int	 n;
};

/* One tile of dy, transformed, in panels [.,n,PANEL]. */
static void
tile_dy(const struct dw *d, int r)
{
	const struct cb_conv_plan *p = d->c;
	struct at t = at(&d->t, d->lo + r);
	int O = p->g.O, c, a, b;
	int64_t first = ((t.p * p->OH + t.i) * p->OW + t.j) * O;
	v16 e[4][6], l[6], k[6];
	float *to;

	for (c = 0; c < O; c += 16) {
		to = d->m + panel_at(d->n, O, c / PANEL, r) + c % PANEL;
		for (a = 0; a < 4; a++) {
			for (b = 0; b < 4; b++)
				l[b] = t.i + a >= p->OH || t.j + b >= p->OW ?
				    (v16){ 0 } : load(d->dy + first +
				    ((int64_t)a * p->OW + b) * O + c);
			output_back(e[a], l);
		}
		for (b = 0; b < 6; b++) {
			for (a = 0; a < 4; a++)
				l[a] = e[a][b];
			output_back(k, l);
			for (a = 0; a < 6; a++)
				store(to + (int64_t)(6 * a + b) * d->n * O,
				    k[a]);
		}
	}
}

static void
in_task(void *arg, int task, int thread)
{
	const struct dw *d = arg;
	const struct cb_conv *g = &d->c->g;

	(void)thread;
	tile_in(d->v + task * PANEL, (int64_t)d->n * g->C, PANEL, (int64_t)
	    d->n * PANEL, d->x, g->H, g->W, g->C, at(&d->t, d->lo + task));
	tile_dy(d, task);
}

/* One of the 36 products. */
static void
product_task(void *arg, int task, int thread)
{
	const struct dw *d = arg;
	int C = d->c->g.C, O = d->c->g.O, m, n, r, rows;
	const float *v = d->v + (int64_t)task * d->n * C;
	const float *k = d->m + (int64_t)task * d->n * O;
	float *u = d->u + (int64_t)task * C * O;

	(void)thread;
	for (r = 0; r < d->n; r += rows) {
		rows = d->n - r < DW_ROWS ? d->n - r : DW_ROWS;
		for (n = 0; n < O; n += PANEL)
			for (m = 0; m < C; m += PANEL)
				gemm_columns(u + (int64_t)m * O + n, O,
				    v + (int64_t)m * d->n + r * PANEL, PANEL,
				    PANEL, k + (int64_t)n * d->n + r * PANEL,
				    PANEL, PANEL, rows, d->lo + r > 0);
	}
}

/* For 16 output channels: transformed back, scaled, added. */
static void
weight_task(void *arg, int task, int thread)
{
	const struct dw *d = arg;
	int C = d->c->g.C, O = d->c->g.O, c, o, a, b;
	const float *from;
	float *to, lane[9][16];
	v16 t[6][3], l[6], w[3];

	(void)thread;
	for (c = 0; c < C; c++) {
		from = d->u + (int64_t)c * O + task * 16;
		for (a = 0; a < 6; a++) {
			for (b = 0; b < 6; b++)
				l[b] = load(from + (int64_t)(6 * a + b) * C *
				    O);
			weight_back(t[a], l);
		}
		for (b = 0; b < 3; b++) {
			for (a = 0; a < 6; a++)
				l[a] = t[a][b];
			weight_back(w, l);
			for (a = 0; a < 3; a++)
				store(lane[3 * a + b], w[a]);
		}
		for (o = 0; o < 16; o++) {
			to = d->dw + ((int64_t)(task * 16 + o) * C + c) * 9;
			for (a = 0; a < 9; a++)
				to[a] += d->c->scale[task * 16 + o] *
				    lane[a][o];
		}
	}
}

void
winograd_dw(struct cpu *u, const struct cb_conv_plan *c, float *dw,
    const float *dy, const float *x, int P)
{
	struct dw d = { .c = c, .t = tiles_of(c->OH, c->OW, P), .x = x,
	    .dy = dy, .dw = dw };
	int64_t both = c->g.C + c->g.O, bytes = winograd_bytes(c), fit;
	int64_t most, runs;

	fit = (bytes > DW_BYTES ? bytes : DW_BYTES) / POINTS / 4 / both;
	runs = (d.t.n + fit - 1) / fit;
	most = (d.t.n + runs - 1) / runs;
	d.u = cpu_shared(u, POINTS * (most * both + (int64_t)c->g.C * c->g.O) *
	    (int64_t)sizeof(float));
	if (d.u == NULL)
		return;
	d.v = d.u + (int64_t)POINTS * c->g.C * c->g.O;
	d.m = d.v + POINTS * most * c->g.C;
	for (d.lo = 0; d.lo < d.t.n; d.lo += d.n) {
		d.n = (int)(d.t.n - d.lo < most ? d.t.n - d.lo : most);
		cpu_run(u, in_task, &d, d.n);
		cpu_run(u, product_task, &d, POINTS);
	}
	cpu_run(u, weight_task, &d, c->g.O / 16);
}
