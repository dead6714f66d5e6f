/*
 * Batches from a stream.  Groups are gathered with their pictures, looked over,
 * given token ids if they have none (gather.c), and put together (collate.c);
 * batches that come ready are checked and handed on (ready.c).  Nothing here
 * copies a picture: a batch keeps the messages that its pictures arrived in.
 */
#include <stdlib.h>

#include "task/feed.h"

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
int
feed_check_ids(const struct cb_feed *f)
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
	if (f->o.mask && cb_masking_init(&f->masking,
	    cb_reader_header(f->r), -1, -1) < 0) {
		cb_fail_at("%s", name);
		goto done;
	}
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

/* Tells the reader how many pictures are kept at once, by the first group or
 * batch: others are like it. */
static void
keep_pictures(struct cb_feed *f, const struct cb_msg *m)
{
	const msgpack_object *map = cb_map_get(&m->root, "batch"), *media;
	int64_t dim[4] = { f->o.keep, f->o.groups, 1, 1 }, n;

	if (f->kept || f->o.keep == 0)
		return;
	f->kept = true;		/* or it cannot be known */
	media = cb_map_get(map, "media");
	if (media != NULL && media->type == MSGPACK_OBJECT_ARRAY)
		dim[1] = media->via.array.size;
	if (map == NULL)
		map = cb_map_get(cb_map_get(&m->root, "group"), "plan");
	if (feed_int_or(map, "clips", &dim[2]) == 0 &&
	    feed_int_or(map, "frames", &dim[3]) == 0 &&
	    dim[2] > 0 && dim[3] > 0 &&
	    cb_size_mul(&n, 1, 4, dim, INT32_MAX) == 0)
		cb_reader_keep(f->r, n);
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
			keep_pictures(f, m);
			if (group_gather(f, g, m) < 0 ||
			    (rc = group_judge(f, g)) < 0)
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
			keep_pictures(f, m);
			return batch_take(f, out, m) < 0 ? -1 : 2;
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
		rc = batch_collate(f, out, g, (int)n);
	else if (rc > 0)
		rc = 0;
	for (i = 0; i < f->o.groups; i++)
		group_clear(&g[i]);
	free(g);
	if (rc > 0)
		(*out)->memory = cb_reader_memory(f->r, &(*out)->memory_bytes);
	return rc;
}
