/*
 * Where a run begins: random weights or those of others, and the statistics of
 * norms that have none yet.
 */
#include <stdlib.h>
#include <string.h>

#include "train/trainer.h"

/* Rows of the word embedding are words: in a checkpoint of ours they must be
 * those of the stream, or each would be taken for another without a sign. */
static int
check_words(const struct trainer *t, const char *path)
{
	struct cb_safetensors *f = NULL;
	struct cb_checkpoint c = { 0 };
	int rc = 0;

	if (cb_checkpoint_open(&f, &c, path) == 0 && c.vocab != NULL &&
	    t->about.vocab != NULL && !json_equal(c.vocab, t->about.vocab))
		rc = cb_fail(CB_EUSAGE, "%s: its vocabulary is not that of the "
		    "stream: give cb-list the one it was trained with", path);
	cb_checkpoint_clear(&c);
	cb_safetensors_close(f);
	return rc;
}

static int
import_one(struct trainer *t, enum cb_import_kind kind, const char *path)
{
	struct cb_import r;

	if (path[0] == '\0')
		return 0;
	if (kind == CB_IMPORT_E2E && check_words(t, path) < 0)
		return -1;
	if (cb_import(&r, kind, path, t->params, t->nparams, t->point.w) < 0)
		return -1;
	cb_warn("%s: %d tensors taken, %d missing%s%s, %d unexpected%s%s, "
	    "%d of another shape%s%s", path, r.taken, r.missing,
	    r.missing > 0 ? " as " : "", r.first_missing, r.unexpected,
	    r.unexpected > 0 ? " as " : "", r.first_unexpected, r.misfit,
	    r.misfit > 0 ? " as " : "", r.first_misfit);
	return 0;
}

int
begin_weights(struct trainer *t)
{
	const struct cb_settings *s = t->s;

	cb_model_init(t->m, (uint64_t)s->seed);
	weights_to_host(t);
	if (import_one(t, CB_IMPORT_RESNET, s->detectron2_weights_path) < 0 ||
	    import_one(t, CB_IMPORT_BERT, s->bert_weights_path) < 0 ||
	    import_one(t, CB_IMPORT_E2E, s->e2e_weights_path) < 0)
		return -1;
	if ((s->model.freeze_at > 0 || s->freeze_cnn) &&
	    s->detectron2_weights_path[0] == '\0' &&
	    s->e2e_weights_path[0] == '\0')
		cb_warn("the frozen part of the CNN has random weights: give "
		    "detectron2_weights_path, or set freeze_at to 0");
	weights_from_host(t);
	return 0;
}

static int
hold(struct trainer *t, struct cb_batch *b)
{
	struct cb_batch **more = realloc(t->held,
	    sizeof(*more) * (t->nheld + 1));

	if (more == NULL) {
		cb_batch_free(b);
		return cb_fail(CB_ENOMEM, "batches");
	}
	t->held = more;
	t->held[t->nheld++] = b;
	return 0;
}

int
begin_norms(struct trainer *t)
{
	struct cb_array *pictures = NULL, *more;
	int64_t n = 0, want = t->o->init_stats, take;
	struct cb_batch *b;
	int rc = 0;

	while (n < want && (rc = cb_ahead_next(t->ahead, &b)) > 0) {
		take = (int64_t)b->B * b->K * b->T;
		if ((rc = hold(t, b)) < 0)
			break;
		more = realloc(pictures, sizeof(*more) * (n + take));
		if (more == NULL) {
			rc = cb_fail(CB_ENOMEM, "pictures");
			break;
		}
		pictures = more;
		memcpy(pictures + n, b->pictures, sizeof(*more) * take);
		n += take;
	}
	if (rc >= 0 && n > 0)
		rc = cb_model_calibrate(t->m, pictures,
		    (int)(n < want ? n : want));
	free(pictures);
	return rc < 0 ? -1 : 0;
}
