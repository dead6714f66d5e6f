/*
 * libs: operations that libraries compute (cuda/libs.h), on their stand-ins,
 * against plain C twins.  Cases and their harness are those of t/kernels.
 */
#ifndef KERN_LIBS_H
#define KERN_LIBS_H

#include "../../cuda/libs.h"
#include "../kernels/kern.h"

/* Space of so many bytes, on the stream of the kernels. */
struct cu_work work_of(struct kern *k, size_t bytes);
/* n floats in -1 .. 1 that 16 bits hold exactly. */
float	*coarse(struct kern *k, int64_t n);
/* Such, in both types; the twin takes f32. */
struct cu_bias bias_of(struct kern *k, int n);
/* What the twin is to multiply where the library may round n floats to TF32:
 * those, rounded to nearest to its ten bits, ties away from zero. */
const void *rounded(struct kern *k, bool tf32, const void *v, int64_t n);
/* What is open, NULL: none; the stand-ins see whether all of it is closed. */
extern struct cu_lt *open_lt;
extern struct cu_dnn *open_dnn;
/* Of a call: closes what is open and ends the program if it failed. */
void	fine(int rc);

#endif
