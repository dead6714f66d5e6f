/*
 * Metrics without a file of annotations: what is right came with the examples
 * of the stream, so truth and predictions are gathered batch by batch and given
 * to the same measures as those of files.
 */
#include <stdlib.h>
#include <string.h>

#include "task/metric.h"

enum truth { ANSWER, LABELS, PAIR, WORDS };

static const struct kind {
	const char *task;
	const char *as;		/* of cb_metrics() */
	enum truth truth;
	const char *figure;
	bool lowest;
} kinds[] = {
	{ "vqa", "vqa", LABELS, "overall_acc", false },
	{ "open_qa", "open_qa", ANSWER, "overall_acc", false },
	{ "frameqa", "open_qa", ANSWER, "overall_acc", false },
	{ "msrvtt_qa", "open_qa", ANSWER, "overall_acc", false },
	{ "mc_qa", "mc_qa", ANSWER, "overall_acc", false },
	{ "action", "mc_qa", ANSWER, "overall_acc", false },
	{ "transition", "mc_qa", ANSWER, "overall_acc", false },
	{ "caption_mc", "caption_mc", ANSWER, "overall_acc", false },
	{ "count", "count", ANSWER, "mse", true },
	{ "retrieval", NULL, PAIR, "text2video_r1", false },
	{ "captions", NULL, WORDS, "loss", true },
	{ "pretrain", NULL, WORDS, "loss", true },
};

/* A scored pair, by the numbers of its names. */
struct pair {
	int32_t text, medium;
	float score;
	bool match;
};

struct cb_measure {
	const struct kind *kind;
	const json_t *answers;
	json_t *truth, *told;		/* lists */
	json_t *texts, *media;		/* name -> number */
	struct pair *pairs;
	int64_t n, room;
	bool known;			/* something to compare with came */
};

int
cb_measure_new(struct cb_measure **out, const char *task,
    const json_t *answers)
{
	const struct kind *k = NULL;
	struct cb_measure *m;
	size_t i;

	for (i = 0; i < CB_LEN(kinds) && k == NULL; i++)
		if (strcmp(kinds[i].task, task) == 0)
			k = &kinds[i];
	if (k == NULL)
		return cb_fail(CB_EUSAGE, "no metric for the task \"%s\"",
		    task);
	if ((m = calloc(1, sizeof(*m))) == NULL)
		return cb_fail(CB_ENOMEM, "metrics");
	m->kind = k;
	m->answers = answers;
	m->truth = json_array();
	m->told = json_array();
	m->texts = json_object();
	m->media = json_object();
	*out = m;
	return 0;
}

void
cb_measure_free(struct cb_measure *m)
{
	if (m == NULL)
		return;
	json_decref(m->truth);
	json_decref(m->told);
	json_decref(m->texts);
	json_decref(m->media);
	free(m->pairs);
	free(m);
}

/* ---- answers -------------------------------------------------------------- */

/* [[label, weight], ...] of the stream as {answer: weight} of an annotation. */
static void
name_labels(const struct cb_measure *m, json_t *question)
{
	const json_t *list = json_object_get(question, "labels"), *label;
	json_t *named = json_object(), *pair;
	const char *name;
	size_t i;

	json_array_foreach((json_t *)(uintptr_t)list, i, pair) {
		label = json_array_get(pair, 0);
		name = json_string_value(json_array_get(m->answers,
		    (size_t)json_integer_value(label)));
		if (json_is_integer(label) && name != NULL)
			json_object_set_nocheck(named, name,
			    json_array_get(pair, 1));
	}
	json_object_set_new(question, "labels", named);
}

static void
add_question(struct cb_measure *m, const msgpack_object *example)
{
	const char *key = m->kind->truth == LABELS ? "labels" : "answer";
	json_t *question = cb_obj_json(example);
	json_t *id = json_object_get(question, "id");

	if (id != NULL)
		json_object_set(question, "question_id", id);
	m->known |= json_object_get(question, key) != NULL;
	if (m->kind->truth == LABELS)
		name_labels(m, question);
	json_array_append_new(m->truth, question);
}

/* ---- pairs ----------------------------------------------------------------- */

static int32_t
number_of(json_t *names, const char *name)
{
	const json_t *v = json_object_get(names, name);
	size_t n = json_object_size(names);

	if (v != NULL)
		return (int32_t)json_integer_value(v);
	json_object_set_new_nocheck(names, name, json_integer((json_int_t)n));
	return (int32_t)n;
}

static int
add_pair(struct cb_measure *m, const json_t *line, int64_t label)
{
	const char *medium = json_string_value(json_object_get(line, "media"));
	char *text = cb_json_text(json_object_get(line, "question_id"));
	int64_t room = m->room > 0 ? 2 * m->room : 1024;
	struct pair *more;

	if (text == NULL || medium == NULL) {
		free(text);
		return cb_fail(CB_EFORMAT, "a pair without names");
	}
	if (m->n == m->room) {
		more = realloc(m->pairs, sizeof(*more) * (size_t)room);
		if (more == NULL) {
			free(text);
			return cb_fail(CB_ENOMEM, "pairs");
		}
		m->pairs = more;
		m->room = room;
	}
	m->pairs[m->n++] = (struct pair){ .text = number_of(m->texts, text),
	    .medium = number_of(m->media, medium), .match = label == 1,
	    .score = (float)json_number_value(json_object_get(line, "score")) };
	m->known |= label == 0;
	free(text);
	return 0;
}

