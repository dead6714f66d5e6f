/* Linear maps by cuBLASLt. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libs.h"

struct lt_case {
	int	 T, I, O;
	bool	 bias;
	int	 space;
	bool	 tf32;
};

struct cu_work
work_of(struct kern *k, size_t bytes)
{
	return (struct cu_work){ k->s, scratch(k, (int64_t)(bytes + 3) / 4),
	    bytes };
}

static float *
coarse_noise(struct kern *k, int64_t n)
{
	float *v = noise(k, n, -64, 64);
	int64_t i;

	for (i = 0; i < n; i++)
		v[i] = truncf(v[i]) / 64;
	return v;
}

float *
coarse(struct kern *k, int64_t n)
{
	float *v = coarse_noise(k, n), *p = floats_of(k, v, n);

	free(v);
	return p;
}

struct cu_bias
bias_of(struct kern *k, int n)
{
	float *v = coarse_noise(k, n);
	struct cu_bias b = { acts_of(k, v, n), floats_of(k, v, n) };

	free(v);
	return b;
}

const void *
rounded(struct kern *k, bool tf32, const void *v, int64_t n)
{
	uint32_t *u;
	float *p;
	int64_t i;

	if (!tf32)
		return v;
	u = malloc((size_t)(4 * n + 1));
	memcpy(u, v, (size_t)(4 * n));
	for (i = 0; i < n; i++)
		u[i] = (u[i] + 0x1000) & ~(uint32_t)0x1fff;
	p = copy(k, u, 4 * n);
	free(u);
	return p;
}

struct cu_lt *open_lt;
struct cu_dnn *open_dnn;

void
fine(int rc)
{
	char why[1024];

	if (rc == 0)
		return;
	snprintf(why, sizeof(why), "%s", cb_error());
	cu_lt_close(open_lt);
	cu_dnn_close(open_dnn);
	printf("Bail out! %s\n", why);
	fprintf(stderr, "libs: %s\n", why);
	exit(1);
}

/* Sums of dz are no products: those of what it was. */
static void
twin(struct kern *k, const struct lt_case *c, void *z, void *dx, void *more,
    float *dw, float *db, const void *x, const void *w, const float *bias,
    const void *whole)
{
	const void *dz = rounded(k, c->tf32, whole, (int64_t)c->T * c->O);
	struct cb_engine *e = k->twin;
	struct cb_linear_plan *l;

	x = rounded(k, c->tf32, x, (int64_t)c->T * c->I);
	w = rounded(k, c->tf32, w, (int64_t)c->O * c->I);
	if (e->linear_new(e, &l, c->I, c->O) < 0)
		abort();
	e->linear_pack(e, l, w, bias, true);
	e->linear_fwd(e, l, z, NULL, x, CB_ACT_NONE, c->T);
	e->linear_bwd(e, l, dx, false, dw, NULL, dz, x, c->T);
	e->linear_bwd(e, l, NULL, false, NULL, db, whole, x, c->T);
	e->linear_bwd(e, l, more, true, NULL, NULL, dz, x, c->T);
	e->linear_free(e, l);
}

static void
lt_case(struct kern *k, const void *arg)
{
	static const double round[] = { 0, 0x1p-8, 0x1p-11 };
	const struct lt_case *c = arg;
	const int T = c->T, I = c->I, O = c->O;
	const int64_t nx = (int64_t)T * I, nz = (int64_t)T * O;
	const int64_t nw = (int64_t)O * I;
	float *part;
	void *x = acts(k, nx), *w = acts(k, nw), *dz = acts(k, nz);
	void *z = acts(k, nz), *dx = acts(k, nx), *more = acts(k, nx);
	float *dw = params(k, nw, -1, 1), *db = params(k, O, -1, 1);
	struct cu_bias bias = bias_of(k, O);
	struct cu_work work;
	struct cu_lt *l;
	struct out *o;

	if (k->twin != NULL) {
		twin(k, c, z, dx, more, dw, db, x, w, c->bias ? bias.f32 :
		    NULL, dz);
	} else {
		work = work_of(k, c->space);
		part = scratch(k, (int64_t)CU_PARTS * O);
		fine(cu_lt_open(&open_lt, k->t, c->tf32));
		l = open_lt;
		fine(cu_lt_fwd(l, &work, z, x, w, c->bias ? &bias : NULL, T,
		    I, O));
		fine(cu_lt_dx(l, &work, dx, false, dz, w, T, I, O));
		fine(cu_lt_dx(l, &work, more, true, dz, w, T, I, O));
		fine(cu_lt_dw(l, &work, dw, db, dz, x, part, T, I, O));
		must(cudaStreamSynchronize(k->s));
		cu_lt_close(l);
		open_lt = NULL;
	}
	o = out_elem(k, "z", z, nz, I);
	/* Not fused, what the product gives is rounded too: at most z and
	 * bias. */
	if (getenv("CBSIM_FAIL") != NULL) {
		o->round *= 2;
		o->slack += round[k->t];
	}
	out_elem(k, "dx", dx, nx, O);
	out_elem(k, "dx added to", more, nx, O);
	out_f32(k, "dw", dw, nw, T);
	out_f32(k, "dbias", db, O, T);
}

static const struct kern_case cases[] = {
	/* T I O bias space tf32 */
	CASE(lt, EVERY, struct lt_case, { 1, 1, 1, true, 0, 0 }),
	CASE(lt, EVERY, struct lt_case, { 1, 8, 2, false, 1024, 0 }),
	CASE(lt, EVERY, struct lt_case, { 31, 33, 37, true, 0, 0 }),
	CASE(lt, EVERY, struct lt_case, { 40, 64, 129, true, 0, 0 }),
	CASE(lt, EVERY, struct lt_case, { 600, 521, 8, true, 65536, 0 }),
	CASE(lt, F32, struct lt_case, { 31, 33, 37, true, 0, true }),
	CASE(lt, F32, struct lt_case, { 40, 64, 129, false, 65536, true }),
	CASE(lt, LARGE, struct lt_case, { 130, 768, 391, true, 1 << 24, 0 }),
};

GROUP(lt);
