/*
 * optim steps FILE...: groups, rates and two AdamW steps of reference runs.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tap.h"
#include "train/train.h"

static double
num(const json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}

static enum cb_decay
kind_of(const char *name)
{
	return strcmp(name, "linear") == 0 ? CB_LINEAR :
	    strcmp(name, "invsqrt") == 0 ? CB_INVSQRT :
	    strcmp(name, "constant") == 0 ? CB_CONSTANT : CB_MULTI_STEP;
}

/* ---- steps ------------------------------------------------------------------- */

struct run {
	struct cb_safetensors *f;
	struct cb_settings s;
	struct cb_segments segs;
	struct cb_param p[512];
	int group[512], n;
	int64_t total;
	float *w, *m, *v, *g;
	int64_t count;
};

static void
sumsq(struct cb_engine *e, double *to, const float *g, int64_t n)
{
	(void)e;
	for (*to = 0; n-- > 0; g++)
		*to += (double)*g * *g;
}

static void
adamw(struct cb_engine *e, float *w, float *m, float *v, const float *g,
    int64_t n, const struct cb_adamw *a)
{
	int64_t i;
	float x;

	(void)e;
	for (i = 0; i < n; i++) {
		x = g[i] * a->grad_scale;
		m[i] = a->b1 * m[i] + (1 - a->b1) * x;
		v[i] = a->b2 * v[i] + (1 - a->b2) * x * x;
		w[i] -= a->lr * a->fix * m[i] / (sqrtf(v[i]) + a->eps);
		w[i] -= a->lr * a->wd * w[i];
	}
}

static int
sync_nothing(struct cb_engine *e)
{
	(void)e;
	return 0;
}

static struct cb_engine engine = {
	.loss_scale = 1, .sync = sync_nothing, .sumsq = sumsq, .adamw = adamw,
};

/* "decay" of the metadata and so on into settings. */
static void
take_optim(struct run *r)
{
	json_t *o;
	char *prefix;

	if (cb_settings_init(&r->s) < 0 ||
	    cb_safetensors_meta_json(&o, r->f, "optim") < 0)
		abort();
	r->s.learning_rate = num(o, "lr");
	r->s.cnn_learning_rate = num(o, "cnn_lr");
	r->s.weight_decay = num(o, "wd");
	r->s.cnn_weight_decay = num(o, "cnn_wd");
	r->s.transformer_lr_mul = num(o, "lr_mul");
	r->s.cnn_lr_mul = num(o, "cnn_lr_mul");
	r->s.warmup_ratio = num(o, "warmup_ratio");
	r->s.decay = kind_of(json_string_value(json_object_get(o, "decay")));
	r->s.cnn_lr_decay = kind_of(json_string_value(json_object_get(o,
	    "cnn_decay")));
	prefix = r->s.transformer_lr_mul_prefix;
	r->s.transformer_lr_mul_prefix = cb_strf("%s",
	    json_string_value(json_object_get(o, "transformer_prefix")));
	free(prefix);
	prefix = r->s.cnn_lr_mul_prefix;
	r->s.cnn_lr_mul_prefix = cb_strf("%s",
	    json_string_value(json_object_get(o, "cnn_prefix")));
	free(prefix);
	r->total = (int64_t)num(o, "total_steps");
	json_decref(o);
}

/* The parameters that the reference puts into groups; the last group first, so
 * that places are not in the order of the table. */
static int
take_groups(struct run *r)
{
	json_t *groups, *v;
	char *text, *name, *rest;
	const struct cb_array *a;
	int i, bad = 0;
	size_t g;

	if (cb_safetensors_meta_json(&groups, r->f, "groups") < 0)
		abort();
	json_array_foreach(groups, g, v) {
		text = cb_strf("%s", json_string_value(v));
		for (name = strtok_r(text, " ", &rest); name != NULL;
		    name = strtok_r(NULL, " ", &rest)) {
			struct cb_param *p = &r->p[r->n];
			char start[256];

			snprintf(start, sizeof(start), "start/%s", name);
			if ((a = cb_safetensors_find(r->f, start)) == NULL)
				abort();
			p->name = cb_strf("%s", name);
			p->rank = a->rank;
			memcpy(p->dim, a->dim, sizeof(p->dim));
			p->count = cb_array_count(a);
			p->trainable = true;
			r->count += p->count;
			bad += cb_group_of(name,
			    r->s.transformer_lr_mul_prefix,
			    r->s.cnn_lr_mul_prefix) != (int)g;
			r->group[r->n++] = (int)g;
		}
		free(text);
	}
	json_decref(groups);
	r->count = 0;
	for (i = r->n - 1; i >= 0; i--) {
		r->p[i].at = r->count;
		r->count += r->p[i].count;
	}
	return bad;
}

