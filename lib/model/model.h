/*
 * model: ClipBERT as explicit forward and backward passes over the operations
 * of an engine: ResNet with frozen batch norm, grid encoder, BERT over packed
 * sequences, and a head.  Knows nothing of media or text, nor how an engine
 * computes.  What it computes, to the letter: reference README.
 */
#ifndef CB_MODEL_H
#define CB_MODEL_H

#include "base/base.h"
#include "engine/engine.h"

#define CB_STAGES 4		/* res2 .. res5 */

/* ---- what is built ------------------------------------------------------ */

/*
 * What becomes of the pooled vectors (and in pretraining, of the tokens):
 *	CLASSIFY	scores of `labels` classes, any loss
 *	CHOICE		one score an option; rows are options, a question's
 *			`labels` options side by side; CE
 *	PRETRAIN	whether text and picture belong together, `labels` = 2,
 *			CE; and the masked words: cb_inputs.mlm_labels
 *	REGRESS		one number, `labels` = 1; MSE
 */
enum cb_head { CB_HEAD_CLASSIFY, CB_HEAD_CHOICE, CB_HEAD_PRETRAIN,
	CB_HEAD_REGRESS };

struct cb_model_config {
	int	 image;		/* side of the square input, pixels */
	int	 stem, width, res2;	/* channels, see cb-train(1) */
	int	 blocks[CB_STAGES];
	int	 freeze_at;	/* 1: the stem is frozen, 2: and res2, ... */
	bool	 freeze_cnn;	/* all but the grid encoder */
	int	 hidden, layers, heads, inter;
	int	 vocab, positions, types, rows, cols;
	enum cb_head head;
	int	 labels;	/* classes; of a choice: options a question */
	enum cb_loss_kind loss;
	enum cb_agg agg;
	float	 margin;	/* of CB_LOSS_RANK */
	float	 dropout, attention_dropout;
	float	 init_range;	/* deviation of initial transformer weights */
	float	 mean[3], std[3];	/* of pixels, RGB, 0..255 */
};

/* Side of the square grid of visual cells. */
int	cb_model_grid(const struct cb_model_config *c);

/* ---- parameters ---------------------------------------------------------- */

/*
 * One tensor of the checkpoint.  All live in one f32 arena of engine memory, in
 * an order that puts the trainable ones first; gradients share their offsets.
 */
struct cb_param {
	char	*name;		/* ClipBERT's own */
	int	 rank;		/* 0: a count, I64 in a checkpoint */
	int64_t	 dim[4];
	int64_t	 at, count;	/* in floats */
	bool	 trainable;
	bool	 buffer;	/* of a batch norm; not the optimiser's */
};

struct cb_model;

/*
 * Borrows e, which must outlive the model.  Parameters are zero until
 * cb_model_init() or cb_model_set(); cb_model_pack() must follow.
 */
int	cb_model_new(struct cb_model **out, struct cb_engine *e,
	    const struct cb_model_config *c);
/* The same for scores alone: no gradients, and nothing packed for them. */
int	cb_model_new_scoring(struct cb_model **out, struct cb_engine *e,
	    const struct cb_model_config *c);
void	cb_model_free(struct cb_model *m);

const struct cb_model_config *cb_model_config(const struct cb_model *m);
struct cb_engine *cb_model_engine(struct cb_model *m);

/* The table alone, of a model that is not built; yours to free. */
int	cb_model_table(struct cb_param **out, int *n,
	    const struct cb_model_config *c);
void	cb_model_table_free(struct cb_param *p, int n);

/* The table, in the order of a checkpoint; borrowed. */
const struct cb_param *cb_model_params(const struct cb_model *m, int *n);
/* Index of a name, -1: none. */
int	cb_model_find(const struct cb_model *m, const char *name);

float	*cb_model_weights(struct cb_model *m);	/* engine memory, all */
float	*cb_model_grads(struct cb_model *m);	/* engine memory, trainable;
						 * NULL: for scores alone */
int64_t	cb_model_count(const struct cb_model *m);	/* floats in all */
int64_t	cb_model_trainable(const struct cb_model *m);	/* ... with gradient */

/* Host f32 values of one parameter. */
void	cb_model_set(struct cb_model *m, int param, const float *host);
void	cb_model_get(struct cb_model *m, int param, float *host);
/* As cb_model_set() of a model for scores alone, but where the engine can use
 * the numbers where they are it does: borrowed until the model is freed. */
void	cb_model_borrow(struct cb_model *m, int param, const float *host);

/*
 * Initial weights: convolutions He-normal over fan-out, transformer normal with
 * init_range, norms the identity, biases zero; from Philox by name, so that one
 * tensor does not depend on another.
 */
