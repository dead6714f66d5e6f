/* Shared by the files of this room only. */
#ifndef CB_MODEL_INTERNAL_H
#define CB_MODEL_INTERNAL_H

#include <setjmp.h>

#include "model.h"

/* ---- arena.c: activations of one run, a stack that grows to its high mark - */

struct arena {
	struct cb_engine *e;
	struct block {
		char *at;
		int64_t size, used;
	} *blocks;
	int	 n, top;	/* blocks, the one in use */
	jmp_buf	*full;
};

struct mark {
	int	 top;
	int64_t	 used;
};

/* Frees everything at once; merges what one run needed into one block. */
void	arena_reset(struct arena *a);
void	arena_clear(struct arena *a);
/*
 * Never NULL: where memory ends it jumps to *full, set by whoever started the
 * run.  Nothing between there and here owns anything, so a pass of a hundred
 * operations reads as the paper does, without a test on every line.
 */
void	*arena_take(struct arena *a, int64_t count, size_t size);
struct mark arena_mark(const struct arena *a);
void	arena_release(struct arena *a, struct mark m);

/* ---- params.c: the table while it is made --------------------------------- */

struct table {
	struct cb_param *at;
	int	 n, room;
	bool	 failed;
};

/* The name is handed over. */
void	table_put(struct table *t, char *name, bool trainable, bool buffer,
	    int rank, const int64_t *dim);
void	table_vector(struct table *t, char *name, bool trainable, bool buffer,
	    int64_t n);
void	table_matrix(struct table *t, char *name, int rows, int cols);
/* NAME.weight and NAME.bias of a linear map; of a norm. */
void	table_linear(struct table *t, const char *name, int O, int I);
void	table_norm(struct table *t, const char *name, int n);

/* ---- the parts ------------------------------------------------------------ */

/* A convolution with its frozen batch norm. */
struct conv {
	struct cb_conv g;
	struct cb_conv_plan *plan;
	int	 w;		/* parameter; -1: absent */
	int	 norm;		/* its norm.weight, then bias, mean, var; -1 */
	float	*scale, *shift;	/* engine, [O]; NULL without norm */
	bool	 trainable;
};

/* x - conv1 - conv2 - conv3 + (shortcut or x).  What a forward keeps. */
struct bottleneck {
	struct conv conv1, conv2, conv3, shortcut;	/* shortcut.w may be -1 */
	struct cb_pool2d thin;		/* of an identity shortcut; k 0: none */
	int	 H, W, C, OH, OW, O;
	bool	 trainable;
	struct cb_elem *x, *a, *b, *y;
};

struct cnn {
	struct conv stem, grid;
	struct cb_pool2d stem_pool, grid_pool;
	struct bottleneck *blocks;
	int	 nblocks, frozen;	/* the first `frozen` blocks do not train */
	bool	 stem_trains;
	int	 h;			/* grid side */
	/* kept by a forward for the backward pass */
	struct cb_elem *input, *stem_y, *pool_y, *grid_x, *grid_conv, *grid_y;
	struct cb_elem *dgrid;		/* for its gradient */
	struct mark behind;		/* of all this */
	int	 P;
};

struct norm {
	int	 w;		/* gain, then bias */
};

struct layer {
	struct cb_linear_plan *qkv, *attn, *inter, *out;
	int	 p_qkv_w, p_qkv_b, p_attn, p_inter, p_out;	/* weight; bias is + 1 but for qkv */
	struct norm norm1, norm2;
	/* kept */
	struct cb_elem *x, *qkv_y, *o, *r, *s1, *y1, *z, *f, *s2, *y2;
	float	*lse, *mean1, *rstd1, *mean2, *rstd2;
};

struct bert {
	int	 word, position, type, row, col, vtype;
	struct norm tnorm, vnorm;
	struct layer *layers;
	struct cb_linear_plan *pooler;
	int	 p_pooler;
	/* the batch, in engine memory */
	int32_t	*ids, *pos, *src, *seq, *cells;
	int32_t	*read;			/* [R] tokens read of the last layer */
	int32_t	*first;			/* [S] of these: the [CLS] */
	int	 Tt, T, R, S, V, M, N, K, longest;
	/* kept */
	struct cb_elem *text_s, *text_y, *vis_s, *vis_y, *x0, *cls, *pooled;
	struct cb_elem *last;		/* [R,D] of the last layer */
	float	*tmean, *trstd, *vmean, *vrstd;
};

/* A linear map with its parameters: weight; bias is + 1. */
struct linear {
	struct cb_linear_plan *plan;
	int	 p;
};

