/*
 * Runs the cases of kern.h and prints TAP.
 *
 *	kernels [-s] [GROUP ...]	-s: but for the large ones
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../tap.h"
#include "engine/host.h"
#include "kern.h"

static const char *const type_names[] = { "f32", "bf16", "f16" };
static const double type_round[] = { 0, 0x1p-8, 0x1p-11 };
/* The least value but one: below it f16 rounds to steps. */
static const double type_step[] = { 0, 0, 0x1p-25 };

/* ---- elements on the host */

static uint16_t
bits16(enum cu_type t, float f)
{
	_Float16 h = (_Float16)f;
	uint16_t w;
	uint32_t u;

	memcpy(&u, &f, 4);
	memcpy(&w, &h, 2);
	return t == CU_F16 ? w : (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

static float
float16(enum cu_type t, uint16_t w)
{
	uint32_t u = (uint32_t)w << 16;
	_Float16 h;
	float f;

	memcpy(&f, &u, 4);
	memcpy(&h, &w, 2);
	return t == CU_F16 ? (float)h : f;
}

/* ---- inputs */

void
must(int error)
{
	if (error == cudaSuccess)
		return;
	printf("Bail out! %s\n", cudaGetErrorName((cudaError_t)error));
	exit(1);
}

static void *
mem(struct kern *k, int64_t bytes)
{
	void *p = NULL;

	if (k->twin != NULL)
		p = k->twin->alloc(k->twin, bytes);
	else
		must(cudaMalloc(&p, (size_t)bytes));
	if (p == NULL || k->nmem == (int)CB_LEN(k->mem))
		abort();
	return k->mem[k->nmem++] = p;
}

static void
put(struct kern *k, void *to, const void *from, int64_t bytes)
{
	if (k->twin != NULL) {
		memcpy(to, from, (size_t)bytes);
		return;
	}
	must(cudaMemcpyAsync(to, from, (size_t)bytes, cudaMemcpyHostToDevice,
	    k->s));
	must(cudaStreamSynchronize(k->s));
}

void *
copy(struct kern *k, const void *v, int64_t bytes)
{
	void *p = mem(k, bytes);

	put(k, p, v, bytes);
	return p;
}

void *
acts_of(struct kern *k, const float *v, int64_t n)
{
	uint16_t *w = malloc((size_t)(2 * n + 1));
	float *f = malloc((size_t)(4 * n + 1));
	void *p;
	int64_t i;

	for (i = 0; i < n; i++) {
		w[i] = bits16(k->t, v[i]);
		f[i] = k->t == CU_F32 ? v[i] : float16(k->t, w[i]);
	}
	p = k->twin != NULL || k->t == CU_F32 ? copy(k, f, 4 * n) :
	    copy(k, w, 2 * n);
	free(f);
	free(w);
	return p;
}

float *
noise(struct kern *k, int64_t n, double lo, double hi)
{
	struct cb_rng rng = { 7, 0, 0, ++k->seed };
	float *v = malloc(sizeof(*v) * (size_t)(n + 1));
	int64_t i;

	for (i = 0; i < n; i++)
		v[i] = (float)(lo + (hi - lo) * cb_rng_real(&rng, (uint32_t)i));
	return v;
}

void *
acts(struct kern *k, int64_t n)
{
	float *v = noise(k, n, -1, 1);
	void *p = acts_of(k, v, n);

	free(v);
	return p;
}

float *
floats_of(struct kern *k, const float *v, int64_t n)
{
	return copy(k, v, 4 * n);
}

float *
floats(struct kern *k, int64_t n, double lo, double hi)
{
	float *v = noise(k, n, lo, hi), *p = floats_of(k, v, n);

	free(v);
	return p;
}

float *
params(struct kern *k, int64_t n, double lo, double hi)
{
	float *v = noise(k, n, lo, hi);
	float *p = (float *)mem(k, 4 * (n + k->shift)) + k->shift;

	put(k, p, v, 4 * n);
	free(v);
	return p;
}

int32_t *
ints(struct kern *k, const int32_t *v, int64_t n)
{
	return copy(k, v, 4 * n);
}

float *
scratch(struct kern *k, int64_t n)
{
	return k->twin != NULL ? NULL : mem(k, 4 * n);
}

struct cb_drop
drop_of(float p)
{
	return (struct cb_drop){ p, { 12345678901234567u, 1003, 2, 99 },
	    ((int64_t)1 << 32) - 4100 };
}

struct cb_mask
mask_of(const struct cb_drop *d)
{
	const struct cb_rng *r = &d->rng;

	return (struct cb_mask){ { (uint32_t)r->seed,
	    (uint32_t)(r->seed >> 32) }, r->purpose, r->epoch, r->seq,
	    (uint32_t)d->first, drop_limit(d), drop_scale(d) };
}

/* ---- outputs */

static void
get(struct kern *k, void *to, const void *from, int64_t bytes)
{
	if (k->twin != NULL) {
		memcpy(to, from, (size_t)bytes);
		return;
	}
	must(cudaMemcpyAsync(to, from, (size_t)bytes, cudaMemcpyDeviceToHost,
	    k->s));
	must(cudaStreamSynchronize(k->s));
}

static struct out *
record(struct kern *k, const char *name, int64_t n, double terms)
{
	struct out *o = &k->out[k->nout++];

	if (k->nout > (int)CB_LEN(k->out))
		abort();
	*o = (struct out){ name, calloc((size_t)n + 1, sizeof(float)), n,
	    terms, 0, 0 };
	return o;
}

struct out *
out_elem(struct kern *k, const char *name, const void *p, int64_t n,
    double terms)
{
	struct out *o = record(k, name, n, terms);
	uint16_t *w = malloc((size_t)(2 * n + 1));
	int64_t i;

	o->round = type_round[k->t];
	o->slack = type_step[k->t];
	if (k->twin != NULL || k->t == CU_F32)
		get(k, o->v, p, 4 * n);
	else {
		get(k, w, p, 2 * n);
		for (i = 0; i < n; i++)
			o->v[i] = float16(k->t, w[i]);
	}
	free(w);
	return o;
}

struct out *
out_f32(struct kern *k, const char *name, const float *p, int64_t n,
    double terms)
{
	struct out *o = record(k, name, n, terms);

	get(k, o->v, p, 4 * n);
	return o;
}

/* ---- running and comparing */

/* How far an output is from the twin's, as a share of what is allowed. */
static double
share(const struct out *o, const struct out *ref)
{
	double top = 0, worst = 0, d, may;
	int64_t i;

	for (i = 0; i < ref->n; i++)
		top = fmax(top, fabs(ref->v[i]));
	may = top * 0x1p-24 * (8 + 2 * sqrt(ref->terms)) + ref->slack;
	for (i = 0; i < ref->n; i++) {
		d = fabs((double)o->v[i] - ref->v[i]);
		d = d == 0 ? 0 : d / (ref->round * fabs(ref->v[i]) + may);
		worst = d <= worst ? worst : d;		/* NaN counts */
	}
	return worst;
}

static bool
same(const struct kern *a, const struct kern *b)
{
	int i;

	for (i = 0; i < a->nout; i++)
		if (memcmp(a->out[i].v, b->out[i].v, sizeof(float) *
		    (size_t)a->out[i].n) != 0)
			return false;
	return true;
}

static void
compare(const struct kern *one, const struct kern *two,
    const struct kern *ref, const char *group, const char *name)
{
	const char *which = "";
	double s, worst = 0;
	bool equal = same(one, two);
	int i;

	for (i = 0; i < ref->nout; i++) {
		s = share(&one->out[i], &ref->out[i]);
		if (s <= worst)
			continue;
		worst = s;
		which = ref->out[i].name;
	}
	ok(worst <= 1 && equal && ref->nout > 0,
	    "%s %s %s: %.3f of the tolerance%s%s%s", group, name,
	    type_names[one->t], worst, *which ? ": " : "", which, equal ? "" :
	    ", and other bits when run again");
}

static void
clear(struct kern *k)
{
	while (k->nout > 0)
		free(k->out[--k->nout].v);
	while (k->nmem > 0) {
		if (k->twin != NULL)
			k->twin->release(k->twin, k->mem[--k->nmem]);
		else
			must(cudaFree(k->mem[--k->nmem]));
	}
	k->seed = 0;
}

static void
run(const struct kern_case *c, const char *group, struct cb_engine *ref,
    cudaStream_t s)
{
	int last = c->flags & F32 ? CU_F32 : CU_F16, t, i;

	for (t = CU_F32; t <= last; t++) {
		struct kern k[3] = { { .twin = ref }, { .s = s },
		    { .s = s, .shift = 1 } };

		for (i = 0; i < 3; i++) {
			k[i].t = (enum cu_type)t;
			c->fn(&k[i], c->arg);
		}
		must(cudaStreamSynchronize(s));
		compare(&k[1], &k[2], &k[0], group, c->name);
		for (i = 0; i < 3; i++)
			clear(&k[i]);
	}
}

static bool
wanted(const char *group, int argc, char **argv, int first)
{
	int i;

	for (i = first; i < argc; i++)
		if (strcmp(argv[i], group) == 0)
			return true;
	return first >= argc;
}

int
main(int argc, char **argv)
{
	bool small = argc > 1 && strcmp(argv[1], "-s") == 0;
	struct cb_engine *ref;
	cudaStream_t s;
	const struct kern_group *const *g;
	int i;

	must(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking));
	if (cb_engine_open(&ref, "ref", 1) < 0)
		abort();
	for (g = kern_groups; *g != NULL; g++) {
		if (!wanted((*g)->name, argc, argv, 1 + small))
			continue;
		for (i = 0; i < (*g)->n; i++)
			if (!small || !((*g)->cases[i].flags & LARGE))
				run(&(*g)->cases[i], (*g)->name, ref, s);
	}
	ref->free(ref);
	printf("1..%d\n", tap_n);
	return done();
}
