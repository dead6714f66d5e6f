/*
 * Operations that are one kernel, more or less: the entries of struct cb_engine
 * on one side, kernels.h on the other.
 */
#include "gpu.h"

/* Scratch for sums in two passes: n of f32 [CU_PARTS,C]. */
static float *
parts(struct gpu *g, int n, int64_t C)
{
	return gpu_scratch(g, n * CU_PARTS * C * (int64_t)sizeof(float));
}

/* ---- pictures, grids */

static void
pool_fwd(struct cb_engine *e, struct cb_elem *y, const struct cb_elem *x,
    const struct cb_pool2d *p, int P)
{
	struct gpu *g = gpu_of(e);

	CU(g, cu_pool_fwd(gpu_begin(g, "pool_fwd"), g->type, y, x, p, P));
}

static void
pool_bwd(struct cb_engine *e, struct cb_elem *dx, const struct cb_elem *dy,
    const struct cb_elem *x, const struct cb_elem *y,
    const struct cb_pool2d *p, int P)
{
	struct gpu *g = gpu_of(e);

	CU(g, cu_pool_bwd(gpu_begin(g, "pool_bwd"), g->type, dx, dy, x, y, p,
	    P));
}

static void
moments(struct cb_engine *e, float *mean, float *var, const struct cb_elem *x,
    int64_t n, int C)
{
	struct gpu *g = gpu_of(e);
	float *part = parts(g, 2, C);

	if (part != NULL)
		CU(g, cu_moments(gpu_begin(g, "moments"), g->type, mean, var,
		    x, n, C, part));
}

/* ---- tokens */

static void
embed_text_fwd(struct cb_engine *e, struct cb_elem *x, const int32_t *ids,
    const int32_t *pos, const float *word, const float *position,
    const float *type, int T, int D)
{
	struct gpu *g = gpu_of(e);

	CU(g, cu_embed_text_fwd(gpu_begin(g, "embed_text_fwd"), g->type, x,
	    ids, pos, word, position, type, T, D));
}

static void
embed_text_bwd(struct cb_engine *e, float *dword, float *dposition,
    float *dtype, const struct cb_elem *dx, const int32_t *ids,
    const int32_t *pos, int T, int D)
{
	struct gpu *g = gpu_of(e);
	float *part = parts(g, 1, D);

	if (part != NULL)
		CU(g, cu_embed_text_bwd(gpu_begin(g, "embed_text_bwd"),
		    g->type, dword, dposition, dtype, dx, ids, pos, T, D,
		    part));
}

static void
embed_grid_fwd(struct cb_engine *e, struct cb_elem *x,
    const struct cb_elem *grid, const float *row, const float *col,
    const float *type, const int32_t *cells, int M, int F, int h, int w, int V,
    int D)
{
	struct gpu *g = gpu_of(e);

	CU(g, cu_embed_grid_fwd(gpu_begin(g, "embed_grid_fwd"), g->type, x,
	    grid, row, col, type, cells, M, F, h, w, V, D));
}

static void
embed_grid_bwd(struct cb_engine *e, struct cb_elem *dgrid, float *drow,
    float *dcol, float *dtype, const struct cb_elem *dx, const int32_t *cells,
    int M, int F, int h, int w, int V, int D)
{
	struct gpu *g = gpu_of(e);
	float *part = parts(g, 1, D);

	if (part != NULL)
		CU(g, cu_embed_grid_bwd(gpu_begin(g, "embed_grid_bwd"),
		    g->type, dgrid, drow, dcol, dtype, dx, cells, M, F, h, w,
		    V, D, part));
}

static void
rows_fwd(struct cb_engine *e, struct cb_elem *y, const struct cb_elem *a,
    const struct cb_elem *b, const int32_t *src, int T, int D,
    const struct cb_drop *drop)
{
	struct cb_mask mask = gpu_mask(drop);
	struct gpu *g = gpu_of(e);

	CU(g, cu_rows_fwd(gpu_begin(g, "rows_fwd"), g->type, y, a, b, src, T,
	    D, &mask));
}

static void
rows_bwd(struct cb_engine *e, struct cb_elem *da, int Ta, struct cb_elem *db,
    int Tb, const struct cb_elem *dy, const int32_t *src, int T, int D,
    const struct cb_drop *drop)
{
	struct cb_mask mask = gpu_mask(drop);
	struct gpu *g = gpu_of(e);

	CU(g, cu_rows_bwd(gpu_begin(g, "rows_bwd"), g->type, da, Ta, db, Tb,
	    dy, src, T, D, &mask));
}

static void
norm_fwd(struct cb_engine *e, struct cb_elem *y, struct cb_elem *s,
    float *mean, float *rstd, const struct cb_elem *x,
    const struct cb_elem *res, const float *gain, const float *bias, int T,
    int D, const struct cb_drop *drop)
{
	struct cb_mask mask = gpu_mask(drop);
	struct gpu *g = gpu_of(e);

	CU(g, cu_norm_fwd(gpu_begin(g, "norm_fwd"), g->type, y, s, mean, rstd,
	    x, res, gain, bias, T, D, &mask));
}

static void
norm_bwd(struct cb_engine *e, struct cb_elem *dx, struct cb_elem *ds,
    float *dgain, float *dbias, const struct cb_elem *dy,
    const struct cb_elem *s, const float *mean, const float *rstd,
    const float *gain, int T, int D, const struct cb_drop *drop)
{
	struct cb_mask mask = gpu_mask(drop);
	struct gpu *g = gpu_of(e);
	float *part = parts(g, 2, D);

	if (part != NULL)
		CU(g, cu_norm_bwd(gpu_begin(g, "norm_bwd"), g->type, dx, ds,
		    dgain, dbias, dy, s, mean, rstd, gain, T, D, &mask,
		    part));
}

