/*
 * Groups from annotations: the texts of one medium together, epochs, order,
 * shards.  The sequence number of a group counts over all epochs and shards, so
 * what is drawn for a group does not depend on who handles it; which groups
 * an epoch has is worked out from (seed, epoch) alone, so that --skip costs
 * nothing.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "task/list.h"

#define MIN_COUNT 2		/* pairs of a vocabulary that is made here */

struct cb_list_options
cb_list_defaults(void)
{
	return (struct cb_list_options){ .epochs = 1, .shards = 1,
	    .negatives = -1, .mismatch = -1 };
}

/* ---- answers and vocabulary --------------------------------------------- */

static int
index_answers(struct cb_list *l)
{
	const char *name;
	size_t i;

	l->labels = json_object();
	for (i = 0; i < json_array_size(l->answers); i++) {
		name = json_string_value(json_array_get(l->answers, i));
		if (json_object_get(l->labels, name) != NULL)
			return cb_fail(CB_EFORMAT, "\"%s\" is twice in the "
			    "answer list", name);
		json_object_set_new_nocheck(l->labels, name,
		    json_integer((json_int_t)i));
	}
	return 0;
}

/* What can be known before the annotation is read. */
static int
find_lists(struct cb_list *l, const char *path)
{
	char *answers = l->o.answers != NULL ? cb_strf("%s", l->o.answers) :
	    annotation_beside(path, "ans2label.json");
	char *vocab = l->o.vocab != NULL ? cb_strf("%s", l->o.vocab) :
	    annotation_beside(path, "vocab.txt");
	int rc = -1;

	if (answers != NULL && (cb_answers_load(&l->answers, answers) < 0 ||
	    index_answers(l) < 0))
		goto done;
	if (vocab != NULL && cb_vocab_load(&l->vocab, vocab) < 0)
		goto done;
	if (vocab == NULL && !l->o.eval && cb_vocab_maker_new(&l->maker) < 0)
		goto done;
	rc = 0;
done:
	free(answers);
	free(vocab);
	return rc;
}

/* An answer that the list lacks is an error in training only. */
static int
check_answer(struct cb_list *l, const char *name)
{
	if (json_object_get(l->labels, name) != NULL)
		return 0;
	if (!l->o.eval)
		return cb_fail(CB_EFORMAT, "\"%s\" is not in the answer list",
		    name);
	if (l->strangers++ == 0)
		snprintf(l->stranger, sizeof(l->stranger), "%s", name);
	return 0;
}

/* A model has one number of options. */
static int
check_options(struct cb_list *l, const json_t *line)
{
	int64_t n = (int64_t)json_array_size(json_object_get(line, "options"));

	if (l->options == 0)
		l->options = n;
	return n == l->options ? 0 : cb_fail(CB_EFORMAT, "%lld options, not "
	    "%lld as in the lines before", (long long)n,
	    (long long)l->options);
}

static int
see_line(void *arg, struct annotation *a, const json_t *line)
{
	struct cb_list *l = arg;
	const json_t *v;
	const char *name;
	json_t *score;

	if (l->maker != NULL &&
	    cb_vocab_maker_add_json(l->maker, line, NULL) < 0)
		return -1;
	if (a->kind->label == LABEL_NONE)
		return 0;
	if (a->kind->label == LABEL_INDEX)
		return check_options(l, line);
	v = json_object_get(line, a->kind->label == LABEL_SCORES ? "labels" :
	    "answer");
	if (v == NULL)
		return l->o.eval ? 0 : cb_fail(CB_EFORMAT, "key \"%s\" is "
		    "missing, which training needs", a->kind->label ==
		    LABEL_SCORES ? "labels" : "answer");
	if (l->labels == NULL || a->kind->label == LABEL_COUNT)
		return 0;			/* they will be made */
	if (a->kind->label == LABEL_NAME)
		return check_answer(l, json_string_value(v));
	json_object_foreach((json_t *)v, name, score)
		if (check_answer(l, name) < 0)
			return -1;
	return 0;
}

/* What is still missing is made of the annotation, in training: a list made
 * of held-out data would not be the model's. */
