/*
 * Convolutions by cuDNN, with what the engine does around them: weights laid
 * out and scaled, channels padded to multiples of 8.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libs.h"

struct dnn_case {
	struct cb_conv g;
	int	 P;
	bool	 res, relu, tf32;
};

/* The sizes of a case, and of its padded form. */
struct sizes {
	struct cb_conv g;
	int64_t	 in, out;	/* positions */
	int64_t	 nx, ny, nw, px, py, pw;
};

static struct sizes
sizes_of(const struct cb_conv *g, int P)
{
	const int OH = (g->H + 2 * g->pad - g->k) / g->stride + 1;
	const int OW = (g->W + 2 * g->pad - g->k) / g->stride + 1;
	struct sizes s = { .g = *g, .in = (int64_t)P * g->H * g->W, .out =
	    (int64_t)P * OH * OW };

	s.g.C = cu_pad8(g->C);
	s.g.O = cu_pad8(g->O);
	s.nx = s.in * g->C;
	s.ny = s.out * g->O;
	s.nw = (int64_t)g->O * g->C * g->k * g->k;
	s.px = s.in * s.g.C;
	s.py = s.out * s.g.O;
	s.pw = (int64_t)s.g.O * s.g.C * g->k * g->k;
	return s;
}

static void
twin(struct kern *k, const struct dnn_case *c, void *y, void *dx, void *more,
    float *dw, const void *x, const void *w, const float *shift,
    const void *res, const void *dy)
{
	const struct sizes s = sizes_of(&c->g, c->P);
	struct cb_engine *e = k->twin;
	struct cb_conv_plan *p;
	const char *fail = getenv("CBSIM_FAIL");
	/* what is left then has no tensor cores */
	const bool tf32 = c->tf32 && (fail == NULL ||
	    strstr(fail, "CUDNN_HEUR_MODE_A") == NULL);

	x = rounded(k, tf32, x, s.nx);
	w = rounded(k, tf32, w, s.nw);
	dy = rounded(k, tf32, dy, s.ny);
	if (e->conv_new(e, &p, &c->g) < 0)
		abort();
	e->conv_pack(e, p, w, NULL, shift, true);
	e->conv_fwd(e, p, y, x, c->res ? res : NULL, c->relu, c->P);
	e->conv_bwd(e, p, dx, false, dw, dy, x, c->P);
	e->conv_bwd(e, p, more, true, NULL, dy, x, c->P);
	e->conv_free(e, p);
}

/* n positions of x, from C channels to D, in new memory. */
static void *
padded(struct kern *k, const void *x, int C, int D, int64_t n)
{
	void *y = scratch(k, n * D);

	must(cu_channels(k->s, k->t, y, D, x, C, false, n));
	return y;
}

/*
 * Space for all, and whether the choice is right: of what the stand-in proposes
 * (t/standin/cudnn.cpp), 4 has tensor cores and 5 has none.
 */
static size_t
space_for(struct cu_dnn *d, const struct cb_conv *g, int P, int best)
{
	struct cu_conv_choice c;
	size_t most = 0;
	int op;

	for (op = CU_CONV_FWD; op <= CU_CONV_DW; op++) {
		fine(cu_dnn_plan(d, &c, (enum cu_conv_op)op, g, P));
		most = c.bytes > most ? c.bytes : most;
		if ((c.engine == best && c.fused) || getenv("CBSIM_FAIL"))
			continue;
		printf("Bail out! operation %d: engine %d of cuDNN\n", op,
		    (int)c.engine);
		exit(1);
	}
	return most;
}