static const float *
get(struct run *r, const char *kind, int i)
{
	char name[256];
	const struct cb_array *a;

	snprintf(name, sizeof(name), "%s/%s", kind, r->p[i].name);
	if ((a = cb_safetensors_find(r->f, name)) == NULL)
		abort();
	return a->data;
}

/*
 * The gradient after clipping is read off the moments: m = b1 m' + (1-b1) g.
 * One step is done with it.
 */
static bool
step(struct run *r, int t, double *worst)
{
	char kind_m[16], kind_w[16], key[24];
	const float *m, *w, *lr, *start;
	double rates[CB_GROUPS], norm, diff, size, change;
	int64_t k;
	int i, bad = 0;

	snprintf(kind_m, sizeof(kind_m), "step%d/m", t);
	snprintf(kind_w, sizeof(kind_w), "step%d/w", t);
	snprintf(key, sizeof(key), "step%d/lr", t);
	for (i = 0; i < r->n; i++) {
		m = get(r, kind_m, i);
		for (k = 0; k < r->p[i].count; k++)
			r->g[r->p[i].at + k] = (float)((m[k] -
			    0.9 * r->m[r->p[i].at + k]) / (1 - 0.9));
	}
	cb_group_rates(rates, &r->s, t, r->total, 0);
	lr = cb_safetensors_find(r->f, key)->data;
	for (i = 0; i < CB_GROUPS; i++)
		bad += fabs(rates[i] - lr[i]) > 1e-7 * lr[i];
	cb_segments_rate(&r->segs, &r->s, t, r->total, 0);
	if (cb_optim_step(&norm, &engine, &r->segs, r->w, r->m, r->v, r->g, t,
	    (double[]){ 0.9, 0.98 }, -1) < 0)
		return false;
	*worst = 0;
	for (i = 0; i < r->n; i++) {
		w = get(r, kind_w, i);
		start = get(r, "start", i);
		if (strstr(r->p[i].name, "key.bias") != NULL)
			continue;	/* gradient of pure noise */
		diff = size = change = 0;
		for (k = 0; k < r->p[i].count; k++) {
			diff += pow(r->w[r->p[i].at + k] - w[k], 2);
			size += pow(w[k], 2);
			change += pow(w[k] - start[k], 2);
		}
		diff = sqrt(diff) / (1e-2 * sqrt(change) +
		    2e-7 * sqrt(size) + 1e-30);
		*worst = diff > *worst ? diff : *worst;
	}
	return bad == 0 && *worst < 1;
}

static void
steps(const char *path)
{
	static const struct run zero;
	const char *short_name = strrchr(path, '/');
	static struct run r;
	double worst, norm;
	int64_t covered = 0;
	int i, bad;

	r = zero;
	short_name = short_name != NULL ? short_name + 1 : path;
	if (cb_safetensors_open(&r.f, path) < 0) {
		ok(false, "%s", cb_error());
		return;
	}
	take_optim(&r);
	bad = take_groups(&r);
	ok(bad == 0 && r.n > 50, "%s: %d names in their groups", short_name,
	    r.n);
	r.w = cb_alloc(4 * r.count);
	r.m = cb_alloc(4 * r.count);
	r.v = cb_alloc(4 * r.count);
	r.g = cb_alloc(4 * r.count);
	for (i = 0; i < r.n; i++)
		memcpy(r.w + r.p[i].at, get(&r, "start", i),
		    4 * r.p[i].count);
	if (cb_segments_init(&r.segs, r.p, r.n, &r.s) < 0)
		abort();
	for (i = 0; i < r.segs.n; i++)
		covered += r.segs.at[i].count;
	ok(covered == r.count && r.segs.n <= CB_GROUPS,
	    "%s: joined to %d segments", short_name, r.segs.n);
	for (i = 1; i <= 2; i++)
		ok(step(&r, i, &worst), "%s: step %d: rates, weights "
		    "(%.2g of the tolerance)", short_name, i, worst);
	r.g[0] = NAN;
	ok(cb_optim_step(&norm, &engine, &r.segs, r.w, r.m, r.v, r.g, 3,
	    r.s.betas, 1) < 0, "%s: NaN: %s", short_name, cb_error());
	for (i = 0; i < r.n; i++)
		free(r.p[i].name);
	free(r.w);
	free(r.m);
	free(r.v);
	free(r.g);
	cb_segments_clear(&r.segs);
	cb_settings_clear(&r.s);
	cb_safetensors_close(r.f);
}

