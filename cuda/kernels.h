/*
 * kernels: every kernel of the engine, as the host code (C) calls it.  Each
 * call launches on stream s and is the cudaError_t of doing so; it waits for
 * nothing.  The sense of the operations, their shapes and what may alias is in
 * lib/engine/engine.h; here is only what differs.
 *
 * Pointers are device memory, aligned to 16 bytes (what is an offset into a
 * parameter to 4), unless called host.  Activations are `void *` of the type t.
 * Sums are in f32 and of a fixed order.  `part` is scratch for sums in two
 * passes: one kernel leaves CU_PARTS partial sums a column, the next adds them
 * up; its size is given, and it is free again once the call's work is done.
 */
#ifndef CB_CUDA_KERNELS_H
#define CB_CUDA_KERNELS_H

#include <cuda_runtime_api.h>
#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#include "engine/engine.h"
#include "types.h"

enum cu_type { CU_F32, CU_BF16, CU_F16 };

enum { CU_PARTS = 128 };

/* ---- cast.cu: between f32 and elements, and layouts of weights */

int	cu_to_elem(cudaStream_t s, enum cu_type t, void *y, const float *x,
	    int64_t n);
int	cu_to_f32(cudaStream_t s, enum cu_type t, float *y, const void *x,
	    int64_t n);
/* y [Op] = x [O], NULL: zeros, and wide [Op] = what that is in elements; what is
 * behind O is zero.  kept [O] = scale [O], where that is not NULL. */
int	cu_bias(cudaStream_t s, enum cu_type t, void *y, float *wide,
	    float *kept, const float *x, const float *scale, int O, int Op);
/* y [n,Cy] = x [n,Cx], or += where add; y's channels that x lacks are zero (or
 * as they were), x's that y lacks are left out.  For libraries that want
 * multiples of 8. */
int	cu_channels(cudaStream_t s, enum cu_type t, void *y, int Cy,
	    const void *x, int Cx, bool add, int64_t n);
/* y [Op,k,k,Cp] = w [O,C,k,k] * scale [O] (NULL: 1); the rest is zero. */
int	cu_conv_weights(cudaStream_t s, enum cu_type t, void *y,
	    const float *w, const float *scale, int O, int Op, int C, int Cp,
	    int k);
/* dw [O,C,k,k] += d [Op,k,k,Cp] * scale [O] (NULL: 1) */
int	cu_conv_gradient(cudaStream_t s, enum cu_type t, float *dw,
	    const void *d, const float *scale, int O, int C, int Cp, int k);

/* ---- point.cu: element by element */

/* y = act(x + bias [+ res]) over n rows of C; bias f32 [C] or NULL, res or
 * NULL, y may be x or res.  Where a library has no fused form of it. */
int	cu_bias_act(cudaStream_t s, enum cu_type t, void *y, const void *x,
	    const float *bias, const void *res, enum cb_act act, int64_t n,
	    int C);
/* As act_bwd: dz may be dy. */
int	cu_act_bwd(cudaStream_t s, enum cu_type t, void *dz, const void *dy,
	    const void *kept, enum cb_act act, int64_t n);
/* y += x */
int	cu_add(cudaStream_t s, enum cu_type t, void *y, const void *x,
	    int64_t n);

/* ---- columns.cu: sums over rows */

/* out [C] += sum over n rows of x [n,C]; part: f32 [CU_PARTS,C] */
int	cu_column_sum(cudaStream_t s, enum cu_type t, float *out,
	    const void *x, int64_t n, int C, float *part);
/* mean [C] and biased var [C], written; part: f32 [2,CU_PARTS,C] */
int	cu_moments(cudaStream_t s, enum cu_type t, float *mean, float *var,
	    const void *x, int64_t n, int C, float *part);

/* ---- prepare.cu */

struct cu_picture {
	const uint8_t *rgb;	/* device, u8 [h,w,3] */
	int	 h, w;
	int	 rows, cols;	/* after resizing: cb_resized() */
};

/* Channels of a picture: B G R, then zeros, as cuDNN wants them. */
enum { CU_COLOURS = 8 };

/* x [P,S,S,CU_COLOURS].  pictures [P]: device.  mean, std: host, RGB. */
int	cu_prepare(cudaStream_t s, enum cu_type t, void *x,
	    const struct cu_picture *pictures, int P, int S,
	    const float mean[3], const float std[3]);

/* ---- pool.cu */

int	cu_pool_fwd(cudaStream_t s, enum cu_type t, void *y, const void *x,
	    const struct cb_pool2d *g, int P);
int	cu_pool_bwd(cudaStream_t s, enum cu_type t, void *dx, const void *dy,
	    const void *x, const void *y, const struct cb_pool2d *g, int P);

/* ---- embed.cu */

int	cu_embed_text_fwd(cudaStream_t s, enum cu_type t, void *x,
	    const int32_t *ids, const int32_t *pos, const float *word,
	    const float *position, const float *type, int T, int D);
