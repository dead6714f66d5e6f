/*
 * cb-import: weights of others, in PyTorch's formats, pickles of detectron2 or
 * safetensors, into one safetensors file under our names; with settings, into
 * a checkpoint.
 */
#include <stdlib.h>
#include <string.h>

#include "train/train.h"

static const char *out, *config, *vocab, *answers, *task;
static bool only_list;

static const struct cb_opt options[] = {
	{ 'l', "list", CB_OPT_FLAG, &only_list, NULL,
	    "print what is in the files, write none", 0, 0 },
	{ 'o', "output", CB_OPT_STR, &out, "FILE",
	    "write this safetensors file", 0, 0 },
	{ 'c', "config", CB_OPT_STR, &config, "FILE",
	    "settings: make a checkpoint for cb-score", 0, 0 },
	{ 'v', "vocab", CB_OPT_STR, &vocab, "FILE",
	    "vocab.txt of the checkpoint", 0, 0 },
	{ 'a', "answers", CB_OPT_STR, &answers, "FILE",
	    "its labels [ans2label_path of the settings]", 0, 0 },
	{ 't', "task", CB_OPT_STR, &task, "TASK",
	    "what it was trained for [task of the settings]", 0, 0 },
	{ 0 }
};

/* What goes into the file; the arrays are of the files that were opened. */
struct result {
	struct cb_tensors **files;
	struct cb_tensor *tensors;
	void **own;		/* memory of changed arrays, mostly NULL */
	int nfiles, n, left_out;
	int64_t room;
	bool asked[3];		/* by kind: such a file was there */
	/* the model that it is for */
	struct cb_param *params;
	bool *have;		/* [nparams] */
	int nparams, missing;
	struct cb_checkpoint about;	/* config NULL: no checkpoint */
};

static int
list(const char *path)
{
	struct cb_tensors *f;
	char shape[128];
	int i;

	if (cb_tensors_open(&f, path) < 0)
		return -1;
	for (i = 0; i < f->n; i++)
		printf("%s\t%s\t%s\n", f->at[i].name,
		    cb_dtype_name(f->at[i].array.type), cb_shape_text(shape,
		    f->at[i].array.rank, f->at[i].array.dim));
	cb_tensors_close(f);
	return 0;
}

/* ---- the model ------------------------------------------------------------ */

static int
load_lists(struct cb_checkpoint *c, const struct cb_settings *s)
{
	const char *path = answers != NULL ? answers : s->ans2label_path;
	struct cb_vocab *v;
	int i;

	if (path[0] != '\0' && cb_answers_load(&c->answers, path) < 0)
		return -1;
	if (cb_vocab_load(&v, vocab) < 0)
		return -1;
	c->vocab = json_array();
	for (i = 0; i < cb_vocab_size(v); i++)
		json_array_append_new(c->vocab,
		    json_string(cb_vocab_token(v, i)));
	cb_vocab_free(v);
	return 0;
}

/*
 * The parameters of the settings' model; without settings those of the
 * full-size one, of which only names are of use, and no head.
 */
static int
model_of(struct result *r)
{
	struct cb_checkpoint *about = &r->about;
	struct cb_model_config c;
	struct cb_settings s;
	json_t *none = json_object();
	int rc;

	rc = config != NULL ? cb_settings_load(&s, config) :
	    cb_settings_parse(&s, none, "defaults");
	json_decref(none);
	if (rc < 0)
		return -1;
	rc = -1;
	if (config != NULL) {
		about->config = cb_settings_json(&s);
		about->task = cb_strf("%s", task != NULL ? task : s.task);
		if (load_lists(about, &s) < 0)
			goto done;
	}
	if (cb_model_config_from(&c, &s, config != NULL ? about->task :
	    "retrieval", (int64_t)json_array_size(about->answers),
	    (int64_t)json_array_size(about->vocab)) < 0) {
		cb_fail_at("%s", config != NULL ? config : "defaults");
		goto done;
	}
	if (cb_model_table(&r->params, &r->nparams, &c) < 0)
		goto done;
	r->have = calloc((size_t)r->nparams + 1, sizeof(*r->have));
	rc = r->have != NULL ? 0 : cb_fail(CB_ENOMEM, "table");
done:
	cb_settings_clear(&s);
	return rc;
}

/* Is it a part that every task has? */
static bool
common(const char *name)
{
	return strncmp(name, "cnn.", 4) == 0 ||
	    strncmp(name, "transformer.bert.", 17) == 0;
}

/* Names what the files should have given, but did not. */
static void
tell_missing(struct result *r)
{
	bool asked;
	int i, k;

	for (i = 0; i < r->nparams; i++) {
		asked = r->about.config != NULL;
		for (k = 0; k < 3 && !asked; k++)
			asked = r->asked[k] && common(r->params[i].name) &&
			    cb_import_asks(k, r->params[i].name);
		if (!asked || r->have[i])
			continue;
		printf("missing\t%s\n", r->params[i].name);
		r->missing++;
	}
}

/* ---- tensors --------------------------------------------------------------- */