static void
clipping(void)
{
	struct cb_segment s = { 0, 2, 2, 1, 0 };
	struct cb_segments segs = { &s, 1 };
	float w[2] = { 0 }, m[2] = { 0 }, v[2] = { 0 }, g[2] = { 3, 4 };
	double norm, b[2] = { 0, 0 };

	/* with b1 = 0 the first moment is the clipped gradient */
	cb_optim_step(&norm, &engine, &segs, w, m, v, g, 1, b, 2.5);
	ok(norm == 5 && fabsf(m[0] - 1.5f) < 1e-6f && fabsf(m[1] - 2) < 1e-6f,
	    "clipped to the norm: %g %g", m[0], m[1]);
	cb_optim_step(&norm, &engine, &segs, w, m, v, g, 1, b, 10);
	ok(norm == 5 && m[0] == 3 && m[1] == 4, "left alone below it");
	cb_optim_step(&norm, &engine, &segs, w, m, v, g, 1, b, -1);
	ok(m[0] == 3, "and with -1");
}

/* A gradient that is not finite where the loss is scaled: the step is left out,
 * and the scale halves; it doubles after many that are. */
static void
scaling(void)
{
	struct cb_segment s = { 0, 2, 2, 1, 0 };
	struct cb_segments segs = { &s, 1 };
	float w[2] = { 0 }, m[2] = { 0 }, v[2] = { 0 }, g[2] = { 24, 32 };
	double norm, b[2] = { 0, 0 };
	struct cb_engine e = engine;
	struct cb_scaling all, back;
	json_t *kept;
	int i, rc;

	e.scales = true;
	e.loss_scale = 8;
	cb_scaling_init(&all, &e);
	rc = cb_optim_step(&norm, &e, &segs, w, m, v, g, 1, b, 2.5);
	ok(rc == 0 && norm == 5 && fabsf(m[0] - 1.5f) < 1e-6f,
	    "a scaled gradient: norm %g, clipped %g", norm, m[0]);
	g[0] = INFINITY;
	rc = cb_optim_step(&norm, &e, &segs, w, m, v, g, 1, b, 2.5);
	cb_scaling_step(&all, &e, rc > 0);
	ok(rc == 1 && e.loss_scale == 4 && all.skipped == 1 &&
	    fabsf(m[0] - 1.5f) < 1e-6f, "overflow: left out, scale %g",
	    e.loss_scale);
	for (i = 0; i < CB_SCALING_STEPS; i++) {
		if (i == 7) {		/* as after a restore point */
			kept = cb_scaling_json(&all);
			cb_scaling_init(&back, &e);
			e.loss_scale = 1;
			cb_scaling_take(&back, &e, kept);
			json_decref(kept);
			all = back;
		}
		if (i + 1 == CB_SCALING_STEPS)
			ok(e.loss_scale == 4, "not before its time");
		cb_scaling_step(&all, &e, false);
	}
	ok(e.loss_scale == 8 && all.skipped == 1, "then scale %g",
	    e.loss_scale);
	e.loss_scale = 1;
	ok(cb_optim_step(&norm, &e, &segs, w, m, v, g, 1, b, 2.5) < 0,
	    "no scale helps: %s", cb_error());
	cb_scaling_init(&back, &engine);
	ok((kept = cb_scaling_json(&back)) == NULL, "nothing kept without");
}

/* Where the formulas divide by nothing, or skip a power. */
static void
rates(void)
{
	ok(cb_lr_at(10, 10, 1, CB_LINEAR, 1, NULL, 0, 0) == 1e-8,
	    "all warm-up: the last step divides nothing by nothing");
	ok(cb_lr_at(3, 10, 1, CB_MULTI_STEP, 0, NULL, 0, 5) == 0.5,
	    "no milestones count as passed, as in the original");
}

/* EPOCHS GROUPS BATCH ACCUMULATE [key=value ...]: "steps valid save" */
static int
points(int argc, char **argv)
{
	struct cb_settings s;
	int64_t steps, valid, save;
	int i;

	if (cb_settings_init(&s) < 0)
		return 1;
	for (i = 4; i < argc; i++)
		if (cb_settings_set(&s, argv[i]) < 0)
			return cb_complain();
	steps = cb_plan_steps(atof(argv[0]), atoll(argv[1]), atoll(argv[2]),
	    atoll(argv[3]));
	cb_plan_points(&valid, &save, &s, steps);
	printf("%lld %lld %lld\n", (long long)steps, (long long)valid,
	    (long long)save);
	cb_settings_clear(&s);
	return 0;
}

int
main(int argc, char **argv)
{
	int i;

	if (argc >= 6 && strcmp(argv[1], "points") == 0)
		return points(argc - 2, argv + 2);
	if (argc < 3 || strcmp(argv[1], "steps") != 0)
		return 2;
	plan(5 * (argc - 2) + 11);
	for (i = 2; i < argc; i++)
		steps(argv[i]);
	clipping();
	scaling();
	rates();
	return done();
}
