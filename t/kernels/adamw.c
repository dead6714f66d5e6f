/* AdamW and the sum of squares: adamw.cu. */
#include <string.h>

#include "kern.h"

struct adamw_case {
	int	 end, count;
	int	 at[5], n[5];		/* of segments */
};

static void
adamw_case(struct kern *k, const void *arg)
{
	const struct adamw_case *c = arg;
	float *w = params(k, c->end, -1, 1), *m = params(k, c->end, -.1, .1);
	float *v = params(k, c->end, 0, .01), *g = params(k, c->end, -1, 1);
	struct cb_adamw a = { .b1 = .9f, .b2 = .98f, .eps = 1e-6f,
	    .fix = .7f, .grad_scale = .5f };
	struct cu_segment s[5];
	int i;

	memset(s, 0, sizeof(s));
	for (i = 0; i < c->count; i++)
		s[i] = (struct cu_segment){ .at = c->at[i], .n = c->n[i],
		    .lr = .01f * (float)(i + 1), .wd = .1f * (float)(i % 2) };
	if (k->twin == NULL)
		must(cu_adamw(k->s, k->t, w, m, v, g, copy(k, s, sizeof(s)),
		    c->count, c->end, a.b1, a.b2, a.eps, a.fix, a.grad_scale));
	else for (i = 0; i < c->count; i++) {
		a.lr = s[i].lr;
		a.wd = s[i].wd;
		k->twin->adamw(k->twin, w + s[i].at, m + s[i].at, v + s[i].at,
		    g + s[i].at, s[i].n, &a);
	}
	out_f32(k, "w", w, c->end, 0);
	out_f32(k, "m", m, c->end, 0);
	out_f32(k, "v", v, c->end, 0);
}

/* One vector on a boundary of 16 bytes, the others behind it. */
static void
askew_case(struct kern *k, const void *arg)
{
	const int n = *(const int *)arg;
	float *w = floats(k, n + 1, -1, 1) + 1, *m = floats(k, n, 0, 1);
	float *v = floats(k, n, 0, 1), *g = floats(k, n, -1, 1);
	struct cb_adamw a = { .lr = .01f, .b1 = .9f, .b2 = .98f, .eps = 1e-6f,
	    .wd = .1f, .fix = 1, .grad_scale = 1 };
	struct cu_segment s = { .n = n, .lr = a.lr, .wd = a.wd };

	if (k->twin == NULL)
		must(cu_adamw(k->s, k->t, w, m, v, g, copy(k, &s, sizeof(s)),
		    1, n, a.b1, a.b2, a.eps, a.fix, a.grad_scale));
	else
		k->twin->adamw(k->twin, w, m, v, g, n, &a);
	out_f32(k, "w", w, n, 0);
}

/*
 * Copies beside it: [O,C,kk] of a vector from `at` on, in two segments that part
 * in the middle, then what none is made of.
 */
struct copies_case {
	int	 at, O, C, Cp, kk;
	bool	 scale, wide;
};

static void
copies_case(struct kern *k, const void *arg)
{
	const struct copies_case *c = arg;
	const int kk = c->kk > 0 ? c->kk : 1, n = c->O * c->C * kk;
	const int end = c->at + n + 9, ny = c->O * c->Cp * kk;
	float *w = params(k, end, -1, 1), *m = params(k, end, -.1, .1);
	float *v = params(k, end, 0, .01), *g = params(k, end, -1, 1);
	float *scale = floats(k, c->O, .5, 2), *wide = floats(k, n, 0, 0), *to;
	struct cb_adamw a = { .lr = .01f, .b1 = .9f, .b2 = .98f, .eps = 1e-6f,
	    .fix = .7f, .grad_scale = .5f };
	void *y = acts(k, ny);
	struct cu_segment s[3] = { { .at = c->at, .n = n / 2 },
	    { .at = c->at + n / 2, .n = n - n / 2, .wd = .1f },
	    { .at = c->at + n, .n = 9 } };
	struct out *o, *p;
	int i, j;

	for (i = 0; i < 3; i++) {
		s[i].lr = a.lr;
		s[i].copy = (struct cu_copy){ .to = i < 2 ? y : NULL,
		    .wide = c->wide ? wide : NULL, .scale = c->scale ? scale :
		    NULL, .from = c->at, .C = c->C, .Cp = c->Cp, .kk = c->kk };
		if (k->twin == NULL)
			continue;
		a.wd = s[i].wd;
		k->twin->adamw(k->twin, w + s[i].at, m + s[i].at, v + s[i].at,
		    g + s[i].at, s[i].n, &a);
	}
	if (k->twin == NULL)
		must(cu_adamw(k->s, k->t, w, m, v, g, copy(k, s, sizeof(s)), 3,
		    end, a.b1, a.b2, a.eps, a.fix, a.grad_scale));
	else for (to = y, i = 0; i < n; i++) {
		j = (i / kk / c->C * kk + i % kk) * c->Cp + i / kk % c->C;
		to[j] = w[c->at + i] * (c->scale ? scale[i / kk / c->C] : 1);
		wide[i] = c->wide ? to[j] : wide[i];
	}
	out_f32(k, "w", w, end, 0);
	o = out_elem(k, "copy", y, ny, 0);
	p = out_f32(k, "wide less it", wide, n, 0);
	for (i = 0; c->wide && i < n; i++)
		p->v[i] -= o->v[i];
}

