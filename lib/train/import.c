/*
 * Weights from files into the arena.  Every file is first read as a list of
 * names, each turned into a name of ours by the rules of its maker; only when all
 * that must fit does fit is anything copied.
 */
#include <stdlib.h>
#include <string.h>

#include "makers.h"

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
find_param(const struct fit *t, const char *name)
{
	return param_named(t->p, t->n, name);
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
		ours = maker_our_name(f, kind, name, &copy);
		k = find_param(t, ours);
		free(ours);
		if ((copy && !tied) || (k < 0 && maker_idle(maker_bare(name))))
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
			if (maker_wanted(kind, t->p[i].name))
				note(&r->missing, r->first_missing,
				    sizeof(r->first_missing), t->p[i].name);
			continue;
		}
		s = &t->f->at[t->from[i]];
		if (!param_fits(&t->p[i], &s->array)) {
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

/* Into the arena; but what is f32 already stays where it is if `at` is there to
 * be told so. */
static void
fit_copy(const struct fit *t, float *w, const float **at)
{
	const struct cb_array *a;
	int i;

	for (i = 0; i < t->n; i++) {
		if (t->from[i] < 0)
			continue;
		a = &t->f->at[t->from[i]].array;
		if (at != NULL && a->type == CB_F32)
			at[i] = a->data;
		else
			cb_array_to_f32(w + t->p[i].at, a);
	}
}

/* ---- a checkpoint as a whole -------------------------------------------------------- */

int
cb_checkpoint_load(const struct cb_safetensors *f, const struct cb_param *p,
    int n, float *w, const float **at)
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
		fit_copy(&t, w, at);
done:
	fit_clear(&t);
	return rc;
}

/* ---- initial weights ----------------------------------------------------------------- */

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
	fit_copy(&t, w, NULL);
	if (kind == CB_IMPORT_RESNET && maker_is_torchvision(f)) {
		stem = find_param(&t, BACKBONE "stem.conv1.weight");
		if (stem >= 0 && t.from[stem] >= 0 && p[stem].rank == 4 &&
		    p[stem].dim[1] == 3)
			maker_turn_stem(w + p[stem].at, p[stem].dim[0],
			    p[stem].dim[2] * p[stem].dim[3]);
		maker_warn(path);
	}
	rc = 0;
done:
	fit_clear(&t);
	cb_tensors_close(f);
	return rc;
}

