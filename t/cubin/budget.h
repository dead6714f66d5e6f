/*
 * budget: what kernels may cost and must have; the file of `sass -b`.
 *
 *	PATTERN BOUND...		# a comment
 *
 * A pattern is that of a shell, on the name of a kernel with the arguments of
 * its template and without spaces: norm_fwd<cb_*,3>.  A bound is a key of the
 * lines that sass prints, or narrow, loads and stores of memory of less than 32
 * bits; <= or >=, and a number for every architecture, or for each one in
 * ascending order: regs<=64 LDG.128>=1 blocks>=5/5/6.  Each kernel needs one line
 * and no more, each line a kernel, and none may use local memory.
 */
#ifndef T_CUBIN_BUDGET_H
#define T_CUBIN_BUDGET_H

#include <stdio.h>

#include "cubin.h"

/*
 * How much of the file is broken, each told by a line on stderr; -1: it cannot
 * be read.  out not NULL: instead of looking whether bounds hold, writes the
 * file again with bounds that just hold, registers rounded up to multiples of 8,
 * for so they are given out.
 */
int	budget_check(const struct kernels *all, const char *path, FILE *out);

#endif
