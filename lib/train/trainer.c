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
#include <string.h>

#include "train/validate.h"

struct trainer {
	struct cb_run_options *o;
	struct cb_settings *s;
	struct cb_feed *feed;
	struct cb_ahead *ahead;
	struct cb_engine *e;
	struct cb_model *m;
	const struct cb_param *params;
	int	 nparams;
	struct cb_segments segs;
	struct cb_log *log;
	struct cb_checkpoint about;	/* what the checkpoints will say */
	json_t	*identity;
	float	*moment, *variance;	/* engine */
	struct cb_restore point;	/* with the host arenas */
	int64_t	 total, saved;		/* steps; the last that was saved */
	struct cb_scorer *scorer;	/* NULL: no validation */
	json_t	*validations;
	int64_t	 valid_every;		/* steps */
	/* batches that were read to set the norms, still to be trained on */
	struct cb_batch **held;
	int	 nheld, held_at;
	/* the step in the making */
	struct cb_step step;
	int	 micro;
	int64_t	 batches;		/* consumed; those of finished steps are
					 * in point */
	double	 loss;
	int32_t	*cells;			/* room for all of the grid */
};

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

/* ---- what the stream says -------------------------------------------------------- */

static int64_t
header_int(struct cb_feed *feed, const char *key)
{
	int64_t n;

	return cb_map_int(&cb_feed_header(feed)->root, key, &n) < 0 ? -1 : n;
}

static json_t *
header_json(struct cb_feed *feed, const char *key)
{
	const msgpack_object *o = cb_map_get(&cb_feed_header(feed)->root, key);

	return o != NULL ? cb_obj_json(o) : NULL;
}

static int64_t
ceil_div(int64_t a, int64_t b)
{
	return (a + b - 1) / b;
}

/* Half an epoch may be wanted, but a stream has whole ones. */
static int64_t
part_of_stream(struct trainer *t, int64_t groups, int64_t batches)
{
	double want = t->s->num_train_epochs;
	int64_t epochs = header_int(t->feed, "epochs");
	int64_t batch = header_int(t->feed, "batch_size");

	if (epochs < 1 || groups < 0 || want >= (double)epochs ||
	    want <= (double)epochs - 1)
		return ceil_div(batches, t->s->gradient_accumulation_steps);
	return cb_plan_steps(want, groups / epochs, batch > 0 ? batch :
	    t->s->train_batch_size, t->s->gradient_accumulation_steps);
}

/* How many steps: the option, else as many as the stream has batches for. */
static int
find_total(struct trainer *t)
{
	int64_t batches = header_int(t->feed, "batches");
	int64_t groups = header_int(t->feed, "groups");

	if (batches < 0 && groups >= 0)
		batches = ceil_div(groups, t->s->train_batch_size);
	if (batches >= 0)
		t->total = part_of_stream(t, groups, batches);
	if (t->o->steps > 0)
		t->total = t->o->steps;
	if (t->total < 1)
		return cb_fail(CB_EUSAGE, "the stream does not say how long it "
		    "is: give --steps");
	return 0;
}

static int
describe(struct trainer *t)
{
	struct cb_checkpoint *c = &t->about;

	c->task = t->s->task[0] != '\0' ? cb_strf("%s", t->s->task) : NULL;
	if (c->task == NULL && cb_map_text(&cb_feed_header(t->feed)->root,
	    "task", &c->task) < 0)
		return cb_fail(CB_EUSAGE, "neither the settings nor the stream"
		    " name a task");
	/* A checkpoint has no answers to count. */
	if (cb_task_chooses(c->task) && t->s->num_labels == 0)
		t->s->num_labels = (int)header_int(t->feed, "options");
	c->config = cb_settings_json(t->s);
	c->answers = header_json(t->feed, "answers");
	c->vocab = header_json(t->feed, "vocab");
	c->provenance = header_json(t->feed, "provenance");
	return c->config == NULL ? cb_fail(CB_ENOMEM, "settings") : 0;
}

static json_t *
hash_of(const json_t *v)
{
	char *text = v != NULL ? cb_json_text(v) : NULL, hash[65];

	if (text == NULL)
		return json_null();
	cb_sha256(hash, text, (int64_t)strlen(text));
	free(text);
	return json_string(hash);
}

