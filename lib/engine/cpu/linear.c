/*
 * Linear maps.  (Twin: ref/linear.c, with the formulas.)
 *
 * All three passes are products of rows or columns that are read as they lie
 * and of panels that are packed where they are met, into memory of the thread:
 *
 *	y = x w'	rows of x, and panels of w transposed
 *	dx = dz w	rows of dz, and panels of w
 *	dw = dz' x	columns of dz, and panels of x
 *
 * So weights are kept nowhere but where the caller has them, and new ones cost
 * nothing.  An element of a result is one sum, or a few where the common
 * dimension is long, cut by that alone.
 */
#include <stdlib.h>

#include "gemm.h"
#include "turn.h"

#define CACHED (1 << 20)	/* bytes of panels that stay in the cache */
#define DEPTH 4096		/* of sums in one go */
#define DW_DEPTH 256
#define TASKS 4			/* for each thread ... */
#define SHARE 224		/* ... of so many rows, if columns do */
#define WORTH 65536		/* multiplications for one task */

struct cb_linear_plan {
	int	 I, O;
	const float *w, *bias;		/* [O,I], [O] or NULL: borrowed */
};

int
cpu_linear_new(struct cb_engine *e, struct cb_linear_plan **out, int I, int O)
{
	struct cb_linear_plan *l;

	(void)e;
	if ((l = calloc(1, sizeof(*l))) == NULL)
		return cb_fail(CB_ENOMEM, "linear map");
	l->I = I;
	l->O = O;
	*out = l;
	return 0;
}

void
cpu_linear_free(struct cb_engine *e, struct cb_linear_plan *l)
{
	(void)e;
	free(l);
}

void
cpu_linear_pack(struct cb_engine *e, struct cb_linear_plan *l,
    const float *w, const float *bias, bool backward)
{
	(void)e;
	(void)backward;
	l->w = w;
	l->bias = bias;
}

/*
 * A product [M,N] of depth K; b is [K,N], or [N,K] where it is to be turned.
 * Panels are shared out in ranges, and of a range go so many at a time as a
 * cache holds; rows are cut into splits, where that leaves enough in each.  A
 * thread packs what it does not hold yet.
 */
struct job {
	struct cpu *u;
	const float *a, *b, *bias;
	float	*y, *z;
	enum cb_act act;
	bool	 turned, add;
	int	 M, K, N, ranges, splits;
	int	 group;		/* panels at a time */
	int	 chunks;	/* of the depth */
	int	*holds;		/* [threads]: what each has packed */
};

static int
at_least(int n)
{
	return n < 1 ? 1 : n;
}

static int
ceiling(int n, int d)
{
	return (n + d - 1) / d;
}

/* extra: columns of a that a task packs besides. */
static void
run(struct job *j, cb_pool_fn *fn, int deepest, int extra)
{
	int n = panels(j->N), want = TASKS * j->u->threads, most, i;
	int holds[j->u->threads], depth;
	int64_t worth = (int64_t)j->M * j->K * j->N / WORTH;

	want = worth < want ? at_least((int)worth) : want;
	j->chunks = ceiling(j->K, deepest);
	depth = ceiling(j->K, j->chunks);
	most = at_least(CACHED / (int)sizeof(float) / (depth * PANEL));
	if (most > panels(j->M))	/* asked for a little at a time */
		most = panels(j->M);
	j->splits = j->M < want * SHARE ? at_least(j->M / SHARE) : want;
	j->ranges = ceiling(want, j->splits);
	if (j->ranges < ceiling(n, most))
		j->ranges = ceiling(n, most);
	j->ranges = j->ranges < n ? j->ranges : n;
	j->group = ceiling(n, j->ranges);
	j->group = j->group < most ? j->group : most;
	for (i = 0; i < j->u->threads; i++)
		holds[i] = -1;
	j->holds = holds;
	if (cpu_own(j->u, (int64_t)depth * (j->group * PANEL + extra) *
	    (int64_t)sizeof(float)) == 0)
		cpu_run(j->u, fn, j, j->ranges * j->splits);
}

/* Is it to be packed?  Then it counts as packed. */
static bool
lacks(const struct job *j, int thread, int what)
{
	bool lack = j->holds[thread] != what;

	j->holds[thread] = what;
	return lack;
}

/* As turn(), for n x m of them; what lacks of 16 columns in `to` is zero. */
static void
turn_some(float *to, int64_t ldt, const float *from, int64_t ldf, int n, int m)
{
	int i, k;

	for (k = 0; k < n; k++)
		for (i = 0; i < 16; i++)
			to[k * ldt + i] = i < m ? from[i * ldf + k] : 0;
}

