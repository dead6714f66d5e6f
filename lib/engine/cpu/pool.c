/*
 * Max pooling and moments.  (Twin: ref/pool.c.)  The innermost loop runs over
 * channels, a few hundred at a time so that what it keeps fits a page.
 */
#include "cpu.h"

#define CH 256

struct job {
	const float *x, *y_in, *dy;
	float	*y, *dx;
	const struct cb_pool2d *g;
	int	 OH, OW;
};

/* The window of an output: first and end row and column of the input. */
struct window {
	int	 a0, a1, b0, b1;
};

static struct window
window(const struct cb_pool2d *g, int i, int j)
{
	int a = i * g->stride - g->pad, b = j * g->stride - g->pad;

	return (struct window){ a < 0 ? 0 : a,
	    a + g->k < g->H ? a + g->k : g->H, b < 0 ? 0 : b,
	    b + g->k < g->W ? b + g->k : g->W };
}

static void
fwd_task(void *arg, int task, int thread)
{
	const struct job *j = arg;
	const struct cb_pool2d *g = j->g;
	int p = task / j->OH, i = task % j->OH, o, a, b, c, C = g->C;
	const float *x = j->x + (int64_t)p * g->H * g->W * C, *from;
	float *y = j->y + (int64_t)task * j->OW * C, low;
	struct window w;

	(void)thread;
	low = g->relu ? 0 : -INFINITY;
	for (o = 0; o < j->OW; o++, y += C) {
		w = window(g, i, o);
		for (c = 0; c < C; c++)
			y[c] = low;
		for (a = w.a0; a < w.a1; a++) for (b = w.b0; b < w.b1; b++) {
			from = x + ((int64_t)a * g->W + b) * C;
#pragma GCC ivdep
			for (c = 0; c < C; c++)
				y[c] = from[c] > y[c] ? from[c] : y[c];
		}
	}
}

static struct job
job(const struct cb_pool2d *g)
{
	return (struct job){ .g = g,
	    .OH = conv_out(g->H, g->k, g->stride, g->pad),
	    .OW = conv_out(g->W, g->k, g->stride, g->pad) };
}

void
cpu_pool_fwd(struct cb_engine *e, struct cb_elem *y, const struct cb_elem *x,
    const struct cb_pool2d *g, int P)
{
	struct job j = job(g);

	j.x = cf32(x);
	j.y = f32(y);
	cpu_run(cpu_of(e), fwd_task, &j, P * j.OH);
}

/* One output pixel, n channels: which cell won, then its gradient. */
static void
bwd_pixel(const struct job *j, float *dx, const float *x, const float *y,
    const float *dy, struct window w, int n)
{
	const struct cb_pool2d *g = j->g;
	int32_t who[CH], cell;
	float best[CH];
	const float *from;
	float *to;
	int a, b, c;

	for (c = 0; c < n; c++) {
		best[c] = -INFINITY;
		who[c] = w.a0 * g->W + w.b0;
	}
	for (a = w.a0; a < w.a1; a++) for (b = w.b0; b < w.b1; b++) {
		cell = a * g->W + b;
		from = x + (int64_t)cell * g->C;
		for (c = 0; c < n; c++) {
			who[c] = from[c] > best[c] ? cell : who[c];
			best[c] = from[c] > best[c] ? from[c] : best[c];
		}
	}
	if (g->relu)
		for (c = 0; c < n; c++)
			who[c] = y[c] > 0 ? who[c] : -1;
	for (a = w.a0; a < w.a1; a++) for (b = w.b0; b < w.b1; b++) {
		cell = a * g->W + b;
		to = dx + (int64_t)cell * g->C;
		for (c = 0; c < n; c++)
			to[c] += who[c] == cell ? dy[c] : 0;
	}
}

static void
bwd_task(void *arg, int task, int thread)
{
	const struct job *j = arg;
	const struct cb_pool2d *g = j->g;
	int64_t plane = (int64_t)g->H * g->W * g->C, at;
	int i, o, c;

	(void)thread;
	memset(j->dx + task * plane, 0, sizeof(float) * plane);
	for (i = 0; i < j->OH; i++) for (o = 0; o < j->OW; o++) {
		at = (((int64_t)task * j->OH + i) * j->OW + o) * g->C;
		for (c = 0; c < g->C; c += CH)
			bwd_pixel(j, j->dx + task * plane + c,
			    j->x + task * plane + c, j->y_in + at + c,
			    j->dy + at + c, window(g, i, o),
			    g->C - c < CH ? g->C - c : CH);
	}
}

void
cpu_pool_bwd(struct cb_engine *e, struct cb_elem *dx,
    const struct cb_elem *dy, const struct cb_elem *x,
    const struct cb_elem *y, const struct cb_pool2d *g, int P)
{
	struct job j = job(g);

	j.x = cf32(x);
	j.y_in = cf32(y);
	j.dy = cf32(dy);
	j.dx = f32(dx);
	cpu_run(cpu_of(e), bwd_task, &j, P);
}

/* ---- moments: of runs of rows, in double, added in order */

struct moments {
	const float *x;
	double	*partial;
	const double *mean;	/* NULL: sums; else squares of differences */
	int64_t	 n;
	int	 C, tasks;
};

static void
moments_task(void *arg, int task, int thread)
{
	const struct moments *j = arg;
	int64_t r, hi = part(j->n, j->tasks, task + 1);
	double *to = j->partial + (int64_t)task * j->C, d;
	const float *x;
	int c;

	(void)thread;
	memset(to, 0, sizeof(*to) * j->C);
	for (r = part(j->n, j->tasks, task); r < hi; r++) {
		x = j->x + r * j->C;
		if (j->mean == NULL) {
			for (c = 0; c < j->C; c++)
				to[c] += x[c];
			continue;
		}
		for (c = 0; c < j->C; c++) {
			d = x[c] - j->mean[c];
			to[c] += d * d;
		}
	}
}

static void
add_up(double *out, struct moments *j, struct cpu *u)
{
	int i, c;

	cpu_run(u, moments_task, j, j->tasks);
	for (c = 0; c < j->C; c++) {
		out[c] = 0;
		for (i = 0; i < j->tasks; i++)
			out[c] += j->partial[(int64_t)i * j->C + c];
		out[c] /= (double)j->n;
	}
}

void
cpu_moments(struct cb_engine *e, float *mean, float *var,
    const struct cb_elem *x, int64_t n, int C)
{
	struct moments j = { .x = cf32(x), .n = n, .C = C,
	    .tasks = tasks_for(n, C) };
	double *m = cpu_shared(cpu_of(e), (2 + (int64_t)j.tasks) * C *
	    (int64_t)sizeof(double)), *v = m + C;
	int c;

	if (m == NULL || n == 0)
		return;
	j.partial = v + C;
	add_up(m, &j, cpu_of(e));
	j.mean = m;
	add_up(v, &j, cpu_of(e));
	for (c = 0; c < C; c++) {
		mean[c] = (float)m[c];
		var[c] = (float)v[c];
	}
}
