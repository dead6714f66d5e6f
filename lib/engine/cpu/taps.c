/*
 * A convolution as products of matrices, one for each tap, that is each of the
 * k x k weights of a kernel: rows are pixels of the result, the common
 * dimension channels.  1x1 kernels are one such product; 3x3 go this way where
 * they have a stride, or too few pixels share the weights for Winograd to be worth
 * it.
 *
 * A task is a block of rows and a range of columns.  It gathers the rows that a
 * tap reads into memory of its own, unless they already lie side by side:
 * strides of a power of two would have them fight for the same lines of the
 * first cache.
 */
#include "conv.h"

#define BLOCK_1 42		/* rows of the result for a 1x1 kernel ... */
#define BLOCK_K 224		/* ... and for others, with more weights */
#define APART 16		/* elements between gathered rows */
#define WORTH 65536		/* multiplications for one task */
#define FEW_ROWS 400		/* so few, for 1x1 with ... */
#define MANY_WEIGHTS (1 << 18)	/* ... so many weights: panels are tasks */
#define SLICE 256		/* input channels of a panel, for L1 */

/* ---- weights: for each tap [C,O] in panels, C and O those of the way */

struct pack {
	const struct cb_conv_plan *c;
	struct way w;
	float	*out;
};

/* 16 output channels. */
static void
pack_task(void *arg, int task, int thread)
{
	const struct pack *p = arg;
	const struct way *w = &p->w;
	int kk = w->k * w->k, n = task * 16, c, i, t;
	float block[16 * MAX_TAPS * 16];
	int64_t at;

	(void)thread;
	for (c = 0; c < w->C; c += 16) {
		cpu_weights(block, p->c, w->back, c, n);
		for (i = 0; i < 16; i++) {
			at = panel_at(w->C, w->O, n / PANEL, c + i) + n % PANEL;
			for (t = 0; t < kk; t++)
				store(p->out + at + (int64_t)t * w->C * w->O,
				    load(block + (i * kk + t) * 16));
		}
	}
}

static const float *
pack(struct cpu *u, const struct cb_conv_plan *c, bool back)
{
	struct pack p = { c, cpu_conv_way(c, back), cpu_shared(u,
	    conv_weights(c) * (int64_t)sizeof(float)) };

	if (p.out != NULL)
		cpu_run(u, pack_task, &p, p.w.O / 16);
	return p.out;
}

/* ---- running */

struct job {
	struct cpu *u;
	const struct cb_conv_plan *c;
	struct way w;
	const struct conv_args *a;
	const float *packed;
	float	*gathered;	/* all rows, or NULL */
	int64_t	 rows;		/* of the result in all */
	int	 blocks, splits;
	bool	 spread;	/* back with a stride: rows of x lie apart */
};

/* Row r of the result: picture, row and column. */
struct at {
	int64_t	 p;
	int	 i, j;
};

static struct at
at(int64_t r, int H, int W)
{
	return (struct at){ r / ((int64_t)H * W), (int)(r / W % H),
	    (int)(r % W) };
}

/* What tap (a, b) reads for rows [lo, lo + n), APART more than C apart. */
static void
gather(const struct job *j, float *to, int64_t lo, int n, int a, int b)
{
	const struct way *w = &j->w;
	int64_t apart = w->C + APART;
	struct at o;
	int y, x;

	for (o = at(lo, w->OH, w->OW); n-- > 0; to += apart) {
		y = o.i * w->stride - w->pad + a;
		x = o.j * w->stride - w->pad + b;
		if (y < 0 || y >= w->H || x < 0 || x >= w->W)
			memset(to, 0, sizeof(*to) * w->C);
		else
			memcpy(to, j->a->x + ((o.p * w->H + y) * w->W + x) *
			    w->C, sizeof(*to) * w->C);
		if (++o.j == w->OW) {
			o.j = 0;
			if (++o.i == w->OH) {
				o.i = 0;
				o.p++;
			}
		}
	}
}

