/*
 * train: what surrounds forward and backward: rates and groups of the
 * optimiser, restore points, checkpoints, the log.  Knows names and numbers of
 * parameters, never what they compute, nor media or text.
 */
#ifndef CB_TRAIN_H
#define CB_TRAIN_H

#include "base/base.h"
#include "base/safetensors.h"
#include "engine/engine.h"
#include "model/model.h"
#include "task/settings.h"
#include "task/task.h"
#include "train/tensors.h"

/* ---- rates: schedule.c ------------------------------------------------- */

/*
 * Learning rate of optimiser step 1 .. total.  Warm-up takes the first
 * (int)(warmup_ratio * total) steps of linear and invsqrt; milestones (any
 * order) and epoch are those of multi_step.  Never below 1e-8.  The quirks are
 * the original's: README of the reference, 27, 29 and 36.
 */
double	cb_lr_at(int64_t step, int64_t total, double base, enum cb_decay kind,
	    double warmup_ratio, const int *milestones, int n, int64_t epoch);

/*
 * Optimiser steps of so many epochs of groups, `batch` of them a batch,
 * as in the original (quirk 35): rounded up once, at the end.
 */
int64_t	cb_plan_steps(double epochs, int64_t groups, int64_t batch,
	    int64_t accumulate);

/*
 * Steps between two validations, num_valid of them in a run but never closer
 * than min_valid_steps, whose multiple it is; and between two restore points,
 * at least one where the original's comes out as none (quirk 34).
 */
void	cb_plan_points(int64_t *valid, int64_t *save,
	    const struct cb_settings *s, int64_t steps);

/* ---- groups and segments: groups.c, optim.c ----------------------------- */

#define CB_GROUPS 8

/*
 * Group of a parameter, from its name alone: 0-3 transformer, 4-7 CNN; in each
 * prefix with decay, prefix without, rest with decay, rest without.  -1: the
 * name is of neither part.  An empty prefix matches nothing.
 */
int	cb_group_of(const char *name, const char *transformer_prefix,
	    const char *cnn_prefix);

/* Rates of the eight groups at a step; epoch counts from 0 (multi_step). */
void	cb_group_rates(double lr[CB_GROUPS], const struct cb_settings *s,
	    int64_t step, int64_t total, int64_t epoch);

/* Weight decay of the eight groups. */
void	cb_group_decays(double wd[CB_GROUPS], const struct cb_settings *s);

/* A contiguous range of the arena whose trainable entries share a group. */
struct cb_segment {
	int64_t	 at, count;		/* elements */
	int	 group;
	double	 lr, wd;		/* of this step */
};

struct cb_segments {
	struct cb_segment *at;
	int	 n;
};

/*
 * Segments of all trainable parameters, in arena order; neighbours of one group
 * are joined.
 * A trainable name outside both parts is an error.
 */
int	cb_segments_init(struct cb_segments *out, const struct cb_param *p,
	    int n, const struct cb_settings *s);
void	cb_segments_clear(struct cb_segments *g);

/* Sets lr and wd of each segment for a step. */
void	cb_segments_rate(struct cb_segments *g, const struct cb_settings *s,
	    int64_t step, int64_t total, int64_t epoch);

/*
 * One step over the segments: total norm of the gradient g in double, clipping
 * by max_norm (-1: none), AdamW.  t: the count of this update, from 1.  w, m, v
 * and g are arenas in engine memory; g is the gradient times e->loss_scale.
 * *norm: before clipping.  A norm that is not finite changes nothing: it is an
 * error, or 1 where a smaller loss_scale may help.
 */
int	cb_optim_step(double *norm, struct cb_engine *e,
	    const struct cb_segments *segs, float *w, float *m, float *v,
	    const float *g, int64_t t, const double betas[2], double max_norm);

/*
 * The scale of the loss over a run, where the engine says that it `scales`: it
 * is halved after a step whose gradients overflow, which is skipped, and doubled
 * after CB_SCALING_STEPS that did not.  As PyTorch's GradScaler; Micikevicius et
 * al., arXiv:1710.03740.
 */
#define CB_SCALING_STEPS 2000
#define CB_SCALING_MAX 0x1p24f

struct cb_scaling {
	float	 scale;
	int64_t	 good;			/* steps since it changed */
	int64_t	 skipped;		/* steps without an update */
};
void	cb_scaling_init(struct cb_scaling *s, const struct cb_engine *e);
/* After each step. */
void	cb_scaling_step(struct cb_scaling *s, struct cb_engine *e,
	    bool skipped);
/* For a restore point, which any engine may go on from; NULL: nothing to keep;
 * and back, NULL: nothing was kept. */
