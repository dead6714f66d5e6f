/* Which checkpoint of a run is the best, and why: RUN/result.json. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "train/validate.h"

void
choose_add(json_t *list, int64_t step, const json_t *metrics,
    const struct cb_figure *f, const char *why)
{
	json_t *v = json_pack("{s:I}", "step", (json_int_t)step);

	if (metrics != NULL) {
		json_object_set_new(v, "figure", json_string(f->name));
		json_object_set_new(v, "lowest", json_boolean(f->lowest));
		json_object_set_new(v, "value", isfinite(f->value) ?
		    json_real(f->value) : json_null());
		json_object_set(v, "metrics", (json_t *)(uintptr_t)metrics);
	} else {
		json_object_set_new(v, "error", json_string(why));
	}
	json_array_append_new(list, v);
}

static int64_t
step_of(const json_t *v)
{
	return v == NULL ? -1 :
	    (int64_t)json_integer_value(json_object_get(v, "step"));
}

/* The first of equals.  A figure that is no number is none. */
static const json_t *
best_of(const json_t *list)
{
	const json_t *best = NULL, *value;
	double x, most = 0;
	json_t *v;
	size_t i;

	json_array_foreach((json_t *)(uintptr_t)list, i, v) {
		value = json_object_get(v, "value");
		if (!json_is_number(value))
			continue;
		x = json_number_value(value);
		if (json_is_true(json_object_get(v, "lowest")))
			x = -x;
		if (best == NULL || x > most) {
			best = v;
			most = x;
		}
	}
	return best;
}

int64_t
choose_best(const json_t *list)
{
	return step_of(best_of(list));
}

int64_t
choose_last(const json_t *list)
{
	size_t n = json_array_size(list);

	return n == 0 ? -1 : step_of(json_array_get(list, n - 1));
}

int
choose_failures(const json_t *list)
{
	json_t *v;
	size_t i;
	int n = 0;

	json_array_foreach((json_t *)(uintptr_t)list, i, v)
		n += json_object_get(v, "error") != NULL;
	return n;
}

/* ---- result.json ------------------------------------------------------------- */

static json_t *
candidate(const json_t *v)
{
	json_t *c;
	char *path;

	if (v == NULL)
		return json_null();
	path = cb_strf(CB_CHECKPOINT_PATH, (long long)step_of(v));
	c = json_pack("{s:O, s:s}", "step", json_object_get(v, "step"),
	    "checkpoint", path);
	free(path);
	if (json_object_get(v, "value") != NULL)
		json_object_set(c, "value", json_object_get(v, "value"));
	return c;
}

static json_t *
result_of(const char *task, const json_t *list)
{
	const json_t *best = best_of(list);
	json_t *r = json_object();

	json_object_set_new(r, "task", json_string(task));
	if (best != NULL) {
		json_object_set(r, "figure", json_object_get(best, "figure"));
		json_object_set_new(r, "rule", json_string(json_is_true(
		    json_object_get(best, "lowest")) ?
		    "lowest, the first of equals" :
		    "highest, the first of equals"));
	}
	json_object_set_new(r, "best", candidate(best));
	json_object_set_new(r, "last", candidate(json_array_get(list,
	    json_array_size(list) - 1)));
	json_object_set_new(r, "validations", json_deep_copy(list));
	return r;
}

int
choose_write(const char *run, const char *task, const json_t *list)
{
	char *path;
	json_t *r;
	int rc;

	if (json_array_size(list) > 0) {
		r = result_of(task, list);
		rc = cb_run_write(run, "result.json", r);
		json_decref(r);
		return rc;
	}
	path = cb_strf("%s/result.json", run);
	rc = unlink(path) < 0 && errno != ENOENT ? cb_fail(CB_EIO, "%s",
	    path) : 0;
	free(path);
	return rc;
}

int
choose_prune(const char *run, const json_t *list, int64_t every)
{
	int64_t best = choose_best(list), last = choose_last(list), step;
	json_t *v;
	size_t i;
	char *path;
	int rc = 0;

	json_array_foreach((json_t *)(uintptr_t)list, i, v) {
		step = step_of(v);
		if (step == best || step == last ||
		    (every > 0 && step % every == 0))
			continue;
		path = cb_strf("%s/" CB_CHECKPOINT_PATH, run, (long long)step);
		if (unlink(path) < 0 && errno != ENOENT)
			rc = cb_fail(CB_EIO, "%s", path);
		free(path);
	}
	return rc;
}
