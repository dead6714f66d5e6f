/*
 * What is kept of a run: the optimiser's state, restore points and checkpoints,
 * and how a run finds its way back to where it was.
 */
#include <stdlib.h>

#include "train/trainer.h"

/* point.w, m and v are host arenas: copies, or where the engine's memory is the
 * host's those of the engine themselves. */
void
weights_to_host(struct trainer *t)
{
	if (!t->e->on_host)
		t->e->get(t->e, t->point.w, cb_model_weights(t->m),
		    cb_model_count(t->m) * (int64_t)sizeof(float));
}

void
weights_from_host(struct trainer *t)
{
	if (!t->e->on_host)
		t->e->put(t->e, cb_model_weights(t->m), t->point.w,
		    cb_model_count(t->m) * (int64_t)sizeof(float));
}

int
keep_alloc(struct trainer *t)
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

/* What else a run goes on with; NULL: nothing. */
static json_t *
state_of(const struct trainer *t)
{
	json_t *state = json_object(), *scaling = cb_scaling_json(&t->scaling);

	if (json_array_size(t->validations) > 0)
		json_object_set(state, "validations", t->validations);
	if (scaling != NULL)
		json_object_set_new(state, "scaling", scaling);
	if (json_object_size(state) > 0)
		return state;
	json_decref(state);
	return NULL;
}

int
keep_point(struct trainer *t)
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
	t->point.state = state_of(t);
	rc = t->e->sync(t->e) < 0 || cb_log_sync(t->log) < 0 ||
	    cb_restore_save(t->o->run, &t->point) < 0 ? -1 : 0;
	json_decref(t->point.state);
	t->point.state = NULL;
	if (rc == 0)
		t->saved = t->point.step;
	return rc;
}

int
keep_checkpoint(struct trainer *t)
{
	weights_to_host(t);
	t->about.step = t->point.step;
	return t->e->sync(t->e) < 0 ? -1 : cb_checkpoint_save(t->o->run,
	    &t->about, t->params, t->nparams, t->point.w);
}

int
keep_restore(struct trainer *t)
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
	cb_scaling_take(&t->scaling, t->e, json_object_get(t->point.state,
	    "scaling"));
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

int
keep_skip(struct trainer *t)
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
