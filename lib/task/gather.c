/*
 * One group of a stream: its messages are gathered up to its end, then it is
 * judged: clips and frames as those before, texts, token ids.  A group that
 * cannot be used is told from a stream that cannot.
 */
#include <stdlib.h>
#include <string.h>

#include "task/feed.h"

/* Pictures of one group; more is taken for a video that nobody sampled. */
#define GROUP_BYTES ((int64_t)1 << 30)

void
group_clear(struct group *g)
{
	int64_t i;

	for (i = 0; i < g->n; i++)
		cb_msg_free(g->pictures[i]);
	free(g->pictures);
	cb_msg_free(g->m);
	free(g->name);
	free(g->bad);
	memset(g, 0, sizeof(*g));
}

static void
drop_pictures(struct group *g)
{
	while (g->n > 0)
		cb_msg_free(g->pictures[--g->n]);
}

/* The first reason stands. */
static void
blame(struct group *g, const char *why)
{
	if (g->bad == NULL)
		g->bad = cb_strf("%s", why);
	drop_pictures(g);
}

static void
keep_picture(struct group *g, struct cb_msg *m)
{
	struct cb_array a;

	if (g->bad == NULL && feed_picture_of(&a, m) < 0)
		blame(g, cb_error());
	if (g->bad == NULL && (g->bytes += cb_array_bytes(&a)) > GROUP_BYTES)
		blame(g, "more than 1 GiB of pictures; is cb-sample missing?");
	if (g->bad != NULL) {
		cb_msg_free(m);
		return;
	}
	if (g->n == g->room) {
		g->room = g->room > 0 ? 2 * g->room : 16;
		g->pictures = realloc(g->pictures, sizeof(*g->pictures) *
		    (size_t)g->room);
		if (g->pictures == NULL)
			abort();
	}
	g->pictures[g->n++] = m;
}

static int
start_group(struct cb_feed *f, struct group *g, struct cb_msg *m)
{
	g->m = m;
	g->map = cb_map_get(&m->root, "group");
	if (cb_map_int(g->map, "seq", &g->seq) < 0)
		return cb_fail_at("%s: group", f->name);
	if (feed_int_or(g->map, "epoch", &g->epoch) < 0)
		return cb_fail_at("%s: group %lld", f->name,
		    (long long)g->seq);
	if (cb_map_get(g->map, "media") == NULL)
		g->name = cb_strf("group %lld", (long long)g->seq);
	else if (cb_map_text(g->map, "media", &g->name) < 0)
		return cb_fail_at("%s: group %lld", f->name,
		    (long long)g->seq);
	return 0;
}

/* The error of a group or of its end, if there is one. */
static void
look_for_error(struct group *g, const msgpack_object *map)
{
	const msgpack_object *e = cb_map_get(map, "error");
	char *why;

	if (e == NULL || e->type == MSGPACK_OBJECT_NIL)
		return;
	if (cb_map_text(map, "error", &why) < 0)
		why = cb_strf("it cannot be read");
	g->marked = true;
	blame(g, why);
	free(why);
}

/* Reads the rest of a group whose first message is m, taken.  0; -1. */
int
group_gather(struct cb_feed *f, struct group *g, struct cb_msg *m)
{
	int rc;

	if (start_group(f, g, m) < 0)
		return -1;
	look_for_error(g, g->map);
	for (;;) {
		if ((rc = cb_reader_next(f->r, &m)) <= 0)
			return -1;	/* an end within a group is an error */
		switch (cb_msg_kind(m)) {
		case CB_MSG_PICTURE:
			keep_picture(g, m);
			break;
		case CB_MSG_END:
			look_for_error(g, cb_map_get(&m->root, "end"));
			cb_msg_free(m);
			return 0;
		default:
			rc = f->o.other != NULL ?
			    f->o.other(f->o.other_arg, m) : 0;
			cb_msg_free(m);
			if (rc < 0)
				return -1;
		}
	}
}

/*
 * Clips and frames from the pictures' own numbers: clips in order, all of one
 * length.  -1: they are not so.
 */
