/*
 * A batch that came as one, from cb-batch: its head is checked against itself
 * and the header, then its pictures are read to their end.  What is handed on
 * is borrowed from the messages.
 */
#include <stdlib.h>

#include "task/feed.h"

static int
small_int(const msgpack_object *map, const char *key, int *out)
{
	int64_t v;

	if (cb_map_int(map, key, &v) < 0)
		return -1;
	if (v < 1 || v > 1 << 20)
		return cb_fail(CB_EFORMAT, "\"%s\" is %lld", key,
		    (long long)v);
	*out = (int)v;
	return 0;
}

/* What the masked words were, if any are. */
static int
read_masked(struct cb_batch *b, const msgpack_object *map)
{
	const struct cb_array *a = &b->mlm_labels;

	if (cb_map_get(map, "mlm_labels") == NULL)
		return 0;
	if (cb_map_array(map, "mlm_labels", &b->mlm_labels) < 0)
		return -1;
	return a->type == CB_I32 && a->rank == 2 && a->dim[0] == b->N &&
	    a->dim[1] == b->L ? 0 : cb_fail(CB_EFORMAT,
	    "mlm_labels are not of the shape of ids");
}

static int
read_rows(struct cb_feed *f, struct cb_batch *b, const msgpack_object *map)
{
	const struct cb_array *a = &b->ids, *c = &b->labels;
	const msgpack_object *e = cb_map_get(map, "examples");

	if (cb_map_array(map, "ids", &b->ids) < 0 ||
	    cb_map_array(map, "mask", &b->mask) < 0)
		return -1;
	if (a->type != CB_I32 || a->rank != 2 || b->mask.type != CB_I32 ||
	    b->mask.rank != 2 || a->dim[0] != b->mask.dim[0] ||
	    a->dim[1] != b->mask.dim[1] || a->dim[0] < 1 ||
	    a->dim[0] > 1 << 24 || a->dim[1] < 1 || a->dim[1] > 1 << 20)
		return cb_fail(CB_EFORMAT, "ids and mask are not i32 [N,L]");
	b->N = (int)a->dim[0];
	b->L = (int)a->dim[1];
	if (read_masked(b, map) < 0)
		return -1;
	if (e == NULL || e->type != MSGPACK_OBJECT_ARRAY ||
	    e->via.array.size == 0 ||
	    b->N % (int64_t)e->via.array.size != 0)
		return cb_fail(CB_EFORMAT, "examples are not a list of %d",
		    b->N);
	b->examples = *e;
	if (cb_map_get(map, "labels") == NULL)
		return !f->o.need_labels ? 0 : cb_fail(CB_EFORMAT,
		    "there are no labels");
	if (cb_map_array(map, "labels", &b->labels) < 0)
		return -1;
	if (c->rank < 1 || c->dim[0] != (int64_t)e->via.array.size ||
	    !(((c->type == CB_I32 || c->type == CB_F32) && c->rank == 1) ||
	    (c->type == CB_F32 && c->rank == 2 && c->dim[1] == f->classes)))
		return cb_fail(CB_EFORMAT, "labels are neither i32 nor f32 "
		    "[N], nor f32 [N,%d]", f->classes);
	return 0;
}

/* One of the lists "groups" and "epochs". */
static int
read_numbers(struct cb_batch *b, const msgpack_object *map, const char *key)
{
	const msgpack_object *v = cb_map_get(map, key), *o;
	int64_t n;
	int i;

	if (v == NULL || v->type != MSGPACK_OBJECT_ARRAY ||
	    v->via.array.size != (uint32_t)b->B)
		return cb_fail(CB_EFORMAT, "\"%s\" is not a list of %d", key,
		    b->B);
	for (i = 0; i < b->B; i++) {
		o = &v->via.array.ptr[i];
		if (o->type != MSGPACK_OBJECT_POSITIVE_INTEGER ||
		    o->via.u64 > INT64_MAX)
			return cb_fail(CB_EFORMAT, "\"%s\" is not of numbers",
			    key);
		n = (int64_t)o->via.u64;
		*(key[0] == 'g' ? &b->media[i].seq : &b->media[i].epoch) = n;
	}
	return 0;
}

