/* How good predictions are: the accuracies of the question answering tasks. */
#include <stdlib.h>
#include <string.h>

#include "task/metric.h"

/*
 * Sum by halves: less rounding than one by one, and in the very order of numpy,
 * so that figures agree to the last bit with those of Python evaluations.
 */
static double
sum(const double *x, int64_t n)
{
	double r[8], all = 0;
	int64_t i, half;
	int k;

	if (n < 8) {
		for (i = 0; i < n; i++)
			all += x[i];
		return all;
	}
	if (n > 128) {
		half = n / 2 - n / 2 % 8;
		return sum(x, half) + sum(x + half, n - half);
	}
	memcpy(r, x, sizeof(r));
	for (i = 8; i < n - n % 8; i += 8)
		for (k = 0; k < 8; k++)
			r[k] += x[i + k];
	all = ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]));
	for (; i < n; i++)
		all += x[i];
	return all;
}

static char *
id_of(const json_t *row, const char *const *keys, int64_t i)
{
	const json_t *v;

	for (; *keys != NULL; keys++)
		if ((v = json_object_get(row, *keys)) != NULL)
			return cb_json_text(v);
	return cb_strf("%lld", (long long)i);
}

/* id -> number of the annotation; yours. */
static int
index_questions(json_t **out, const json_t *annotations)
{
	static const char *const keys[] = { "question_id", "qid", NULL };
	json_t *index = json_object(), *row;
	size_t i;
	char *id;

	json_array_foreach((json_t *)annotations, i, row) {
		id = id_of(row, keys, (int64_t)i);
		if (json_object_get(index, id) != NULL) {
			cb_fail(CB_EFORMAT, "two questions have the id %s",
			    id);
			free(id);
			json_decref(index);
			return -1;
		}
		json_object_set_new_nocheck(index, id,
		    json_integer((json_int_t)i));
		free(id);
	}
	*out = index;
	return 0;
}

/* The answer of a prediction by name; NULL: none that could be right. */
static const char *
answer_of(const json_t *row, const json_t *answers)
{
	const json_t *v = json_object_get(row, "answer");

	if (json_is_integer(v) && answers != NULL)
		v = json_array_get(answers, (size_t)json_integer_value(v));
	return json_string_value(v);
}

/* Is the answer a number: of an option, or how often? */
static bool
has_numbers(const char *task)
{
	return strcmp(task, "mc_qa") == 0 || strcmp(task, "caption_mc") == 0 ||
	    strcmp(task, "count") == 0;
}

/* 1 where both name the same number. */
static double
score_number(const json_t *question, const json_t *prediction)
{
	int64_t a = annotation_option(json_object_get(question, "answer"));
	int64_t b = annotation_option(json_object_get(prediction, "answer"));

	return a >= 0 && a == b;
}

static double
score(const char *task, const json_t *question, const char *answer)
{
	const json_t *v;

	if (answer == NULL)
		return 0;
	if (strcmp(task, "vqa") == 0) {
		v = json_object_get(question, "labels");
		return json_number_value(json_object_get(v, answer));
	}
	v = json_object_get(question, "answer");
	return json_is_string(v) && strcmp(json_string_value(v), answer) == 0;
}

/* Fills x with the scores and told with the numbers that were predicted, 0 for
 * another prediction and -1 where there is none. */
static int
score_all(double *x, int64_t *told, const char *task, const json_t *annotations,
    const json_t *predictions, const json_t *answers)
{
	static const char *const keys[] = { "question_id", "qid", "id", NULL };
	json_t *index, *row, *at;
	size_t i, k;
	char *id;
	int rc = 0;

	if (index_questions(&index, annotations) < 0)
		return -1;
	json_array_foreach((json_t *)predictions, i, row) {
		id = id_of(row, keys, (int64_t)i);
		if ((at = json_object_get(index, id)) == NULL)
			rc = cb_fail(CB_EFORMAT, "prediction %zu: there is no "
			    "question with the id %s", i + 1, id);
		free(id);
		if (rc < 0)
			break;
		k = (size_t)json_integer_value(at);
		x[k] = has_numbers(task) ?
		    score_number(json_array_get(annotations, k), row) :
		    score(task, json_array_get(annotations, k),
		    answer_of(row, answers));
		told[k] = strcmp(task, "count") == 0 ? annotation_option(
		    json_object_get(row, "answer")) : 0;
	}
	json_decref(index);
	return rc;
}

static void
put_type(json_t *out, json_t *ratios, const char *type, const double *x,
    int64_t n, int64_t all)
{
	char *acc = cb_strf("%s_acc", type), *ratio = cb_strf("%s_ratio", type);

	json_object_set_new_nocheck(out, acc, n > 0 ?
	    json_real(sum(x, n) / (double)n) : json_integer(0));
	json_object_set_new_nocheck(ratios, ratio, json_pack("[f, I]",
	    all > 0 ? (double)n / (double)all : 0., (json_int_t)n));
	free(acc);
	free(ratio);
}

/* What kind of question it is: videos with options say so in "task". */
static const char *
type_of(const json_t *question)
{
	const char *type = json_string_value(json_object_get(question,
	    "answer_type"));

	return type != NULL || json_object_get(question, "options") == NULL ?
	    type : json_string_value(json_object_get(question, "task"));
}

/* Names of the types, each once, in order; yours. */
static json_t *
types_of(const json_t *annotations, const struct cb_strs *types)
{
	json_t *set = json_object(), *row;
	const char *type;
	size_t i;
	int k;

	for (k = 0; types != NULL && k < types->n; k++)
		json_object_set_new_nocheck(set, types->at[k], json_null());
	json_array_foreach((json_t *)annotations, i, row) {
		if ((type = type_of(row)) != NULL)
			json_object_set_new_nocheck(set, type, json_null());
	}
	return set;
}