static int
shape_of(struct group *g)
{
	int64_t i, clip, K = 0;

	for (i = 0; i < g->n; i++) {
		clip = 0;
		if (feed_int_or(&g->pictures[i]->root, "clip", &clip) < 0)
			return -1;
		if (clip != K - 1 && clip != K)
			return cb_fail(CB_EFORMAT, "clips out of order");
		if (clip == K)
			K++;
		if (K > 1 && clip != i / g->T)
			return cb_fail(CB_EFORMAT, "clips of different "
			    "lengths");
		if (K == 1)
			g->T = (int)(i + 1);
	}
	if (g->n == 0)
		return cb_fail(CB_EFORMAT, "no pictures");
	g->K = (int)K;
	if (K * g->T != g->n)
		return cb_fail(CB_EFORMAT, "clips of different lengths");
	return 0;
}

/* Against the plan of a video, then against the groups so far. */
static int
check_shape(struct cb_feed *f, struct group *g)
{
	const msgpack_object *plan = cb_map_get(g->map, "plan");
	int64_t K = f->K, T = f->T;

	if (shape_of(g) < 0)
		return -1;
	if (cb_obj_is(cb_map_get(g->map, "kind"), "video") && plan != NULL) {
		K = g->K;
		T = g->T;
		if (feed_int_or(plan, "clips", &K) < 0 ||
		    feed_int_or(plan, "frames", &T) < 0)
			return -1;
	}
	if (K > 0 && (g->K != K || g->T != T))
		return cb_fail(CB_EFORMAT, "%d clips of %d pictures, not %lld "
		    "of %lld", g->K, g->T, (long long)K, (long long)T);
	if (f->K > 0 && (g->K != f->K || g->T != f->T))
		return cb_fail(CB_EFORMAT, "%d clips of %d pictures, not %d "
		    "of %d as those before", g->K, g->T, f->K, f->T);
	f->K = g->K;
	f->T = g->T;
	return 0;
}

const msgpack_object *
group_examples(const struct group *g)
{
	const msgpack_object *e = cb_map_get(g->map, "examples");

	return e != NULL && e->type == MSGPACK_OBJECT_ARRAY ? e : NULL;
}

/* The questions of options.texts become the examples of a group without. */
static void
add_texts(struct cb_feed *f, struct group *g)
{
	const struct cb_strs *texts = f->o.texts;
	msgpack_object list, ex;
	int i;

	if (texts == NULL || (group_examples(g) != NULL &&
	    group_examples(g)->via.array.size > 0))
		return;
	list = cb_obj_list(g->m, texts->n);
	for (i = 0; i < texts->n; i++) {
		ex = cb_obj_map(g->m, 2);
		cb_map_set(g->m, &ex, "id", cb_obj_int(i));
		cb_map_set(g->m, &ex, "question", cb_obj_text(g->m,
		    texts->at[i]));
		list.via.array.ptr[i] = ex;
	}
	cb_map_set(g->m, cb_msg_map(g->m, "group"), "examples", list);
	g->map = cb_map_get(&g->m->root, "group");
}

/*
 * The examples of all groups must have equally many rows, or nobody could tell
 * whose a row is.
 */
static int
check_options(struct cb_feed *f, const struct group *g)
{
	const msgpack_object *e = group_examples(g), *options;
	int64_t rows = g->ids.dim[0];
	uint32_t i, n;

	for (i = 0; i < e->via.array.size; i++) {
		options = cb_map_get(&e->via.array.ptr[i], "options");
		n = options != NULL && options->type == MSGPACK_OBJECT_ARRAY ?
		    options->via.array.size : 1;
		if (f->rows == 0)
			f->rows = (int)(n < 1 << 20 ? n : 0);
		if (n != (uint32_t)f->rows)
			return cb_fail(CB_EFORMAT, "%s: group %lld: an "
			    "example has %u options, not %d as those before",
			    f->name, (long long)g->seq, n, f->rows);
	}
	if (rows != (int64_t)e->via.array.size * f->rows)
		return cb_fail(CB_EFORMAT, "%s: group %lld: %lld rows of ids, "
		    "the texts are %lld", f->name, (long long)g->seq,
		    (long long)rows, (long long)e->via.array.size * f->rows);
	return 0;
}

