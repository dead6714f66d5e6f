/*
 * Pictures for the demo: coloured shapes that move before a patterned
 * background.  Edges are smooth: how much of a pixel a shape covers is taken
 * from the distance of the pixel's centre to the shape's edge (positive
 * outside), half a pixel inside being full.
 */
#include <math.h>
#include <string.h>

#include "media/media.h"

#define TURN 6.28318530717958648
#define MAX_CORNERS 12

const char *const cb_shape_names[] = {
	"circle", "square", "triangle", "cross", NULL
};
const char *const cb_colour_names[] = {
	"red", "green", "blue", "yellow", "purple", "white", NULL
};
const char *const cb_pattern_names[] = {
	"stripes", "checks", "dots", "rings", "bricks", NULL
};

static const double colours[][3] = {
	{ 220, 40, 40 }, { 40, 170, 60 }, { 45, 80, 225 },
	{ 240, 215, 40 }, { 165, 50, 195 }, { 244, 244, 244 },
};

/* Corners of a shape of radius 1, in order round it; y points down. */
static const struct outline {
	int	 n;		/* 0: a circle */
	double	 at[MAX_CORNERS][2];
} outlines[] = {
	{ 0, { { 0 } } },
	{ 4, { { -.7, -.7 }, { .7, -.7 }, { .7, .7 }, { -.7, .7 } } },
	{ 3, { { 0, -1 }, { .95, .75 }, { -.95, .75 } } },
	{ 12, { { -.25, -.95 }, { .25, -.95 }, { .25, -.25 }, { .95, -.25 },
	    { .95, .25 }, { .25, .25 }, { .25, .95 }, { -.25, .95 },
	    { -.25, .25 }, { -.95, .25 }, { -.95, -.25 }, { -.25, -.25 } } },
};

static double
clamp01(double v)
{
	return v < 0 ? 0 : v > 1 ? 1 : v;
}

static uint8_t
byte(double v)
{
	return (uint8_t)(255 * clamp01(v / 255) + 0.5);
}

/* ---- looks -------------------------------------------------------------- */

/* Draws one after the other. */
struct dice {
	struct cb_rng rng;
	uint32_t i;
};

static double
between(struct dice *d, double low, double high)
{
	return low + (high - low) * cb_rng_real(&d->rng, d->i++);
}

/*
 * A shape keeps to its half of the picture, and near the middle across: what
 * is up on the left would be left and top.
 */
static void
vary_shape(struct cb_shape *s, struct dice *d, double x, double y, double w,
    double h)
{
	double least = w < h ? w : h;
	int c;

	s->radius = between(d, .39, .43) * least;
	s->reach_x = (w / 2 - s->radius) * between(d, .6, 1);
	s->reach_y = (h / 2 - s->radius) * between(d, .6, 1);
	if (s->motion == CB_MOVE_ACROSS)
		s->reach_y = 0;
	if (s->motion == CB_MOVE_UPRIGHT)
		s->reach_x = 0;
	s->x = x + w / 2 + (w / 2 - s->radius - s->reach_x) *
	    between(d, -1, 1);
	s->y = y + h / 2 + (h / 2 - s->radius - s->reach_y) *
	    between(d, -1, 1);
	s->turn = between(d, -.1, .1);
	s->rate = between(d, .3, .8);
	s->phase = between(d, 0, 1);
	for (c = 0; c < 3; c++)
		s->rgb[c] = colours[s->colour][c] + between(d, -11, 11);
}

static void
vary_ground(struct cb_scene *s, struct dice *d)
{
	double least = s->w < s->h ? s->w : s->h;
	double dark = between(d, 70, 90), step = between(d, 55, 65);
	int c;

	for (c = 0; c < 3; c++) {
		s->tone[0][c] = dark + between(d, -6, 6);
		s->tone[1][c] = dark + step + between(d, -6, 6);
	}
	s->period = least / between(d, 11, 13);
	s->angle = between(d, -.15, .15);
	s->from_x = between(d, .3, .7) * s->w;
	s->from_y = between(d, .3, .7) * s->h;
	s->grain = d->rng;
	s->grain.seq ^= 0x80000000u;	/* apart from the draws here */
}

void
cb_scene_vary(struct cb_scene *s, const struct cb_rng *rng)
{
	double w = s->w, h = s->h;
	struct dice d = { .rng = *rng };
	int i, far;

	vary_ground(s, &d);
	for (i = 0; i < s->n; i++) {
		far = s->shapes[i].place;
		if (s->stacked)
			vary_shape(&s->shapes[i], &d, .22 * w, far * h / 2,
			    .56 * w, h / 2);
		else
			vary_shape(&s->shapes[i], &d, far * w / 2, .22 * h,
			    w / 2, .56 * h);
	}
}

/* ---- background --------------------------------------------------------- */

static double
nearest(double v, double period)
{
	return fabs(v - period * round(v / period));
}

