/*
 * Tensors out of whatever file: what is in it is told by its first bytes, and
 * the names are gathered into one list.  Where the numbers stand in the file as
 * we want them they are used there; where not (other strides, byte order or
 * width) they are copied.
 */
#include <stdlib.h>
#include <string.h>

#include "torch.h"

#define NAME_MAX_BYTES 500
#define DEPTH_MAX 16
#define VALUES_MAX (1 << 22)
/* Views may overlap: so much more than the file itself its tensors may be. */
#define TIMES_MAX 8

/* Under which of these a training checkpoint keeps its weights. */
static const char *const wraps[] = { "model", "state_dict", "model_state_dict",
	"model_state", "blobs" };

/* ---- numbers --------------------------------------------------------------- */

/* Elements from the first to behind the last of a view; -1: not in there. */
static int
check_view(const struct cb_strided *t)
{
	const struct cb_storage *s = t->storage;
	int64_t last = t->offset, step;
	int i;

	for (i = 0; i < t->rank; i++)
		if (t->dim[i] == 0)
			return 0;
	for (i = 0; i < t->rank; i++)
		if (__builtin_mul_overflow(t->dim[i] - 1, t->stride[i], &step) ||
		    __builtin_add_overflow(last, step, &last))
			return -1;
	return last < s->bytes / s->type->bytes ? 0 : -1;
}

static bool
is_dense(const struct cb_strided *t)
{
	int64_t step = 1;
	int i;

	for (i = t->rank - 1; i >= 0; i--) {
		if (t->dim[i] != 1 && t->stride[i] != step)
			return false;
		step *= t->dim[i];
	}
	return true;
}

/* One number, turned and widened. */
static void
copy_element(uint8_t *to, const uint8_t *from, const struct cb_storage *s)
{
	int n = s->type->bytes, size = (int)cb_dtype_size(s->type->to), i;
	uint8_t fill;

	for (i = 0; i < n; i++)
		to[i] = from[s->swap ? n - 1 - i : i];
	fill = s->type->is_signed && to[n - 1] & 0x80 ? 0xff : 0;
	for (; i < size; i++)
		to[i] = fill;
}

/* The elements of a view in row-major order. */
static void
gather(uint8_t *to, const struct cb_strided *t, int64_t count)
{
	const struct cb_storage *s = t->storage;
	int64_t at[CB_MAX_RANK] = { 0 }, from = t->offset, i;
	size_t size = cb_dtype_size(s->type->to);
	int k;

	for (i = 0; i < count; i++) {
		copy_element(to + i * size, s->data + from * s->type->bytes, s);
		for (k = t->rank - 1; k >= 0; k--) {
			if (at[k] + 1 < t->dim[k]) {
				at[k]++;
				from += t->stride[k];
				break;
			}
			from -= at[k] * t->stride[k];
			at[k] = 0;
		}
	}
}

/* ---- the list -------------------------------------------------------------- */

static int
more_room(struct cb_tensors_hold *h)
{
	int room = h->room > 0 ? 2 * h->room : 64;
	struct cb_tensor *list;
	void **copies;

	if (h->pub.n < h->room)
		return 0;
	if ((list = realloc(h->list, room * sizeof(*list))) == NULL)
		return cb_fail(CB_ENOMEM, "%s", h->path);
	h->list = list;
	if ((copies = realloc(h->copies, room * sizeof(*copies))) == NULL)
		return cb_fail(CB_ENOMEM, "%s", h->path);
	h->copies = copies;
	h->room = room;
	return 0;
}

