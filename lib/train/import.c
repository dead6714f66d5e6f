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
	const struct cb_safetensors *f;
	const struct cb_param *p;
	int n;
	int *from;
	int *second;		/* [n] from a decoder copy, which wins */
	struct cb_import *report;
};

static int
find_param(const struct fit *t, const char *name)
{
	int i;

	for (i = 0; i < t->n; i++)
		if (strcmp(t->p[i].name, name) == 0)
			return i;
	return -1;
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
is_torchvision(const struct cb_safetensors *f)
{
	return cb_safetensors_find(f, "layer1.0.conv1.weight") != NULL;
}

static char *
our_name(const struct cb_safetensors *f, enum cb_import_kind kind,
    const char *name, bool *copy)
{
	*copy = false;
	switch (kind) {
	case CB_IMPORT_E2E:
		break;
	case CB_IMPORT_BERT:
		return name_bert(name);
	case CB_IMPORT_RESNET:
		return is_torchvision(f) ? name_torchvision(name) :
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
fit_init(struct fit *t, const struct cb_safetensors *f,
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
		return cb_fail(CB_ENOMEM, "%s", cb_safetensors_name(f));
	for (i = 0; i < n; i++)
		t->from[i] = -1;
	tied = find_param(t, MLM "bias") >= 0;
	for (i = 0; i < cb_safetensors_count(f); i++) {
		name = cb_safetensors_at(f, i)->name;
		ours = our_name(f, kind, name, &copy);
		k = find_param(t, ours);
		free(ours);
		if ((copy && !tied) || (k < 0 && idle(name)))
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
		s = cb_safetensors_at(t->f, t->from[i]);
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
			    &cb_safetensors_at(t->f, t->from[i])->array);
}

/* ---- a checkpoint as a whole -------------------------------------------------------- */

int
cb_checkpoint_load(const struct cb_safetensors *f, const struct cb_param *p,
    int n, float *w)
{
	const char *path = cb_safetensors_name(f);
	struct cb_import r;
	struct fit t;
	int rc = -1;

	if (fit_init(&t, f, CB_IMPORT_E2E, p, n, &r) < 0)
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
 * BGR in x - 255 mean: the rest goes into its weights, exactly.
 */
static void
turn_stem(const struct cb_param *p, float *w)
{
	static const float deviation[] = { 0.229f, 0.224f, 0.225f };
	int64_t taps = p->dim[2] * p->dim[3], o, k;
	float *x, red, blue;

	for (o = 0; o < p->dim[0]; o++) {
		x = w + p->at + o * 3 * taps;
		for (k = 0; k < taps; k++) {
			red = x[k] / (255 * deviation[0]);
			blue = x[2 * taps + k] / (255 * deviation[2]);
			x[k] = blue;
			x[taps + k] /= 255 * deviation[1];
			x[2 * taps + k] = red;
		}
	}
}

int
cb_import(struct cb_import *report, enum cb_import_kind kind,
    const char *path, const struct cb_param *p, int n, float *w)
{
	struct cb_safetensors *f;
	struct fit t = { 0 };
	int rc = -1, stem;

	memset(report, 0, sizeof(*report));
	if (cb_safetensors_open(&f, path) < 0)
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
		    cb_safetensors_count(f) > 0 ?
		    cb_safetensors_at(f, 0)->name : "absent");
		goto done;
	}
	fit_copy(&t, w);
	if (kind == CB_IMPORT_RESNET && is_torchvision(f)) {
		stem = find_param(&t, BACKBONE "stem.conv1.weight");
		if (stem >= 0 && t.from[stem] >= 0 && p[stem].rank == 4 &&
		    p[stem].dim[1] == 3)
			turn_stem(&p[stem], w);
		cb_warn("%s: a torchvision ResNet: its stride is in the 3x3 "
		    "convolutions, ours in the first 1x1; features differ until "
		    "trained", path);
	}
	rc = 0;
done:
	fit_clear(&t);
	cb_safetensors_close(f);
	return rc;
}
