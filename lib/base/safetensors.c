/*
 * Reading and writing safetensors files.  Everything in the header comes from
 * outside: it is checked once, when the file is opened, so that whoever uses a
 * tensor later can trust its shape and its memory.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "safetensors.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
    "arrays are used as they stand in the file");

#define HEADER_MAX 100000000	/* the cap of the original library */
#define META "__metadata__"
#define ALIGN 64

struct cb_safetensors {
	char *name;
	const uint8_t *bytes;
	int64_t nbytes;
	void *map;			/* NULL: bytes are borrowed */
	json_t *header;
	json_t *meta;			/* part of header, or NULL */
	struct cb_tensor *tensors;	/* in the order of the header */
	void **copies;			/* [n] aligned copies, mostly NULL */
	struct cb_tensor **by_name;
	int n;
};

/* ---- reading ------------------------------------------------------------- */

static int
bad(const struct cb_safetensors *f, const char *tensor, const char *why)
{
	return cb_fail(CB_EFORMAT, "%s: %s: %s", f->name, tensor, why);
}

/* Element type, shape and place of one tensor. */
static int
take_tensor(struct cb_safetensors *f, const char *name, const json_t *v,
    int64_t data_at)
{
	struct cb_tensor *t = &f->tensors[f->n];
	const json_t *type = json_object_get(v, "dtype");
	const json_t *shape = json_object_get(v, "shape");
	const json_t *place = json_object_get(v, "data_offsets");
	int64_t room = f->nbytes - data_at, begin, end, want;
	int i, rank;

	if (!json_is_string(type) || !json_is_array(shape) ||
	    !json_is_array(place) || json_array_size(place) != 2 ||
	    !json_is_integer(json_array_get(place, 0)) ||
	    !json_is_integer(json_array_get(place, 1)))
		return bad(f, name, "needs dtype, shape and data_offsets");
	if (cb_dtype_parse(&t->array.type, json_string_value(type)) < 0)
		return cb_fail_at("%s: %s", f->name, name);
	if (json_array_size(shape) > CB_MAX_RANK)
		return bad(f, name, "has too many dimensions");
	rank = (int)json_array_size(shape);
	for (i = 0; i < rank; i++) {
		if (!json_is_integer(json_array_get(shape, i)))
			return bad(f, name, "shape is not of whole numbers");
		t->array.dim[i] = json_integer_value(json_array_get(shape, i));
	}
	t->array.rank = rank;
	begin = json_integer_value(json_array_get(place, 0));
	end = json_integer_value(json_array_get(place, 1));
	if (begin < 0 || end < begin || end > room)
		return cb_fail(CB_EFORMAT, "%s: %s: bytes %lld to %lld of %lld: "
		    "the file is cut short or damaged", f->name, name,
		    (long long)begin, (long long)end, (long long)room);
	if (cb_size_mul(&want, (int64_t)cb_dtype_size(t->array.type), rank,
	    t->array.dim, INT64_MAX) < 0)
		return cb_fail_at("%s: %s", f->name, name);
	if (want != end - begin)
		return bad(f, name, "its bytes do not fit its shape");
	t->name = name;
	t->array.data = (void *)(uintptr_t)(f->bytes + data_at + begin);
	f->n++;
	return 0;
}

static int
compare_place(const void *a, const void *b)
{
	const struct cb_tensor *x = *(struct cb_tensor *const *)a;
	const struct cb_tensor *y = *(struct cb_tensor *const *)b;
	const char *p = x->array.data, *q = y->array.data;
	int64_t m = cb_array_bytes(&x->array), n = cb_array_bytes(&y->array);

	return p != q ? (p > q) - (p < q) : (m > n) - (m < n);
}

static int
compare_name(const void *a, const void *b)
{
	return strcmp((*(struct cb_tensor *const *)a)->name,
	    (*(struct cb_tensor *const *)b)->name);
}

/* Tensors cover the data exactly: nothing twice, nothing unnamed. */
static int
check_cover(struct cb_safetensors *f, int64_t data_at)
{
	const uint8_t *at = f->bytes + data_at;
	int i;

	qsort(f->by_name, f->n, sizeof(*f->by_name), compare_place);
	for (i = 0; i < f->n; i++) {
		const struct cb_array *a = &f->by_name[i]->array;

		if ((const uint8_t *)a->data < at)
			return bad(f, f->by_name[i]->name, "overlaps another");
		if ((const uint8_t *)a->data > at)
			return bad(f, f->by_name[i]->name,
			    "unnamed bytes before it");
		at += cb_array_bytes(a);
	}
	if (at != f->bytes + f->nbytes)
		return cb_fail(CB_EFORMAT, "%s: %lld unnamed bytes at the end",
		    f->name, (long long)(f->bytes + f->nbytes - at));
	qsort(f->by_name, f->n, sizeof(*f->by_name), compare_name);
	return 0;
}

