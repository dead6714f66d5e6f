/* Private to the train room: the rules of those who make files of weights. */
#ifndef CB_MAKERS_H
#define CB_MAKERS_H

#include <string.h>

#include "train.h"

#define BACKBONE "cnn.feature.backbone."
#define WORDS "transformer.bert.embeddings.word_embeddings.weight"
#define MLM "transformer.cls.predictions."

static inline bool
starts(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

static inline bool
ends(const char *text, const char *with)
{
	size_t n = strlen(text), k = strlen(with);

	return n >= k && strcmp(text + n - k, with) == 0;
}

/* Without the "module." of DataParallel; part of name. */
const char *maker_bare(const char *name);
/* Known, and of no use to any model of ours. */
bool	maker_idle(const char *name);
/* Our name for one of theirs, yours to free; *copy: it is that of a tensor that
 * stands there twice. */
char	*maker_our_name(const struct cb_tensors *f, enum cb_import_kind kind,
	    const char *name, bool *copy);
/* The same of a name that is ClipBERT's. */
char	*maker_e2e(const char *name, bool *copy);
/* Is a file of this kind asked for this parameter? */
bool	maker_wanted(enum cb_import_kind kind, const char *name);

/* Under its names, or under detectron2's. */
bool	maker_is_torchvision(const struct cb_tensors *f);
/* Turns torchvision's first convolution [O,3,taps] in place. */
void	maker_turn_stem(float *x, int64_t O, int64_t taps);
/* Tells what of torchvision's cannot be turned. */
void	maker_warn(const char *path);

/* Index of a parameter, -1: none. */
int	param_named(const struct cb_param *p, int n, const char *name);
/* Has the array the parameter's shape? */
bool	param_fits(const struct cb_param *p, const struct cb_array *a);

#endif
