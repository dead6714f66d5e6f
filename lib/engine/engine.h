/*
 * engine: the one interface of fused operations.  The model (lib/model) is
 * written once over these; an engine computes them.  Three exist: "ref", the
 * plain C twins in ref/, each the readable definition of its operation; "cpu",
 * oneDNN and vectorised loops in cpu/; and "cuda", a plug-in.  An engine knows
 * nothing of tasks, media, text or the model.
 *
 * Memory.  All pointers are engine memory made by alloc(), unless called host:
 * the caller never looks behind them but through get()/put().  Two kinds:
 *	float *			f32 everywhere: parameters, gradients, statistics
 *	struct cb_elem *	activations, in the engine's own element type
 * Activations are dense and row-major, channels last: pictures [P,H,W,C],
 * tokens [T,D].  Index arrays are int32_t, in engine memory.
 *
 * Operations are asynchronous: arguments are borrowed until sync(), which also
 * reports errors; out-of-memory inside an operation shows there too.  Unless
 * said otherwise an output may not alias an input.  Outputs named dX for
 * parameters (float *) are ADDED to; NULL for one of them skips its work.
 * Sums have a fixed order that depends on shapes only, so the results repeat
 * bit for bit with any number of threads.
 *
 * Dropout: element i of an operation's output is dropped where
 * cb_rng_u32(rng, first + i) < p * 2^32, else multiplied by 1/(1-p).  p = 0 draws
 * nothing.  The backward pass draws again, so no mask is kept.
 */
#ifndef CB_ENGINE_H
#define CB_ENGINE_H

#include "base/base.h"

struct cb_elem;			/* incomplete on purpose */
struct cb_conv_plan;
struct cb_linear_plan;

struct cb_drop {
	float	 p;		/* share dropped, 0 <= p < 1 */
	struct cb_rng rng;
	int64_t	 first;		/* 0, or where a larger operation goes on of
				 * which this is a part */
};

enum cb_act { CB_ACT_NONE, CB_ACT_RELU, CB_ACT_GELU, CB_ACT_TANH,
	CB_ACT_ELU };

/* A convolution of square kernels: [P,H,W,C] -> [P,OH,OW,O],
 * OH = (H + 2 pad - k) / stride + 1. */
struct cb_conv {
	int	 H, W, C, O, k, stride, pad;
	/* Of pictures that prepare() made: cb_engine.blank, channels that x has
	 * behind those C and that take no part; no dx is wanted.  Else 0. */
	int	 blank;
};

/* A max pooling: as a convolution, padding never wins. */
struct cb_pool2d {
	int	 H, W, C, k, stride, pad;
	bool	 relu;		/* y = max(0, pooled) */
};

enum cb_loss_kind { CB_LOSS_CE, CB_LOSS_BCE, CB_LOSS_MSE, CB_LOSS_RANK };
enum cb_agg { CB_AGG_MEAN, CB_AGG_MAX, CB_AGG_LSE };

/*
 * Scores of K clips, N rows, C classes, pooled and compared with labels
 * (../shared/reference/README.md, Definitions):
 *	CE	labels int32 [N] (negative: ignored, its loss is 0); mean over N.
 *		With LSE: loss_i = LSE over (clip, class) - LSE over clip of label.
 *	BCE	labels f32 [N,C]; sum over C, mean over N
 *	MSE	labels f32 [N], C = 1; mean over N
 *	RANK	C = 1; rows are groups of `group`, the first the match; hinge of
 *		sigmoids max(0, margin + s_j - s_0); mean over all hinges
 * LSE goes with CE only.
 */
struct cb_loss {
	enum cb_loss_kind kind;
	enum cb_agg agg;
	int	 K, N, C;
	float	 margin;
	int	 group;
	float	 share;		/* total and gradient are multiplied by it: 1, or
				 * what part of a larger batch this is */
};

