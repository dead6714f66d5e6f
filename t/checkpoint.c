/* Checkpoints are found, read and refused; initial weights of other makers. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tap.h"
#include "train/train.h"

#define BB "cnn.feature.backbone."
#define EMB "transformer.bert.embeddings."

static struct cb_param table[] = {
	{ BB "stem.conv1.weight", 4, { 1, 3, 1, 2 }, 0, 6, true, false },
	{ BB "stem.conv1.norm.running_mean", 1, { 1 }, 6, 1, false, true },
	{ BB "res2.0.shortcut.weight", 4, { 2, 1, 1, 1 }, 7, 2, true, false },
	{ BB "res2.0.shortcut.norm.bias", 1, { 2 }, 9, 2, false, true },
	{ BB "res3.1.conv2.weight", 4, { 1, 1, 1, 1 }, 11, 1, true, false },
	{ BB "res3.1.conv2.norm.weight", 1, { 1 }, 12, 1, false, true },
	{ EMB "word_embeddings.weight", 2, { 3, 2 }, 13, 6, true, false },
	{ EMB "LayerNorm.weight", 1, { 2 }, 19, 2, true, false },
	{ EMB "LayerNorm.bias", 1, { 2 }, 21, 2, true, false },
	{ "transformer.bert.visual_embeddings.LayerNorm.bias", 1, { 2 }, 23, 2,
	    true, false },
	{ "transformer.classifier.2.weight", 2, { 2, 2 }, 25, 4, true, false },
	{ "transformer.cls.predictions.bias", 1, { 3 }, 29, 3, true, false },
};
#define PLAIN (CB_LEN(table) - 1)	/* without the last */
#define FLOATS 32

static float w[FLOATS];

static void
clear(void)
{
	memset(w, 0, sizeof(w));
}

/* A file of f32 tensors: value i of a tensor is its base + i. */
struct row {
	const char *name;
	int rank;
	int64_t dim[4];
	float base;
};

static void
make(const char *path, const struct row *r, int n, json_t *meta)
{
	struct cb_tensor t[32] = { { 0 } };
	int64_t k, count;
	int i;

	for (i = 0; i < n; i++) {
		t[i].name = r[i].name;
		if (cb_array_init(&t[i].array, CB_F32, r[i].rank, r[i].dim) < 0)
			abort();
		count = cb_array_count(&t[i].array);
		for (k = 0; k < count; k++)
			((float *)t[i].array.data)[k] = r[i].base + (float)k;
	}
	if (cb_safetensors_write(path, t, n, meta) < 0)
		abort();
	for (i = 0; i < n; i++)
		cb_array_clear(&t[i].array);
	json_decref(meta);
}

/* ---- our own ---------------------------------------------------------------------- */

