/* One batch: its memory, the pictures in it, and as messages. */
#include <stdlib.h>

#include "task/feed.h"

/* B, K, T, N and L are set. */
int
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

int
feed_picture_of(struct cb_array *out, const struct cb_msg *m)
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
int
feed_int_or(const msgpack_object *map, const char *key, int64_t *out)
{
	return cb_map_get(map, key) == NULL ? 0 : cb_map_int(map, key, out);
}

/* Fills place i of the batch; the message stays where it is. */
int
batch_place_picture(struct cb_batch *b, int64_t i, const struct cb_msg *m)
{
	b->index[i] = i % b->T;
	b->pts_s[i] = 0;
	if (feed_picture_of(&b->pictures[i], m) < 0 ||
	    feed_int_or(&m->root, "index", &b->index[i]) < 0)
		return -1;
	if (cb_map_get(&m->root, "pts") != NULL)
		return cb_map_real(&m->root, "pts", &b->pts_s[i]);
	return 0;
}

void
cb_batch_free(struct cb_batch *b)
{
	int64_t i;

	if (b == NULL)
		return;
	for (i = 0; i < b->nmessages; i++)
		cb_msg_free(b->messages[i]);
	for (i = 0; b->media != NULL && i < b->B; i++)
		free(b->media[i].name);
	free(b->messages);
	free(b->media);
	free(b->pictures);
	free(b->index);
	free(b->pts_s);
	cb_msg_free(b->own);
	free(b->task);
	free(b);
}

static msgpack_object
media_list(struct cb_msg *m, const struct cb_batch *b)
{
	msgpack_object list = cb_obj_list(m, b->B);
	int i;

	for (i = 0; i < b->B; i++)
		list.via.array.ptr[i] = cb_obj_text(m, b->media[i].name);
	return list;
}

/* A list of integers that stand in struct cb_batch_medium. */
static msgpack_object
number_list(struct cb_msg *m, const struct cb_batch *b, bool epochs)
{
	msgpack_object list = cb_obj_list(m, b->B);
	int i;

	for (i = 0; i < b->B; i++)
		list.via.array.ptr[i] = cb_obj_int(epochs ?
		    b->media[i].epoch : b->media[i].seq);
	return list;
}

static int
put_counts(struct cb_msg *m, msgpack_object *map, const struct cb_batch *b)
{
	struct cb_array counts;
	int64_t n = b->B;
	int i;

	if (cb_array_init(&counts, CB_I32, 1, &n) < 0)
		return -1;
	for (i = 0; i < b->B; i++)
		((int32_t *)counts.data)[i] = b->media[i].rows;
	cb_map_set(m, map, "counts", cb_obj_tensor_take(m, &counts));
	return 0;
}

static int
put_head(struct cb_writer *w, const struct cb_batch *b)
{
	struct cb_msg *m;
	msgpack_object o;
	int rc = -1;

	if (cb_msg_new(&m) < 0)
		return -1;
	o = cb_obj_map(m, 15);
	cb_map_set(m, &o, "seq", cb_obj_int(b->seq));
	cb_map_set(m, &o, "epoch", cb_obj_int(b->epoch));
	cb_map_set(m, &o, "task", cb_obj_text(m, b->task));
	cb_map_set(m, &o, "clips", cb_obj_int(b->K));
	cb_map_set(m, &o, "frames", cb_obj_int(b->T));
	cb_map_set(m, &o, "media", media_list(m, b));
	cb_map_set(m, &o, "groups", number_list(m, b, false));
	cb_map_set(m, &o, "epochs", number_list(m, b, true));
	if (put_counts(m, &o, b) < 0)
		goto done;
	cb_map_set(m, &o, "ids", cb_obj_tensor(m, &b->ids));
	cb_map_set(m, &o, "mask", cb_obj_tensor(m, &b->mask));
	if (b->mlm_labels.data != NULL)
		cb_map_set(m, &o, "mlm_labels",
		    cb_obj_tensor(m, &b->mlm_labels));
	if (b->labels.data != NULL)
		cb_map_set(m, &o, "labels", cb_obj_tensor(m, &b->labels));
	cb_map_set(m, &o, "examples", b->examples);
	cb_map_set(m, &m->root, "batch", o);
	rc = cb_writer_put(w, m);
done:
	cb_msg_free(m);
	return rc;
}

static int
put_picture(struct cb_writer *w, const struct cb_batch *b, int i)
{
	struct cb_msg *m;
	int rc;

	if (cb_msg_new(&m) < 0)
		return -1;
	cb_map_set(m, &m->root, "picture", cb_obj_tensor(m, &b->pictures[i]));
	cb_map_set(m, &m->root, "video", cb_obj_int(i / (b->K * b->T)));
	cb_map_set(m, &m->root, "clip", cb_obj_int(i / b->T % b->K));
	cb_map_set(m, &m->root, "index", cb_obj_int(b->index[i]));
	cb_map_set(m, &m->root, "pts", cb_obj_real(b->pts_s[i]));
	rc = cb_writer_put(w, m);
	cb_msg_free(m);
	return rc;
}

int
cb_batch_put(struct cb_writer *w, const struct cb_batch *b)
{
	int i, n = b->B * b->K * b->T;

	if (put_head(w, b) < 0)
		return -1;
	for (i = 0; i < n; i++)
		if (put_picture(w, b, i) < 0)
			return -1;
	return cb_writer_end(w, n, NULL);
}