struct cb_adamw {
	float	 lr, b1, b2, eps, wd;
	float	 fix;		/* sqrt(1 - b2^t) / (1 - b1^t) */
	float	 grad_scale;	/* of clipping; 1: none */
};

struct cb_engine {
	const char *name;
	size_t	 elem_size;	/* bytes of an activation */
	bool	 on_host;	/* f32 memory is the host's own: after sync() it
				 * may be read where it is, without get() */
	int	 blank;		/* channels of zeros that prepare() writes behind
				 * B G R, for a library that wants more than 3 */
	/*
	 * What the gradients that loss() gives, and all that come of them, are
	 * multiplied by, so that they do not vanish in 16 bits: the caller's to
	 * change, and to divide by in the end.  1 where `scales` is false.
	 */
	float	 loss_scale;
	bool	 scales;	/* loss_scale is to be adapted: they overflow */

	void	(*free)(struct cb_engine *e);

	/* ---- memory */

	/* Zeroed, 64-byte aligned; NULL: none left (and cb_fail() said so). */
	void	*(*alloc)(struct cb_engine *e, int64_t bytes);
	void	(*release)(struct cb_engine *e, void *p);
	/* Bytes between host and engine memory.  What is put is free again on
	 * return; get() waits, so what is got is there. */
	void	(*put)(struct cb_engine *e, void *to, const void *host,
		    int64_t bytes);
	void	(*get)(struct cb_engine *e, void *host, const void *from,
		    int64_t bytes);
	/* Activations between host f32 and the engine's element type. */
	void	(*put_elem)(struct cb_engine *e, struct cb_elem *to,
		    const float *host, int64_t n);
	void	(*get_elem)(struct cb_engine *e, float *host,
		    const struct cb_elem *from, int64_t n);
	void	(*zero)(struct cb_engine *e, void *p, int64_t bytes);
	/* Waits for everything; -1: cb_error() says what failed. */
	int	(*sync)(struct cb_engine *e);

	/* ---- pictures */

	/*
	 * Pictures that prepare() will be given: they may be on their way while
	 * what was asked for before is computed.  They are borrowed until
	 * forget(), which waits if somebody still reads them.  To expect them
	 * again, or some of them, takes as many more forget(); to forget what
	 * is not expected does nothing.  The array itself is free on return.
	 * What lies in memory that is pinned goes from there without a copy.
	 */
	void	(*expect)(struct cb_engine *e, const struct cb_array *pictures,
		    int P);
	void	(*forget)(struct cb_engine *e, const struct cb_array *pictures,
		    int P);

	/* Host memory in which pictures will lie, on whole pages, until unpin();
	 * those that were expected are forgotten before. */
	void	(*pin)(struct cb_engine *e, void *host, int64_t bytes);
	void	(*unpin)(struct cb_engine *e, void *host);

	/*
	 * x [P,S,S,3+blank] = (BGR of (resize and pad of picture) - mean) / std: the
	 * longer side becomes S, bilinear with half-pixel centres and no
	 * antialiasing, zero padding right and bottom before the normalisation
	 * (reference README, preprocess/, to the letter).  mean, std: host, RGB
	 * order.  pictures: host, u8 [h,w,3] RGB each, and expected, all by one
	 * expect(); cb_resized() tells the sides after resizing.
	 */
	void	(*prepare)(struct cb_engine *e, struct cb_elem *x,
		    const struct cb_array *pictures, int P, int S,
		    const float mean[3], const float std[3]);

	/* ---- convolution with frozen batch norm folded in */