/* What the masked words were, if any are. */
static int
take_masked(const struct cb_feed *f, struct group *g)
{
	const msgpack_object *v = cb_map_get(g->map, "mlm_labels");
	const struct cb_array *a = &g->mlm_labels;

	if (v == NULL || v->type == MSGPACK_OBJECT_NIL)
		return 0;
	if (cb_map_array(g->map, "mlm_labels", &g->mlm_labels) < 0)
		return cb_fail_at("%s: group %lld", f->name,
		    (long long)g->seq);
	return a->type == CB_I32 && a->rank == 2 &&
	    a->dim[0] == g->ids.dim[0] && a->dim[1] == g->ids.dim[1] ? 0 :
	    cb_fail(CB_EFORMAT, "%s: group %lld: mlm_labels are not of the "
	    "shape of ids", f->name, (long long)g->seq);
}

/* Tokenises if nobody has; -1 ends the feed. */
static int
take_ids(struct cb_feed *f, struct group *g)
{
	int max_len = f->o.max_len > 0 ? f->o.max_len : CB_TEXT_MAX_LEN;
	const struct cb_array *a = &g->ids, *b = &g->mask;

	if (cb_map_get(g->map, "ids") == NULL) {
		if (f->vocab == NULL) {
			if (cb_vocab_from_header(&f->own,
			    cb_reader_header(f->r)) < 0)
				return cb_fail_at("%s: the texts have no ids, "
				    "and no vocabulary is at hand", f->name);
			f->vocab = f->own;
		}
		if (cb_text_group(f->vocab, g->m, max_len) < 0 ||
		    cb_text_mask(f->vocab, g->m, &f->masking) < 0)
			return cb_fail_at("%s", f->name);
		g->map = cb_map_get(&g->m->root, "group");
	} else if (feed_check_ids(f) < 0) {
		return -1;
	}
	if (cb_map_array(g->map, "ids", &g->ids) < 0 ||
	    cb_map_array(g->map, "mask", &g->mask) < 0)
		return cb_fail_at("%s: group %lld", f->name,
		    (long long)g->seq);
	if (a->type != CB_I32 || a->rank != 2 || b->type != CB_I32 ||
	    b->rank != 2 || a->dim[0] != b->dim[0] || a->dim[1] != b->dim[1] ||
	    a->dim[0] > 1 << 20 || a->dim[1] < 1 || a->dim[1] > 1 << 20 ||
	    group_examples(g) == NULL || group_examples(g)->via.array.size == 0)
		return cb_fail(CB_EFORMAT, "%s: group %lld: ids and mask are "
		    "not i32 [n,L]", f->name, (long long)g->seq);
	return take_masked(f, g) < 0 ? -1 : check_options(f, g);
}

/* 1: good; 0: bad, dealt with; -1: the feed ends. */
int
group_judge(struct cb_feed *f, struct group *g)
{
	if (g->bad == NULL && check_shape(f, g) < 0)
		blame(g, cb_error());
	if (g->bad == NULL && f->o.pictures_only)
		return 1;
	if (g->bad == NULL) {
		add_texts(f, g);
		if (group_examples(g) == NULL ||
		    group_examples(g)->via.array.size == 0)
			blame(g, "no texts");
	}
	if (g->bad == NULL)
		return take_ids(f, g) < 0 ? -1 : 1;
	/* A reader of media has its name in the message already. */
	if (f->o.stop)
		return strncmp(g->bad, g->name, strlen(g->name)) == 0 ?
		    cb_fail(CB_EFORMAT, "%s", g->bad) :
		    cb_fail(CB_EFORMAT, "%s: %s", g->name, g->bad);
	if (strncmp(g->bad, g->name, strlen(g->name)) == 0)
		cb_warn("%s; skipped", g->bad);
	else
		cb_warn("%s: %s; skipped", g->name, g->bad);
	f->marked += g->marked;
	f->skipped += !g->marked;
	return 0;
}
