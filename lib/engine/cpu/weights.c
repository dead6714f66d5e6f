/*
 * The weights of a convolution by blocks of 16 x 16 channels, as the ways to
 * compute one lay them out: [O,C,k,k] has a kernel's weights next to each
 * other, vectors want 16 channels of the result.  They are read where the
 * caller has them whenever they are used, so no layout is kept.
 */
#include "conv.h"
#include "turn.h"

void
cpu_weights(float *out, const struct cb_conv_plan *c, bool back, int in,
    int o)
{
	int kk = c->g.k * c->g.k, i, at = back ? in : o, from = back ? o : in;
	int64_t apart = (int64_t)c->g.C * kk;
	const float *w = c->w + at * apart + from * kk;
	float block[16 * MAX_TAPS * 16], *to = back ? block : out;

	for (i = 0; i < kk; i++)
		turn(to + 256 * i, 16, w + 16 * i, apart, c->scale + at);
	for (i = 0; back && i < kk; i++)
		turn(out + 16 * (kk - 1 - i), 16 * kk, block + 16 * i, 16 * kk,
		    NULL);
}

void
cpu_weights_ahead(const struct cb_conv_plan *c, bool back, int in, int ni,
    int o, int no)
{
	int kk = c->g.k * c->g.k, rows = back ? ni : no, r, k;
	int n = (back ? no : ni) * kk;
	int64_t apart = (int64_t)c->g.C * kk;
	const float *w = c->w + (back ? in : o) * apart + (back ? o : in) * kk;

	for (r = 0; r < rows; r++)
		for (k = 0; k < n; k += 16)
			__builtin_prefetch(w + r * apart + k, 0, 2);
}

void
cpu_weights_add(float *dw, const struct cb_conv_plan *c, const float *block,
    int in, int o)
{
	int n = 16 * c->g.k * c->g.k, i, j;
	int64_t apart = (int64_t)c->g.C * c->g.k * c->g.k;
	float turned[16 * MAX_TAPS * 16], *to;

	for (i = 0; i < n; i += 16)
		turn(turned + i, n, block + 16 * i, 16, NULL);
	for (i = 0; i < 16; i++) {
		to = dw + (o + i) * apart + (int64_t)in * n / 16;
		for (j = 0; j < n; j += 16)
			store(to + j, load(to + j) + c->scale[o + i] *
			    load(turned + i * n + j));
	}
}
