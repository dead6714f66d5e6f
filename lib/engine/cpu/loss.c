/*
 * Pooled scores and losses.  (Twin: ref/loss.c, with the formulas.)  A task is
 * a run of rows.  MSE and RANK have one score a row: their twin is fast
 * enough.
 */
#include "cpu.h"
#include "engine/ref/ref.h"

struct job {
	struct cpu *u;
	const struct cb_loss *l;
	const float *x;
	const void *labels;
	float	*each, *dx;
	int	 tasks;
};

/* s [n] = clips pooled; who [n]: the clip that MAX took, may be NULL. */
static void
pooled(float *s, int32_t *who, const float *x, enum cb_agg agg, int K,
    int64_t plane, int n)
{
	const float *from;
	int k, i;

	memcpy(s, x, sizeof(*s) * n);
	if (who != NULL)
		memset(who, 0, sizeof(*who) * n);
	for (k = 1; k < K; k++) {
		from = x + k * plane;
		if (agg == CB_AGG_MEAN)
			for (i = 0; i < n; i++)
				s[i] += from[i];
		else
			for (i = 0; i < n; i++) {
				if (who != NULL)
					who[i] = from[i] > s[i] ? k : who[i];
				s[i] = from[i] > s[i] ? from[i] : s[i];
			}
	}
	if (agg == CB_AGG_MEAN)
		for (i = 0; i < n; i++)
			s[i] /= K;
}

/* Maxima s become logs of sums of exponentials. */
static void
log_sums(float *s, const float *x, int K, int64_t plane, int n)
{
	float e;
	int i, k;

	for (i = 0; i < n; i++) {
		for (e = 0, k = 0; k < K; k++)
			e += exp_(x[k * plane + i] - s[i]);
		s[i] += logf(e);
	}
}

struct scores {
	float	*out;
	const float *x;
	enum cb_agg agg;
	int	 K, N, C, tasks;
};

static void
scores_task(void *arg, int task, int thread)
{
	const struct scores *j = arg;
	int i, hi = (int)part(j->N, j->tasks, task + 1);
	int64_t plane = (int64_t)j->N * j->C, at;

	(void)thread;
	for (i = (int)part(j->N, j->tasks, task); i < hi; i++) {
		at = (int64_t)i * j->C;
		pooled(j->out + at, NULL, j->x + at, j->agg, j->K, plane, j->C);
		if (j->agg == CB_AGG_LSE)
			log_sums(j->out + at, j->x + at, j->K, plane, j->C);
	}
}

void
cpu_pool_scores(struct cb_engine *e, float *out, const struct cb_elem *clip,
    enum cb_agg agg, int K, int N, int C)
{
	struct scores j = { out, cf32(clip), agg, K, N, C,
	    tasks_for(N, 4 * (int64_t)K * C) };

	cpu_run(cpu_of(e), scores_task, &j, j.tasks);
}

/* Gradient ds [C] of the pooled scores of a row to its clips. */
static void
spread(const struct job *j, int64_t at, const float *ds, const int32_t *who)
{
	const struct cb_loss *l = j->l;
	int64_t plane = (int64_t)l->N * l->C;
	float *to;
	int k, c;

	for (k = 0; k < l->K; k++) {
		to = j->dx + k * plane + at;
		if (l->agg == CB_AGG_MAX)
			for (c = 0; c < l->C; c++)
				to[c] = who[c] == k ? ds[c] : 0;
		else
			for (c = 0; c < l->C; c++)
				to[c] = ds[c] / l->K;
	}
}

/* log of the sum of exp(s), exp(s - top) left in e. */
static double
log_sum(float *e, const float *s, int n)
{
	float top = s[0];
	double all = 0;
	int i, m;

	for (i = 1; i < n; i++)
		top = s[i] > top ? s[i] : top;
	for (i = 0; i < n; i++)
		e[i] = exp_(s[i] - top);
	for (i = 0; i < n; i += m) {
		m = n - i < 1024 ? n - i : 1024;
		all += (double)sum(e + i, m);
	}
	return top + log(all);
}

