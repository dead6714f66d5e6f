/* All texts of a group message to the tensors that the model takes. */
#include <stdlib.h>
#include <string.h>

#include "text.h"

/* The rows so far: ids one after the other, row i ends at end[i]. */
struct rows {
	struct cb_ids ids;
	int64_t	*end;
	int64_t	 n, room;
};

static int
add_row(struct rows *r, const struct cb_vocab *v, const char *text,
    int64_t bytes, int max_len)
{
	int64_t room = r->room > 0 ? 2 * r->room : 16, *more;

	if (r->n == r->room) {
		if ((more = realloc(r->end, sizeof(*more) * room)) == NULL)
			return cb_fail(CB_ENOMEM, "token ids");
		r->end = more;
		r->room = room;
	}
	if (cb_text_ids(&r->ids, v, text, bytes, max_len) < 0)
		return -1;
	r->end[r->n++] = r->ids.n;
	return 0;
}

/* "text option" as one row. */
static int
add_option(struct rows *r, const struct cb_vocab *v,
    const msgpack_object *text, const msgpack_object *option, int max_len)
{
	int64_t n = text != NULL ? text->via.str.size : 0, bytes;
	char *both;
	int rc;

	if (option->type != MSGPACK_OBJECT_STR)
		return cb_fail(CB_EFORMAT, "an option is not text");
	bytes = n + 1 + option->via.str.size;
	if ((both = malloc(bytes)) == NULL)
		return cb_fail(CB_ENOMEM, "an option");
	if (n > 0)
		memcpy(both, text->via.str.ptr, n);
	both[n] = ' ';
	if (option->via.str.size > 0)
		memcpy(both + n + 1, option->via.str.ptr, option->via.str.size);
	rc = add_row(r, v, both, bytes, max_len);
	free(both);
	return rc;
}

static int
add_example(struct rows *r, const struct cb_vocab *v,
    const msgpack_object *example, int max_len)
{
	static const char *keys[] = { "question", "text", "caption" };
	const msgpack_object *text = NULL, *options;
	size_t k;
	uint32_t i;

	for (k = 0; k < CB_LEN(keys) && text == NULL; k++)
		text = cb_map_get(example, keys[k]);
	if (text != NULL && text->type != MSGPACK_OBJECT_STR)
		return cb_fail(CB_EFORMAT, "%s is not text", keys[k - 1]);
	options = cb_map_get(example, "options");
	if (options == NULL) {
		if (text == NULL)
			return cb_fail(CB_EFORMAT,
			    "no question, text, caption or options");
		return add_row(r, v, text->via.str.ptr, text->via.str.size,
		    max_len);
	}
	if (options->type != MSGPACK_OBJECT_ARRAY)
		return cb_fail(CB_EFORMAT, "options is not a list");
	for (i = 0; i < options->via.array.size; i++)
		if (add_option(r, v, text, &options->via.array.ptr[i],
		    max_len) < 0)
			return -1;
	return 0;
}

/* Puts where an example stands before the message. */
static int
fail_at_example(const msgpack_object *group, uint32_t i)
{
	const msgpack_object *media = cb_map_get(group, "media");

	if (media == NULL || media->type != MSGPACK_OBJECT_STR)
		return cb_fail_at("example %u", i);
	return cb_fail_at("%.*s: example %u", (int)media->via.str.size,
	    media->via.str.ptr, i);
}

/* Rows of unequal length to [n,L]; what is missing is [PAD], mask 0. */
static int
fill(struct cb_array *ids, struct cb_array *mask, const struct rows *r, int pad)
{
	int64_t dim[2] = { r->n, 0 }, i, k, from, n;
	int32_t *id, *on;

	for (i = 0; i < r->n; i++) {
		n = r->end[i] - (i > 0 ? r->end[i - 1] : 0);
		dim[1] = n > dim[1] ? n : dim[1];
	}
	if (cb_array_init(ids, CB_I32, 2, dim) < 0 ||
	    cb_array_init(mask, CB_I32, 2, dim) < 0)
		return -1;
	id = ids->data;
	on = mask->data;
	for (i = 0; i < r->n; i++) {
		from = i > 0 ? r->end[i - 1] : 0;
		n = r->end[i] - from;
		for (k = 0; k < dim[1]; k++) {
			*id++ = k < n ? r->ids.at[from + k] : pad;
			*on++ = k < n;
		}
	}
	return 0;
}

int
cb_text_group(const struct cb_vocab *v, struct cb_msg *m, int max_len)
{
	msgpack_object *group = cb_msg_map(m, "group");
	const msgpack_object *examples = cb_map_get(group, "examples");
	struct cb_array ids = { 0 }, mask = { 0 };
	struct rows r = { 0 };
	int rc = -1;
	uint32_t i, n;

	if (examples == NULL || examples->type == MSGPACK_OBJECT_NIL)
		return 0;
	if (examples->type != MSGPACK_OBJECT_ARRAY)
		return cb_fail(CB_EFORMAT, "a group's examples are no list");
	n = examples->via.array.size;
	for (i = 0; i < n; i++)
		if (add_example(&r, v, &examples->via.array.ptr[i],
		    max_len) < 0) {
			fail_at_example(group, i);
			goto done;
		}
	if (r.n == 0) {
		rc = 0;
		goto done;
	}
	if (fill(&ids, &mask, &r, cb_vocab_special(v, CB_PAD)) < 0)
		goto done;
	cb_map_set(m, group, "ids", cb_obj_tensor_take(m, &ids));
	cb_map_set(m, group, "mask", cb_obj_tensor_take(m, &mask));
	rc = 0;
done:
	cb_array_clear(&ids);
	cb_array_clear(&mask);
	cb_ids_clear(&r.ids);
	free(r.end);
	return rc;
}
