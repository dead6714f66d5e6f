/*
 * A training run: batches in, checkpoints out.
 *
 *	read the stream's header	task, answers, vocabulary, length
 *	build the model			initial weights, or the restore point
 *	for each step			micro-batches: forward, backward
 *					rates, clipping, AdamW
 *					log; now and then a restore point
 *	at the end			ckpt/model_step_N.safetensors
 *
 * A run that was killed is started again by the same command: it finds its
 * restore point, reads past the batches it has had, and goes on bit by bit as
 * if nothing had happened.
 */
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "train/trainer.h"
#include "train/validate.h"

/* Atomic, since any thread may be the one that a signal interrupts. */
static atomic_int stop_signal;
static struct cb_ahead *_Atomic to_wake;

static void
on_signal(int n)
{
	struct cb_ahead *a;

	stop_signal = n;
	validate_stop();
	if ((a = to_wake) != NULL)
		cb_ahead_wake(a);
}

static void
catch_signals(void)
{
	/* Calls are not restarted but by those who make them: a sanitizer that
	 * puts signals off delivers them on their return. */
	struct sigaction a = { .sa_handler = on_signal };

	sigaction(SIGINT, &a, NULL);
	sigaction(SIGTERM, &a, NULL);
}

/* ---- validation --------------------------------------------------------- */

static int
log_validation(struct trainer *t, json_t *metrics, int64_t skipped,
    double seconds, const char *why)
{
	json_t *line = json_pack("{s:I, s:f}", "step",
	    (json_int_t)t->point.step, "valid_seconds", seconds);

	if (metrics != NULL)
		json_object_set(line, "valid", metrics);
	else
		json_object_set_new(line, "valid_error", json_string(why));
	if (skipped > 0)
		json_object_set_new(line, "valid_skipped",
		    json_integer(skipped));
	return cb_log_write(t->log, line);
}

/* Keeps what a validation has shown.  The restore point knows of it before the
 * checkpoints that are no longer wanted go. */
static int
keep_validation(struct trainer *t)
{
	t->saved = -1;
	if (choose_write(t->o->run, t->about.task, t->validations) < 0 ||
	    keep_point(t) < 0)
		return -1;
	return choose_prune(t->o->run, t->validations, t->o->checkpoint_every);
}

/*
 * A checkpoint of this step, and how good it is.  A command that fails costs
 * the figure, not the run.  One that a signal has cut short is done again when
 * the run goes on.
 */
static int
validate(struct trainer *t)
{
	double began = cb_now();
	json_t *metrics = NULL;
	struct cb_figure f;
	int64_t skipped;
	char *why = NULL;
	int rc;

	if (keep_checkpoint(t) < 0)
		return -1;
	if (validate_run(&metrics, &f, &skipped, t->scorer,
	    t->o->validate) < 0) {
		if (stop_signal != 0)
			return 0;
		why = cb_strf("%s", cb_error());
		cb_warn("validation after step %lld: %s",
		    (long long)t->point.step, why);
	} else if (skipped > 0) {
		cb_warn("validation after step %lld: %lld media were skipped",
		    (long long)t->point.step, (long long)skipped);
	}
	choose_add(t->validations, t->point.step, metrics, &f, why);
	rc = log_validation(t, metrics, skipped, cb_now() - began, why);
	json_decref(metrics);
	free(why);
	return rc < 0 ? -1 : keep_validation(t);
}

/* Is it time, here or at the end of the run? */
static bool
validation_due(const struct trainer *t, bool end)
{
	int64_t n = t->point.step;

	return t->scorer != NULL && n > 0 && (end || n % t->valid_every == 0)
	    && choose_last(t->validations) < n;
}

/* ---- steps -------------------------------------------------------------- */

