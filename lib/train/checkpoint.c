/*
 * Checkpoints: the parameters under ClipBERT's names, and in the metadata all
 * that scoring needs besides: settings, answers, vocabulary.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "train.h"

#define FORMAT "cb-checkpoint 1"
#define STEM "model_step_"
#define ENDING ".safetensors"
#define WORDS "transformer.bert.embeddings.word_embeddings.weight"
#define MLM "transformer.cls.predictions."

void
cb_checkpoint_clear(struct cb_checkpoint *c)
{
	if (c == NULL)
		return;
	json_decref(c->config);
	json_decref(c->answers);
	json_decref(c->vocab);
	json_decref(c->provenance);
	free(c->task);
	memset(c, 0, sizeof(*c));
}

/* ---- writing --------------------------------------------------------------------- */

/* Metadata values are strings; structures go in as JSON text. */
static void
meta_put(json_t *meta, const char *key, const json_t *v)
{
	char *text;

	if (v == NULL || (text = cb_json_exact(v, JSON_COMPACT)) == NULL)
		return;
	json_object_set_new(meta, key, json_string(text));
	free(text);
}

json_t *
cb_checkpoint_meta(const struct cb_checkpoint *c)
{
	json_t *meta = json_object();
	char step[24];

	snprintf(step, sizeof(step), "%lld", (long long)c->step);
	json_object_set_new(meta, "format", json_string(FORMAT));
	json_object_set_new(meta, "step", json_string(step));
	if (c->task != NULL)
		json_object_set_new(meta, "task", json_string(c->task));
	meta_put(meta, "config", c->config);
	meta_put(meta, "answers", c->answers);
	meta_put(meta, "vocab", c->vocab);
	meta_put(meta, "provenance", c->provenance);
	return meta;
}

/* What the file holds: counts are whole there, f32 in the arena. */
struct contents {
	struct cb_tensor *at;
	int64_t	*counts;
	int	 n;
};

static void
add(struct contents *all, const char *name, const struct cb_param *p,
    const float *w)
{
	struct cb_tensor *t = &all->at[all->n];

	t->name = name;
	t->array.type = CB_F32;
	t->array.rank = p->rank;
	memcpy(t->array.dim, p->dim, sizeof(p->dim));
	t->array.data = (void *)(uintptr_t)(w + p->at);
	if (p->rank == 0) {
		all->counts[all->n] = (int64_t)w[p->at];
		t->array.type = CB_I64;
		t->array.data = &all->counts[all->n];
	}
	all->n++;
}

static const struct cb_param *
named(const struct cb_param *p, int n, const char *name)
{
	for (; n > 0; n--, p++)
		if (strcmp(p->name, name) == 0)
			return p;
	return NULL;
}

/* All parameters; of pretraining also the decoder, which is the word embedding
 * and the bias under other names, as in ClipBERT's files (quirk 2). */
static int
contents_init(struct contents *all, const struct cb_param *p, int n,
    const float *w)
{
	const struct cb_param *words = named(p, n, WORDS);
	const struct cb_param *bias = named(p, n, MLM "bias");
	int i;

	memset(all, 0, sizeof(*all));
	all->at = calloc((size_t)n + 2, sizeof(*all->at));
	all->counts = calloc((size_t)n + 2, sizeof(*all->counts));
	if (all->at == NULL || all->counts == NULL)
		return cb_fail(CB_ENOMEM, "checkpoint");
	for (i = 0; i < n; i++)
		add(all, p[i].name, &p[i], w);
	if (words != NULL && bias != NULL) {
		add(all, MLM "decoder.weight", words, w);
		add(all, MLM "decoder.bias", bias, w);
	}
	return 0;
}

static void
contents_clear(struct contents *all)
{
	free(all->at);
	free(all->counts);
}

int
cb_checkpoint_save(const char *run, const struct cb_checkpoint *c,
    const struct cb_param *p, int n, const float *w)
{
	char *dir = cb_strf("%s/ckpt", run), *path;
	struct contents all;
	json_t *meta = NULL;
	int rc = -1;

	path = cb_strf("%s/" STEM "%lld" ENDING, dir, (long long)c->step);
	if (contents_init(&all, p, n, w) < 0)
		goto done;
	meta = cb_checkpoint_meta(c);
	if (cb_mkdirs(dir) == 0)
		rc = cb_safetensors_write(path, all.at, all.n, meta);
done:
	json_decref(meta);
	contents_clear(&all);
	free(path);
	free(dir);
	return rc;
}