/* A foreign file may put numbers at odd addresses: those are copied. */
static int
align_tensors(struct cb_safetensors *f)
{
	int i;

	for (i = 0; i < f->n; i++) {
		struct cb_array *a = &f->tensors[i].array;

		if ((uintptr_t)a->data % cb_dtype_size(a->type) == 0)
			continue;
		f->copies[i] = cb_alloc(cb_array_bytes(a));
		if (f->copies[i] == NULL)
			return cb_fail(CB_ENOMEM, "%s: %s", f->name,
			    f->tensors[i].name);
		memcpy(f->copies[i], a->data, cb_array_bytes(a));
		a->data = f->copies[i];
	}
	return 0;
}

static int
parse_header(struct cb_safetensors *f)
{
	const char *text = (const char *)f->bytes + 8, *key;
	json_error_t why;
	uint64_t length;
	json_t *v;
	size_t n;
	int i;

	if (f->nbytes < 8)
		return cb_fail(CB_EFORMAT, "%s: not a safetensors file: only "
		    "%lld bytes", f->name, (long long)f->nbytes);
	memcpy(&length, f->bytes, 8);
	if (length > HEADER_MAX)
		return cb_fail(CB_EFORMAT, "%s: not a safetensors file: a "
		    "header of %llu bytes", f->name,
		    (unsigned long long)length);
	if ((int64_t)length > f->nbytes - 8)
		return cb_fail(CB_EFORMAT, "%s: cut short: a header of %llu "
		    "bytes in a file of %lld", f->name,
		    (unsigned long long)length, (long long)f->nbytes);
	f->header = json_loadb(text, length, JSON_REJECT_DUPLICATES, &why);
	if (!json_is_object(f->header))
		return cb_fail(CB_EFORMAT, "%s: header: %s", f->name,
		    f->header == NULL ? why.text : "not an object");
	f->meta = json_object_get(f->header, META);
	if (f->meta != NULL && !json_is_object(f->meta))
		return bad(f, META, "not an object");
	json_object_foreach(f->meta, key, v)
		if (!json_is_string(v))
			return cb_fail(CB_EFORMAT, "%s: " META ": %s: not a "
			    "string", f->name, key);
	n = json_object_size(f->header);
	f->tensors = calloc(n + 1, sizeof(*f->tensors));
	f->by_name = calloc(n + 1, sizeof(*f->by_name));
	f->copies = calloc(n + 1, sizeof(*f->copies));
	if (f->tensors == NULL || f->by_name == NULL || f->copies == NULL)
		return cb_fail(CB_ENOMEM, "%s", f->name);
	json_object_foreach(f->header, key, v)
		if (v != f->meta &&
		    take_tensor(f, key, v, 8 + (int64_t)length) < 0)
			return -1;
	for (i = 0; i < f->n; i++)
		f->by_name[i] = &f->tensors[i];
	if (check_cover(f, 8 + (int64_t)length) < 0)
		return -1;
	return align_tensors(f);
}

int
cb_safetensors_parse(struct cb_safetensors **out, const void *data,
    int64_t bytes, const char *name)
{
	struct cb_safetensors *f;

	if ((f = calloc(1, sizeof(*f))) == NULL)
		return cb_fail(CB_ENOMEM, "%s", name);
	f->name = cb_strf("%s", name);
	f->bytes = data;
	f->nbytes = bytes;
	if (parse_header(f) < 0) {
		cb_safetensors_close(f);
		return -1;
	}
	*out = f;
	return 0;
}

int
cb_safetensors_open(struct cb_safetensors **out, const char *path)
{
	int64_t bytes;
	void *map;

	if (cb_file_map(&map, &bytes, path) < 0)
		return -1;
	if (cb_safetensors_parse(out, map, bytes, path) < 0) {
		cb_file_unmap(map, bytes);
		return -1;
	}
	(*out)->map = map;
	return 0;
}

void
cb_safetensors_close(struct cb_safetensors *f)
{
	int i;

	if (f == NULL)
		return;
	for (i = 0; i < f->n; i++)
		free(f->copies[i]);
	cb_file_unmap(f->map, f->nbytes);
	free(f->copies);
	free(f->tensors);
	free(f->by_name);
	json_decref(f->header);
	free(f->name);
	free(f);
}

const char *
cb_safetensors_name(const struct cb_safetensors *f)
{
	return f->name;
}

int
cb_safetensors_count(const struct cb_safetensors *f)
{
	return f->n;
}

const struct cb_tensor *
cb_safetensors_at(const struct cb_safetensors *f, int i)
{
	return &f->tensors[i];
}

const struct cb_array *
cb_safetensors_find(const struct cb_safetensors *f, const char *name)
{
	struct cb_tensor key = { .name = name }, *k = &key, **hit;

	if (f->n == 0)
		return NULL;
	hit = bsearch(&k, f->by_name, f->n, sizeof(*f->by_name), compare_name);
	return hit != NULL ? &(*hit)->array : NULL;
}

