/*
 * Messages and the values in them: reading maps, making objects, copying.
 * Whatever a message holds lives in its zone; big data that is not allocated
 * there (tensors, the bytes of strings) is freed by finalizers of the zone.
 */
#include <stdlib.h>
#include <string.h>

#include "stream/wire.h"

#define ZONE_CHUNK 4096

void *
wire_zalloc(struct cb_msg *m, size_t bytes)
{
	void *p = msgpack_zone_malloc(m->zone, bytes > 0 ? bytes : 1);

	if (p == NULL)
		abort();
	return p;
}

int
wire_msg_wrap(struct cb_msg **out, msgpack_zone *zone, msgpack_object root)
{
	struct cb_msg *m;

	if ((m = calloc(1, sizeof(*m))) == NULL) {
		msgpack_zone_free(zone);
		return cb_fail(CB_ENOMEM, "message");
	}
	m->zone = zone;
	m->root = root;
	*out = m;
	return 0;
}

int
cb_msg_new(struct cb_msg **out)
{
	msgpack_object root = { .type = MSGPACK_OBJECT_MAP };
	msgpack_zone *zone;

	if ((zone = msgpack_zone_new(ZONE_CHUNK)) == NULL)
		return cb_fail(CB_ENOMEM, "message");
	return wire_msg_wrap(out, zone, root);
}

void
cb_msg_free(struct cb_msg *m)
{
	if (m == NULL)
		return;
	msgpack_zone_free(m->zone);
	free(m);
}

/* ---- reading ------------------------------------------------------------ */

bool
wire_is(const msgpack_object *o, const char *text, size_t n)
{
	return o != NULL && o->type == MSGPACK_OBJECT_STR &&
	    o->via.str.size == n &&
	    (n == 0 || memcmp(o->via.str.ptr, text, n) == 0);
}

bool
cb_obj_is(const msgpack_object *o, const char *text)
{
	return wire_is(o, text, strlen(text));
}

const msgpack_object *
cb_map_get(const msgpack_object *map, const char *key)
{
	size_t n = strlen(key);
	uint32_t i;

	if (map == NULL || map->type != MSGPACK_OBJECT_MAP)
		return NULL;
	for (i = 0; i < map->via.map.size; i++)
		if (wire_is(&map->via.map.ptr[i].key, key, n))
			return &map->via.map.ptr[i].val;
	return NULL;
}

msgpack_object *
cb_msg_map(struct cb_msg *m, const char *key)
{
	const msgpack_object *o = cb_map_get(&m->root, key);

	if (o == NULL || o->type != MSGPACK_OBJECT_MAP)
		return NULL;
	return (msgpack_object *)o;	/* m is ours to change */
}

static const msgpack_object *
need(const msgpack_object *map, const char *key)
{
	const msgpack_object *o = cb_map_get(map, key);

	if (o == NULL)
		cb_fail(CB_EMISSING, "key \"%s\" is missing", key);
	return o;
}

int
cb_map_int(const msgpack_object *map, const char *key, int64_t *out)
{
	const msgpack_object *o = need(map, key);

	if (o == NULL)
		return -1;
	if (o->type == MSGPACK_OBJECT_NEGATIVE_INTEGER) {
		*out = o->via.i64;
		return 0;
	}
	if (o->type != MSGPACK_OBJECT_POSITIVE_INTEGER)
		return cb_fail(CB_EFORMAT, "key \"%s\" is not an integer", key);
	if (o->via.u64 > INT64_MAX)
		return cb_fail(CB_ELIMIT, "key \"%s\": %llu is too large", key,
		    (unsigned long long)o->via.u64);
	*out = (int64_t)o->via.u64;
	return 0;
}

int
cb_map_real(const msgpack_object *map, const char *key, double *out)
{
	const msgpack_object *o = need(map, key);

	if (o == NULL)
		return -1;
	switch (o->type) {
	case MSGPACK_OBJECT_FLOAT32:
	case MSGPACK_OBJECT_FLOAT64:
		*out = o->via.f64;
		return 0;
	case MSGPACK_OBJECT_POSITIVE_INTEGER:
		*out = (double)o->via.u64;
		return 0;
	case MSGPACK_OBJECT_NEGATIVE_INTEGER:
		*out = (double)o->via.i64;
		return 0;
	default:
		return cb_fail(CB_EFORMAT, "key \"%s\" is not a number", key);
	}
}

