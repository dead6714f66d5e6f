/*
 * Embeddings.  (Twin: ref/embed.c.)  Forward by rows; backward by columns,
 * since many tokens add to one row of a table, in the order of the tokens.
 */
#include "cpu.h"

struct job {
	float	*x, *dword, *dposition, *dtype, *drow, *dcol, *dgrid;
	const float *word, *position, *type, *row, *col, *grid, *dx;
	const int32_t *ids, *pos, *cells;
	int	 T, D, M, F, h, w, V, tasks;
};

static int
column_tasks(int D)
{
	return D < 128 ? 1 : D / 64;
}

static void
text_fwd_task(void *arg, int task, int thread)
{
	const struct job *j = arg;
	int t, hi = (int)part(j->T, j->tasks, task + 1), D = j->D, d;
	const float *a, *b;
	float *x;

	(void)thread;
	for (t = (int)part(j->T, j->tasks, task); t < hi; t++) {
		x = j->x + (int64_t)t * D;
		a = j->word + (int64_t)j->ids[t] * D;
		b = j->position + (int64_t)j->pos[t] * D;
		for (d = 0; d < D; d++)
			x[d] = a[d] + b[d] + j->type[d];
	}
}

void
cpu_embed_text_fwd(struct cb_engine *e, struct cb_elem *x,
    const int32_t *ids, const int32_t *pos, const float *word,
    const float *position, const float *type, int T, int D)
{
	struct job j = { .x = f32(x), .ids = ids, .pos = pos, .word = word,
	    .position = position, .type = type, .T = T, .D = D,
	    .tasks = tasks_for(T, D) };

	cpu_run(cpu_of(e), text_fwd_task, &j, j.tasks);
}

static void
add_row(float *table, int64_t row, const float *from, int D, int lo, int hi)
{
	float *to = table + row * D;
	int d;

	for (d = lo; d < hi; d++)
		to[d] += from[d];
}

static void
text_bwd_task(void *arg, int task, int thread)
{
	const struct job *j = arg;
	int t, D = j->D, lo = (int)part(D, j->tasks, task);
	int hi = (int)part(D, j->tasks, task + 1);
	const float *dx = j->dx;

	(void)thread;
	for (t = 0; t < j->T; t++, dx += D) {
		if (j->dword != NULL && j->ids[t] != 0)	/* [PAD]: quirk 6 */
			add_row(j->dword, j->ids[t], dx, D, lo, hi);
		if (j->dposition != NULL)
			add_row(j->dposition, j->pos[t], dx, D, lo, hi);
	}
}

void
cpu_embed_text_bwd(struct cb_engine *e, float *dword, float *dposition,
    float *dtype, const struct cb_elem *dx, const int32_t *ids,
    const int32_t *pos, int T, int D)
{
	struct job j = { .dword = dword, .dposition = dposition,
	    .dx = cf32(dx), .ids = ids, .pos = pos, .T = T, .D = D,
	    .tasks = column_tasks(D) };

	cpu_run(cpu_of(e), text_bwd_task, &j, j.tasks);
	if (dtype != NULL)
		cpu_column_sums(cpu_of(e), dtype, j.dx, T, D);
}

static int
cell_of(const struct job *j, int v)
{
	return j->cells != NULL ? j->cells[v] : v;
}

static void
grid_fwd_task(void *arg, int task, int thread)
{
	const struct job *j = arg;
	int m, v, f, d, cell, D = j->D;
	int hi = (int)part((int64_t)j->M * j->V, j->tasks, task + 1), i;
	const float *g, *row, *col;
	float *x;

	(void)thread;
	for (i = (int)part((int64_t)j->M * j->V, j->tasks, task); i < hi; i++) {
		m = i / j->V;
		v = i % j->V;
		cell = cell_of(j, v);
		x = j->x + (int64_t)i * D;
		row = j->row + (int64_t)(cell / j->w) * D;
		col = j->col + (int64_t)(cell % j->w) * D;
		g = j->grid + ((int64_t)m * j->F * j->h * j->w + cell) * D;
		memcpy(x, g, sizeof(*x) * D);
		for (f = 1; f < j->F; f++) {
			g += (int64_t)j->h * j->w * D;
			for (d = 0; d < D; d++)
				x[d] += g[d];
		}
		for (d = 0; d < D; d++)
			x[d] = x[d] / j->F + row[d] + col[d] + j->type[d];
	}
}

void
cpu_embed_grid_fwd(struct cb_engine *e, struct cb_elem *x,
    const struct cb_elem *grid, const float *row, const float *col,
    const float *type, const int32_t *cells, int M, int F, int h, int w,
    int V, int D)
{
	struct job j = { .x = f32(x), .grid = cf32(grid), .row = row,
	    .col = col, .type = type, .cells = cells, .M = M, .F = F, .h = h,
	    .w = w, .V = V, .D = D,
	    .tasks = tasks_for((int64_t)M * V, (int64_t)F * D) };

	cpu_run(cpu_of(e), grid_fwd_task, &j, j.tasks);
}

/* Frame i of all frames: zero, then the kept cells. */
static void
grid_bwd_task(void *arg, int task, int thread)
{
	const struct job *j = arg;
	int64_t plane = (int64_t)j->h * j->w * j->D;
	float *to = j->dgrid + task * plane, *x;
	const float *from = j->dx + (int64_t)(task / j->F) * j->V * j->D;
	int v, d;

	(void)thread;
	memset(to, 0, sizeof(*to) * plane);
	for (v = 0; v < j->V; v++, from += j->D) {
		x = to + (int64_t)cell_of(j, v) * j->D;
		for (d = 0; d < j->D; d++)
			x[d] = from[d] / j->F;
	}
}

static void
grid_tables_task(void *arg, int task, int thread)
{
	const struct job *j = arg;
	int m, v, cell, D = j->D, lo = (int)part(D, j->tasks, task);
	int hi = (int)part(D, j->tasks, task + 1);
	const float *dx = j->dx;

	(void)thread;
	for (m = 0; m < j->M; m++) for (v = 0; v < j->V; v++, dx += D) {
		cell = cell_of(j, v);
		if (j->drow != NULL)
			add_row(j->drow, cell / j->w, dx, D, lo, hi);
		if (j->dcol != NULL)
			add_row(j->dcol, cell % j->w, dx, D, lo, hi);
	}
}

void
cpu_embed_grid_bwd(struct cb_engine *e, struct cb_elem *dgrid, float *drow,
    float *dcol, float *dtype, const struct cb_elem *dx,
    const int32_t *cells, int M, int F, int h, int w, int V, int D)
{
	struct job j = { .dgrid = f32(dgrid), .drow = drow, .dcol = dcol,
	    .dx = cf32(dx), .cells = cells, .M = M, .F = F, .h = h, .w = w,
	    .V = V, .D = D, .tasks = column_tasks(D) };

	if (dgrid != NULL)
		cpu_run(cpu_of(e), grid_bwd_task, &j, M * F);
	if (drow != NULL || dcol != NULL)
		cpu_run(cpu_of(e), grid_tables_task, &j, j.tasks);
	if (dtype != NULL)
		cpu_column_sums(cpu_of(e), dtype, j.dx, (int64_t)M * V, D);
}