static void
sumsq_case(struct kern *k, const void *arg)
{
	const int n = *(const int *)arg;
	float *g = params(k, n, -1, 1), *part = scratch(k, 2 * CU_PARTS);
	double sum = 0, *out;
	float as[3];

	if (k->twin != NULL)
		k->twin->sumsq(k->twin, &sum, g, n);
	else {
		out = copy(k, &sum, sizeof(sum));
		must(cu_sumsq(k->s, out, g, n, (double *)part));
		must(cudaMemcpyAsync(&sum, out, sizeof(sum),
		    cudaMemcpyDeviceToHost, k->s));
		must(cudaStreamSynchronize(k->s));
	}
	/* In double: to more places than a float has. */
	as[0] = (float)sum;
	as[1] = (float)((sum - as[0]) * 0x1p20);
	out_f32(k, "sum", floats_of(k, as, 1), 1, 0)->slack = 0;
	out_f32(k, "more of it", floats_of(k, as + 1, 1), 1, 0)->slack =
	    sum * 0x1p-52 * n * 0x1p20;
}

static const struct kern_case cases[] = {
	CASE(adamw, F32, struct adamw_case, { 1, 1, { 0 }, { 1 } }),
	CASE(adamw, F32, struct adamw_case, { 4201, 5, { 0, 1, 3, 10, 4001 },
	    { 1, 2, 5, 3991, 200 } }),
	CASE(adamw, F32, struct adamw_case, { 9012, 3, { 5, 4096, 9001 },
	    { 4000, 1, 11 } }),
	CASE(adamw, F32, struct adamw_case, { 20013, 2, { 0, 20000 },
	    { 4095, 13 } }),
	CASE(adamw, F32, struct adamw_case, { 0, 0, { 0 }, { 0 } }),
	CASE(adamw, LARGE | F32, struct adamw_case, { 1200007, 2, { 3, 1100000 },
	    { 1000003, 100007 } }),
	CASE(askew, F32, int[], { 1031 }),
	/* at O C Cp kk scale wide */
	CASE(copies, EVERY, struct copies_case, { 0, 33, 64, 64, 0, 0, 0 }),
	CASE(copies, EVERY, struct copies_case, { 3, 17, 31, 31, 0, 0, 0 }),
	CASE(copies, EVERY, struct copies_case, { 5, 1, 67, 67, 0, 0, 1 }),
	CASE(copies, EVERY, struct copies_case, { 8, 1, 1500, 1500, 0, 0, 1 }),
	CASE(copies, EVERY, struct copies_case, { 4, 40, 36, 36, 0, 1, 0 }),
	CASE(copies, EVERY, struct copies_case, { 1, 7, 3, 8, 1, 1, 0 }),
	CASE(copies, EVERY, struct copies_case, { 0, 5, 40, 40, 9, 1, 0 }),
	CASE(copies, EVERY, struct copies_case, { 2, 3, 5, 8, 9, 0, 0 }),
	CASE(copies, EVERY, struct copies_case, { 7, 4, 3, 8, 49, 1, 0 }),
	CASE(sumsq, F32, int[], { 0 }),
	CASE(sumsq, F32, int[], { 1 }),
	CASE(sumsq, F32, int[], { 6 }),
	CASE(sumsq, F32, int[], { 1031 }),
	CASE(sumsq, LARGE | F32, int[], { 1300003 }),
};

GROUP(adamw);