json_t	*cb_scaling_json(const struct cb_scaling *s);
void	cb_scaling_take(struct cb_scaling *s, struct cb_engine *e,
	    const json_t *v);

/* ---- restore points: restore.c ------------------------------------------ */

/*
 * RUN/restore.0.safetensors and RUN/restore.1.safetensors, written in turn, so
 * that one is whole at any moment.
 */
struct cb_restore {
	const struct cb_param *params;
	int	 nparams;
	float	*w, *m, *v;	/* host arenas, by the offsets of the table; m and
				 * v: of trainable parameters only */
	int64_t	 step;		/* optimiser steps done */
	int64_t	 batches;	/* batches of the stream consumed */
	/*
	 * What must be the same for a run to go on: an object, say {"settings",
	 * "annotations", "provenance", "vocab" (a hash)}.  Borrowed.
	 */
	const json_t *identity;
	/* Whatever else the trainer wants back; NULL or borrowed for a save,
	 * yours to decref (NULL: none) after a load. */
	json_t	*state;
};

/* Overwrites the older of the two.  On failure (disk full) nothing that was
 * whole is lost; the training run should stop with status 1. */
int	cb_restore_save(const char *run, const struct cb_restore *r);

/*
 * Fills w, m, v, step, batches, state from the newest whole point.  1: done;
 * 0: there is none (nothing touched); -1: there is one, but of another identity
 * or other parameters (the message names what differs).  A damaged point
 * is passed over with a warning; if only damaged ones are there: -1.
 */
int	cb_restore_load(const char *run, struct cb_restore *r);

/* ---- log: log.c ---------------------------------------------------------- */

struct cb_step {
	int64_t	 step, epoch;
	double	 loss, grad_norm;
	double	 lr[CB_GROUPS];
	double	 loss_scale;	/* logged above 1 */
	int64_t	 examples;	/* text rows of this step */
	double	 data_s;	/* seconds spent waiting for the stream */
	double	 compute_s;	/* and computing */
	struct cb_tally tally;	/* of pretraining */
};

struct cb_log;

/*
 * Opens RUN/log.jsonl to go on after `step`: lines of later steps, and a line
 * that was cut off, are removed.  One line every `every` steps and at `total`;
 * total 0: unknown.
 */
int	cb_log_open(struct cb_log **out, const char *run, int64_t step,
	    int64_t total, int every);

/* Adds a step: a line where it is due (sums and means since the last), and the
 * progress line on a terminal. */
int	cb_log_step(struct cb_log *l, const struct cb_step *s);

/* Adds a line of one's own; an object that has "step".  Handed over. */
int	cb_log_write(struct cb_log *l, json_t *line);

/* What was logged survives a power cut; call it before cb_restore_save(). */
int	cb_log_sync(struct cb_log *l);

/* Wipes the progress line.  A failed close is a failed write. */
int	cb_log_close(struct cb_log *l);

/* Writes RUN/NAME whole, or not at all. */
int	cb_run_write(const char *run, const char *name, const json_t *v);

/* RUN/args.json: version, arguments, effective settings, and the provenance of
 * the stream (may be NULL); all borrowed. */
int	cb_args_write(const char *run, int argc, char *const *argv,
	    const json_t *settings, const json_t *provenance);

/* ---- checkpoints: checkpoint.c; weights of others: import.c, take.c -------- */

/* What a checkpoint says of itself.  Values are borrowed for a save and yours
 * to clear after a load; NULL where there is none. */
struct cb_checkpoint {
	json_t	*config;	/* cb_settings_json() */
	json_t	*answers;	/* list of names, index = label */
	json_t	*vocab;		/* list of words, index = id */
	json_t	*provenance;
	char	*task;
	int64_t	 step;
};
void	cb_checkpoint_clear(struct cb_checkpoint *c);

/* Where checkpoint N of a run is. */
#define CB_CHECKPOINT_PATH "ckpt/model_step_%lld.safetensors"

/* The same as metadata of a safetensors file; yours to decref. */
json_t	*cb_checkpoint_meta(const struct cb_checkpoint *c);

/* Writes RUN/ckpt/model_step_N.safetensors: every parameter of the table.  w
 * here and below is a host arena. */
int	cb_checkpoint_save(const char *run, const struct cb_checkpoint *c,
	    const struct cb_param *p, int n, const float *w);

/*
 * The file that -m names: a file as it is; of a run directory the best, where
 * result.json names one, else the newest of ckpt/.  Yours to free.
 */
int	cb_checkpoint_find(char **path, const char *run_or_file);