static int
add(struct cb_tensors_hold *h, const char *name, const struct cb_strided *t)
{
	const struct cb_storage *s = t->storage;
	struct cb_array a = { .rank = t->rank };
	int64_t bytes, count;
	void *copy = NULL;
	char *own;

	if (s == NULL || s->data == NULL)
		return cb_fail(CB_EFORMAT, "%s: %s: its data is not in the file",
		    h->path, name);
	memcpy(a.dim, t->dim, sizeof(a.dim));
	a.type = s->type->to;
	if (check_view(t) < 0)
		return cb_fail(CB_EFORMAT, "%s: %s: goes beyond its storage of "
		    "%lld bytes", h->path, name, (long long)s->bytes);
	if (cb_size_mul(&bytes, (int64_t)cb_dtype_size(a.type), a.rank, a.dim,
	    h->budget) < 0)
		return cb_fail_at("%s: %s: too large for such a file", h->path,
		    name);
	h->budget -= bytes + (int64_t)(sizeof(*h->list) + strlen(name));
	if (h->budget < 0)
		return cb_fail(CB_ELIMIT, "%s: %s: too many for such a file",
		    h->path, name);
	if (more_room(h) < 0 ||
	    (own = cb_pickle_alloc(&h->pickle, strlen(name) + 1)) == NULL)
		return -1;
	strcpy(own, name);
	count = cb_array_count(&a);
	a.data = (void *)(uintptr_t)(s->data + (count > 0 ? t->offset : 0) *
	    s->type->bytes);
	if (s->swap || count == 0 || !is_dense(t) ||
	    (size_t)s->type->bytes != cb_dtype_size(a.type) ||
	    (uintptr_t)a.data % cb_dtype_size(a.type) != 0) {
		if ((copy = cb_alloc(bytes)) == NULL)
			return cb_fail(CB_ENOMEM, "%s: %s", h->path, name);
		gather(copy, t, count);
		a.data = copy;
	}
	h->list[h->pub.n] = (struct cb_tensor){ own, a };
	h->copies[h->pub.n++] = copy;
	return 0;
}

/* "prefix.key" into name; false: this key is not one for names. */
static bool
join(char name[NAME_MAX_BYTES], const char *prefix, const struct cb_value *key)
{
	int64_t at = 0, i;

	if (prefix[0] != '\0')
		at = snprintf(name, NAME_MAX_BYTES, "%s.", prefix);
	if (key->kind == CB_V_INT)
		return at + 24 < NAME_MAX_BYTES && snprintf(name + at,
		    NAME_MAX_BYTES - at, "%lld", (long long)key->i) > 0;
	if (key->kind != CB_V_STR || at + key->s.n >= NAME_MAX_BYTES)
		return false;
	for (i = 0; i < key->s.n; i++)
		if (key->s.at[i] < 0x20 || key->s.at[i] >= 0x7f)
			return false;
	if (key->s.n > 0)
		memcpy(name + at, key->s.at, key->s.n);
	name[at + key->s.n] = '\0';
	return true;
}

/* All tensors in a value, in order. */
static int
walk(struct cb_tensors_hold *h, const char *prefix, const struct cb_value *v,
    int depth)
{
	char name[NAME_MAX_BYTES];
	struct cb_value number = { .kind = CB_V_INT };
	int step = v->kind == CB_V_DICT ? 2 : 1, i;
	const struct cb_value *key;

	if (v->kind == CB_V_TENSOR)
		return add(h, prefix[0] != '\0' ? prefix : "tensor", v->tensor);
	if (v->kind != CB_V_DICT && v->kind != CB_V_LIST &&
	    v->kind != CB_V_TUPLE)
		return 0;
	for (i = 0; i + step <= v->list.n; i += step) {
		const struct cb_value *item = v->list.at[i + step - 1];

		if (++h->values > VALUES_MAX || depth == DEPTH_MAX)
			return cb_fail(CB_ELIMIT, "%s: %s: nested too deep or "
			    "too often", h->path, prefix);
		number.i = i;
		key = step == 2 ? v->list.at[i] : &number;
		if (item->kind < CB_V_TUPLE)	/* a number or a text */
			continue;
		if (!join(name, prefix, key)) {
			if (item->kind != CB_V_TENSOR)
				continue;
			return cb_fail(CB_EFORMAT, "%s: a tensor with an odd or "
			    "too long name behind %s", h->path, prefix);
		}
		if (walk(h, name, item, depth + 1) < 0)
			return -1;
	}
	return 0;
}

/* The part of a checkpoint that is its weights; NULL: it has none such. */
static const struct cb_value *
unwrap(const struct cb_value *root, const char **name)
{
	const struct cb_value *part;
	size_t i;

	for (i = 0; i < CB_LEN(wraps); i++) {
		part = cb_value_get(root, wraps[i]);
		if (part != NULL && part->kind == CB_V_DICT) {
			*name = wraps[i];
			return part;
		}
	}
	return NULL;
}

