/*
 * Sentence embeddings of a BERT as Hugging Face lays it out, for make
 * check-bert:
 *
 *	bert FOLDER <sentences >vectors
 *
 * FOLDER has config.json, vocab.txt and model.safetensors.  For each line of
 * the input there is a line of numbers: the mean over the last layer of all
 * tokens, at length one.  Our words, our import and our encoder; there are no
 * visual tokens, which the model is told by an empty list of cells.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "text/text.h"
#include "train/train.h"

/* A CNN has to be there; it is as small as can be. */
static const char *const small[] = {
	"max_img_size=64", "stem_out_channels=4", "width_per_group=4",
	"res2_out_channels=8",
};

struct bert {
	struct cb_settings settings;
	struct cb_vocab *vocab;
	struct cb_engine *e;
	struct cb_model *m;
	char	*last;			/* name of the last layer's tap */
	double	*mean;			/* [hidden] of the sentence */
};

static void
mean_of(void *arg, const char *name, const float *x, int rank,
    const int64_t *dim)
{
	struct bert *b = arg;
	double norm = 0;
	int64_t t, d;

	if (strcmp(name, b->last) != 0 || rank != 2)
		return;
	memset(b->mean, 0, sizeof(*b->mean) * (size_t)dim[1]);
	for (t = 0; t < dim[0]; t++)
		for (d = 0; d < dim[1]; d++)
			b->mean[d] += x[t * dim[1] + d];
	for (d = 0; d < dim[1]; d++)
		norm += b->mean[d] * b->mean[d];
	for (d = 0; d < dim[1]; d++)
		b->mean[d] /= sqrt(norm);
}

/* Every weight of the BERT must come from the file. */
static int
load(struct bert *b, const char *path)
{
	struct cb_import report;
	int n;
	const struct cb_param *p = cb_model_params(b->m, &n);
	int64_t bytes = cb_model_count(b->m) * (int64_t)sizeof(float);
	float *w = cb_alloc(bytes);

	if (w == NULL)
		return cb_fail(CB_ENOMEM, "weights");
	cb_model_init(b->m, 1);
	b->e->get(b->e, w, cb_model_weights(b->m), bytes);
	if (b->e->sync(b->e) < 0 ||
	    cb_import(&report, CB_IMPORT_BERT, path, p, n, w) < 0)
		return -1;
	if (report.missing > 0)
		return cb_fail(CB_EMISSING, "%s: no %s", path,
		    report.first_missing);
	b->e->put(b->e, cb_model_weights(b->m), w, bytes);
	cb_model_pack(b->m, true);
	free(w);
	return b->e->sync(b->e);
}

static int
open_bert(struct bert *b, const char *folder)
{
	char *config = cb_strf("%s/config.json", folder);
	char *vocab = cb_strf("%s/vocab.txt", folder);
	char *weights = cb_strf("%s/model.safetensors", folder);
	struct cb_model_config c;
	json_t *model, *all;
	size_t i;

	if (cb_json_load(&model, config) < 0)
		return -1;
	all = json_pack("{s:o}", "model_config", model);
	if (cb_settings_parse(&b->settings, all, config) < 0)
		return -1;
	for (i = 0; i < CB_LEN(small); i++)
		if (cb_settings_set(&b->settings, small[i]) < 0)
			return -1;
	if (cb_vocab_load(&b->vocab, vocab) < 0 ||
	    cb_model_config_from(&c, &b->settings, "open_qa", 2,
	    cb_vocab_size(b->vocab)) < 0 ||
	    cb_engine_open(&b->e, "auto", 0) < 0 ||
	    cb_model_new(&b->m, b->e, &c) < 0 || load(b, weights) < 0)
		return -1;
	b->last = cb_strf("layer.%d", c.layers - 1);
	b->mean = calloc((size_t)c.hidden, sizeof(*b->mean));
	cb_model_tap(b->m, mean_of, b);
	json_decref(all);
	free(config);
	free(vocab);
	free(weights);
	return 0;
}

static int
embed(struct bert *b, const char *text)
{
	int64_t dim[] = { 1, 1, 3 };
	int32_t one = 1, cell = 0, mask[512];
	struct cb_inputs in = { .B = 1, .K = 1, .F = 1, .N = 1,
	    .counts = &one, .cells = &cell, .ncells = 0, .mask = mask };
	struct cb_array picture;
	struct cb_ids ids = { 0 };
	float scores[2];
	int rc, i;

	for (i = 0; i < 512; i++)
		mask[i] = 1;
	if (cb_text_ids(&ids, b->vocab, text, -1, 512) < 0 ||
	    cb_array_init(&picture, CB_U8, 3, dim) < 0)
		return -1;
	in.L = (int)ids.n;
	in.ids = ids.at;
	in.pictures = &picture;
	rc = cb_model_score(b->m, &in, scores, NULL);
	for (i = 0; rc == 0 && i < cb_model_config(b->m)->hidden; i++)
		printf("%.9g%c", b->mean[i],
		    i == cb_model_config(b->m)->hidden - 1 ? '\n' : ' ');
	cb_array_clear(&picture);
	cb_ids_clear(&ids);
	return rc;
}

int
main(int argc, char **argv)
{
	struct bert b = { .last = NULL };
	char *line = NULL;
	size_t room = 0;
	ssize_t n;
	int rc = 0;

	cb_program_set("bert");
	if (argc != 2) {
		fprintf(stderr, "usage: bert FOLDER <sentences\n");
		return 2;
	}
	if (open_bert(&b, argv[1]) < 0)
		return cb_complain();
	while (rc == 0 && (n = getline(&line, &room, stdin)) >= 0) {
		line[strcspn(line, "\n")] = '\0';
		rc = embed(&b, line);
	}
	free(line);
	if (rc < 0)
		return cb_complain();
	free(b.last);
	free(b.mean);
	cb_model_free(b.m);
	b.e->free(b.e);
	cb_vocab_free(b.vocab);
	cb_settings_clear(&b.settings);
	return 0;
}
