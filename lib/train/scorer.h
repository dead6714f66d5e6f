/*
 * Private to scoring: score.c opens a model and runs it, answers.c tells what it
 * says.
 */
#ifndef CB_SCORER_H
#define CB_SCORER_H

#include "train.h"

struct cb_scorer {
	struct cb_safetensors *file;
	struct cb_checkpoint about;
	struct cb_settings settings;
	struct cb_vocab *vocab;
	struct cb_engine *e;
	struct cb_model *m;
	bool have_settings;
	bool borrowed;		/* the model is another's */
	bool retrieval;		/* scores tell whether text and medium match */
	bool counts;		/* they are numbers, not of labels */
	bool masks;		/* it tells masked words */
};

/* n rows of C scores to the probabilities that text and medium match, one each,
 * in place. */
void	scorer_matches(float *x, int n, int C);

/* Scores x of a batch, examples of so many options, to lines; x is overwritten.
 * top: how many answers a line lists. */
int	scorer_print(const struct cb_scorer *s, const struct cb_batch *b,
	    float *x, int options, int top, FILE *to);

/* A line of the probabilities p of a medium with each of n texts. */
int	scorer_print_medium(const char *medium, const float *p, int n,
	    FILE *to);

#endif
