/*
 * Predictions in a file beside the annotations in another: which measure the task
 * wants, and what it is given.
 */
#include <stdlib.h>
#include <string.h>

#include "task/metric.h"

static int
keep_line(void *arg, struct annotation *a, const json_t *line)
{
	json_t *list = arg;

	(void)a;
	return json_array_append(list, (json_t *)line) == 0 ? 0 :
	    cb_fail(CB_ENOMEM, "annotations");
}

int
metric_read(const char *path, metric_take *take, void *arg)
{
	struct cb_jsonl *r;
	json_t *line;
	int rc;

	if (cb_jsonl_open(&r, path) < 0)
		return -1;
	while ((rc = cb_jsonl_next(r, &line)) > 0) {
		rc = take(arg, line);
		json_decref(line);
		if (rc < 0) {
			cb_fail_at("%s:%lld", path,
			    (long long)cb_jsonl_line(r));
			break;
		}
	}
	cb_jsonl_close(r);
	return rc;
}

static int
take_answer(void *arg, json_t *line)
{
	if (json_object_get(line, "answer") == NULL)
		return cb_fail(CB_EFORMAT, "key \"answer\" is missing");
	json_array_append(arg, line);
	return 0;
}

static int
accuracies(json_t **out, const struct annotation *a, const json_t *questions,
    const char *predictions, const json_t *names, bool original)
{
	json_t *rows = json_array(), *raw;
	int rc = -1;

	if (metric_read(predictions, take_answer, rows) < 0)
		goto done;
	if (a->repeated != NULL) {
		cb_fail(CB_EFORMAT, "%s", a->repeated);
		goto done;
	}
	if (cb_metrics(&raw, a->kind->task, questions, rows, NULL, names) < 0) {
		cb_fail_at("%s", predictions);
		goto done;
	}
	*out = raw;
	if (original) {
		*out = cb_metrics_printed(raw, (int64_t)json_array_size(rows));
		json_decref(raw);
	}
	rc = 0;
done:
	json_decref(rows);
	return rc;
}

/* ---- retrieval ----------------------------------------------------------- */

/* The value of the first of some keys; NULL: none is there. */
static const json_t *
first_of(const json_t *line, const char *const *keys)
{
	const json_t *v = NULL;

	for (; v == NULL && *keys != NULL; keys++)
		v = json_object_get(line, *keys);
	return v;
}

static int
take_pair(void *arg, json_t *line)
{
	static const char *const texts[] = { "txt_id", "question_id", "id",
	    NULL };
	static const char *const media[] = { "vid_id", "media", "clip_name",
	    NULL };
	const json_t *text = first_of(line, texts);
	const json_t *medium = first_of(line, media);
	const json_t *score = json_object_get(line, "score");
	const json_t *scores = json_object_get(line, "scores");
	char *id, *name;
	int rc;

	if (medium == NULL || (!json_is_array(scores) &&
	    (text == NULL || !json_is_number(score))))
		return cb_fail(CB_EFORMAT, "no pair: \"txt_id\", \"vid_id\" "
		    "and a number \"score\" are needed");
	if ((name = annotation_name(medium)) == NULL)
		return cb_fail(CB_EFORMAT, "the medium is not a name");
	if (json_is_array(scores)) {
		rc = cb_pairs_add_all(arg, name, scores);
	} else {
		id = cb_json_text(text);
		rc = cb_pairs_add(arg, id, name, json_number_value(score));
		free(id);
	}
	free(name);
	return rc;
}

static int
recalls(json_t **out, const struct annotation *a, const json_t *questions,
    const char *predictions, bool original)
{
	struct cb_pairs *p;
	json_t *line, *id;
	int rc = 0;
	char *text;
	size_t i;

	if (cb_pairs_new(&p, original) < 0)
		return -1;
	json_array_foreach((json_t *)questions, i, line) {
		id = annotation_id(a, line, (int64_t)i);
		text = cb_json_text(id);
		rc = cb_pairs_truth(p, text, a->media[a->lines[i].medium]);
		free(text);
		json_decref(id);
		if (rc < 0)
			break;
	}
	if (rc == 0 && (rc = metric_read(predictions, take_pair, p)) == 0)
		rc = cb_pairs_metrics(out, p);
	cb_pairs_free(p);
	return rc;
}

int
cb_metrics_files(json_t **out, const char *task, const char *annotations,
    const char *predictions, const char *answers, bool original)
{
	json_t *questions = json_array(), *names = NULL;
	const struct annotation_how how = { .task = task, .see = keep_line,
	    .arg = questions };
	char *path = (char *)(uintptr_t)annotations;
	struct annotation *a = NULL;
	int rc = -1;

	if (answers != NULL && cb_answers_load(&names, answers) < 0)
		goto done;
	if (annotation_open(&a, &path, 1, &how) < 0)
		goto done;
	if (strcmp(a->kind->task, "captions") == 0)
		rc = metric_captions(out, a, predictions);
	else
		rc = strcmp(a->kind->task, "retrieval") == 0 ?
		    recalls(out, a, questions, predictions, original) :
		    accuracies(out, a, questions, predictions, names,
		    original);
done:
	annotation_close(a);
	json_decref(questions);
	json_decref(names);
	return rc;
}
