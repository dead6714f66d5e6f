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

#include "task/annotation.h"

#define MIN_COUNT 2		/* pairs of a vocabulary that is made here */

/* Some examples of a medium: those from first on in its list. */
struct chunk {
	int64_t medium, first;
};

struct cb_list {
	struct cb_list_options o;
	struct annotation *a;
	json_t *answers;		/* names, index = label; NULL: none */
	json_t *labels;			/* name -> label */
	struct cb_vocab *vocab;		/* NULL: none */
	struct cb_vocab_maker *maker;	/* while one is being made */
	int64_t options;		/* of each question; 0: none */
	int64_t strangers;		/* answers not in the list (eval) */
	char stranger[64];
	struct cb_msg *header;
	int64_t *start, *members;	/* examples of medium m: members[
					 * start[m] .. start[m+1]-1] */
	struct chunk *chunks;		/* file by file, medium by medium */
	int64_t nchunks;
	int64_t *begin;			/* chunks of file f: from begin[f] on,
					 * up to begin[f+1] */
	int64_t *order, order_epoch;	/* of the chunks in one epoch; -1: not
					 * worked out */
	int64_t next, end;		/* sequence numbers */
};

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

	if (answers != NULL && (answers_load(&l->answers, answers) < 0 ||
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

/* ---- groups ------------------------------------------------------------- */

/* Examples by medium, each medium's in the order of the file. */
static int
sort_examples(struct cb_list *l)
{
	struct annotation *a = l->a;
	int64_t i, m, *at;

	l->start = calloc((size_t)a->nmedia + 1, sizeof(*l->start));
	at = calloc((size_t)a->nmedia + 1, sizeof(*at));
	l->members = calloc((size_t)a->n, sizeof(*l->members));
	if (l->start == NULL || at == NULL || l->members == NULL) {
		free(at);
		return cb_fail(CB_ENOMEM, "%s", a->path);
	}
	for (i = 0; i < a->n; i++)
		l->start[a->lines[i].medium + 1]++;
	for (m = 0; m < a->nmedia; m++) {
		l->start[m + 1] += l->start[m];
		at[m] = l->start[m];
	}
	for (i = 0; i < a->n; i++)
		l->members[at[a->lines[i].medium]++] = i;
	free(at);
	return 0;
}

/* Texts of a medium; all of the file where all are paired with all. */
static int64_t
members_of(const struct cb_list *l, int64_t medium)
{
	return l->o.pairs ? l->a->n : l->start[medium + 1] - l->start[medium];
}

static int
file_of(const struct cb_list *l, const struct chunk *c)
{
	return l->a->lines[l->members[l->start[c->medium]]].file;
}

static void
find_begins(struct cb_list *l)
{
	int64_t i = 0;
	int f;

	for (f = 0; f < l->a->nfiles; f++) {
		l->begin[f] = i;
		while (i < l->nchunks && file_of(l, &l->chunks[i]) == f)
			i++;
	}
	l->begin[f] = i;
}

static int
make_chunks(struct cb_list *l)
{
	int64_t m, k, step, n = l->a->n, two[2] = { n, l->a->nmedia };

	if (l->o.pairs && cb_size_mul(&n, 1, 2, two, UINT32_MAX) < 0)
		return cb_fail_at("%s: pairs", l->a->path);
	if (l->o.pairs && l->o.per_group == 0)
		n = l->a->nmedia;
	if ((l->chunks = calloc((size_t)n, sizeof(*l->chunks))) == NULL ||
	    (l->order = calloc((size_t)n, sizeof(*l->order))) == NULL ||
	    (l->begin = calloc((size_t)l->a->nfiles + 1, sizeof(*l->begin))) ==
	    NULL)
		return cb_fail(CB_ENOMEM, "%s", l->a->path);
	for (m = 0; m < l->a->nmedia; m++) {
		step = l->o.per_group > 0 ? l->o.per_group : members_of(l, m);
		for (k = 0; k < members_of(l, m); k += step)
			l->chunks[l->nchunks++] = (struct chunk){ m, k };
	}
	find_begins(l);
	l->order_epoch = -1;
	return 0;
}

/* Examples of a chunk that are its own, and with those drawn to fill it up. */
static void
chunk_size(const struct cb_list *l, const struct chunk *c, int64_t *own,
    int64_t *all)
{
	int64_t left = members_of(l, c->medium) - c->first, g = l->o.per_group;

	*own = g > 0 && left > g ? g : left;
	*all = g > 0 && !l->o.eval ? g : *own;
}

static void
work_out_order(struct cb_list *l, int64_t epoch)
{
	struct cb_rng rng = { .seed = (uint64_t)l->o.seed,
	    .purpose = CB_RNG_SHUFFLE, .epoch = (uint32_t)epoch };
	int64_t i;

	for (i = 0; i < l->nchunks; i++)
		l->order[i] = i;
	if (!l->o.eval && !l->o.unshuffled)
		cb_rng_shuffle(&rng, l->order, l->nchunks);
	l->order_epoch = epoch;
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

/* ---- examples ----------------------------------------------------------- */

/* [[label, score], ...] of the answers that the list has, by label. */
static json_t *
scores_of(const struct cb_list *l, const json_t *map)
{
	json_t *list = json_array(), *score, *label;
	const char *name;
	size_t at;

	json_object_foreach((json_t *)map, name, score) {
		if ((label = json_object_get(l->labels, name)) == NULL)
			continue;
		for (at = 0; at < json_array_size(list); at++)
			if (json_integer_value(json_array_get(json_array_get(
			    list, at), 0)) > json_integer_value(label))
				break;
		json_array_insert_new(list, at, json_pack("[O, f]", label,
		    json_number_value(score)));
	}
	return list;
}

/* match: does it belong to the medium?  For captions, that is the label. */
static void
add_label(const struct cb_list *l, json_t *to, const json_t *line, bool match)
{
	const json_t *v = json_object_get(line, "answer"), *label;

	switch (l->a->kind->label) {
	case LABEL_SCORES:
		v = json_object_get(line, "labels");
		if (v != NULL && l->labels != NULL)
			json_object_set_new(to, "labels", scores_of(l, v));
		break;
	case LABEL_NAME:
		if (v == NULL || l->labels == NULL)
			break;
		label = json_object_get(l->labels, json_string_value(v));
		if (label != NULL)
			json_object_set(to, "label", (json_t *)label);
		break;
	case LABEL_INDEX:
		if (v != NULL)
			json_object_set_new(to, "label",
			    json_integer(annotation_option(v)));
		break;
	case LABEL_COUNT:
		if (v != NULL)
			json_object_set_new(to, "label",
			    json_real((double)annotation_option(v)));
		break;
	case LABEL_NONE:
		json_object_set_new(to, "label", json_integer(match));
		break;
	}
}

/* The line's keys with id in front, its labels as numbers. */
static int
add_example(const struct cb_list *l, json_t *to, int64_t i, bool match)
{
	json_t *line = annotation_line(l->a, i), *ex = json_object(), *v;
	const char *key;

	if (line == NULL || ex == NULL) {
		json_decref(line);
		json_decref(ex);
		return cb_fail(CB_ENOMEM, "%s", l->a->path);
	}
	json_object_set_new(ex, "id", annotation_id(l->a, line, i));
	json_object_foreach(line, key, v)
		if (strcmp(key, "id") != 0 && strcmp(key, "label") != 0 &&
		    strcmp(key, "labels") != 0)
			json_object_set_nocheck(ex, key, v);
	add_label(l, ex, line, match);
	json_array_append_new(to, ex);
	json_decref(line);
	return 0;
}

/* Example number i of a chunk; those behind its own are drawn. */
static int64_t
member_of(const struct cb_list *l, const struct chunk *c, int64_t epoch,
    int64_t i)
{
	int64_t n = members_of(l, c->medium), own, all;
	struct cb_rng rng = { .seed = (uint64_t)l->o.seed,
	    .purpose = CB_RNG_FILL, .epoch = (uint32_t)epoch,
	    .seq = (uint32_t)c->medium };

	chunk_size(l, c, &own, &all);
	i = i < own ? c->first + i : (int64_t)cb_rng_below(&rng,
	    (uint32_t)(i - own), (uint32_t)n);
	return l->o.pairs ? i : l->members[l->start[c->medium] + i];
}

/*
 * An example of another medium than that of a chunk: of a group of this epoch
 * and of the same file, all groups alike, and in it any, as the original does.
 * A medium's chunks lie next to each other, so the others need not be tried for.
 */
static int64_t
stranger(const struct cb_list *l, const struct chunk *c, int64_t epoch,
    const struct cb_rng *rng, uint32_t *draws)
{
	int file = file_of(l, c);
	const struct chunk *all = l->chunks + l->begin[file];
	int64_t n = l->begin[file + 1] - l->begin[file];
	int64_t from = c - all, to = from + 1, k, own, size;

	while (from > 0 && all[from - 1].medium == c->medium)
		from--;
	while (to < n && all[to].medium == c->medium)
		to++;
	k = cb_rng_below(rng, (*draws)++, (uint32_t)(n - (to - from)));
	k = k < from ? k : k + to - from;
	chunk_size(l, &all[k], &own, &size);
	return member_of(l, &all[k], epoch, cb_rng_below(rng, (*draws)++,
	    (uint32_t)size));
}

static int
add_examples(const struct cb_list *l, json_t *to, const struct chunk *c,
    int64_t epoch, int64_t seq)
{
	struct cb_rng rng = { .seed = (uint64_t)l->o.seed,
	    .purpose = CB_RNG_NEGATIVE, .epoch = (uint32_t)epoch,
	    .seq = (uint32_t)seq };
	int64_t own, all, i, k, n;
	uint32_t draws = 0;
	bool match;

	chunk_size(l, c, &own, &all);
	for (i = 0; i < all; i++) {
		match = l->o.mismatch <= 0 ||
		    cb_rng_real(&rng, draws++) >= l->o.mismatch;
		k = match ? member_of(l, c, epoch, i) :
		    stranger(l, c, epoch, &rng, &draws);
		match = l->a->lines[k].medium == c->medium;
		if (add_example(l, to, k, match) < 0)
			return -1;
		for (n = 0; n < l->o.negatives; n++)
			if (add_example(l, to, stranger(l, c, epoch, &rng,
			    &draws), false) < 0)
				return -1;
	}
	return 0;
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
	    settle_negatives(l) < 0 || sort_examples(l) < 0 ||
	    make_chunks(l) < 0)
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
		work_out_order(l, epoch);
	c = &l->chunks[l->order[l->next % l->nchunks]];
	examples = json_array();
	if (add_examples(l, examples, c, epoch, l->next) < 0 || cb_msg_new(&m) < 0) {
		json_decref(examples);
		return -1;
	}
	g = cb_obj_map(m, 5);
	cb_map_set(m, &g, "seq", cb_obj_int(l->next));
	cb_map_set(m, &g, "epoch", cb_obj_int(epoch));
	cb_map_set(m, &g, "media", cb_obj_text(m, l->a->media[c->medium]));
	if (l->o.places != NULL)
		cb_map_set(m, &g, "place", cb_obj_text(m,
		    l->o.places[file_of(l, c)]));
	cb_map_set(m, &g, "examples", cb_obj_from_json(m, examples));
	cb_map_set(m, &m->root, "group", g);
	json_decref(examples);
	l->next += l->o.shards;
	*out = m;
	return 1;
}
