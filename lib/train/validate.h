/*
 * Private to the trainer: validation while a run goes on.  validate.c runs the
 * pipeline and scores what it yields; choose.c remembers the figures, says which
 * checkpoint is the best and removes the others.
 */
#ifndef CB_TRAIN_VALIDATE_H
#define CB_TRAIN_VALIDATE_H

#include "train/train.h"

/*
 * Runs a command of the shell whose standard output is a stream, scores it and
 * measures: *metrics is yours.  The command has a process group of its own, and
 * is reaped before this returns.  One that fails, or yields a stream that is
 * cut, is an error.  *skipped: media that were left out.
 */
int	validate_run(json_t **metrics, struct cb_figure *f, int64_t *skipped,
	    struct cb_scorer *s, const char *command);

/* Ends the command that is running and those that are still to come; for a handler
 * of signals. */
void	validate_stop(void);

/*
 * The validations of a run: a list of {"step", "value", "metrics"}, or {"step",
 * "error"}.  It is kept in the restore points and read back from them.
 */

/* A validation; metrics NULL: it failed, f is not looked at, and why tells. */
void	choose_add(json_t *list, int64_t step, const json_t *metrics,
	    const struct cb_figure *f, const char *why);

/* The step of the best; -1: none is good. */
int64_t	choose_best(const json_t *list);
/* Of the last, good or not; -1: there is none. */
int64_t	choose_last(const json_t *list);
int	choose_failures(const json_t *list);

/* RUN/result.json: which figure and rule chose the best, and all figures; an
 * old one is removed where the list is empty. */
int	choose_write(const char *run, const char *task, const json_t *list);

/*
 * Removes checkpoints that were made for validations of the list, but those of
 * the best and of the last, and those of multiples of `every` (0: none).
 */
int	choose_prune(const char *run, const json_t *list, int64_t every);

#endif
