/*
 * metrics FILE ...: each a case of ../shared/reference/metrics: answers or
 * ranks and the figures that they give, or tables of learning rates.  All must be
 * equal, not near.
 */
#include <stdlib.h>
#include <string.h>

#include "task/task.h"
#include "train/train.h"
#include "tap.h"

static json_t *
names(const json_t *map)
{
	json_t *list = json_array(), *label;
	const char *name;
	size_t i, n = json_object_size(map);

	for (i = 0; i < n; i++)
		json_object_foreach((json_t *)map, name, label)
			if (json_integer_value(label) == (json_int_t)i)
				json_array_append_new(list, json_string(name));
	return list;
}

/* The types that the expected figures have, in their order. */
static void
types_of(struct cb_strs *types, const json_t *expected)
{
	const char *key;
	json_t *v;

	json_object_foreach(json_object_get(expected, "ratios"), key, v) {
		types->at = realloc(types->at, sizeof(*types->at) *
		    (size_t)(types->n + 1));
		types->at[types->n++] = cb_strf("%.*s", (int)(strlen(key) -
		    strlen("_ratio")), key);
	}
}

/* Equal, not near; 1 and 1.0 are the same number. */
static bool
equal(const json_t *a, const json_t *b)
{
	const char *key;
	json_t *v;
	size_t i;

	if (json_is_number(a))
		return json_is_number(b) &&
		    json_number_value(a) == json_number_value(b);
	if (json_is_object(a)) {
		json_object_foreach((json_t *)a, key, v)
			if (!equal(v, json_object_get(b, key)))
				return false;
		return json_object_size(a) == json_object_size(b);
	}
	if (json_is_array(a)) {
		json_array_foreach(a, i, v)
			if (!equal(v, json_array_get(b, i)))
				return false;
		return json_array_size(a) == json_array_size(b);
	}
	return json_equal(a, b);
}

/* The expected figures, one by one, against those that came out. */
static void
compare(const json_t *expected, const json_t *got, const char *how)
{
	const char *key;
	json_t *v;
	char *a, *b;

	json_object_foreach((json_t *)expected, key, v) {
		if (ok(equal(v, json_object_get(got, key)), "%s%s", key, how))
			continue;
		a = cb_json_text(v);
		b = cb_json_text(json_object_get(got, key));
		fprintf(stderr, "# got %s, expected %s\n", b, a);
		free(a);
		free(b);
	}
}

/* "id" of the questions to "qid", {id: answer} to a list. */
static json_t *
caption_predictions(const json_t *file)
{
	json_t *list = json_array(), *row, *v;
	const char *id;
	size_t i;

	json_array_foreach(json_object_get(file, "data"), i, row)
		json_object_set(row, "qid", json_object_get(row, "id"));
	json_object_foreach(json_object_get(file, "predictions"), id, v)
		json_array_append_new(list, json_pack("{s:s, s:O}", "id", id,
		    "answer", v));
	return list;
}

static bool
questions(json_t **got, const json_t *file, const struct cb_strs *types)
{
	json_t *answers = NULL, *map = json_object_get(file, "ans2label");
	json_t *data = json_object_get(file, "data"), *rows, *printed;
	const json_t *first = json_array_get(data, 0);
	const char *task = "mc_qa";
	bool good;

	if (map != NULL) {
		answers = names(map);
		task = "open_qa";
	} else if (json_object_get(first, "labels") != NULL) {
		task = "vqa";
	} else if (json_object_get(file, "predictions") != NULL) {
		task = "caption_mc";
	}
	rows = strcmp(task, "caption_mc") == 0 ? caption_predictions(file) :
	    json_incref(json_object_get(file, "results"));
	good = cb_metrics(got, task, data, rows, types, answers) == 0;
	if (good) {
		printed = cb_metrics_printed(*got,
		    (int64_t)json_array_size(rows));
		compare(json_object_get(file, "printed"), printed, ", printed");
		json_decref(printed);
	}
	json_decref(answers);
	json_decref(rows);
	return good;
}