static int
make_lists(struct cb_list *l)
{
	if (l->a->repeated != NULL && l->o.eval)
		return cb_fail(CB_EFORMAT, "%s", l->a->repeated);
	if (l->a->repeated != NULL)
		cb_warn("%s; predictions for it could not be told apart",
		    l->a->repeated);
	if (!convention_has_answers(l->a->kind)) {
		json_decref(l->answers);
		json_decref(l->labels);
		l->answers = l->labels = NULL;
	} else if (l->answers == NULL && !l->o.eval) {
		l->answers = annotation_answers(l->a);
		if (index_answers(l) < 0)
			return -1;
	}
	if (l->strangers > 0)
		cb_warn("%s: %lld answers are not in the answer list, such as "
		    "\"%s\"; they carry no label", l->a->path,
		    (long long)l->strangers, l->stranger);
	if (l->maker != NULL && cb_vocab_maker_build(&l->vocab, l->maker,
	    CB_VOCAB_SIZE, MIN_COUNT) < 0)
		return cb_fail_at("%s: making a vocabulary", l->a->path);
	return 0;
}

/* ---- the header --------------------------------------------------------- */

static int64_t
examples_an_epoch(const struct cb_list *l)
{
	int64_t i, own, all, n = 0;

	for (i = 0; i < l->nchunks; i++) {
		chunk_size(l, &l->chunks[i], &own, &all);
		n += all * (1 + l->o.negatives);
	}
	return n;
}

static int
make_header(struct cb_list *l)
{
	struct cb_msg *m;
	char *base = annotation_folder(l->a->path);

	if (cb_msg_new(&m) < 0) {
		free(base);
		return -1;
	}
	l->header = m;
	cb_map_set(m, &m->root, "task", cb_obj_text(m, l->a->kind->task));
	cb_map_set(m, &m->root, "split", cb_obj_text(m, l->o.eval ? "eval" :
	    "train"));
	cb_map_set(m, &m->root, "epochs", cb_obj_int(l->o.epochs));
	cb_map_set(m, &m->root, "groups", cb_obj_int(cb_list_groups(l)));
	cb_map_set(m, &m->root, "epoch_groups", cb_obj_int(l->nchunks));
	cb_map_set(m, &m->root, "examples", cb_obj_int(examples_an_epoch(l)));
	cb_map_set(m, &m->root, "seed", cb_obj_int(l->o.seed));
	cb_map_set(m, &m->root, "annotations", cb_obj_text(m, l->a->sha256));
	cb_map_set(m, &m->root, "base", cb_obj_text(m, base));
	if (l->options > 0)
		cb_map_set(m, &m->root, "options", cb_obj_int(l->options));
	if (l->o.negatives > 0)
		cb_map_set(m, &m->root, "negatives",
		    cb_obj_int(l->o.negatives));
	if (l->answers != NULL)
		cb_map_set(m, &m->root, "answers", cb_obj_from_json(m,
		    l->answers));
	free(base);
	return l->vocab != NULL ? cb_vocab_to_header(l->vocab, m) : 0;
}

/* ---- the list ----------------------------------------------------------- */

/* What is drawn against captions, by task where nobody says. */
static int
settle_negatives(struct cb_list *l)
{
	struct cb_list_options *o = &l->o;
	const char *task = l->a->kind->task;
	bool ranked = strcmp(task, "retrieval") == 0;
	bool paired = strcmp(task, "captions") == 0;
	int i;

	if (o->negatives > 0 && !ranked)
		return cb_fail(CB_EUSAGE, "%s: negatives are for the task "
		    "retrieval, not %s", l->a->path, task);
	if (o->mismatch > 0 && !paired)
		return cb_fail(CB_EUSAGE, "%s: mismatch is for the task "
		    "captions, not %s", l->a->path, task);
	if (o->pairs && (!ranked || !o->eval || o->negatives > 0))
		return cb_fail(CB_EUSAGE, "%s: all pairs are for evaluation of "
		    "the task retrieval", l->a->path);
	if (o->negatives < 0)
		o->negatives = ranked && !o->eval;
	if (o->mismatch < 0)
		o->mismatch = paired && !o->eval ? 0.5 : 0;
	for (i = 0; i < l->a->nfiles; i++)
		if ((o->negatives > 0 || o->mismatch > 0) &&
		    l->a->files[i].media < 2)
			return cb_fail(CB_EFORMAT, "%s: there is one medium "
			    "only, so that no text can be a mismatch",
			    l->a->files[i].path);
	return 0;
}

