/*
 * How far in front the match of each text is among all media, and that of each
 * medium among all texts.  One matrix of scores is all that is kept.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "task/task.h"

#define PAIRS_MAX ((int64_t)1 << 33)

/* Equal scores: by order, in favour of the match, against it. */
enum { BY_ORDER, FOR, AGAINST, KINDS };

struct cb_pairs {
	bool	 rounded;
	json_t	*truth;			/* text -> medium, in order */
	json_t	*rows, *columns;	/* text, medium -> place */
	float	*score;			/* [room_rows,room_columns], NAN: none */
	int64_t	 nrows, ncolumns, room_rows, room_columns;
	int64_t	*order;			/* of the columns among equals */
	int64_t	 norder;
	int64_t	 pairs, repeated;
};

struct ranks {
	int64_t	 n, *at[KINDS];		/* from 0 */
};

int
cb_pairs_new(struct cb_pairs **out, bool rounded)
{
	struct cb_pairs *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return cb_fail(CB_ENOMEM, "scores");
	p->rounded = rounded;
	p->truth = json_object();
	p->rows = json_object();
	p->columns = json_object();
	*out = p;
	return 0;
}

void
cb_pairs_free(struct cb_pairs *p)
{
	if (p == NULL)
		return;
	json_decref(p->truth);
	json_decref(p->rows);
	json_decref(p->columns);
	free(p->score);
	free(p->order);
	free(p);
}

int
cb_pairs_truth(struct cb_pairs *p, const char *text, const char *medium)
{
	if (json_object_get(p->truth, text) != NULL)
		return cb_fail(CB_EFORMAT, "two texts have the id %s", text);
	json_object_set_new_nocheck(p->truth, text,
	    json_string_nocheck(medium));
	return 0;
}

/* ---- the matrix ---------------------------------------------------------- */

static int
resize(struct cb_pairs *p, int64_t rows, int64_t columns)
{
	int64_t dim[2] = { rows, columns }, n, i, *order;
	float *score;

	if (cb_size_mul(&n, 1, 2, dim, PAIRS_MAX) < 0)
		return cb_fail_at("scores");
	order = realloc(p->order, sizeof(*order) * (size_t)columns);
	if (order != NULL)
		p->order = order;
	score = malloc(sizeof(*score) * (size_t)n);
	if (order == NULL || score == NULL) {
		free(score);
		return cb_fail(CB_ENOMEM, "scores of %lld texts and %lld media",
		    (long long)rows, (long long)columns);
	}
	for (i = 0; i < n; i++)
		score[i] = NAN;
	for (i = 0; i < p->nrows; i++)
		memcpy(score + i * columns, p->score + i * p->room_columns,
		    sizeof(*score) * (size_t)p->ncolumns);
	free(p->score);
	p->score = score;
	p->room_rows = rows;
	p->room_columns = columns;
	return 0;
}

/* The place of a name, which may be new. */
static int64_t
place_of(json_t *names, const char *name, int64_t *n)
{
	const json_t *v = json_object_get(names, name);

	if (v != NULL)
		return json_integer_value(v);
	json_object_set_new_nocheck(names, name, json_integer(*n));
	return (*n)++;
}

static int
make_room(struct cb_pairs *p, const char *text, const char *medium)
{
	int64_t rows = p->room_rows, columns = p->room_columns;

	if (p->nrows == rows && json_object_get(p->rows, text) == NULL)
		rows = rows > 0 ? 2 * rows : 16;
	if (p->ncolumns == columns &&
	    json_object_get(p->columns, medium) == NULL)
		columns = columns > 0 ? 2 * columns : 16;
	return rows == p->room_rows && columns == p->room_columns ? 0 :
	    resize(p, rows, columns);
}

/* To 4 decimals, as Python's round() does. */
static double
round_score(double score)
{
	char text[512];

	snprintf(text, sizeof(text), "%.4f", score);
	return strtod(text, NULL);
}