static void
clear(const struct job *j, int64_t at)
{
	int64_t plane = (int64_t)j->l->N * j->l->C;
	int k;

	for (k = 0; k < j->l->K && j->dx != NULL; k++)
		memset(j->dx + k * plane + at, 0, sizeof(float) * j->l->C);
}

static void
ce_row(const struct job *j, int i, float *s, float *e, int32_t *who)
{
	const struct cb_loss *l = j->l;
	int label = ((const int32_t *)j->labels)[i], k, c, C = l->C;
	int64_t plane = (int64_t)l->N * C, at = (int64_t)i * C;
	const float *x = j->x + at;
	float *dx, lse, part_of = l->share / l->N;
	double all;

	if (label < 0) {
		j->each[i] = 0;
		clear(j, at);
		return;
	}
	pooled(s, who, x, l->agg, l->K, plane, C);
	if (l->agg == CB_AGG_LSE)
		log_sums(s, x, l->K, plane, C);
	all = log_sum(e, s, C);
	j->each[i] = (float)(all - s[label]);
	if (j->dx == NULL)
		return;
	lse = (float)all;
	if (l->agg != CB_AGG_LSE) {
		for (c = 0; c < C; c++)
			e[c] = exp_(s[c] - lse) * part_of;
		e[label] -= part_of;
		spread(j, at, e, who);
		return;
	}
	for (k = 0; k < l->K; k++) {
		dx = j->dx + k * plane + at;
		for (c = 0; c < C; c++)
			dx[c] = exp_(x[k * plane + c] - lse) * part_of;
		dx[label] -= exp_(x[k * plane + label] - s[label]) *
		    part_of;
	}
}

static void
bce_row(const struct job *j, int i, float *s, float *d, int32_t *who)
{
	const struct cb_loss *l = j->l;
	int64_t at = (int64_t)i * l->C;
	const float *y = (const float *)j->labels + at;
	float *each = j->each + at, e, sig;
	int c;

	pooled(s, who, j->x + at, l->agg, l->K, (int64_t)l->N * l->C, l->C);
	for (c = 0; c < l->C; c++) {
		e = exp_(-fabsf(s[c]));
		sig = (s[c] < 0 ? e : 1) / (1 + e);
		d[c] = (sig - y[c]) * l->share / l->N;
		each[c] = (s[c] > 0 ? s[c] : 0) - s[c] * y[c] + log1pf(e);
	}
	if (j->dx != NULL)
		spread(j, at, d, who);
}

static void
loss_task(void *arg, int task, int thread)
{
	const struct job *j = arg;
	int i, hi = (int)part(j->l->N, j->tasks, task + 1), C = j->l->C;
	float *s = j->u->own[thread], *e = s + C;
	int32_t *who = (int32_t *)(e + C);

	for (i = (int)part(j->l->N, j->tasks, task); i < hi; i++) {
		if (j->l->kind == CB_LOSS_CE)
			ce_row(j, i, s, e, who);
		else
			bce_row(j, i, s, e, who);
	}
}

void
cpu_loss(struct cb_engine *e, float *total, float *each,
    struct cb_elem *dclip, const struct cb_elem *clip, const void *labels,
    const struct cb_loss *l)
{
	struct job j = { .u = cpu_of(e), .l = l, .x = cf32(clip),
	    .labels = labels, .each = each, .dx = f32(dclip),
	    .tasks = tasks_for(l->N, 8 * (int64_t)l->K * l->C) };
	int64_t i, n = l->kind == CB_LOSS_CE ? l->N : (int64_t)l->N * l->C;
	double all = 0;

	if (l->kind != CB_LOSS_CE && l->kind != CB_LOSS_BCE) {
		ref_loss(e, total, each, dclip, clip, labels, l);
		return;
	}
	if (cpu_own(j.u, 3 * (int64_t)l->C * (int64_t)sizeof(float)) < 0)
		return;
	cpu_run(j.u, loss_task, &j, j.tasks);
	for (i = 0; i < n; i++)
		all += each[i];
	*total = l->N > 0 ? (float)(all * l->share / l->N) : 0;
}