/* Columns [n, n + PANEL) of b [K,N]: a panel, zeros behind N. */
static void
copy_panel(float *to, const float *b, int64_t ldb, int K, int n, int N)
{
	int w = N - n < PANEL ? N - n : PANEL, wide = (w + 15) / 16 * 16, k, i;

	for (k = 0, b += n; k < K; k++, b += ldb, to += wide) {
		if (w == PANEL) {
			for (i = 0; i < PANEL; i += 16)
				store(to + i, load(b + i));
			continue;
		}
		for (i = 0; i < wide; i++)
			to[i] = i < w ? b[i] : 0;
	}
}

/* M columns of a [K,.], at most 16: rows of 16, the rest of each whatever. */
static void
copy_columns(float *to, const float *a, int64_t lda, int K, int M)
{
	int k, i;

	for (k = 0; k < K; k++, a += lda, to += 16)
		if ((K - 1 - k) * lda + M >= 16)
			store(to, load(a));
		else		/* behind may be nothing */
			for (i = 0; i < M; i++)
				to[i] = a[i];
}

/* ---- forward */

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

/* y [rows,n] = [y +] tile, PANEL apart. */
static void
put_some(float *y, int64_t ldy, const float *tile, int rows, int n, bool add)
{
	int r, i;

	for (r = 0; r < rows; r++)
		for (i = 0; i < n; i++)
			y[r * ldy + i] = tile[r * PANEL + i] +
			    (add ? y[r * ldy + i] : 0);
}

/* K columns of the rows [n, n + PANEL) of b [N,.], transposed: the same. */
static void
turn_panel(float *to, const float *b, int64_t ldb, int K, int n, int N)
{
	int w = N - n < PANEL ? N - n : PANEL, wide = (w + 15) / 16 * 16, v, k;

	b += n * ldb;
	for (v = 0; v < wide; v += 16, b += 16 * ldb) {
		k = 0;
		if (v + 16 <= w)
			for (; k + 16 <= K; k += 16)
				turn(to + k * wide + v, wide, b + k, ldb,
				    NULL);
		turn_some(to + k * wide + v, wide, b + k, ldb, K - k, w - v);
	}
}

/* Panels [p, end), depth [k, k + K). */
static void
pack(const struct job *j, float *to, int p, int end, int k, int K)
{
	for (; p < end; p++, to += (int64_t)K * PANEL)
		if (j->turned)
			turn_panel(to, j->b + k, j->K, K, p * PANEL, j->N);
		else
			copy_panel(to, j->b + (int64_t)k * j->N, j->N, K,
			    p * PANEL, j->N);
}

/* Rows [r, r + T) by the panels [p, end) that are packed. */
static void
rows(const struct job *j, struct gemm *g, int r, int p, int end, bool last)
{
	int n = p * PANEL, N = (end * PANEL < j->N ? end * PANEL : j->N) - n, i;
	int whole = N % 16 == 0 ? N : N / PANEL * PANEL;
	int64_t to = (int64_t)r * j->N + n;
	float tile[ROWS * PANEL], bias[PANEL], *y = j->y + to;

	if (j->z != NULL)
		y = j->z + to;
	g->y = y;
	g->ldy = j->N;
	g->N = whole;
	g->bias = j->bias != NULL && !g->add ? j->bias + n : NULL;
	gemm_rows(g, 0, panels(whole));
	if (whole < N) {
		struct gemm t = *g;

		for (i = 0; i < PANEL; i++)
			bias[i] = g->bias != NULL && whole + i < N ?
			    g->bias[whole + i] : 0;
		t.b += (int64_t)whole * g->K;
		t.y = tile;
		t.ldy = PANEL;
		t.N = (N - whole + 15) / 16 * 16;
		t.bias = bias;
		t.add = false;
		gemm_rows(&t, 0, 1);
		put_some(y + whole, j->N, tile, g->T, N - whole, g->add);
	}
	if (last && (j->z != NULL || j->act != CB_ACT_NONE))
		for (i = 0; i < g->T; i++)
			act_row(j->y + to + (int64_t)i * j->N, y +
			    (int64_t)i * j->N, N, j->act);
}

/* Asks for what will be packed after the panels before p. */
static void
look_ahead(const struct job *j, struct gemm *g, int p)
{
	int n = p * PANEL, end = n + j->group * PANEL;

	g->ahead = g->ahead_end = NULL;
	if (j->splits > 1 || j->chunks > 1 || n >= j->N)
		return;
	end = end < j->N ? end : j->N;
	g->ahead = j->b + (j->turned ? (int64_t)n * j->K : n);
	g->ahead_end = j->b + (j->turned ? (int64_t)end * j->K : end);
	g->ahead_step = j->turned ? 0 : j->N;
}