/* What a head is; which one the model has is decided in head.c. */
struct head_kind {
	void	(*params)(struct table *t, const struct cb_model_config *c);
	int	(*build)(struct cb_model *m);
	void	(*clear)(struct cb_model *m);
	void	(*pack)(struct cb_model *m);
	/* pooled [K*N,D], clip-major -> scores */
	struct cb_elem *(*forward)(struct cb_model *m,
	    const struct cb_elem *pooled, int K, int N);
	/* -> gradient of pooled */
	struct cb_elem *(*backward)(struct cb_model *m,
	    struct cb_elem *dscores, int K, int N);
	/* A loss on the tokens besides: checks its labels; goes forward, and
	 * in training back to the gradient of bert.last, NULL where there is
	 * nothing to learn; *loss is there after sync().  NULL: none. */
	int	(*check_tokens)(const struct cb_model *m,
	    const struct cb_inputs *in);
	struct cb_elem *(*tokens)(struct cb_model *m,
	    const struct cb_inputs *in, float share, float *loss);
	/* Counts a part of a training run into m->tally, behind sync().
	 * NULL: nothing to count. */
	void	(*count)(struct cb_model *m, const struct cb_inputs *in);
	bool	 whole;		/* learns from statistics of all rows of a
				 * batch, two at least: no parts */
};

struct classifier {
	struct cb_elem *x, *f;		/* dropped input, hidden */
};

struct regressor {
	int	 norm, running;		/* gain, then bias; the statistics */
	struct cb_elem *x, *f, *n, *y;	/* dropped input, ELU, norm, dropped */
	float	*mean, *rstd;		/* [K,D] */
};

struct mlm {
	struct linear transform;
	struct cb_linear_plan *decoder;	/* word embedding, and a bias */
	int	 p_bias;
	struct norm norm;
	int	 n;			/* labelled tokens of the last run */
	int32_t	*told;			/* [n], host: the most probable words */
	int	 right;			/* of these */
};

struct head {
	const struct head_kind *kind;
	struct linear fc1, fc2;		/* of the classifier, the regressor */
	struct classifier classifier;
	struct regressor regressor;
	struct linear itm;
	const struct cb_elem *pooled;	/* what itm saw */
	struct mlm mlm;
};

struct cb_model {
	struct cb_engine *e;
	struct cb_model_config c;
	struct cb_param *params;
	int	 nparams;
	int64_t	 count, trainable;
	float	*weights, *grads;
	bool	 scoring;		/* never trains */
	const float **where;		/* [nparams] borrowed, or NULL */

	struct cnn cnn;
	struct bert bert;
	struct head head;

	struct arena arena;
	int64_t	 memory;
	int	 clip_memory;		/* clips run at once; 0: all */
	struct cb_array *some;		/* pictures of these, borrowed */
	bool	 calibrating;
	cb_tap_fn *tap;
	void	*tap_arg;

	/* the run */
	bool	 training;
	uint64_t seed;
	uint32_t step;
	uint32_t part;		/* of a batch that is run in parts */
	int	 clip;		/* the first, where some are run at a time */
	bool	 again;		/* they have been run before: clips.c */
	/* of the last training run, in the arena: see cb_model_last() */
	struct last {
		struct cb_elem *scores, *dscores;
		float	*each, *total;		/* the loss */
		float	*words;			/* of each labelled token */
		int64_t	 neach;
		int	 K, N;
	} last;
	struct cb_tally tally;
};

/* params.c */
int	params_build(struct cb_model *m);
int	params_table(struct cb_param **out, int *n,
	    const struct cb_model_config *c);
void	params_clear(struct cb_model *m);
/* n parameters that follow one another in the table are one to the engine: those
 * that are borrowed from places apart are copied. */
void	params_join(struct cb_model *m, int first, int n);
float	*param(struct cb_model *m, int i);	/* its values */
float	*grad(struct cb_model *m, int i);	/* NULL where frozen */
int	find(struct cb_model *m, const char *fmt, ...) CB_PRINTF(2, 3);

/* cnn.c */
int	cnn_build(struct cb_model *m);
void	cnn_clear(struct cb_model *m);
void	cnn_pack(struct cb_model *m, bool all);
/* -> grid [P,h,h,D]; keeps what the backward pass needs where training, and
 * makes cnn.dgrid, [P,h,h,D] too. */
struct cb_elem *cnn_forward(struct cb_model *m, const struct cb_array *pictures,
	    int P);
/* From cnn.dgrid back; what was taken since cnn_forward() is released. */
void	cnn_backward(struct cb_model *m);
int64_t	cnn_bytes(const struct cb_model *m);	/* kept a picture */