static void
own(void)
{
	struct cb_checkpoint c = { .task = "open_qa", .step = 9 }, back;
	struct cb_safetensors *f = NULL;
	char *path;
	const float *at[PLAIN] = { NULL };
	bool same = true, inplace = true;
	float was[FLOATS];
	int i;

	c.config = json_pack("{s:f}", "learning_rate", 0.1);
	c.answers = json_pack("[s, s]", "yes", "no");
	c.vocab = json_pack("[s]", "[PAD]");
	for (i = 0; i < FLOATS; i++)
		was[i] = w[i] = (float)i / 3;
	ok(cb_checkpoint_find(&path, "run") < 0, "no run: %s", cb_error());
	ok(cb_mkdirs("run") == 0 && cb_checkpoint_find(&path, "run") < 0,
	    "nothing in it: %s", cb_error());
	ok(cb_checkpoint_save("run", &c, table, PLAIN, w) == 0,
	    "saved");
	c.step = 10;
	ok(cb_checkpoint_save("run", &c, table, PLAIN, w) == 0, "and again");
	for (i = 1; i < 9; i++) {
		path = cb_strf("run/ckpt/model_step_%d.safetensors%s", i,
		    i == 8 ? ".new" : "");
		fclose(fopen(path, "w"));
		free(path);
	}
	ok(cb_checkpoint_find(&path, "run") == 0 && strcmp(path,
	    "run/ckpt/model_step_10.safetensors") == 0, "the newest is found");
	ok(cb_checkpoint_open(&f, &back, path) == 0 && back.step == 10 &&
	    strcmp(back.task, "open_qa") == 0 &&
	    json_equal(back.config, c.config) &&
	    json_equal(back.answers, c.answers) &&
	    json_equal(back.vocab, c.vocab) && back.provenance == NULL,
	    "says of itself what it was told");
	clear();
	ok(cb_checkpoint_load(f, table, PLAIN, w, NULL) == 0, "loads");
	for (i = 0; i < 29; i++)
		same = same && w[i] == was[i];
	ok(same, "every value");
	clear();
	ok(cb_checkpoint_load(f, table, PLAIN, w, at) == 0, "loads in place");
	for (i = 0; i < (int)PLAIN; i++)
		inplace = inplace && (at[i] == NULL ? table[i].rank == 0 :
		    memcmp(at[i], was + table[i].at, table[i].count *
		    sizeof(*w)) == 0 && w[table[i].at] == 0);
	ok(inplace, "what is f32 stays in the file");
	table[6].dim[0] = 4;
	ok(cb_checkpoint_load(f, table, PLAIN, w, NULL) < 0 && strcmp(cb_error(),
	    "run/ckpt/model_step_10.safetensors: " EMB "word_embeddings.weight:"
	    " shape is [3, 2], must be [4, 2] (1 such)") == 0,
	    "a tensor that does not fit: %s", cb_error());
	table[6].dim[0] = 3;
	ok(cb_checkpoint_load(f, table, CB_LEN(table), w, NULL) < 0,
	    "one that is missing: %s", cb_error());
	ok(cb_checkpoint_load(f, table, PLAIN - 1, w, NULL) < 0,
	    "one too many: %s", cb_error());
	free(path);
	ok(cb_checkpoint_find(&path, "run/ckpt") == 0 && strcmp(path,
	    "run/ckpt/model_step_10.safetensors") == 0, "by its directory");
	free(path);
	cb_checkpoint_clear(&back);
	cb_safetensors_close(f);
	json_decref(c.config);
	json_decref(c.answers);
	json_decref(c.vocab);
}

static void
foreign(void)
{
	static const struct row rows[] = {
		{ EMB "word_embeddings.weight", 2, { 3, 2 }, 10 },
		{ "transformer.cls.predictions.decoder.bias", 1, { 3 }, 30 },
		{ "transformer.cls.predictions.bias", 1, { 3 }, 20 },
		{ "transformer.cls.predictions.decoder.weight", 2, { 3, 2 },
		    40 },
		{ "cnn.feature.roi_heads.box_head.fc1.weight", 1, { 1 }, 0 },
		{ EMB "position_ids", 1, { 2 }, 0 },
	};
	struct cb_param pretraining[] = { table[6], table[11] };
	struct cb_safetensors *f;
	struct cb_checkpoint c;

	make("own.st", rows, CB_LEN(rows), NULL);
	if (cb_safetensors_open(&f, "own.st") < 0)
		abort();
	clear();
	ok(cb_checkpoint_load(f, pretraining, 2, w, NULL) == 0 && w[13] == 40 &&
	    w[18] == 45 && w[29] == 30,
	    "copies of the decoder win, the detector is passed over");
	cb_safetensors_close(f);
	ok(cb_checkpoint_open(&f, &c, "own.st") < 0,
	    "not a checkpoint of ours: %s", cb_error());
}