/* Reads what the file says of itself; "config" must be there. */
int	cb_checkpoint_open(struct cb_safetensors **f, struct cb_checkpoint *c,
	    const char *path);

/*
 * All parameters of the table out of a checkpoint, ours or the original's
 * (converted): any float type; decoder copies (quirk 2, they win) and the
 * detector (quirk 1) are accepted.  A missing tensor or one of another
 * shape is an error that names it.  at [n], all NULL: what is f32 in the file is
 * not copied, but at[i] points to it, borrowed from f.  at NULL: all is copied.
 */
int	cb_checkpoint_load(const struct cb_safetensors *f,
	    const struct cb_param *p, int n, float *w,
	    const float **at);

struct cb_import {
	int	 taken;		/* parameters of the table set */
	int	 missing;	/* of that part, but not in the file */
	int	 unexpected;	/* in the file, but of no use here */
	int	 misfit;	/* e2e only: there, but of another shape */
	char	 first_missing[128], first_unexpected[128], first_misfit[256];
};

/*
 * Initial weights, by the names of their makers:
 * CB_IMPORT_E2E	a ClipBERT checkpoint of any task; what does not fit
 *			(another head) is left as it was and counted
 * CB_IMPORT_BERT	Hugging Face BERT, with or without "bert.", also with
 *			the old names gamma and beta
 * CB_IMPORT_RESNET	detectron2 (backbone.*, *.norm.*), Caffe2 names in
 *			detectron2's .pkl (res2_0_branch1_w) or torchvision
 *			(layer1.0.conv1, bn1), whose stride is in another place:
 *			a warning says so
 * In BERT and RESNET files a tensor of another shape is an error that names it
 * and both shapes; so is a file that has nothing for the part.  w is unchanged
 * then.
 */
enum cb_import_kind { CB_IMPORT_E2E, CB_IMPORT_BERT, CB_IMPORT_RESNET };
int	cb_import(struct cb_import *report, enum cb_import_kind kind,
	    const char *path, const struct cb_param *p, int n, float *w);

/* What a file holds, told by its names; CB_EFORMAT: none of these. */
int	cb_import_guess(enum cb_import_kind *out, const struct cb_tensors *f);

/*
 * Tensor i of a file under our name, as cb_import() of CB_IMPORT_E2E would take
 * it from a ClipBERT checkpoint.  1: out->name is yours to free, as is *own, the
 * memory of an array that had to be changed (else NULL; then the array is
 * borrowed from f).  0: it is left out, and *why is a reason.
 */
int	cb_import_take(struct cb_tensor *out, void **own, const char **why,
	    const struct cb_tensors *f, enum cb_import_kind kind, int i);

/* The *why of a tensor that has no place in any model. */
extern const char cb_import_foreign[];

/* Which parameter a tensor under our name is; -1: none; -2: a copy of another
 * (quirk 2), which readers know. */
int	cb_import_place(const struct cb_param *p, int n, const char *name);
/* Is a file of this kind there to give this parameter? */
bool	cb_import_asks(enum cb_import_kind kind, const char *name);
/* -1: the tensor is of another shape, and cb_error() names both. */
int	cb_import_fits(const struct cb_param *p, const struct cb_tensor *t);

/* ---- settings to model: setup.c ------------------------------------------- */

/*
 * Sizes and loss of a model.  task decides the loss where the settings do not;
 * answers and words: how many the stream or the checkpoint has, where the
 * settings leave num_labels or vocab_size open.
 */
int	cb_model_config_from(struct cb_model_config *c,
	    const struct cb_settings *s, const char *task, int64_t answers,
	    int64_t words);

/* Is it a choice among the options of a question? */
bool	cb_task_chooses(const char *task);
/* Is it pretraining, on captions with masked words? */
bool	cb_task_pretrains(const char *task);

/*
 * The n of V grid cells that a step keeps, sorted, drawn by Floyd's algorithm:
 * from the seed and the number of the batch alone.  n <= V.
 */
void	cb_cells_sample(int32_t *cells, int n, int V, uint64_t seed,
	    uint32_t batch);

/* ---- batches ahead of the engine: ahead.c ---------------------------------- */

/* Batches in memory at once: one being read, two that wait, one in work. */
#define CB_AHEAD 4

struct cb_ahead;

/* Starts a thread that reads the feed, borrowed, which is its own until
 * close.  fd: what the feed reads.  e: who will compute, borrowed. */
int	cb_ahead_open(struct cb_ahead **out, struct cb_feed *feed, int fd,
	    struct cb_engine *e);
