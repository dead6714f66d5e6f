/*
 * Convolutions on channels-last pictures.  The scale is multiplied into the
 * weights, the shift is the bias; residual and ReLU are applied where a result
 * is made.  (Twin: ref/conv.c, with the formulas; the ways: conv.h.)
 */
#include <stdlib.h>

#include "conv.h"

#define WINOGRAD_CHANNELS 64	/* where transforms are a small part ... */
#define WINOGRAD_SIDE 12	/* ... tiles of 4x4 mostly whole ... */
#define WINOGRAD_TILES 12	/* ... and weights used often enough */

enum how { BY_TAPS, BY_WINOGRAD, BY_WINDOWS, BY_DIRECT };

static int
plan_init(struct cb_conv_plan *c)
{
	const struct cb_conv *g = &c->g;

	c->OH = conv_out(g->H, g->k, g->stride, g->pad);
	c->OW = conv_out(g->W, g->k, g->stride, g->pad);
	c->scale = cb_alloc((int64_t)g->O * (int64_t)sizeof(float));
	c->shift = cb_alloc((int64_t)g->O * (int64_t)sizeof(float));
	if (c->scale == NULL || c->shift == NULL)
		return cb_fail(CB_ENOMEM, "convolution");
	return direct_new(c);
}

int
cpu_conv_new(struct cb_engine *e, struct cb_conv_plan **out,
    const struct cb_conv *g)
{
	struct cb_conv_plan *c;

	if ((c = calloc(1, sizeof(*c))) == NULL)
		return cb_fail(CB_ENOMEM, "convolution");
	c->g = *g;
	if (plan_init(c) < 0) {
		cpu_conv_free(e, c);
		return -1;
	}
	*out = c;
	return 0;
}

void
cpu_conv_free(struct cb_engine *e, struct cb_conv_plan *c)
{
	(void)e;
	if (c == NULL)
		return;
	direct_free(c->direct);
	free(c->scale);
	free(c->shift);
	free(c);
}

void
cpu_conv_pack(struct cb_engine *e, struct cb_conv_plan *c, const float *w,
    const float *scale, const float *shift, bool backward)
{
	int o;

	(void)backward;		/* laid out when they are used */
	c->w = w;
	for (o = 0; o < c->g.O; o++) {
		c->scale[o] = scale != NULL ? scale[o] : 1;
		c->shift[o] = shift != NULL ? shift[o] : 0;
	}
	direct_pack(cpu_of(e), c);
}

struct way
cpu_conv_way(const struct cb_conv_plan *c, bool back)
{
	const struct cb_conv *g = &c->g;

	if (!back)
		return (struct way){ g->H, g->W, g->C, c->OH, c->OW, g->O,
		    g->k, g->stride, g->pad, false };
	return (struct way){ c->OH, c->OW, g->O, g->H, g->W, g->C, g->k,
	    g->stride, g->k - 1 - g->pad, true };
}

static bool
whole(const struct cb_conv_plan *c)
{
	return c->g.C % 16 == 0 && c->g.O % 16 == 0 &&
	    c->g.k * c->g.k <= MAX_TAPS;
}

static bool
by_winograd(const struct cb_conv_plan *c, int P)
{
	const struct cb_conv *g = &c->g;
	int64_t tiles = (int64_t)((c->OH + 3) / 4) * ((c->OW + 3) / 4) * P;

	return g->k == 3 && g->stride == 1 && g->pad == 1 &&
	    g->C % PANEL == 0 && g->C >= WINOGRAD_CHANNELS &&
	    g->O % PANEL == 0 && g->O >= WINOGRAD_CHANNELS &&
	    g->H >= WINOGRAD_SIDE && g->W >= WINOGRAD_SIDE &&
	    tiles >= WINOGRAD_TILES;
}

static enum how
how(const struct cb_conv_plan *c, bool back, int P)
{
	if (by_winograd(c, P))
		return BY_WINOGRAD;
	if (!back && c->g.C < 16 && c->g.O % 16 == 0)
		return BY_WINDOWS;
	return whole(c) && (!back || c->g.k == 1 || c->g.stride == 1) ?
	    BY_TAPS : BY_DIRECT;
}

void
cpu_conv_fwd(struct cb_engine *e, struct cb_conv_plan *c, struct cb_elem *y,
    const struct cb_elem *x, const struct cb_elem *res, bool relu, int P)
{
	bool add = res == y;
	struct conv_args a = { .x = cf32(x), .res = add ? NULL : cf32(res),
	    .y = f32(y), .bias = c->shift, .add = add, .relu = relu, .P = P };
	enum how h = how(c, false, P);

	if (P == 0)
		return;
	if (h == BY_DIRECT)
		direct_fwd(cpu_of(e), c, &a);
	else if (h == BY_WINDOWS)
		windows_run(cpu_of(e), c, &a);
	else
		(h == BY_TAPS ? taps_run : winograd_run)(cpu_of(e), c, false,
		    &a);
}

void
cpu_conv_bwd(struct cb_engine *e, struct cb_conv_plan *c, struct cb_elem *dx,
    bool add, float *dw, const struct cb_elem *dy, const struct cb_elem *x,
    int P)
{
	struct conv_args a = { .x = cf32(dy), .y = f32(dx), .add = add,
	    .P = P };
	struct cpu *u = cpu_of(e);
	enum how h = how(c, true, P);

	if (P == 0)
		return;
	if (dx != NULL && h == BY_DIRECT)
		direct_dx(u, c, f32(dx), add, cf32(dy), P);
	else if (dx != NULL)
		(h == BY_TAPS ? taps_run : winograd_run)(u, c, true, &a);
	if (dw == NULL)
		return;
	if (h == BY_WINOGRAD)
		winograd_dw(u, c, dw, cf32(dy), cf32(x), P);
	else if (h == BY_TAPS && c->g.k == 1)
		taps_dw(u, c, dw, cf32(dy), cf32(x), P);
	else
		direct_dw(u, c, dw, cf32(dy), cf32(x), P);
}
