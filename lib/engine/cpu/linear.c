/*
 * Linear maps.  (Twin: ref/linear.c, with the formulas.)
 *
 * A plan keeps w and its transpose, so that forward and dx are both a product
 * of two row-major matrices, which dnnl_sgemm() runs at 52 to 57 of 57 GMAC/s
 * a core for T from 32 up; inner products with packed weights gave 50 to 58
 * and cost a primitive for each number of rows.  Tasks are blocks of the
 * result.
 */
#include <stdlib.h>

#include "cpu.h"

#define BLOCK_ROWS 128
#define BLOCK_COLUMNS 512
#define SMALL 65536		/* multiplications for one task */

struct cb_linear_plan {
	int	 I, O;
	float	*w, *wt, *bias;		/* [O,I], [I,O], [O] */
	bool	 backward;		/* w is kept */
};

int
cpu_linear_new(struct cb_engine *e, struct cb_linear_plan **out, int I, int O)
{
	struct cb_linear_plan *l;

	if ((l = calloc(1, sizeof(*l))) == NULL)
		return cb_fail(CB_ENOMEM, "linear map");
	l->I = I;
	l->O = O;
	l->wt = cpu_large((int64_t)I * O * (int64_t)sizeof(float));
	l->bias = cb_alloc((int64_t)O * (int64_t)sizeof(float));
	if (l->wt == NULL || l->bias == NULL) {
		cpu_linear_free(e, l);
		return cb_fail(CB_ENOMEM, "linear map");
	}
	*out = l;
	return 0;
}

void
cpu_linear_free(struct cb_engine *e, struct cb_linear_plan *l)
{
	(void)e;
	if (l == NULL)
		return;
	free(l->w);
	free(l->wt);
	free(l->bias);
	free(l);
}

struct pack {
	struct cb_linear_plan *l;
	const float *w;
	int	 tasks;
};

/* Columns of wt are rows of w: sixteen of them at a time, a cache line. */
static void
pack_task(void *arg, int task, int thread)
{
	const struct pack *p = arg;
	struct cb_linear_plan *l = p->l;
	int units = (l->O + 15) / 16, u, o, i, hi;

	(void)thread;
	for (u = (int)part(units, p->tasks, task);
	    u < (int)part(units, p->tasks, task + 1); u++) {
		hi = u * 16 + 16 < l->O ? u * 16 + 16 : l->O;
		for (i = 0; i < l->I; i++)
			for (o = u * 16; o < hi; o++)
				l->wt[(int64_t)i * l->O + o] =
				    p->w[(int64_t)o * l->I + i];
		if (l->backward)
			memcpy(l->w + (int64_t)u * 16 * l->I, p->w +
			    (int64_t)u * 16 * l->I, sizeof(float) * l->I *
			    (hi - u * 16));
	}
}

void
cpu_linear_pack(struct cb_engine *e, struct cb_linear_plan *l,
    const float *w, const float *bias, bool backward)
{
	struct pack p = { l, w, tasks_for((l->O + 15) / 16, 16 * l->I) };
	int o;

	if (backward && l->w == NULL &&
	    (l->w = cpu_large((int64_t)l->I * l->O * (int64_t)sizeof(float))) ==
	    NULL) {
		cpu_fail(cpu_of(e), CB_ENOMEM, "weights of a linear map");
		return;
	}
	l->backward = backward;
	for (o = 0; o < l->O; o++)
		l->bias[o] = bias != NULL ? bias[o] : 0;
	cpu_run(cpu_of(e), pack_task, &p, p.tasks);
}

/* A result [T,N] = a [T,K] b [K,N] cut into blocks. */
struct job {
	struct cpu *u;
	const float *a, *b, *bias;
	float	*y, *z;
	enum cb_act act;
	bool	 add;
	int	 T, K, N, rows, columns;
};

static int
at_least(int n)
{
	return n < 1 ? 1 : n;
}

/* Blocks: rows x columns of them, a multiple of 16 wide. */
static int
cut(struct job *j)
{
	int units = at_least(j->N / 64), want;

	j->rows = (j->T + BLOCK_ROWS - 1) / BLOCK_ROWS;
	j->columns = (j->N + BLOCK_COLUMNS - 1) / BLOCK_COLUMNS;
	want = (8 + j->rows - 1) / j->rows;
	if (j->columns < want)
		j->columns = want < units ? want : units;
	if ((int64_t)j->T * j->K * j->N < SMALL)
		j->rows = j->columns = 1;
	return j->rows * j->columns;
}

static int
column(int N, int parts, int i)
{
	return i == parts ? N : (int)part(N / 16, parts, i) * 16;
}

