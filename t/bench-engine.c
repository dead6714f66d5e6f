/*
 * Speed of an engine at the main shapes, in GMAC/s (a multiplication and an
 * addition), beside the peak that one core reaches with nothing but fused
 * multiply-adds on registers.
 *
 *	bench-engine [NAME [THREADS [PICTURES]]]	default cpu 1 8
 */
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"
#include "peak.h"

static struct cb_engine *e;
static double peak;

static void *
fill(int64_t n)
{
	float *v = malloc(n * sizeof(*v));
	struct cb_elem *p = e->alloc(e, n * (int64_t)e->elem_size);
	int64_t i;

	if (v == NULL || p == NULL)
		abort();
	for (i = 0; i < n; i++)
		v[i] = (float)(i * 37 % 101) / 101 - .5f;
	e->put_elem(e, p, v, n);
	free(v);
	return p;
}

/* Best of a few runs of `call`, in seconds. */
#define TIME(t, call) do { \
	double t0_, d_, all_ = 0; \
	(t) = 1e9; \
	for (int r_ = 0; r_ < 20 && (r_ < 3 || all_ < 0.3); r_++) { \
		t0_ = cb_now(); call; e->sync(e); d_ = cb_now() - t0_; \
		all_ += d_; \
		(t) = d_ < (t) ? d_ : (t); \
	} \
} while (0)

static void
speed(const char *what, double mac, double t)
{
	printf(" %s %6.1f (%3.0f%%)", what, 1e-9 * mac / t,
	    100e-9 * mac / t / peak);
}

static void
conv(int P, int H, int C, int O, int k, int stride)
{
	struct cb_conv g = { H, H, C, O, k, stride, k / 2, 0 };
	int OH = (H + 2 * g.pad - k) / stride + 1;
	int64_t nx = (int64_t)P * H * H * C, ny = (int64_t)P * OH * OH * O;
	double mac = (double)ny * C * k * k, t;
	struct cb_elem *x = fill(nx), *y = fill(ny), *dx = fill(nx);
	struct cb_elem *res = fill(ny);
	float *w = fill((int64_t)O * C * k * k), *dw = fill((int64_t)O * C * k *
	    k), *s = fill(O);
	struct cb_conv_plan *c;

	if (e->conv_new(e, &c, &g) < 0)
		abort();
	e->conv_pack(e, c, w, s, s, true);
	printf("conv %dx%d/%d %4d->%4d at %3d, %2d:", k, k, stride, C, O, H, P);
	TIME(t, e->conv_fwd(e, c, y, x, NULL, true, P));
	speed("y", mac, t);
	TIME(t, e->conv_fwd(e, c, y, x, res, true, P));
	speed("+res", mac, t);
	TIME(t, e->conv_bwd(e, c, dx, false, NULL, y, x, P));
	speed("dx", mac, t);
	TIME(t, e->conv_bwd(e, c, NULL, false, dw, y, x, P));
	speed("dw", mac, t);
	TIME(t, e->conv_pack(e, c, w, s, s, true));
	printf(" pack %.2f ms\n", 1e3 * t);
	e->conv_free(e, c);
	e->release(e, x);
	e->release(e, y);
	e->release(e, dx);
	e->release(e, res);
	e->release(e, w);
	e->release(e, dw);
	e->release(e, s);
}

static void
linear(int T, int I, int O, enum cb_act act)
{
	double mac = (double)T * I * O, t;
	struct cb_elem *x = fill((int64_t)T * I), *y = fill((int64_t)T * O);
	struct cb_elem *z = fill((int64_t)T * O);
	float *w = fill((int64_t)I * O), *b = fill(O), *dw = fill((int64_t)I *
	    O);
	struct cb_linear_plan *l;

	if (e->linear_new(e, &l, I, O) < 0)
		abort();
	e->linear_pack(e, l, w, b, true);
	printf("linear %5d x %4d->%4d%s:", T, I, O,
	    act == CB_ACT_GELU ? " gelu" : "");
	TIME(t, e->linear_fwd(e, l, y, z, x, act, T));
	speed("y", mac, t);
	TIME(t, e->linear_bwd(e, l, x, false, NULL, NULL, z, x, T));
	speed("dx", mac, t);
	TIME(t, e->linear_bwd(e, l, NULL, false, dw, b, z, x, T));
	speed("dw", mac, t);
	TIME(t, e->linear_pack(e, l, w, b, true));
	printf(" pack %.2f ms\n", 1e3 * t);
	e->linear_free(e, l);
	e->release(e, x);
	e->release(e, y);
	e->release(e, z);
	e->release(e, w);
	e->release(e, b);
	e->release(e, dw);
}

