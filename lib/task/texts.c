/* All texts of an annotation as rows of token ids, to be put beside any medium. */
#include <stdlib.h>
#include <string.h>

#include "task/annotation.h"
#include "task/task.h"

struct reading {
	const struct cb_vocab *vocab;
	int	 max_len;
	struct cb_ids ids;
	int64_t	*end, n, room;	/* row i ends at end[i] */
};

static int
take_caption(void *arg, struct annotation *a, const json_t *line)
{
	const char *text = json_string_value(json_object_get(line, "caption"));
	struct reading *r = arg;
	int64_t *more;

	(void)a;
	if (text == NULL)
		return cb_fail(CB_EFORMAT, "key \"caption\" is not a text");
	if (r->n == r->room) {
		r->room = r->room > 0 ? 2 * r->room : 64;
		more = realloc(r->end, sizeof(*more) * (size_t)r->room);
		if (more == NULL)
			return cb_fail(CB_ENOMEM, "texts");
		r->end = more;
	}
	if (cb_text_ids(&r->ids, r->vocab, text, -1, r->max_len) < 0)
		return -1;
	r->end[r->n++] = r->ids.n;
	return 0;
}

static int
fill_rows(struct cb_texts *out, const struct reading *r)
{
	int32_t pad = cb_vocab_special(r->vocab, CB_PAD);
	int64_t i, l, from, n, bytes, dim[2] = { r->n, 0 };

	for (i = 0, from = 0; i < r->n; from = r->end[i++])
		if (r->end[i] - from > dim[1])
			dim[1] = r->end[i] - from;
	if (cb_size_mul(&bytes, sizeof(*out->ids), 2, dim, INT32_MAX) < 0)
		return cb_fail_at("texts");
	out->N = (int)dim[0];
	out->L = (int)dim[1];
	out->ids = malloc((size_t)bytes);
	out->mask = malloc((size_t)bytes);
	if (out->ids == NULL || out->mask == NULL)
		return cb_fail(CB_ENOMEM, "texts");
	for (i = 0, from = 0; i < r->n; from = r->end[i++]) {
		n = r->end[i] - from;
		for (l = 0; l < dim[1]; l++) {
			out->ids[i * dim[1] + l] = l < n ?
			    r->ids.at[from + l] : pad;
			out->mask[i * dim[1] + l] = l < n;
		}
	}
	return 0;
}

int
cb_texts_load(struct cb_texts *out, const char *path,
    const struct cb_vocab *vocab, int max_len)
{
	struct reading r = { .vocab = vocab, .max_len = max_len };
	const struct annotation_how how = { .task = "retrieval",
	    .see = take_caption, .arg = &r };
	char *file = (char *)(uintptr_t)path;
	struct annotation *a = NULL;
	int rc;

	memset(out, 0, sizeof(*out));
	rc = annotation_open(&a, &file, 1, &how);
	if (rc == 0)
		rc = fill_rows(out, &r);
	annotation_close(a);
	cb_ids_clear(&r.ids);
	free(r.end);
	if (rc < 0)
		cb_texts_clear(out);
	return rc;
}

void
cb_texts_clear(struct cb_texts *t)
{
	free(t->ids);
	free(t->mask);
	memset(t, 0, sizeof(*t));
}