const json_t *
cb_safetensors_metadata(const struct cb_safetensors *f)
{
	return f->meta;
}

const char *
cb_safetensors_meta(const struct cb_safetensors *f, const char *key)
{
	return json_string_value(json_object_get(f->meta, key));
}

int
cb_safetensors_meta_json(json_t **out, const struct cb_safetensors *f,
    const char *key)
{
	const char *text = cb_safetensors_meta(f, key);
	json_error_t why;

	if (text == NULL)
		return cb_fail(CB_EMISSING, "%s: no \"%s\" in its metadata",
		    f->name, key);
	if ((*out = json_loads(text, JSON_DECODE_ANY, &why)) == NULL)
		return cb_fail(CB_EFORMAT, "%s: metadata \"%s\": %s", f->name,
		    key, why.text);
	return 0;
}

int
cb_safetensors_f32(const struct cb_safetensors *f, const char *name, int rank,
    const int64_t *dim, float *to)
{
	const struct cb_array *a = cb_safetensors_find(f, name);
	char is[128], must[128];

	if (a == NULL)
		return cb_fail(CB_EMISSING, "%s: no tensor %s", f->name, name);
	if (rank >= 0 && (a->rank != rank || (rank > 0 &&
	    memcmp(a->dim, dim, sizeof(*dim) * rank) != 0)))
		return cb_fail(CB_EFORMAT, "%s: %s: shape is %s, must be %s",
		    f->name, name, cb_shape_text(is, a->rank, a->dim),
		    cb_shape_text(must, rank, dim));
	cb_array_to_f32(to, a);
	return 0;
}

/* ---- writing --------------------------------------------------------------- */

static int
add_tensor(json_t *header, const struct cb_tensor *t, int64_t *at)
{
	int64_t bytes = cb_array_bytes(&t->array);
	json_t *shape, *v;
	int i;

	if (json_object_get(header, t->name) != NULL)
		return cb_fail(CB_EFORMAT, "%s: twice", t->name);
	shape = json_array();
	for (i = 0; i < t->array.rank; i++)
		json_array_append_new(shape, json_integer(t->array.dim[i]));
	v = json_pack("{s:s, s:o, s:[I, I]}", "dtype",
	    cb_dtype_name(t->array.type), "shape", shape, "data_offsets",
	    (json_int_t)*at, (json_int_t)(*at + bytes));
	if (json_object_set_new(header, t->name, v) < 0)
		return cb_fail(CB_EFORMAT, "%s: not a name", t->name);
	*at += bytes;
	return 0;
}

/* The header, padded with blanks so that the data starts at a multiple of 64. */
static int
make_header(char **out, size_t *bytes, const struct cb_tensor *t, int n,
    const json_t *meta)
{
	json_t *header = json_object();
	size_t length, padded;
	char *text = NULL, *more;
	int64_t at = 0;
	int i, rc = -1;

	if (meta != NULL &&
	    json_object_set_new(header, META, json_deep_copy(meta)) < 0) {
		cb_fail(CB_ENOMEM, "metadata");
		goto done;
	}
	for (i = 0; i < n; i++)
		if (add_tensor(header, &t[i], &at) < 0)
			goto done;
	if ((text = cb_json_text(header)) == NULL) {
		cb_fail(CB_ENOMEM, "header");
		goto done;
	}
	length = strlen(text);
	padded = (length + 8 + ALIGN - 1) / ALIGN * ALIGN - 8;
	if (padded > HEADER_MAX) {
		cb_fail(CB_ELIMIT, "a header of %zu bytes", padded);
		goto done;
	}
	if ((more = realloc(text, padded + 1)) == NULL) {
		cb_fail(CB_ENOMEM, "header");
		goto done;
	}
	text = more;
	memset(text + length, ' ', padded - length);
	*out = text;
	*bytes = padded;
	text = NULL;
	rc = 0;
done:
	free(text);
	json_decref(header);
	return rc;
}

int
cb_safetensors_write(const char *path, const struct cb_tensor *t, int n,
    const json_t *meta)
{
	struct cb_file *f = NULL;
	uint64_t length;
	char *head;
	size_t bytes;
	int i;

	if (make_header(&head, &bytes, t, n, meta) < 0)
		return cb_fail_at("%s", path);
	if (cb_file_create(&f, path) < 0) {
		free(head);
		return -1;
	}
	length = bytes;
	errno = 0;
	if (fwrite(&length, 8, 1, f->fp) != 1 ||
	    fwrite(head, 1, bytes, f->fp) != bytes)
		goto fail;
	for (i = 0; i < n; i++) {
		bytes = cb_array_bytes(&t[i].array);
		if (bytes > 0 &&
		    fwrite(t[i].array.data, 1, bytes, f->fp) != bytes)
			goto fail;
	}
	free(head);
	return cb_file_commit(f);
fail:
	cb_fail(CB_EIO, "%s", path);
	cb_file_discard(f);
	free(head);
	return -1;
}