/* Names by their numbers; yours to free, the names borrowed. */
static const char **
names_of(const json_t *names)
{
	const char **list = calloc(json_object_size(names) + 1, sizeof(*list));
	const char *key;
	json_t *v;

	if (list == NULL)
		abort();
	json_object_foreach((json_t *)(uintptr_t)names, key, v)
		list[json_integer_value(v)] = key;
	return list;
}

static int
rank(json_t **out, const struct cb_measure *m)
{
	const char **texts = names_of(m->texts), **media = names_of(m->media);
	bool *seen = calloc(json_object_size(m->texts) + 1, sizeof(*seen));
	const struct pair *at = m->pairs;
	struct cb_pairs *p = NULL;
	int64_t i;
	int rc = seen == NULL ? cb_fail(CB_ENOMEM, "pairs") :
	    cb_pairs_new(&p, false);

	for (i = 0; rc == 0 && i < m->n; i++) {
		if (!at[i].match || seen[at[i].text])
			continue;
		seen[at[i].text] = true;
		rc = cb_pairs_truth(p, texts[at[i].text], media[at[i].medium]);
	}
	for (i = 0; rc == 0 && i < m->n; i++)
		rc = !seen[at[i].text] ? cb_fail(CB_EFORMAT, "the text %s "
		    "comes without its own medium", texts[at[i].text]) :
		    cb_pairs_add(p, texts[at[i].text], media[at[i].medium],
		    (double)at[i].score);
	if (rc == 0)
		rc = cb_pairs_metrics(out, p);
	if (rc == 0)
		json_object_set(*out, "text2video_r1", json_object_get(
		    json_object_get(*out, "text2video"), "r1"));
	cb_pairs_free(p);
	free(seen);
	free(texts);
	free(media);
	return rc;
}

/* ---- a batch, and the end ---------------------------------------------------- */

static int
add_line(struct cb_measure *m, const struct cb_batch *b, json_t *line,
    int64_t i)
{
	const msgpack_object *example;
	int64_t label = -1;

	if (m->kind->truth != PAIR) {
		m->known |= m->kind->truth == WORDS;
		return json_array_append(m->told, line);
	}
	if (i >= (int64_t)b->examples.via.array.size)
		return cb_fail(CB_EFORMAT, "more predictions than examples");
	example = &b->examples.via.array.ptr[i];
	return cb_map_int(example, "label", &label) < 0 || label < 0 ?
	    cb_fail(CB_EFORMAT, "a pair that does not tell whether it matches")
	    : add_pair(m, line, label);
}

int
cb_measure_add(struct cb_measure *m, const struct cb_batch *b,
    const char *lines)
{
	uint32_t i;
	int64_t n;
	json_t *line;
	size_t len;
	int rc = 0;

	if (m->kind->truth == ANSWER || m->kind->truth == LABELS)
		for (i = 0; i < b->examples.via.array.size; i++)
			add_question(m, &b->examples.via.array.ptr[i]);
	for (n = 0; rc == 0 && *lines != '\0'; n++) {
		len = strcspn(lines, "\n");
		if ((line = json_loadb(lines, len, 0, NULL)) == NULL)
			return cb_fail(CB_EFORMAT, "a prediction is not JSON");
		rc = add_line(m, b, line, n);
		json_decref(line);
		lines += len + (lines[len] == '\n');
	}
	return rc < 0 ? cb_fail_at("batch %lld", (long long)b->seq) : 0;
}

/* The two losses of pretraining together are what it is trained for. */
static void
put_loss(json_t *metrics)
{
	json_object_set_new(metrics, "loss", json_real(
	    json_number_value(json_object_get(metrics, "mlm_loss")) +
	    json_number_value(json_object_get(metrics, "itm_loss"))));
}

int
cb_measure_end(json_t **out, struct cb_figure *f, struct cb_measure *m)
{
	const struct kind *k = m->kind;
	int rc;

	if (!m->known)
		return cb_fail(CB_EFORMAT, k->truth == PAIR ? "no text comes "
		    "with a medium that is not its own: cb-list --pairs" :
		    "the examples do not say what is right");
	if (k->truth == PAIR)
		rc = rank(out, m);
	else if (k->truth == WORDS)
		rc = metric_captions_list(out, m->told);
	else
		rc = cb_metrics(out, k->as, m->truth, m->told, NULL,
		    m->answers);
	if (rc < 0)
		return -1;
	if (k->truth == WORDS)
		put_loss(*out);
	f->name = k->figure;
	f->lowest = k->lowest;
	f->value = json_number_value(json_object_get(*out, k->figure));
	return 0;
}
