/* Batches to predictions: a trained model opened from its checkpoint. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train.h"

struct cb_scorer {
	struct cb_safetensors *file;
	struct cb_checkpoint about;
	struct cb_settings settings;
	struct cb_vocab *vocab;
	struct cb_engine *e;
	struct cb_model *m;
	bool have_settings;
	bool borrowed;		/* the model is another's */
	bool retrieval;		/* scores tell whether text and medium match */
	bool counts;		/* they are numbers, not of labels */
	bool masks;		/* it tells masked words */
};

static int
open_vocab(struct cb_scorer *s)
{
	size_t n = json_array_size(s->about.vocab), i;
	const char **words;
	int rc;

	if (n == 0)
		return cb_fail(CB_EFORMAT, "it has no vocabulary");
	if ((words = calloc(n, sizeof(*words))) == NULL)
		return cb_fail(CB_ENOMEM, "vocabulary");
	for (i = 0; i < n; i++) {
		words[i] = json_string_value(json_array_get(s->about.vocab, i));
		if (words[i] == NULL)
			words[i] = "";
	}
	rc = cb_vocab_from_list(&s->vocab, words, (int)n);
	free(words);
	return rc;
}

static int
load_weights(struct cb_scorer *s)
{
	int n;
	const struct cb_param *p = cb_model_params(s->m, &n);
	int64_t bytes = cb_model_count(s->m) * (int64_t)sizeof(float);
	float *w = cb_alloc(bytes);
	int rc;

	if (w == NULL)
		return cb_fail(CB_ENOMEM, "weights");
	if ((rc = cb_checkpoint_load(s->file, p, n, w)) == 0) {
		s->e->put(s->e, cb_model_weights(s->m), w, bytes);
		rc = s->e->sync(s->e);
	}
	free(w);
	if (rc == 0)
		cb_model_pack(s->m, true);
	return rc;
}

/* What the checkpoint says, all but the weights; to the shape of its model. */
static int
understand(struct cb_scorer *s, struct cb_model_config *c, const char *where)
{
	const char *task = s->about.task != NULL ? s->about.task : "";

	if (cb_settings_parse(&s->settings, s->about.config, where) < 0)
		return -1;
	s->have_settings = true;
	s->retrieval = strcmp(task, "retrieval") == 0;
	if (open_vocab(s) < 0 || cb_model_config_from(c, &s->settings, task,
	    (int64_t)json_array_size(s->about.answers),
	    (int64_t)json_array_size(s->about.vocab)) < 0)
		return cb_fail_at("%s", where);
	s->counts = c->head == CB_HEAD_REGRESS;
	s->masks = c->head == CB_HEAD_PRETRAIN;
	return 0;
}

static int
open_parts(struct cb_scorer *s, const char *path, const char *engine,
    int threads)
{
	struct cb_model_config c;

	if (cb_checkpoint_open(&s->file, &s->about, path) < 0 ||
	    understand(s, &c, path) < 0 ||
	    cb_engine_open(&s->e, engine, threads) < 0 ||
	    cb_model_new(&s->m, s->e, &c) < 0)
		return -1;
	return load_weights(s);
}

int
cb_scorer_open(struct cb_scorer **out, const char *model, const char *engine,
    int threads)
{
	struct cb_scorer *s;
	char *path;
	int rc;

	if (cb_checkpoint_find(&path, model) < 0)
		return -1;
	if ((s = calloc(1, sizeof(*s))) == NULL) {
		free(path);
		return cb_fail(CB_ENOMEM, "%s", model);
	}
	rc = open_parts(s, path, engine, threads);
	free(path);
	if (rc < 0) {
		cb_scorer_close(s);
		return -1;
	}
	*out = s;
	return 0;
}

int
cb_scorer_of(struct cb_scorer **out, struct cb_model *m,
    const struct cb_checkpoint *about)
{
	struct cb_scorer *s = calloc(1, sizeof(*s));
	struct cb_model_config c;

	if (s == NULL)
		return cb_fail(CB_ENOMEM, "scores");
	s->borrowed = true;
	s->m = m;
	s->about.config = json_incref(about->config);
	s->about.answers = json_incref(about->answers);
	s->about.vocab = json_incref(about->vocab);
	if (about->task != NULL)
		s->about.task = cb_strf("%s", about->task);
	if (understand(s, &c, "the model") < 0) {
		cb_scorer_close(s);
		return -1;
	}
	*out = s;
	return 0;
}

