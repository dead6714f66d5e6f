/*
 * kern: every CUDA kernel against its plain C twin, on the simulated device.
 *
 * A case is a function that makes inputs, calls an operation and records what
 * comes out.  It runs on the twin (k->twin is the engine "ref") and twice on
 * the kernels, the second time with every parameter one float further on, where
 * 16 bytes no longer begin; for each element type.  Inputs are the same for
 * all, rounded to the type.  Each value v of an output may differ by
 *
 *	round |v| + 2^-24 (8 + 2 sqrt(terms)) max|v| + slack
 *
 * where round is half a unit in the last place of the element type (0 of f32
 * outputs), terms the length of the sums that made it, and slack what the case
 * adds, with the reason beside it.  Both runs of the kernels give equal bits.
 *
 * To add an operation: a file here with a struct kern_group, its cases in a
 * table by CASE(), and a line in groups.c.  See point.c for the least there can
 * be.  What a kernel takes as `part` is scratch(): of exactly the size that
 * kernels.h tells, and NaN to begin with.
 */
#ifndef KERN_H
#define KERN_H

#include "../../cuda/kernels.h"
#include "engine/engine.h"

struct out {
	const char *name;
	float	*v;
	int64_t	 n;
	double	 terms, slack, round;
};

struct kern {
	struct cb_engine *twin;	/* NULL: the kernels run */
	enum cu_type t;
	cudaStream_t s;
	int	 shift;		/* of parameters, in floats */
	struct out out[16];
	int	 nout;
	void	*mem[64];
	int	 nmem;
	uint32_t seed;
};

/* ---- inputs; memory of the side that runs, released after the case */

/* Activations in -1 .. 1, or v, rounded to the element type. */
void	*acts(struct kern *k, int64_t n);
void	*acts_of(struct kern *k, const float *v, int64_t n);
/* f32 in lo .. hi, or v.  params: what may be an offset into a parameter, or a
 * gradient of one; floats: memory of its own. */
float	*params(struct kern *k, int64_t n, double lo, double hi);
float	*floats(struct kern *k, int64_t n, double lo, double hi);
float	*floats_of(struct kern *k, const float *v, int64_t n);
int32_t	*ints(struct kern *k, const int32_t *v, int64_t n);
/* A copy of bytes of the host. */
void	*copy(struct kern *k, const void *v, int64_t bytes);
/* n floats that nobody wrote; NULL for the twin. */
float	*scratch(struct kern *k, int64_t n);
/* On the host, yours to free; the same for every side. */
float	*noise(struct kern *k, int64_t n, double lo, double hi);

/* A dropout of share p whose counters wrap, and as kernels take it. */
struct cb_drop drop_of(float p);
struct cb_mask mask_of(const struct cb_drop *d);

/* ---- outputs */

struct out *out_elem(struct kern *k, const char *name, const void *p,
	    int64_t n, double terms);
struct out *out_f32(struct kern *k, const char *name, const float *p,
	    int64_t n, double terms);

/* Of a launch: ends the program if it failed. */
void	must(int error);

/* ---- cases */

enum { EVERY, LARGE = 1, F32 = 2 };	/* in the plain build only; of f32 only */

struct kern_case {
	const char *name;
	void	(*fn)(struct kern *k, const void *arg);
	const void *arg;
	int	 flags;
};

struct kern_group {
	const char *name;
	const struct kern_case *cases;
	int	 n;
};

/* All there are, then NULL; in groups.c, of this folder or of t/libs. */
extern const struct kern_group *const kern_groups[];

#define CASE(what, flags, type, ...) { #what " " #__VA_ARGS__, what##_case, \
	&(const type)__VA_ARGS__, flags }
#define GROUP(what) const struct kern_group kern_##what = { #what, cases, \
	(int)CB_LEN(cases) }

#endif
