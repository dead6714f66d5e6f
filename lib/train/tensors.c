/*
 * Tensors out of whatever file: what is in it is told by its first bytes, and
 * the names are gathered into one list.  Where the numbers stand in the file as
 * we want them they are used there; where not (other strides, byte order or
 * width) they are copied.
 */
#include <stdlib.h>
#include <string.h>

#include "pickle.h"
#include "tensors.h"

#define NAME_MAX_BYTES 500
#define DEPTH_MAX 16
#define VALUES_MAX (1 << 22)
/* Views may overlap: so much more than the file itself its tensors may be. */
#define TIMES_MAX 8

struct cb_tensors_hold {
	struct cb_tensors pub;
	char *path;
	void *map;
	const uint8_t *data;
	int64_t bytes;
	struct cb_safetensors *safe;
	struct cb_pickle pickle;
	struct cb_zip_entry *entries;
	int nentries;
	struct cb_tensor *list;
	void **copies;		/* [room] mostly NULL */
	int room;
	int64_t budget;		/* bytes that tensors may still have */
	int values;		/* looked at */
};

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

static int
walk_root(struct cb_tensors_hold *h, const struct cb_value *root)
{
	const struct cb_value *part;
	int depth;

	h->pub.inside = "";
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

/* ---- PyTorch, zip ---------------------------------------------------------- */

/* The entry that ends in /data.pkl, and what stands before it. */
static const struct cb_zip_entry *
find_pickle(const struct cb_tensors_hold *h, int *prefix)
{
	static const char want[] = "data.pkl";
	int n = (int)strlen(want), i;

	for (i = 0; i < h->nentries; i++) {
		const struct cb_zip_entry *e = &h->entries[i];

		*prefix = e->name_bytes - n;
		if (*prefix >= 0 && memcmp(e->name + *prefix, want, n) == 0 &&
		    (*prefix == 0 || e->name[*prefix - 1] == '/'))
			return e;
	}
	return NULL;
}

/* PREFIX + name [+ key]; NULL where it is not there or packed. */
static const struct cb_zip_entry *
find_part(const struct cb_tensors_hold *h, const struct cb_zip_entry *pickle,
    int prefix, const char *part, const char *key, int64_t key_bytes)
{
	const struct cb_zip_entry *e;
	char *name;

	if (key_bytes > 1000)
		return NULL;
	name = cb_strf("%.*s%s%.*s", prefix, pickle->name, part,
	    (int)key_bytes, key);
	e = cb_zip_find(h->entries, h->nentries, name, (int64_t)strlen(name));
	free(name);
	return e != NULL && e->method == 0 ? e : NULL;
}

static int
open_zip(struct cb_tensors_hold *h)
{
	const struct cb_zip_entry *e, *pickle;
	struct cb_value *root;
	struct cb_storage *s;
	int64_t used;
	bool swap;
	int prefix;

	h->pub.format = "PyTorch zip";
	h->pickle.torch = true;
	if (cb_zip_open(&h->entries, &h->nentries, h->data, h->bytes,
	    h->path) < 0)
		return -1;
	if ((pickle = find_pickle(h, &prefix)) == NULL)
		return cb_fail(CB_EFORMAT, "%s: a zip archive without data.pkl: "
		    "not of PyTorch", h->path);
	if (pickle->method != 0)
		return cb_fail(CB_EFORMAT, "%s: a compressed zip archive: not "
		    "written by PyTorch", h->path);
	e = find_part(h, pickle, prefix, "byteorder", "", 0);
	swap = e != NULL && e->bytes == 3 && memcmp(e->data, "big", 3) == 0;
	if (cb_pickle_load(&root, &h->pickle, pickle->data, pickle->bytes,
	    &used) < 0)
		return -1;
	for (s = h->pickle.storages; s != NULL; s = s->next) {
		s->swap = swap;
		e = find_part(h, pickle, prefix, "data/", s->key,
		    s->key_bytes);
		if (e != NULL) {
			s->data = e->data;
			s->bytes = e->bytes;
		}
	}
	return walk_root(h, root);
}

/* ---- PyTorch before 1.6 ---------------------------------------------------- */

/* 0x1950a86a20f9469cfc6c, by which the first pickle is known */
static const uint8_t magic[] = { 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8,
	0x50, 0x19 };

static int
compare_key(const void *a, const void *b)
{
	const struct cb_storage *x = *(struct cb_storage *const *)a;
	const struct cb_storage *y = *(struct cb_storage *const *)b;
	int64_t n = x->key_bytes < y->key_bytes ? x->key_bytes : y->key_bytes;
	int c = n > 0 ? memcmp(x->key, y->key, n) : 0;

	return c != 0 ? c : (x->key_bytes > y->key_bytes) -
	    (x->key_bytes < y->key_bytes);
}

/* The data of one storage: 8 bytes with the number of elements, the elements. */
static int
place_storage(struct cb_tensors_hold *h, struct cb_storage **sorted,
    const struct cb_value *key, int64_t *at, bool swap)
{
	struct cb_storage want = { 0 }, *p = &want, **hit, **end;
	int64_t bytes;
	uint64_t count;

	if (key->kind != CB_V_STR)
		return cb_fail(CB_EFORMAT, "%s: a storage without a key",
		    h->path);
	want.key = (const char *)key->s.at;
	want.key_bytes = key->s.n;
	end = sorted + h->pickle.nstorages;
	hit = bsearch(&p, sorted, h->pickle.nstorages, sizeof(*sorted),
	    compare_key);
	if (hit == NULL)
		return cb_fail(CB_EFORMAT, "%s: a storage that no tensor has",
		    h->path);
	if (h->bytes - *at < 8)
		return cb_fail(CB_EFORMAT, "%s: cut short", h->path);
	memcpy(&count, h->data + *at, 8);
	*at += 8;
	if (swap)
		count = __builtin_bswap64(count);
	if (count > (uint64_t)(h->bytes - *at) / (*hit)->type->bytes)
		return cb_fail(CB_EFORMAT, "%s: cut short: a storage of %llu "
		    "numbers in the last %lld bytes", h->path,
		    (unsigned long long)count, (long long)(h->bytes - *at));
	bytes = (int64_t)count * (*hit)->type->bytes;
	while (hit > sorted && compare_key(hit - 1, &p) == 0)
		hit--;
	for (; hit < end && compare_key(hit, &p) == 0 &&
	    (*hit)->data == NULL; hit++) {
		(*hit)->data = h->data + *at;
		(*hit)->bytes = bytes;
		(*hit)->swap = swap;
	}
	*at += bytes;
	return 0;
}

static int
place_storages(struct cb_tensors_hold *h, const struct cb_value *keys,
    int64_t at, bool swap)
{
	struct cb_storage **sorted, *s;
	int i = 0, rc = 0;

	if (keys->kind != CB_V_LIST)
		return cb_fail(CB_EFORMAT, "%s: no list of storages", h->path);
	sorted = malloc(sizeof(*sorted) * ((size_t)h->pickle.nstorages + 1));
	if (sorted == NULL)
		return cb_fail(CB_ENOMEM, "%s", h->path);
	for (s = h->pickle.storages; s != NULL; s = s->next)
		sorted[i++] = s;
	qsort(sorted, i, sizeof(*sorted), compare_key);
	for (i = 0; rc == 0 && i < keys->list.n; i++)
		rc = place_storage(h, sorted, keys->list.at[i], &at, swap);
	free(sorted);
	return rc;
}

/* A pickle on its own, or magic, protocol, system, weights, storage keys and
 * then the storages. */
static int
open_pickle(struct cb_tensors_hold *h)
{
	struct cb_value *v[5], *little;
	int64_t at = 0, used;
	int i;

	h->pub.format = "pickle";
	if (cb_pickle_load(&v[0], &h->pickle, h->data, h->bytes, &at) < 0)
		return -1;
	if (v[0]->kind != CB_V_BIG || v[0]->s.n != sizeof(magic) ||
	    memcmp(v[0]->s.at, magic, sizeof(magic)) != 0)
		return walk_root(h, v[0]);
	h->pub.format = "PyTorch legacy";
	h->pickle.torch = true;
	for (i = 1; i < 5; i++, at += used)
		if (cb_pickle_load(&v[i], &h->pickle, h->data + at,
		    h->bytes - at, &used) < 0)
			return -1;
	if (v[1]->kind != CB_V_INT || v[1]->i != 1001)
		return cb_fail(CB_EFORMAT, "%s: not of PyTorch's protocol 1001",
		    h->path);
	little = cb_value_get(v[2], "little_endian");
	if (place_storages(h, v[4], at, little != NULL &&
	    little->kind == CB_V_BOOL && !little->i) < 0)
		return -1;
	return walk_root(h, v[3]);
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
		return open_zip(h);
	if (h->bytes >= 2 && p[0] == 0x80 && p[1] >= 2 && p[1] <= 5 &&
	    !(h->bytes > 8 && p[8] == '{' && memcmp(p + 4, "\0\0\0", 4) == 0))
		return open_pickle(h);
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