/* As cb_feed_next(). */
int	cb_ahead_next(struct cb_ahead *a, struct cb_batch **out);
/* Lets the engine expect the pictures of the next batch, if that is there: so
 * they travel while it computes the last. */
void	cb_ahead_expect(struct cb_ahead *a);
/* Frees a batch of cb_ahead_next() that may have been expected. */
void	cb_ahead_done(struct cb_ahead *a, struct cb_batch *b);
/* For a handler of signals: cb_ahead_next() fails where it would wait. */
void	cb_ahead_wake(struct cb_ahead *a);
/* A feed that has not come to its end is cut off: fd reads as empty from then
 * on. */
void	cb_ahead_close(struct cb_ahead *a);

/* ---- batches: learn.c ------------------------------------------------------- */

/* A batch as the model takes it: borrows b; free((void *)in->counts). */
int	cb_batch_inputs(struct cb_inputs *in, const struct cb_batch *b);

/* -1 unless each of its examples has this many rows (1: no options). */
int	cb_batch_fits(const struct cb_batch *b, int options);

/* ---- the run: trainer.c ------------------------------------------------------ */

struct cb_run_options {
	const char *run;	/* directory */
	int	 input;		/* what the feed reads */
	const char *engine;	/* of cb_engine_open(), precision included */
	int	 threads;	/* 0: one a core */
	int64_t	 memory;	/* of cb_model_memory(), bytes; 0: any;
				 * negative: cb_trainer_memory() */
	int	 clip_memory;	/* of cb_model_clip_memory(); 0: all */
	int64_t	 steps;		/* 0: to the end of the stream */
	int64_t	 init_stats;	/* pictures to set the norms from; 0: do not */
	const char *validate;	/* a command that yields a stream; NULL: none */
	int64_t	 restore_every;	/* steps; 0: by save_steps_ratio */
	int64_t	 checkpoint_every;	/* steps; 0: at the end only */
	int64_t	 log_every;	/* steps */
	int	 argc;
	char	**argv;
};

/* Bytes of activations that are worth keeping at once: few on a host, whose
 * speed hardly gains by more; as many as a GPU is likely to have there. */
int64_t	cb_trainer_memory(const struct cb_engine *e);

/*
 * Trains to the end and leaves the checkpoint; of validations that of the best
 * too, and result.json.  A validation that fails does not end the run, but is
 * an error at its end.  Goes on from a restore point if the run directory has
 * one.  A signal or a broken stream leaves a restore
 * point and is an error.  *steps: how many are done.
 */
int	cb_train_run(struct cb_feed *feed, struct cb_settings *s,
	    struct cb_run_options *o, int64_t *steps);

/* ---- predictions: score.c ------------------------------------------------------ */

/* A trained model and what its checkpoint says: settings, words, answers. */
struct cb_scorer;

/* model: a run directory, see cb_checkpoint_find(), or a checkpoint; engine
 * and threads: as for cb_engine_open(). */
int	cb_scorer_open(struct cb_scorer **out, const char *model,
	    const char *engine, int threads);
/* Of a model as it is at the time of cb_scorer_batch(); borrows it, and takes
 * what it needs of `about`. */
int	cb_scorer_of(struct cb_scorer **out, struct cb_model *m,
	    const struct cb_checkpoint *about);
void	cb_scorer_close(struct cb_scorer *s);

const struct cb_settings *cb_scorer_settings(const struct cb_scorer *s);
const struct cb_vocab *cb_scorer_vocab(const struct cb_scorer *s);
struct cb_engine *cb_scorer_engine(struct cb_scorer *s);
/* Was it pretrained, so that words of captions are to be masked? */
bool	cb_scorer_masks(const struct cb_scorer *s);

/*
 * One JSON object a line for each text of the batch: question_id, question,
 * media, answer, label, prob and the `top` most probable answers with theirs.
 * Probabilities are a softmax over the pooled scores, or for a loss per answer
 * (vqa) a sigmoid of each.  A retrieval model has a score for each pair of text
 * and medium instead, one that counts answer and score, and a pretrained one
 * match, score and words: see cb-score(1).
 */
int	cb_scorer_batch(struct cb_scorer *s, const struct cb_batch *b, int top,
	    FILE *to);

/*
 * Retrieval: one JSON object a line for each medium of the batch, {"media",
 * "scores"}, with the score of each of the texts in their order.  What the
 * batch has of texts is not looked at.  Media go through one by one, so that
 * the bits of a score do not depend on the batch.
 */
int	cb_scorer_pairs(struct cb_scorer *s, const struct cb_batch *b,
	    const struct cb_texts *texts, FILE *to);

#endif