/* Rates, clipping, AdamW; then the log and what is due to be saved. */
static int
finish_step(struct trainer *t, double began)
{
	const struct cb_settings *s = t->s;
	int64_t n = ++t->point.step;
	int rc;

	cb_segments_rate(&t->segs, s, n, t->total, t->step.epoch);
	cb_group_rates(t->step.lr, s, n, t->total, t->step.epoch);
	t->step.loss_scale = (double)t->e->loss_scale;
	rc = cb_optim_step(&t->step.grad_norm, t->e, &t->segs,
	    cb_model_weights(t->m), t->moment, t->variance,
	    cb_model_grads(t->m), n - t->scaling.skipped, s->betas,
	    s->grad_norm);
	if (rc < 0)
		return cb_fail_at("step %lld", (long long)n);
	cb_scaling_step(&t->scaling, t->e, rc > 0);
	cb_model_pack(t->m, false);
	t->point.batches = t->batches;
	t->step.step = n;
	t->step.loss = t->loss / t->micro;
	t->step.compute_s += cb_now() - began;
	if (cb_log_step(t->log, &t->step) < 0)
		return -1;
	t->step = (struct cb_step){ 0 };
	t->micro = 0;
	t->loss = 0;
	if (t->o->checkpoint_every > 0 && n % t->o->checkpoint_every == 0 &&
	    n < t->total && keep_checkpoint(t) < 0)
		return -1;
	if (validation_due(t, n == t->total) && validate(t) < 0)
		return -1;
	return n % t->o->restore_every == 0 ? keep_point(t) : 0;
}

/* 1: a batch; 0: the stream is through; -1. */
static int
next_batch(struct trainer *t, struct cb_batch **b)
{
	double began = cb_now();
	int rc;

	if (t->held_at < t->nheld) {
		*b = t->held[t->held_at++];
		return 1;
	}
	rc = cb_ahead_next(t->ahead, b);
	t->step.data_s += cb_now() - began;
	return rc;
}

static int
stopped(struct trainer *t)
{
	return keep_point(t) < 0 ? -1 : cb_fail(CB_EUSAGE, "stopped by signal "
	    "%d after step %lld; the same command goes on from there",
	    (int)stop_signal, (long long)t->point.step);
}

static int
loop(struct trainer *t)
{
	int accumulate = t->s->gradient_accumulation_steps, rc = 1;
	struct cb_batch *b;
	double began;

	/* The last run may have been stopped while it validated. */
	if (validation_due(t, false) && validate(t) < 0)
		return -1;
	while (t->point.step < t->total && stop_signal == 0 &&
	    (rc = next_batch(t, &b)) > 0) {
		began = cb_now();
		cb_ahead_expect(t->ahead);
		rc = learn_batch(t, b);
		cb_ahead_done(t->ahead, b);
		if (rc < 0)
			return -1;
		if (t->micro < accumulate)
			t->step.compute_s += cb_now() - began;
		else if (finish_step(t, began) < 0)
			return -1;
	}
	if (rc < 0 && stop_signal == 0) {	/* upstream died: save */
		char *why = cb_strf("%s", cb_error());

		if (keep_point(t) == 0)
			cb_fail(CB_EFORMAT, "%s; saved at step %lld", why,
			    (long long)t->point.step);
		free(why);
		return -1;
	}
	if (stop_signal != 0)
		return stopped(t);
	return t->micro > 0 ? finish_step(t, cb_now()) : 0;
}

/* ---- the run ------------------------------------------------------------ */

int64_t
cb_trainer_memory(const struct cb_engine *e)
{
	return (int64_t)(e->on_host ? 512 : 4096) << 20;
}

static int
open_model(struct trainer *t)
{
	struct cb_model_config c;
	int h;

	if (cb_model_config_from(&c, t->s, t->about.task,
	    (int64_t)json_array_size(t->about.answers),
	    (int64_t)json_array_size(t->about.vocab)) < 0 ||
	    cb_engine_open(&t->e, t->o->engine, t->o->threads) < 0 ||
	    cb_model_new(&t->m, t->e, &c) < 0)
		return -1;
	h = cb_model_grid(&c);
	if ((t->cells = calloc((size_t)(h * h), sizeof(*t->cells))) == NULL)
		return cb_fail(CB_ENOMEM, "cells");
	cb_scaling_init(&t->scaling, t->e);
	cb_model_memory(t->m, t->o->memory < 0 ? cb_trainer_memory(t->e) :
	    t->o->memory);
	cb_model_clip_memory(t->m, t->o->clip_memory);
	if (t->o->validate != NULL &&
	    cb_scorer_of(&t->scorer, t->m, &t->about) < 0)
		return -1;
	return keep_alloc(t);
}

