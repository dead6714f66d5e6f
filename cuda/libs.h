/*
 * libs: matrices by cuBLASLt (lt.c) and convolutions by cuDNN (dnn.c, plan.c),
 * as the engine calls them.  Plain C; no type of a library shows.
 *
 * Pointers are device memory.  Elements (void *) are of the type that was given
 * to open and aligned to 16 bytes; f32 memory may be an offset into parameters,
 * aligned to 4.  Sums are in f32.  Every operation is put on the stream of its
 * struct cu_work and waits for nothing; it may be captured into a graph once it
 * has run outside of one with the same sizes, for the first run chooses how
 * (and then keeps to it).  The same sizes give the same bits: nothing is timed,
 * the first deterministic proposal of the library is taken.
 *
 * All return 0, or -1 with cb_error() naming the call, its status and the
 * sizes.  Not for several threads at once.
 */
#ifndef CB_CUDA_LIBS_H
#define CB_CUDA_LIBS_H

#include "kernels.h"

/* Where an operation runs; space is scratch until its work is done, shared by
 * all on one stream. */
struct cu_work {
	cudaStream_t stream;
	void	*space;
	size_t	 bytes;
};

/* A bias in both types: elements for what libraries fuse, f32 for our own
 * kernel where they do not.  f32 should be the elements widened, so that either
 * way adds the same. */
struct cu_bias {
	const void *elem;
	const float *f32;
};

/* ---- lt.c: linear maps, x [T,I] and w [O,I], all row-major.  Any sizes;
 * multiples of 8 are faster. */

struct cu_lt;

/* Space to give; with less it may be slower, more is not used. */
#define CU_LT_BYTES ((size_t)32 << 20)

/* tf32: products of f32 may be rounded to TF32.  Yours to close. */
int	cu_lt_open(struct cu_lt **out, enum cu_type t, bool tf32);
void	cu_lt_close(struct cu_lt *l);

/* z [T,O] = x w' + bias; bias NULL: none. */
int	cu_lt_fwd(struct cu_lt *l, const struct cu_work *k, void *z,
	    const void *x, const void *w, const struct cu_bias *bias, int T,
	    int I, int O);
/* dx [T,I] = dz w, or += where add */
int	cu_lt_dx(struct cu_lt *l, const struct cu_work *k, void *dx, bool add,
	    const void *dz, const void *w, int T, int I, int O);
/* dw [O,I] += dz' x, dbias [O] += sum over t of dz, either may be NULL; part:
 * f32 [CU_PARTS,O], for dbias */
int	cu_lt_dw(struct cu_lt *l, const struct cu_work *k, float *dw,
	    float *dbias, const void *dz, const void *x, float *part, int T,
	    int I, int O);

/* ---- dnn.c: convolutions.  x [P,H,W,C], y [P,OH,OW,O], P > 0, and as cuDNN
 * wants it w [O,k,k,C] (cu_conv_weights(), cu_conv_gradient()).
 *
 * C and O must be multiples of 8, so the caller pads: weights by
 * cu_conv_weights(), activations by cu_channels(), both to cu_pad8(). */

struct cu_dnn;

static inline int
cu_pad8(int C)
{
	return (C + 7) / 8 * 8;
}

/*
 * gpu NULL: the current device.  Else a description of one in cuDNN's JSON:
 * then no device is needed and plans can be made, but not run.
 * tf32: as for matrices.  Yours to close.
 */
int	cu_dnn_open(struct cu_dnn **out, enum cu_type t, bool tf32,
	    const char *gpu);
void	cu_dnn_close(struct cu_dnn *d);

enum cu_conv_op { CU_CONV_FWD, CU_CONV_FWD_RES, CU_CONV_FWD_RELU,
	CU_CONV_FWD_RES_RELU, CU_CONV_DX, CU_CONV_DX_ADD, CU_CONV_DW };

/* What is chosen for an operation. */
struct cu_conv_choice {
	bool	 fused;		/* else our own kernel adds, after the library's */
	int64_t	 engine;	/* of cuDNN, for reports */
	size_t	 bytes;		/* of space */
};

/* Makes the plan if it is not made yet: for the size of space before a first
 * run, and to find out without running. */
int	cu_dnn_plan(struct cu_dnn *d, struct cu_conv_choice *out,
	    enum cu_conv_op op, const struct cb_conv *g, int P);

/* y = [relu](conv(x, w) [+ res] + bias); res NULL: none. */
int	cu_dnn_fwd(struct cu_dnn *d, const struct cu_work *k, void *y,
	    const void *x, const void *w, const struct cu_bias *bias,
	    const void *res, bool relu, const struct cb_conv *g, int P);
/* dx = gradient, or += where add */
int	cu_dnn_dx(struct cu_dnn *d, const struct cu_work *k, void *dx, bool add,
	    const void *dy, const void *w, const struct cb_conv *g, int P);
/* dw [O,k,k,C], elements: written.  cu_conv_gradient() adds it to f32. */
int	cu_dnn_dw(struct cu_dnn *d, const struct cu_work *k, void *dw,
	    const void *dy, const void *x, const struct cb_conv *g, int P);

#endif
