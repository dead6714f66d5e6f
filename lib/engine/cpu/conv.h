/*
 * A convolution of the CPU engine, and the ways to compute one; private.
 *
 *	taps.c		a product of matrices for each weight of the kernel
 *	winograd.c	3x3 with stride 1, by fewer multiplications
 *	direct.c	oneDNN, whatever the shape
 *
 * conv.c chooses, by shape and number of pictures alone.
 */
#ifndef CB_CPU_CONV_H
#define CB_CPU_CONV_H

#include "gemm.h"

/* Weights in the layout of one way. */
enum layout { TAPS, TAPS_BACK, WINOGRAD, WINOGRAD_BACK, LAYOUTS };

struct cb_conv_plan {
	struct cb_conv g;
	int	 OH, OW;
	float	*w;			/* [O,C,k,k], scaled */
	float	*scale, *shift;		/* [O] */
	float	*packed[LAYOUTS];	/* NULL: not met yet */
	bool	 fresh[LAYOUTS];	/* of the weights above */
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

/* Packs into `out` (of bytes made by the caller). */
int64_t	taps_bytes(const struct cb_conv_plan *c);
void	taps_pack(struct cpu *u, const struct cb_conv_plan *c, bool back,
	    float *out);
void	taps_run(struct cpu *u, const struct cb_conv_plan *c, bool back,
	    const float *packed, const struct conv_args *a);
/* dw += of a 1x1 kernel. */
void	taps_dw(struct cpu *u, const struct cb_conv_plan *c, float *dw,
	    const float *dy, const float *x, int P);

int64_t	winograd_bytes(const struct cb_conv_plan *c);
void	winograd_pack(struct cpu *u, const struct cb_conv_plan *c, bool back,
	    float *out);
void	winograd_run(struct cpu *u, const struct cb_conv_plan *c, bool back,
	    const float *packed, const struct conv_args *a);
void	winograd_dw(struct cpu *u, const struct cb_conv_plan *c, float *dw,
	    const float *dy, const float *x, int P);

int	direct_new(struct cpu *u, struct cb_conv_plan *c);
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