void
cb_scorer_close(struct cb_scorer *s)
{
	if (s == NULL)
		return;
	if (!s->borrowed)
		cb_model_free(s->m);
	if (s->e != NULL)
		s->e->free(s->e);
	cb_vocab_free(s->vocab);
	if (s->have_settings)
		cb_settings_clear(&s->settings);
	cb_checkpoint_clear(&s->about);
	cb_safetensors_close(s->file);
	free(s);
}

const struct cb_settings *
cb_scorer_settings(const struct cb_scorer *s)
{
	return &s->settings;
}

bool
cb_scorer_masks(const struct cb_scorer *s)
{
	return s->masks;
}

const struct cb_vocab *
cb_scorer_vocab(const struct cb_scorer *s)
{
	return s->vocab;
}

/* ---- one row of scores as JSON -------------------------------------------------- */

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

/* n rows of C scores to the probabilities that text and medium match, one each,
 * in place. */
static void
matches(float *x, int n, int C)
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

/* Scores of a batch to lines. */
static int
print_scores(const struct cb_scorer *s, const struct cb_batch *b, float *x,
    int options, int top, FILE *to)
{
	const struct cb_model_config *c = cb_model_config(s->m);
	int i, n = (int)b->examples.via.array.size;

	if (s->retrieval) {
		matches(x, b->N, c->labels);
		return print_examples(s, b, x, options, options, top, to);
	}
	if (c->head == CB_HEAD_PRETRAIN) {
		matches(x, b->N, c->labels);
		return print_captions(s, b, x, to);
	}
	for (i = 0; i < n && !s->counts; i++)
		probabilities(x + (int64_t)i * c->labels, c->labels,
		    c->loss == CB_LOSS_CE);
	return print_examples(s, b, x, c->labels, options, top, to);
}

int
cb_scorer_batch(struct cb_scorer *s, const struct cb_batch *b, int top,
    FILE *to)
{
	const struct cb_model_config *c = cb_model_config(s->m);
	int n = (int)b->examples.via.array.size, options = 1, rc;
	struct cb_inputs in;
	float *scores;

	if (b->N == 0)
		return 0;
	if (b->mlm_labels.data != NULL && !s->masks)
		return cb_fail(CB_EUSAGE, "batch %lld: its words are masked, "
		    "which is for pretraining: cb-tokenize -m 0",
		    (long long)b->seq);
	if (c->head == CB_HEAD_CHOICE)
		options = c->labels;
	else if (s->retrieval && n > 0)
		options = b->N / n;
	if (cb_batch_fits(b, options) < 0 || cb_batch_inputs(&in, b) < 0)
		return -1;
	scores = malloc(sizeof(*scores) * b->N * c->labels);
	rc = scores == NULL ? cb_fail(CB_ENOMEM, "scores") :
	    cb_model_score(s->m, &in, scores, NULL);
	if (rc == 0)
		rc = print_scores(s, b, scores, options, top, to);
	free(scores);
	free((void *)in.counts);
	return rc;
}

/* ---- all pairs ----------------------------------------------------------- */

static int
print_medium(const char *medium, const float *p, int n, FILE *to)
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

int
cb_scorer_pairs(struct cb_scorer *s, const struct cb_batch *b,
    const struct cb_texts *texts, FILE *to)
{
	int32_t n = texts->N;
	int C = cb_model_config(s->m)->labels, i, rc = 0;
	struct cb_inputs in = { .B = 1, .K = b->K, .F = b->T, .N = n,
	    .L = texts->L, .counts = &n, .ids = texts->ids,
	    .mask = texts->mask };
	float *x;

	if (!s->retrieval)
		return cb_fail(CB_EUSAGE, "the model is not one of retrieval");
	if ((x = malloc(sizeof(*x) * (size_t)n * (size_t)C)) == NULL)
		return cb_fail(CB_ENOMEM, "scores");
	for (i = 0; i < b->B && rc == 0; i++) {
		in.pictures = b->pictures + (int64_t)i * b->K * b->T;
		if ((rc = cb_model_score(s->m, &in, x, NULL)) < 0)
			break;
		matches(x, n, C);
		rc = print_medium(b->media[i].name, x, n, to);
	}
	free(x);
	return rc;
}