static void
run_task(void *arg, int task, int thread)
{
	const struct job *j = arg;
	const struct conv_args *a = j->a;
	const struct way *w = &j->w;
	int block = task / j->splits, s = task % j->splits, t, kk = w->k * w->k;
	int64_t lo = part(j->rows, j->blocks, block);
	int64_t to = lo * w->O;
	bool here = kk == 1 && w->stride == 1 && w->C % 1024 != 0;
	struct gemm g = {
		.a = here ? a->x + lo * w->C : j->u->own[thread],
		.lda = here ? w->C : w->C + APART,
		.y = a->y + to, .ldy = w->O, .K = w->C, .N = w->O,
		.T = (int)(part(j->rows, j->blocks, block + 1) - lo),
	};

	if (kk == 1 && w->stride == 1 && block + 1 < j->blocks) {
		g.ahead = a->x + (lo + g.T) * w->C;
		g.ahead_end = g.ahead + (int64_t)g.T * w->C;
	}
	for (t = 0; t < kk; t++) {
		if (!here)
			gather(j, j->u->own[thread], lo, g.T, t / w->k,
			    t % w->k);
		g.b = j->packed + (int64_t)t * w->C * w->O;
		g.bias = t == 0 ? a->bias : NULL;
		g.add = t > 0 || a->add;
		if (t == kk - 1) {
			g.res = a->res != NULL ? a->res + to : NULL;
			g.relu = a->relu;
		}
		gemm_rows(&g, (int)part(panels(w->O), j->splits, s),
		    (int)part(panels(w->O), j->splits, s + 1));
	}
}

/* Rows of dy to those rows of dx that a 1x1 kernel with a stride saw; the rest
 * is zero. */
static void
spread_task(void *arg, int task, int thread)
{
	const struct job *j = arg;
	const struct way *w = &j->w;
	int block = task / j->splits, s = task % j->splits, i, c;
	int p0 = (int)part(panels(w->O), j->splits, s);
	int p1 = (int)part(panels(w->O), j->splits, s + 1);
	int n = p0 * PANEL, end = p1 * PANEL < w->O ? p1 * PANEL : w->O;
	int64_t lo = part(j->rows / w->W, j->blocks, block) * w->W, r;
	int64_t hi = part(j->rows / w->W, j->blocks, block + 1) * w->W;
	float *y = j->u->own[thread], *dx;
	struct gemm g = {
		.a = j->a->x + lo * w->C, .lda = w->C, .b = j->packed,
		.y = y, .ldy = w->O + APART, .K = w->C, .N = w->O,
		.T = (int)(hi - lo),
	};
	struct at o;

	gemm_rows(&g, p0, p1);
	for (r = lo; r < hi; r++, y += w->O + APART) {
		o = at(r, w->H, w->W);
		dx = j->a->y + ((o.p * w->OH + o.i * w->stride) * w->OW +
		    o.j * w->stride) * w->O;
		for (c = n; c < end && j->a->add; c++)
			dx[c] += y[c];
		if (j->a->add)
			continue;
		for (i = 0; i < w->stride * w->stride; i++) {
			float *q = dx + ((int64_t)i / w->stride * w->OW +
			    i % w->stride) * w->O;

			if (o.i * w->stride + i / w->stride >= w->OH ||
			    o.j * w->stride + i % w->stride >= w->OW)
				continue;
			if (i == 0)
				memcpy(q + n, y + n, sizeof(*q) * (end - n));
			else
				memset(q + n, 0, sizeof(*q) * (end - n));
		}
	}
}

/* ---- 1x1, few rows: a task lays out the panel of weights that it uses */

#define GATHERED 16		/* rows for one task */

static void
gather_task(void *arg, int task, int thread)
{
	const struct job *j = arg;
	int64_t lo = (int64_t)task * GATHERED, n = j->rows - lo;

	(void)thread;
	gather(j, j->gathered + lo * (j->w.C + APART), lo, n < GATHERED ?
	    (int)n : GATHERED, 0, 0);
}

/* Asks for the weights of the slice that follows, from k on. */
static void
slice_ahead(const struct job *j, int p, int k)
{
	const struct way *w = &j->w;
	int n = w->O - p * PANEL;

	if (n > 0)
		cpu_weights_ahead(j->c, w->back, k, w->C - k < SLICE ? w->C -
		    k : SLICE, p * PANEL, n < PANEL ? n : PANEL);
}

