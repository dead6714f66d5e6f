/*
 * What the makers of weights call them, and what we do; and the one convolution
 * that must be changed besides.
 */
#include <stdlib.h>
#include <string.h>

#include "makers.h"

/* DataParallel puts "module." before every name. */
const char *
maker_bare(const char *name)
{
	return starts(name, "module.") ? name + 7 : name;
}

/* Of no use to any model of ours: the detector (quirk 1), counters. */
bool
maker_idle(const char *name)
{
	return starts(name, "cnn.feature.proposal_generator.") ||
	    starts(name, "cnn.feature.roi_heads.") ||
	    starts(name, "proposal_generator.") ||
	    starts(name, "roi_heads.") ||
	    ends(name, "position_ids") || ends(name, "num_batches_tracked");
}

/* A ClipBERT name.  The decoder is two other tensors again (quirk 2). */
char *
maker_e2e(const char *name, bool *copy)
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
		if (strcmp(maker_bare(f->at[i].name), name) == 0)
			return true;
	return false;
}

bool
maker_is_torchvision(const struct cb_tensors *f)
{
	return f->torchvision || has(f, "layer1.0.conv1.weight");
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

char *
maker_our_name(const struct cb_tensors *f, enum cb_import_kind kind,
    const char *name, bool *copy)
{
	name = maker_bare(name);
	*copy = false;
	switch (kind) {
	case CB_IMPORT_E2E:
		break;
	case CB_IMPORT_BERT:
		return name_bert(name);
	case CB_IMPORT_RESNET:
		return has(f, "layer1.0.conv1.weight") ?
		    name_torchvision(name) :
		    has(f, "conv1_w") ? name_caffe2(name) :
		    name_detectron2(name);
	}
	return maker_e2e(name, copy);
}

/* The parameters that a file of this kind is asked for. */
bool
maker_wanted(enum cb_import_kind kind, const char *name)
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

/*
 * torchvision's first convolution sees RGB in (x / 255 - mean) / deviation, ours
 * BGR in x - 255 mean: the rest goes into its weights [O,3,taps], exactly.
 */
void
maker_turn_stem(float *x, int64_t O, int64_t taps)
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

void
maker_warn(const char *path)
{
	cb_warn("%s: a torchvision ResNet: its stride is in the 3x3 "
	    "convolutions, ours in the first 1x1; features differ until "
	    "trained", path);
}

/* ---- parameters --------------------------------------------------------- */

int
param_named(const struct cb_param *p, int n, const char *name)
{
	int i;

	for (i = 0; i < n; i++)
		if (strcmp(p[i].name, name) == 0)
			return i;
	return -1;
}

bool
param_fits(const struct cb_param *p, const struct cb_array *a)
{
	return p->rank == a->rank && (p->rank == 0 ||
	    memcmp(p->dim, a->dim, sizeof(*p->dim) * p->rank) == 0);
}
