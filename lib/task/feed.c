/*
 * Batches from a stream.  Groups are gathered with their pictures, looked over,
 * given token ids if they have none, and put together; batches that come ready
 * are checked and handed on.  Nothing here copies a picture: a batch keeps the
 * messages that its pictures arrived in.
 */
#include <stdlib.h>
#include <string.h>

#include "task/task.h"

/* Pictures of one group; more is taken for a video that nobody sampled. */
#define GROUP_BYTES ((int64_t)1 << 30)

/* A group and its pictures. */
struct group {
	struct cb_msg *m;
	const msgpack_object *map;
	int64_t seq, epoch;
	char *name;
	struct cb_msg **pictures;
	int64_t n, room, bytes;
	int K, T;		/* 0: not looked over yet */
	struct cb_array ids, mask;
	char *bad;		/* why it cannot be used; NULL: it can */
	bool marked;		/* the upstream said so */
};

struct cb_feed {
	struct cb_reader *r;
	char *name;
	struct cb_feed_options o;
	char *task;
	int classes;		/* 0: no answers in the header */
	int rows;		/* of an example: 1, or its options; 0: none
				 * seen yet */
	int pad_id;
	struct cb_vocab *own;	/* the header's, once it is needed */
	const struct cb_vocab *vocab;
	bool foreign;		/* the header's is not options.vocab */
	int K, T;		/* of the first good group; 0: none yet */
	int64_t seq;		/* of the next batch made here */
	int64_t marked;		/* bad groups that carried their error: the
				 * upstream has counted these */
	int64_t skipped;	/* others */
	bool ended;
};

/* ---- opening ------------------------------------------------------------ */

static int
pad_of(const msgpack_object *header)
{
	const msgpack_object *v = cb_map_get(header, "vocab");
	uint32_t i;

	if (v == NULL || v->type != MSGPACK_OBJECT_ARRAY)
		return 0;
	for (i = 0; i < v->via.array.size; i++)
		if (cb_obj_is(&v->via.array.ptr[i], "[PAD]"))
			return (int)i;
	return 0;
}

/* Is the header's vocabulary, if it has one, another? */
static bool
is_foreign(const msgpack_object *header, const struct cb_vocab *vocab)
{
	const msgpack_object *v = cb_map_get(header, "vocab");
	uint32_t i;

	if (vocab == NULL || v == NULL || v->type != MSGPACK_OBJECT_ARRAY)
		return false;
	if (v->via.array.size != (uint32_t)cb_vocab_size(vocab))
		return true;
	for (i = 0; i < v->via.array.size; i++)
		if (!cb_obj_is(&v->via.array.ptr[i],
		    cb_vocab_token(vocab, (int)i)))
			return true;
	return false;
}

/* Ids of another vocabulary would be taken for other words without a sign. */
static int
check_ids(const struct cb_feed *f)
{
	return !f->foreign ? 0 : cb_fail(CB_EUSAGE, "%s: the texts have ids "
	    "of another vocabulary than the one to be used", f->name);
}

int
cb_feed_open(struct cb_feed **out, int fd, const char *name,
    const struct cb_feed_options *options)
{
	const msgpack_object *h, *answers;
	struct cb_feed *f;
	int rc = -1;

	if ((f = calloc(1, sizeof(*f))) == NULL)
		return cb_fail(CB_ENOMEM, "%s", name);
	f->o = *options;
	if (f->o.groups < 1)
		f->o.groups = 1;
	f->name = cb_strf("%s", name);
	if (cb_reader_open(&f->r, fd, name) < 0)
		goto done;
	h = &cb_reader_header(f->r)->root;
	if (cb_map_get(h, "task") == NULL)
		f->task = cb_strf("%s", "");
	else if (cb_map_text(h, "task", &f->task) < 0) {
		cb_fail_at("%s: header", name);
		goto done;
	}
	answers = cb_map_get(h, "answers");
	if (answers != NULL && answers->type == MSGPACK_OBJECT_ARRAY)
		f->classes = (int)answers->via.array.size;
	f->pad_id = f->o.vocab != NULL ?
	    cb_vocab_special(f->o.vocab, CB_PAD) : pad_of(h);
	f->vocab = f->o.vocab;
	f->foreign = is_foreign(h, f->vocab);
	*out = f;
	f = NULL;
	rc = 0;
done:
	cb_feed_close(f);
	return rc;
}