static void
kernels(struct kern *k, const struct dnn_case *c, void *y, void *dx,
    void *more, float *dw, const void *x, const float *w,
    const struct cu_bias *b, const void *res, const void *dy)
{
	const struct sizes s = sizes_of(&c->g, c->P);
	const int C = c->g.C, O = c->g.O, pC = s.g.C, pO = s.g.O;
	void *px = padded(k, x, C, pC, s.in), *py = scratch(k, s.py);
	void *pres = padded(k, res, O, pO, s.out);
	void *pdy = padded(k, dy, O, pO, s.out), *pdx = scratch(k, s.px);
	void *pmore = padded(k, more, C, pC, s.in), *pw = scratch(k, s.pw);
	void *pdw = scratch(k, s.pw);
	struct cu_bias pb = { padded(k, b->elem, O, pO, 1), scratch(k, pO) };
	struct cu_work work;
	struct cu_dnn *d;

	must(cu_to_f32(k->s, k->t, (float *)pb.f32, pb.elem, pO));
	must(cu_conv_weights(k->s, k->t, pw, w, NULL, O, pO, C, pC, c->g.k));
	fine(cu_dnn_open(&open_dnn, k->t, c->tf32, NULL));
	d = open_dnn;
	work = work_of(k, space_for(d, &s.g, c->P, k->t == CU_F32 && !c->tf32 ?
	    5 : 4));
	fine(cu_dnn_fwd(d, &work, py, px, pw, &pb, c->res ? pres : NULL,
	    c->relu, &s.g, c->P));
	fine(cu_dnn_dx(d, &work, pdx, false, pdy, pw, &s.g, c->P));
	fine(cu_dnn_dx(d, &work, pmore, true, pdy, pw, &s.g, c->P));
	fine(cu_dnn_dw(d, &work, pdw, pdy, px, &s.g, c->P));
	must(cu_channels(k->s, k->t, y, O, py, pO, false, s.out));
	must(cu_channels(k->s, k->t, dx, C, pdx, pC, false, s.in));
	must(cu_channels(k->s, k->t, more, C, pmore, pC, false, s.in));
	must(cu_conv_gradient(k->s, k->t, dw, pdw, NULL, O, C, pC, c->g.k));
	must(cudaStreamSynchronize(k->s));
	cu_dnn_close(d);
	open_dnn = NULL;
}

static void
dnn_case(struct kern *k, const void *arg)
{
	static const double round[] = { 0, 0x1p-8, 0x1p-11 };
	const struct dnn_case *c = arg;
	const struct sizes s = sizes_of(&c->g, c->P);
	const double taps = c->g.k * c->g.k;
	void *x = acts(k, s.nx), *res = acts(k, s.ny), *dy = acts(k, s.ny);
	void *y = acts(k, s.ny), *dx = acts(k, s.nx), *more = acts(k, s.nx);
	struct cu_bias b = bias_of(k, c->g.O);
	float *w = c->tf32 ? floats(k, s.nw, -1, 1) : coarse(k, s.nw);
	float *dw = params(k, s.nw, -1, 1);
	struct out *o;

	if (k->twin != NULL)
		twin(k, c, y, dx, more, dw, x, w, b.f32, res, dy);
	else
		kernels(k, c, y, dx, more, dw, x, w, &b, res, dy);
	o = out_elem(k, "y", y, s.ny, c->g.C * taps);
	/* Not fused, what the convolution gives is rounded too: at most y, bias
	 * and res. */
	if (getenv("CBSIM_FAIL") != NULL) {
		o->round *= 2;
		o->slack += 2 * round[k->t];
	}
	out_elem(k, "dx", dx, s.nx, c->g.O * taps);
	out_elem(k, "dx added to", more, s.nx, c->g.O * taps);
	/* What is added is rounded: at most dw, and the 1 that was there. */
	o = out_f32(k, "dw", dw, s.nw, (double)s.out);
	o->round = round[k->t];
	o->slack = round[k->t];
}

static const struct kern_case cases[] = {
	/* H W C O k stride pad, P res relu tf32 */
	CASE(dnn, EVERY, struct dnn_case, { { 1, 1, 3, 5, 1, 1, 0, 0 }, 1, 0,
	    1, 0 }),
	CASE(dnn, EVERY, struct dnn_case, { { 1, 1, 8, 8, 1, 1, 0, 0 }, 1, 1,
	    0, 0 }),
	CASE(dnn, EVERY, struct dnn_case, { { 7, 5, 3, 16, 7, 2, 3, 0 }, 2, 0,
	    1, 0 }),
	CASE(dnn, EVERY, struct dnn_case, { { 6, 9, 16, 24, 3, 1, 1, 0 }, 2, 1,
	    1, 0 }),
	CASE(dnn, EVERY, struct dnn_case, { { 7, 4, 17, 8, 3, 2, 1, 0 }, 3, 0,
	    0, 0 }),
	CASE(dnn, EVERY, struct dnn_case, { { 5, 6, 24, 37, 1, 2, 0, 0 }, 1, 1,
	    0, 0 }),
	CASE(dnn, F32, struct dnn_case, { { 6, 9, 16, 24, 3, 1, 1, 0 }, 2, 1, 1,
	    1 }),
	CASE(dnn, F32, struct dnn_case, { { 5, 6, 24, 37, 1, 2, 0, 0 }, 1, 0, 0,
	    1 }),
	CASE(dnn, LARGE, struct dnn_case, { { 28, 27, 64, 64, 3, 1, 1, 0 }, 2, 1,
	    1, 0 }),
};

GROUP(dnn);
