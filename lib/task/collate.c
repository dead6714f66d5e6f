/*
 * Good groups put together into one batch: their rows of ids below each other
 * and filled up to one length, their examples in one list, the labels of these
 * as one array.  Pictures are not copied: the batch takes the messages over.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "task/feed.h"

/* ---- labels ------------------------------------------------------------- */

enum label_form { FORM_NONE, FORM_INDEX, FORM_NUMBER, FORM_SCORES };

static enum label_form
form_of(const msgpack_object *ex)
{
	const msgpack_object *v;

	if (cb_map_get(ex, "labels") != NULL)
		return FORM_SCORES;
	if ((v = cb_map_get(ex, "label")) == NULL)
		return FORM_NONE;
	return v->type == MSGPACK_OBJECT_FLOAT32 ||
	    v->type == MSGPACK_OBJECT_FLOAT64 ? FORM_NUMBER : FORM_INDEX;
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

	if (feed_int_or(ex, "label", &k) < 0)
		return -1;
	if (k < -1 || k > INT32_MAX || (n > 0 && k >= n))
		return cb_fail(CB_EFORMAT, "label %lld is not one of %lld %s",
		    (long long)k, (long long)n, f->rows > 1 ? "options" :
		    "answers");
	*to = (int32_t)k;
	return 0;
}

/* One label of a form, to where it belongs in the batch. */
static int
fill_label(struct cb_feed *f, struct cb_batch *b, enum label_form form,
    const msgpack_object *ex, int64_t i)
{
	float *real = b->labels.data;

	switch (form) {
	case FORM_INDEX:
		return fill_index(f, (int32_t *)b->labels.data + i, ex);
	case FORM_NUMBER:
		real[i] = form_of(ex) != FORM_NUMBER ? NAN :
		    (float)cb_map_get(ex, "label")->via.f64;
		return 0;
	default:
		return form_of(ex) != FORM_SCORES ? 0 :
		    fill_scores(f, real + i * f->classes, ex);
	}
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
	if (cb_array_init(&b->labels, form == FORM_INDEX ? CB_I32 : CB_F32,
	    form == FORM_SCORES ? 2 : 1, dim) < 0)
		return -1;
	/* Freed with the batch's own message. */
	if (!msgpack_zone_push_finalizer(b->own->zone, free, b->labels.data))
		abort();
	for (i = 0; i < n; i++)
		if (fill_label(f, b, form, &ex[i], i) < 0)
			return cb_fail_at("%s: batch %lld", f->name,
			    (long long)b->seq);
	return 0;
}

/* ---- a batch of groups -------------------------------------------------- */

/* i32 [N,L], all `value`; freed with the batch's own message. */
static int
rows_init(struct cb_array *a, struct cb_batch *b, int32_t value)
{
	int64_t dim[2] = { b->N, b->L }, i;

	if (cb_array_init(a, CB_I32, 2, dim) < 0)
		return -1;
	if (!msgpack_zone_push_finalizer(b->own->zone, free, a->data))
		abort();
	for (i = 0; i < dim[0] * dim[1]; i++)
		((int32_t *)a->data)[i] = value;
	return 0;
}

/* The rows of a group to those from `row` on. */
static void
copy_rows(struct cb_array *to, int64_t row, const struct cb_array *from)
{
	int64_t L = to->dim[1], n = from->dim[1], k;

	for (k = 0; k < from->dim[0]; k++)
		memcpy((int32_t *)to->data + (row + k) * L,
		    (int32_t *)from->data + k * n, (size_t)n * 4);
}

/* Rows of all groups below each other, filled up to L. */
static int
fill_ids(struct cb_feed *f, struct cb_batch *b, const struct group *g)
{
	int64_t row = 0;
	bool masked = false;
	int i;

	for (i = 0; i < b->B; i++)
		masked |= g[i].mlm_labels.data != NULL;
	if (rows_init(&b->ids, b, f->pad_id) < 0 ||
	    rows_init(&b->mask, b, 0) < 0 || (masked &&
	    rows_init(&b->mlm_labels, b, CB_NOT_MASKED) < 0))
		return -1;
	for (i = 0; i < b->B; i++) {
		copy_rows(&b->ids, row, &g[i].ids);
		copy_rows(&b->mask, row, &g[i].mask);
		if (g[i].mlm_labels.data != NULL)
			copy_rows(&b->mlm_labels, row, &g[i].mlm_labels);
		row += g[i].ids.dim[0];
	}
	return 0;
}

static void
fill_examples(struct cb_batch *b, const struct group *g)
{
	const msgpack_object *e;
	uint32_t k;
	int i, n = 0;

	if (b->N == 0) {
		b->examples = cb_obj_list(b->own, 0);
		return;
	}
	for (i = 0; i < b->B; i++)
		n += (int)group_examples(&g[i])->via.array.size;
	b->examples = cb_obj_list(b->own, n);
	for (i = 0, n = 0; i < b->B; i++) {
		e = group_examples(&g[i]);
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
			if (batch_place_picture(b, i * n + k,
			    g[i].pictures[k]) < 0)
				return -1;
		for (k = 0; k < n; k++)
			b->messages[b->nmessages++] = g[i].pictures[k];
		g[i].n = 0;
	}
	return 0;
}

int
batch_collate(struct cb_feed *f, struct cb_batch **out, struct group *g, int n)
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