static void
batchnorm_fwd(struct cb_engine *e, struct cb_elem *y, float *mean,
    float *rstd, float *running, const struct cb_elem *x, const float *gain,
    const float *bias, int T, int D, bool learn)
{
	struct gpu *g = gpu_of(e);
	float *part = parts(g, 2, D);

	if (part != NULL)
		CU(g, cu_batchnorm_fwd(gpu_begin(g, "batchnorm_fwd"), g->type,
		    y, mean, rstd, running, x, gain, bias, T, D, learn, part));
}

static void
batchnorm_bwd(struct cb_engine *e, struct cb_elem *dx, float *dgain,
    float *dbias, const struct cb_elem *dy, const struct cb_elem *x,
    const float *mean, const float *rstd, const float *gain, int T, int D)
{
	struct gpu *g = gpu_of(e);
	float *part = parts(g, 2, D);

	if (part != NULL)
		CU(g, cu_batchnorm_bwd(gpu_begin(g, "batchnorm_bwd"), g->type,
		    dx, dgain, dbias, dy, x, mean, rstd, gain, T, D, part));
}

static void
act_bwd(struct cb_engine *e, struct cb_elem *dz, const struct cb_elem *dy,
    const struct cb_elem *kept, enum cb_act act, int64_t n)
{
	struct gpu *g = gpu_of(e);

	CU(g, cu_act_bwd(gpu_begin(g, "act_bwd"), g->type, dz, dy, kept, act,
	    n));
}

/* y may be the scores of one clip among others. */
static void
add(struct cb_engine *e, struct cb_elem *y, const struct cb_elem *x, int64_t n)
{
	struct gpu *g = gpu_of(e);
	int64_t bytes = n * (int64_t)e->elem_size;
	int64_t spare = gpu_spare(y, bytes);
	char *at = NULL;
	void *to;

	if (spare > 0 && (at = gpu_scratch(g, spare)) == NULL)
		return;
	to = gpu_aligned(g, &at, y, bytes);
	CU(g, cu_add(gpu_begin(g, "add"), g->type, to, x, n));
	if (to != y)
		CU(g, cudaMemcpyAsync(y, to, (size_t)bytes,
		    cudaMemcpyDeviceToDevice, gpu_begin(g, "align")));
}

static void
attention_fwd(struct cb_engine *e, struct cb_elem *o, float *lse,
    const struct cb_elem *qkv, const int32_t *seq, int S, int longest, int T,
    int D, int A, const struct cb_drop *drop)
{
	struct cb_mask mask = gpu_mask(drop);
	struct gpu *g = gpu_of(e);

	CU(g, cu_attention_fwd(gpu_begin(g, "attention_fwd"), g->type, o, lse,
	    qkv, seq, S, longest, T, D, A, &mask));
}

static void
attention_bwd(struct cb_engine *e, struct cb_elem *dqkv,
    const struct cb_elem *d_o, const struct cb_elem *o, const float *lse,
    const struct cb_elem *qkv, const int32_t *seq, int S, int longest, int T,
    int D, int A, const struct cb_drop *drop)
{
	struct cb_mask mask = gpu_mask(drop);
	struct gpu *g = gpu_of(e);

	CU(g, cu_attention_bwd(gpu_begin(g, "attention_bwd"), g->type, dqkv,
	    d_o, o, lse, qkv, seq, S, longest, T, D, A, &mask));
}

/* ---- scores */

static void
pool_scores(struct cb_engine *e, float *out, const struct cb_elem *clip,
    enum cb_agg agg, int K, int N, int C)
{
	struct gpu *g = gpu_of(e);

	CU(g, cu_pool_scores(gpu_begin(g, "pool_scores"), g->type, out, clip,
	    agg, K, N, C));
}

/* The scale is on the device, so that it is no part of a graph. */
static void
loss(struct cb_engine *e, float *total, float *each, struct cb_elem *dclip,
    const struct cb_elem *clip, const void *labels, const struct cb_loss *l)
{
	struct gpu *g = gpu_of(e);

	if (e->loss_scale != g->scale_is) {
		gpu_put(e, g->scale, &e->loss_scale, sizeof(*g->scale));
		g->scale_is = e->loss_scale;
	}
	CU(g, cu_loss(gpu_begin(g, "loss"), g->type, total, each, dclip, clip,
	    labels, l, g->scale));
}

void
gpu_ops(struct cb_engine *e)
{
	e->pool_fwd = pool_fwd;
	e->pool_bwd = pool_bwd;
	e->moments = moments;
	e->embed_text_fwd = embed_text_fwd;
	e->embed_text_bwd = embed_text_bwd;
	e->embed_grid_fwd = embed_grid_fwd;
	e->embed_grid_bwd = embed_grid_bwd;
	e->rows_fwd = rows_fwd;
	e->rows_bwd = rows_bwd;
	e->norm_fwd = norm_fwd;
	e->norm_bwd = norm_bwd;
	e->batchnorm_fwd = batchnorm_fwd;
	e->batchnorm_bwd = batchnorm_bwd;
	e->act_bwd = act_bwd;
	e->add = add;
	e->attention_fwd = attention_fwd;
	e->attention_bwd = attention_bwd;
	e->pool_scores = pool_scores;
	e->loss = loss;
}
