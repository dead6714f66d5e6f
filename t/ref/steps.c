/* Optimiser steps over micro-batches. */
#include "reference.h"

struct run {
	struct ref_case *r;
	struct cb_model *m;
	struct cb_settings s;
	struct cb_segments segs;
	float	*moment, *variance;	/* engine */
	double	 rates[CB_GROUPS], fastest;	/* of a step; of all so far */
	int64_t	 total, t;
	int	 accumulate, zero;
};

static int
read_optim(struct run *u)
{
	static const char *const kinds[] = { "linear", "invsqrt", "constant",
	    "multi_step" };
	struct cb_settings *s = &u->s;
	json_t *o, *betas;
	int kind, cnn_kind;

	if (cb_safetensors_meta_json(&o, u->r->f, "optim") < 0)
		return -1;
	if (cb_settings_init(s) < 0) {
		json_decref(o);
		return -1;
	}
	s->learning_rate = real_of(o, "lr");
	s->cnn_learning_rate = real_of(o, "cnn_lr");
	s->weight_decay = real_of(o, "wd");
	s->cnn_weight_decay = real_of(o, "cnn_wd");
	s->transformer_lr_mul = real_of(o, "lr_mul");
	s->cnn_lr_mul = real_of(o, "cnn_lr_mul");
	free(s->transformer_lr_mul_prefix);
	free(s->cnn_lr_mul_prefix);
	s->transformer_lr_mul_prefix = cb_strf("%s", json_string_value(
	    json_object_get(o, "transformer_prefix")));
	s->cnn_lr_mul_prefix = cb_strf("%s", json_string_value(
	    json_object_get(o, "cnn_prefix")));
	betas = json_object_get(o, "betas");
	s->betas[0] = json_number_value(json_array_get(betas, 0));
	s->betas[1] = json_number_value(json_array_get(betas, 1));
	kind = pick(json_string_value(json_object_get(o, "decay")), kinds, 4);
	cnn_kind = pick(json_string_value(json_object_get(o, "cnn_decay")),
	    kinds, 4);
	s->decay = kind;
	s->cnn_lr_decay = cnn_kind;
	s->warmup_ratio = real_of(o, "warmup_ratio");
	s->grad_norm = real_of(o, "grad_norm");
	u->total = int_of(o, "total_steps");
	u->accumulate = (int)meta_int(u->r->f, "accumulate", 1);
	json_decref(o);
	return kind < 0 || cnn_kind < 0 ?
	    cb_fail(CB_EFORMAT, "%s: decay", u->r->path) : 0;
}

/*
 * The original's steps with zero gradients (quirk 31): before the first look-up
 * in the schedule, so with base rates, the CNN's rest with the transformer's
 * (quirk 30).
 */
static int
zero_steps(struct run *u)
{
	const struct cb_settings *s = &u->s;
	double lr[CB_GROUPS] = { s->transformer_lr_mul * s->learning_rate,
	    s->transformer_lr_mul * s->learning_rate, s->learning_rate,
	    s->learning_rate, s->cnn_lr_mul * s->cnn_learning_rate,
	    s->cnn_lr_mul * s->cnn_learning_rate, s->learning_rate,
	    s->learning_rate };
	double norm;
	int i, z;

	cb_model_zero_grads(u->m);
	cb_segments_rate(&u->segs, s, 1, u->total, 0);
	for (i = 0; i < u->segs.n; i++)
		u->segs.at[i].lr = lr[u->segs.at[i].group];
	for (z = 0; z < u->zero; z++)
		if (cb_optim_step(&norm, cb_model_engine(u->m), &u->segs,
		    cb_model_weights(u->m), u->moment, u->variance,
		    cb_model_grads(u->m), ++u->t, s->betas, s->grad_norm) < 0)
			return -1;
	cb_model_pack(u->m, false);
	return 0;
}

/* "" or "zero1/": the prefix of the expected values. */
static void
prefix_of(const struct run *u, char out[16])
{
	out[0] = '\0';
	if (u->zero > 0)
		snprintf(out, 16, "zero%d/", u->zero);
}

