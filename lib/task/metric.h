/*
 * Private to the metrics: metric.c has the accuracies of answers, rank.c
 * retrieval, count.c and captions.c what those tasks have of their own;
 * evaluate.c takes truth and predictions from files, measure.c batch by batch.
 */
#ifndef CB_TASK_METRIC_H
#define CB_TASK_METRIC_H

#include "task/annotation.h"

/* A line of a file of predictions, borrowed; a message should not say where. */
typedef int metric_take(void *arg, json_t *line);

/* Gives every prediction to take; a message says where. */
int	metric_read(const char *path, metric_take *take, void *arg);

/* Adds "mse" and what one answer for all would have at best.  guess [n]: the
 * predicted answers, -1: none. */
void	metric_squares(json_t *out, const json_t *annotations,
	    const int64_t *guess);

/* Losses and accuracies of pretraining; see cb-eval(1). */
int	metric_captions(json_t **out, const struct annotation *a,
	    const char *predictions);
/* The same of a list of predictions, whatever their ids. */
int	metric_captions_list(json_t **out, const json_t *predictions);

#endif