static int
check_ranges(const struct cb_list_options *o)
{
	if (o->epochs < 1 || o->shards < 1 || o->shard < 0 ||
	    o->shard >= o->shards || o->skip < 0 || o->per_group < 0 ||
	    o->negatives > 1 << 20 || o->mismatch > 1)
		return cb_fail(CB_EUSAGE, "epochs, shard, skip, texts of a "
		    "group or mismatches out of range");
	return 0;
}

/* The header has one place only to look beside. */
static int
check_folders(char *const *paths, int n)
{
	char *first = annotation_folder(paths[0]), *other;
	int i, rc = 0;

	for (i = 1; i < n && rc == 0; i++) {
		other = annotation_folder(paths[i]);
		if (strcmp(first, other) != 0)
			rc = cb_fail(CB_EUSAGE, "%s is not beside %s: say "
			    "where the media of each are", paths[i], paths[0]);
		free(other);
	}
	free(first);
	return rc;
}

int
cb_list_open(struct cb_list **out, char *const *paths, int n,
    const struct cb_list_options *options)
{
	struct annotation_how how = { .task = options->task,
	    .see = see_line };
	struct cb_list *l;
	int rc = -1;

	if (check_ranges(options) < 0 || (options->places == NULL &&
	    check_folders(paths, n) < 0))
		return -1;
	if ((l = calloc(1, sizeof(*l))) == NULL)
		return cb_fail(CB_ENOMEM, "%s", paths[0]);
	l->o = *options;
	how.arg = l;
	if (find_lists(l, paths[0]) < 0 ||
	    annotation_open(&l->a, paths, n, &how) < 0 || make_lists(l) < 0 ||
	    settle_negatives(l) < 0 || list_sort(l) < 0 ||
	    list_cut(l) < 0)
		goto done;
	if (__builtin_mul_overflow(l->nchunks, l->o.epochs, &l->end) ||
	    l->end > UINT32_MAX) {
		cb_fail(CB_ELIMIT, "%lld epochs of %lld groups are too many",
		    (long long)l->o.epochs, (long long)l->nchunks);
		goto done;
	}
	l->next = l->o.skip > l->end ? l->end :
	    l->o.shard + l->o.skip * l->o.shards;
	if (make_header(l) < 0)
		goto done;
	*out = l;
	l = NULL;
	rc = 0;
done:
	cb_list_close(l);
	return rc;
}

void
cb_list_close(struct cb_list *l)
{
	if (l == NULL)
		return;
	annotation_close(l->a);
	json_decref(l->answers);
	json_decref(l->labels);
	cb_vocab_free(l->vocab);
	cb_vocab_maker_free(l->maker);
	cb_msg_free(l->header);
	free(l->start);
	free(l->members);
	free(l->chunks);
	free(l->order);
	free(l->begin);
	free(l);
}

struct cb_msg *
cb_list_header(struct cb_list *l)
{
	return l->header;
}

int64_t
cb_list_groups(const struct cb_list *l)
{
	return l->next >= l->end ? 0 :
	    (l->end - l->next + l->o.shards - 1) / l->o.shards;
}

int
cb_list_next(struct cb_list *l, struct cb_msg **out)
{
	const struct chunk *c;
	struct cb_msg *m;
	msgpack_object g;
	json_t *examples;
	int64_t epoch;

	if (l->next >= l->end)
		return 0;
	epoch = l->next / l->nchunks;
	if (epoch != l->order_epoch)
		list_order(l, epoch);
	c = &l->chunks[l->order[l->next % l->nchunks]];
	examples = json_array();
	if (chunk_examples(l, examples, c, epoch, l->next) < 0 || cb_msg_new(&m) < 0) {
		json_decref(examples);
		return -1;
	}
	g = cb_obj_map(m, 5);
	cb_map_set(m, &g, "seq", cb_obj_int(l->next));
	cb_map_set(m, &g, "epoch", cb_obj_int(epoch));
	cb_map_set(m, &g, "media", cb_obj_text(m, l->a->media[c->medium]));
	if (l->o.places != NULL)
		cb_map_set(m, &g, "place", cb_obj_text(m,
		    l->o.places[chunk_file(l, c)]));
	cb_map_set(m, &g, "examples", cb_obj_from_json(m, examples));
	cb_map_set(m, &m->root, "group", g);
	json_decref(examples);
	l->next += l->o.shards;
	*out = m;
	return 1;
}