/* A text's id or a medium's. */
static char *
id_of(const json_t *list, size_t i)
{
	return cb_json_text(json_array_get(list, i));
}

static bool
pairs(json_t **got, const json_t *file)
{
	struct cb_pairs *p;
	json_t *row;
	char *text, *medium;
	bool good = true;
	size_t i;

	cb_pairs_new(&p, false);
	json_array_foreach(json_object_get(file, "truth"), i, row) {
		text = id_of(row, 0);
		medium = id_of(row, 1);
		good = good && cb_pairs_truth(p, text, medium) == 0;
		free(text);
		free(medium);
	}
	json_array_foreach(json_object_get(file, "pairs"), i, row) {
		medium = id_of(row, 0);
		text = id_of(row, 1);
		good = good && cb_pairs_add(p, text, medium,
		    json_number_value(json_array_get(row, 2))) == 0;
		free(text);
		free(medium);
	}
	good = good && cb_pairs_metrics(got, p) == 0;
	cb_pairs_free(p);
	return good;
}

/* ---- learning rates ------------------------------------------------------- */

static double
num(const json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}

/* How many rates of a table come out different. */
static int
wrong_rates(const json_t *t)
{
	static const char *const kinds[] = { "linear", "invsqrt", "constant",
	    "multi_step" };
	const char *name = json_string_value(json_object_get(t, "kind"));
	const json_t *stones = json_object_get(t, "milestones"), *v;
	int *milestones = calloc(json_array_size(stones) + 1, sizeof(int));
	int kind = 0, n = 0, bad = 0;
	int64_t epoch;
	size_t i;

	while (kind < 4 && (name == NULL || strcmp(name, kinds[kind]) != 0))
		kind++;
	json_array_foreach(stones, i, v)
		milestones[n++] = (int)json_integer_value(v);
	json_array_foreach(json_object_get(t, "lr"), i, v) {
		epoch = json_integer_value(json_array_get(json_object_get(t,
		    "epoch"), i));
		bad += kind == 4 || cb_lr_at((int64_t)i + 1,
		    (int64_t)num(t, "total_steps"), num(t, "base_lr"),
		    (enum cb_decay)kind, num(t, "warmup_ratio"), milestones, n,
		    epoch) != json_number_value(v);
	}
	free(milestones);
	return bad;
}

static void
schedules(const json_t *tables)
{
	const json_t *t, *lr;
	size_t i;

	json_array_foreach(tables, i, t) {
		lr = json_object_get(t, "lr");
		ok(json_array_size(lr) > 0 && wrong_rates(t) == 0,
		    "%s, warm-up %g: %zu rates", json_string_value(
		    json_object_get(t, "kind")), num(t, "warmup_ratio"),
		    json_array_size(lr));
	}
}

static void
one(const char *path)
{
	struct cb_strs types = { 0 };
	json_t *file, *expected, *got;
	bool good;

	if (cb_json_load(&file, path) < 0) {
		ok(false, "%s", cb_error());
		return;
	}
	if ((got = json_object_get(file, "tables")) != NULL) {
		ok(json_array_size(got) > 0, "%s", path);
		schedules(got);
		json_decref(file);
		return;
	}
	expected = json_object_get(file, "expected");
	types_of(&types, expected);
	good = json_object_get(file, "pairs") != NULL ? pairs(&got, file) :
	    questions(&got, file, &types);
	if (ok(good && json_object_size(expected) > 0, "%s", path)) {
		compare(expected, got, "");
		json_decref(got);
	} else if (!good) {
		fprintf(stderr, "# %s\n", cb_error());
	}
	while (types.n > 0)
		free((char *)types.at[--types.n]);
	free(types.at);
	json_decref(file);
}

int
main(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++)
		one(argv[i]);
	printf("1..%d\n", tap_n);
	return done();
}
