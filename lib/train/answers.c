/* Scores to lines of JSON: answers, pairs, numbers, masked words. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "scorer.h"

/* Scores to probabilities in place: of answers that exclude each other, or
 * each for itself. */
static void
probabilities(float *x, int C, bool exclusive)
{
	float most = x[0];
	double sum = 0;
	int c;

	for (c = 1; c < C; c++)
		most = x[c] > most ? x[c] : most;
	for (c = 0; c < C; c++) {
		x[c] = exclusive ? expf(x[c] - most) : 1 / (1 + expf(-x[c]));
		sum += x[c];
	}
	for (c = 0; exclusive && c < C; c++)
		x[c] = (float)(x[c] / sum);
}

/* The most probable class that is not taken yet; the first of equals. */
static int
next_best(const float *p, const bool *taken, int C)
{
	int c, best = -1;

	for (c = 0; c < C; c++)
		if (!taken[c] && (best < 0 || p[c] > p[best]))
			best = c;
	return best;
}

static json_t *
answer_name(const struct cb_scorer *s, int label)
{
	json_t *name = json_array_get(s->about.answers, (size_t)label);

	return name != NULL ? json_incref(name) : json_integer(label);
}

/* [["red", 0.97], ...] */
static json_t *
ranking(const struct cb_scorer *s, const float *p, int C, int top)
{
	bool *taken = calloc((size_t)C, sizeof(*taken));
	json_t *list = json_array();
	int i, c;

	if (taken == NULL || list == NULL)
		abort();
	for (i = 0; i < top && i < C; i++) {
		c = next_best(p, taken, C);
		taken[c] = true;
		json_array_append_new(list, json_pack("[o, f]",
		    answer_name(s, c), (double)p[c]));
	}
	free(taken);
	return list;
}

/* What identifies the example: its id and text. */
static void
add_example(json_t *line, const msgpack_object *example)
{
	static const char *const text[] = { "question", "text", "caption" };
	const msgpack_object *v = cb_map_get(example, "id");
	size_t i;

	json_object_set_new(line, "question_id",
	    v != NULL ? cb_obj_json(v) : json_null());
	for (i = 0; i < CB_LEN(text); i++)
		if ((v = cb_map_get(example, text[i])) != NULL)
			json_object_set_new(line, text[i], cb_obj_json(v));
}

static int
print_json(json_t *line, int digits, FILE *to)
{
	char *text = json_dumps(line, JSON_COMPACT |
	    JSON_REAL_PRECISION(digits));
	int rc;

	json_decref(line);
	if (text == NULL)
		return cb_fail(CB_ENOMEM, "prediction");
	rc = fprintf(to, "%s\n", text) < 0 ? cb_fail(CB_EIO, "stdout") : 0;
	free(text);
	return rc;
}

/* The best of n answers or options with the probabilities p. */
static int
print_answer(const struct cb_scorer *s, const msgpack_object *example,
    const char *medium, const float *p, int n, int top, FILE *to)
{
	bool *none = calloc((size_t)n, sizeof(*none));
	json_t *line = json_object();
	int best;

	if (line == NULL || none == NULL)
		abort();
	best = next_best(p, none, n);
	free(none);
	add_example(line, example);
	json_object_set_new(line, "media", json_string(medium));
	json_object_set_new(line, "answer", answer_name(s, best));
	json_object_set_new(line, "label", json_integer(best));
	json_object_set_new(line, "prob", json_real((double)p[best]));
	json_object_set_new(line, "answers", ranking(s, p, n, top));
	return print_json(line, 6, to);
}

/* Enough digits to tell all scores apart: they will be ranked. */
static int
print_pair(const msgpack_object *example, const char *medium, float p, FILE *to)
{
	json_t *line = json_object();

	if (line == NULL)
		abort();
	add_example(line, example);
	json_object_set_new(line, "media", json_string(medium));
	json_object_set_new(line, "score", json_real((double)p));
	return print_json(line, 9, to);
}

/* How often: the score as it is, and as one of the answers that there are. */
static int
print_count(const msgpack_object *example, const char *medium, float score,
    FILE *to)
{
	json_t *line = json_object();

	if (line == NULL)
		abort();
	add_example(line, example);
	json_object_set_new(line, "media", json_string(medium));
	json_object_set_new(line, "answer", json_integer(cb_count_of(score)));
	json_object_set_new(line, "score", json_real((double)score));
	return print_json(line, 9, to);
}

/* What was masked and what the model took it for, in the order of (text,
 * position). */
struct words {
	float	*loss;
	int32_t	*told;
};

