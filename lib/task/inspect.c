/* Streams looked over to the end: see check.h. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "task/check.h"

struct look {
	const struct cb_check_how *how;
	const char *name;
	json_t	*counts;
	json_t	*seqs, *ids;	/* what was there */
	const msgpack_object *header;
	int64_t	 labels;	/* how many; 0: unknown */
	int64_t	 groups, batches;
	bool	 batch;		/* the open one */
	int64_t	 seq, pictures;
};

static void CB_PRINTF(3, 4)
found(struct look *l, const char *kind, const char *fmt, ...)
{
	char *what = NULL, *all;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&what, fmt, ap) < 0)
		abort();
	va_end(ap);
	all = l->groups + l->batches == 0 ? cb_strf("%s: %s", l->name, what) :
	    cb_strf("%s: %s %lld: %s", l->name, l->batch ? "batch" : "group",
	    (long long)l->seq, what);
	l->how->found(l->how->arg, kind, all);
	free(all);
	free(what);
}

/* Was it there before?  It is now. */
static bool
again(json_t *set, const json_t *key)
{
	char *text = cb_json_text(key);
	bool is = json_object_get(set, text) != NULL;

	json_object_set_new_nocheck(set, text, json_true());
	free(text);
	return is;
}

static bool
blank(const msgpack_object *o)
{
	uint32_t i;

	if (o->type != MSGPACK_OBJECT_STR)
		return true;
	for (i = 0; i < o->via.str.size; i++)
		if (memchr(" \t\r\n", o->via.str.ptr[i], 4) == NULL)
			return false;
	return true;
}

static void
look_texts(struct look *l, const msgpack_object *example)
{
	static const char *const keys[] = { "question", "caption", "text" };
	const msgpack_object *v;
	int64_t texts = 0;
	uint32_t i;

	for (i = 0; i < CB_LEN(keys); i++) {
		if ((v = cb_map_get(example, keys[i])) == NULL)
			continue;
		texts = 1;
		if (blank(v))
			found(l, "text", "key \"%s\" is empty", keys[i]);
	}
	v = cb_map_get(example, "options");
	if (v != NULL && v->type == MSGPACK_OBJECT_ARRAY) {
		texts = v->via.array.size;
		for (i = 0; i < texts; i++)
			if (blank(&v->via.array.ptr[i]))
				found(l, "text", "option %u is no text", i);
	}
	if (texts == 0)
		found(l, "text", "an example without text");
	cb_count(l->counts, "texts", texts);
}

static void
look_number(struct look *l, const msgpack_object *o)
{
	if (o->type != MSGPACK_OBJECT_POSITIVE_INTEGER ||
	    (l->labels > 0 && o->via.u64 >= (uint64_t)l->labels))
		found(l, "answer", "a label that is none of %lld",
		    (long long)l->labels);
}

/* "label": a number; "labels": pairs of one and a score. */
static void
look_label(struct look *l, const msgpack_object *example)
{
	const msgpack_object *v = cb_map_get(example, "label"), *pair;
	uint32_t i;

	if (v != NULL)
		look_number(l, v);
	v = cb_map_get(example, "labels");
	for (i = 0; v != NULL && v->type == MSGPACK_OBJECT_ARRAY &&
	    i < v->via.array.size; i++) {
		pair = &v->via.array.ptr[i];
		if (pair->type == MSGPACK_OBJECT_ARRAY &&
		    pair->via.array.size == 2)
			look_number(l, &pair->via.array.ptr[0]);
		else
			found(l, "answer", "\"labels\" are no pairs of label "
			    "and score");
	}
}

/* An id belongs to one text, which may be asked of several media. */
static void
look_id(struct look *l, const msgpack_object *medium, const msgpack_object *id)
{
	json_t *key;

	if (medium == NULL || id == NULL)
		return;
	key = json_pack("[o,o]", cb_obj_json(medium), cb_obj_json(id));
	if (again(l->ids, key))
		found(l, "repeated", "an id that was there before");
	json_decref(key);
}

static void
look_examples(struct look *l, const msgpack_object *group)
{
	const msgpack_object *list = cb_map_get(group, "examples"), *e;
	const msgpack_object *split = cb_map_get(l->header, "split");
	/* in training an example may come again */
	bool once = split != NULL && cb_obj_is(split, "eval");
	uint32_t i;

	if (list == NULL || list->type != MSGPACK_OBJECT_ARRAY) {
		found(l, "text", "no list of examples");
		return;
	}
	if (list->via.array.size == 0 &&
	    cb_map_get(l->header, "task") != NULL)
		found(l, "text", "a medium without texts");
	for (i = 0; i < list->via.array.size; i++) {
		e = &list->via.array.ptr[i];
		look_texts(l, e);
		look_label(l, e);
		if (once)
			look_id(l, cb_map_get(group, "media"),
			    cb_map_get(e, "id"));
	}
	cb_count(l->counts, "examples", list->via.array.size);
}

