/*
 * A convolution of the CPU engine, and the ways to compute one; private.
 *
 *	taps.c		a product of matrices for each weight of the kernel
 *	winograd.c	3x3 with stride 1, by fewer multiplications; its dw is
 *			winograd-dw.c
 *	windows.c	y from few channels: a product for each row of y
 *	direct.c	oneDNN, whatever the shape
 *
 * conv.c chooses, by shape and number of pictures alone.
 */
#ifndef CB_CPU_CONV_H
#define CB_CPU_CONV_H

#include "gemm.h"

#define MAX_TAPS 49		/* weights of a kernel, but for oneDNN */

struct cb_conv_plan {
	struct cb_conv g;
	int	 OH, OW;
	const float *w;			/* [O,C,k,k], the caller's */
	float	*scale, *shift;		/* [O] */
	struct direct *direct;
};

/*
 * One direction: y from x, or, where the stride is 1, dx from dy, which is a
 * convolution with the kernel turned round and its channels exchanged.
 */
struct way {
	int	 H, W, C, OH, OW, O, k, stride, pad;
	bool	 back;
};

struct way cpu_conv_way(const struct cb_conv_plan *c, bool back);

static inline int64_t
conv_weights(const struct cb_conv_plan *c)
{
	return (int64_t)c->g.O * c->g.C * c->g.k * c->g.k;
}

/* What is computed: y = [relu](conv(x) + bias [+ y] [+ res]). */
struct conv_args {
	const float *x, *res, *bias;
	float	*y;
	bool	 add, relu;
	int	 P;
};

/* Scaled weights of 16 channels in and 16 out, for a way: [16 in][k k][16 out],
 * turned round where back. */
void	cpu_weights(float *out, const struct cb_conv_plan *c, bool back,
	    int in, int o);
/* Asks for what is read for ni channels in and no out. */
void	cpu_weights_ahead(const struct cb_conv_plan *c, bool back, int in,
	    int ni, int o, int no);
/* dw [O,C,k,k] += scale * such a block, of the way forward. */
void	cpu_weights_add(float *dw, const struct cb_conv_plan *c,
	    const float *block, int in, int o);

void	taps_run(struct cpu *u, const struct cb_conv_plan *c, bool back,
	    const struct conv_args *a);
/* dw += of a 1x1 kernel. */
void	taps_dw(struct cpu *u, const struct cb_conv_plan *c, float *dw,
	    const float *dy, const float *x, int P);

void	winograd_run(struct cpu *u, const struct cb_conv_plan *c, bool back,
	    const struct conv_args *a);
void	winograd_dw(struct cpu *u, const struct cb_conv_plan *c, float *dw,
	    const float *dy, const float *x, int P);

void	windows_run(struct cpu *u, const struct cb_conv_plan *c,
	    const struct conv_args *a);

int	direct_new(struct cb_conv_plan *c);
void	direct_free(struct direct *d);
/* New weights. */
void	direct_pack(struct cpu *u, struct cb_conv_plan *c);
void	direct_fwd(struct cpu *u, struct cb_conv_plan *c,
	    const struct conv_args *a);
void	direct_dx(struct cpu *u, struct cb_conv_plan *c, float *dx, bool add,
	    const float *dy, int P);
void	direct_dw(struct cpu *u, struct cb_conv_plan *c, float *dw,
	    const float *dy, const float *x, int P);

#endif