	/* A plan serves any number of pictures. */
	int	(*conv_new)(struct cb_engine *e, struct cb_conv_plan **out,
		    const struct cb_conv *g);
	void	(*conv_free)(struct cb_engine *e, struct cb_conv_plan *c);
	/* Takes w [O,C,k,k], scale and shift [O] (NULL: 1 and 0) for what
	 * follows: conv(x, w) * scale + shift.  w is borrowed, and stays as it
	 * is, until the next conv_pack() or the last operation.  backward: also
	 * pack for conv_bwd(). */
	void	(*conv_pack)(struct cb_engine *e, struct cb_conv_plan *c,
		    const float *w, const float *scale, const float *shift,
		    bool backward);
	/* y = [relu](conv(x) * scale + shift [+ res]); res NULL: none.  On the
	 * host it may be y. */
	void	(*conv_fwd)(struct cb_engine *e, struct cb_conv_plan *c,
		    struct cb_elem *y, const struct cb_elem *x,
		    const struct cb_elem *res, bool relu, int P);
	/*
	 * dy: gradient of the result before relu (see act_bwd).
	 * dx [P,H,W,C]: written, or added to where add; NULL: not wanted.
	 * dw [O,C,k,k]: added to; NULL: not wanted.
	 */
	void	(*conv_bwd)(struct cb_engine *e, struct cb_conv_plan *c,
		    struct cb_elem *dx, bool add, float *dw,
		    const struct cb_elem *dy, const struct cb_elem *x, int P);

	/* y = pooled x.  dx is written; the first of equal maxima in row-major
	 * order takes the gradient; with relu nothing passes where y <= 0. */
	void	(*pool_fwd)(struct cb_engine *e, struct cb_elem *y,
		    const struct cb_elem *x, const struct cb_pool2d *g, int P);
	void	(*pool_bwd)(struct cb_engine *e, struct cb_elem *dx,
		    const struct cb_elem *dy, const struct cb_elem *x,
		    const struct cb_elem *y, const struct cb_pool2d *g, int P);

	/* mean [C] and var [C] (biased) over n rows of x [n,C]; written. */
	void	(*moments)(struct cb_engine *e, float *mean, float *var,
		    const struct cb_elem *x, int64_t n, int C);

	/* ---- tokens */

	/*
	 * x [T,D] = word[ids] + position[pos] + type, ids and pos [T].
	 * Backward: look-ups of id 0 ([PAD]) send nothing to dword (quirk 6).
	 */
	void	(*embed_text_fwd)(struct cb_engine *e, struct cb_elem *x,
		    const int32_t *ids, const int32_t *pos, const float *word,
		    const float *position, const float *type, int T, int D);
	void	(*embed_text_bwd)(struct cb_engine *e, float *dword,
		    float *dposition, float *dtype, const struct cb_elem *dx,
		    const int32_t *ids, const int32_t *pos, int T, int D);

	/*
	 * x [M,V,D] from grid [M*F,h,w,D]: mean over the F frames of a clip
	 * + row[y] + col[x] + type, for the V kept cells; cells [V] are indices
	 * y*w + x, NULL: all, V = h*w.  Backward writes dgrid (zero where not
	 * kept).
	 */
	void	(*embed_grid_fwd)(struct cb_engine *e, struct cb_elem *x,
		    const struct cb_elem *grid, const float *row,
		    const float *col, const float *type, const int32_t *cells,
		    int M, int F, int h, int w, int V, int D);
	void	(*embed_grid_bwd)(struct cb_engine *e, struct cb_elem *dgrid,
		    float *drow, float *dcol, float *dtype,
		    const struct cb_elem *dx, const int32_t *cells, int M,
		    int F, int h, int w, int V, int D);

	/*
	 * Rows from two sources, with dropout: y_t = drop(a[src_t]) where
	 * src_t >= 0, else drop(b[-1 - src_t]).  b may be NULL.  Backward writes
	 * da [Ta,D] and db [Tb,D] whole: the sum over their uses, zero if unused.
	 */
	void	(*rows_fwd)(struct cb_engine *e, struct cb_elem *y,
		    const struct cb_elem *a, const struct cb_elem *b,
		    const int32_t *src, int T, int D,
		    const struct cb_drop *drop);
	void	(*rows_bwd)(struct cb_engine *e, struct cb_elem *da, int Ta,
		    struct cb_elem *db, int Tb, const struct cb_elem *dy,
		    const int32_t *src, int T, int D,
		    const struct cb_drop *drop);

