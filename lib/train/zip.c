/*
 * The directory of a zip archive, as far as PyTorch uses it: entries stored
 * without compression, zip64 sizes and offsets.  APPNOTE.TXT of PKWARE, 4.3.
 * Entries are only listed here; one that is compressed is refused by whoever
 * wants it.
 */
#include <stdlib.h>
#include <string.h>

#include "pickle.h"

#define END_BYTES 22
#define COMMENT_MAX 65535
#define ENTRY_BYTES 46
#define LOCAL_BYTES 30

struct zip {
	const uint8_t *data;
	int64_t n;
	const char *path;
};

static uint64_t
get(const uint8_t *p, int bytes)
{
	uint64_t v = 0;
	int i;

	for (i = 0; i < bytes; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

static int
bad(const struct zip *z, const char *why)
{
	return cb_fail(CB_EFORMAT, "%s: zip archive: %s", z->path, why);
}

/* Are bytes at..at+n in the archive? */
static bool
has(const struct zip *z, uint64_t at, uint64_t n)
{
	return at <= (uint64_t)z->n && n <= (uint64_t)z->n - at;
}

/* Where the directory stands, and how many entries it has. */
static int
find_directory(const struct zip *z, uint64_t *at, uint64_t *bytes,
    uint64_t *count)
{
	const uint8_t *p = NULL;
	uint64_t where;
	int64_t i, least = z->n - END_BYTES - COMMENT_MAX;

	for (i = z->n - END_BYTES; i >= 0 && i >= least && p == NULL; i--)
		if (get(z->data + i, 4) == 0x06054b50)
			p = z->data + i;
	if (p == NULL)
		return bad(z, "has no end: cut short?");
	*count = get(p + 10, 2);
	*bytes = get(p + 12, 4);
	*at = get(p + 16, 4);
	i = p - z->data - 20;
	if (i >= 0 && get(z->data + i, 4) == 0x07064b50) {	/* zip64 */
		where = get(z->data + i + 8, 8);
		if (!has(z, where, 56) || get(z->data + where, 4) != 0x06064b50)
			return bad(z, "its zip64 end is not there");
		*count = get(z->data + where + 32, 8);
		*bytes = get(z->data + where + 40, 8);
		*at = get(z->data + where + 48, 8);
	}
	if (!has(z, *at, *bytes))
		return bad(z, "its directory is beyond its end");
	if (*count > *bytes / ENTRY_BYTES)
		return bad(z, "more entries than its directory has room for");
	return 0;
}

/* Sizes of 32 bits that are all ones stand, in this order, in the extra field. */
static int
read_zip64(const struct zip *z, const uint8_t *extra, int64_t n,
    uint64_t *const v[3])
{
	int64_t size = 0, at = 4;
	int i;

	while (n >= 4) {
		size = (int64_t)get(extra + 2, 2);
		if (size > n - 4)
			return bad(z, "a damaged extra field");
		if (get(extra, 2) == 1)
			break;
		extra += 4 + size;
		n -= 4 + size;
	}
	for (i = 0; i < 3; i++) {
		if (*v[i] != 0xffffffff)
			continue;
		if (n < 4 || at + 8 > 4 + size)
			return bad(z, "a size of zip64 is not there");
		*v[i] = get(extra + at, 8);
		at += 8;
	}
	return 0;
}

/* Reads one entry of the directory at *at, and its local header. */
static int
read_entry(struct cb_zip_entry *e, const struct zip *z, uint64_t *at,
    uint64_t end)
{
	const uint8_t *p = z->data + *at;
	uint64_t packed, bytes, local, name, extra, comment;
	uint64_t *const wide[3] = { &bytes, &packed, &local };

	if (end - *at < ENTRY_BYTES || get(p, 4) != 0x02014b50)
		return bad(z, "a damaged directory");
	e->method = (int)get(p + 10, 2);
	packed = get(p + 20, 4);
	bytes = get(p + 24, 4);
	name = get(p + 28, 2);
	extra = get(p + 30, 2);
	comment = get(p + 32, 2);
	local = get(p + 42, 4);
	if (end - *at - ENTRY_BYTES < name + extra + comment)
		return bad(z, "a damaged directory");
	e->name = (const char *)p + ENTRY_BYTES;
	e->name_bytes = (int)name;
	if (read_zip64(z, p + ENTRY_BYTES + name, (int64_t)extra, wide) < 0)
		return -1;
	*at += ENTRY_BYTES + name + extra + comment;
	if (!has(z, local, LOCAL_BYTES) ||
	    get(z->data + local, 4) != 0x04034b50)
		return bad(z, "an entry is not where the directory says");
	local += LOCAL_BYTES + get(z->data + local + 26, 2) +
	    get(z->data + local + 28, 2);
	if (!has(z, local, packed) || (e->method == 0 && packed != bytes))
		return bad(z, "an entry goes beyond its end");
	e->data = z->data + local;
	e->bytes = (int64_t)packed;
	return 0;
}

static int
compare(const void *a, const void *b)
{
	const struct cb_zip_entry *x = a, *y = b;
	int n = x->name_bytes < y->name_bytes ? x->name_bytes : y->name_bytes;
	int c = n > 0 ? memcmp(x->name, y->name, n) : 0;

	return c != 0 ? c : x->name_bytes - y->name_bytes;
}

int
cb_zip_open(struct cb_zip_entry **out, int *n, const uint8_t *data,
    int64_t bytes, const char *path)
{
	struct zip z = { data, bytes, path };
	struct cb_zip_entry *e;
	uint64_t at = 0, size = 0, count = 0, i, end;

	if (find_directory(&z, &at, &size, &count) < 0)
		return -1;
	if (count > INT32_MAX ||
	    (e = calloc(count + 1, sizeof(*e))) == NULL)
		return cb_fail(CB_ENOMEM, "%s", path);
	end = at + size;
	for (i = 0; i < count; i++) {
		if (read_entry(&e[i], &z, &at, end) < 0) {
			free(e);
			return -1;
		}
	}
	qsort(e, count, sizeof(*e), compare);
	*out = e;
	*n = (int)count;
	return 0;
}

const struct cb_zip_entry *
cb_zip_find(const struct cb_zip_entry *e, int n, const char *name,
    int64_t name_bytes)
{
	struct cb_zip_entry key = { .name = name };

	if (name_bytes > UINT16_MAX)
		return NULL;
	key.name_bytes = (int)name_bytes;
	return bsearch(&key, e, n, sizeof(*e), compare);
}