/* What must be the same for a run to go on. */
static int
identify(struct trainer *t)
{
	json_t *annotations = header_json(t->feed, "annotations");

	t->identity = json_pack(
	    "{s:O, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:I}",
	    "settings", t->about.config, "annotations",
	    annotations != NULL ? annotations : json_null(), "answers",
	    hash_of(t->about.answers), "vocab", hash_of(t->about.vocab),
	    "steps", (json_int_t)t->total, "init_stats",
	    (json_int_t)t->o->init_stats, "groups",
	    (json_int_t)header_int(t->feed, "groups"), "seed",
	    (json_int_t)header_int(t->feed, "seed"), "batch_size",
	    (json_int_t)header_int(t->feed, "batch_size"));
	return t->identity == NULL ? cb_fail(CB_ENOMEM, "settings") : 0;
}

/* ---- weights ------------------------------------------------------------------------ */

/* Rows of the word embedding are words: in a checkpoint of ours they must be
 * those of the stream, or each would be taken for another without a sign. */
static int
check_words(const struct trainer *t, const char *path)
{
	struct cb_safetensors *f = NULL;
	struct cb_checkpoint c = { 0 };
	int rc = 0;

	if (cb_checkpoint_open(&f, &c, path) == 0 && c.vocab != NULL &&
	    t->about.vocab != NULL && !json_equal(c.vocab, t->about.vocab))
		rc = cb_fail(CB_EUSAGE, "%s: its vocabulary is not that of the "
		    "stream: give cb-list the one it was trained with", path);
	cb_checkpoint_clear(&c);
	cb_safetensors_close(f);
	return rc;
}

static int
import_one(struct trainer *t, enum cb_import_kind kind, const char *path)
{
	struct cb_import r;

	if (path[0] == '\0')
		return 0;
	if (kind == CB_IMPORT_E2E && check_words(t, path) < 0)
		return -1;
	if (cb_import(&r, kind, path, t->params, t->nparams, t->point.w) < 0)
		return -1;
	cb_warn("%s: %d tensors taken, %d missing%s%s, %d unexpected%s%s, "
	    "%d of another shape%s%s", path, r.taken, r.missing,
	    r.missing > 0 ? " as " : "", r.first_missing, r.unexpected,
	    r.unexpected > 0 ? " as " : "", r.first_unexpected, r.misfit,
	    r.misfit > 0 ? " as " : "", r.first_misfit);
	return 0;
}

/* point.w, m and v are host arenas: copies, or where the engine's memory is the
 * host's those of the engine themselves. */
static void
weights_to_host(struct trainer *t)
{
	if (!t->e->on_host)
		t->e->get(t->e, t->point.w, cb_model_weights(t->m),
		    cb_model_count(t->m) * (int64_t)sizeof(float));
}

static void
weights_from_host(struct trainer *t)
{
	if (!t->e->on_host)
		t->e->put(t->e, cb_model_weights(t->m), t->point.w,
		    cb_model_count(t->m) * (int64_t)sizeof(float));
}

static int
initial_weights(struct trainer *t)
{
	const struct cb_settings *s = t->s;

	cb_model_init(t->m, (uint64_t)s->seed);
	weights_to_host(t);
	if (import_one(t, CB_IMPORT_RESNET, s->detectron2_weights_path) < 0 ||
	    import_one(t, CB_IMPORT_BERT, s->bert_weights_path) < 0 ||
	    import_one(t, CB_IMPORT_E2E, s->e2e_weights_path) < 0)
		return -1;
	if ((s->model.freeze_at > 0 || s->freeze_cnn) &&
	    s->detectron2_weights_path[0] == '\0' &&
	    s->e2e_weights_path[0] == '\0')
		cb_warn("the frozen part of the CNN has random weights: give "
		    "detectron2_weights_path, or set freeze_at to 0");
	weights_from_host(t);
	return 0;
}

static int
hold(struct trainer *t, struct cb_batch *b)
{
	struct cb_batch **more = realloc(t->held,
	    sizeof(*more) * (t->nheld + 1));

	if (more == NULL) {
		cb_batch_free(b);
		return cb_fail(CB_ENOMEM, "batches");
	}
	t->held = more;
	t->held[t->nheld++] = b;
	return 0;
}

/* Sets the norms' statistics from the first pictures of the stream; their
 * batches are trained on afterwards. */