static int
put_types(json_t *out, const json_t *annotations, const double *x,
    const struct cb_strs *types)
{
	json_t *ratios = json_object(), *row, *set, *none;
	int64_t n = (int64_t)json_array_size(annotations), k;
	double *some = calloc((size_t)n + 1, sizeof(*some));
	const char *type, *its;
	size_t i;

	if (some == NULL)
		return cb_fail(CB_ENOMEM, "metrics");
	set = types_of(annotations, types);
	json_object_foreach(set, type, none) {
		k = 0;
		json_array_foreach((json_t *)annotations, i, row) {
			if ((its = type_of(row)) != NULL && strcmp(its, type) == 0)
				some[k++] = x[i];
		}
		put_type(out, ratios, type, some, k, n);
	}
	json_object_set_new(out, "ratios", ratios);
	json_decref(set);
	free(some);
	return 0;
}

static void
add_score(json_t *total, const char *answer, double s)
{
	const json_t *old = json_object_get(total, answer);

	json_object_set_new_nocheck(total, answer,
	    json_real(json_number_value(old) + s));
}

/* What always giving the same answer would score: the level of chance. */
static void
put_constant(json_t *out, const char *task, const json_t *annotations)
{
	json_t *total = json_object(), *row, *s;
	const char *answer, *best = NULL;
	double most = 0;
	char *name;
	size_t i;

	json_array_foreach((json_t *)annotations, i, row) {
		if (strcmp(task, "vqa") == 0) {
			json_object_foreach(json_object_get(row, "labels"),
			    answer, s)
				add_score(total, answer, json_number_value(s));
			continue;
		}
		s = json_object_get(row, "answer");
		if (has_numbers(task) && annotation_option(s) >= 0) {
			name = cb_strf("%lld", (long long)annotation_option(s));
			add_score(total, name, 1);
			free(name);
		} else if (json_is_string(s)) {
			add_score(total, json_string_value(s), 1);
		}
	}
	json_object_foreach(total, answer, s) {
		if (best == NULL || json_number_value(s) > most ||
		    (json_number_value(s) == most && strcmp(answer, best) < 0)) {
			best = answer;
			most = json_number_value(s);
		}
	}
	if (best != NULL) {
		json_object_set_new(out, "most_frequent_answer",
		    json_string_nocheck(best));
		json_object_set_new(out, "most_frequent_acc", json_real(most /
		    (double)json_array_size(annotations)));
	}
	json_decref(total);
}

/* The original's figure, which is a text. */
static void
put_percentage(json_t *out)
{
	char *text = cb_strf("%.2f", 100 * json_number_value(json_object_get(out,
	    "overall_acc")));

	json_object_set_new(out, "mc_accuracy", json_string(text));
	free(text);
}

int
cb_metrics(json_t **out, const char *task, const json_t *annotations,
    const json_t *predictions, const struct cb_strs *types,
    const json_t *answers)
{
	size_t n = json_array_size(annotations), i;
	json_t *result = json_object();
	double *x = calloc(n + 1, sizeof(*x));
	int64_t *told = calloc(n + 1, sizeof(*told));
	json_int_t missing = 0;
	int rc = -1;

	if (strcmp(task, "vqa") != 0 && strcmp(task, "open_qa") != 0 &&
	    !has_numbers(task)) {
		cb_fail(CB_EUSAGE, "%s: no metric for this task", task);
		goto done;
	}
	if (x == NULL || told == NULL || n == 0) {
		cb_fail(n == 0 ? CB_EFORMAT : CB_ENOMEM, "no questions");
		goto done;
	}
	for (i = 0; i < n; i++)
		told[i] = -1;
	if (score_all(x, told, task, annotations, predictions, answers) < 0)
		goto done;
	json_object_set_new(result, "overall_acc",
	    json_real(sum(x, (int64_t)n) / (double)n));
	if (put_types(result, annotations, x, types) < 0)
		goto done;
	if (strcmp(task, "caption_mc") == 0)
		put_percentage(result);
	if (strcmp(task, "count") == 0)
		metric_squares(result, annotations, told);
	for (i = 0; i < n; i++)
		missing += told[i] < 0;
	json_object_set_new(result, "questions", json_integer((json_int_t)n));
	json_object_set_new(result, "missing", json_integer(missing));
	put_constant(result, task, annotations);
	*out = json_incref(result);
	rc = 0;
done:
	json_decref(result);
	free(x);
	free(told);
	return rc;
}

/* ---- as the original prints them ----------------------------------------- */

static json_t *
percentage(double share)
{
	char *text = cb_strf("%.2f", 100 * share);
	json_t *v = json_real(strtod(text, NULL));

	free(text);
	return v;
}

json_t *
cb_metrics_printed(const json_t *metrics, int64_t predictions)
{
	json_t *out = json_deep_copy(metrics), *v;
	const char *key;
	double n;

	json_object_foreach((json_t *)metrics, key, v)
		if (json_is_real(v))
			json_object_set_new_nocheck(out, key,
			    percentage(json_real_value(v)));
	json_object_foreach(json_object_get(out, "ratios"), key, v) {
		n = json_number_value(json_array_get(v, 1));
		json_array_set_new(v, 0, percentage(predictions > 0 ?
		    n / (double)predictions : 0));
	}
	return out;
}
