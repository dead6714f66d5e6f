/*
 * Weights from files into the arena.  Every file is first read as a list of
 * names, each turned into a name of ours by the rules of its maker; only when all
 * that must fit does fit is anything copied.
 */
#include <stdlib.h>
#include <string.h>

#include "train.h"

#define BACKBONE "cnn.feature.backbone."
#define WORDS "transformer.bert.embeddings.word_embeddings.weight"
#define MLM "transformer.cls.predictions."

/* Which tensor of the file each parameter takes: index, or -1. */
struct fit {
	const struct cb_tensors *f;
	const struct cb_param *p;
	int n;
	int *from;
	int *second;		/* [n] from a decoder copy, which wins */
	struct cb_import *report;
};

static int
param_named(const struct cb_param *p, int n, const char *name)
{
	int i;

	for (i = 0; i < n; i++)
		if (strcmp(p[i].name, name) == 0)
			return i;
	return -1;
}

static int
find_param(const struct fit *t, const char *name)
{
	return param_named(t->p, t->n, name);
}

static bool
starts(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

static bool
ends(const char *text, const char *with)
{
	size_t n = strlen(text), k = strlen(with);

	return n >= k && strcmp(text + n - k, with) == 0;
}

/* ---- names ----------------------------------------------------------------------- */

/* DataParallel puts "module." before every name. */
static const char *
bare(const char *name)
{
	return starts(name, "module.") ? name + 7 : name;
}

/* Known, and of no use to any model of ours: the detector (quirk 1), counters. */
static bool
idle(const char *name)
{
	return starts(name, "cnn.feature.proposal_generator.") ||
	    starts(name, "cnn.feature.roi_heads.") ||
	    starts(name, "proposal_generator.") ||
	    starts(name, "roi_heads.") ||
	    ends(name, "position_ids") || ends(name, "num_batches_tracked");
}

/* A ClipBERT name.  The decoder is another name of two other tensors (quirk 2). */
static char *
name_e2e(const char *name, bool *copy)
{
	*copy = true;
	if (strcmp(name, MLM "decoder.weight") == 0)
		return cb_strf(WORDS);
	if (strcmp(name, MLM "decoder.bias") == 0)
		return cb_strf(MLM "bias");
	*copy = false;
	return cb_strf("%s", name);
}

/* "bert.encoder..." or "encoder..."; LayerNorm.gamma of old files. */
static char *
name_bert(const char *name)
{
	const char *rest = starts(name, "bert.") ? name + 5 : name;
	int n = (int)strlen(rest);

	if (starts(rest, "cls."))
		return cb_strf("transformer.%s", rest);
	if (ends(rest, ".gamma"))
		return cb_strf("transformer.bert.%.*s.weight", n - 6, rest);
	if (ends(rest, ".beta"))
		return cb_strf("transformer.bert.%.*s.bias", n - 5, rest);
	return cb_strf("transformer.bert.%s", rest);
}

/* "layer1.0.bn2.weight": stage 2, block 0, the norm of conv2. */
static char *
name_torchvision(const char *name)
{
	int stage, block, k, at = 0;

	if (strcmp(name, "conv1.weight") == 0)
		return cb_strf(BACKBONE "stem.conv1.weight");
	if (starts(name, "bn1."))
		return cb_strf(BACKBONE "stem.conv1.norm.%s", name + 4);
	if (sscanf(name, "layer%d.%d.%n", &stage, &block, &at) != 2 || at == 0)
		return cb_strf("%s", name);
	name += at;
	if (starts(name, "downsample.0."))
		return cb_strf(BACKBONE "res%d.%d.shortcut.%s", stage + 1,
		    block, name + 13);
	if (starts(name, "downsample.1."))
		return cb_strf(BACKBONE "res%d.%d.shortcut.norm.%s", stage + 1,
		    block, name + 13);
	at = 0;
	if (sscanf(name, "bn%d.%n", &k, &at) == 1 && at > 0)
		return cb_strf(BACKBONE "res%d.%d.conv%d.norm.%s", stage + 1,
		    block, k, name + at);
	return cb_strf(BACKBONE "res%d.%d.%s", stage + 1, block, name);
}

static char *
name_detectron2(const char *name)
{
	if (starts(name, "backbone."))
		return cb_strf("cnn.feature.%s", name);
	if (starts(name, "stem.") || starts(name, "res"))
		return cb_strf(BACKBONE "%s", name);
	return cb_strf("%s", name);
}

static bool
has(const struct cb_tensors *f, const char *name)
{
	int i;

	for (i = 0; i < f->n; i++)
		if (strcmp(bare(f->at[i].name), name) == 0)
			return true;
	return false;
}

static bool
is_torchvision(const struct cb_tensors *f)
{
	return has(f, "layer1.0.conv1.weight");
}

/*
 * Caffe2, as detectron2's R-50.pkl of MSRA has it: "res2_0_branch2a_bn_s" is the
 * gain of the norm of conv1.  Its norms have no mean and variance, which is as
 * good as 0 and 1: what ours begin with.
 */
static char *
name_caffe2(const char *name)
{
	static const char *const conv[] = { "shortcut", "conv1", "conv2",
	    "conv3" };
	static const char *const ends_in[][2] = { { "_w", "weight" },
	    { "_bn_s", "norm.weight" }, { "_bn_b", "norm.bias" },
	    { "_bn_rm", "norm.running_mean" }, { "_bn_riv", "norm.running_var" } };
	int stage, block, at = 0, branch;
	char letter = '\0';
	size_t i;

	if (starts(name, "conv1_") || starts(name, "res_conv1_")) {
		name = strstr(name, "conv1_") + 5;
		for (i = 0; i < CB_LEN(ends_in); i++)
			if (strcmp(name, ends_in[i][0]) == 0)
				return cb_strf(BACKBONE "stem.conv1.%s",
				    ends_in[i][1]);
		return cb_strf("%s", name);
	}
	if (sscanf(name, "res%1d_%2d_branch%1d%n", &stage, &block, &branch,
	    &at) != 3 || at == 0)
		return cb_strf("%s", name);
	if (branch == 2)
		letter = name[at++];
	if (branch == 2 ? letter < 'a' || letter > 'c' : branch != 1)
		return cb_strf("%s", name);
	for (i = 0; i < CB_LEN(ends_in); i++)
		if (strcmp(name + at, ends_in[i][0]) == 0)
			return cb_strf(BACKBONE "res%d.%d.%s.%s", stage, block,
			    conv[branch == 1 ? 0 : letter - 'a' + 1],
			    ends_in[i][1]);
	return cb_strf("%s", name);
}

static char *
our_name(const struct cb_tensors *f, enum cb_import_kind kind,
    const char *name, bool *copy)
{
	name = bare(name);
	*copy = false;
	switch (kind) {
	case CB_IMPORT_E2E:
		break;
	case CB_IMPORT_BERT:
		return name_bert(name);
	case CB_IMPORT_RESNET:
		return is_torchvision(f) ? name_torchvision(name) :
		    has(f, "conv1_w") ? name_caffe2(name) :
		    name_detectron2(name);
	}
	return name_e2e(name, copy);
}

/* The parameters that a file of this kind is asked for. */
static bool
wanted(enum cb_import_kind kind, const char *name)
{
	switch (kind) {
	case CB_IMPORT_E2E:
		break;
	case CB_IMPORT_BERT:
		return starts(name, "transformer.bert.") &&
		    !starts(name, "transformer.bert.visual_embeddings.");
	case CB_IMPORT_RESNET:
		return starts(name, BACKBONE);
	}
	return true;
}

/* ---- fitting ----------------------------------------------------------------------- */

static void
fit_clear(struct fit *t)
{
	free(t->from);
	free(t->second);
}

static void
note(int *count, char *first, size_t room, const char *text)
{
	if ((*count)++ == 0)
		snprintf(first, room, "%s", text);
}

static bool
same_shape(const struct cb_param *p, const struct cb_array *a)
{
	return p->rank == a->rank && (p->rank == 0 ||
	    memcmp(p->dim, a->dim, sizeof(*p->dim) * p->rank) == 0);
}

/* Where the tensors of the file belong; what belongs nowhere is counted. */
static int
fit_init(struct fit *t, const struct cb_tensors *f,
    enum cb_import_kind kind, const struct cb_param *p, int n,
    struct cb_import *report)
{
	const char *name;
	char *ours;
	bool copy, tied;
	int i, k;

	memset(report, 0, sizeof(*report));
	*t = (struct fit){ .f = f, .p = p, .n = n, .report = report };
	t->from = malloc(sizeof(*t->from) * ((size_t)n + 1));
	t->second = calloc((size_t)n + 1, sizeof(*t->second));
	if (t->from == NULL || t->second == NULL)
		return cb_fail(CB_ENOMEM, "%s", f->path);
	for (i = 0; i < n; i++)
		t->from[i] = -1;
	tied = find_param(t, MLM "bias") >= 0;
	for (i = 0; i < f->n; i++) {
		name = f->at[i].name;
		ours = our_name(f, kind, name, &copy);
		k = find_param(t, ours);
		free(ours);
		if ((copy && !tied) || (k < 0 && idle(bare(name))))
			continue;
		if (k < 0) {
			note(&report->unexpected, report->first_unexpected,
			    sizeof(report->first_unexpected), name);
		} else if (copy || !t->second[k]) {
			t->from[k] = i;
			t->second[k] = copy;
		}
	}
	return 0;
}

/* Counts what is missing and what has another shape; that is dropped. */
static void
fit_check(struct fit *t, enum cb_import_kind kind)
{
	struct cb_import *r = t->report;
	const struct cb_tensor *s;
	char is[128], must[128], text[384];
	int i;

	for (i = 0; i < t->n; i++) {
		if (t->from[i] < 0) {
			if (wanted(kind, t->p[i].name))
				note(&r->missing, r->first_missing,
				    sizeof(r->first_missing), t->p[i].name);
			continue;
		}
		s = &t->f->at[t->from[i]];
		if (!same_shape(&t->p[i], &s->array)) {
			snprintf(text, sizeof(text), "%s: shape is %s, must be "
			    "%s", s->name, cb_shape_text(is, s->array.rank,
			    s->array.dim), cb_shape_text(must, t->p[i].rank,
			    t->p[i].dim));
			note(&r->misfit, r->first_misfit,
			    sizeof(r->first_misfit), text);
			t->from[i] = -1;
			continue;
		}
		r->taken++;
	}
}

static void
fit_copy(const struct fit *t, float *w)
{
	int i;

	for (i = 0; i < t->n; i++)
		if (t->from[i] >= 0)
			cb_array_to_f32(w + t->p[i].at,
			    &t->f->at[t->from[i]].array);
}

/* ---- a checkpoint as a whole -------------------------------------------------------- */

int
cb_checkpoint_load(const struct cb_safetensors *f, const struct cb_param *p,
    int n, float *w)
{
	const char *path = cb_safetensors_name(f);
	struct cb_tensors all;
	struct cb_import r;
	struct fit t;
	int rc = -1;

	cb_tensors_view(&all, f);
	if (fit_init(&t, &all, CB_IMPORT_E2E, p, n, &r) < 0)
		goto done;
	fit_check(&t, CB_IMPORT_E2E);
	if (r.misfit > 0)
		cb_fail(CB_EFORMAT, "%s: %s (%d such)", path, r.first_misfit,
		    r.misfit);
	else if (r.missing > 0)
		cb_fail(CB_EMISSING, "%s: no tensor %s (%d missing)", path,
		    r.first_missing, r.missing);
	else if (r.unexpected > 0)
		cb_fail(CB_EFORMAT, "%s: %s is not of this model (%d such)",
		    path, r.first_unexpected, r.unexpected);
	else
		rc = 0;
	if (rc == 0)
		fit_copy(&t, w);
done:
	fit_clear(&t);
	return rc;
}

/* ---- initial weights ----------------------------------------------------------------- */

/*
 * torchvision's first convolution sees RGB in (x / 255 - mean) / deviation, ours
 * BGR in x - 255 mean: the rest goes into its weights [O,3,taps], exactly.
 */
static void
turn_stem(float *x, int64_t O, int64_t taps)
{
	static const float deviation[] = { 0.229f, 0.224f, 0.225f };
	float red, blue;
	int64_t o, k;

	for (o = 0; o < O; o++, x += 3 * taps) {
		for (k = 0; k < taps; k++) {
			red = x[k] / (255 * deviation[0]);
			blue = x[2 * taps + k] / (255 * deviation[2]);
			x[k] = blue;
			x[taps + k] /= 255 * deviation[1];
			x[2 * taps + k] = red;
		}
	}
}

static void
warn_torchvision(const char *path)
{
	cb_warn("%s: a torchvision ResNet: its stride is in the 3x3 "
	    "convolutions, ours in the first 1x1; features differ until "
	    "trained", path);
}

int
cb_import(struct cb_import *report, enum cb_import_kind kind,
    const char *path, const struct cb_param *p, int n, float *w)
{
	struct cb_tensors *f;
	struct fit t = { 0 };
	int rc = -1, stem;

	memset(report, 0, sizeof(*report));
	if (cb_tensors_open(&f, path) < 0)
		return -1;
	if (fit_init(&t, f, kind, p, n, report) < 0)
		goto done;
	fit_check(&t, kind);
	if (kind != CB_IMPORT_E2E && report->misfit > 0) {
		cb_fail(CB_EFORMAT, "%s: %s", path, report->first_misfit);
		goto done;
	}
	if (report->taken == 0) {
		cb_fail(CB_EFORMAT, "%s: nothing in it is a weight of %s; its "
		    "first name is %s", path, kind == CB_IMPORT_BERT ? "BERT" :
		    kind == CB_IMPORT_RESNET ? "a ResNet" : "ClipBERT",
		    f->n > 0 ? f->at[0].name : "absent");
		goto done;
	}
	fit_copy(&t, w);
	if (kind == CB_IMPORT_RESNET && is_torchvision(f)) {
		stem = find_param(&t, BACKBONE "stem.conv1.weight");
		if (stem >= 0 && t.from[stem] >= 0 && p[stem].rank == 4 &&
		    p[stem].dim[1] == 3)
			turn_stem(w + p[stem].at, p[stem].dim[0],
			    p[stem].dim[2] * p[stem].dim[3]);
		warn_torchvision(path);
	}
	rc = 0;
done:
	fit_clear(&t);
	cb_tensors_close(f);
	return rc;
}

/* ---- files under our names --------------------------------------------------------- */

int
cb_import_guess(enum cb_import_kind *out, const struct cb_tensors *f)
{
	const char *name;
	bool bert = false, resnet = false;
	int i;

	for (i = 0; i < f->n; i++) {
		name = bare(f->at[i].name);
		if (starts(name, "transformer.") || starts(name, "cnn.")) {
			*out = CB_IMPORT_E2E;
			return 0;
		}
		bert |= ends(name, "embeddings.word_embeddings.weight");
		resnet |= starts(name, "backbone.") || starts(name, "stem.") ||
		    starts(name, "res2") || starts(name, "layer1.");
	}
	if (!bert && !resnet)
		return cb_fail(CB_EFORMAT, "%s: neither ClipBERT nor BERT nor a "
		    "ResNet: %d tensors, the first is %s", f->path, f->n,
		    f->n > 0 ? f->at[0].name : "absent");
	*out = bert ? CB_IMPORT_BERT : CB_IMPORT_RESNET;
	return 0;
}

const char cb_import_foreign[] = "not a weight of ours";

/* Is it a name of a part that this kind of file is for? */
static bool
ours(enum cb_import_kind kind, const char *name)
{
	const char *rest;

	switch (kind) {
	case CB_IMPORT_E2E:
		break;
	case CB_IMPORT_BERT:
		return starts(name, "transformer.bert.embeddings.") ||
		    starts(name, "transformer.bert.encoder.") ||
		    starts(name, "transformer.bert.pooler.") ||
		    starts(name, "transformer.cls.");
	case CB_IMPORT_RESNET:
		rest = name + strlen(BACKBONE);
		return starts(name, BACKBONE) && (starts(rest, "stem.conv1.") ||
		    (starts(rest, "res") && rest[3] >= '2' && rest[3] <= '5'));
	}
	return starts(name, "transformer.") || starts(name, "cnn.");
}

/* The first convolution of a torchvision file, turned, in *own. */
static int
own_stem(struct cb_tensor *to, void **own, const struct cb_array *from)
{
	int64_t count = cb_array_count(from);

	if ((*own = cb_alloc(count * (int64_t)sizeof(float))) == NULL)
		return cb_fail(CB_ENOMEM, "%s", to->name);
	cb_array_to_f32(*own, from);
	turn_stem(*own, from->dim[0], from->dim[2] * from->dim[3]);
	to->array.type = CB_F32;
	to->array.data = *own;
	return 0;
}

int
cb_import_take(struct cb_tensor *out, void **own, const char **why,
    const struct cb_tensors *f, enum cb_import_kind kind, int i)
{
	const char *theirs = bare(f->at[i].name);
	bool copy;
	char *name;

	*own = NULL;
	*why = NULL;
	if (idle(theirs) && !starts(theirs, "transformer.regressor."))
		*why = "of no use here";
	else if (kind == CB_IMPORT_BERT &&
	    starts(theirs, "cls.predictions.decoder."))
		*why = "a copy of another";
	name = our_name(f, kind, f->at[i].name, &copy);
	if (copy) {		/* the reader knows that copies win */
		free(name);
		name = cb_strf("%s", theirs);
	}
	if (*why == NULL && !ours(kind, name))
		*why = cb_import_foreign;
	if (*why != NULL) {
		free(name);
		return 0;
	}
	out->name = name;
	out->array = f->at[i].array;
	if (kind == CB_IMPORT_RESNET && is_torchvision(f) &&
	    strcmp(name, BACKBONE "stem.conv1.weight") == 0) {
		if (out->array.rank != 4 || out->array.dim[1] != 3) {
			*why = "not a convolution of RGB";
			free(name);
			return 0;
		}
		if (own_stem(out, own, &f->at[i].array) < 0) {
			free(name);
			return -1;
		}
		warn_torchvision(f->path);
	}
	return 1;
}

/* ---- what a model has and the files have not ---------------------------------------- */

int
cb_import_place(const struct cb_param *p, int n, const char *name)
{
	bool copy;
	char *is = name_e2e(name, &copy);
	int i = param_named(p, n, is);

	free(is);
	return copy ? -2 : i;
}

bool
cb_import_asks(enum cb_import_kind kind, const char *name)
{
	return wanted(kind, name);
}

int
cb_import_fits(const struct cb_param *p, const struct cb_tensor *t)
{
	char is[128], must[128];

	if (same_shape(p, &t->array))
		return 0;
	return cb_fail(CB_EFORMAT, "%s: shape is %s, must be %s", t->name,
	    cb_shape_text(is, t->array.rank, t->array.dim),
	    cb_shape_text(must, p->rank, p->dim));
}