int
cb_map_text(const msgpack_object *map, const char *key, char **out)
{
	const msgpack_object *o = need(map, key);
	char *s;

	if (o == NULL)
		return -1;
	if (o->type != MSGPACK_OBJECT_STR)
		return cb_fail(CB_EFORMAT, "key \"%s\" is not a text", key);
	if ((s = malloc((size_t)o->via.str.size + 1)) == NULL)
		return cb_fail(CB_ENOMEM, "key \"%s\"", key);
	if (o->via.str.size > 0)
		memcpy(s, o->via.str.ptr, o->via.str.size);
	s[o->via.str.size] = '\0';
	*out = s;
	return 0;
}

int
cb_map_array(const msgpack_object *map, const char *key, struct cb_array *out)
{
	const msgpack_object *o = need(map, key);

	if (o == NULL)
		return -1;
	if (cb_obj_array(o, out) < 0)
		return cb_fail(CB_EFORMAT, "key \"%s\" is not a tensor", key);
	return 0;
}

int
cb_obj_array(const msgpack_object *o, struct cb_array *out)
{
	if (o == NULL || o->type != MSGPACK_OBJECT_EXT ||
	    o->via.ext.type != CB_EXT_TENSOR ||
	    o->via.ext.size != sizeof(*out))
		return cb_fail(CB_EFORMAT, "not a tensor");
	memcpy(out, o->via.ext.ptr, sizeof(*out));	/* may be unaligned */
	return 0;
}

enum cb_msg_kind
cb_msg_kind(const struct cb_msg *m)
{
	static const struct {
		const char *key;
		enum cb_msg_kind kind;
	} kinds[] = {
		{ "picture", CB_MSG_PICTURE }, { "group", CB_MSG_GROUP },
		{ "end", CB_MSG_END }, { "batch", CB_MSG_BATCH },
		{ "eos", CB_MSG_EOS }, { "cb", CB_MSG_HEADER },
	};
	size_t i;

	for (i = 0; i < CB_LEN(kinds); i++)
		if (cb_map_get(&m->root, kinds[i].key) != NULL)
			return kinds[i].kind;
	return CB_MSG_OTHER;
}

/* ---- making ------------------------------------------------------------- */

msgpack_object
cb_obj_nil(void)
{
	return (msgpack_object){ .type = MSGPACK_OBJECT_NIL };
}

msgpack_object
cb_obj_bool(bool v)
{
	return (msgpack_object){ .type = MSGPACK_OBJECT_BOOLEAN,
	    .via.boolean = v };
}

msgpack_object
cb_obj_int(int64_t v)
{
	if (v < 0)
		return (msgpack_object){
		    .type = MSGPACK_OBJECT_NEGATIVE_INTEGER, .via.i64 = v };
	return (msgpack_object){ .type = MSGPACK_OBJECT_POSITIVE_INTEGER,
	    .via.u64 = (uint64_t)v };
}

msgpack_object
cb_obj_real(double v)
{
	return (msgpack_object){ .type = MSGPACK_OBJECT_FLOAT64,
	    .via.f64 = v };
}

static char *
keep_bytes(struct cb_msg *m, const char *p, size_t n)
{
	char *copy = wire_zalloc(m, n);

	if (n > 0)
		memcpy(copy, p, n);
	return copy;
}

static msgpack_object
text_n(struct cb_msg *m, const char *text, size_t n)
{
	msgpack_object o = { .type = MSGPACK_OBJECT_STR };

	o.via.str.ptr = keep_bytes(m, text, n);
	o.via.str.size = (uint32_t)n;
	return o;
}

msgpack_object
cb_obj_text(struct cb_msg *m, const char *text)
{
	return text_n(m, text, strlen(text));
}

msgpack_object
cb_obj_map(struct cb_msg *m, int room)
{
	msgpack_object o = { .type = MSGPACK_OBJECT_MAP };

	(void)m;		/* cb_map_set() makes the room it needs */
	(void)room;
	return o;
}

