/*
 * Forward convolutions of few channels, such as the first one of pictures: one
 * product of matrices for each row of the result.
 *
 * The k rows that it reads are copied side by side, a column of k pixels after
 * another, with zeros where the kernel is over the edge:
 *
 *	[column][k][C]
 *
 * Here the window of a pixel of the result is k k C numbers in a run, and the
 * next begins `stride` columns on.  So the windows are the rows of a matrix that
 * nobody writes out: they overlap.
 */
#include "conv.h"

#define ROWS_A_TASK 4		/* rows of the result */

struct job {
	struct cpu *u;
	const struct cb_conv_plan *c;
	const struct conv_args *a;
	float	*packed;	/* [k k C,O] in panels */
};

static int
window(const struct cb_conv *g)
{
	return g->k * g->k * g->C;
}

static int
columns(const struct cb_conv_plan *c)
{
	return (c->OW - 1) * c->g.stride + c->g.k;
}

static void
pack_task(void *arg, int p, int thread)
{
	const struct job *j = arg;
	const struct cb_conv *g = &j->c->g;
	int n = p * PANEL, wide = g->O - n < PANEL ? g->O - n : PANEL, o;
	int a, b, c, k = g->k;
	float *to = j->packed + panel_at(window(g), g->O, p, 0);

	(void)thread;
	for (b = 0; b < k; b++) for (a = 0; a < k; a++)
		for (c = 0; c < g->C; c++, to += wide)
			for (o = 0; o < wide; o++)
				to[o] = j->c->scale[n + o] * j->c->w[(((n + o) *
				    (int64_t)g->C + c) * k + a) * k + b];
}

/* The columns that row i of the result of picture p reads; faster where the
 * compiler knows C. */
static inline __attribute__((always_inline)) void
lay(float *to, const struct job *j, int64_t p, int i, const int C)
{
	const struct cb_conv *g = &j->c->g;
	int y = i * g->stride - g->pad, k = g->k, x, a;
	int from = y < 0 ? -y : 0, end = g->H - y < k ? g->H - y : k;
	const float *row = j->a->x + (p * g->H + y + from) * g->W * C, *at;

	for (x = -g->pad; x < columns(j->c) - g->pad; x++, to += k * C) {
		if (x < 0 || x >= g->W || from > 0 || end < k)
			memset(to, 0, sizeof(*to) * k * C);
		if (x < 0 || x >= g->W)
			continue;
		at = row + (int64_t)x * C;
		for (a = from; a < end; a++, at += (int64_t)g->W * C)
			memcpy(to + a * C, at, sizeof(*to) * C);
	}
}

static void
rows_task(void *arg, int task, int thread)
{
	const struct job *j = arg;
	const struct conv_args *a = j->a;
	const struct cb_conv_plan *c = j->c;
	float *own = j->u->own[thread];
	struct gemm g = { .a = own, .lda = c->g.stride * c->g.k * c->g.C,
	    .b = j->packed, .ldy = c->g.O, .T = c->OW, .K = window(&c->g),
	    .N = c->g.O, .bias = a->bias, .add = a->add, .relu = a->relu };
	int64_t r = (int64_t)task * ROWS_A_TASK, end = r + ROWS_A_TASK, to;

	for (; r < end && r < (int64_t)a->P * c->OH; r++) {
		to = r * c->OW * c->g.O;
		if (c->g.C == 3)
			lay(own, j, r / c->OH, (int)(r % c->OH), 3);
		else
			lay(own, j, r / c->OH, (int)(r % c->OH), c->g.C);
		g.y = a->y + to;
		g.res = a->res != NULL ? a->res + to : NULL;
		gemm_rows(&g, 0, panels(g.N));
	}
}

void
windows_run(struct cpu *u, const struct cb_conv_plan *c,
    const struct conv_args *a)
{
	struct job j = { u, c, a, cpu_shared(u, conv_weights(c) *
	    (int64_t)sizeof(float)) };

	if (j.packed == NULL || cpu_own(u, (int64_t)columns(c) * c->g.k *
	    c->g.C * (int64_t)sizeof(float)) < 0)
		return;
	cpu_run(u, pack_task, &j, panels(c->g.O));
	cpu_run(u, rows_task, &j, (a->P * c->OH + ROWS_A_TASK - 1) /
	    ROWS_A_TASK);
}
