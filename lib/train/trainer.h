/*
 * Private to the trainer: a run as its parts see it.  identity.c says what run
 * it is, begin.c where it begins, learn.c what a batch does to it, keep.c what
 * is kept of it; trainer.c puts them together.
 */
#ifndef CB_TRAIN_TRAINER_H
#define CB_TRAIN_TRAINER_H

#include "train/train.h"

struct trainer {
	struct cb_run_options *o;
	struct cb_settings *s;
	struct cb_feed *feed;
	struct cb_ahead *ahead;
	struct cb_engine *e;
	struct cb_model *m;
	const struct cb_param *params;
	int	 nparams;
	struct cb_segments segs;
	struct cb_log *log;
	struct cb_checkpoint about;	/* what the checkpoints will say */
	json_t	*identity;
	float	*moment, *variance;	/* engine */
	struct cb_scaling scaling;
	struct cb_restore point;	/* with the host arenas */
	int64_t	 total, saved;		/* steps; the last that was saved */
	struct cb_scorer *scorer;	/* NULL: no validation */
	json_t	*validations;
	int64_t	 valid_every;		/* steps */
	/* batches that were read to set the norms, still to be trained on */
	struct cb_batch **held;
	int	 nheld, held_at;
	/* the step in the making */
	struct cb_step step;
	int	 micro;
	int64_t	 batches;		/* consumed; those of finished steps are
					 * in point */
	double	 loss;
	int32_t	*cells;			/* room for all of the grid */
};

/* ---- identity.c, in this order ------------------------------------------ */

/* Task, answers and words: what the checkpoints will say. */
int	run_describe(struct trainer *t);
/* How many steps: the option, else as many as the stream has batches for. */
int	run_find_total(struct trainer *t);
/* What must be the same for a run to go on. */
int	run_identify(struct trainer *t);

/* ---- begin.c -------------------------------------------------------------- */

/* Random, then those of the files that the settings name. */
int	begin_weights(struct trainer *t);
/* Sets the norms' statistics from the first pictures of the stream; their
 * batches are held, to be trained on. */
int	begin_norms(struct trainer *t);

/* ---- learn.c -------------------------------------------------------------- */

/* Forward and backward of one batch, added to the gradients; counts it. */
int	learn_batch(struct trainer *t, const struct cb_batch *b);

/* ---- keep.c --------------------------------------------------------------- */

/* The optimiser's state, and host arenas for it and the weights. */
int	keep_alloc(struct trainer *t);
/* Between the engine and point.w; nothing where both are one. */
void	weights_to_host(struct trainer *t);
void	weights_from_host(struct trainer *t);
/* A restore point, unless this step has one. */
int	keep_point(struct trainer *t);
int	keep_checkpoint(struct trainer *t);
/* 1: going on from a restore point; 0: there is none; -1. */
int	keep_restore(struct trainer *t);
/* Reads past the batches that the restore point has behind it. */
int	keep_skip(struct trainer *t);

#endif