/* How much of the bright tone is at (x, y), seen from the pattern's middle. */
static double
pattern_at(const struct cb_scene *s, double x, double y)
{
	double p = s->period, soft = p / TURN, ca, sa, u, v, row;

	if (s->pattern == 3)	/* rings */
		return clamp01(.5 + soft * sin(TURN * hypot(x, y) / p));
	ca = cos(s->angle);	/* the others are a little askew */
	sa = sin(s->angle);
	u = x * ca + y * sa;
	v = y * ca - x * sa;
	if (s->pattern == 0)	/* stripes */
		return clamp01(.5 + soft * sin(TURN * u / p));
	if (s->pattern == 1)	/* checks */
		return clamp01(.5 + 2 * soft * sin(TURN / 2 * u / p) *
		    sin(TURN / 2 * v / p));
	if (s->pattern == 2)	/* dots */
		return clamp01(.5 + .33 * p - hypot(nearest(u, p),
		    nearest(v, p)));
	row = floor(v / p);	/* bricks: each row half a brick on */
	u += fmod(fabs(row), 2) * p;
	v = fmin(v - row * p, (row + 1) * p - v);
	u = nearest(u, 2 * p);
	return clamp01(.5 + .1 * p - fmin(u, v));
}

void
cb_scene_ground(struct cb_array *rgb, const struct cb_scene *s)
{
	uint8_t *to = rgb->data;
	uint32_t grain[4] = { 0 };
	double m, g;
	int x, y, c;

	for (y = 0; y < s->h; y++) {
		for (x = 0; x < s->w; x++, to += 3) {
			if (x % 16 == 0)
				cb_rng_block(&s->grain, (uint32_t)(y *
				    ((s->w + 15) / 16) + x / 16), grain);
			g = (double)(grain[x / 4 % 4] >> 8 * (x % 4) & 255);
			m = pattern_at(s, x + .5 - s->from_x,
			    y + .5 - s->from_y);
			for (c = 0; c < 3; c++)
				to[c] = byte(s->tone[0][c] + m *
				    (s->tone[1][c] - s->tone[0][c]) +
				    (g - 127.5) / 20);
		}
	}
}

/* ---- shapes ------------------------------------------------------------- */

/*
 * Distance of (x, y) to a closed line, negative inside: the nearest point over
 * all edges, and inside by how often a ray to the right crosses them.
 */
static double
distance(const struct outline *o, double x, double y)
{
	double least = HUGE_VAL, ex, ey, px, py, t, d;
	const double *a, *b = o->at[o->n - 1];
	bool inside = false;
	int i;

	for (i = 0; i < o->n; i++, b = a) {
		a = o->at[i];
		ex = b[0] - a[0];
		ey = b[1] - a[1];
		px = x - a[0];
		py = y - a[1];
		t = clamp01((px * ex + py * ey) / (ex * ex + ey * ey));
		px -= t * ex;
		py -= t * ey;
		d = px * px + py * py;
		least = d < least ? d : least;
		if ((a[1] > y) != (b[1] > y) &&
		    x < a[0] + (y - a[1]) / ey * ex)
			inside = !inside;
	}
	return inside ? -sqrt(least) : sqrt(least);
}

/* How much of the pixel at (x, y) from its middle a shape covers. */
static double
cover(const struct cb_shape *s, double x, double y)
{
	const struct outline *o = &outlines[s->kind];

	if (o->n == 0)
		return clamp01(.5 + .95 * s->radius - sqrt(x * x + y * y));
	return clamp01(.5 - s->radius * distance(o, x / s->radius,
	    y / s->radius));
}

static void
draw(struct cb_array *rgb, const struct cb_shape *s, double time_s)
{
	double angle = TURN * (s->rate * time_s + s->phase), a;
	double cx = s->x + s->reach_x * sin(angle);
	double cy = s->y + s->reach_y * cos(angle), far = 1.3 * s->radius + 1;
	double ct = cos(s->turn), st = sin(s->turn), dx, dy;
	int H = (int)rgb->dim[0], W = (int)rgb->dim[1], x, y, c;
	uint8_t *to;

	for (y = (int)fmax(0, cy - far); y < H && y < cy + far; y++) {
		for (x = (int)fmax(0, cx - far); x < W && x < cx + far; x++) {
			dx = x + .5 - cx;
			dy = y + .5 - cy;
			a = cover(s, dx * ct + dy * st, dy * ct - dx * st);
			if (a <= 0)
				continue;
			to = (uint8_t *)rgb->data + 3 * ((int64_t)W * y + x);
			for (c = 0; c < 3; c++)
				to[c] = byte(to[c] + a * (s->rgb[c] - to[c]));
		}
	}
}

void
cb_scene_shapes(struct cb_array *rgb, const struct cb_scene *s, double time_s)
{
	int i;

	for (i = 0; i < s->n; i++)
		draw(rgb, &s->shapes[i], time_s);
}