int
tensors_walk(struct cb_tensors_hold *h, const struct cb_value *root)
{
	const struct cb_value *part;
	int depth;

	h->pub.inside = "";
	part = cb_value_get(root, "__author__");
	h->pub.torchvision = part != NULL && cb_value_is(part, "torchvision");
	for (depth = 0; depth < DEPTH_MAX; depth++) {
		if ((part = unwrap(root, &h->pub.inside)) == NULL)
			break;
		root = part;
	}
	if (walk(h, "", root, 0) < 0)
		return -1;
	h->pub.at = h->list;
	return 0;
}

/* ---- any file -------------------------------------------------------------- */

void
cb_tensors_view(struct cb_tensors *out, const struct cb_safetensors *f)
{
	*out = (struct cb_tensors){ .path = cb_safetensors_name(f),
	    .format = "safetensors", .inside = "",
	    .n = cb_safetensors_count(f) };
	if (out->n > 0)
		out->at = cb_safetensors_at(f, 0);
}

static int
open_any(struct cb_tensors_hold *h)
{
	const uint8_t *p = h->data;

	if (h->bytes >= 4 && memcmp(p, "PK\3\4", 4) == 0)
		return torch_open_zip(h);
	if (h->bytes >= 2 && p[0] == 0x80 && p[1] >= 2 && p[1] <= 5 &&
	    !(h->bytes > 8 && p[8] == '{' && memcmp(p + 4, "\0\0\0", 4) == 0))
		return torch_open_pickle(h);
	if (h->bytes >= 2 && memcmp(p, "(d", 2) == 0)
		return cb_fail(CB_EFORMAT, "%s: a pickle of protocol 0 or 1: "
		    "write it again with protocol 2", h->path);
	if (cb_safetensors_parse(&h->safe, p, h->bytes, h->path) < 0)
		return -1;
	cb_tensors_view(&h->pub, h->safe);
	h->pub.path = h->path;
	return 0;
}

int
cb_tensors_parse(struct cb_tensors **out, const void *data, int64_t bytes,
    const char *path)
{
	struct cb_tensors_hold *h;

	if ((h = calloc(1, sizeof(*h))) == NULL)
		return cb_fail(CB_ENOMEM, "%s", path);
	h->pub.hold = h;
	h->pub.path = h->path = cb_strf("%s", path);
	h->data = data;
	h->bytes = bytes;
	h->budget = bytes < INT64_MAX / TIMES_MAX - 65536 ?
	    TIMES_MAX * bytes + 65536 : INT64_MAX;
	cb_pickle_init(&h->pickle, h->path);
	if (open_any(h) < 0) {
		cb_tensors_close(&h->pub);
		return -1;
	}
	h->pub.hold = h;	/* a view has set it to NULL */
	*out = &h->pub;
	return 0;
}

int
cb_tensors_open(struct cb_tensors **out, const char *path)
{
	int64_t bytes;
	void *map;

	if (cb_file_map(&map, &bytes, path) < 0)
		return -1;
	if (cb_tensors_parse(out, map, bytes, path) < 0) {
		cb_file_unmap(map, bytes);
		return -1;
	}
	(*out)->hold->map = map;
	return 0;
}

void
cb_tensors_close(struct cb_tensors *f)
{
	struct cb_tensors_hold *h = f != NULL ? f->hold : NULL;
	int i;

	if (h == NULL)
		return;
	for (i = 0; h->list != NULL && i < f->n; i++)
		free(h->copies[i]);
	cb_safetensors_close(h->safe);
	cb_pickle_clear(&h->pickle);
	cb_file_unmap(h->map, h->bytes);
	free(h->copies);
	free(h->list);
	free(h->entries);
	free(h->path);
	free(h);
}

const struct cb_array *
cb_tensors_find(const struct cb_tensors *f, const char *name)
{
	int i;

	for (i = 0; i < f->n; i++)
		if (strcmp(f->at[i].name, name) == 0)
			return &f->at[i].array;
	return NULL;
}
