/* Shared by the files of this folder and ../reference.c, the program. */
#ifndef T_REF_REFERENCE_H
#define T_REF_REFERENCE_H

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/safetensors.h"
#include "engine/engine.h"
#include "model/model.h"
#include "task/settings.h"
#include "train/train.h"

/* The tolerances of the README. */
#define TOL_TAP 2e-4
#define TOL_SCORE 2e-4
#define TOL_LOSS 1e-4
#define TOL_GRAD 5e-4
#define TOL_LR 1e-6
#define TOL_MOMENT 2e-3
#define TOL_WEIGHT 5e-2		/* of the change since the start ... */
#define TOL_WEIGHT_ROUNDING 2e-7	/* ... and of the weight itself */
#define TOL_KEY_BIAS 0.1	/* of the largest rate */
#define TOL_BASE_SCORE 1e-4
#define TOL_BASE_LOSS 1e-5
#define TOL_BASE_CNN_NORM 5e-3
#define TOL_BASE_CNN_ENTRY 3e-2
#define TOL_PREPARE 1e-3

extern bool verbose;		/* print every comparison */

struct verdict {
	double	 worst;		/* error / tolerance */
	double	 error;
	char	 name[160];
	int	 compared;
};

struct ref_case {
	struct cb_safetensors *f;
	const char *path;
	struct cb_model_config c;
	int	 K, F, B, N, L, S;	/* S: side of the frames */
	struct cb_array *pictures;	/* B*K*F, owned */
	int32_t	*counts, *ids, *mask;	/* borrowed from f, counts expanded */
	const int32_t *mlm;		/* labels of masked words, borrowed */
	const struct cb_array *cells;	/* kept cells, borrowed; NULL: all */
	bool	 match;			/* only scores and answers: msrvtt_mc */
};

struct taps {
	struct ref_case *r;
	struct verdict *v;
	const struct cb_array *norms;	/* "tapnorm", base only */
	const char *norm_names;
};

/* judge.c: how far off, and the worst of it */
void	judge(struct verdict *v, double error, double tolerance,
	    const char *fmt, ...) CB_PRINTF(4, 5);
double	share(double error, double of);
double	norm_of(const float *x, int64_t n, int64_t step);
double	distance(const float *got, int64_t step, const float *want, int64_t n);
double	max_error(const float *got, const float *want, int64_t n);
double	relative(double got, double want);
bool	has(const char *name, const char *part);

/* case.c: what a file says */
void	*need(void *p);		/* or abort */
const struct cb_array *tensor(const struct cb_safetensors *f, const char *fmt,
	    ...) CB_PRINTF(2, 3);
int64_t	meta_int(const struct cb_safetensors *f, const char *key,
	    int64_t none);
int	int_of(const json_t *o, const char *key);
double	real_of(const json_t *o, const char *key);
int	pick(const char *what, const char *const *names, int n);
int	read_config(struct ref_case *r);
int	read_frames(struct ref_case *r, const struct cb_array *a);
int	read_texts(struct ref_case *r, const char *prefix);
struct cb_inputs inputs(const struct ref_case *r, const char *prefix);
void	free_frames(struct ref_case *r);

/* weights.c */
int	set_weights(struct cb_model *m, const struct ref_case *r);

/* taps.c: a cb_tap_fn, whose argument is a struct taps */
void	on_tap(void *arg, const char *name, const float *x, int rank,
	    const int64_t *dim);
int	index_of(const char *names, const char *name);

/* grads.c */
int	judge_grads(struct verdict *v, const struct ref_case *r,
	    struct cb_model *m);
void	judge_base_grads(struct verdict *v, const struct ref_case *r,
	    struct cb_model *m);

/* scores.c, steps.c, prepare.c: the kinds of file */
void	judge_after(struct verdict *v, const struct ref_case *r,
	    struct cb_model *m, const char *prefix);
int	run_case(struct verdict *v, struct ref_case *r, struct cb_engine *e);
/* zero: steps with zero gradients before the first (quirk 31) */
int	run_steps(struct verdict *v, struct ref_case *r, struct cb_engine *e,
	    int zero);
int	run_prepare(struct verdict *v, struct ref_case *r,
	    struct cb_engine *e);

#endif
