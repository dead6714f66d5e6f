/*
 * cubin: the kernels of cubins, read from the machine code itself: no tool of
 * the vendor and no device is needed.
 */
#ifndef T_SASS_CUBIN_H
#define T_SASS_CUBIN_H

#include <stdint.h>

/* Instructions that are counted.  From LDG on: by the bits a thread moves. */
enum sass { HMMA, LDSM, BAR, SHFL, MUFU, LDG, STG, LDS, STS, LDGSTS, LDL, STL,
	SASS_KINDS };
enum { SM_THREADS = 2048 };		/* at once on a multiprocessor */
enum { SASS_WIDTHS = 8 };		/* log2 of the bits; 0: not told */

struct kernel {
	char	*name;			/* mangled */
	char	*title;			/* for people: sum<float,4> */
	int	 arch;			/* 80, 90, 100 ... */
	int64_t	 regs;			/* of a thread */
	int64_t	 stack;			/* bytes of local memory of a thread */
	int64_t	 shared;		/* static bytes of a block */
	int64_t	 threads;		/* the most of a block */
	int	 blocks;		/* such blocks: cubin_blocks() */
	int64_t	 code;			/* instructions, padding left out */
	int64_t	 count[SASS_KINDS][SASS_WIDTHS];
};

struct kernels {
	struct kernel *at;
	int	 n;
};

extern const char *const sass_names[SASS_KINDS];

/*
 * Adds the kernels of a file: a cubin, or anything that holds cubins 8-byte
 * aligned and uncompressed (what nvcc --no-compress makes).  A file without
 * any is an error.
 */
int	cubin_read(struct kernels *all, const char *path);
void	kernels_clear(struct kernels *all);

/*
 * How many blocks of this kernel, with so many threads and bytes of dynamic
 * shared memory, are on one multiprocessor at once; -1: not known for its
 * architecture.
 */
int	cubin_blocks(const struct kernel *k, int threads, int64_t dynamic);

#endif
