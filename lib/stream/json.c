/* Values as JSON, for people and jq, and JSON as values. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "stream/wire.h"

/* Length of the valid UTF-8 character at p, 0 where there is none. */
static size_t
utf8_char(const unsigned char *p, size_t left)
{
	size_t n = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 :
	    p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0, i;

	if (n == 0 || n > left)
		return 0;
	for (i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
	    (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;		/* overlong, a surrogate, too high */
	return n;
}

/* Bytes that are not UTF-8 become U+FFFD; yours to free. */
static char *
valid_text(const char *p, size_t n, size_t *out_n)
{
	size_t i = 0, k = 0, c;
	char *s = malloc(3 * n + 1);

	if (s == NULL)
		abort();
	while (i < n) {
		c = utf8_char((const unsigned char *)p + i, n - i);
		if (c == 0) {
			memcpy(s + k, "\xef\xbf\xbd", 3);
			k += 3;
			i++;
			continue;
		}
		memcpy(s + k, p + i, c);
		k += c;
		i += c;
	}
	s[k] = '\0';
	*out_n = k;
	return s;
}

static json_t *
json_text(const char *p, size_t n)
{
	char *s = valid_text(p, n, &n);
	json_t *v = json_stringn_nocheck(s, n);

	free(s);
	return v;
}

static json_t *
json_bytes(const char *name, const char *p, uint32_t n)
{
	char hex[65];

	cb_sha256(hex, n > 0 ? p : "", n);
	return json_pack("{s:I, s:s}", name, (json_int_t)n, "sha256", hex);
}

static json_t *
json_tensor(const struct cb_array *a)
{
	json_t *shape = json_array();
	char hex[65];
	int i;

	for (i = 0; i < a->rank; i++)
		json_array_append_new(shape, json_integer(a->dim[i]));
	cb_sha256(hex, a->data, cb_array_bytes(a));
	return json_pack("{s:s, s:o, s:s}", "dtype", cb_dtype_name(a->type),
	    "shape", shape, "sha256", hex);
}

static json_t *
json_real_any(double v)
{
	if (isfinite(v))
		return json_real(v);
	return json_string(isnan(v) ? "NaN" : v > 0 ? "Infinity" :
	    "-Infinity");
}

static void
json_pair(json_t *to, const msgpack_object_kv *kv)
{
	const msgpack_object *key = &kv->key;
	json_t *v = cb_obj_json(&kv->val), *k;
	char *s;
	size_t n;

	if (key->type == MSGPACK_OBJECT_STR) {
		s = valid_text(key->via.str.ptr, key->via.str.size, &n);
	} else {			/* JSON's own text of the key */
		k = cb_obj_json(key);
		s = cb_json_text(k);
		n = strlen(s);
		json_decref(k);
	}
	json_object_setn_new_nocheck(to, s, n, v);
	free(s);
}

json_t *
cb_obj_json(const msgpack_object *o)
{
	struct cb_array a;
	json_t *v;
	uint32_t i;

	switch (o->type) {
	case MSGPACK_OBJECT_BOOLEAN:
		return json_boolean(o->via.boolean);
	case MSGPACK_OBJECT_POSITIVE_INTEGER:
		if (o->via.u64 > INT64_MAX)
			return json_real((double)o->via.u64);
		return json_integer((json_int_t)o->via.u64);
	case MSGPACK_OBJECT_NEGATIVE_INTEGER:
		return json_integer(o->via.i64);
	case MSGPACK_OBJECT_FLOAT32:
	case MSGPACK_OBJECT_FLOAT64:
		return json_real_any(o->via.f64);
	case MSGPACK_OBJECT_STR:
		return json_text(o->via.str.ptr, o->via.str.size);
	case MSGPACK_OBJECT_BIN:
		return json_bytes("bin", o->via.bin.ptr, o->via.bin.size);
	case MSGPACK_OBJECT_EXT:
		if (cb_obj_array(o, &a) == 0)
			return json_tensor(&a);
		v = json_bytes("bytes", o->via.ext.ptr, o->via.ext.size);
		json_object_set_new(v, "ext", json_integer(o->via.ext.type));
		return v;
	case MSGPACK_OBJECT_ARRAY:
		v = json_array();
		for (i = 0; i < o->via.array.size; i++)
			json_array_append_new(v,
			    cb_obj_json(&o->via.array.ptr[i]));
		return v;
	case MSGPACK_OBJECT_MAP:
		v = json_object();
		for (i = 0; i < o->via.map.size; i++)
			json_pair(v, &o->via.map.ptr[i]);
		return v;
	default:
		return json_null();
	}
}

static msgpack_object
text_of(struct cb_msg *m, const char *p, size_t n)
{
	msgpack_object o = { .type = MSGPACK_OBJECT_STR };

	o.via.str.ptr = p;
	o.via.str.size = (uint32_t)n;
	return cb_obj_copy(m, &o);
}

static msgpack_object
list_from(struct cb_msg *m, const json_t *v)
{
	msgpack_object o = cb_obj_list(m, (int)json_array_size(v));
	uint32_t i;

	for (i = 0; i < o.via.array.size; i++)
		o.via.array.ptr[i] = cb_obj_from_json(m,
		    json_array_get(v, i));
	return o;
}

static msgpack_object
map_from(struct cb_msg *m, const json_t *v)
{
	msgpack_object o = { .type = MSGPACK_OBJECT_MAP };
	size_t room = json_object_size(v), n;
	const char *key;
	json_t *item;
	uint32_t i = 0;

	o.via.map.ptr = wire_zalloc(m, sizeof(*o.via.map.ptr) * room);
	json_object_keylen_foreach((json_t *)v, key, n, item) {
		o.via.map.ptr[i].key = text_of(m, key, n);
		o.via.map.ptr[i++].val = cb_obj_from_json(m, item);
	}
	o.via.map.size = i;
	return o;
}

msgpack_object
cb_obj_from_json(struct cb_msg *m, const json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_OBJECT:
		return map_from(m, v);
	case JSON_ARRAY:
		return list_from(m, v);
	case JSON_STRING:
		return text_of(m, json_string_value(v), json_string_length(v));
	case JSON_INTEGER:
		return cb_obj_int(json_integer_value(v));
	case JSON_REAL:
		return cb_obj_real(json_real_value(v));
	case JSON_TRUE:
	case JSON_FALSE:
		return cb_obj_bool(json_is_true(v));
	default:
		return cb_obj_nil();
	}
}