static void
attention(int S, int n, int D, int A, float p)
{
	int T = S * n, i;
	double mac = 2.0 * T * n * D, t;
	struct cb_elem *qkv = fill((int64_t)T * 3 * D), *o = fill((int64_t)T *
	    D), *d = fill((int64_t)T * 3 * D);
	float *lse = fill((int64_t)T * A);
	int32_t *seq = e->alloc(e, (S + 1) * 4), *host = malloc((S + 1) * 4);
	struct cb_drop drop = { p, { 1, 2, 3, 4 }, 0 };

	for (i = 0; i <= S; i++)
		host[i] = i * n;
	e->put(e, seq, host, (S + 1) * 4);
	free(host);
	printf("attention %3d of %3d, %d/%d, drop %.1f:", S, n, D, A, p);
	TIME(t, e->attention_fwd(e, o, lse, qkv, seq, S, n, T, D, A, &drop));
	speed("o", mac, t);
	TIME(t, e->attention_bwd(e, d, o, o, lse, qkv, seq, S, n, T, D, A,
	    &drop));
	speed("dqkv", mac * 2.5, t);
	printf("\n");
	e->release(e, qkv);
	e->release(e, o);
	e->release(e, d);
	e->release(e, lse);
	e->release(e, seq);
}

static void
rest(int T, int D, float p)
{
	int64_t n = (int64_t)T * D;
	struct cb_elem *x = fill(n), *y = fill(n), *s = fill(n), *r = fill(n);
	float *g = fill(D), *b = fill(D), *m = fill(T), *q = fill(T);
	float *v = e->alloc(e, n * 4);
	struct cb_drop drop = { p, { 1, 2, 3, 4 }, 0 };
	struct cb_adamw a = { 1e-3f, .9f, .98f, 1e-6f, 1e-3f, 1, 1 };
	double t, sum;

	printf("%d x %d, drop %.1f, ns an element:", T, D, p);
	TIME(t, e->norm_fwd(e, y, s, m, q, x, r, g, b, T, D, &drop));
	printf(" norm %.3f", 1e9 * t / n);
	TIME(t, e->norm_bwd(e, y, r, g, b, x, s, m, q, g, T, D, &drop));
	printf(" back %.3f", 1e9 * t / n);
	TIME(t, e->act_bwd(e, y, x, s, CB_ACT_GELU, n));
	printf(" gelu' %.3f", 1e9 * t / n);
	TIME(t, e->add(e, y, x, n));
	printf(" add %.3f", 1e9 * t / n);
	TIME(t, e->adamw(e, (float *)x, (float *)y, v, (float *)s, n, &a));
	printf(" adamw %.3f", 1e9 * t / n);
	TIME(t, e->sumsq(e, &sum, (float *)s, n));
	printf(" sumsq %.3f\n", 1e9 * t / n);
	e->release(e, x);
	e->release(e, y);
	e->release(e, s);
	e->release(e, r);
	e->release(e, g);
	e->release(e, b);
	e->release(e, m);
	e->release(e, q);
	e->release(e, v);
}

static void
pool(int P, int H, int C, int k, int stride, int pad, bool relu)
{
	struct cb_pool2d g = { H, H, C, k, stride, pad, relu };
	int OH = (H + 2 * pad - k) / stride + 1;
	int64_t nx = (int64_t)P * H * H * C, ny = (int64_t)P * OH * OH * C;
	struct cb_elem *x = fill(nx), *y = fill(ny), *dx = fill(nx);
	struct cb_elem *dy = fill(ny);
	double t;

	printf("pool %dx%d/%d of %d at %d, %d, ns an input:", k, k, stride, C,
	    H, P);
	TIME(t, e->pool_fwd(e, y, x, &g, P));
	printf(" y %.3f", 1e9 * t / nx);
	TIME(t, e->pool_bwd(e, dx, dy, x, y, &g, P));
	printf(" dx %.3f\n", 1e9 * t / nx);
	e->release(e, x);
	e->release(e, y);
	e->release(e, dx);
	e->release(e, dy);
}

