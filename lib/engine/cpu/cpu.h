/*
 * The CPU engine: products of matrices of its own (gemm.c), oneDNN for the
 * convolutions that these do not suit, loops that the compiler vectorises for
 * the rest, and the threads of lib/base.
 *
 * Results do not depend on the number of threads.  An operation is cut into
 * tasks by its shape alone; oneDNN is only called inside a task, with one
 * thread of its own; sums that cross tasks are kept apart and added in order.
 */
#ifndef CB_CPU_H
#define CB_CPU_H

#include <stdatomic.h>
#include <string.h>

#include <oneapi/dnnl/dnnl.h>

#include "engine/host.h"

struct cpu {
	struct cb_engine e;		/* first: one address */
	struct cb_pool *pool;
	int	 threads;
	dnnl_engine_t dnn;
	dnnl_stream_t *stream;		/* one a thread */
	void	*shared;		/* scratch of an operation */
	int64_t	 shared_bytes;
	void	**own;			/* scratch of a thread */
	int64_t	 own_bytes;
	atomic_int status;		/* first failure of oneDNN in a task */
	enum cb_code code;		/* first failure outside of tasks */
	char	 error[256];
	struct mapping *mappings;	/* of alloc() */
};

static inline struct cpu *
cpu_of(struct cb_engine *e)
{
	return (struct cpu *)e;
}

/* Records what sync() will report. */
void	cpu_fail(struct cpu *c, enum cb_code code, const char *what);

/* Memory on 64 bytes, not cleared, to be given to free(). */
void	*cpu_large(int64_t bytes);
/* Scratch that lasts until the next call; NULL: recorded, give up. */
void	*cpu_shared(struct cpu *c, int64_t bytes);
/* Makes c->own[thread] at least so large; -1: recorded. */
int	cpu_own(struct cpu *c, int64_t bytes);

/* cb_pool_run() with oneDNN held to one thread in each. */
void	cpu_run(struct cpu *c, cb_pool_fn *fn, void *arg, int ntasks);

/* One argument of a oneDNN primitive: memory made ready, or made here. */
struct dnn_arg {
	int	 id;
	const dnnl_memory_desc_t *md;
	const void *data;
	dnnl_memory_t ready;
};
dnnl_status_t dnn_execute(struct cpu *c, int thread, dnnl_primitive_t p,
	    const struct dnn_arg *arg, int n);

/* First element of part i of n elements in parts of sizes that differ by at
 * most one. */
static inline int64_t
part(int64_t n, int parts, int i)
{
	return n * i / parts;
}

/* Tasks for n elements of work each of `cost` simple operations: so few that
 * each is worth waking a thread for, at most 64. */
static inline int
tasks_for(int64_t n, int64_t cost)
{
	int64_t t = n * cost / 16384;

	t = t < n ? t : n;
	return t < 1 ? 1 : t > 64 ? 64 : (int)t;
}

/* ---- vectors: 16 lanes, whatever the machine makes of them */

typedef float v16 __attribute__((vector_size(64), aligned(4), may_alias));

static inline v16
load(const float *p)
{
	return *(const v16 *)p;
}

static inline void
store(float *p, v16 v)
{
	*(v16 *)p = v;
}

typedef int32_t v16i __attribute__((vector_size(64)));

static inline v16
positive(v16 x)
{
	return (v16)((v16i)x & (v16i)(x > 0));
}

static inline float
lanes(v16 v)
{
	float s[16];
	int i, h;

	memcpy(s, &v, sizeof(s));
	for (h = 8; h > 0; h /= 2)
		for (i = 0; i < h; i++)
			s[i] += s[i + h];
	return s[0];
}

static inline float
sum(const float *x, int n)
{
	v16 acc = { 0 };
	float s;
	int i;

	for (i = 0; i + 16 <= n; i += 16)
		acc += load(x + i);
	for (s = lanes(acc); i < n; i++)
		s += x[i];
	return s;
}

static inline float
dot(const float *x, const float *y, int n)
{
	v16 acc = { 0 };
	float s;
	int i;

	for (i = 0; i + 16 <= n; i += 16)
		acc += load(x + i) * load(y + i);
	for (s = lanes(acc); i < n; i++)
		s += x[i] * y[i];
	return s;
}

