/* cb-score: batches, or groups, in; predictions as JSON lines out.  cb-score(1) */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "task/task.h"
#include "train/train.h"

static const char *model, *pairs, *on_error = "skip";
static const char *device = "auto", *precision = "";
static struct cb_strs texts;
static int64_t threads, media, top = 5;

static const struct cb_opt options[] = {
	{ 'm', "model", CB_OPT_STR, &model, "PATH",
	    "run directory or checkpoint", 0, 0 },
	{ 't', "text", CB_OPT_LIST, &texts, "TEXT",
	    "ask this of media that come without texts", 0, 0 },
	{ 'p', "pairs", CB_OPT_STR, &pairs, "FILE",
	    "retrieval: score each medium with all texts of FILE", 0, 0 },
	{ 'b', "batch", CB_OPT_INT, &media, "N",
	    "media at a time [as in the checkpoint]", 1, 1e6 },
	{ 'k', "top", CB_OPT_INT, &top, "N",
	    "answers listed of each text [5]", 1, 1e6 },
	{ 'j', "threads", CB_OPT_INT, &threads, "N",
	    "threads that compute [one a core]", 0, 1024 },
	{ 0, "device", CB_OPT_STR, &device, "NAME",
	    "cpu, cuda, ref or auto [auto]", 0, 0 },
	{ 0, "precision", CB_OPT_STR, &precision, "NAME",
	    "of cuda: bf16, fp16, tf32 or fp32 [bf16]", 0, 0 },
	{ 0, "on-error", CB_OPT_STR, &on_error, "WHAT",
	    "bad media: skip or stop [skip]", 0, 0 },
	{ 0 }
};

static int
score(struct cb_scorer *s, struct cb_feed *feed, const struct cb_texts *all,
    int64_t *rows)
{
	struct cb_ahead *a;
	struct cb_batch *b;
	int rc;

	if (cb_ahead_open(&a, feed, STDIN_FILENO, cb_scorer_engine(s)) < 0)
		return -1;
	while ((rc = cb_ahead_next(a, &b)) > 0) {
		cb_ahead_expect(a);
		rc = pairs != NULL ? cb_scorer_pairs(s, b, all, stdout) :
		    cb_scorer_batch(s, b, (int)top, stdout);
		*rows += pairs != NULL ? (int64_t)b->B * all->N : b->N;
		cb_ahead_done(a, b);
		if (rc < 0)
			break;
		cb_progress("%lld %s", (long long)*rows,
		    pairs != NULL ? "pairs" : "texts");
	}
	cb_progress_end();
	cb_ahead_close(a);
	if (fflush(stdout) != 0 && rc == 0)
		rc = cb_fail(CB_EIO, "stdout");
	return rc;
}

static int
run(struct cb_scorer *s)
{
	const struct cb_settings *c = cb_scorer_settings(s);
	struct cb_feed_options o = {
	    .groups = media > 0 ? media : c->val_batch_size,
	    .stop = cb_choice("--on-error", on_error, "skip", "stop"),
	    .max_len = c->max_txt_len, .vocab = cb_scorer_vocab(s),
	    .texts = &texts, .mask = cb_scorer_masks(s),
	    .pictures_only = pairs != NULL, .keep = CB_AHEAD };
	struct cb_texts all = { 0 };
	struct cb_feed *feed;
	int64_t lost, rows = 0;
	int rc;

	if (pairs != NULL && cb_texts_load(&all, pairs, o.vocab, o.max_len) < 0)
		return cb_complain();
	if (cb_feed_open(&feed, STDIN_FILENO, "stdin", &o) < 0) {
		cb_texts_clear(&all);
		return cb_complain();
	}
	if ((rc = score(s, feed, &all, &rows)) < 0)
		cb_complain();
	if (rc == 0 && rows == 0)
		cb_warn("nothing to score: no texts came, and no --text was "
		    "given");
	if ((lost = cb_feed_skipped(feed)) > 0)
		cb_warn("%lld media were skipped", (long long)lost);
	cb_feed_close(feed);
	cb_texts_clear(&all);
	return rc < 0 || lost > 0 || rows == 0;
}

int
main(int argc, char **argv)
{
	struct cb_scorer *s;
	char *engine;
	int rc;

	if (cb_options(argc, argv, options, "-m run [-t text] ... <stream")
	    != argc)
		cb_usage("%s: the stream comes on standard input",
		    argv[optind]);
	if (model == NULL)
		cb_usage("-m is missing: which model?");
	if (pairs != NULL && texts.n > 0)
		cb_usage("--pairs has the texts already, --text cannot add any");
	if (pairs != NULL && strcmp(pairs, "-") == 0)
		cb_usage("--pairs -: the stream comes on standard input");
	engine = cb_strf("%s:%s", device, precision);
	rc = cb_scorer_open(&s, model, engine, (int)threads);
	free(engine);
	if (rc < 0)
		return cb_complain();
	rc = run(s);
	cb_scorer_close(s);
	free(texts.at);
	return rc;
}
