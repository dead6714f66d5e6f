/* The groups of cases, of every kernel there is. */
#include "kern.h"

extern const struct kern_group kern_adamw, kern_attention, kern_batchnorm,
    kern_cast, kern_columns, kern_embed, kern_loss, kern_norm, kern_point,
    kern_pool, kern_prepare, kern_rows;

const struct kern_group *const kern_groups[] = {
	&kern_adamw, &kern_attention, &kern_batchnorm, &kern_cast,
	&kern_columns, &kern_embed, &kern_loss, &kern_norm, &kern_point,
	&kern_pool, &kern_prepare, &kern_rows,
	NULL
};
