/* cb-list: annotation jsonl in, groups out: one medium and its texts each. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "task/task.h"

/* "i/n", i from 0 */
static void
parse_shard(struct cb_list_options *o, const char *text)
{
	char *end, *last;

	o->shard = strtoll(text, &end, 10);
	if (end == text || *end != '/')
		cb_usage("--shard %s: must be i/n, such as 0/4", text);
	o->shards = strtoll(end + 1, &last, 10);
	if (last == end + 1 || *last != '\0' || o->shards < 1 ||
	    o->shard < 0 || o->shard >= o->shards)
		cb_usage("--shard %s: must be i/n with 0 <= i < n", text);
}

static int
write_groups(struct cb_list *l, struct cb_writer *w)
{
	int64_t n = cb_list_groups(l), i = 0;
	struct cb_msg *m;
	int rc;

	while ((rc = cb_list_next(l, &m)) > 0) {
		rc = cb_writer_put(w, m);
		cb_msg_free(m);
		if (rc < 0 || cb_writer_end(w, 0, NULL) < 0)
			return -1;
		cb_progress("group %lld of %lld", (long long)++i,
		    (long long)n);
	}
	cb_progress_end();
	if (rc < 0)
		cb_writer_eos(w, 0, cb_error());
	return rc < 0 ? -1 : cb_writer_eos(w, 0, NULL);
}

int
main(int argc, char **argv)
{
	struct cb_list_options o = cb_list_defaults();
	struct cb_strs media = { 0 };
	const char *shard = NULL, *split = "train";
	struct cb_writer *w = NULL;
	struct cb_list *l;
	int first, rc;
	const struct cb_opt table[] = {
		{ 'e', "epochs", CB_OPT_INT, &o.epochs, "N",
		    "go over the annotations N times [1]", 1, 1e9 },
		{ 's', "seed", CB_OPT_INT, &o.seed, "N",
		    "of the order of groups [0]", 0, 0 },
		{ 'g', "per-group", CB_OPT_INT, &o.per_group, "N",
		    "at most N texts a group [0: all of the medium]", 0, 1e9 },
		{ 'm', "media", CB_OPT_LIST, &media, "PLACE",
		    "once a file: directory or LMDB of its media", 0, 0 },
		{ 'n', "negatives", CB_OPT_INT, &o.negatives, "N",
		    "retrieval: N mismatched texts behind each [1]", 0, 1e6 },
		{ 0, "mismatch", CB_OPT_REAL, &o.mismatch, "P",
		    "captions: a text is mismatched with chance P [0.5]", 0, 1 },
		{ 0, "pairs", CB_OPT_FLAG, &o.pairs, NULL,
		    "retrieval, --split eval: all texts with each medium", 0, 0 },
		{ 0, "split", CB_OPT_STR, &split, "SPLIT",
		    "train or eval: order of the file, nothing made [train]",
		    0, 0 },
		{ 0, "no-shuffle", CB_OPT_FLAG, &o.unshuffled, NULL,
		    "order of the file in training too", 0, 0 },
		{ 0, "shard", CB_OPT_STR, &shard, "I/N",
		    "only every Nth group, from the Ith on [0/1]", 0, 0 },
		{ 0, "skip", CB_OPT_INT, &o.skip, "N",
		    "leave out the first N groups of the shard [0]", 0, 1e15 },
		{ 't', "task", CB_OPT_STR, &o.task, "TASK",
		    "kind of annotation [guessed from the first line]", 0, 0 },
		{ 'a', "answers", CB_OPT_STR, &o.answers, "FILE",
		    "ans2label.json [beside the jsonl, else made of it]", 0, 0 },
		{ 0, "vocab", CB_OPT_STR, &o.vocab, "FILE",
		    "vocab.txt [beside the jsonl, else made of it]", 0, 0 },
		{ 0 }
	};

	first = cb_options(argc, argv, table, "[options] annotations.jsonl ...");
	if (argc == first)
		cb_usage("annotations, please; \"-\" is stdin");
	if (media.n > 0 && media.n != argc - first)
		cb_usage("--media %d times for %d files", media.n,
		    argc - first);
	if (strcmp(split, "train") != 0 && strcmp(split, "eval") != 0)
		cb_usage("--split %s: must be train or eval", split);
	o.eval = strcmp(split, "eval") == 0;
	if (o.pairs && !o.eval)
		cb_usage("--pairs goes with --split eval");
	if (shard != NULL)
		parse_shard(&o, shard);
	o.places = media.at;
	if (cb_list_open(&l, argv + first, argc - first, &o) < 0) {
		free(media.at);
		return cb_complain();
	}
	rc = cb_writer_open(&w, STDOUT_FILENO, cb_list_header(l), argc,
	    argv) < 0 || write_groups(l, w) < 0 ? cb_complain() : 0;
	cb_writer_close(w);
	cb_list_close(l);
	free(media.at);
	return rc;
}