/* Our own of a pretrained model, and of one that counts. */
static void
heads(void)
{
	struct cb_param p[] = { table[6], table[11],
		{ "transformer.regressor.2.num_batches_tracked", 0, { 0 }, 0, 1,
		    false, true } };
	struct cb_checkpoint c = { .config = json_object() };
	struct cb_safetensors *f;
	const struct cb_array *words, *bias, *count;
	int i;

	for (i = 0; i < FLOATS; i++)
		w[i] = (float)(i + 700);
	if (cb_checkpoint_save("heads", &c, p, 3, w) < 0 ||
	    cb_safetensors_open(&f, "heads/ckpt/model_step_0.safetensors") < 0)
		abort();
	words = cb_safetensors_find(f,
	    "transformer.cls.predictions.decoder.weight");
	bias = cb_safetensors_find(f,
	    "transformer.cls.predictions.decoder.bias");
	count = cb_safetensors_find(f, p[2].name);
	ok(words != NULL && words->rank == 2 && words->dim[0] == 3 &&
	    memcmp(words->data, w + 13, 24) == 0 && bias != NULL &&
	    bias->rank == 1 && memcmp(bias->data, w + 29, 12) == 0 &&
	    cb_safetensors_count(f) == 5, "the decoder is written again");
	ok(count != NULL && count->type == CB_I64 && count->rank == 0 &&
	    *(int64_t *)count->data == 700, "a count is I64");
	clear();
	ok(cb_checkpoint_load(f, p, 3, w, NULL) == 0 && w[0] == 700 &&
	    w[13] == 713 && w[31] == 731, "and all come back");
	cb_safetensors_close(f);
	json_decref(c.config);
}

/* ---- initial weights ------------------------------------------------------------------ */

static void
bert(void)
{
	static const struct row old[] = {
		{ "bert.embeddings.word_embeddings.weight", 2, { 3, 2 }, 10 },
		{ "bert.embeddings.LayerNorm.gamma", 1, { 2 }, 20 },
		{ "bert.embeddings.LayerNorm.beta", 1, { 2 }, 30 },
		{ "bert.embeddings.position_ids", 1, { 5 }, 0 },
		{ "cls.predictions.decoder.weight", 2, { 3, 2 }, 40 },
	}, bare[] = {
		{ "embeddings.word_embeddings.weight", 2, { 3, 2 }, 11 },
		{ "embeddings.LayerNorm.weight", 1, { 2 }, 21 },
	}, wrong[] = {
		{ "bert.embeddings.LayerNorm.weight", 1, { 2 }, 21 },
		{ "bert.embeddings.word_embeddings.weight", 2, { 4, 2 }, 11 },
	};
	struct cb_import r;
	int rc;

	make("bert.st", old, CB_LEN(old), NULL);
	make("bare.st", bare, CB_LEN(bare), NULL);
	make("wrong.st", wrong, CB_LEN(wrong), NULL);
	clear();
	rc = cb_import(&r, CB_IMPORT_BERT, "bert.st", table, PLAIN, w);
	ok(rc == 0 &&
	    r.taken == 3 && r.missing == 0 && r.unexpected == 1 &&
	    strcmp(r.first_unexpected, "cls.predictions.decoder.weight") == 0,
	    "BERT with prefix: %d taken, %d missing, %d unexpected", r.taken,
	    r.missing, r.unexpected);
	ok(w[13] == 10 && w[18] == 15 && w[19] == 20 && w[21] == 30 &&
	    w[23] == 0 && w[0] == 0, "gamma and beta; nothing else is touched");
	rc = cb_import(&r, CB_IMPORT_BERT, "bare.st", table, PLAIN, w);
	ok(rc == 0 &&
	    r.taken == 2 && r.missing == 1 && w[13] == 11 &&
	    strcmp(r.first_missing, EMB "LayerNorm.bias") == 0,
	    "without prefix; missing: %s", r.first_missing);
	clear();
	rc = cb_import(&r, CB_IMPORT_BERT, "wrong.st", table, PLAIN, w);
	ok(rc < 0 &&
	    strcmp(cb_error(), "wrong.st: bert.embeddings.word_embeddings."
	    "weight: shape is [4, 2], must be [3, 2]") == 0 && w[19] == 0,
	    "another vocabulary: %s", cb_error());
	rc = cb_import(&r, CB_IMPORT_RESNET, "bert.st", table, PLAIN, w);
	ok(rc < 0,
	    "BERT is no ResNet: %s", cb_error());
	rc = cb_import(&r, CB_IMPORT_BERT, "none.st", table, PLAIN, w);
	ok(rc < 0,
	    "no file: %s", cb_error());
}

