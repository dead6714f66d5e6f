/*
 * Convolutions: a plan keeps the weights as cuDNN wants them, [O,k,k,C] in the
 * type of the elements and multiplied by the scale, and the shift as a bias.
 * Channels are padded to multiples of 8 where they are none, activations too,
 * on their way in and out; of ResNet these are the 3 colours alone, and
 * prepare() has padded them already.
 */
#include <assert.h>
#include <stdlib.h>

#include "gpu.h"

struct cb_conv_plan {
	struct cb_conv g;		/* padded */
	int	 C, O;			/* not padded */
	int	 X;			/* channels of x */
	int64_t	 in, out;		/* positions of a picture */
	void	*w, *bias;		/* elements */
	float	*wide;			/* bias as it is in elements */
	float	*scale;
	bool	 scaled;
};

static int64_t
weights(const struct cb_conv_plan *c)
{
	return (int64_t)c->g.O * c->g.k * c->g.k * c->g.C;
}

int
gpu_conv_new(struct cb_engine *e, struct cb_conv_plan **out,
    const struct cb_conv *g)
{
	int64_t elem = (int64_t)e->elem_size, f32 = sizeof(float);
	struct cb_conv_plan *c;

	if ((c = calloc(1, sizeof(*c))) == NULL)
		return cb_fail(CB_ENOMEM, "convolution");
	c->g = *g;
	c->C = g->C;
	c->O = g->O;
	c->X = g->C + g->blank;
	c->g.blank = 0;
	c->g.C = cu_pad8(g->C);
	assert(g->blank == 0 || c->X == c->g.C);
	c->g.O = cu_pad8(g->O);
	c->in = (int64_t)g->H * g->W;
	c->out = (int64_t)((g->H + 2 * g->pad - g->k) / g->stride + 1) *
	    ((g->W + 2 * g->pad - g->k) / g->stride + 1);
	if ((c->w = gpu_alloc(e, weights(c) * elem)) == NULL ||
	    (c->bias = gpu_alloc(e, c->g.O * elem)) == NULL ||
	    (c->wide = gpu_alloc(e, c->g.O * f32)) == NULL ||
	    (c->scale = gpu_alloc(e, c->g.O * f32)) == NULL) {
		gpu_conv_free(e, c);
		return -1;
	}
	*out = c;
	return 0;
}

void
gpu_conv_free(struct cb_engine *e, struct cb_conv_plan *c)
{
	if (c == NULL)
		return;
	gpu_release(e, c->w);
	gpu_release(e, c->bias);
	gpu_release(e, c->wide);
	gpu_release(e, c->scale);
	free(c);
}

void
gpu_conv_pack(struct cb_engine *e, struct cb_conv_plan *c, const float *w,
    const float *scale, const float *shift, bool backward)
{
	struct gpu *g = gpu_of(e);

	(void)backward;
	c->scaled = scale != NULL;
	gpu_pack(g, &(struct pack){ .kind = PACK_CONV, .x = w, .y = c->w,
	    .scale = scale, .O = c->O, .Op = c->g.O, .C = c->C, .Cp = c->g.C,
	    .k = c->g.k });
	gpu_pack(g, &(struct pack){ .kind = PACK_BIAS, .x = shift,
	    .y = c->bias, .wide = c->wide, .kept = c->scale, .scale = scale,
	    .O = c->O, .Op = c->g.O });
}

static struct sizes
sizes(const struct cb_conv_plan *c, int op, int P)
{
	const struct cb_conv *g = &c->g;

	return (struct sizes){ 100 + op, { P, g->H, g->W, g->C, g->O, g->k,
	    g->stride, g->pad } };
}

/* Bytes of n positions of so many channels. */
static int64_t
plane(const struct gpu *g, int64_t n, int channels)
{
	return n * channels * (int64_t)g->e.elem_size;
}

/* Space for an operation; false: none, or no way to do it. */
static bool
ready(struct gpu *g, struct cu_work *k, enum cu_conv_op op,
    const struct cb_conv_plan *c, int P)
{
	struct cu_conv_choice choice;

	if (!gpu_lib(g, cu_dnn_plan(g->dnn, &choice, op, &c->g, P)))
		return false;
	*k = gpu_work(g, choice.bytes);
	return choice.bytes == 0 || k->space != NULL;
}

/* x [n,C] with Cp channels, at *p of the scratch; x itself if it has them. */
static const void *
padded(struct gpu *g, char **p, const void *x, int64_t n, int C, int Cp)
{
	void *to;

	if (x == NULL || C == Cp)
		return x;
	to = gpu_cut(p, plane(g, n, Cp));
	CU(g, cu_channels(gpu_begin(g, "pad"), g->type, to, Cp, x, C, false,
	    n));
	return to;
}