static int
grow(struct result *r, int more)
{
	void *tensors, *own;

	r->room += more;
	tensors = realloc(r->tensors, (r->room + 1) * sizeof(*r->tensors));
	if (tensors != NULL)
		r->tensors = tensors;
	own = realloc(r->own, (r->room + 1) * sizeof(*r->own));
	if (own != NULL)
		r->own = own;
	return tensors != NULL && own != NULL ? 0 :
	    cb_fail(CB_ENOMEM, "%d tensors", more);
}

static void
leave_out(struct result *r, const char *what, const char *name,
    const char *why)
{
	printf("%s\t%s\t%s\n", what, name, why);
	r->left_out++;
}

/* The last tensor has a name of ours: is it one of the model?  1; 0; -1. */
static int
place(struct result *r, const char *theirs)
{
	struct cb_tensor *t = &r->tensors[r->n];
	int i = cb_import_place(r->params, r->nparams, t->name);

	if (i >= 0)
		r->have[i] = true;
	if (r->about.config == NULL || i == -2)
		return 1;
	if (i >= 0 && cb_import_fits(&r->params[i], t) == 0)
		return 1;
	if (i < 0)
		leave_out(r, "unexpected", theirs,
		    "not in the model of the settings");
	free((void *)(uintptr_t)t->name);
	free(r->own[r->n]);
	return i < 0 ? 0 : -1;
}

static int
take_one(struct result *r, const struct cb_tensors *f,
    enum cb_import_kind kind, int i)
{
	const char *why, *theirs = f->at[i].name;
	int rc;

	rc = cb_import_take(&r->tensors[r->n], &r->own[r->n], &why, f, kind,
	    i);
	if (rc == 0)
		leave_out(r, why == cb_import_foreign ? "unexpected" :
		    "left out", theirs, why);
	if (rc <= 0)
		return rc;
	if ((rc = place(r, theirs)) <= 0)
		return rc;
	if (strcmp(theirs, r->tensors[r->n].name) == 0)
		printf("taken\t%s\n", theirs);
	else
		printf("renamed\t%s\t%s\n", theirs, r->tensors[r->n].name);
	r->n++;
	return rc;
}

/* Takes what is ours, and says of every tensor what became of it. */
static int
take(struct result *r, const struct cb_tensors *f)
{
	enum cb_import_kind kind;
	int i, before = r->n;

	if (cb_import_guess(&kind, f) < 0 || grow(r, f->n) < 0)
		return -1;
	r->asked[kind] = true;
	for (i = 0; i < f->n; i++)
		if (take_one(r, f, kind, i) < 0)
			return cb_fail_at("%s", f->path);
	return r->n > before ? 0 : cb_fail(CB_EFORMAT, "%s: no weight of ours "
	    "is in it", f->path);
}

/* ---- the file ---------------------------------------------------------------- */

static int
write_file(const struct result *r)
{
	json_t *meta;
	int rc;

	if (r->about.config != NULL && r->missing > 0)
		return cb_fail(CB_EMISSING, "%s: not written: %d weights of "
		    "the model are missing", out, r->missing);
	meta = r->about.config != NULL ? cb_checkpoint_meta(&r->about) :
	    json_pack("{s:s}", "format", "pt");
	rc = cb_safetensors_write(out, r->tensors, r->n, meta);
	json_decref(meta);
	if (rc == 0)
		cb_warn("%s: %d tensors, %d left out, %d missing", out, r->n,
		    r->left_out, r->missing);
	return rc;
}

static void
result_clear(struct result *r)
{
	int i;

	for (i = 0; i < r->n; i++) {
		free((void *)(uintptr_t)r->tensors[i].name);
		free(r->own[i]);
	}
	for (i = 0; i < r->nfiles; i++)
		cb_tensors_close(r->files[i]);
	free(r->tensors);
	free(r->own);
	free(r->files);
	free(r->have);
	cb_model_table_free(r->params, r->nparams);
	cb_checkpoint_clear(&r->about);
}

static int
import(char *const *paths, int n)
{
	struct result r = { .files = calloc(n, sizeof(*r.files)) };
	int i, rc = -1;

	if (r.files == NULL) {
		cb_fail(CB_ENOMEM, "%s", out);
		goto done;
	}
	if (model_of(&r) < 0)
		goto done;
	for (i = 0; i < n; i++) {
		if (cb_tensors_open(&r.files[i], paths[i]) < 0)
			goto done;
		r.nfiles++;
		if (take(&r, r.files[i]) < 0)
			goto done;
	}
	tell_missing(&r);
	rc = write_file(&r);
done:
	result_clear(&r);
	return rc;
}

int
main(int argc, char **argv)
{
	int i, rc = 0;

	i = cb_options(argc, argv, options, "-l file ... | -o file [-c "
	    "settings.json -v vocab.txt] file ...");
	if (i == argc)
		cb_usage("no file is given");
	if (only_list == (out != NULL))
		cb_usage("either -l or -o is needed");
	if ((config == NULL) != (vocab == NULL))
		cb_usage("a checkpoint needs both -c and -v");
	if (config == NULL && (answers != NULL || task != NULL))
		cb_usage("-a and -t go with -c");
	if (!only_list)
		rc = import(argv + i, argc - i);
	for (; only_list && rc == 0 && i < argc; i++)
		rc = list(argv[i]);
	if (rc == 0 && (fflush(stdout) != 0 || ferror(stdout)))
		rc = cb_fail(CB_EIO, "standard output");
	return rc < 0 ? cb_complain() : 0;
}
