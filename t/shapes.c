/* The pictures and the draws of cb-shapes: are they what is said of them? */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "media/media.h"
#include "task/task.h"
#include "tap.h"

#define W 128
#define H 96

static int
count(const char *const *names)
{
	int n = 0;

	while (names[n] != NULL)
		n++;
	return n;
}

static struct cb_scene
scene(int kind, int colour, int pattern, int place, bool stacked, uint32_t seq)
{
	struct cb_scene s = { .w = W, .h = H, .pattern = pattern,
	    .stacked = stacked, .n = 1, .shapes[0] = { .kind = kind,
	    .colour = colour, .place = place,
	    .motion = (enum cb_motion)(seq % CB_NMOTION) } };
	struct cb_rng rng = { .seed = 7, .purpose = CB_RNG_DEMO, .seq = seq };

	cb_scene_vary(&s, &rng);
	return s;
}

/* Pixels that the shape changed: their number, those in the half where it
 * should not be, and those that have its colour alone. */
static void
look(const struct cb_scene *s, double t, struct cb_array *a,
    struct cb_array *b, int *all, int *astray, int *full)
{
	const uint8_t *p = a->data, *q = b->data;
	int x, y, far;

	cb_scene_ground(a, s);
	memcpy(b->data, a->data, (size_t)cb_array_bytes(a));
	cb_scene_shapes(b, s, t);
	for (y = 0; y < H; y++) {
		for (x = 0; x < W; x++, p += 3, q += 3) {
			if (memcmp(p, q, 3) == 0)
				continue;
			far = s->stacked ? y >= H / 2 : x >= W / 2;
			++*all;
			*astray += far != s->shapes[0].place;
			*full += fabs(q[0] - s->shapes[0].rgb[0]) <= .5 &&
			    fabs(q[1] - s->shapes[0].rgb[1]) <= .5 &&
			    fabs(q[2] - s->shapes[0].rgb[2]) <= .5;
		}
	}
}

/* Areas of the shapes of radius 1. */
static const double areas[] = { 3.14159 * .9025, 1.96, 1.6625, 1.65 };

static void
test_shapes(struct cb_array *a, struct cb_array *b)
{
	int kind, i, all, astray, full, wrong, lost, hard;
	struct cb_scene s;
	double area;

	for (kind = 0; kind < count(cb_shape_names); kind++) {
		wrong = lost = hard = 0;
		for (i = 0; i < 60; i++) {
			s = scene(kind, i % 6, i % 5, i % 2, i / 2 % 2,
			    (uint32_t)i);
			all = astray = full = 0;
			look(&s, i * .1, a, b, &all, &astray, &full);
			area = areas[kind] * s.shapes[0].radius *
			    s.shapes[0].radius;
			lost += astray > 0;
			wrong += full > area || all < area ||
			    all - full > area;
			hard += all == full;
		}
		ok(wrong == 0, "%s: its area in its colour (%d not)",
		    cb_shape_names[kind], wrong);
		ok(lost == 0, "%s: stays in its half (%d not)",
		    cb_shape_names[kind], lost);
		ok(hard == 0, "%s: has smooth edges", cb_shape_names[kind]);
	}
}

/* Both tones of a background cover a fair part, and it is not the same as any
 * other. */
static void
test_patterns(struct cb_array *a, struct cb_array *b)
{
	int pattern, i, x, bright;
	double middle, share, last = 0;
	struct cb_scene s;
	const uint8_t *p = a->data;
	bool fair = true, differ = true;

	for (pattern = 0; pattern < count(cb_pattern_names); pattern++) {
		for (i = 0; i < 20; i++) {
			s = scene(0, 0, pattern, 0, false, (uint32_t)i);
			cb_scene_ground(a, &s);
			middle = (s.tone[0][1] + s.tone[1][1]) / 2;
			for (x = bright = 0; x < W * H; x++)
				bright += p[3 * x + 1] > middle;
			share = (double)bright / (W * H);
			fair = fair && share > .2 && share < .8;
		}
		differ = differ && (pattern == 0 ||
		    memcmp(a->data, b->data, (size_t)cb_array_bytes(a)) != 0);
		memcpy(b->data, a->data, (size_t)cb_array_bytes(a));
		last = share;
	}
	ok(fair, "each background has two tones (the last %.2f)", last);
	ok(differ, "backgrounds differ");
}