static float *
get_arena(struct run *u, const float *from)
{
	struct cb_engine *e = cb_model_engine(u->m);
	int64_t n = cb_model_trainable(u->m);
	float *host = need(malloc(sizeof(*host) * n));

	e->get(e, host, from, n * sizeof(*host));
	e->sync(e);
	return host;
}

/*
 * The gradient is 0 in exact arithmetic, rounding in f32: a softmax does not
 * change where all scores of a row shift, be it of attention or of the options
 * of a question.
 */
static bool
is_noise(const struct ref_case *r, const char *name)
{
	return has(name, "key.bias") || (r->c.head == CB_HEAD_CHOICE &&
	    strcmp(name, "transformer.classifier.2.bias") == 0);
}

static void
judge_weight(struct verdict *v, const struct run *u, const char *name,
    const float *w, const float *start, const struct cb_array *want,
    int64_t step)
{
	int64_t n = cb_array_count(want), i;
	double most = 0, change, error = 0;
	const float *y = want->data;

	if (is_noise(u->r, name)) {
		for (i = 0; i < n; i++)
			most = fmax(most, fabs((double)w[i * step] - y[i]));
		judge(v, most / u->fastest, TOL_KEY_BIAS, "w/%s", name);
		return;
	}
	change = distance(start, step, y, n);
	error = distance(w, step, y, n);
	/* as a share of what is allowed beside the rounding of w itself */
	error -= TOL_WEIGHT_ROUNDING * norm_of(y, n, 1);
	judge(v, error <= 0 ? 0 : change > 0 ? error / change : INFINITY,
	    TOL_WEIGHT, "w/%s", name);
}

static void
judge_state(struct verdict *v, struct run *u, int step, double norm)
{
	struct ref_case *r = u->r;
	int n, i;
	const struct cb_param *p = cb_model_params(u->m, &n);
	float *w = get_arena(u, cb_model_weights(u->m));
	float *m = get_arena(u, u->moment), *s = get_arena(u, u->variance);
	const struct cb_array *a;
	char pre[16];
	double base;

	prefix_of(u, pre);
	for (i = 0; i < n; i++) {
		if (!p[i].trainable)
			continue;
		bool noise = is_noise(r, p[i].name);
		const struct cb_array *start = tensor(r->f, "start/%s",
		    p[i].name);

		if (start != NULL && u->zero == 0 && (a = tensor(r->f,
		    "step%d/w/%s", step, p[i].name)) != NULL)
			judge_weight(v, u, p[i].name, w + p[i].at,
			    start->data, a, 1);
		if (start != NULL && u->zero > 0 && (a = tensor(r->f,
		    "%sstep%d/wsample/%s", pre, step, p[i].name)) != NULL) {
			/* sampled as the gradients are */
			int64_t every = (p[i].count + 127) / 128, j;
			float *some = need(malloc(sizeof(*some) *
			    cb_array_count(a) * every));

			for (j = 0; j < cb_array_count(a); j++)
				some[j * every] =
				    ((float *)start->data)[j * every];
			judge_weight(v, u, p[i].name, w + p[i].at, some, a,
			    every);
			free(some);
		}
		if (u->zero > 0)
			continue;
		if ((a = tensor(r->f, "step%d/m/%s", step, p[i].name))) {
			base = noise ? norm : norm_of(a->data, p[i].count, 1);
			judge(v, share(distance(m + p[i].at, 1, a->data,
			    p[i].count), base), TOL_MOMENT, "step%d/m/%s",
			    step, p[i].name);
		}
		if ((a = tensor(r->f, "step%d/v/%s", step, p[i].name))) {
			base = noise ? norm * norm :
			    norm_of(a->data, p[i].count, 1);
			judge(v, share(distance(s + p[i].at, 1, a->data,
			    p[i].count), base), TOL_MOMENT, "step%d/v/%s",
			    step, p[i].name);
		}
	}
	free(w);
	free(m);
	free(s);
}