static void
prepare(int P, int h, int w, int S)
{
	struct cb_array a[16];
	int64_t dim[3] = { h, w, 3 };
	struct cb_elem *x = fill((int64_t)P * S * S * 3);
	const float mean[3] = { 1, 2, 3 };
	double t;
	int i;

	for (i = 0; i < P; i++)
		if (cb_array_init(&a[i], CB_U8, 3, dim) < 0)
			abort();
	e->expect(e, a, P);
	TIME(t, e->prepare(e, x, a, P, S, mean, mean));
	e->forget(e, a, P);
	printf("prepare %dx%d to %d: %.3f ms a picture\n", w, h, S,
	    1e3 * t / P);
	for (i = 0; i < P; i++)
		cb_array_clear(&a[i]);
	e->release(e, x);
}

int
main(int argc, char **argv)
{
	int P = argc > 3 ? atoi(argv[3]) : 8;

	if (cb_engine_open(&e, argc > 1 ? argv[1] : "cpu",
	    argc > 2 ? atoi(argv[2]) : 1) < 0)
		return cb_complain();
	peak = core_peak();
	printf("peak of a core: %.1f GMAC/s\n", peak);
	/* the small model at 128 pixels, 32 pictures */
	conv(32, 128, 3, 16, 7, 2);
	conv(32, 32, 16, 16, 1, 1);
	conv(32, 32, 16, 16, 3, 1);
	conv(32, 32, 16, 64, 1, 1);
	conv(32, 32, 64, 32, 1, 2);
	conv(32, 16, 32, 32, 3, 1);
	conv(32, 8, 64, 64, 3, 1);
	conv(32, 4, 128, 512, 1, 1);
	conv(32, 4, 512, 128, 3, 1);
	/* the model of the paper at 448 pixels */
	conv(P, 448, 3, 64, 7, 2);
	conv(P, 112, 64, 64, 1, 1);
	conv(P, 112, 64, 64, 3, 1);
	conv(P, 112, 64, 256, 1, 1);
	conv(P, 112, 256, 64, 1, 1);
	conv(P, 112, 256, 128, 1, 2);
	conv(P, 112, 256, 512, 1, 2);
	conv(P, 56, 128, 128, 3, 1);
	conv(P, 56, 128, 512, 1, 1);
	conv(P, 56, 512, 128, 1, 1);
	conv(P, 56, 512, 1024, 1, 2);
	conv(P, 28, 256, 256, 3, 1);
	conv(P, 28, 256, 1024, 1, 1);
	conv(P, 28, 1024, 256, 1, 1);
	conv(P, 28, 1024, 2048, 1, 2);
	conv(P, 14, 512, 512, 3, 1);
	conv(P, 14, 512, 2048, 1, 1);
	conv(P, 14, 2048, 512, 1, 1);
	conv(P, 14, 2048, 768, 3, 1);
	linear(2240, 128, 512, CB_ACT_GELU);
	linear(2240, 512, 128, CB_ACT_NONE);
	linear(160, 256, 30, CB_ACT_NONE);
	linear(1200, 768, 3072, CB_ACT_GELU);
	linear(1200, 3072, 768, CB_ACT_NONE);
	linear(8, 768, 1500, CB_ACT_NONE);
	attention(160, 14, 128, 4, 0);
	attention(160, 14, 128, 4, .1f);
	attention(12, 69, 768, 12, 0);
	attention(12, 120, 768, 12, .1f);
	rest(2240, 128, 0);
	rest(2240, 128, .1f);
	rest(1200, 768, .1f);
	pool(32, 64, 16, 3, 2, 1, false);
	pool(4, 224, 64, 3, 2, 1, false);
	pool(4, 14, 768, 2, 2, 0, true);
	prepare(8, 100, 100, 128);
	prepare(8, 240, 320, 128);
	prepare(4, 720, 1280, 448);
	e->free(e);
	return 0;
}