	/*
	 * Dropout, residual and layer normalisation:
	 *	s = drop(x) + res
	 *	y = (s - mean(s)) / sqrt(var(s) + 1e-12) * gain + bias
	 * s may be x or res, y may be neither; res NULL: none.  mean, rstd [T]
	 * and s are for the backward pass, which writes ds, the gradient of s
	 * (and so of res), and dx = drop(ds); dx NULL: not wanted (p = 0: it is
	 * ds); ds may be dy.  arXiv:1607.06450.
	 */
	void	(*norm_fwd)(struct cb_engine *e, struct cb_elem *y,
		    struct cb_elem *s, float *mean, float *rstd,
		    const struct cb_elem *x, const struct cb_elem *res,
		    const float *gain, const float *bias, int T, int D,
		    const struct cb_drop *drop);
	void	(*norm_bwd)(struct cb_engine *e, struct cb_elem *dx,
		    struct cb_elem *ds, float *dgain, float *dbias,
		    const struct cb_elem *dy, const struct cb_elem *s,
		    const float *mean, const float *rstd, const float *gain,
		    int T, int D, const struct cb_drop *drop);

	/*
	 * Batch normalisation of the columns of x [T,D]:
	 *	y = (x - mean) * rstd * gain + bias,  rstd = 1 / sqrt(var + 1e-5)
	 * Where learning, T >= 2: mean and biased variance are those of these
	 * rows; mean and rstd [D] are kept for the backward pass; and running
	 * [2D+1], which holds means, variances and the number of batches so
	 * far, goes a tenth of the way to mean and unbiased variance, and
	 * counts.  Else both are those of running, which stays as it is; mean
	 * and rstd may be NULL.  y may not be x.  Backward writes dx, which may
	 * be dy.  arXiv:1502.03167; quirk 18.
	 */
	void	(*batchnorm_fwd)(struct cb_engine *e, struct cb_elem *y,
		    float *mean, float *rstd, float *running,
		    const struct cb_elem *x, const float *gain,
		    const float *bias, int T, int D, bool learn);
	void	(*batchnorm_bwd)(struct cb_engine *e, struct cb_elem *dx,
		    float *dgain, float *dbias, const struct cb_elem *dy,
		    const struct cb_elem *x, const float *mean,
		    const float *rstd, const float *gain, int T, int D);

	/*
	 * linear_pack() takes w [O,I] and bias [O] (NULL: 0) for what follows.
	 * Both are borrowed until the next pack or the end of the plan: an
	 * engine may read them where they are, or packed as they were.
	 * backward: also pack for linear_bwd().
	 */
	int	(*linear_new)(struct cb_engine *e, struct cb_linear_plan **out,
		    int I, int O);
	void	(*linear_free)(struct cb_engine *e, struct cb_linear_plan *l);
	void	(*linear_pack)(struct cb_engine *e, struct cb_linear_plan *l,
		    const float *w, const float *bias, bool backward);
	/* z = x w' + bias, y = act(z); x [T,I], y and z [T,O].  z NULL: not
	 * kept (only GELU needs it). */
	void	(*linear_fwd)(struct cb_engine *e, struct cb_linear_plan *l,
		    struct cb_elem *y, struct cb_elem *z,
		    const struct cb_elem *x, enum cb_act act, int T);
	/* dz: gradient of z.  dx written, or added to where add; NULL: not
	 * wanted. */
	void	(*linear_bwd)(struct cb_engine *e, struct cb_linear_plan *l,
		    struct cb_elem *dx, bool add, float *dw, float *dbias,
		    const struct cb_elem *dz, const struct cb_elem *x, int T);

