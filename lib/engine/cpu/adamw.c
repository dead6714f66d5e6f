/*
 * AdamW and the sum of squares.  (Twin: ref/adamw.c, with the formulas.)  The
 * sum has as many parts as the number of elements asks for, each in float over
 * 1024 elements at most and in double beyond.
 */
#include "cpu.h"

#define PART 65536

struct job {
	const float *g;
	float	*w, *m, *v;
	double	*out;
	int64_t	 n;
	const struct cb_adamw *a;
};

static int
parts(int64_t n)
{
	return (int)((n + PART - 1) / PART);
}

static int64_t
end_of(const struct job *j, int task)
{
	int64_t hi = ((int64_t)task + 1) * PART;

	return hi < j->n ? hi : j->n;
}

static void
sumsq_task(void *arg, int task, int thread)
{
	const struct job *j = arg;
	int64_t i, hi = end_of(j, task), n;
	double s = 0;

	(void)thread;
	for (i = (int64_t)task * PART; i < hi; i += n) {
		n = hi - i < 1024 ? hi - i : 1024;
		s += (double)dot(j->g + i, j->g + i, (int)n);
	}
	j->out[task] = s;
}

void
cpu_sumsq(struct cb_engine *e, double *host, const float *g, int64_t n)
{
	struct job j = { .g = g, .n = n };
	int i, tasks = parts(n);

	*host = 0;
	j.out = cpu_shared(cpu_of(e), tasks * (int64_t)sizeof(double));
	if (j.out == NULL)
		return;
	cpu_run(cpu_of(e), sumsq_task, &j, tasks);
	for (i = 0; i < tasks; i++)
		*host += j.out[i];
}

static void
adamw_task(void *arg, int task, int thread)
{
	const struct job *j = arg;
	const struct cb_adamw a = *j->a;
	float c1 = (float)(1 - (double)a.b1), c2 = (float)(1 - (double)a.b2);
	float step = a.lr * a.fix, decay = a.lr * a.wd, g, x;
	int64_t i, hi = end_of(j, task);
	float *w = j->w, *m = j->m, *v = j->v;
	const float *gs = j->g;

	(void)thread;
#pragma GCC ivdep
	for (i = (int64_t)task * PART; i < hi; i++) {
		g = gs[i] * a.grad_scale;
		m[i] = a.b1 * m[i] + c1 * g;
		v[i] = a.b2 * v[i] + c2 * g * g;
		x = w[i] - step * m[i] / (sqrtf(v[i]) + a.eps);
		w[i] = x - decay * x;
	}
}

void
cpu_adamw(struct cb_engine *e, float *w, float *m, float *v, const float *g,
    int64_t n, const struct cb_adamw *a)
{
	struct job j = { .g = g, .w = w, .m = m, .v = v, .n = n, .a = a };

	cpu_run(cpu_of(e), adamw_task, &j, parts(n));
}