static void
panel_task(void *arg, int p, int thread)
{
	const struct job *j = arg;
	const struct conv_args *a = j->a;
	const struct way *w = &j->w;
	int n0 = p * PANEL, wide = w->O - n0 < PANEL ? w->O - n0 : PANEL;
	float *own = j->u->own[thread], block[16 * 16];
	struct gemm g = { .b = own, .y = a->y + n0, .ldy = w->O, .N = wide,
	    .lda = j->gathered != NULL ? w->C + APART : w->C,
	    .bias = a->bias != NULL ? a->bias + n0 : NULL, .add = a->add,
	    .T = (int)j->rows };
	int k, c, n, i;

	for (k = 0; k < w->C; k += SLICE) {
		g.K = w->C - k < SLICE ? w->C - k : SLICE;
		for (n = 0; n < wide; n += 16)
			for (c = 0; c < g.K; c += 16) {
				cpu_weights(block, j->c, w->back, k + c, n0 +
				    n);
				for (i = 0; i < 16; i++)
					store(own + (c + i) * wide + n,
					    load(block + 16 * i));
			}
		slice_ahead(j, k + g.K < w->C ? p : p + 1, k + g.K < w->C ? k +
		    g.K : 0);
		g.a = (j->gathered != NULL ? j->gathered : a->x) + k;
		if (k + g.K == w->C) {
			g.res = a->res != NULL ? a->res + n0 : NULL;
			g.relu = a->relu;
		}
		gemm_rows(&g, 0, 1);
		g.bias = NULL;
		g.add = true;
	}
}

static void
few_rows(struct job *j)
{
	const struct way *w = &j->w;

	if (cpu_own(j->u, SLICE * PANEL * (int64_t)sizeof(float)) < 0)
		return;
	if (w->stride > 1 || w->C % 1024 == 0) {
		j->gathered = cpu_shared(j->u, j->rows * (w->C + APART) *
		    (int64_t)sizeof(float));
		if (j->gathered == NULL)
			return;
		cpu_run(j->u, gather_task, j, (int)((j->rows + GATHERED - 1) /
		    GATHERED));
	}
	cpu_run(j->u, panel_task, j, panels(w->O));
}

void
taps_run(struct cpu *u, const struct cb_conv_plan *c, bool back,
    const struct conv_args *a)
{
	struct job j = { .u = u, .c = c, .w = cpu_conv_way(c, back), .a = a };
	const struct way *w = &j.w;
	bool spread = back && w->stride > 1;
	int rows = w->k == 1 ? BLOCK_1 : BLOCK_K, most;
	int64_t units;

	j.rows = (int64_t)a->P * (spread ? (int64_t)w->H * w->W :
	    (int64_t)w->OH * w->OW);
	if (w->k == 1 && !spread && j.rows <= FEW_ROWS &&
	    conv_weights(c) > MANY_WEIGHTS) {
		few_rows(&j);
		return;
	}
	j.packed = pack(u, c, back);
	units = spread ? j.rows / w->W : j.rows;
	j.blocks = (int)((j.rows + rows - 1) / rows);
	if (j.blocks > u->threads)	/* so that all end together */
		j.blocks += (u->threads - j.blocks % u->threads) % u->threads;
	if (j.blocks > units)
		j.blocks = (int)units;
	/* Columns are shared out where there are few blocks. */
	most = (int)(j.rows / j.blocks * conv_weights(c) / WORTH);
	j.splits = (4 * u->threads + j.blocks - 1) / j.blocks;
	j.splits = j.blocks >= 2 * u->threads ? 1 : j.splits;
	j.splits = j.splits < most ? j.splits : most;
	j.splits = j.splits < panels(w->O) ? j.splits : panels(w->O);
	j.splits = j.splits < 1 ? 1 : j.splits;
	if (j.packed != NULL && cpu_own(u, (int64_t)((j.rows + j.blocks - 1) /
	    j.blocks + w->W) *
	    ((spread ? w->O : w->C) + APART) * (int64_t)sizeof(float)) == 0)
		cpu_run(u, spread ? spread_task : run_task, &j, j.blocks *
		    j.splits);
}

/* ---- gradient of the weights of a 1x1 kernel */

#define DW_ROWS 128		/* pixels at a time */
#define DW_TASKS 16

/*
 * A task has a run of rows (pixels) and a range of output channels.  Its rows
 * of x and dy are laid out in panels, a few at a time, and dw grows by their
 * product.
 */
struct dw {
	struct cpu *u;
	const struct cb_conv_plan *c;
	const float *x, *dy;
	float	*partial, *dw;
	int64_t	 rows, pstride;
	int	 runs, splits;
};