static int
one_step(struct verdict *v, struct run *u, int step)
{
	struct ref_case *r = u->r;
	const struct cb_array *losses, *a;
	char micro[24], pre[16], after[32];
	struct cb_inputs in;
	double norm;
	float loss;
	int i, k, rc;

	prefix_of(u, pre);
	losses = tensor(r->f, "%slosses", pre);
	cb_model_zero_grads(u->m);
	for (k = 0; k < u->accumulate; k++) {
		i = (step - 1) * u->accumulate + k;
		snprintf(micro, sizeof(micro), "micro%d/", i);
		if (read_texts(r, micro) < 0 ||
		    read_frames(r, tensor(r->f, "%sframes", micro)) < 0)
			return -1;
		in = inputs(r, micro);
		rc = cb_model_train(u->m, &in, 0, 0, &loss);
		free_frames(r);
		if (rc < 0)
			return -1;
		if (losses != NULL)
			judge(v, relative(loss, ((float *)losses->data)[i]),
			    TOL_LOSS, "%slosses[%d]", pre, i);
	}
	cb_segments_rate(&u->segs, &u->s, step, u->total, 0);
	cb_group_rates(u->rates, &u->s, step, u->total, 0);
	for (i = 0; i < CB_GROUPS; i++)
		u->fastest = fmax(u->fastest, u->rates[i]);
	if ((a = tensor(r->f, "%sstep%d/lr", pre, step)) != NULL)
		for (i = 0; i < CB_GROUPS; i++)
			judge(v, relative(u->rates[i], ((float *)a->data)[i]),
			    TOL_LR, "%sstep%d/lr[%d]", pre, step, i);
	if (cb_optim_step(&norm, cb_model_engine(u->m), &u->segs,
	    cb_model_weights(u->m), u->moment, u->variance,
	    cb_model_grads(u->m), ++u->t, u->s.betas, u->s.grad_norm) < 0)
		return -1;
	cb_model_pack(u->m, false);
	if ((a = tensor(r->f, "%sstep%d/grad_norm", pre, step)) != NULL)
		judge(v, relative(norm, *(float *)a->data), TOL_LOSS,
		    "%sstep%d/grad_norm", pre, step);
	judge_state(v, u, step, norm);
	snprintf(after, sizeof(after), "%sstep%d/w/", pre, step);
	judge_after(v, r, u->m, after);
	return 0;
}

int
run_steps(struct verdict *v, struct ref_case *r, struct cb_engine *e, int zero)
{
	struct run u = { .r = r, .zero = zero };
	int64_t n;
	const struct cb_param *p;
	int rc = -1, np, i, steps;

	if (read_config(r) < 0 || read_optim(&u) < 0)
		return -1;
	if (tensor(r->f, "micro0/frames") == NULL) {
		cb_fail(CB_EFORMAT, "%s: no micro0/frames", r->path);
		goto done;
	}
	r->c.image = (int)tensor(r->f, "micro0/frames")->dim[3];
	if (cb_model_new(&u.m, e, &r->c) < 0 || set_weights(u.m, r) < 0)
		goto done;
	n = cb_model_trainable(u.m) * (int64_t)sizeof(float);
	u.moment = need(e->alloc(e, n));
	u.variance = need(e->alloc(e, n));
	p = cb_model_params(u.m, &np);
	if (cb_segments_init(&u.segs, p, np, &u.s) < 0 || zero_steps(&u) < 0)
		goto done;
	for (steps = 0; tensor(r->f, "micro%d/ids", steps) != NULL; steps++)
		;
	for (i = 1; i <= steps / u.accumulate; i++)
		if (one_step(v, &u, i) < 0)
			goto done;
	rc = 0;
done:
	if (u.moment != NULL)
		e->release(e, u.moment);
	if (u.variance != NULL)
		e->release(e, u.variance);
	cb_segments_clear(&u.segs);
	cb_settings_clear(&u.s);
	cb_model_free(u.m);
	return rc;
}
