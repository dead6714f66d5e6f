/*
 * What the videos of the demo show, and what is asked about it.  Some have two
 * shapes, where neither the picture nor the question alone tells the answer;
 * those with one shape are there to learn the words from.
 */
#include <stdlib.h>
#include <string.h>

#include "task/task.h"

/* Parts of the counter: what a draw is for. */
enum { DRAW_SCENE = 0, DRAW_WORDING = 2 };

static const char *const motions[CB_DEMO_MOTIONS] = {
	"from side to side", "up and down", "round and round"
};
static const char *const places[] = { "left", "right", "top", "bottom" };

static int
count(const char *const *names)
{
	int n = 0;

	while (names[n] != NULL)
		n++;
	return n;
}

static struct cb_rng
counter(const struct cb_rng *rng, bool held_out, int purpose)
{
	struct cb_rng r = *rng;

	r.epoch = (uint32_t)(4 * held_out + purpose);
	return r;
}

static int
number_of_place(const struct cb_demo *d, int k)
{
	return 2 * d->stacked + d->at[k].place;
}

/*
 * A Latin hypercube: of the backgrounds that a red circle on the left could
 * have, one is kept for the held-out videos, and so wherever three of the four
 * are given.
 */
static bool
is_held_out(const struct cb_demo *d, int k, int npatterns)
{
	const struct cb_demo_shape *s = &d->at[k];

	return (s->shape + 2 * s->colour + number_of_place(d, k) +
	    d->pattern) % npatterns == 0;
}

static bool
fits(const struct cb_demo *d, int npatterns)
{
	const struct cb_demo_shape *a = d->at, *b = d->at + 1;
	int k;

	for (k = 0; k < d->n; k++)
		if (is_held_out(d, k, npatterns) != d->held_out)
			return false;
	return d->n < 2 || (a->shape != b->shape && a->colour != b->colour);
}

void
cb_demo_draw(struct cb_demo *d, bool held_out, const struct cb_demo_words *w,
    const struct cb_rng *rng)
{
	struct cb_rng r = counter(rng, held_out, DRAW_SCENE);
	uint32_t shapes = count(w->shapes), colours = count(w->colours), i = 0;
	int patterns = count(w->patterns), k;

	d->held_out = held_out;
	d->n = 1 + (int)cb_rng_below(&r, i++, 2);
	d->stacked = cb_rng_below(&r, i++, 2) > 0;
	d->at[0].place = d->n > 1 ? 0 : (int)cb_rng_below(&r, i, 2);
	d->at[1].place = 1;
	i++;
	do {			/* all that fit are equally likely */
		d->pattern = (int)cb_rng_below(&r, i++, (uint32_t)patterns);
		for (k = 0; k < d->n; k++) {
			d->at[k].shape = (int)cb_rng_below(&r, i++, shapes);
			d->at[k].colour = (int)cb_rng_below(&r, i++, colours);
			d->at[k].motion = (int)cb_rng_below(&r, i++,
			    CB_DEMO_MOTIONS);
		}
	} while (!fits(d, patterns));
}

/* ---- texts -------------------------------------------------------------- */

static const char *
place_of(const struct cb_demo *d, int k)
{
	return places[number_of_place(d, k)];
}

char *
cb_demo_caption(const struct cb_demo *d, const struct cb_demo_words *w)
{
	const struct cb_demo_shape *a = d->at, *b = d->at + 1;

	if (d->n == 1)
		return cb_strf("a %s %s moves %s before a background of %s",
		    w->colours[a->colour], w->shapes[a->shape],
		    motions[a->motion], w->patterns[d->pattern]);
	return cb_strf("a %s %s moves %s %s a %s %s that moves %s before a "
	    "background of %s", w->colours[a->colour], w->shapes[a->shape],
	    motions[a->motion], d->stacked ? "above" : "to the left of",
	    w->colours[b->colour], w->shapes[b->shape], motions[b->motion],
	    w->patterns[d->pattern]);
}

json_t *
cb_demo_json(const struct cb_demo *d, const struct cb_demo_words *w,
    const char *id)
{
	const struct cb_demo_shape *s;
	json_t *shapes = json_array();
	int k;

	for (k = 0; k < d->n; k++) {
		s = &d->at[k];
		json_array_append_new(shapes, json_pack("{s:s, s:s, s:s, s:s}",
		    "shape", w->shapes[s->shape], "colour",
		    w->colours[s->colour], "place", place_of(d, k),
		    "motion", motions[s->motion]));
	}
	return json_pack("{s:s, s:s, s:s, s:o}", "video_id", id, "split",
	    d->held_out ? "val" : "train", "background",
	    w->patterns[d->pattern], "shapes", shapes);
}

struct asked {
	json_t	*lines;
	const char *id;
	int64_t	 next;
	struct cb_rng rng;
	uint32_t draws;
};

/* Asks in one of two wordings, each with one %s for the subject. */
static void
ask(struct asked *a, const char *type, const char *const wording[2],
    const char *subject, const char *answer)
{
	const char *form = wording[cb_rng_below(&a->rng, a->draws++, 2)];
	const char *gap = strstr(form, "%s");
	char *text = gap == NULL ? cb_strf("%s", form) : cb_strf("%.*s%s%s",
	    (int)(gap - form), form, subject, gap + 2);

	json_array_append_new(a->lines, json_pack("{s:s, s:s, s:s, s:s, s:I}",
	    "question", text, "answer", answer, "video_id", a->id,
	    "answer_type", type, "question_id", (json_int_t)a->next++));
	free(text);
}

json_t *
cb_demo_questions(const struct cb_demo *d, const struct cb_demo_words *w,
    const char *id, int64_t first, const struct cb_rng *rng)
{
	static const char *const colour[] = { "what colour is the %s?",
	    "which colour does the %s have?" };
	static const char *const shape[] = { "what shape is %s?",
	    "what is the %s thing?" };
	static const char *const place[] = { "where is the %s?",
	    "on which side is the %s?" };
	static const char *const pattern[] = { "what is in the background?",
	    "what is behind the shapes?" };
	struct asked a = { .lines = json_array(), .id = id, .next = first,
	    .rng = counter(rng, d->held_out, DRAW_WORDING) };
	const char *name, *hue;
	int i;

	for (i = 0; i < d->n; i++) {
		name = w->shapes[d->at[i].shape];
		hue = w->colours[d->at[i].colour];
		ask(&a, "colour", colour, name, hue);
		ask(&a, "shape", shape, hue, name);
		ask(&a, "place", place, name, place_of(d, i));
	}
	ask(&a, "background", pattern, "", w->patterns[d->pattern]);
	return a.lines;
}

static void
add_answers(json_t *map, const char *const *names, int n)
{
	int i;

	for (i = 0; i < n; i++)
		json_object_set_new_nocheck(map, names[i],
		    json_integer((json_int_t)json_object_size(map)));
}

json_t *
cb_demo_answers(const struct cb_demo_words *w)
{
	json_t *map = json_object();

	add_answers(map, w->colours, count(w->colours));
	add_answers(map, w->shapes, count(w->shapes));
	add_answers(map, w->patterns, count(w->patterns));
	add_answers(map, places, (int)CB_LEN(places));
	return map;
}