void	cb_model_init(struct cb_model *m, uint64_t seed);

/* Takes the weights into the engine's packed form: at the start (all) and
 * after each optimiser step (only what trains). */
void	cb_model_pack(struct cb_model *m, bool all);

/* ---- running -------------------------------------------------------------- */

/*
 * A batch in host memory, borrowed: B videos of K clips of F frames, N texts.
 * pictures [B*K*F] in the order video, clip, frame; counts [B] texts a video,
 * their rows consecutive; ids and mask [N,L].
 */
struct cb_inputs {
	int	 B, K, F, N, L;
	const struct cb_array *pictures;
	const int32_t *counts, *ids, *mask;
	const void *labels;	/* int32 [N] (CE; of a choice one a question),
				 * f32 [N,C] (BCE), f32 [N] (MSE); NULL: none.
				 * Of pretraining: 1 where text and picture
				 * belong together */
	const int32_t *mlm_labels;	/* of pretraining: [N,L], the ids of
				 * masked words, negative elsewhere */
	const int32_t *cells;	/* kept grid cells, sorted; NULL: all */
	int	 ncells;
};

/*
 * Copies of intermediate results, for tests: called with host f32 values.
 * Sequences are packed: tokens [T,D] with offsets seq [S+1]; see bert.c.  res2 to
 * res4 are the pixels that the next stage reads; see cnn.c.  The last layer is
 * made of all tokens then, so its dropout masks fall otherwise than without.
 */
typedef void cb_tap_fn(void *arg, const char *name, const float *x, int rank,
    const int64_t *dim);
void	cb_model_tap(struct cb_model *m, cb_tap_fn *fn, void *arg);

/* Forward without dropout.  scores [N,C] pooled over the clips; clip_scores
 * [K,N,C], NULL: not wanted; both host.  For a choice N counts questions.
 * Pictures are encoded once; texts follow in parts of bounded memory.
 * Where mlm_labels are given, cb_model_last_mlm() has their losses. */
int	cb_model_score(struct cb_model *m, const struct cb_inputs *in,
	    float *scores, float *clip_scores);

/*
 * Forward and backward.  Gradients are added to those that are there.  seed and
 * step choose the dropout masks; *loss is the mean over the batch; in
 * pretraining the mean over all N*L positions of the losses of masked words is
 * added (quirk 13).  Batches that would not fit into `memory` (cb_model_memory()) are run in parts
 * with the same gradients; with the regression head, whose batch norm needs all
 * rows at once, they are not.  That moves its running statistics, once a clip.
 */
int	cb_model_train(struct cb_model *m, const struct cb_inputs *in,
	    uint64_t seed, uint32_t step, float *loss);
void	cb_model_zero_grads(struct cb_model *m);

/* What the last cb_model_train() left (its last part, if it ran in parts), for
 * tests; host, NULL where not wanted: each as in the engine's loss(), scores
 * [N,C], clip_scores and dclip [K,N,C]. */
void	cb_model_last(struct cb_model *m, float *each, float *scores,
	    float *clip_scores, float *dclip);

/* The masked words of pretraining in the last run (its last part), also of
 * cb_model_score(): their number; each: their losses in the order of (text,
 * position), and told: the most probable word for each; host, NULL: not wanted. */
int	cb_model_last_mlm(struct cb_model *m, float *each, int32_t *told);

/* The two tasks of pretraining in a run of cb_model_train(), all parts. */
struct cb_tally {
	int64_t	 texts, matched;	/* matched: taken for what they are */
	double	 itm_loss;		/* sum over the texts */
	int64_t	 positions;		/* N*L: what the loss is divided by */
	int64_t	 words, told;		/* masked; told rightly */
	double	 mlm_loss;		/* sum over the words */
};

/* All zero where the head is another. */
struct cb_tally cb_model_tally(const struct cb_model *m);
void	cb_tally_add(struct cb_tally *to, struct cb_tally more);

/* Sets the statistics of every norm of the CNN from these pictures, layer by
 * layer and of the pixels that are made, so that training from scratch starts with
 * unit variances.  Packs. */
int	cb_model_calibrate(struct cb_model *m, const struct cb_array *pictures,
	    int P);

/* Videos run at once are limited so that kept activations take about this many
 * bytes; 0: all at once. */
void	cb_model_memory(struct cb_model *m, int64_t bytes);

/*
 * Clips of a video run at once in training; 0: all.  With more clips than this
 * a first pass keeps only their scores, and a second repeats each and goes
 * backward, with the same dropout: the gradients are the same up to rounding, for
 * any loss and pooling, and activations are those of so many clips.
 */
void	cb_model_clip_memory(struct cb_model *m, int clips);

#endif
