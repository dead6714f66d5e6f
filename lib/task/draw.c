/*
 * Which texts a group has: the examples of a medium cut into chunks, in an order
 * that is worked out for each epoch, what fills a chunk up, and mismatches.  All
 * of it is drawn from (seed, epoch, number of the group or medium).
 */
#include <stdlib.h>
#include <string.h>

#include "task/list.h"

/* Examples by medium, each medium's in the order of the file. */
int
list_sort(struct cb_list *l)
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

int
chunk_file(const struct cb_list *l, const struct chunk *c)
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
		while (i < l->nchunks && chunk_file(l, &l->chunks[i]) == f)
			i++;
	}
	l->begin[f] = i;
}

int
list_cut(struct cb_list *l)
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
void
chunk_size(const struct cb_list *l, const struct chunk *c, int64_t *own,
    int64_t *all)
{
	int64_t left = members_of(l, c->medium) - c->first, g = l->o.per_group;

	*own = g > 0 && left > g ? g : left;
	*all = g > 0 && !l->o.eval ? g : *own;
}

void
list_order(struct cb_list *l, int64_t epoch)
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
	int file = chunk_file(l, c);
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

int
chunk_examples(const struct cb_list *l, json_t *to, const struct chunk *c,
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
