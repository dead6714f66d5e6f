/* Light augmentation: a clip is moved by some pixels and made brighter. */
#include <string.h>

#include "media/media.h"

static int
clamp(int v, int max)
{
	return v < 0 ? 0 : v > max ? max : v;
}

/* Row `to` becomes row `from` moved right by dx; they may be the same. */
static void
move_row(uint8_t *to, const uint8_t *from, int W, int dx)
{
	int x, n = dx < 0 ? -dx : dx;
	uint8_t edge[3];

	if (n > W - 1)
		n = W - 1;
	memcpy(edge, from + (dx > 0 ? 0 : 3 * (W - 1)), 3);
	if (dx >= 0)
		memmove(to + 3 * n, from, 3 * (size_t)(W - n));
	else
		memmove(to, from + 3 * n, 3 * (size_t)(W - n));
	for (x = 0; x < n; x++)
		memcpy(to + 3 * (dx > 0 ? x : W - 1 - x), edge, 3);
}

/*
 * In place: a row is written before it is read only where it is its own source,
 * because rows are taken in the direction they move from.
 */
static void
move(struct cb_array *a, int dx, int dy)
{
	int H = (int)a->dim[0], W = (int)a->dim[1], i, y;
	uint8_t *p = a->data;

	for (i = 0; i < H; i++) {
		y = dy > 0 ? H - 1 - i : i;
		move_row(p + 3 * (int64_t)W * y,
		    p + 3 * (int64_t)W * clamp(y - dy, H - 1), W, dx);
	}
}

static void
brighten(struct cb_array *a, double gain)
{
	int64_t i, n = cb_array_count(a);
	uint8_t table[256], *p = a->data;
	double v;
	int k;

	for (k = 0; k < 256; k++) {
		v = k * gain + 0.5;
		table[k] = v > 255 ? 255 : (uint8_t)v;
	}
	for (i = 0; i < n; i++)
		p[i] = table[p[i]];
}

void
cb_augment_clip(const struct cb_augment *o, struct cb_array *pictures, int n,
    int64_t epoch, int64_t seq, int clip)
{
	struct cb_rng rng = { .seed = o->seed, .purpose = CB_RNG_AUGMENT,
	    .epoch = (uint32_t)epoch, .seq = (uint32_t)seq };
	uint32_t at = 4 * (uint32_t)clip, span = 2 * (uint32_t)o->shift + 1;
	int dx = (int)cb_rng_below(&rng, at, span) - o->shift;
	int dy = (int)cb_rng_below(&rng, at + 1, span) - o->shift;
	double gain = 1 + o->brightness * (2 * cb_rng_real(&rng, at + 2) - 1);
	int i;

	for (i = 0; i < n; i++) {
		if (o->shift > 0)
			move(&pictures[i], dx, dy);
		if (o->brightness > 0)
			brighten(&pictures[i], gain);
	}
}
