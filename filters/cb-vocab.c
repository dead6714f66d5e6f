/*
 * cb-vocab: a WordPiece vocabulary from the texts of annotation files, for
 * those who train from scratch.
 */
#include <stdlib.h>
#include <string.h>

#include "text/text.h"

/* One text a line. */
static int64_t
add_lines(struct cb_vocab_maker *m, const char *path)
{
	bool std = strcmp(path, "-") == 0;
	FILE *fp = std ? stdin : fopen(path, "re");
	char *line = NULL;
	size_t room = 0;
	ssize_t bytes;
	int64_t n = 0;

	if (fp == NULL)
		return cb_fail(CB_EIO, "%s", path);
	while (n >= 0 && (bytes = getline(&line, &room, fp)) >= 0)
		n = cb_vocab_maker_add(m, line, bytes) < 0 ? -1 : n + 1;
	if (n >= 0 && ferror(fp))
		n = cb_fail(CB_EIO, "%s", path);
	free(line);
	if (!std)
		fclose(fp);
	return n;
}

/* One JSON object a line; its texts. */
static int64_t
add_jsonl(struct cb_vocab_maker *m, const char *path,
    const struct cb_strs *keys)
{
	struct cb_jsonl *r;
	json_t *example;
	int64_t n = 0;
	int rc, k = 0;

	if (cb_jsonl_open(&r, path) < 0)
		return -1;
	while ((rc = cb_jsonl_next(r, &example)) > 0 && k >= 0) {
		k = cb_vocab_maker_add_json(m, example, keys);
		json_decref(example);
		n += k;
	}
	cb_jsonl_close(r);
	return rc < 0 || k < 0 ? -1 : n;
}

static bool
ends_in(const char *path, const char *end)
{
	size_t n = strlen(path), k = strlen(end);

	return n >= k && strcmp(path + n - k, end) == 0;
}

static int
make(const char *const *paths, int npaths, bool json,
    const struct cb_strs *keys, int size, int64_t min_count, const char *out)
{
	struct cb_vocab_maker *m = NULL;
	struct cb_vocab *v = NULL;
	int64_t n, texts = 0;
	int i, rc = -1;

	if (cb_vocab_maker_new(&m) < 0)
		goto done;
	for (i = 0; i < npaths; i++) {
		n = json || ends_in(paths[i], ".jsonl") ?
		    add_jsonl(m, paths[i], keys) : add_lines(m, paths[i]);
		if (n < 0)
			goto done;
		texts += n;
	}
	if (texts == 0) {
		cb_fail(CB_EFORMAT, "%s%s: no text there", paths[0],
		    npaths > 1 ? " ..." : "");
		goto done;
	}
	if (cb_vocab_maker_build(&v, m, size, min_count) < 0)
		goto done;
	rc = cb_vocab_save(v, out);
done:
	cb_vocab_free(v);
	cb_vocab_maker_free(m);
	return rc;
}

int
main(int argc, char **argv)
{
	static const char *const std[] = { "-" };
	const char *out = "-", *const *paths = std;
	int64_t size = CB_VOCAB_SIZE, min_count = 2;
	struct cb_strs keys = { 0 };
	bool json = false;
	const struct cb_opt options[] = {
		{ 's', "size", CB_OPT_INT, &size, "N",
		    "tokens at most [8000]", 5, 1 << 24 },
		{ 'm', "min-count", CB_OPT_INT, &min_count, "N",
		    "merge pairs seen N times or more [2]", 1, 1e15 },
		{ 'k', "key", CB_OPT_LIST, &keys, "KEY",
		    "of texts in JSON [question text caption options]", 0, 0 },
		{ 'j', "json", CB_OPT_FLAG, &json, NULL,
		    "all files are jsonl, whatever their names", 0, 0 },
		{ 'o', "output", CB_OPT_STR, &out, "FILE",
		    "write there [-]", 0, 0 },
		{ 0 }
	};
	int i, rc;

	i = cb_options(argc, argv, options, "[-j] [-k key] [-m n] [-s size] "
	    "[-o file] [file ...]");
	if (i < argc)
		paths = (const char *const *)argv + i;
	rc = make(paths, i < argc ? argc - i : 1, json,
	    keys.n > 0 ? &keys : NULL, (int)size, min_count, out);
	free(keys.at);
	return rc < 0 ? cb_complain() : 0;
}