void
cb_feed_close(struct cb_feed *f)
{
	if (f == NULL)
		return;
	cb_reader_close(f->r);
	cb_vocab_free(f->own);
	free(f->task);
	free(f->name);
	free(f);
}

struct cb_msg *
cb_feed_header(struct cb_feed *f)
{
	return cb_reader_header(f->r);
}

int
cb_feed_classes(const struct cb_feed *f)
{
	return f->classes;
}

int64_t
cb_feed_skipped(const struct cb_feed *f)
{
	int64_t upstream = cb_reader_skipped(f->r);

	return f->skipped + (upstream > f->marked ? upstream : f->marked);
}

/* ---- pictures, of groups and batches ------------------------------------ */

static int
picture_of(struct cb_array *out, const struct cb_msg *m)
{
	if (cb_map_array(&m->root, "picture", out) < 0)
		return -1;
	if (out->type != CB_U8 || out->rank != 3 || out->dim[2] != 3 ||
	    out->dim[0] < 1 || out->dim[1] < 1 || out->dim[0] > 1 << 20 ||
	    out->dim[1] > 1 << 20)
		return cb_fail(CB_EFORMAT, "a picture is not u8 [H,W,3]");
	return 0;
}

/* A key that may be missing: *out keeps its value then. */
static int
int_or(const msgpack_object *map, const char *key, int64_t *out)
{
	return cb_map_get(map, key) == NULL ? 0 : cb_map_int(map, key, out);
}

/* Fills place i of the batch; the message stays where it is. */
static int
place_picture(struct cb_batch *b, int64_t i, const struct cb_msg *m)
{
	b->index[i] = i % b->T;
	b->pts_s[i] = 0;
	if (picture_of(&b->pictures[i], m) < 0 ||
	    int_or(&m->root, "index", &b->index[i]) < 0)
		return -1;
	if (cb_map_get(&m->root, "pts") != NULL)
		return cb_map_real(&m->root, "pts", &b->pts_s[i]);
	return 0;
}

/* ---- one group ---------------------------------------------------------- */

static void
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

	if (g->bad == NULL && picture_of(&a, m) < 0)
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
	if (int_or(g->map, "epoch", &g->epoch) < 0)
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
static int
gather(struct cb_feed *f, struct group *g, struct cb_msg *m)
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
		if (int_or(&g->pictures[i]->root, "clip", &clip) < 0)
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
		if (int_or(plan, "clips", &K) < 0 ||
		    int_or(plan, "frames", &T) < 0)
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

static const msgpack_object *
examples_of(const struct group *g)
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

	if (texts == NULL || (examples_of(g) != NULL &&
	    examples_of(g)->via.array.size > 0))
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
	const msgpack_object *e = examples_of(g), *options;
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
		if (cb_text_group(f->vocab, g->m, max_len) < 0)
			return cb_fail_at("%s", f->name);
		g->map = cb_map_get(&g->m->root, "group");
	} else if (check_ids(f) < 0) {
		return -1;
	}
	if (cb_map_array(g->map, "ids", &g->ids) < 0 ||
	    cb_map_array(g->map, "mask", &g->mask) < 0)
		return cb_fail_at("%s: group %lld", f->name,
		    (long long)g->seq);
	if (a->type != CB_I32 || a->rank != 2 || b->type != CB_I32 ||
	    b->rank != 2 || a->dim[0] != b->dim[0] || a->dim[1] != b->dim[1] ||
	    a->dim[0] > 1 << 20 || a->dim[1] < 1 || a->dim[1] > 1 << 20 ||
	    examples_of(g) == NULL || examples_of(g)->via.array.size == 0)
		return cb_fail(CB_EFORMAT, "%s: group %lld: ids and mask are "
		    "not i32 [n,L]", f->name, (long long)g->seq);
	return check_options(f, g);
}

