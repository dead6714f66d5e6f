/*
 * A batch as the model takes it, and what a step learns from it.
 */
#include <stdlib.h>
#include <string.h>

#include "train/trainer.h"

/* The rank loss takes the first row of each medium for the match and all others
 * for mismatches, whatever their labels are, and equally many of each. */
static int
check_ranks(const struct cb_batch *b)
{
	const int32_t *y = b->labels.data;
	int i, r;

	for (i = 0; i < b->B; i++)
		for (r = 0; r < b->media[i].rows; r++)
			if (*y++ != (r == 0) || b->media[i].rows < 2 ||
			    b->media[i].rows != b->media[0].rows)
				return cb_fail(CB_EFORMAT, "batch %lld: the "
				    "rank loss needs one match for each medium "
				    "with equally many mismatches behind it, "
				    "as cb-list -g 1 gives", (long long)b->seq);
	return 0;
}

int
cb_batch_fits(const struct cb_batch *b, int options)
{
	int n = (int)b->examples.via.array.size;

	return b->N == n * options ? 0 : cb_fail(CB_EFORMAT, "batch %lld: "
	    "%d options a question, the model has %d", (long long)b->seq,
	    n > 0 ? b->N / n : 0, options);
}

static int
check_batch(const struct trainer *t, const struct cb_batch *b)
{
	const struct cb_model_config *c = cb_model_config(t->m);
	bool soft = c->loss == CB_LOSS_BCE, real = soft || c->loss == CB_LOSS_MSE;

	if (b->mlm_labels.data != NULL && c->head != CB_HEAD_PRETRAIN)
		return cb_fail(CB_EUSAGE, "batch %lld: its words are masked, "
		    "which is for pretraining: cb-tokenize -m 0",
		    (long long)b->seq);
	if (b->labels.data == NULL)
		return cb_fail(CB_EFORMAT, "batch %lld has no labels to learn "
		    "from", (long long)b->seq);
	if (b->labels.type != (real ? CB_F32 : CB_I32) ||
	    b->labels.rank != (soft ? 2 : 1))
		return cb_fail(CB_EUSAGE, "batch %lld: labels of type %s do not"
		    " go with this loss", (long long)b->seq,
		    cb_dtype_name(b->labels.type));
	if (soft && b->labels.dim[1] > c->labels)
		return cb_fail(CB_EUSAGE, "batch %lld: labels of %lld classes,"
		    " the head has %d", (long long)b->seq,
		    (long long)b->labels.dim[1], c->labels);
	return cb_batch_fits(b, c->head == CB_HEAD_CHOICE ? c->labels : 1) < 0
	    || (c->loss == CB_LOSS_RANK && check_ranks(b) < 0) ? -1 : 0;
}

/* A head may have more classes than the stream has answers (num_labels of the
 * settings): the rest is never right.  Yours to free. */
static float *
widen(const struct cb_array *labels, int C)
{
	int64_t N = labels->dim[0], have = labels->dim[1], i;
	float *wide = calloc((size_t)(N * C), sizeof(*wide));

	for (i = 0; wide != NULL && i < N; i++)
		memcpy(wide + i * C, (float *)labels->data + i * have,
		    sizeof(*wide) * have);
	return wide;
}

int
cb_batch_inputs(struct cb_inputs *in, const struct cb_batch *b)
{
	int32_t *counts = malloc(sizeof(*counts) * (b->B + 1));
	int i;

	if (counts == NULL)
		return cb_fail(CB_ENOMEM, "batch");
	for (i = 0; i < b->B; i++)
		counts[i] = b->media[i].rows;
	*in = (struct cb_inputs){ .B = b->B, .K = b->K, .F = b->T, .N = b->N,
	    .L = b->L, .pictures = b->pictures, .counts = counts,
	    .ids = b->ids.data, .mask = b->mask.data,
	    .labels = b->labels.data, .mlm_labels = b->mlm_labels.data };
	return 0;
}

/* Of the grid, where the settings say so, some cells only. */
static void
keep_cells(struct trainer *t, struct cb_inputs *in)
{
	int h = cb_model_grid(cb_model_config(t->m)), V = h * h;
	int n = t->s->pixel_random_sampling_size;

	if (n == 0 || n >= V)
		return;
	cb_cells_sample(t->cells, n, V, (uint64_t)t->s->seed,
	    (uint32_t)t->batches);
	in->cells = t->cells;
	in->ncells = n;
}

int
learn_batch(struct trainer *t, const struct cb_batch *b)
{
	int C = cb_model_config(t->m)->labels, rc;
	float *wide = NULL, loss;
	struct cb_inputs in;

	if (check_batch(t, b) < 0 || cb_batch_inputs(&in, b) < 0)
		return -1;
	if (cb_model_config(t->m)->head == CB_HEAD_REGRESS && b->N < 2 &&
	    t->batches > 0) {		/* what is left over at the end */
		cb_warn("batch %lld has one row, too few for the batch norm of "
		    "this head; left out", (long long)b->seq);
		free((void *)in.counts);
		t->batches++;
		return 0;
	}
	if (b->labels.rank == 2 && b->labels.dim[1] < C) {
		if ((wide = widen(&b->labels, C)) == NULL) {
			free((void *)in.counts);
			return cb_fail(CB_ENOMEM, "labels");
		}
		in.labels = wide;
	}
	if (t->micro == 0)
		cb_model_zero_grads(t->m);
	keep_cells(t, &in);
	rc = cb_model_train(t->m, &in, (uint64_t)t->s->seed,
	    (uint32_t)t->batches, &loss);
	free(wide);
	free((void *)in.counts);
	if (rc < 0)
		return cb_fail_at("batch %lld", (long long)b->seq);
	t->loss += loss;
	cb_tally_add(&t->step.tally, cb_model_tally(t->m));
	t->step.epoch = b->epoch;
	t->step.examples += b->N;
	t->micro++;
	t->batches++;
	return 0;
}