/* How often the draws of a split have shape, colour, background and place. */
static int seen[2][4][6][5][4];

static int
sum_over(int split, int shape, int colour, int pattern)
{
	int place, n = 0;

	for (place = 0; place < 4; place++)
		n += seen[split][shape][colour][pattern][place];
	return n;
}

static void
test_split(void)
{
	const struct cb_demo_words w = { cb_shape_names, cb_colour_names,
	    cb_pattern_names };
	struct cb_rng rng = { .seed = 3, .purpose = CB_RNG_DEMO };
	int i, k, s, c, p, both = 0, lacking = 0, most = 0, all = 0;
	int shape[4] = { 0 }, background[5] = { 0 };
	struct cb_demo d;

	for (i = 0; i < 40000; i++) {
		rng.seq = (uint32_t)i;
		cb_demo_draw(&d, i % 2, &w, &rng);
		for (k = 0; k < d.n; k++, all++) {
			seen[i % 2][d.at[k].shape][d.at[k].colour][d.pattern]
			    [2 * d.stacked + d.at[k].place]++;
			shape[d.at[k].shape]++;
		}
		background[d.pattern]++;
	}
	for (i = 0; i < 4 * 6 * 5 * 4; i++)
		both += (&seen[0][0][0][0][0])[i] > 0 &&
		    (&seen[1][0][0][0][0])[i] > 0;
	ok(both == 0, "no combination is in both splits (%d)", both);
	for (s = 0; s < 4; s++)
		for (c = 0; c < 6; c++)
			for (p = 0; p < 5; p++)
				lacking += sum_over(0, s, c, p) == 0;
	ok(lacking == 0, "without the place all are trained (%d not)", lacking);
	for (i = 0; i < 4; i++)
		most = shape[i] > most ? shape[i] : most;
	ok(most < .28 * all, "no shape is too frequent (%d of %d)", most, all);
	for (i = most = 0; i < 5; i++)
		most = background[i] > most ? background[i] : most;
	ok(most < .25 * 40000, "no background is too frequent (%d)", most);
}

static void
test_questions(void)
{
	const struct cb_demo_words w = { cb_shape_names, cb_colour_names,
	    cb_pattern_names };
	struct cb_rng rng = { .seed = 3, .purpose = CB_RNG_DEMO, .seq = 5 };
	struct cb_demo d = { .stacked = true, .pattern = 3, .n = 2,
	    .at = { { 0, 1, 0, 0 }, { 2, 5, 1, 1 } } };
	json_t *list = cb_demo_questions(&d, &w, "x", 40, &rng), *q;
	json_t *answers = cb_demo_answers(&w);
	static const char *const expected[] = { "green", "circle", "top",
	    "white", "triangle", "bottom", "rings" };
	char *caption = cb_demo_caption(&d, &w);
	bool right = true, ids = true;
	size_t i;

	json_array_foreach(list, i, q) {
		right = right && i < 7 && strcmp(expected[i],
		    json_string_value(json_object_get(q, "answer"))) == 0 &&
		    json_object_get(answers, expected[i]) != NULL;
		ids = ids && json_integer_value(json_object_get(q,
		    "question_id")) == 40 + (json_int_t)i;
	}
	ok(right && json_array_size(list) == 7, "seven answers, all right");
	ok(ids, "ids go on from the first");
	ok(strcmp(caption, "a green circle moves from side to side above a "
	    "white triangle that moves up and down before a background of rings")
	    == 0, "caption: %s", caption);
	free(caption);
	json_decref(list);
	json_decref(answers);
}

int
main(void)
{
	int64_t dim[3] = { H, W, 3 };
	struct cb_array a, b;

	plan(21);
	if (cb_array_init(&a, CB_U8, 3, dim) < 0 ||
	    cb_array_init(&b, CB_U8, 3, dim) < 0)
		return 1;
	test_shapes(&a, &b);
	test_patterns(&a, &b);
	test_split();
	test_questions();
	cb_array_clear(&a);
	cb_array_clear(&b);
	return done();
}
