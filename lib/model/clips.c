/*
 * More clips than memory holds.  Pooling needs the scores of all clips before
 * any gradient is known, but nothing else of them:
 *
 *	first pass	each clip forward; its scores are kept, its activations
 *			are overwritten by those of the next
 *	loss		all scores -> the gradient of each clip's
 *	second pass	each clip forward again, and backward
 *
 * Dropout is a function of the place of an element in the whole batch, so both
 * passes draw the masks that one pass over all clips would.  The activations of
 * the last clips are still there when the loss is known; these are not repeated.
 */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

bool
clips_many(const struct cb_model *m, const struct cb_inputs *in)
{
	return m->clip_memory > 0 && in->K > m->clip_memory;
}

int
clips_room(struct cb_model *m, const struct cb_inputs *in)
{
	struct cb_array *more;

	if (!clips_many(m, in))
		return 0;
	more = realloc(m->some, sizeof(*more) * (size_t)in->B *
	    (size_t)m->clip_memory * (size_t)in->F);
	if (more == NULL)
		return cb_fail(CB_ENOMEM, "pictures");
	m->some = more;
	return 0;
}

/* The batch with n of its clips, from number k on. */
static struct cb_inputs
some_clips(struct cb_model *m, const struct cb_inputs *in, int k, int n)
{
	struct cb_inputs part = *in;
	int b;

	for (b = 0; b < in->B; b++)
		memcpy(m->some + (int64_t)b * n * in->F, in->pictures +
		    ((int64_t)b * in->K + k) * in->F,
		    sizeof(*m->some) * (size_t)n * (size_t)in->F);
	part.K = n;
	part.pictures = m->some;
	return part;
}

/* Scores of n clips from k on. */
static struct cb_elem *
forward_some(struct cb_model *m, const struct cb_inputs *in, int k, int n)
{
	struct cb_inputs part = some_clips(m, in, k, n);

	m->clip = k;
	return bert_batch(m, &part) < 0 ? NULL : model_forward(m, &part);
}

static void
backward_some(struct cb_model *m, const struct cb_inputs *in, int k, int n)
{
	int64_t clip = (int64_t)m->last.N * m->c.labels;
	struct cb_elem *d = m->head.kind->backward(m,
	    elem_at(m, m->last.dscores, k * clip), n, in->N);

	bert_backward(m, d, NULL, m->cnn.dgrid, in->F);
	cnn_backward(m);
}

int
clips_run(struct cb_model *m, const struct cb_inputs *in, float share,
    float *loss)
{
	int K = in->K, most = m->clip_memory, k, n = 0, last = 0;
	struct cb_engine *e = m->e;
	struct cb_elem *y;
	struct mark mark;
	void *labels;

	last_make(m, in);
	labels = put_labels(m, in);
	mark = arena_mark(&m->arena);
	for (k = 0; k < K; k += n) {
		arena_release(&m->arena, mark);
		last = k;
		n = K - k < most ? K - k : most;
		if ((y = forward_some(m, in, k, n)) == NULL)
			return -1;
		last_put(m, y, k, n);
	}
	last_learn(m, in, labels, share);
	backward_some(m, in, last, n);
	m->again = true;
	for (k = 0; k < last; k += most) {
		arena_release(&m->arena, mark);
		if (forward_some(m, in, k, most) == NULL)
			return -1;
		backward_some(m, in, k, most);
	}
	e->get(e, loss, m->last.total, sizeof(*loss));
	return e->sync(e);
}