/*
 * exp, relative error about 1e-7: x = n ln 2 + r, Taylor in |r| < ln 2 / 2,
 * without branches so that loops over it become vectors.  Below -80 it gives
 * about 2e-35, which vanishes beside 1, but is no denormal, nor are its products
 * with what is not much smaller than 1: those are slow.
 */
static inline float
exp_(float x)
{
	union { float f; uint32_t i; } two;
	float n, r, p;

	x = x < -80.0f ? -80.0f : x;
	x = x > 88.0f ? 88.0f : x;
	n = (x * 1.44269504f + 12582912.0f) - 12582912.0f;
	r = x - n * 0.693359375f;
	r = r + n * 2.12194440e-4f;
	p = 1.9841270e-4f;
	p = p * r + 1.3888889e-3f;
	p = p * r + 8.3333333e-3f;
	p = p * r + 4.1666667e-2f;
	p = p * r + 1.6666667e-1f;
	p = p * r + 0.5f;
	p = p * r * r + r + 1;
	two.i = ((uint32_t)(int32_t)n + 127) << 23;
	return p * two.f;
}

/* (1 + erf(z / sqrt 2)) / 2, absolute error about 1e-7, given e =
 * exp(-z z / 2); Abramowitz and Stegun, 7.1.26. */
static inline float
phi(float z, float e)
{
	float t = 1 / (1 + 0.3275911f * 0.70710678f * fabsf(z)), p;

	p = 1.061405429f;
	p = p * t - 1.453152027f;
	p = p * t + 1.421413741f;
	p = p * t - 0.284496736f;
	p = p * t + 0.254829592f;
	p = p * t * e * 0.5f;
	return z < 0 ? p : 1 - p;
}

/* f = drop(1) for n elements, the first being element i of the operation. */
void	cpu_drop_factors(float *f, int n, int64_t i, const struct cb_drop *d);
/*
 * The same for rows of n that lie `stride` elements apart, drawn together.
 * Row r begins with number u = first + i + r stride and is found at
 * f[r ld + u % 4]; ld is at least n + 6.
 */
void	cpu_drop_rows(float *f, int64_t ld, int rows, int n, int64_t i,
	    int64_t stride, const struct cb_drop *d);

static inline bool
drops(const struct cb_drop *d)
{
	return d != NULL && d->p > 0;
}

/* out[c] += sum over n rows of x[.,c]. */
void	cpu_column_sums(struct cpu *c, float *out, const float *x, int64_t n,
	    int C);

void	cpu_prepare(struct cb_engine *, struct cb_elem *x,
	    const struct cb_array *pictures, int P, int S,
	    const float mean[3], const float std[3]);
int	cpu_conv_new(struct cb_engine *, struct cb_conv_plan **out,
	    const struct cb_conv *g);
void	cpu_conv_free(struct cb_engine *, struct cb_conv_plan *c);
void	cpu_conv_pack(struct cb_engine *, struct cb_conv_plan *c,
	    const float *w, const float *scale, const float *shift,
	    bool backward);
void	cpu_conv_fwd(struct cb_engine *, struct cb_conv_plan *c,
	    struct cb_elem *y, const struct cb_elem *x,
	    const struct cb_elem *res, bool relu, int P);
void	cpu_conv_bwd(struct cb_engine *, struct cb_conv_plan *c,
	    struct cb_elem *dx, bool add, float *dw,
	    const struct cb_elem *dy, const struct cb_elem *x, int P);
void	cpu_pool_fwd(struct cb_engine *, struct cb_elem *y,
	    const struct cb_elem *x, const struct cb_pool2d *g, int P);
void	cpu_pool_bwd(struct cb_engine *, struct cb_elem *dx,
	    const struct cb_elem *dy, const struct cb_elem *x,
	    const struct cb_elem *y, const struct cb_pool2d *g, int P);
void	cpu_moments(struct cb_engine *, float *mean, float *var,
	    const struct cb_elem *x, int64_t n, int C);
void	cpu_embed_text_fwd(struct cb_engine *, struct cb_elem *x,
	    const int32_t *ids, const int32_t *pos, const float *word,
	    const float *position, const float *type, int T, int D);
void	cpu_embed_text_bwd(struct cb_engine *, float *dword,
	    float *dposition, float *dtype, const struct cb_elem *dx,
	    const int32_t *ids, const int32_t *pos, int T, int D);