static int
calibrate(struct trainer *t)
{
	struct cb_array *pictures = NULL, *more;
	int64_t n = 0, want = t->o->init_stats, take;
	struct cb_batch *b;
	int rc = 0;

	while (n < want && (rc = cb_ahead_next(t->ahead, &b)) > 0) {
		take = (int64_t)b->B * b->K * b->T;
		if ((rc = hold(t, b)) < 0)
			break;
		more = realloc(pictures, sizeof(*more) * (n + take));
		if (more == NULL) {
			rc = cb_fail(CB_ENOMEM, "pictures");
			break;
		}
		pictures = more;
		memcpy(pictures + n, b->pictures, sizeof(*more) * take);
		n += take;
	}
	if (rc >= 0 && n > 0)
		rc = cb_model_calibrate(t->m, pictures,
		    (int)(n < want ? n : want));
	free(pictures);
	return rc < 0 ? -1 : 0;
}

/* ---- restore points and checkpoints ---------------------------------------------- */

static int
alloc_state(struct trainer *t)
{
	int64_t n = cb_model_trainable(t->m) * (int64_t)sizeof(float);
	struct cb_restore *r = &t->point;

	t->params = cb_model_params(t->m, &t->nparams);
	t->moment = t->e->alloc(t->e, n);
	t->variance = t->e->alloc(t->e, n);
	r->w = t->e->on_host ? cb_model_weights(t->m) :
	    cb_alloc(cb_model_count(t->m) * (int64_t)sizeof(float));
	r->m = t->e->on_host ? t->moment : cb_alloc(n);
	r->v = t->e->on_host ? t->variance : cb_alloc(n);
	r->params = t->params;
	r->nparams = t->nparams;
	r->identity = t->identity;
	if (t->moment == NULL || t->variance == NULL || r->w == NULL ||
	    r->m == NULL || r->v == NULL)
		return cb_fail(CB_ENOMEM, "the optimiser's state");
	return 0;
}

static int
save_point(struct trainer *t)
{
	int64_t n = cb_model_trainable(t->m) * (int64_t)sizeof(float);
	int rc;

	if (t->saved == t->point.step)
		return 0;
	weights_to_host(t);
	if (!t->e->on_host) {
		t->e->get(t->e, t->point.m, t->moment, n);
		t->e->get(t->e, t->point.v, t->variance, n);
	}
	if (json_array_size(t->validations) > 0)
		t->point.state = json_pack("{s:O}", "validations",
		    t->validations);
	rc = t->e->sync(t->e) < 0 || cb_log_sync(t->log) < 0 ||
	    cb_restore_save(t->o->run, &t->point) < 0 ? -1 : 0;
	json_decref(t->point.state);
	t->point.state = NULL;
	if (rc == 0)
		t->saved = t->point.step;
	return rc;
}

static int
save_checkpoint(struct trainer *t)
{
	weights_to_host(t);
	t->about.step = t->point.step;
	return t->e->sync(t->e) < 0 ? -1 : cb_checkpoint_save(t->o->run,
	    &t->about, t->params, t->nparams, t->point.w);
}

/* 1: going on from a restore point, 0: from the start. */
static int
restore(struct trainer *t)
{
	int64_t n = cb_model_trainable(t->m) * (int64_t)sizeof(float);
	int rc = cb_restore_load(t->o->run, &t->point);

	t->saved = -1;
	if (rc <= 0)
		return rc;
	if (json_is_array(json_object_get(t->point.state, "validations"))) {
		json_decref(t->validations);
		t->validations = json_incref(json_object_get(t->point.state,
		    "validations"));
	}
	json_decref(t->point.state);
	t->point.state = NULL;
	t->point.identity = t->identity;
	t->saved = t->point.step;
	weights_from_host(t);
	if (!t->e->on_host) {
		t->e->put(t->e, t->moment, t->point.m, n);
		t->e->put(t->e, t->variance, t->point.v, n);
	}
	cb_model_pack(t->m, true);
	cb_warn("going on after step %lld of %lld", (long long)t->point.step,
	    (long long)t->total);
	return 1;
}

/* Reads past the batches that the restore point has behind it. */
static int
skip_batches(struct trainer *t)
{
	struct cb_batch *b;
	int64_t i;
	int rc;

	for (i = 0; i < t->point.batches; i++) {
		cb_progress("reading past batch %lld of %lld", (long long)i,
		    (long long)t->point.batches);
		if ((rc = cb_ahead_next(t->ahead, &b)) < 0)
			return -1;
		if (rc == 0)
			return cb_fail(CB_EFORMAT, "the stream ends after %lld"
			    " batches, the restore point is behind %lld",
			    (long long)i, (long long)t->point.batches);
		cb_batch_free(b);
	}
	t->batches = t->point.batches;
	return 0;
}