int
cb_pairs_add(struct cb_pairs *p, const char *text, const char *medium,
    double score)
{
	int64_t r, c, before = p->ncolumns;
	float *to;

	if (json_object_get(p->truth, text) == NULL)
		return cb_fail(CB_EFORMAT, "there is no text with the id %s",
		    text);
	if (make_room(p, text, medium) < 0)
		return -1;
	r = place_of(p->rows, text, &p->nrows);
	c = place_of(p->columns, medium, &p->ncolumns);
	if (p->ncolumns > before)
		p->order[c] = INT64_MAX;
	to = &p->score[r * p->room_columns + c];
	if (!isnan(*to)) {
		p->repeated++;
		return 0;
	}
	if (r == 0)
		p->order[c] = p->norder++;
	*to = (float)(p->rounded ? round_score(score) : score);
	p->pairs++;
	return 0;
}

int
cb_pairs_add_all(struct cb_pairs *p, const char *medium, const json_t *scores)
{
	const json_t *score;
	const char *text;
	json_t *right;
	size_t i = 0;

	if (json_array_size(scores) != json_object_size(p->truth))
		return cb_fail(CB_EFORMAT, "%s: %zu scores, the texts are %zu",
		    medium, json_array_size(scores),
		    json_object_size(p->truth));
	json_object_foreach(p->truth, text, right) {
		score = json_array_get(scores, i++);
		if (!json_is_number(score))
			return cb_fail(CB_EFORMAT, "%s: score %zu is not a "
			    "number", medium, i - 1);
		if (cb_pairs_add(p, text, medium,
		    json_number_value(score)) < 0)
			return -1;
	}
	return 0;
}

/* ---- ranks --------------------------------------------------------------- */

static int
ranks_new(struct ranks *r, int64_t most)
{
	int k;

	memset(r, 0, sizeof(*r));
	for (k = 0; k < KINDS; k++)
		if ((r->at[k] = calloc((size_t)most + 1,
		    sizeof(*r->at[k]))) == NULL)
			return cb_fail(CB_ENOMEM, "ranks");
	return 0;
}

static void
ranks_clear(struct ranks *r)
{
	int k;

	for (k = 0; k < KINDS; k++)
		free(r->at[k]);
}

/*
 * The rank of number t among n scores; if it has none, or t < 0, behind all that
 * there should be, and not among the first 10 of however few.  order NULL: the
 * places themselves.
 */
static void
add_rank(struct ranks *to, const float *score, int64_t stride, int64_t n,
    int64_t t, const int64_t *order, int64_t all)
{
	int64_t above = 0, equal = 0, before = 0, i;
	float own = t >= 0 ? score[t * stride] : NAN, s;

	for (i = 0; i < n && !isnan(own); i++) {
		s = score[i * stride];
		above += s > own;
		if (s == own && i != t) {
			equal++;
			before += order != NULL ? order[i] < order[t] : i < t;
		}
	}
	if (isnan(own))
		above = all > 10 ? all : 10;
	to->at[BY_ORDER][to->n] = above + before;
	to->at[FOR][to->n] = above;
	to->at[AGAINST][to->n++] = above + equal;
}

static int64_t
find(const json_t *names, const char *name)
{
	const json_t *v = json_object_get(names, name);

	return v != NULL ? json_integer_value(v) : -1;
}

static void
rank_texts(struct ranks *to, const struct cb_pairs *p, int64_t all)
{
	const char *text;
	json_t *medium;
	int64_t r;

	json_object_foreach(p->truth, text, medium) {
		r = find(p->rows, text);
		add_rank(to, r < 0 ? NULL : p->score + r * p->room_columns, 1,
		    p->ncolumns, r < 0 ? -1 : find(p->columns,
		    json_string_value(medium)), p->order, all);
	}
}

