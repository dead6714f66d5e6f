/*
 * Files of PyTorch, of both its formats: a pickle of tensors that are views of
 * storages, and where the storages stand.
 */
#include <stdlib.h>
#include <string.h>

#include "torch.h"

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

int
torch_open_zip(struct cb_tensors_hold *h)
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
	return tensors_walk(h, root);
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

int
torch_open_pickle(struct cb_tensors_hold *h)
{
	struct cb_value *v[5], *little;
	int64_t at = 0, used;
	int i;

	h->pub.format = "pickle";
	if (cb_pickle_load(&v[0], &h->pickle, h->data, h->bytes, &at) < 0)
		return -1;
	if (v[0]->kind != CB_V_BIG || v[0]->s.n != sizeof(magic) ||
	    memcmp(v[0]->s.at, magic, sizeof(magic)) != 0)
		return tensors_walk(h, v[0]);
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
	return tensors_walk(h, v[3]);
}