/* ---- validation ------------------------------------------------------------------------ */

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
	    save_point(t) < 0)
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

	if (save_checkpoint(t) < 0)
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

/* ---- steps ---------------------------------------------------------------------------- */

/* The rank loss takes the first row of each medium for the match and all others
 * for mismatches, whatever their labels are, and equally many of each. */
static int
check_ranks(const struct cb_batch *b)
{
	const int32_t *y = b->labels.data;
	int i, r;

	for (i = 0; i < b->B; i++)
		for (r = 0; r < b->media[i].rows; r++)
			if (*y++ != (r == 0) || b->media[i].rows < 2 ||
			    b->media[i].rows != b->media[0].rows)
				return cb_fail(CB_EFORMAT, "batch %lld: the "
				    "rank loss needs one match for each medium "
				    "with equally many mismatches behind it, "
				    "as cb-list -g 1 gives", (long long)b->seq);
	return 0;
}

int
cb_batch_fits(const struct cb_batch *b, int options)
{
	int n = (int)b->examples.via.array.size;

	return b->N == n * options ? 0 : cb_fail(CB_EFORMAT, "batch %lld: "
	    "%d options a question, the model has %d", (long long)b->seq,
	    n > 0 ? b->N / n : 0, options);
}

static int
check_batch(const struct trainer *t, const struct cb_batch *b)
{
	const struct cb_model_config *c = cb_model_config(t->m);
	bool soft = c->loss == CB_LOSS_BCE, real = soft || c->loss == CB_LOSS_MSE;

	if (b->mlm_labels.data != NULL && c->head != CB_HEAD_PRETRAIN)
		return cb_fail(CB_EUSAGE, "batch %lld: its words are masked, "
		    "which is for pretraining: cb-tokenize -m 0",
		    (long long)b->seq);
	if (b->labels.data == NULL)
		return cb_fail(CB_EFORMAT, "batch %lld has no labels to learn "
		    "from", (long long)b->seq);
	if (b->labels.type != (real ? CB_F32 : CB_I32) ||
	    b->labels.rank != (soft ? 2 : 1))
		return cb_fail(CB_EUSAGE, "batch %lld: labels of type %s do not"
		    " go with this loss", (long long)b->seq,
		    cb_dtype_name(b->labels.type));
	if (soft && b->labels.dim[1] > c->labels)
		return cb_fail(CB_EUSAGE, "batch %lld: labels of %lld classes,"
		    " the head has %d", (long long)b->seq,
		    (long long)b->labels.dim[1], c->labels);
	return cb_batch_fits(b, c->head == CB_HEAD_CHOICE ? c->labels : 1) < 0
	    || (c->loss == CB_LOSS_RANK && check_ranks(b) < 0) ? -1 : 0;
}

/* A head may have more classes than the stream has answers (num_labels of the
 * settings): the rest is never right.  Yours to free. */
static float *
widen(const struct cb_array *labels, int C)
{
	int64_t N = labels->dim[0], have = labels->dim[1], i;
	float *wide = calloc((size_t)(N * C), sizeof(*wide));

	for (i = 0; wide != NULL && i < N; i++)
		memcpy(wide + i * C, (float *)labels->data + i * have,
		    sizeof(*wide) * have);
	return wide;
}

int
cb_batch_inputs(struct cb_inputs *in, const struct cb_batch *b)
{
	int32_t *counts = malloc(sizeof(*counts) * (b->B + 1));
	int i;

	if (counts == NULL)
		return cb_fail(CB_ENOMEM, "batch");
	for (i = 0; i < b->B; i++)
		counts[i] = b->media[i].rows;
	*in = (struct cb_inputs){ .B = b->B, .K = b->K, .F = b->T, .N = b->N,
	    .L = b->L, .pictures = b->pictures, .counts = counts,
	    .ids = b->ids.data, .mask = b->mask.data,
	    .labels = b->labels.data, .mlm_labels = b->mlm_labels.data };
	return 0;
}

/* Of the grid, where the settings say so, some cells only. */
static void
keep_cells(struct trainer *t, struct cb_inputs *in)
{
	int h = cb_model_grid(cb_model_config(t->m)), V = h * h;
	int n = t->s->pixel_random_sampling_size;

	if (n == 0 || n >= V)
		return;
	cb_cells_sample(t->cells, n, V, (uint64_t)t->s->seed,
	    (uint32_t)t->batches);
	in->cells = t->cells;
	in->ncells = n;
}

