/*
 * One row of the table of parameters: a name of ClipBERT's checkpoints and
 * where its values are in the flat f32 arena.  The train room works on the
 * table alone, without knowing what the model computes.
 */
#ifndef CB_PARAM_H
#define CB_PARAM_H

#include <stdbool.h>
#include <stdint.h>

struct cb_param {
	const char *name;
	int	 rank;
	int64_t	 dim[4];
	int64_t	 at, count;	/* elements of the arena; rows in its order */
	bool	 trainable;	/* false: frozen, or a statistic */
};

#endif