static int
start(struct trainer *t)
{
	struct cb_run_options *o = t->o;
	int64_t every;
	int rc;

	if (run_describe(t) < 0 || run_find_total(t) < 0 || run_identify(t) < 0 ||
	    open_model(t) < 0 || cb_mkdirs(o->run) < 0 ||
	    cb_segments_init(&t->segs, t->params, t->nparams, t->s) < 0 ||
	    (rc = keep_restore(t)) < 0 ||
	    cb_ahead_open(&t->ahead, t->feed, o->input, t->e) < 0)
		return -1;
	to_wake = t->ahead;
	if (stop_signal != 0)		/* it came too early to wake */
		cb_ahead_wake(t->ahead);
	cb_plan_points(&t->valid_every, &every, t->s, t->total);
	if (o->restore_every <= 0)
		o->restore_every = every;
	if (choose_write(o->run, t->about.task, t->validations) < 0 ||
	    choose_prune(o->run, t->validations, o->checkpoint_every) < 0)
		return -1;
	if (rc > 0)
		rc = t->point.step < t->total ? keep_skip(t) : 0;
	else if ((rc = begin_weights(t)) == 0) {
		cb_model_pack(t->m, true);
		rc = o->init_stats > 0 ? begin_norms(t) : 0;
	}
	if (rc < 0 || cb_args_write(o->run, o->argc, o->argv, t->about.config,
	    t->about.provenance) < 0)
		return -1;
	return cb_log_open(&t->log, o->run, t->point.step, t->total,
	    o->log_every > 0 ? (int)o->log_every : 1);
}

static void
trainer_clear(struct trainer *t)
{
	to_wake = NULL;
	cb_ahead_close(t->ahead);
	while (t->held_at < t->nheld)
		cb_batch_free(t->held[t->held_at++]);
	free(t->held);
	free(t->cells);
	cb_segments_clear(&t->segs);
	if (t->e != NULL && !t->e->on_host) {
		free(t->point.w);
		free(t->point.m);
		free(t->point.v);
	}
	cb_scorer_close(t->scorer);
	json_decref(t->validations);
	json_decref(t->identity);
	cb_checkpoint_clear(&t->about);
	if (t->e != NULL) {
		if (t->moment != NULL)
			t->e->release(t->e, t->moment);
		if (t->variance != NULL)
			t->e->release(t->e, t->variance);
		cb_model_free(t->m);
		t->e->free(t->e);
	}
}

/* What is due at the end of the stream, which may come before the last step. */
static int
finish(struct trainer *t)
{
	int failed;

	if (validation_due(t, true) && validate(t) < 0)
		return -1;
	if (stop_signal != 0)
		return stopped(t);
	if (keep_point(t) < 0 || keep_checkpoint(t) < 0)
		return -1;
	if ((failed = choose_failures(t->validations)) == 0)
		return 0;
	return cb_fail(CB_EFORMAT, "%d of %zu validations failed; the run is "
	    "done", failed, json_array_size(t->validations));
}

int
cb_train_run(struct cb_feed *feed, struct cb_settings *s,
    struct cb_run_options *o, int64_t *steps)
{
	struct trainer t = { .o = o, .s = s, .feed = feed,
	    .validations = json_array() };
	int rc;

	catch_signals();
	rc = start(&t);
	if (rc == 0)
		rc = loop(&t);
	if (rc == 0)
		rc = finish(&t);
	if (t.log != NULL && cb_log_close(t.log) < 0)
		rc = -1;
	*steps = t.point.step;
	trainer_clear(&t);
	return rc;
}