/* Forward and backward of one batch, added to the gradients. */
static int
learn(struct trainer *t, const struct cb_batch *b)
{
	int C = cb_model_config(t->m)->labels, rc;
	float *wide = NULL, loss;
	struct cb_inputs in;

	if (check_batch(t, b) < 0 || cb_batch_inputs(&in, b) < 0)
		return -1;
	if (cb_model_config(t->m)->head == CB_HEAD_REGRESS && b->N < 2 &&
	    t->batches > 0) {		/* what is left over at the end */
		cb_warn("batch %lld has one row, too few for the batch norm of "
		    "this head; left out", (long long)b->seq);
		free((void *)in.counts);
		t->batches++;
		return 0;
	}
	if (b->labels.rank == 2 && b->labels.dim[1] < C) {
		if ((wide = widen(&b->labels, C)) == NULL) {
			free((void *)in.counts);
			return cb_fail(CB_ENOMEM, "labels");
		}
		in.labels = wide;
	}
	if (t->micro == 0)
		cb_model_zero_grads(t->m);
	keep_cells(t, &in);
	rc = cb_model_train(t->m, &in, (uint64_t)t->s->seed,
	    (uint32_t)t->batches, &loss);
	free(wide);
	free((void *)in.counts);
	if (rc < 0)
		return cb_fail_at("batch %lld", (long long)b->seq);
	t->loss += loss;
	cb_tally_add(&t->step.tally, cb_model_tally(t->m));
	t->step.epoch = b->epoch;
	t->step.examples += b->N;
	t->micro++;
	t->batches++;
	return 0;
}

/* Rates, clipping, AdamW; then the log and what is due to be saved. */
static int
finish_step(struct trainer *t, double began)
{
	const struct cb_settings *s = t->s;
	int64_t n = ++t->point.step;

	cb_segments_rate(&t->segs, s, n, t->total, t->step.epoch);
	cb_group_rates(t->step.lr, s, n, t->total, t->step.epoch);
	if (cb_optim_step(&t->step.grad_norm, t->e, &t->segs,
	    cb_model_weights(t->m), t->moment, t->variance,
	    cb_model_grads(t->m), n, s->betas, s->grad_norm) < 0)
		return cb_fail_at("step %lld", (long long)n);
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
	    n < t->total && save_checkpoint(t) < 0)
		return -1;
	if (validation_due(t, n == t->total) && validate(t) < 0)
		return -1;
	return n % t->o->restore_every == 0 ? save_point(t) : 0;
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
	return save_point(t) < 0 ? -1 : cb_fail(CB_EUSAGE, "stopped by signal "
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
		rc = learn(t, b);
		cb_batch_free(b);
		if (rc < 0)
			return -1;
		if (t->micro < accumulate)
			t->step.compute_s += cb_now() - began;
		else if (finish_step(t, began) < 0)
			return -1;
	}
	if (rc < 0 && stop_signal == 0) {	/* upstream died: save */
		char *why = cb_strf("%s", cb_error());

		if (save_point(t) == 0)
			cb_fail(CB_EFORMAT, "%s; saved at step %lld", why,
			    (long long)t->point.step);
		free(why);
		return -1;
	}
	if (stop_signal != 0)
		return stopped(t);
	return t->micro > 0 ? finish_step(t, cb_now()) : 0;
}

/* ---- the run ---------------------------------------------------------------------------- */

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
	cb_model_memory(t->m, t->o->memory);
	cb_model_clip_memory(t->m, t->o->clip_memory);
	if (t->o->validate != NULL &&
	    cb_scorer_of(&t->scorer, t->m, &t->about) < 0)
		return -1;
	return alloc_state(t);
}

static int
start(struct trainer *t)
{
	struct cb_run_options *o = t->o;
	int64_t every;
	int rc;

	if (describe(t) < 0 || find_total(t) < 0 || identify(t) < 0 ||
	    open_model(t) < 0 || cb_mkdirs(o->run) < 0 ||
	    cb_segments_init(&t->segs, t->params, t->nparams, t->s) < 0 ||
	    (rc = restore(t)) < 0 || cb_ahead_open(&t->ahead, t->feed, o->input) < 0)
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
		rc = t->point.step < t->total ? skip_batches(t) : 0;
	else if ((rc = initial_weights(t)) == 0) {
		cb_model_pack(t->m, true);
		rc = o->init_stats > 0 ? calibrate(t) : 0;
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
	if (save_point(t) < 0 || save_checkpoint(t) < 0)
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