/* ---- finding and reading ----------------------------------------------------------- */

/* N of model_step_N.safetensors, -1: another name. */
static long long
step_of(const char *name)
{
	char *end;
	long long n;

	if (strncmp(name, STEM, strlen(STEM)) != 0 ||
	    strspn(name + strlen(STEM), "0123456789") == 0)
		return -1;
	n = strtoll(name + strlen(STEM), &end, 10);
	return strcmp(end, ENDING) == 0 ? n : -1;
}

/* The newest checkpoint of a directory; -1: no such directory, or none in it. */
static long long
newest(const char *dir)
{
	const struct dirent *e;
	long long best = -1, n;
	DIR *d;

	if ((d = opendir(dir)) == NULL)
		return -1;
	while ((e = readdir(d)) != NULL)
		if ((n = step_of(e->d_name)) > best)
			best = n;
	closedir(d);
	return best;
}

/* The file that result.json names the best; NULL: there is none. */
static char *
best_of(const char *run)
{
	char *path = cb_strf("%s/result.json", run), *best = NULL;
	const char *name;
	json_t *r = NULL;

	if (access(path, F_OK) == 0 && cb_json_load(&r, path) == 0) {
		name = json_string_value(json_object_get(json_object_get(r,
		    "best"), "checkpoint"));
		if (name != NULL)
			best = cb_strf("%s/%s", run, name);
	}
	json_decref(r);
	free(path);
	return best;
}

int
cb_checkpoint_find(char **path, const char *run_or_file)
{
	char *dir;
	struct stat st;
	long long n;

	if (stat(run_or_file, &st) < 0)
		return cb_fail(errno == ENOENT ? CB_EMISSING : CB_EIO, "%s%s",
		    run_or_file, errno == ENOENT ? ": no such run or file" :
		    "");
	if (!S_ISDIR(st.st_mode)) {
		*path = cb_strf("%s", run_or_file);
		return 0;
	}
	if ((*path = best_of(run_or_file)) != NULL)
		return 0;
	dir = cb_strf("%s/ckpt", run_or_file);
	if ((n = newest(dir)) < 0) {	/* or the ckpt directory itself */
		free(dir);
		dir = cb_strf("%s", run_or_file);
		n = newest(dir);
	}
	if (n >= 0)
		*path = cb_strf("%s/" STEM "%lld" ENDING, dir, n);
	free(dir);
	return n >= 0 ? 0 : cb_fail(CB_EMISSING, "%s: no checkpoint in it "
	    "(ckpt/" STEM "N" ENDING ")", run_or_file);
}

static int
meta_get(json_t **out, const struct cb_safetensors *f, const char *key)
{
	*out = NULL;
	if (cb_safetensors_meta(f, key) == NULL)
		return 0;
	return cb_safetensors_meta_json(out, f, key);
}

int
cb_checkpoint_open(struct cb_safetensors **f, struct cb_checkpoint *c,
    const char *path)
{
	const char *text;

	memset(c, 0, sizeof(*c));
	if (cb_safetensors_open(f, path) < 0)
		return -1;
	text = cb_safetensors_meta(*f, "format");
	if (text == NULL || strcmp(text, FORMAT) != 0) {
		cb_fail(CB_EFORMAT, "%s: not a checkpoint of cb-train: its "
		    "format is \"%s\", must be \"" FORMAT "\"", path,
		    text != NULL ? text : "");
		goto fail;
	}
	if (cb_safetensors_meta_json(&c->config, *f, "config") < 0 ||
	    meta_get(&c->answers, *f, "answers") < 0 ||
	    meta_get(&c->vocab, *f, "vocab") < 0 ||
	    meta_get(&c->provenance, *f, "provenance") < 0)
		goto fail;
	if (!json_is_object(c->config) ||
	    (c->answers != NULL && !json_is_array(c->answers)) ||
	    (c->vocab != NULL && !json_is_array(c->vocab))) {
		cb_fail(CB_EFORMAT, "%s: metadata: config must be an object, "
		    "answers and vocab lists", path);
		goto fail;
	}
	if ((text = cb_safetensors_meta(*f, "step")) != NULL)
		c->step = strtoll(text, NULL, 10);
	if ((text = cb_safetensors_meta(*f, "task")) != NULL)
		c->task = cb_strf("%s", text);
	return 0;
fail:
	cb_checkpoint_clear(c);
	cb_safetensors_close(*f);
	*f = NULL;
	return -1;
}
