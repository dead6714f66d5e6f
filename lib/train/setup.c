/* Settings and stream to model: sizes, loss and pooling. */
#include <string.h>

#include "train.h"

/* What is built for a task, the original's names of tasks included. */
static const struct task {
	const char *name;
	enum cb_head head;
	enum cb_loss_kind loss;		/* where the settings leave it open */
} tasks[] = {
	{ "vqa", CB_HEAD_CLASSIFY, CB_LOSS_BCE },
	{ "open_qa", CB_HEAD_CLASSIFY, CB_LOSS_CE },
	{ "frameqa", CB_HEAD_CLASSIFY, CB_LOSS_CE },
	{ "msrvtt_qa", CB_HEAD_CLASSIFY, CB_LOSS_CE },
	{ "mc_qa", CB_HEAD_CHOICE, CB_LOSS_CE },
	{ "action", CB_HEAD_CHOICE, CB_LOSS_CE },
	{ "transition", CB_HEAD_CHOICE, CB_LOSS_CE },
	{ "retrieval", CB_HEAD_CLASSIFY, CB_LOSS_CE },
	{ "captions", CB_HEAD_PRETRAIN, CB_LOSS_CE },
	{ "pretrain", CB_HEAD_PRETRAIN, CB_LOSS_CE },
	{ "count", CB_HEAD_REGRESS, CB_LOSS_MSE },
};

static const struct task *
task_named(const char *name)
{
	size_t i;

	for (i = 0; i < CB_LEN(tasks); i++)
		if (strcmp(tasks[i].name, name) == 0)
			return &tasks[i];
	return NULL;
}

static int
loss_of(struct cb_model_config *c, const struct cb_settings *s,
    const char *task)
{
	const struct task *t = task_named(task);

	if (t == NULL)
		return cb_fail(CB_EUSAGE, "the task \"%s\" cannot be trained: "
		    "vqa, open_qa, mc_qa, count, retrieval and captions can",
		    task);
	c->head = t->head;
	c->loss = s->loss_type != CB_SET_AUTO ?
	    (enum cb_loss_kind)s->loss_type : t->loss;
	return 0;
}

bool
cb_task_chooses(const char *task)
{
	const struct task *t = task_named(task);

	return t != NULL && t->head == CB_HEAD_CHOICE;
}

bool
cb_task_pretrains(const char *task)
{
	const struct task *t = task_named(task);

	return t != NULL && t->head == CB_HEAD_PRETRAIN;
}

static int
size_of(int *out, const char *key, int64_t set, int64_t there)
{
	if (set > 0 && there > set)
		return cb_fail(CB_EUSAGE, "%s is %lld, but the stream has %lld",
		    key, (long long)set, (long long)there);
	if (set <= 0 && there <= 0)
		return cb_fail(CB_EUSAGE, "%s: neither the settings nor the "
		    "stream say", key);
	*out = (int)(set > 0 ? set : there);
	return 0;
}

/* Classes of the answers; of pairs, that they match or not. */
static int
labels_of(struct cb_model_config *c, const struct cb_settings *s,
    const char *task, int64_t answers)
{
	if (c->head == CB_HEAD_PRETRAIN || c->head == CB_HEAD_REGRESS) {
		c->labels = c->head == CB_HEAD_PRETRAIN ? 2 : 1;
		return 0;
	}
	if (strcmp(task, "retrieval") != 0)
		return size_of(&c->labels, "num_labels", s->num_labels,
		    answers);
	if (c->loss != CB_LOSS_CE && c->loss != CB_LOSS_RANK)
		return cb_fail(CB_EUSAGE, "retrieval goes with the loss_type "
		    "ce or rank only");
	c->labels = c->loss == CB_LOSS_CE ? 2 : 1;
	return 0;
}

int
cb_model_config_from(struct cb_model_config *c, const struct cb_settings *s,
    const char *task, int64_t answers, int64_t words)
{
	const struct cb_model_settings *m = &s->model;
	int i;

	memset(c, 0, sizeof(*c));
	if (loss_of(c, s, task) < 0 || labels_of(c, s, task, answers) < 0 ||
	    size_of(&c->vocab, "vocab_size", m->vocab_size, words) < 0)
		return -1;
	c->image = s->max_img_size;
	c->stem = m->stem_out_channels;
	c->width = m->width_per_group;
	c->res2 = m->res2_out_channels;
	memcpy(c->blocks, m->blocks_per_stage, sizeof(c->blocks));
	c->freeze_at = m->freeze_at;
	c->freeze_cnn = s->freeze_cnn;
	c->hidden = m->hidden_size;
	c->layers = m->num_hidden_layers;
	c->heads = m->num_attention_heads;
	c->inter = m->intermediate_size;
	c->positions = m->max_position_embeddings;
	c->types = m->type_vocab_size;
	c->rows = m->max_grid_row_position_embeddings;
	c->cols = m->max_grid_col_position_embeddings;
	c->agg = (enum cb_agg)s->score_agg_func;
	if (c->loss != CB_LOSS_CE && c->agg == CB_AGG_LSE)
		return cb_fail(CB_EUSAGE, "score_agg_func: lse goes with "
		    "loss_type ce only, which is not that of the task %s",
		    task);
	c->margin = (float)s->margin;
	c->dropout = (float)m->hidden_dropout_prob;
	c->attention_dropout = (float)m->attention_probs_dropout_prob;
	c->init_range = (float)m->initializer_range;
	for (i = 0; i < 3; i++) {
		c->mean[i] = (float)s->img_pixel_mean[i];
		c->std[i] = (float)s->img_pixel_std[i];
	}
	return 0;
}