/* bert.c */
int	bert_build(struct cb_model *m);
void	bert_clear(struct cb_model *m);
void	bert_pack(struct cb_model *m);
/* Are the texts of the batch what the model can take? */
int	bert_check(const struct cb_model *m, const struct cb_inputs *in);
/* Lays the texts of the batch out in packed sequences. */
int	bert_batch(struct cb_model *m, const struct cb_inputs *in);
/*
 * Is token l of text n read of the last layer?  [CLS] is, by the pooler, and the
 * masked words by the head of pretraining; where someone looks, all are, those
 * of the grid as well.
 */
bool	bert_reads(const struct cb_model *m, const struct cb_inputs *in, int n,
	    int l);
/* grid -> pooled [K*N,D], clip-major, and b->last */
struct cb_elem *bert_forward(struct cb_model *m, const struct cb_elem *grid,
	    int F);
/* dlast: gradient of b->last besides, NULL: none.  dgrid, the gradient of the
 * grid, is written. */
void	bert_backward(struct cb_model *m, struct cb_elem *dpooled,
	    const struct cb_elem *dlast, struct cb_elem *dgrid, int F);

/* model.c */
/* Grid, texts and head to the scores [K*N,C] of a batch. */
struct cb_elem *model_forward(struct cb_model *m, const struct cb_inputs *in);
/* Rows of scores: a choice has several texts a row. */
int	model_rows(const struct cb_model *m, int N);
/*
 * Memory for m->last, which outlives the run, so it comes first; scores of n
 * clips from number k on; then loss and gradient of all.
 */
void	last_make(struct cb_model *m, const struct cb_inputs *in);
void	last_put(struct cb_model *m, const struct cb_elem *scores, int k,
	    int n);
void	last_learn(struct cb_model *m, const struct cb_inputs *in,
	    const void *labels, float share);
/* The labels in the arena. */
void	*put_labels(struct cb_model *m, const struct cb_inputs *in);

/* clips.c */
/* Are these too many clips to be run at once? */
bool	clips_many(const struct cb_model *m, const struct cb_inputs *in);
/* Memory for cb_model_train() with these, before anything jumps. */
int	clips_room(struct cb_model *m, const struct cb_inputs *in);
/* Forward and backward of a part, some clips at a time. */
int	clips_run(struct cb_model *m, const struct cb_inputs *in, float share,
	    float *loss);

/* head.c */
const struct head_kind *head_kind(const struct cb_model_config *c);
int	head_check(const struct cb_model_config *c);
int	head_build(struct cb_model *m);
void	head_clear(struct cb_model *m);
/* fc1 and fc2: entries of a head_kind. */
void	head_layers_clear(struct cb_model *m);
void	head_layers_pack(struct cb_model *m);
/* The n-th dropout of a head, and back. */
void	head_drop_fwd(struct cb_model *m, struct cb_elem *y,
	    const struct cb_elem *x, int rows, int n);
void	head_drop_bwd(struct cb_model *m, struct cb_elem *dx,
	    const struct cb_elem *dy, int rows, int n);

/* classify.c, regress.c, pretrain.c */
extern const struct head_kind head_classify, head_regress, head_pretrain;

/* mlm.c: the masked words of pretraining */
void	mlm_params(struct table *t, const struct cb_model_config *c);
int	mlm_build(struct cb_model *m);
void	mlm_clear(struct cb_model *m);
void	mlm_pack(struct cb_model *m);
int	mlm_check(const struct cb_model *m, const struct cb_inputs *in);
struct cb_elem *mlm_learn(struct cb_model *m, const struct cb_inputs *in,
	    float share, float *loss);

/* run.c */
int	linear_build(struct cb_model *m, struct linear *l, int I, int O,
	    const char *weight);
void	linear_clear(struct cb_model *m, struct cb_linear_plan *l);
void	linear_pack(struct cb_model *m, struct linear *l);
void	linear_forward(struct cb_model *m, struct linear *l,
	    struct cb_elem *y, struct cb_elem *z, const struct cb_elem *x,
	    enum cb_act act, int T);
void	linear_backward(struct cb_model *m, struct linear *l,
	    struct cb_elem *dx, const struct cb_elem *dz,
	    const struct cb_elem *x, int T);
struct cb_elem *take(struct cb_model *m, int64_t elements);
float	*take_f32(struct cb_model *m, int64_t n);
struct cb_elem *elem_at(struct cb_model *m, const struct cb_elem *x,
	    int64_t elements);
/* The masks of dropout number `op`, which has `clip` elements a clip; p = 0
 * where not training. */
struct cb_drop drop(const struct cb_model *m, float p, int op, int64_t clip);
void	tap(struct cb_model *m, const struct cb_elem *x, int rank,
	    const int64_t *dim, const char *fmt, ...) CB_PRINTF(5, 6);

#endif
