/* JSON through jansson, with messages that name file and line. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base.h"

#define JSON_MAX ((int64_t)1 << 30)

int
cb_json_load(json_t **out, const char *path)
{
	json_error_t why;
	int64_t bytes;
	char *text;

	if (cb_file_read(&text, &bytes, path, JSON_MAX) < 0)
		return -1;
	*out = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &why);
	free(text);
	if (*out == NULL)
		return cb_fail(CB_EFORMAT, "%s:%d: %s", path, why.line,
		    why.text);
	return 0;
}

struct cb_jsonl {
	FILE *fp;
	char *path, *text;
	size_t room;
	int64_t line;
};

int
cb_jsonl_open(struct cb_jsonl **out, const char *path)
{
	struct cb_jsonl *r;
	int rc = -1;

	if ((r = calloc(1, sizeof(*r))) == NULL)
		return cb_fail(CB_ENOMEM, "%s", path);
	r->path = cb_strf("%s", path);
	r->fp = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	if (r->fp == NULL) {
		cb_fail(CB_EIO, "%s", path);
		goto done;
	}
	*out = r;
	r = NULL;
	rc = 0;
done:
	cb_jsonl_close(r);
	return rc;
}

int
cb_jsonl_next(struct cb_jsonl *r, json_t **out)
{
	json_error_t why;
	ssize_t n;

	errno = 0;
	while ((n = getline(&r->text, &r->room, r->fp)) >= 0) {
		r->line++;
		if ((size_t)n == strspn(r->text, " \t\r\n"))
			continue;
		*out = json_loadb(r->text, n, JSON_REJECT_DUPLICATES, &why);
		if (*out == NULL)
			return cb_fail(CB_EFORMAT, "%s:%lld: not JSON: %s",
			    r->path, (long long)r->line, why.text);
		if (!json_is_object(*out)) {
			json_decref(*out);
			return cb_fail(CB_EFORMAT, "%s:%lld: not an object",
			    r->path, (long long)r->line);
		}
		return 1;
	}
	if (ferror(r->fp))
		return cb_fail(CB_EIO, "%s", r->path);
	return 0;
}

int64_t
cb_jsonl_line(const struct cb_jsonl *r)
{
	return r->line;
}

void
cb_jsonl_close(struct cb_jsonl *r)
{
	if (r == NULL)
		return;
	if (r->fp != NULL && r->fp != stdin)
		fclose(r->fp);
	free(r->path);
	free(r->text);
	free(r);
}

char *
cb_json_text(const json_t *v)
{
	return json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);
}

char *
cb_json_exact(const json_t *v, size_t flags)
{
	char *text;
	json_t *back;
	bool same;

	flags |= JSON_ENCODE_ANY;
	text = json_dumps(v, flags | JSON_REAL_PRECISION(15));
	if (text == NULL)
		return NULL;
	back = json_loads(text, JSON_DECODE_ANY, NULL);
	same = json_equal(v, back);
	json_decref(back);
	if (same)
		return text;
	free(text);
	return json_dumps(v, flags);
}