msgpack_object
cb_obj_list(struct cb_msg *m, int n)
{
	msgpack_object o = { .type = MSGPACK_OBJECT_ARRAY };
	int i;

	o.via.array.ptr = wire_zalloc(m, sizeof(o) * (size_t)n);
	o.via.array.size = (uint32_t)n;
	for (i = 0; i < n; i++)
		o.via.array.ptr[i] = cb_obj_nil();
	return o;
}

msgpack_object
cb_obj_tensor(struct cb_msg *m, const struct cb_array *a)
{
	msgpack_object o = { .type = MSGPACK_OBJECT_EXT };

	o.via.ext.type = CB_EXT_TENSOR;
	o.via.ext.size = sizeof(*a);
	o.via.ext.ptr = keep_bytes(m, (const char *)a, sizeof(*a));
	return o;
}

msgpack_object
cb_obj_tensor_take(struct cb_msg *m, struct cb_array *a)
{
	msgpack_object o = cb_obj_tensor(m, a);

	if (!msgpack_zone_push_finalizer(m->zone, free, a->data))
		abort();
	memset(a, 0, sizeof(*a));
	return o;
}

/*
 * A fresh array of pairs each time one is added: maps have a handful of keys,
 * and those that arrived from outside have no spare room.
 */
void
cb_map_set(struct cb_msg *m, msgpack_object *map, const char *key,
    msgpack_object value)
{
	uint32_t n = map->via.map.size;
	msgpack_object_kv *kv;
	msgpack_object *old;

	if ((old = (msgpack_object *)cb_map_get(map, key)) != NULL) {
		*old = value;
		return;
	}
	kv = wire_zalloc(m, sizeof(*kv) * ((size_t)n + 1));
	if (n > 0)
		memcpy(kv, map->via.map.ptr, sizeof(*kv) * n);
	kv[n].key = cb_obj_text(m, key);
	kv[n].val = value;
	map->via.map.ptr = kv;
	map->via.map.size = n + 1;
}

static msgpack_object
copy_tensor(struct cb_msg *m, const msgpack_object *o)
{
	struct cb_array a, copy;

	cb_obj_array(o, &a);
	if (cb_array_init(&copy, a.type, a.rank, a.dim) < 0)
		abort();
	if (cb_array_bytes(&a) > 0)
		memcpy(copy.data, a.data, cb_array_bytes(&a));
	return cb_obj_tensor_take(m, &copy);
}

msgpack_object
cb_obj_copy(struct cb_msg *m, const msgpack_object *o)
{
	msgpack_object c = *o;
	struct cb_array a;
	uint32_t i;

	switch (o->type) {
	case MSGPACK_OBJECT_STR:
		return text_n(m, o->via.str.ptr, o->via.str.size);
	case MSGPACK_OBJECT_BIN:
		c.via.bin.ptr = keep_bytes(m, o->via.bin.ptr, o->via.bin.size);
		return c;
	case MSGPACK_OBJECT_EXT:
		if (cb_obj_array(o, &a) == 0)
			return copy_tensor(m, o);
		c.via.ext.ptr = keep_bytes(m, o->via.ext.ptr, o->via.ext.size);
		return c;
	case MSGPACK_OBJECT_ARRAY:
		c = cb_obj_list(m, (int)o->via.array.size);
		for (i = 0; i < c.via.array.size; i++)
			c.via.array.ptr[i] = cb_obj_copy(m,
			    &o->via.array.ptr[i]);
		return c;
	case MSGPACK_OBJECT_MAP:
		c.via.map.ptr = wire_zalloc(m, sizeof(*c.via.map.ptr) *
		    (size_t)c.via.map.size);
		for (i = 0; i < c.via.map.size; i++) {
			c.via.map.ptr[i].key = cb_obj_copy(m,
			    &o->via.map.ptr[i].key);
			c.via.map.ptr[i].val = cb_obj_copy(m,
			    &o->via.map.ptr[i].val);
		}
		return c;
	default:
		return c;
	}
}