/* An "error" of a group or an end. */
static bool
look_error(struct look *l, const msgpack_object *map)
{
	const msgpack_object *e = cb_map_get(map, "error");

	if (e == NULL || e->type != MSGPACK_OBJECT_STR)
		return false;
	found(l, "broken", "%.*s", (int)e->via.str.size, e->via.str.ptr);
	return true;
}

static void
look_head(struct look *l, const msgpack_object *map)
{
	int64_t seq = -1;
	json_t *key;

	l->pictures = 0;
	l->seq = seq;
	if (cb_map_int(map, "seq", &seq) < 0) {
		found(l, "stream", "%s", cb_error());
		return;
	}
	l->seq = seq;
	key = json_integer(seq);
	if (again(l->seqs, key))
		found(l, "repeated", "a number that was there before");
	json_decref(key);
}

static void
look_picture(struct look *l, const struct cb_msg *m)
{
	struct cb_array a;

	l->pictures++;
	if (cb_map_array(&m->root, "picture", &a) < 0)
		found(l, "stream", "%s", cb_error());
	else if (a.type != CB_U8 || a.rank != 3 || a.dim[2] != 3 ||
	    cb_array_count(&a) == 0)
		found(l, "stream", "picture %lld is not u8 [H,W,3]",
		    (long long)l->pictures - 1);
}

static void
look_end(struct look *l, const msgpack_object *end)
{
	int64_t n;

	cb_count(l->counts, "pictures", l->pictures);
	if (look_error(l, end))
		return;
	if (cb_map_int(end, "pictures", &n) == 0 && n != l->pictures)
		found(l, "stream", "%lld pictures of %lld",
		    (long long)l->pictures, (long long)n);
}

static void
look_message(struct look *l, const struct cb_msg *m)
{
	const msgpack_object *g;

	switch (cb_msg_kind(m)) {
	case CB_MSG_GROUP:
		l->groups++;
		l->batch = false;
		g = cb_map_get(&m->root, "group");
		look_head(l, g);
		look_examples(l, g);
		break;
	case CB_MSG_BATCH:
		l->batches++;
		l->batch = true;
		look_head(l, cb_map_get(&m->root, "batch"));
		break;
	case CB_MSG_PICTURE:
		look_picture(l, m);
		break;
	case CB_MSG_END:
		look_end(l, cb_map_get(&m->root, "end"));
		break;
	default:
		break;
	}
}

/* How many labels there are: of the answers, or of the options. */
static int64_t
labels_of(const msgpack_object *header)
{
	const msgpack_object *v = cb_map_get(header, "answers");

	if (v != NULL && v->type == MSGPACK_OBJECT_ARRAY)
		return v->via.array.size;
	v = cb_map_get(header, "options");
	return v != NULL && v->type == MSGPACK_OBJECT_POSITIVE_INTEGER &&
	    v->via.u64 < INT32_MAX ? (int64_t)v->via.u64 : 0;
}

static void
look_whole(struct look *l, struct cb_reader *r)
{
	const msgpack_object *n = cb_map_get(l->header, "groups");
	int64_t were = l->groups;

	cb_count(l->counts, "groups", l->groups);
	cb_count(l->counts, "batches", l->batches);
	l->groups = l->batches = 0;	/* what follows is about all of them */
	if (n != NULL && n->type == MSGPACK_OBJECT_POSITIVE_INTEGER &&
	    were > 0 && n->via.u64 != (uint64_t)were)
		found(l, "stream", "%lld groups, where its header promises "
		    "%llu", (long long)were, (unsigned long long)n->via.u64);
	if (cb_reader_skipped(r) > 0)
		cb_count(l->counts, "skipped", cb_reader_skipped(r));
}

void
cb_check_stream(json_t *counts, int fd, const char *name,
    const struct cb_check_how *how)
{
	struct look l = { .how = how, .name = name, .counts = counts,
	    .seqs = json_object(), .ids = json_object() };
	struct cb_reader *r = NULL;
	struct cb_msg *m;
	int rc;

	if (cb_reader_open(&r, fd, name) < 0) {
		how->found(how->arg, "stream", cb_error());
		goto done;
	}
	l.header = &cb_reader_header(r)->root;
	l.labels = labels_of(l.header);
	while ((rc = cb_reader_next(r, &m)) > 0) {
		look_message(&l, m);
		cb_msg_free(m);
	}
	if (rc < 0)
		how->found(how->arg, "stream", cb_error());
	else
		look_whole(&l, r);
done:
	cb_reader_close(r);
	json_decref(l.seqs);
	json_decref(l.ids);
}