/* 1: good; 0: bad, dealt with; -1: the feed ends. */
static int
judge(struct cb_feed *f, struct group *g)
{
	if (g->bad == NULL && check_shape(f, g) < 0)
		blame(g, cb_error());
	if (g->bad == NULL) {
		add_texts(f, g);
		if (examples_of(g) == NULL ||
		    examples_of(g)->via.array.size == 0)
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

/* ---- labels ------------------------------------------------------------- */

enum label_form { FORM_NONE, FORM_INDEX, FORM_SCORES };

static enum label_form
form_of(const msgpack_object *ex)
{
	if (cb_map_get(ex, "labels") != NULL)
		return FORM_SCORES;
	return cb_map_get(ex, "label") != NULL ? FORM_INDEX : FORM_NONE;
}

/* [[label, score], ...] into a row of C zeros. */
static int
fill_scores(struct cb_feed *f, float *row, const msgpack_object *ex)
{
	const msgpack_object *list = cb_map_get(ex, "labels"), *pair, *s;
	uint32_t i;

	if (list->type != MSGPACK_OBJECT_ARRAY)
		return cb_fail(CB_EFORMAT, "labels are not a list");
	for (i = 0; i < list->via.array.size; i++) {
		pair = &list->via.array.ptr[i];
		if (pair->type != MSGPACK_OBJECT_ARRAY ||
		    pair->via.array.size != 2 || pair->via.array.ptr[0].type !=
		    MSGPACK_OBJECT_POSITIVE_INTEGER ||
		    pair->via.array.ptr[0].via.u64 >= (uint64_t)f->classes)
			return cb_fail(CB_EFORMAT, "a label is not one of %d "
			    "answers with a score", f->classes);
		s = &pair->via.array.ptr[1];
		row[pair->via.array.ptr[0].via.u64] =
		    s->type == MSGPACK_OBJECT_POSITIVE_INTEGER ?
		    (float)s->via.u64 : s->type == MSGPACK_OBJECT_FLOAT32 ||
		    s->type == MSGPACK_OBJECT_FLOAT64 ? (float)s->via.f64 : 0;
	}
	return 0;
}

static int
fill_index(struct cb_feed *f, int32_t *to, const msgpack_object *ex)
{
	int64_t k = -1, n = f->rows > 1 ? f->rows : f->classes;

	if (int_or(ex, "label", &k) < 0)
		return -1;
	if (k < -1 || k > INT32_MAX || (n > 0 && k >= n))
		return cb_fail(CB_EFORMAT, "label %lld is not one of %lld %s",
		    (long long)k, (long long)n, f->rows > 1 ? "options" :
		    "answers");
	*to = (int32_t)k;
	return 0;
}

static int
fill_labels(struct cb_feed *f, struct cb_batch *b)
{
	const msgpack_object *ex = b->examples.via.array.ptr;
	int64_t n = b->examples.via.array.size, i, dim[2] = { n, f->classes };
	enum label_form form = FORM_NONE, one;

	for (i = 0; i < n; i++) {
		one = form_of(&ex[i]);
		if (one == FORM_NONE && f->o.need_labels)
			return cb_fail(CB_EFORMAT, "%s: an example of batch "
			    "%lld has no label", f->name, (long long)b->seq);
		if (form != FORM_NONE && one != FORM_NONE && one != form)
			return cb_fail(CB_EFORMAT, "%s: two kinds of labels",
			    f->name);
		form = one != FORM_NONE ? one : form;
	}
	if (form == FORM_NONE)
		return 0;
	if (form == FORM_SCORES && f->classes == 0)
		return cb_fail(CB_EFORMAT, "%s: labels without answers in the "
		    "header", f->name);
	if (cb_array_init(&b->labels, form == FORM_SCORES ? CB_F32 : CB_I32,
	    form == FORM_SCORES ? 2 : 1, dim) < 0)
		return -1;
	/* Freed with the batch's own message. */
	if (!msgpack_zone_push_finalizer(b->own->zone, free, b->labels.data))
		abort();
	for (i = 0; i < n; i++) {
		if (form == FORM_INDEX ? fill_index(f,
		    (int32_t *)b->labels.data + i, &ex[i]) < 0 :
		    form_of(&ex[i]) == FORM_SCORES && fill_scores(f,
		    (float *)b->labels.data + i * f->classes, &ex[i]) < 0)
			return cb_fail_at("%s: batch %lld", f->name,
			    (long long)b->seq);
	}
	return 0;
}

/* ---- a batch of groups -------------------------------------------------- */

/* B, K, T, N and L are set. */
static int
batch_alloc(struct cb_batch *b)
{
	int64_t n, dims[3] = { b->B, b->K, b->T };

	if (cb_size_mul(&n, 1, 3, dims, 1 << 24) < 0)
		return cb_fail_at("pictures of a batch");
	b->media = calloc((size_t)b->B, sizeof(*b->media));
	b->pictures = calloc((size_t)n, sizeof(*b->pictures));
	b->index = calloc((size_t)n, sizeof(*b->index));
	b->pts_s = calloc((size_t)n, sizeof(*b->pts_s));
	b->messages = calloc((size_t)(n + b->B), sizeof(*b->messages));
	if (b->media == NULL || b->pictures == NULL || b->index == NULL ||
	    b->pts_s == NULL || b->messages == NULL)
		return cb_fail(CB_ENOMEM, "batch");
	return 0;
}

/* Rows of all groups below each other, filled up to L. */
static int
fill_ids(struct cb_feed *f, struct cb_batch *b, const struct group *g)
{
	int64_t dim[2] = { b->N, b->L }, row = 0, i, k, n;
	int32_t *ids, *mask;

	if (cb_array_init(&b->ids, CB_I32, 2, dim) < 0)
		return -1;
	if (!msgpack_zone_push_finalizer(b->own->zone, free, b->ids.data))
		abort();
	if (cb_array_init(&b->mask, CB_I32, 2, dim) < 0)
		return -1;
	if (!msgpack_zone_push_finalizer(b->own->zone, free, b->mask.data))
		abort();
	ids = b->ids.data;
	mask = b->mask.data;
	for (i = 0; i < (int64_t)b->N * b->L; i++)
		ids[i] = f->pad_id;
	for (i = 0; i < b->B; i++) {
		n = g[i].ids.dim[1];
		for (k = 0; k < g[i].ids.dim[0]; k++, row++) {
			memcpy(ids + row * b->L, (int32_t *)g[i].ids.data +
			    k * n, (size_t)n * 4);
			memcpy(mask + row * b->L, (int32_t *)g[i].mask.data +
			    k * n, (size_t)n * 4);
		}
	}
	return 0;
}

static void
fill_examples(struct cb_batch *b, const struct group *g)
{
	const msgpack_object *e;
	uint32_t k;
	int i, n = 0;

	for (i = 0; i < b->B; i++)
		n += (int)examples_of(&g[i])->via.array.size;
	b->examples = cb_obj_list(b->own, n);
	for (i = 0, n = 0; i < b->B; i++) {
		e = examples_of(&g[i]);
		for (k = 0; k < e->via.array.size; k++)
			b->examples.via.array.ptr[n++] = e->via.array.ptr[k];
	}
}

/* Moves what groups hold into the batch. */
static int
fill_media(struct cb_batch *b, struct group *g)
{
	int64_t i, k, n = (int64_t)b->K * b->T;

	for (i = 0; i < b->B; i++) {
		b->media[i] = (struct cb_batch_medium){ g[i].name, g[i].seq,
		    g[i].epoch, (int)g[i].ids.dim[0] };
		g[i].name = NULL;
		b->messages[b->nmessages++] = g[i].m;
		g[i].m = NULL;
		for (k = 0; k < n; k++)
			if (place_picture(b, i * n + k, g[i].pictures[k]) < 0)
				return -1;
		for (k = 0; k < n; k++)
			b->messages[b->nmessages++] = g[i].pictures[k];
		g[i].n = 0;
	}
	return 0;
}

static int
join(struct cb_feed *f, struct cb_batch **out, struct group *g, int n)
{
	struct cb_batch *b;
	int i, rc = -1;

	if ((b = calloc(1, sizeof(*b))) == NULL)
		return cb_fail(CB_ENOMEM, "batch");
	b->seq = f->seq;
	b->epoch = g[0].epoch;
	b->task = cb_strf("%s", f->task);
	b->B = n;
	b->K = f->K;
	b->T = f->T;
	for (i = 0; i < n; i++) {
		b->N += (int)g[i].ids.dim[0];
		if (g[i].ids.dim[1] > b->L)
			b->L = (int)g[i].ids.dim[1];
	}
	if (f->o.pad && f->o.max_len > b->L)
		b->L = f->o.max_len;
	if (cb_msg_new(&b->own) < 0 || batch_alloc(b) < 0 ||
	    fill_ids(f, b, g) < 0)
		goto done;
	fill_examples(b, g);
	if (fill_labels(f, b) < 0 || fill_media(b, g) < 0)
		goto done;
	f->seq++;
	*out = b;
	b = NULL;
	rc = 1;
done:
	cb_batch_free(b);
	return rc;
}

/* ---- a batch that came as one ------------------------------------------- */

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
	    !((c->type == CB_I32 && c->rank == 1) ||
	    (c->type == CB_F32 && c->rank == 2 && c->dim[1] == f->classes)))
		return cb_fail(CB_EFORMAT, "labels are neither i32 [N] nor "
		    "f32 [N,%d]", f->classes);
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
	    int_or(map, "epoch", &b->epoch) < 0 ||
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
			if (i == n || place_picture(b, i, m) < 0) {
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
static int
take_batch(struct cb_feed *f, struct cb_batch **out, struct cb_msg *m)
{
	struct cb_batch *b;

	if ((b = calloc(1, sizeof(*b))) == NULL) {
		cb_msg_free(m);
		return cb_fail(CB_ENOMEM, "batch");
	}
	b->own = m;
	if (check_ids(f) < 0) {
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

/* ---- the feed ----------------------------------------------------------- */

/*
 * The next good group (1), or batch (2), or the end (0).
 */
static int
next_piece(struct cb_feed *f, struct group *g, struct cb_batch **out, bool any)
{
	struct cb_msg *m;
	int rc;

	for (;;) {
		if ((rc = cb_reader_next(f->r, &m)) <= 0)
			return rc;
		switch (cb_msg_kind(m)) {
		case CB_MSG_GROUP:
			if (gather(f, g, m) < 0 || (rc = judge(f, g)) < 0)
				return -1;
			if (rc > 0)
				return 1;
			group_clear(g);
			break;
		case CB_MSG_BATCH:
			if (any) {
				cb_msg_free(m);
				return cb_fail(CB_EFORMAT, "%s: a batch among "
				    "groups", f->name);
			}
			return take_batch(f, out, m) < 0 ? -1 : 2;
		default:
			rc = f->o.other != NULL ?
			    f->o.other(f->o.other_arg, m) : 0;
			cb_msg_free(m);
			if (rc < 0)
				return -1;
		}
	}
}

int
cb_feed_next(struct cb_feed *f, struct cb_batch **out)
{
	struct group *g;
	int64_t n = 0, i;
	int rc = 1;

	if (f->ended)
		return 0;
	if ((g = calloc((size_t)f->o.groups, sizeof(*g))) == NULL)
		return cb_fail(CB_ENOMEM, "batch");
	while (n < f->o.groups &&
	    (rc = next_piece(f, &g[n], out, n > 0)) == 1)
		n++;
	f->ended = rc == 0;
	if (rc == 2)
		rc = 1;
	else if (rc >= 0 && n > 0 && (n == f->o.groups || !f->o.drop_last))
		rc = join(f, out, g, (int)n);
	else if (rc > 0)
		rc = 0;
	for (i = 0; i < f->o.groups; i++)
		group_clear(&g[i]);
	free(g);
	return rc;
}
