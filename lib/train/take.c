/*
 * Tensors of files under our names, for cb-import: those that are weights of
 * ours, and how they fit a model.
 */
#include <stdlib.h>
#include <string.h>

#include "makers.h"

int
cb_import_guess(enum cb_import_kind *out, const struct cb_tensors *f)
{
	const char *name;
	bool bert = false, resnet = false;
	int i;

	for (i = 0; i < f->n; i++) {
		name = maker_bare(f->at[i].name);
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
	maker_turn_stem(*own, from->dim[0], from->dim[2] * from->dim[3]);
	to->array.type = CB_F32;
	to->array.data = *own;
	return 0;
}

int
cb_import_take(struct cb_tensor *out, void **own, const char **why,
    const struct cb_tensors *f, enum cb_import_kind kind, int i)
{
	const char *theirs = maker_bare(f->at[i].name);
	bool copy;
	char *name;

	*own = NULL;
	*why = NULL;
	if (maker_idle(theirs) && !starts(theirs, "transformer.regressor."))
		*why = "of no use here";
	else if (kind == CB_IMPORT_BERT &&
	    starts(theirs, "cls.predictions.decoder."))
		*why = "a copy of another";
	name = maker_our_name(f, kind, f->at[i].name, &copy);
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
	if (kind == CB_IMPORT_RESNET && maker_is_torchvision(f) &&
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
		maker_warn(f->path);
	}
	return 1;
}

/* ---- what a model has and the files have not ---------------------------------------- */

int
cb_import_place(const struct cb_param *p, int n, const char *name)
{
	bool copy;
	char *is = maker_e2e(name, &copy);
	int i = param_named(p, n, is);

	free(is);
	return copy ? -2 : i;
}

bool
cb_import_asks(enum cb_import_kind kind, const char *name)
{
	return maker_wanted(kind, name);
}

int
cb_import_fits(const struct cb_param *p, const struct cb_tensor *t)
{
	char is[128], must[128];

	if (param_fits(p, &t->array))
		return 0;
	return cb_fail(CB_EFORMAT, "%s: shape is %s, must be %s", t->name,
	    cb_shape_text(is, t->array.rank, t->array.dim),
	    cb_shape_text(must, p->rank, p->dim));
}
