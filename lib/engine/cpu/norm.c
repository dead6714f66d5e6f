/*
 * Dropout, residual and layer normalisation.  (Twin: ref/norm.c, with the
 * formulas.)  A task is a run of rows; the gradients of gain and bias are
 * summed for each run apart and added in the order of the runs.
 */
#include "cpu.h"

#define MAX_RUNS 16

struct job {
	const float *x, *res, *gain, *bias, *dy, *s_in;
	float	*y, *s, *mean, *rstd, *dx, *ds, *partial;
	const struct cb_drop *drop;
	struct cpu *u;
	int	 T, D, tasks;
};

/* Sum of (x - m)^2. */
static float
spread(const float *x, float m, int n)
{
	v16 acc = { 0 }, d;
	float s, v;
	int i;

	for (i = 0; i + 16 <= n; i += 16) {
		d = load(x + i) - m;
		acc += d * d;
	}
	for (s = lanes(acc); i < n; i++) {
		v = x[i] - m;
		s += v * v;
	}
	return s;
}

static void
make_s(const struct job *j, float *f, float *s, const float *x,
    const float *res, int64_t at)
{
	int d, D = j->D;

	if (drops(j->drop)) {
		cpu_drop_factors(f, D, at, j->drop);
		if (res != NULL) {
#pragma GCC ivdep
			for (d = 0; d < D; d++)
				s[d] = x[d] * f[d] + res[d];
		} else {
#pragma GCC ivdep
			for (d = 0; d < D; d++)
				s[d] = x[d] * f[d];
		}
	} else if (res != NULL) {
#pragma GCC ivdep
		for (d = 0; d < D; d++)
			s[d] = x[d] + res[d];
	} else if (s != x) {
		memcpy(s, x, sizeof(*s) * D);
	}
}

static void
fwd_task(void *arg, int task, int thread)
{
	const struct job *j = arg;
	int t, hi = (int)part(j->T, j->tasks, task + 1), D = j->D, d;
	float *s, *y, m, r;
	int64_t at;

	for (t = (int)part(j->T, j->tasks, task); t < hi; t++) {
		at = (int64_t)t * D;
		s = j->s + at;
		y = j->y + at;
		make_s(j, j->u->own[thread], s, j->x + at,
		    j->res != NULL ? j->res + at : NULL, at);
		m = sum(s, D) / D;
		r = 1 / sqrtf(spread(s, m, D) / D + 1e-12f);
#pragma GCC ivdep
		for (d = 0; d < D; d++)
			y[d] = (s[d] - m) * r * j->gain[d] + j->bias[d];
		j->mean[t] = m;
		j->rstd[t] = r;
	}
}

void
cpu_norm_fwd(struct cb_engine *e, struct cb_elem *y, struct cb_elem *s,
    float *mean, float *rstd, const struct cb_elem *x,
    const struct cb_elem *res, const float *gain, const float *bias, int T,
    int D, const struct cb_drop *drop)
{
	struct job j = { .u = cpu_of(e), .x = cf32(x), .res = cf32(res),
	    .gain = gain, .bias = bias, .y = f32(y), .s = f32(s), .mean = mean,
	    .rstd = rstd, .drop = drop, .T = T, .D = D,
	    .tasks = tasks_for(T, drops(drop) ? 10 * D : 2 * D) };

	if (cpu_own(j.u, D * (int64_t)sizeof(float)) == 0)
		cpu_run(j.u, fwd_task, &j, j.tasks);
}

/* Sums of g = dy gain and of g n, n being normalised s; also adds dy and dy n
 * to the partial gradients of bias and gain. */
static void
row_sums(float out[2], float *dgain, float *dbias, const float *dy,
    const float *s, const float *gain, float m, float r, int D)
{
	v16 a = { 0 }, b = { 0 }, n, g, y;
	int d;

	for (d = 0; d + 16 <= D; d += 16) {
		y = load(dy + d);
		n = (load(s + d) - m) * r;
		g = y * load(gain + d);
		a += g;
		b += g * n;
		store(dgain + d, load(dgain + d) + y * n);
		store(dbias + d, load(dbias + d) + y);
	}
	out[0] = lanes(a);
	out[1] = lanes(b);
	for (; d < D; d++) {
		out[0] += dy[d] * gain[d];
		out[1] += dy[d] * gain[d] * ((s[d] - m) * r);
		dgain[d] += dy[d] * ((s[d] - m) * r);
		dbias[d] += dy[d];
	}
}

static void
bwd_task(void *arg, int task, int thread)
{
	const struct job *j = arg;
	int t, hi = (int)part(j->T, j->tasks, task + 1), D = j->D, d;
	float *dgain = j->partial + (int64_t)task * 2 * D, *dbias = dgain + D;
	float *f = j->u->own[thread], *ds, two[2], m, r;
	const float *dy, *s;
	int64_t at;

	memset(dgain, 0, sizeof(float) * 2 * D);
	for (t = (int)part(j->T, j->tasks, task); t < hi; t++) {
		at = (int64_t)t * D;
		dy = j->dy + at;
		s = j->s_in + at;
		ds = j->ds + at;
		m = j->mean[t];
		r = j->rstd[t];
		row_sums(two, dgain, dbias, dy, s, j->gain, m, r, D);
		two[0] /= D;
		two[1] /= D;
#pragma GCC ivdep
		for (d = 0; d < D; d++)
			ds[d] = r * (dy[d] * j->gain[d] - two[0] -
			    (s[d] - m) * r * two[1]);
		if (j->dx == NULL)
			continue;
		if (drops(j->drop)) {
			cpu_drop_factors(f, D, at, j->drop);
			for (d = 0; d < D; d++)
				j->dx[at + d] = ds[d] * f[d];
		} else if (j->dx != j->ds) {
			memcpy(j->dx + at, ds, sizeof(*ds) * D);
		}
	}
}

void
cpu_norm_bwd(struct cb_engine *e, struct cb_elem *dx, struct cb_elem *ds,
    float *dgain, float *dbias, const struct cb_elem *dy,
    const struct cb_elem *s, const float *mean, const float *rstd,
    const float *gain, int T, int D, const struct cb_drop *drop)
{
	struct job j = { .u = cpu_of(e), .dx = f32(dx), .ds = f32(ds),
	    .dy = cf32(dy), .s_in = cf32(s), .mean = (float *)mean,
	    .rstd = (float *)rstd, .gain = gain, .drop = drop, .T = T, .D = D,
	    .tasks = tasks_for(T, 2 * D) };
	const float *from;
	int i, d;

	if (j.tasks > MAX_RUNS)
		j.tasks = MAX_RUNS;
	j.partial = cpu_shared(j.u, (int64_t)j.tasks * 2 * D *
	    (int64_t)sizeof(float));
	if (j.partial == NULL || cpu_own(j.u, D * (int64_t)sizeof(float)) < 0)
		return;
	cpu_run(j.u, bwd_task, &j, j.tasks);
	for (i = 0; i < j.tasks; i++) {
		from = j.partial + (int64_t)i * 2 * D;
		for (d = 0; d < D && dgain != NULL; d++)
			dgain[d] += from[d];
		for (d = 0; d < D && dbias != NULL; d++)
			dbias[d] += from[D + d];
	}
}