static void
rows_task(void *arg, int task, int thread)
{
	const struct job *j = arg;
	int range = task / j->splits, s = task % j->splits, c, p, end, k, r, i;
	int first = (int)part(panels(j->N), j->ranges, range);
	int behind = (int)part(panels(j->N), j->ranges, range + 1);
	int lo = (int)part(j->M, j->splits, s);
	int hi = (int)part(j->M, j->splits, s + 1);
	struct gemm g = { .lda = j->K, .b = j->u->own[thread] };

	for (p = first; p < behind; p = end) {
		end = p + j->group < behind ? p + j->group : behind;
		look_ahead(j, &g, end);
		for (c = 0; c < j->chunks; c++) {
			k = (int)part(j->K, j->chunks, c);
			g.K = (int)part(j->K, j->chunks, c + 1) - k;
			g.add = j->add || c > 0;
			if (lacks(j, thread, p * j->chunks + c))
				pack(j, j->u->own[thread], p, end, k, g.K);
			for (r = lo; r < hi; r += g.T) {
				i = ceiling(hi - r, ROWS);
				g.T = ceiling(hi - r, i);
				g.a = j->a + (int64_t)r * j->K + k;
				rows(j, &g, r, p, end, c + 1 == j->chunks);
			}
		}
	}
}

void
cpu_linear_fwd(struct cb_engine *e, struct cb_linear_plan *l,
    struct cb_elem *y, struct cb_elem *z, const struct cb_elem *x,
    enum cb_act act, int T)
{
	struct job j = { .u = cpu_of(e), .a = cf32(x), .b = l->w,
	    .bias = l->bias, .turned = true, .y = f32(y), .z = f32(z),
	    .act = act, .M = T, .K = l->I, .N = l->O };

	if (T > 0)
		run(&j, rows_task, DEPTH, 0);
}

/* ---- gradient of the weights */

static void
columns(const struct job *j, const float *a, int r, int M, int p, int end,
    int K, const float *b)
{
	float tile[ROWS * PANEL], *y;
	int n, wide;

	for (; p < end; p++, b += (int64_t)K * PANEL) {
		y = j->y + (int64_t)r * j->N + p * PANEL;
		n = j->N - p * PANEL < PANEL ? j->N - p * PANEL : PANEL;
		wide = (n + 15) / 16 * 16;
		if (n == wide) {
			gemm_columns(y, j->N, a, 16, M, b, n, n, K, true);
			continue;
		}
		gemm_columns(tile, PANEL, a, 16, M, b, wide, wide, K, false);
		put_some(y, j->N, tile, M, n, true);
	}
}

static void
dw_task(void *arg, int task, int thread)
{
	const struct job *j = arg;
	int range = task / j->splits, s = task % j->splits, c, p, end, k, r, i;
	int first = (int)part(panels(j->N), j->ranges, range), M, K;
	int behind = (int)part(panels(j->N), j->ranges, range + 1);
	int lo = (int)part(j->M, j->splits, s);
	int hi = (int)part(j->M, j->splits, s + 1);
	float *own = j->u->own[thread], *a;

	a = own + (int64_t)ceiling(j->K, j->chunks) * j->group * PANEL;
	for (p = first; p < behind; p = end) {
		end = p + j->group < behind ? p + j->group : behind;
		for (c = 0; c < j->chunks; c++) {
			k = (int)part(j->K, j->chunks, c);
			K = (int)part(j->K, j->chunks, c + 1) - k;
			if (lacks(j, thread, p * j->chunks + c))
				pack(j, own, p, end, k, K);
			for (r = lo; r < hi; r += M) {
				i = ceiling(hi - r, ROWS);
				M = ceiling(hi - r, i);
				copy_columns(a, j->a + (int64_t)k * j->M + r,
				    j->M, K, M);
				columns(j, a, r, M, p, end, K, own);
			}
		}
	}
}

void
cpu_linear_bwd(struct cb_engine *e, struct cb_linear_plan *l,
    struct cb_elem *dx, bool add, float *dw, float *dbias,
    const struct cb_elem *dz, const struct cb_elem *x, int T)
{
	struct job a = { .u = cpu_of(e), .a = cf32(dz), .b = l->w,
	    .y = f32(dx), .add = add, .M = T, .K = l->O, .N = l->I };
	struct job b = { .u = cpu_of(e), .a = cf32(dz), .b = cf32(x), .y = dw,
	    .M = l->O, .K = T, .N = l->I };

	if (T == 0)
		return;
	if (dx != NULL)
		run(&a, rows_task, DEPTH, 0);
	if (dw != NULL)
		run(&b, dw_task, DW_DEPTH, 16);
	if (dbias != NULL)
		cpu_column_sums(a.u, dbias, cf32(dz), T, l->O);
}