static void
act_row(float *y, const float *z, int n, enum cb_act act)
{
	int i;

	switch (act) {
	case CB_ACT_RELU:
#pragma GCC ivdep
		for (i = 0; i < n; i++)
			y[i] = z[i] > 0 ? z[i] : 0;
		break;
	case CB_ACT_GELU:
#pragma GCC ivdep
		for (i = 0; i < n; i++)
			y[i] = z[i] * phi(z[i], exp_(-0.5f * z[i] * z[i]));
		break;
	case CB_ACT_TANH:
		for (i = 0; i < n; i++)
			y[i] = tanhf(z[i]);
		break;
	case CB_ACT_ELU:
		for (i = 0; i < n; i++)
			y[i] = z[i] > 0 ? z[i] : expm1f(z[i]);
		break;
	default:
		if (y != z)
			memcpy(y, z, sizeof(*y) * n);
	}
}

static void
gemm_task(void *arg, int task, int thread)
{
	struct job *j = arg;
	int r = task / j->columns, c = task % j->columns, t, k;
	int64_t lo = part(j->T, j->rows, r);
	int64_t n = part(j->T, j->rows, r + 1) - lo;
	int o = column(j->N, j->columns, c);
	int m = column(j->N, j->columns, c + 1) - o;
	float *z = (j->z != NULL ? j->z : j->y) + lo * j->N + o, *row;
	dnnl_status_t s = dnnl_sgemm('N', 'N', n, m, j->K, 1, j->a + lo * j->K,
	    j->K, j->b + o, j->N, j->add, z, j->N);

	(void)thread;
	if (s != dnnl_success)
		atomic_store(&j->u->status, s);
	for (t = 0; t < n && j->bias != NULL; t++) {
		row = z + (int64_t)t * j->N;
		for (k = 0; k < m; k++)
			row[k] += j->bias[o + k];
		act_row(j->y + (lo + t) * j->N + o, row, m, j->act);
	}
}

void
cpu_linear_fwd(struct cb_engine *e, struct cb_linear_plan *l,
    struct cb_elem *y, struct cb_elem *z, const struct cb_elem *x,
    enum cb_act act, int T)
{
	struct job j = { .u = cpu_of(e), .a = cf32(x), .b = l->wt,
	    .bias = l->bias, .y = f32(y), .z = f32(z), .act = act, .T = T,
	    .K = l->I, .N = l->O };

	if (T > 0)
		cpu_run(j.u, gemm_task, &j, cut(&j));
}

/* dw = dz' x by blocks of dw. */
static void
dw_task(void *arg, int task, int thread)
{
	struct job *j = arg;
	int r = task / j->columns, c = task % j->columns;
	int o = column(j->K, j->rows, r), i = column(j->N, j->columns, c);
	dnnl_status_t s = dnnl_sgemm('T', 'N',
	    column(j->K, j->rows, r + 1) - o,
	    column(j->N, j->columns, c + 1) - i, j->T, 1, j->a + o, j->K,
	    j->b + i, j->N, 1, j->y + (int64_t)o * j->N + i, j->N);

	(void)thread;
	if (s != dnnl_success)
		atomic_store(&j->u->status, s);
}

void
cpu_linear_bwd(struct cb_engine *e, struct cb_linear_plan *l,
    struct cb_elem *dx, bool add, float *dw, float *dbias,
    const struct cb_elem *dz, const struct cb_elem *x, int T)
{
	struct job a = { .u = cpu_of(e), .a = cf32(dz), .b = l->w,
	    .y = f32(dx), .add = add, .T = T, .K = l->O, .N = l->I };
	struct job b = { .u = cpu_of(e), .a = cf32(dz), .b = cf32(x), .y = dw,
	    .T = T, .K = l->O, .N = l->I };

	if (T == 0)
		return;
	if (dx != NULL && !l->backward)
		cpu_fail(a.u, CB_EUSAGE, "a linear map packed for forward only "
		    "cannot go backward");
	else if (dx != NULL)
		cpu_run(a.u, gemm_task, &a, cut(&a));
	b.rows = l->O < 128 ? 1 : l->O / 64 < 8 ? l->O / 64 : 8;
	b.columns = at_least(l->I / 64 < 8 / b.rows ? l->I / 64 : 8 / b.rows);
	if ((int64_t)T * l->I * l->O < SMALL)
		b.rows = b.columns = 1;
	if (dw != NULL)
		cpu_run(b.u, dw_task, &b, b.rows * b.columns);
	if (dbias != NULL)
		cpu_column_sums(b.u, dbias, cf32(dz), T, l->O);
}