/* Row r of `rows`, n columns, into panels [rows][PANEL]. */
static void
lay_row(float *to, const float *from, int r, int rows, int n)
{
	int p, w, i;

	for (p = 0; p < n; p += PANEL) {
		w = n - p < PANEL ? n - p : PANEL;
		for (i = 0; i < w; i += 16)
			store(to + (int64_t)p * rows + r * w + i,
			    load(from + p + i));
	}
}

/* The pixel of x that row r of the result saw. */
static const float *
seen(const struct dw *d, int64_t r)
{
	const struct cb_conv_plan *c = d->c;
	const struct cb_conv *g = &c->g;
	struct at o;

	if (g->stride == 1)
		return d->x + r * g->C;
	o = at(r, c->OH, c->OW);
	return d->x + ((o.p * g->H + o.i * g->stride) * g->W +
	    o.j * g->stride) * g->C;
}

static void
dw_task(void *arg, int task, int thread)
{
	const struct dw *d = arg;
	int C = d->c->g.C, O = d->c->g.O, run = task / d->splits, rows, m, n;
	int s = task % d->splits, n0, n1, wm, wn, i;
	int64_t lo = part(d->rows, d->runs, run), r;
	int64_t hi = part(d->rows, d->runs, run + 1);
	float *x = d->u->own[thread], *dy = x + (int64_t)DW_ROWS * C;
	float *out = d->partial + run * d->pstride;

	n0 = (int)part(panels(O), d->splits, s) * PANEL;
	n1 = (int)part(panels(O), d->splits, s + 1) * PANEL;
	n1 = n1 < O ? n1 : O;
	for (r = lo; r < hi; r += rows) {
		rows = hi - r < DW_ROWS ? (int)(hi - r) : DW_ROWS;
		for (i = 0; i < rows; i++) {
			lay_row(x, seen(d, r + i), i, rows, C);
			lay_row(dy, d->dy + (r + i) * O + n0, i, rows, n1 - n0);
		}
		for (m = 0; m < n1 - n0; m += wm) {
			wm = n1 - n0 - m < PANEL ? n1 - n0 - m : PANEL;
			for (n = 0; n < C; n += wn) {
				wn = C - n < PANEL ? C - n : PANEL;
				gemm_columns(out + (int64_t)(n0 + m) * C + n, C,
				    dy + (int64_t)m * rows, wm, wm,
				    x + (int64_t)n * rows, wn, wn, rows,
				    r > lo);
			}
		}
	}
}

/* Row o of dw += scale * the sum of its partial sums, in order. */
static void
sum_task(void *arg, int o, int thread)
{
	const struct dw *d = arg;
	int C = d->c->g.C, c, g;
	const float *from = d->partial + (int64_t)o * C;
	float *to = d->dw + (int64_t)o * C, scale = d->c->scale[o];
	v16 v;

	(void)thread;
	for (c = 0; c < C; c += 16) {
		v = load(from + c);
		for (g = 1; g < d->runs; g++)
			v += load(from + g * d->pstride + c);
		store(to + c, load(to + c) + scale * v);
	}
}

/*
 * By shapes alone, as sums depend on it: many runs where weights are few, for
 * each writes all of them; many ranges where they are many, for each reads x.
 */
void
taps_dw(struct cpu *u, const struct cb_conv_plan *c, float *dw,
    const float *dy, const float *x, int P)
{
	struct dw d = { .u = u, .c = c, .x = x, .dy = dy, .dw = dw,
	    .rows = (int64_t)P * c->OH * c->OW,
	    .pstride = conv_weights(c), .runs = DW_TASKS };

	while (d.runs > 1 && (8 * d.rows < (int64_t)d.runs * d.runs * c->g.O ||
	    d.rows < (int64_t)d.runs * DW_ROWS))
		d.runs /= 2;
	d.splits = DW_TASKS / d.runs;
	d.splits = d.splits < panels(c->g.O) ? d.splits : panels(c->g.O);
	d.partial = cpu_shared(u, d.runs * d.pstride * (int64_t)sizeof(float));
	if (d.partial == NULL || cpu_own(u, (int64_t)DW_ROWS * (c->g.C +
	    c->g.O) * (int64_t)sizeof(float)) < 0)
		return;
	cpu_run(u, dw_task, &d, d.runs * d.splits);
	cpu_run(u, sum_task, &d, c->g.O);
}