static void
resnet(void)
{
	static const struct row d2[] = {
		{ "backbone.stem.conv1.weight", 4, { 1, 3, 1, 2 }, 10 },
		{ "backbone.stem.conv1.norm.running_mean", 1, { 1 }, 20 },
		{ "backbone.res2.0.shortcut.weight", 4, { 2, 1, 1, 1 }, 30 },
		{ "backbone.res2.0.shortcut.norm.bias", 1, { 2 }, 40 },
		{ "backbone.res3.1.conv2.weight", 4, { 1, 1, 1, 1 }, 50 },
		{ "backbone.res3.1.conv2.norm.weight", 1, { 1 }, 60 },
		{ "proposal_generator.anchor", 1, { 1 }, 0 },
	}, tv[] = {
		{ "conv1.weight", 4, { 1, 3, 1, 2 }, 0 },
		{ "bn1.running_mean", 1, { 1 }, 21 },
		{ "bn1.num_batches_tracked", 0, { 0 }, 0 },
		{ "layer1.0.conv1.weight", 1, { 1 }, 0 },
		{ "layer1.0.downsample.0.weight", 4, { 2, 1, 1, 1 }, 31 },
		{ "layer1.0.downsample.1.bias", 1, { 2 }, 41 },
		{ "layer2.1.conv2.weight", 4, { 1, 1, 1, 1 }, 51 },
		{ "layer2.1.bn2.weight", 1, { 1 }, 61 },
		{ "fc.weight", 1, { 1 }, 0 },
	};
	struct cb_import r;
	int rc;

	make("d2.st", d2, CB_LEN(d2), NULL);
	make("tv.st", tv, CB_LEN(tv), NULL);
	clear();
	rc = cb_import(&r, CB_IMPORT_RESNET, "d2.st", table, PLAIN, w);
	ok(rc == 0 &&
	    r.taken == 6 && r.missing == 0 && r.unexpected == 0 &&
	    w[0] == 10 && w[5] == 15 && w[6] == 20 && w[7] == 30 &&
	    w[9] == 40 && w[11] == 50 && w[12] == 60,
	    "detectron2: %d taken, %d unexpected", r.taken, r.unexpected);
	clear();
	rc = cb_import(&r, CB_IMPORT_RESNET, "tv.st", table, PLAIN, w);
	ok(rc == 0 &&
	    r.taken == 6 && r.unexpected == 2 && w[6] == 21 && w[7] == 31 &&
	    w[9] == 41 && w[11] == 51 && w[12] == 61,
	    "torchvision: %d taken, unexpected: %s", r.taken,
	    r.first_unexpected);
	/* 0 1 red, 2 3 green, 4 5 blue: turned, and divided by 255 deviation */
	ok(fabsf(w[0] - 4 / (255 * 0.225f)) < 1e-7f &&
	    fabsf(w[1] - 5 / (255 * 0.225f)) < 1e-7f &&
	    fabsf(w[2] - 2 / (255 * 0.224f)) < 1e-7f &&
	    w[4] == 0 && fabsf(w[5] - 1 / (255 * 0.229f)) < 1e-7f,
	    "its stem in our order and scale");
}

static void
e2e(void)
{
	static const struct row rows[] = {
		{ EMB "word_embeddings.weight", 2, { 3, 2 }, 10 },
		{ "transformer.cls.predictions.decoder.weight", 2, { 3, 2 },
		    40 },
		{ "transformer.classifier.2.weight", 2, { 9, 2 }, 50 },
		{ "transformer.cls.seq_relationship.bias", 1, { 2 }, 60 },
	};
	struct cb_import r;
	int rc;

	make("e2e.st", rows, CB_LEN(rows), NULL);
	clear();
	rc = cb_import(&r, CB_IMPORT_E2E, "e2e.st", table, PLAIN, w);
	ok(rc == 0 &&
	    r.taken == 1 && r.misfit == 1 && r.missing == 9 &&
	    r.unexpected == 1 && w[13] == 10 && w[25] == 0,
	    "ClipBERT with another head: %d taken, %d misfit (%s), %d missing,"
	    " %d unexpected", r.taken, r.misfit, r.first_misfit, r.missing,
	    r.unexpected);
}

int
main(void)
{
	plan(29);
	cb_program_set("checkpoint");
	own();
	foreign();
	heads();
	bert();
	resnet();
	e2e();
	return done();
}
