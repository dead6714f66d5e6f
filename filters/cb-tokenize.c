/*
 * cb-tokenize: adds token ids and masks to the groups of a stream, and masks
 * words of captions.  All else passes through untouched.
 */
#include <stdlib.h>
#include <unistd.h>

#include "stream/stream.h"
#include "text/text.h"

/* The named file's vocabulary goes into the header; else it is there. */
static int
get_vocab(struct cb_vocab **out, struct cb_msg *header, const char *path)
{
	if (path == NULL) {
		if (cb_vocab_from_header(out, header) == 0)
			return 0;
		if (cb_error_code() == CB_EMISSING)
			cb_fail(CB_EMISSING, "no vocabulary: the stream "
			    "carries none, so name one with --vocab");
		return -1;
	}
	if (cb_vocab_load(out, path) < 0)
		return -1;
	return cb_vocab_to_header(*out, header);
}

/* 0 done, -1 reading or tokenising failed, -2 writing did. */
static int
filter(struct cb_reader *r, struct cb_writer *w, const struct cb_vocab *v,
    const struct cb_masking *k, int max_len)
{
	struct cb_msg *m;
	int got, rc = 0;

	while (rc == 0 && (got = cb_reader_next(r, &m)) != 0) {
		if (got < 0)
			return -1;
		if (cb_msg_kind(m) == CB_MSG_GROUP &&
		    (rc = cb_text_group(v, m, max_len)) == 0)
			rc = cb_text_mask(v, m, k);
		if (rc == 0 && cb_writer_put(w, m) < 0)
			rc = -2;
		cb_msg_free(m);
	}
	return rc;
}

int
main(int argc, char **argv)
{
	struct cb_reader *r = NULL;
	struct cb_writer *w = NULL;
	struct cb_vocab *v = NULL;
	const char *path = NULL;
	int64_t max_len = CB_TEXT_MAX_LEN, seed = -1;
	struct cb_masking k;
	double share = -1;
	const struct cb_opt options[] = {
		{ 'v', "vocab", CB_OPT_STR, &path, "FILE",
		    "vocab.txt [the stream's own]", 0, 0 },
		{ 'L', "max-len", CB_OPT_INT, &max_len, "N",
		    "ids a text at most, [CLS] and [SEP] included [20]",
		    2, 1 << 20 },
		{ 'm', "mask", CB_OPT_REAL, &share, "P",
		    "mask words with chance P [0.15 of captions, else 0]",
		    0, 1 },
		{ 's', "seed", CB_OPT_INT, &seed, "N",
		    "of masked words [the stream's]", 0, 9e15 },
		{ 0 }
	};
	char *why;
	int rc = -1;

	if (cb_options(argc, argv, options, "[-L length] [-m share] "
	    "[-s seed] [-v vocab.txt]") <
	    argc)
		cb_usage("takes no files: it reads standard input");
	if (cb_reader_open(&r, STDIN_FILENO, "stdin") < 0 ||
	    get_vocab(&v, cb_reader_header(r), path) < 0 ||
	    cb_masking_init(&k, cb_reader_header(r), share, seed) < 0 ||
	    cb_writer_open(&w, STDOUT_FILENO, cb_reader_header(r), argc,
	    argv) < 0)
		goto done;
	rc = filter(r, w, v, &k, (int)max_len);
	if (rc == -1) {
		/* Those downstream learn why; the message stays the first. */
		why = cb_strf("%s", cb_error());
		cb_writer_eos(w, cb_reader_skipped(r), why);
		cb_fail(CB_EFORMAT, "%s", why);
		free(why);
	} else if (rc == 0) {
		rc = cb_writer_eos(w, cb_reader_skipped(r), NULL);
	}
done:
	cb_writer_close(w);
	cb_vocab_free(v);
	cb_reader_close(r);
	return rc < 0 ? cb_complain() : 0;
}
