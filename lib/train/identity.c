/*
 * What a run is, told by the header of its stream and the settings: task,
 * answers, words, length, and what must be the same for it to go on.
 */
#include <stdlib.h>
#include <string.h>

#include "train/trainer.h"

static int64_t
header_int(struct cb_feed *feed, const char *key)
{
	int64_t n;

	return cb_map_int(&cb_feed_header(feed)->root, key, &n) < 0 ? -1 : n;
}

static json_t *
header_json(struct cb_feed *feed, const char *key)
{
	const msgpack_object *o = cb_map_get(&cb_feed_header(feed)->root, key);

	return o != NULL ? cb_obj_json(o) : NULL;
}

static int64_t
ceil_div(int64_t a, int64_t b)
{
	return (a + b - 1) / b;
}

/* Half an epoch may be wanted, but a stream has whole ones. */
static int64_t
part_of_stream(struct trainer *t, int64_t groups, int64_t batches)
{
	double want = t->s->num_train_epochs;
	int64_t epochs = header_int(t->feed, "epochs");
	int64_t batch = header_int(t->feed, "batch_size");

	if (epochs < 1 || groups < 0 || want >= (double)epochs ||
	    want <= (double)epochs - 1)
		return ceil_div(batches, t->s->gradient_accumulation_steps);
	return cb_plan_steps(want, groups / epochs, batch > 0 ? batch :
	    t->s->train_batch_size, t->s->gradient_accumulation_steps);
}

/* How many steps: the option, else as many as the stream has batches for. */
int
run_find_total(struct trainer *t)
{
	int64_t batches = header_int(t->feed, "batches");
	int64_t groups = header_int(t->feed, "groups");

	if (batches < 0 && groups >= 0)
		batches = ceil_div(groups, t->s->train_batch_size);
	if (batches >= 0)
		t->total = part_of_stream(t, groups, batches);
	if (t->o->steps > 0)
		t->total = t->o->steps;
	if (t->total < 1)
		return cb_fail(CB_EUSAGE, "the stream does not say how long it "
		    "is: give --steps");
	return 0;
}

int
run_describe(struct trainer *t)
{
	struct cb_checkpoint *c = &t->about;

	c->task = t->s->task[0] != '\0' ? cb_strf("%s", t->s->task) : NULL;
	if (c->task == NULL && cb_map_text(&cb_feed_header(t->feed)->root,
	    "task", &c->task) < 0)
		return cb_fail(CB_EUSAGE, "neither the settings nor the stream"
		    " name a task");
	/* A checkpoint has no answers to count. */
	if (cb_task_chooses(c->task) && t->s->num_labels == 0)
		t->s->num_labels = (int)header_int(t->feed, "options");
	c->config = cb_settings_json(t->s);
	c->answers = header_json(t->feed, "answers");
	c->vocab = header_json(t->feed, "vocab");
	c->provenance = header_json(t->feed, "provenance");
	return c->config == NULL ? cb_fail(CB_ENOMEM, "settings") : 0;
}

static json_t *
hash_of(const json_t *v)
{
	char *text = v != NULL ? cb_json_text(v) : NULL, hash[65];

	if (text == NULL)
		return json_null();
	cb_sha256(hash, text, (int64_t)strlen(text));
	free(text);
	return json_string(hash);
}

/* What must be the same for a run to go on. */
int
run_identify(struct trainer *t)
{
	json_t *annotations = header_json(t->feed, "annotations");

	t->identity = json_pack(
	    "{s:O, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:I}",
	    "settings", t->about.config, "annotations",
	    annotations != NULL ? annotations : json_null(), "answers",
	    hash_of(t->about.answers), "vocab", hash_of(t->about.vocab),
	    "steps", (json_int_t)t->total, "init_stats",
	    (json_int_t)t->o->init_stats, "groups",
	    (json_int_t)header_int(t->feed, "groups"), "seed",
	    (json_int_t)header_int(t->feed, "seed"), "batch_size",
	    (json_int_t)header_int(t->feed, "batch_size"));
	return t->identity == NULL ? cb_fail(CB_ENOMEM, "settings") : 0;
}