static int
read_media(struct cb_batch *b, const msgpack_object *map)
{
	const msgpack_object *v = cb_map_get(map, "media"), *o;
	struct cb_array counts;
	int64_t rows = 0;
	int i;

	if (cb_map_array(map, "counts", &counts) < 0)
		return -1;
	if (counts.type != CB_I32 || counts.rank != 1 ||
	    counts.dim[0] != b->B || v == NULL ||
	    v->type != MSGPACK_OBJECT_ARRAY ||
	    v->via.array.size != (uint32_t)b->B)
		return cb_fail(CB_EFORMAT, "media and counts differ");
	for (i = 0; i < b->B; i++) {
		o = &v->via.array.ptr[i];
		if (o->type != MSGPACK_OBJECT_STR)
			return cb_fail(CB_EFORMAT, "media are not names");
		b->media[i].name = cb_strf("%.*s", (int)o->via.str.size,
		    o->via.str.size > 0 ? o->via.str.ptr : "");
		b->media[i].rows = ((int32_t *)counts.data)[i];
		if (b->media[i].rows < 0)
			return cb_fail(CB_EFORMAT, "a count is negative");
		rows += b->media[i].rows;
	}
	if (rows != b->N)
		return cb_fail(CB_EFORMAT, "counts add up to %lld, not %d",
		    (long long)rows, b->N);
	if (cb_map_get(map, "epochs") != NULL &&
	    read_numbers(b, map, "epochs") < 0)
		return -1;
	return read_numbers(b, map, "groups");
}

/* The head of a batch; m stays the caller's. */
static int
read_head(struct cb_feed *f, struct cb_batch *b, const struct cb_msg *m)
{
	const msgpack_object *map = cb_map_get(&m->root, "batch"), *v;

	if (cb_map_int(map, "seq", &b->seq) < 0 ||
	    feed_int_or(map, "epoch", &b->epoch) < 0 ||
	    small_int(map, "clips", &b->K) < 0 ||
	    small_int(map, "frames", &b->T) < 0)
		return -1;
	if (cb_map_get(map, "task") == NULL)
		b->task = cb_strf("%s", f->task);
	else if (cb_map_text(map, "task", &b->task) < 0)
		return -1;
	v = cb_map_get(map, "media");
	if (v == NULL || v->type != MSGPACK_OBJECT_ARRAY ||
	    v->via.array.size < 1 || v->via.array.size > 1 << 20)
		return cb_fail(CB_EFORMAT, "media are not a list");
	b->B = (int)v->via.array.size;
	if (read_rows(f, b, map) < 0 || batch_alloc(b) < 0)
		return -1;
	return read_media(b, map);
}

static int
read_pictures(struct cb_feed *f, struct cb_batch *b)
{
	int64_t n = (int64_t)b->B * b->K * b->T, i = 0;
	struct cb_msg *m;
	int rc = 0;

	while (rc == 0) {
		if (cb_reader_next(f->r, &m) <= 0)
			return -1;
		switch (cb_msg_kind(m)) {
		case CB_MSG_PICTURE:
			if (i == n || batch_place_picture(b, i, m) < 0) {
				rc = i < n ? -1 : cb_fail(CB_EFORMAT,
				    "more than %lld pictures", (long long)n);
				break;
			}
			i++;
			b->messages[b->nmessages++] = m;
			continue;
		case CB_MSG_END:
			rc = i == n ? 1 : cb_fail(CB_EFORMAT, "%lld pictures, "
			    "not %lld", (long long)i, (long long)n);
			break;
		default:
			rc = f->o.other != NULL ?
			    f->o.other(f->o.other_arg, m) : 0;
		}
		cb_msg_free(m);
	}
	return rc < 0 ? cb_fail_at("%s: batch %lld", f->name,
	    (long long)b->seq) : 0;
}

/* Takes m.  1; -1. */
int
batch_take(struct cb_feed *f, struct cb_batch **out, struct cb_msg *m)
{
	struct cb_batch *b;

	if ((b = calloc(1, sizeof(*b))) == NULL) {
		cb_msg_free(m);
		return cb_fail(CB_ENOMEM, "batch");
	}
	b->own = m;
	if (feed_check_ids(f) < 0) {
		cb_batch_free(b);
		return -1;
	}
	if (read_head(f, b, m) < 0) {
		cb_fail_at("%s: batch", f->name);
		cb_batch_free(b);
		return -1;
	}
	if (read_pictures(f, b) < 0) {
		cb_batch_free(b);
		return -1;
	}
	*out = b;
	return 1;
}