/* One of dword, dposition, dtype may be NULL; part: f32 [CU_PARTS,D] */
int	cu_embed_text_bwd(cudaStream_t s, enum cu_type t, float *dword,
	    float *dposition, float *dtype, const void *dx,
	    const int32_t *ids, const int32_t *pos, int T, int D, float *part);
int	cu_embed_grid_fwd(cudaStream_t s, enum cu_type t, void *x,
	    const void *grid, const float *row, const float *col,
	    const float *type, const int32_t *cells, int M, int F, int h,
	    int w, int V, int D);
/* part: f32 [CU_PARTS,D] */
int	cu_embed_grid_bwd(cudaStream_t s, enum cu_type t, void *dgrid,
	    float *drow, float *dcol, float *dtype, const void *dx,
	    const int32_t *cells, int M, int F, int h, int w, int V, int D,
	    float *part);

/* ---- rows.cu */

int	cu_rows_fwd(cudaStream_t s, enum cu_type t, void *y, const void *a,
	    const void *b, const int32_t *src, int T, int D,
	    const struct cb_mask *mask);
int	cu_rows_bwd(cudaStream_t s, enum cu_type t, void *da, int Ta,
	    void *db, int Tb, const void *dy, const int32_t *src, int T,
	    int D, const struct cb_mask *mask);

/* ---- norm.cu */

int	cu_norm_fwd(cudaStream_t s, enum cu_type t, void *y, void *sum,
	    float *mean, float *rstd, const void *x, const void *res,
	    const float *gain, const float *bias, int T, int D,
	    const struct cb_mask *mask);
/* part: f32 [2,CU_PARTS,D] */
int	cu_norm_bwd(cudaStream_t s, enum cu_type t, void *dx, void *ds,
	    float *dgain, float *dbias, const void *dy, const void *sum,
	    const float *mean, const float *rstd, const float *gain, int T,
	    int D, const struct cb_mask *mask, float *part);

/* ---- batchnorm.cu; part: f32 [2,CU_PARTS,D] */

int	cu_batchnorm_fwd(cudaStream_t s, enum cu_type t, void *y, float *mean,
	    float *rstd, float *running, const void *x, const float *gain,
	    const float *bias, int T, int D, bool learn, float *part);
int	cu_batchnorm_bwd(cudaStream_t s, enum cu_type t, void *dx,
	    float *dgain, float *dbias, const void *dy, const void *x,
	    const float *mean, const float *rstd, const float *gain, int T,
	    int D, float *part);

/* ---- attention.cu; D/A is 512 at most */

int	cu_attention_fwd(cudaStream_t s, enum cu_type t, void *o, float *lse,
	    const void *qkv, const int32_t *seq, int S, int longest, int T,
	    int D, int A, const struct cb_mask *mask);
int	cu_attention_bwd(cudaStream_t s, enum cu_type t, void *dqkv,
	    const void *d_o, const void *o, const float *lse, const void *qkv,
	    const int32_t *seq, int S, int longest, int T, int D, int A,
	    const struct cb_mask *mask);

/* ---- loss.cu */

int	cu_pool_scores(cudaStream_t s, enum cu_type t, float *out,
	    const void *clip, enum cb_agg agg, int K, int N, int C);
/* Besides, dclip is multiplied by *scale (device; NULL: 1), the loss scale of
 * f16; total and each are not. */
int	cu_loss(cudaStream_t s, enum cu_type t, float *total, float *each,
	    void *dclip, const void *clip, const void *labels,
	    const struct cb_loss *l, const float *scale);

/* ---- adamw.cu: many segments of one vector at once */

/*
 * Where parameters are left in elements as well, from place `from` of the vectors
 * on; what lies there besides, as padding of channels, stays as it is.
 */
struct cu_copy {
	void	*to;		/* NULL: nowhere */
	float	*wide;		/* as they are in elements; NULL: not wanted */
	const float *scale;	/* [O], what to multiply by; NULL: 1 */
	int64_t	 from;
	/* [O,C,kk] is to be [O,kk,Cp]; kk 0: all stay in order, and with a scale
	 * C is a multiple of 4 */
	int	 C, Cp, kk;
};

/* Elements at .. at+n-1 of the vectors, which share a rate, a decay, a copy. */
struct cu_segment {
	int64_t	 at, n;
	float	 lr, wd;
	struct cu_copy copy;
};

/* *out: double, the sum of squares of g [n]; part: double [CU_PARTS].  g may be
 * an offset into a parameter. */
int	cu_sumsq(cudaStream_t s, double *out, const float *g, int64_t n,
	    double *part);
/* w m v g: whole vectors, of `end` elements at least.  segments [count]:
 * device, in ascending order and apart from each other, the last of which ends
 * at `end`; t is of their copies.  fix, grad_scale and the rest as struct
 * cb_adamw. */
int	cu_adamw(cudaStream_t s, enum cu_type t, float *w, float *m, float *v,
	    const float *g, const struct cu_segment *segments, int count,
	    int64_t end, float b1, float b2, float eps, float fix,
	    float grad_scale);

#ifdef __cplusplus
}
#endif

#endif