void
gpu_conv_fwd(struct cb_engine *e, struct cb_conv_plan *c, struct cb_elem *y,
    const struct cb_elem *x, const struct cb_elem *res, bool relu, int P)
{
	enum cu_conv_op op = res == NULL ? relu ? CU_CONV_FWD_RELU :
	    CU_CONV_FWD : relu ? CU_CONV_FWD_RES_RELU : CU_CONV_FWD_RES;
	const struct cu_bias bias = { c->bias, c->wide };
	const struct sizes s = sizes(c, op, P);
	const bool pad_x = c->X != c->g.C, pad_y = c->O != c->g.O;
	struct gpu *g = gpu_of(e);
	const void *xp, *rp;
	struct cu_work k;
	char *at = NULL;
	void *yp;

	if (P == 0 || !ready(g, &k, op, c, P))
		return;
	if ((pad_x || pad_y) && (at = gpu_scratch(g,
	    pad_x * gpu_piece(plane(g, P * c->in, c->g.C)) +
	    2 * pad_y * gpu_piece(plane(g, P * c->out, c->g.O)))) == NULL)
		return;
	xp = padded(g, &at, x, P * c->in, c->X, c->g.C);
	rp = padded(g, &at, res, P * c->out, c->O, c->g.O);
	yp = pad_y ? gpu_cut(&at, plane(g, P * c->out, c->g.O)) : y;
	gpu_begin_lib(g, "conv_fwd", &s);
	gpu_lib(g, cu_dnn_fwd(g->dnn, &k, yp, xp, c->w, &bias, rp, relu, &c->g,
	    P));
	if (pad_y)
		CU(g, cu_channels(gpu_begin(g, "pad"), g->type, y, c->O, yp,
		    c->g.O, false, P * c->out));
}

static void
input_gradient(struct gpu *g, struct cb_conv_plan *c, void *dx, bool add,
    const void *dy, char *at, int P)
{
	const bool pad = c->X != c->g.C;
	enum cu_conv_op op = add && !pad ? CU_CONV_DX_ADD : CU_CONV_DX;
	const struct sizes s = sizes(c, op, P);
	struct cu_work k;
	void *to = pad ? gpu_cut(&at, plane(g, P * c->in, c->g.C)) : dx;

	if (!ready(g, &k, op, c, P))
		return;
	gpu_begin_lib(g, "conv_dx", &s);
	gpu_lib(g, cu_dnn_dx(g->dnn, &k, to, add && !pad, dy, c->w, &c->g,
	    P));
	if (pad)
		CU(g, cu_channels(gpu_begin(g, "pad"), g->type, dx, c->C, to,
		    c->g.C, add, P * c->in));
}

static void
weight_gradient(struct gpu *g, struct cb_conv_plan *c, float *dw,
    const void *dy, const void *x, char *at, int P)
{
	const struct sizes s = sizes(c, CU_CONV_DW, P);
	void *to = gpu_cut(&at, weights(c) * (int64_t)g->e.elem_size);
	struct cu_work k;

	if (!ready(g, &k, CU_CONV_DW, c, P))
		return;
	x = padded(g, &at, x, P * c->in, c->X, c->g.C);
	gpu_begin_lib(g, "conv_dw", &s);
	gpu_lib(g, cu_dnn_dw(g->dnn, &k, to, dy, x, &c->g, P));
	CU(g, cu_conv_gradient(gpu_begin(g, "conv_gradient"), g->type, dw, to,
	    c->scaled ? c->scale : NULL, c->O, c->C, c->g.C, c->g.k));
}

void
gpu_conv_bwd(struct cb_engine *e, struct cb_conv_plan *c, struct cb_elem *dx,
    bool add, float *dw, const struct cb_elem *dy, const struct cb_elem *x,
    int P)
{
	struct gpu *g = gpu_of(e);
	const void *dyp;
	char *at;

	assert(dx == NULL || c->X == c->C);
	if (P == 0 || (dx == NULL && dw == NULL))
		return;
	at = gpu_scratch(g, gpu_piece(plane(g, P * c->in, c->g.C)) *
	    (c->X != c->g.C) + gpu_piece(plane(g, P * c->out, c->g.O)) *
	    (c->O != c->g.O) + gpu_piece(weights(c) *
	    (int64_t)e->elem_size));
	if (at == NULL)
		return;
	dyp = padded(g, &at, dy, P * c->out, c->O, c->g.O);
	if (dx != NULL)
		input_gradient(g, c, dx, add, dyp, at, P);
	if (dw != NULL)
		weight_gradient(g, c, dw, dyp, x, at, P);
}
