/*
 * What is computed element by element, and sums of columns.  (Twin:
 * ref/linear.c.)
 */
#include "cpu.h"

struct each {
	float	*y;
	const float *x, *kept;
	enum cb_act act;
	int64_t	 n;
	int	 tasks;
};

static void
act_task(void *arg, int task, int thread)
{
	const struct each *j = arg;
	int64_t i = part(j->n, j->tasks, task);
	int64_t hi = part(j->n, j->tasks, task + 1);
	const float *dy = j->x, *k = j->kept;
	float *dz = j->y, e;

	(void)thread;
	switch (j->act) {
	case CB_ACT_RELU:
#pragma GCC ivdep
		for (; i < hi; i++)
			dz[i] = k[i] > 0 ? dy[i] : 0;
		break;
	case CB_ACT_GELU:
#pragma GCC ivdep
		for (; i < hi; i++) {
			e = exp_(-0.5f * k[i] * k[i]);
			dz[i] = dy[i] * (phi(k[i], e) + k[i] * e * 0.39894228f);
		}
		break;
	case CB_ACT_TANH:
#pragma GCC ivdep
		for (; i < hi; i++)
			dz[i] = dy[i] * (1 - k[i] * k[i]);
		break;
	case CB_ACT_ELU:
#pragma GCC ivdep
		for (; i < hi; i++)
			dz[i] = dy[i] * (k[i] > 0 ? 1 : k[i] + 1);
		break;
	default:
		if (dz != dy)
			memcpy(dz + i, dy + i, sizeof(*dz) * (hi - i));
	}
}

void
cpu_act_bwd(struct cb_engine *e, struct cb_elem *dz, const struct cb_elem *dy,
    const struct cb_elem *kept, enum cb_act act, int64_t n)
{
	struct each j = { f32(dz), cf32(dy), cf32(kept), act, n,
	    tasks_for(n, act == CB_ACT_GELU ? 4 : 1) };

	cpu_run(cpu_of(e), act_task, &j, j.tasks);
}

static void
add_task(void *arg, int task, int thread)
{
	const struct each *j = arg;
	int64_t i, hi = part(j->n, j->tasks, task + 1);

	(void)thread;
	for (i = part(j->n, j->tasks, task); i < hi; i++)
		j->y[i] += j->x[i];
}

void
cpu_add(struct cb_engine *e, struct cb_elem *y, const struct cb_elem *x,
    int64_t n)
{
	struct each j = { .y = f32(y), .x = cf32(x), .n = n,
	    .tasks = tasks_for(n, 1) };

	cpu_run(cpu_of(e), add_task, &j, j.tasks);
}

/* ---- sums of columns */

struct columns {
	float	*out;
	const float *x;
	int64_t	 n;
	int	 C, tasks;
};

/* Sums of 32 rows in float, those in double. */
static void
columns_task(void *arg, int task, int thread)
{
	const struct columns *j = arg;
	int lo = (int)part(j->C, j->tasks, task), c, k, m;
	int hi = (int)part(j->C, j->tasks, task + 1);
	int64_t r, end;
	double all[64];
	float some[64];

	(void)thread;
	for (c = lo; c < hi; c += m) {
		m = hi - c < 64 ? hi - c : 64;
		memset(all, 0, sizeof(all));
		for (r = 0; r < j->n; r = end) {
			end = r + 32 < j->n ? r + 32 : j->n;
			memset(some, 0, sizeof(some));
			for (; r < end; r++)
				for (k = 0; k < m; k++)
					some[k] += j->x[r * j->C + c + k];
			for (k = 0; k < m; k++)
				all[k] += some[k];
		}
		for (k = 0; k < m; k++)
			j->out[c + k] += (float)all[k];
	}
}

void
cpu_column_sums(struct cpu *c, float *out, const float *x, int64_t n, int C)
{
	struct columns j = { out, x, n, C, 1 };

	if (n * C > 16384 && C >= 128)
		j.tasks = C / 64 < 16 ? C / 64 : 16;
	cpu_run(c, columns_task, &j, j.tasks);
}
