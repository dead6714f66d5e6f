/* Augmentation: the same for all pictures of a clip, edges repeated. */
#include <stdlib.h>
#include <string.h>

#include "media/media.h"
#include "tap.h"

#define H 6
#define W 9

static void
fill(struct cb_array *a, int salt)
{
	int64_t dim[3] = { H, W, 3 };
	int i;

	cb_array_init(a, CB_U8, 3, dim);
	for (i = 0; i < H * W * 3; i++)
		((uint8_t *)a->data)[i] = (uint8_t)((i * 37 + salt) % 251);
}

static int
at(const struct cb_array *a, int y, int x, int c)
{
	y = y < 0 ? 0 : y >= H ? H - 1 : y;
	x = x < 0 ? 0 : x >= W ? W - 1 : x;
	return ((uint8_t *)a->data)[(y * W + x) * 3 + c];
}

/* Is b the picture a moved by dx, dy? */
static bool
moved(const struct cb_array *a, const struct cb_array *b, int dx, int dy)
{
	int y, x, c;

	for (y = 0; y < H; y++)
		for (x = 0; x < W; x++)
			for (c = 0; c < 3; c++)
				if (at(b, y, x, c) != at(a, y - dy, x - dx, c))
					return false;
	return true;
}

int
main(void)
{
	struct cb_augment o = { .seed = 3, .shift = 4 };
	struct cb_array was[2], now[2];
	bool seen[9][9] = { 0 };
	int seq, dx, dy, fx = 0, fy = 0, found, same = 0, once = 0, kinds = 0;
	int i, k, lo = 255, hi = 0;

	plan(7);
	for (seq = 0; seq < 400; seq++) {
		for (i = 0; i < 2; i++) {
			fill(&was[i], seq + 7 * i);
			fill(&now[i], seq + 7 * i);
		}
		cb_augment_clip(&o, now, 2, 1, seq, 0);
		found = 0;
		for (dy = -4; dy <= 4; dy++) {
			for (dx = -4; dx <= 4; dx++) {
				if (!moved(&was[0], &now[0], dx, dy))
					continue;
				found++;
				fx = dx;
				fy = dy;
			}
		}
		once += found == 1;
		same += moved(&was[1], &now[1], fx, fy);
		seen[fy + 4][fx + 4] = true;
		for (i = 0; i < 2; i++) {
			cb_array_clear(&was[i]);
			cb_array_clear(&now[i]);
		}
	}
	for (i = 0; i < 81; i++)
		kinds += seen[i / 9][i % 9];
	ok(once == 400, "each picture is moved, its edges repeated");
	ok(same == 400, "all pictures of a clip alike");
	ok(kinds > 75, "in all directions (%d of 81)", kinds);

	o = (struct cb_augment){ .seed = 3, .brightness = 0.5 };
	for (seq = 0; seq < 200; seq++) {
		fill(&now[0], 0);
		((uint8_t *)now[0].data)[0] = 100;
		((uint8_t *)now[0].data)[1] = 0;
		cb_augment_clip(&o, now, 1, 0, seq, 0);
		k = ((uint8_t *)now[0].data)[0];
		lo = k < lo ? k : lo;
		hi = k > hi ? k : hi;
		cb_array_clear(&now[0]);
	}
	ok(lo >= 50 && lo < 55 && hi <= 150 && hi > 145,
	    "brightness from %d to %d per cent", lo, hi);

	o = (struct cb_augment){ .seed = 3, .shift = 4, .brightness = 0.5 };
	fill(&was[0], 1);
	fill(&was[1], 1);
	fill(&now[0], 1);
	fill(&now[1], 1);
	cb_augment_clip(&o, &now[0], 1, 0, 5, 0);
	cb_augment_clip(&o, &now[1], 1, 0, 5, 1);
	ok(memcmp(now[0].data, now[1].data, H * W * 3) != 0,
	    "each clip has its own draw");
	cb_augment_clip(&o, &was[0], 1, 0, 5, 0);
	ok(memcmp(now[0].data, was[0].data, H * W * 3) == 0, "the same again");
	o = (struct cb_augment){ .seed = 3 };
	cb_array_clear(&now[0]);
	fill(&now[0], 1);
	cb_augment_clip(&o, &now[0], 1, 0, 5, 0);
	ok(memcmp(now[0].data, was[1].data, H * W * 3) == 0, "off is off");
	for (i = 0; i < 2; i++) {
		cb_array_clear(&was[i]);
		cb_array_clear(&now[i]);
	}
	return done();
}
