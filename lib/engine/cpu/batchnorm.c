/*
 * Batch normalisation.  (Twin: ref/batchnorm.c, with the formulas.)  A task is
 * a run of columns, WIDE of them at a time, so that a row of them is one vector
 * loop; sums over the rows are in double.
 */
#include "cpu.h"

#define WIDE 64

struct job {
	const float *x, *gain, *bias, *dy;
	float	*y, *mean, *rstd, *running, *dgain, *dbias;
	bool	 learn;
	int	 T, D, tasks;
};

/* Mean and biased variance of n columns from c on. */
static void
columns(double *mean, double *var, const struct job *j, int c, int n)
{
	const float *x;
	double d;
	int t, k;

	memset(mean, 0, sizeof(*mean) * n);
	memset(var, 0, sizeof(*var) * n);
	for (t = 0; t < j->T; t++) {
		x = j->x + (int64_t)t * j->D + c;
		for (k = 0; k < n; k++)
			mean[k] += x[k];
	}
	for (k = 0; k < n; k++)
		mean[k] /= j->T;
	for (t = 0; t < j->T; t++) {
		x = j->x + (int64_t)t * j->D + c;
		for (k = 0; k < n; k++) {
			d = x[k] - mean[k];
			var[k] += d * d;
		}
	}
	for (k = 0; k < n; k++)
		var[k] /= j->T;
}

static void
run_on(const struct job *j, const double *mean, const double *var, int c,
    int n)
{
	float *m = j->running + c, *v = m + j->D;
	double unbiased = (double)j->T / (j->T - 1);
	int k;

	for (k = 0; k < n; k++) {
		m[k] = (float)(0.9 * m[k] + 0.1 * mean[k]);
		v[k] = (float)(0.9 * v[k] + 0.1 * var[k] * unbiased);
		j->mean[c + k] = (float)mean[k];
		j->rstd[c + k] = (float)(1 / sqrt(var[k] + 1e-5));
	}
}

static void
fwd_task(void *arg, int task, int thread)
{
	const struct job *j = arg;
	int lo = (int)part(j->D, j->tasks, task), c, k, t, n;
	int hi = (int)part(j->D, j->tasks, task + 1);
	double mean[WIDE], var[WIDE];
	float scale[WIDE], m[WIDE];
	int64_t at;

	(void)thread;
	for (c = lo; c < hi; c += n) {
		n = hi - c < WIDE ? hi - c : WIDE;
		if (j->learn) {
			columns(mean, var, j, c, n);
			run_on(j, mean, var, c, n);
		} else for (k = 0; k < n; k++) {
			mean[k] = j->running[c + k];
			var[k] = j->running[j->D + c + k];
		}
		for (k = 0; k < n; k++) {
			m[k] = (float)mean[k];
			scale[k] = (float)(j->gain[c + k] /
			    sqrt(var[k] + 1e-5));
		}
		for (t = 0; t < j->T; t++) {
			at = (int64_t)t * j->D + c;
			for (k = 0; k < n; k++)
				j->y[at + k] = (j->x[at + k] - m[k]) *
				    scale[k] + j->bias[c + k];
		}
	}
}

void
cpu_batchnorm_fwd(struct cb_engine *e, struct cb_elem *y, float *mean,
    float *rstd, float *running, const struct cb_elem *x, const float *gain,
    const float *bias, int T, int D, bool learn)
{
	struct job j = { .x = cf32(x), .gain = gain, .bias = bias, .y = f32(y),
	    .mean = mean, .rstd = rstd, .running = running, .learn = learn,
	    .T = T, .D = D, .tasks = tasks_for(D, 4 * (int64_t)T) };

	cpu_run(cpu_of(e), fwd_task, &j, j.tasks);
	if (learn)
		running[2 * D]++;
}

static void
bwd_task(void *arg, int task, int thread)
{
	const struct job *j = arg;
	int lo = (int)part(j->D, j->tasks, task), c, k, t, n;
	int hi = (int)part(j->D, j->tasks, task + 1);
	double a[WIDE], b[WIDE];
	float ma[WIDE], mb[WIDE], norm;
	int64_t at;

	(void)thread;
	for (c = lo; c < hi; c += n) {
		n = hi - c < WIDE ? hi - c : WIDE;
		memset(a, 0, sizeof(a));
		memset(b, 0, sizeof(b));
		for (t = 0; t < j->T; t++) {
			at = (int64_t)t * j->D + c;
			for (k = 0; k < n; k++) {
				norm = (j->x[at + k] - j->mean[c + k]) *
				    j->rstd[c + k];
				a[k] += j->dy[at + k] * norm;
				b[k] += j->dy[at + k];
			}
		}
		for (k = 0; k < n; k++) {
			if (j->dgain != NULL)
				j->dgain[c + k] += (float)a[k];
			if (j->dbias != NULL)
				j->dbias[c + k] += (float)b[k];
			ma[k] = (float)(a[k] / j->T);
			mb[k] = (float)(b[k] / j->T);
		}
		for (t = 0; t < j->T; t++) {
			at = (int64_t)t * j->D + c;
			for (k = 0; k < n; k++) {
				norm = (j->x[at + k] - j->mean[c + k]) *
				    j->rstd[c + k];
				j->y[at + k] = j->rstd[c + k] * j->gain[c + k] *
				    (j->dy[at + k] - mb[k] - norm * ma[k]);
			}
		}
	}
}

void
cpu_batchnorm_bwd(struct cb_engine *e, struct cb_elem *dx, float *dgain,
    float *dbias, const struct cb_elem *dy, const struct cb_elem *x,
    const float *mean, const float *rstd, const float *gain, int T, int D)
{
	struct job j = { .x = cf32(x), .gain = gain, .dy = cf32(dy),
	    .y = f32(dx), .mean = (float *)mean, .rstd = (float *)rstd,
	    .dgain = dgain, .dbias = dbias, .T = T, .D = D,
	    .tasks = tasks_for(D, 8 * (int64_t)T) };

	cpu_run(cpu_of(e), bwd_task, &j, j.tasks);
}