void	cpu_embed_grid_fwd(struct cb_engine *, struct cb_elem *x,
	    const struct cb_elem *grid, const float *row, const float *col,
	    const float *type, const int32_t *cells, int M, int F, int h,
	    int w, int V, int D);
void	cpu_embed_grid_bwd(struct cb_engine *, struct cb_elem *dgrid,
	    float *drow, float *dcol, float *dtype, const struct cb_elem *dx,
	    const int32_t *cells, int M, int F, int h, int w, int V, int D);

void	cpu_rows_fwd(struct cb_engine *, struct cb_elem *y,
	    const struct cb_elem *a, const struct cb_elem *b,
	    const int32_t *src, int T, int D, const struct cb_drop *drop);
void	cpu_rows_bwd(struct cb_engine *, struct cb_elem *da, int Ta,
	    struct cb_elem *db, int Tb, const struct cb_elem *dy,
	    const int32_t *src, int T, int D, const struct cb_drop *drop);

void	cpu_norm_fwd(struct cb_engine *, struct cb_elem *y,
	    struct cb_elem *s, float *mean, float *rstd,
	    const struct cb_elem *x, const struct cb_elem *res,
	    const float *gain, const float *bias, int T, int D,
	    const struct cb_drop *drop);
void	cpu_norm_bwd(struct cb_engine *, struct cb_elem *dx,
	    struct cb_elem *ds, float *dgain, float *dbias,
	    const struct cb_elem *dy, const struct cb_elem *s,
	    const float *mean, const float *rstd, const float *gain,
	    int T, int D, const struct cb_drop *drop);

void	cpu_batchnorm_fwd(struct cb_engine *, struct cb_elem *y,
	    float *mean, float *rstd, float *running, const struct cb_elem *x,
	    const float *gain, const float *bias, int T, int D, bool learn);
void	cpu_batchnorm_bwd(struct cb_engine *, struct cb_elem *dx,
	    float *dgain, float *dbias, const struct cb_elem *dy,
	    const struct cb_elem *x, const float *mean, const float *rstd,
	    const float *gain, int T, int D);

int	cpu_linear_new(struct cb_engine *, struct cb_linear_plan **out,
	    int I, int O);
void	cpu_linear_free(struct cb_engine *, struct cb_linear_plan *l);
void	cpu_linear_pack(struct cb_engine *, struct cb_linear_plan *l,
	    const float *w, const float *bias, bool backward);
void	cpu_linear_fwd(struct cb_engine *, struct cb_linear_plan *l,
	    struct cb_elem *y, struct cb_elem *z, const struct cb_elem *x,
	    enum cb_act act, int T);
void	cpu_linear_bwd(struct cb_engine *, struct cb_linear_plan *l,
	    struct cb_elem *dx, bool add, float *dw, float *dbias,
	    const struct cb_elem *dz, const struct cb_elem *x, int T);
void	cpu_act_bwd(struct cb_engine *, struct cb_elem *dz,
	    const struct cb_elem *dy, const struct cb_elem *kept,
	    enum cb_act act, int64_t n);
void	cpu_add(struct cb_engine *, struct cb_elem *y,
	    const struct cb_elem *x, int64_t n);

void	cpu_attention_fwd(struct cb_engine *, struct cb_elem *o,
	    float *lse, const struct cb_elem *qkv, const int32_t *seq, int S,
	    int longest, int T, int D, int A, const struct cb_drop *drop);
void	cpu_attention_bwd(struct cb_engine *, struct cb_elem *dqkv,
	    const struct cb_elem *d_o, const struct cb_elem *o,
	    const float *lse, const struct cb_elem *qkv, const int32_t *seq,
	    int S, int longest, int T, int D, int A,
	    const struct cb_drop *drop);

void	cpu_pool_scores(struct cb_engine *, float *out,
	    const struct cb_elem *clip, enum cb_agg agg, int K, int N, int C);
void	cpu_loss(struct cb_engine *, float *total, float *each,
	    struct cb_elem *dclip, const struct cb_elem *clip,
	    const void *labels, const struct cb_loss *l);

void	cpu_sumsq(struct cb_engine *, double *host, const float *g,
	    int64_t n);
void	cpu_adamw(struct cb_engine *, float *w, float *m, float *v,
	    const float *g, int64_t n, const struct cb_adamw *a);

#endif
