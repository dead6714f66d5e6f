/* The groups of cases, of what libraries compute. */
#include "../kernels/kern.h"

extern const struct kern_group kern_lt, kern_dnn;

const struct kern_group *const kern_groups[] = {
	&kern_lt, &kern_dnn,
	NULL
};
