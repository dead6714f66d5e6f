/*
 * Linear maps and what follows them:
 *
 *	z = x w' + bias,  y = act(z)
 *	dx = dz w,  dw += dz' x,  dbias += sum over t of dz
 *
 * act: max(0,z); GELU z (1 + erf(z / sqrt 2)) / 2; tanh; ELU z or exp(z) - 1, the
 * second below 0.  Their derivatives are written from what is kept: z for GELU, y
 * for the others.
 */
#include <stdlib.h>
#include <string.h>

#include "ref.h"

struct cb_linear_plan {
	int	 I, O;
	float	*w, *bias;	/* [O,I], [O] */
};

int
ref_linear_new(struct cb_engine *e, struct cb_linear_plan **out, int I, int O)
{
	struct cb_linear_plan *l;

	if ((l = calloc(1, sizeof(*l))) == NULL)
		return cb_fail(CB_ENOMEM, "linear map");
	l->I = I;
	l->O = O;
	l->w = cb_alloc((int64_t)I * O * sizeof(float));
	l->bias = cb_alloc((int64_t)O * sizeof(float));
	if (l->w == NULL || l->bias == NULL) {
		ref_linear_free(e, l);
		return cb_fail(CB_ENOMEM, "linear map");
	}
	*out = l;
	return 0;
}

void
ref_linear_free(struct cb_engine *e, struct cb_linear_plan *l)
{
	(void)e;
	if (l == NULL)
		return;
	free(l->w);
	free(l->bias);
	free(l);
}

void
ref_linear_pack(struct cb_engine *e, struct cb_linear_plan *l,
    const float *w, const float *bias, bool backward)
{
	int o;

	(void)e;
	(void)backward;
	memcpy(l->w, w, sizeof(*w) * l->I * l->O);
	for (o = 0; o < l->O; o++)
		l->bias[o] = bias != NULL ? bias[o] : 0;
}

static double
act_of(enum cb_act act, double z)
{
	switch (act) {
	case CB_ACT_RELU:
		return z > 0 ? z : 0;
	case CB_ACT_GELU:
		return z * (1 + erf(z * M_SQRT1_2)) / 2;
	case CB_ACT_TANH:
		return tanh(z);
	case CB_ACT_ELU:
		return z > 0 ? z : expm1(z);
	default:
		return z;
	}
}

void
ref_linear_fwd(struct cb_engine *e, struct cb_linear_plan *l,
    struct cb_elem *y, struct cb_elem *z, const struct cb_elem *x,
    enum cb_act act, int T)
{
	int I = l->I, O = l->O, t, o, i;
	double s;

	(void)e;
	for (t = 0; t < T; t++) for (o = 0; o < O; o++) {
		s = l->bias[o];
		for (i = 0; i < I; i++)
			s += (double)cf32(x)[(int64_t)t * I + i] *
			    l->w[(int64_t)o * I + i];
		if (z != NULL)
			f32(z)[(int64_t)t * O + o] = (float)s;
		f32(y)[(int64_t)t * O + o] = (float)act_of(act, s);
	}
}

void
ref_linear_bwd(struct cb_engine *e, struct cb_linear_plan *l,
    struct cb_elem *dx, bool add, float *dw, float *dbias,
    const struct cb_elem *dz, const struct cb_elem *x, int T)
{
	int I = l->I, O = l->O, t, o, i;
	double s;

	(void)e;
	for (t = 0; t < T && dx != NULL; t++) for (i = 0; i < I; i++) {
		s = add ? f32(dx)[(int64_t)t * I + i] : 0;
		for (o = 0; o < O; o++)
			s += (double)cf32(dz)[(int64_t)t * O + o] *
			    l->w[(int64_t)o * I + i];
		f32(dx)[(int64_t)t * I + i] = (float)s;
	}
	for (o = 0; o < O && dw != NULL; o++) for (i = 0; i < I; i++) {
		s = 0;
		for (t = 0; t < T; t++)
			s += (double)cf32(dz)[(int64_t)t * O + o] *
			    cf32(x)[(int64_t)t * I + i];
		dw[(int64_t)o * I + i] += (float)s;
	}
	for (o = 0; o < O && dbias != NULL; o++) {
		s = 0;
		for (t = 0; t < T; t++)
			s += cf32(dz)[(int64_t)t * O + o];
		dbias[o] += (float)s;
	}
}

static double
slope(enum cb_act act, double k)
{
	switch (act) {
	case CB_ACT_RELU:
		return k > 0;
	case CB_ACT_GELU:	/* Phi(z) + z phi(z) */
		return (1 + erf(k * M_SQRT1_2)) / 2 +
		    k * exp(-k * k / 2) * 0.39894228040143267794;
	case CB_ACT_TANH:
		return 1 - k * k;
	case CB_ACT_ELU:
		return k > 0 ? 1 : k + 1;
	default:
		return 1;
	}
}

void
ref_act_bwd(struct cb_engine *e, struct cb_elem *dz, const struct cb_elem *dy,
    const struct cb_elem *kept, enum cb_act act, int64_t n)
{
	int64_t i;

	(void)e;
	for (i = 0; i < n; i++)
		f32(dz)[i] = (float)(cf32(dy)[i] * slope(act,
		    act == CB_ACT_NONE ? 0 : cf32(kept)[i]));
}

void
ref_add(struct cb_engine *e, struct cb_elem *y, const struct cb_elem *x,
    int64_t n)
{
	int64_t i;

	(void)e;
	for (i = 0; i < n; i++)
		f32(y)[i] += cf32(x)[i];
}