/* [[word, told, loss], ...] of row i of the batch; moves w on. */
static json_t *
words_of(const struct cb_scorer *s, const struct cb_batch *b, int i,
    struct words *w)
{
	const int32_t *was = b->mlm_labels.data;
	json_t *list = json_array();
	int l;

	for (l = 0; was != NULL && l < b->L; l++) {
		if (was[(int64_t)i * b->L + l] < 0)
			continue;
		json_array_append_new(list, json_pack("[s?, s?, f]",
		    cb_vocab_token(s->vocab, was[(int64_t)i * b->L + l]),
		    cb_vocab_token(s->vocab, *w->told++),
		    (double)*w->loss++));
	}
	return list;
}

/* Of pretraining, whether a text belongs to its medium by the label and by the
 * model, and its masked words. */
static int
print_caption(const struct cb_scorer *s, const struct cb_batch *b, int i,
    const char *medium, float p, struct words *w, FILE *to)
{
	const int32_t *match = b->labels.data;
	json_t *line = json_object();

	if (line == NULL)
		abort();
	add_example(line, &b->examples.via.array.ptr[i]);
	json_object_set_new(line, "media", json_string(medium));
	if (match != NULL && b->labels.type == CB_I32 && match[i] >= 0)
		json_object_set_new(line, "match", json_integer(match[i]));
	json_object_set_new(line, "score", json_real((double)p));
	json_object_set_new(line, "words", words_of(s, b, i, w));
	return print_json(line, 9, to);
}

static int
print_captions(const struct cb_scorer *s, const struct cb_batch *b,
    const float *p, FILE *to)
{
	int n = cb_model_last_mlm(s->m, NULL, NULL), i, k, row = 0, rc = 0;
	float *loss = malloc(sizeof(*loss) * (n + 1));
	int32_t *told = malloc(sizeof(*told) * (n + 1));
	struct words w = { loss, told };

	if (loss == NULL || told == NULL)
		abort();
	cb_model_last_mlm(s->m, loss, told);
	for (i = 0; i < b->B; i++)
		for (k = 0; k < b->media[i].rows && rc == 0; k++, row++)
			rc = print_caption(s, b, row, b->media[i].name,
			    p[row], &w, to);
	free(loss);
	free(told);
	return rc;
}

void
scorer_matches(float *x, int n, int C)
{
	int i;

	for (i = 0; i < n; i++) {
		probabilities(x + (int64_t)i * C, C, C > 1);
		x[i] = x[(int64_t)i * C + C - 1];
	}
}

/* Examples of n probabilities each, which are of so many rows. */
static int
print_examples(const struct cb_scorer *s, const struct cb_batch *b,
    const float *p, int n, int options, int top, FILE *to)
{
	const msgpack_object *example = b->examples.via.array.ptr;
	int i, k, rc = 0;

	for (i = 0; i < b->B; i++) {
		for (k = 0; k < b->media[i].rows / options && rc == 0; k++) {
			rc = s->retrieval && options == 1 ?
			    print_pair(example, b->media[i].name, *p, to) :
			    s->counts ?
			    print_count(example, b->media[i].name, *p, to) :
			    print_answer(s, example, b->media[i].name, p, n,
			    top, to);
			example++;
			p += n;
		}
	}
	return rc;
}

int
scorer_print(const struct cb_scorer *s, const struct cb_batch *b, float *x,
    int options, int top, FILE *to)
{
	const struct cb_model_config *c = cb_model_config(s->m);
	int i, n = (int)b->examples.via.array.size;

	if (s->retrieval) {
		scorer_matches(x, b->N, c->labels);
		return print_examples(s, b, x, options, options, top, to);
	}
	if (c->head == CB_HEAD_PRETRAIN) {
		scorer_matches(x, b->N, c->labels);
		return print_captions(s, b, x, to);
	}
	for (i = 0; i < n && !s->counts; i++)
		probabilities(x + (int64_t)i * c->labels, c->labels,
		    c->loss == CB_LOSS_CE);
	return print_examples(s, b, x, c->labels, options, top, to);
}

int
scorer_print_medium(const char *medium, const float *p, int n, FILE *to)
{
	json_t *line = json_object(), *list = json_array();
	int i;

	if (line == NULL || list == NULL)
		abort();
	json_object_set_new(line, "media", json_string(medium));
	for (i = 0; i < n; i++) {
		if (!isfinite(p[i])) {
			json_decref(line);
			json_decref(list);
			return cb_fail(CB_EFORMAT, "%s: its score with text %d "
			    "is not a number", medium, i);
		}
		json_array_append_new(list, json_real((double)p[i]));
	}
	json_object_set_new(line, "scores", list);
	return print_json(line, 9, to);
}