/* last: medium -> the last of its texts */
static void
rank_media(struct ranks *to, const struct cb_pairs *p, const json_t *last)
{
	const char *medium;
	json_t *text;
	int64_t c;

	json_object_foreach((json_t *)last, medium, text) {
		c = find(p->columns, medium);
		add_rank(to, c < 0 ? NULL : p->score + c, p->room_columns,
		    p->nrows, c < 0 ? -1 : find(p->rows,
		    json_string_value(text)), NULL,
		    (int64_t)json_object_size(p->truth));
	}
}

static int
by_size(const void *pa, const void *pb)
{
	const int64_t *a = pa, *b = pb;

	return (*a > *b) - (*a < *b);
}

/* Sorts the ranks. */
static json_t *
recall(int64_t *rank, int64_t n)
{
	int64_t i, in[3] = { 0 };
	double sum = 0;
	int k;

	for (i = 0; i < n; i++) {
		for (k = 0; k < 3; k++)
			in[k] += rank[i] < (k == 0 ? 1 : 5 * k);
		sum += (double)(rank[i] + 1);
	}
	qsort(rank, (size_t)n, sizeof(*rank), by_size);
	return json_pack("{s:f, s:f, s:f, s:f, s:f}",
	    "r1", 100. * (double)in[0] / (double)n,
	    "r5", 100. * (double)in[1] / (double)n,
	    "r10", 100. * (double)in[2] / (double)n,
	    "medianR", (double)(rank[(n - 1) / 2] + rank[n / 2] + 2) / 2,
	    "meanR", sum / (double)n);
}

static void
put_recalls(json_t *to, struct ranks *texts, struct ranks *media, int kind)
{
	json_object_set_new(to, "text2video", recall(texts->at[kind],
	    texts->n));
	json_object_set_new(to, "video2text", recall(media->at[kind],
	    media->n));
}

/* Media that there should be: those with scores, and those with texts. */
static int64_t
media_of(const struct cb_pairs *p, const json_t *last)
{
	int64_t n = p->ncolumns;
	const char *medium;
	json_t *text;

	json_object_foreach((json_t *)last, medium, text)
		n += find(p->columns, medium) < 0;
	return n;
}

static void
put_all(json_t *to, const struct cb_pairs *p, const json_t *last,
    struct ranks *texts, struct ranks *media)
{
	json_t *best = json_object(), *worst = json_object();
	int64_t all = media_of(p, last) * texts->n;

	put_recalls(to, texts, media, BY_ORDER);
	put_recalls(best, texts, media, FOR);
	put_recalls(worst, texts, media, AGAINST);
	json_object_set_new(to, "optimistic", best);
	json_object_set_new(to, "pessimistic", worst);
	json_object_set_new(to, "texts", json_integer(texts->n));
	json_object_set_new(to, "media", json_integer(media->n));
	json_object_set_new(to, "pairs", json_integer(all));
	json_object_set_new(to, "repeated", json_integer(p->repeated));
	json_object_set_new(to, "missing", json_integer(all - p->pairs));
}

int
cb_pairs_metrics(json_t **out, const struct cb_pairs *p)
{
	struct ranks texts = { 0 }, media = { 0 };
	json_t *last = json_object(), *medium, *result;
	const char *text;
	int rc = -1;

	if (json_object_size(p->truth) == 0) {
		cb_fail(CB_EFORMAT, "no texts");
		goto done;
	}
	json_object_foreach(p->truth, text, medium)
		json_object_set_new_nocheck(last, json_string_value(medium),
		    json_string_nocheck(text));
	if (ranks_new(&texts, (int64_t)json_object_size(p->truth)) < 0 ||
	    ranks_new(&media, (int64_t)json_object_size(last)) < 0)
		goto done;
	rank_texts(&texts, p, media_of(p, last));
	rank_media(&media, p, last);
	result = json_object();
	put_all(result, p, last, &texts, &media);
	*out = result;
	rc = 0;
done:
	ranks_clear(&texts);
	ranks_clear(&media);
	json_decref(last);
	return rc;
}