	/* dz = dy * act'(.); kept is z for GELU, y for RELU, TANH and ELU.
	 * dz may be dy. */
	void	(*act_bwd)(struct cb_engine *e, struct cb_elem *dz,
		    const struct cb_elem *dy, const struct cb_elem *kept,
		    enum cb_act act, int64_t n);

	/* y += x */
	void	(*add)(struct cb_engine *e, struct cb_elem *y,
		    const struct cb_elem *x, int64_t n);

	/*
	 * Attention of A heads within each of S packed sequences: tokens of
	 * sequence i are rows seq[i] .. seq[i+1]-1.  qkv [T,3D] holds query, key
	 * and value side by side; head a owns columns a*D/A ...  of each.
	 *	P = drop(softmax(q k' / sqrt(D/A))),  o = P v
	 * Element of the dropout: (row * A + head) * longest + key, where key
	 * counts from 0 within the sequence and longest is the longest sequence.
	 * lse [T,A]: log of the sum of exponentials, for the backward pass.
	 */
	void	(*attention_fwd)(struct cb_engine *e, struct cb_elem *o,
		    float *lse, const struct cb_elem *qkv, const int32_t *seq,
		    int S, int longest, int T, int D, int A,
		    const struct cb_drop *drop);
	void	(*attention_bwd)(struct cb_engine *e, struct cb_elem *dqkv,
		    const struct cb_elem *d_o, const struct cb_elem *o,
		    const float *lse, const struct cb_elem *qkv,
		    const int32_t *seq, int S, int longest, int T, int D,
		    int A, const struct cb_drop *drop);

	/* ---- scores and losses, in f32 */

	/* out [N,C] (f32) = clips pooled by agg; for LSE the log-sum-exp. */
	void	(*pool_scores)(struct cb_engine *e, float *out,
		    const struct cb_elem *clip, enum cb_agg agg, int K, int N,
		    int C);
	/*
	 * each: unreduced losses (CE [N]; BCE [N,C]; MSE [N]; RANK
	 * [N/group, group-1]); total [1]: the number that is differentiated;
	 * dclip [K,N,C]: its gradient, NULL: not wanted.  Ties of MAX: the first
	 * clip takes the gradient.
	 */
	void	(*loss)(struct cb_engine *e, float *total, float *each,
		    struct cb_elem *dclip, const struct cb_elem *clip,
		    const void *labels, const struct cb_loss *l);

	/* ---- optimiser */

	/* *host = sum of squares of g [n], in double. */
	void	(*sumsq)(struct cb_engine *e, double *host, const float *g,
		    int64_t n);
	/* One segment of n parameters, which lie in w as far from 16 bytes as
	 * in m, v and g:
	 *	g' = g * grad_scale
	 *	m = b1 m + (1-b1) g';  v = b2 v + (1-b2) g'^2
	 *	w -= lr * fix * m / (sqrt(v) + eps);  w -= lr * wd * w */
	void	(*adamw)(struct cb_engine *e, float *w, float *m, float *v,
		    const float *g, int64_t n, const struct cb_adamw *a);
};

/* Sides after the longer one became S; double arithmetic, truncated (quirk
 * 37), but at least 1, where the original fails. */
void	cb_resized(int *rows, int *cols, int h, int w, int S);

/*
 * name: "cpu", "ref", "cuda", or "auto" (cuda where a GPU answers, else cpu);
 * then perhaps a colon and the precision of activations: "fp32", and with cuda
 * "bf16" (its default), "fp16" or "tf32" (f32 whose products are rounded).
 * threads 0: one a core.  The engine is yours to free by e->free(e).
 */
int	cb_engine_open(struct cb_engine **out, const char *name, int threads);

/* What a plug-in exports as cb_cuda_open.  bytes: sizeof(struct cb_engine), by
 * which it knows whether both were built from one engine.h; precision: "": its
 * default. */
typedef int cb_plugin_open_fn(struct cb_engine **out, size_t bytes,
	    const char *precision);

#endif
