/* Batches to predictions: a trained model opened from its checkpoint. */
#include <stdlib.h>
#include <string.h>

#include "scorer.h"

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

/* On the host the numbers of the file are used where they are. */
static int
load_weights(struct cb_scorer *s)
{
	int n, i, rc;
	const struct cb_param *p = cb_model_params(s->m, &n);
	int64_t bytes = cb_model_count(s->m) * (int64_t)sizeof(float);
	const float **at = calloc(n, sizeof(*at));
	bool host = s->e->on_host;
	float *w = host ? cb_model_weights(s->m) : cb_alloc(bytes);

	if (w == NULL || at == NULL)
		rc = cb_fail(CB_ENOMEM, "weights");
	else
		rc = cb_checkpoint_load(s->file, p, n, w, host ? at : NULL);
	for (i = 0; rc == 0 && i < n; i++)
		if (at[i] != NULL)
			cb_model_borrow(s->m, i, at[i]);
	if (!host && rc == 0) {
		s->e->put(s->e, cb_model_weights(s->m), w, bytes);
		rc = s->e->sync(s->e);
	}
	if (!host)
		free(w);
	free(at);
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
	    cb_model_new_scoring(&s->m, s->e, &c) < 0)
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

struct cb_engine *
cb_scorer_engine(struct cb_scorer *s)
{
	return cb_model_engine(s->m);
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
		rc = scorer_print(s, b, scores, options, top, to);
	free(scores);
	free((void *)in.counts);
	return rc;
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
		scorer_matches(x, n, C);
		rc = scorer_print_medium(b->media[i].name, x, n, to);
	}
	free(x);
	return rc;
}
