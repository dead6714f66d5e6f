/* cb-batch: groups in, batches out. */
#include <string.h>
#include <unistd.h>

#include "media/media.h"
#include "task/task.h"

static int
pass_on(void *arg, const struct cb_msg *m)
{
	struct cb_writer **w = arg;

	return cb_writer_put(*w, m);
}

static void
augment(const struct cb_augment *o, struct cb_batch *b)
{
	int i, k;

	for (i = 0; i < b->B; i++)
		for (k = 0; k < b->K; k++)
			cb_augment_clip(o, b->pictures + (i * b->K + k) * b->T,
			    b->T, b->media[i].epoch, b->media[i].seq, k);
}

/* The header's "batch_size", the vocabulary that its ids are of, and, if it tells
 * of groups, "batches". */
static int
extend_header(struct cb_feed *f, const struct cb_feed_options *o)
{
	struct cb_msg *h = cb_feed_header(f);
	int64_t groups, up = o->drop_last ? 0 : o->groups - 1;

	cb_map_set(h, &h->root, "batch_size", cb_obj_int(o->groups));
	if (o->vocab != NULL && cb_vocab_to_header(o->vocab, h) < 0)
		return -1;
	if (cb_map_get(&h->root, "groups") == NULL)
		return 0;
	if (cb_map_int(&h->root, "groups", &groups) < 0)
		return cb_fail_at("stdin: header");
	cb_map_set(h, &h->root, "batches",
	    cb_obj_int((groups + up) / o->groups));
	return 0;
}

static int
write_batches(struct cb_feed *f, struct cb_writer *w,
    const struct cb_augment *a)
{
	struct cb_batch *b;
	int64_t n = 0;
	int rc;

	while ((rc = cb_feed_next(f, &b)) > 0) {
		augment(a, b);
		rc = cb_batch_put(w, b);
		cb_batch_free(b);
		if (rc < 0)
			break;
		cb_progress("batch %lld", (long long)++n);
	}
	cb_progress_end();
	if (rc < 0)
		cb_writer_eos(w, cb_feed_skipped(f), cb_error());
	return rc < 0 ? -1 : cb_writer_eos(w, cb_feed_skipped(f), NULL);
}

int
main(int argc, char **argv)
{
	struct cb_feed_options o = { .groups = 16, .max_len = CB_TEXT_MAX_LEN,
	    .mask = true };
	int64_t max_len = 0, pad = 0, shift = 0, seed = -1, skipped;
	const char *on_error = "skip", *vocab_path = NULL;
	struct cb_vocab *vocab = NULL;
	struct cb_writer *w = NULL;
	struct cb_augment a = { 0 };
	struct cb_feed *f;
	int rc;
	const struct cb_opt table[] = {
		{ 'b', "batch-size", CB_OPT_INT, &o.groups, "N",
		    "groups (media) in a batch [16]", 1, 1 << 20 },
		{ 0, "drop-last", CB_OPT_FLAG, &o.drop_last, NULL,
		    "drop the last batch if it is not full", 0, 0 },
		{ 0, "on-error", CB_OPT_STR, &on_error, "WHAT",
		    "a group that cannot be used: skip or stop [skip]", 0, 0 },
		{ 'L', "max-len", CB_OPT_INT, &max_len, "N",
		    "cut texts that have no ids yet to N tokens [20]", 2, 65536 },
		{ 0, "pad", CB_OPT_INT, &pad, "N",
		    "rows of N tokens [as long as the longest]", 2, 65536 },
		{ 0, "vocab", CB_OPT_STR, &vocab_path, "FILE",
		    "for texts that have no ids yet [the stream's]", 0, 0 },
		{ 0, "shift", CB_OPT_INT, &shift, "N",
		    "move clips by up to N pixels [0]", 0, 4096 },
		{ 0, "brightness", CB_OPT_REAL, &a.brightness, "P",
		    "multiply clips by 1-P to 1+P [0]", 0, 1 },
		{ 's', "seed", CB_OPT_INT, &seed, "N",
		    "of --shift and --brightness [the stream's]", 0, 0 },
		{ 0 }
	};

	if (cb_options(argc, argv, table, "[options] <groups >batches") < argc)
		cb_usage("groups come from standard input");
	if (strcmp(on_error, "skip") != 0 && strcmp(on_error, "stop") != 0)
		cb_usage("--on-error %s: must be skip or stop", on_error);
	o.stop = strcmp(on_error, "stop") == 0;
	o.pad = pad > 0;
	if (pad > 0 && max_len > pad)
		cb_usage("--pad %lld is less than --max-len", (long long)pad);
	if (max_len > 0 || pad > 0)
		o.max_len = (int)(pad > 0 ? pad : max_len);
	a.shift = (int)shift;
	o.other = pass_on;
	o.other_arg = &w;
	if (vocab_path != NULL && cb_vocab_load(&vocab, vocab_path) < 0)
		return cb_complain();
	o.vocab = vocab;
	if (cb_feed_open(&f, STDIN_FILENO, "stdin", &o) < 0)
		return cb_complain();
	if (seed < 0 && cb_map_int(&cb_feed_header(f)->root, "seed", &seed) < 0)
		seed = 0;
	a.seed = (uint64_t)seed;
	rc = extend_header(f, &o) < 0 || cb_writer_open(&w, STDOUT_FILENO,
	    cb_feed_header(f), argc, argv) < 0 || write_batches(f, w, &a) < 0 ?
	    cb_complain() : 0;
	skipped = cb_feed_skipped(f);
	if (rc == 0 && skipped > 0) {
		cb_warn("%lld groups skipped", (long long)skipped);
		rc = 1;
	}
	cb_writer_close(w);
	cb_feed_close(f);
	cb_vocab_free(vocab);
	return rc;
}
