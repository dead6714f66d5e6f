/*
 * The plain C twins: each operation of engine.h as the loops of its formula,
 * without blocking, threads or approximations.  Sums run in double, so that a
 * twin is nearer to the truth than what is tested against it.  What the
 * arguments mean stands in engine.h.
 */
#ifndef CB_REF_H
#define CB_REF_H

#include "engine/host.h"

void	ref_prepare(struct cb_engine *, struct cb_elem *x,
	    const struct cb_array *pictures, int P, int S,
	    const float mean[3], const float std[3]);

int	ref_conv_new(struct cb_engine *, struct cb_conv_plan **out,
	    const struct cb_conv *g);
void	ref_conv_free(struct cb_engine *, struct cb_conv_plan *c);
void	ref_conv_pack(struct cb_engine *, struct cb_conv_plan *c,
	    const float *w, const float *scale, const float *shift,
	    bool backward);
void	ref_conv_fwd(struct cb_engine *, struct cb_conv_plan *c,
	    struct cb_elem *y, const struct cb_elem *x,
	    const struct cb_elem *res, bool relu, int P);
void	ref_conv_bwd(struct cb_engine *, struct cb_conv_plan *c,
	    struct cb_elem *dx, bool add, float *dw,
	    const struct cb_elem *dy, const struct cb_elem *x, int P);

void	ref_pool_fwd(struct cb_engine *, struct cb_elem *y,
	    const struct cb_elem *x, const struct cb_pool2d *g, int P);
void	ref_pool_bwd(struct cb_engine *, struct cb_elem *dx,
	    const struct cb_elem *dy, const struct cb_elem *x,
	    const struct cb_elem *y, const struct cb_pool2d *g, int P);
void	ref_moments(struct cb_engine *, float *mean, float *var,
	    const struct cb_elem *x, int64_t n, int C);

void	ref_embed_text_fwd(struct cb_engine *, struct cb_elem *x,
	    const int32_t *ids, const int32_t *pos, const float *word,
	    const float *position, const float *type, int T, int D);
void	ref_embed_text_bwd(struct cb_engine *, float *dword,
	    float *dposition, float *dtype, const struct cb_elem *dx,
	    const int32_t *ids, const int32_t *pos, int T, int D);
void	ref_embed_grid_fwd(struct cb_engine *, struct cb_elem *x,
	    const struct cb_elem *grid, const float *row, const float *col,
	    const float *type, const int32_t *cells, int M, int F, int h,
	    int w, int V, int D);
void	ref_embed_grid_bwd(struct cb_engine *, struct cb_elem *dgrid,
	    float *drow, float *dcol, float *dtype, const struct cb_elem *dx,
	    const int32_t *cells, int M, int F, int h, int w, int V, int D);

void	ref_rows_fwd(struct cb_engine *, struct cb_elem *y,
	    const struct cb_elem *a, const struct cb_elem *b,
	    const int32_t *src, int T, int D, const struct cb_drop *drop);
void	ref_rows_bwd(struct cb_engine *, struct cb_elem *da, int Ta,
	    struct cb_elem *db, int Tb, const struct cb_elem *dy,
	    const int32_t *src, int T, int D, const struct cb_drop *drop);

void	ref_norm_fwd(struct cb_engine *, struct cb_elem *y,
	    struct cb_elem *s, float *mean, float *rstd,
	    const struct cb_elem *x, const struct cb_elem *res,
	    const float *gain, const float *bias, int T, int D,
	    const struct cb_drop *drop);
void	ref_norm_bwd(struct cb_engine *, struct cb_elem *dx,
	    struct cb_elem *ds, float *dgain, float *dbias,
	    const struct cb_elem *dy, const struct cb_elem *s,
	    const float *mean, const float *rstd, const float *gain,
	    int T, int D, const struct cb_drop *drop);

void	ref_batchnorm_fwd(struct cb_engine *, struct cb_elem *y,
	    float *mean, float *rstd, float *running, const struct cb_elem *x,
	    const float *gain, const float *bias, int T, int D, bool learn);
void	ref_batchnorm_bwd(struct cb_engine *, struct cb_elem *dx,
	    float *dgain, float *dbias, const struct cb_elem *dy,
	    const struct cb_elem *x, const float *mean, const float *rstd,
	    const float *gain, int T, int D);

int	ref_linear_new(struct cb_engine *, struct cb_linear_plan **out,
	    int I, int O);
void	ref_linear_free(struct cb_engine *, struct cb_linear_plan *l);
void	ref_linear_pack(struct cb_engine *, struct cb_linear_plan *l,
	    const float *w, const float *bias, bool backward);
void	ref_linear_fwd(struct cb_engine *, struct cb_linear_plan *l,
	    struct cb_elem *y, struct cb_elem *z, const struct cb_elem *x,
	    enum cb_act act, int T);
void	ref_linear_bwd(struct cb_engine *, struct cb_linear_plan *l,
	    struct cb_elem *dx, bool add, float *dw, float *dbias,
	    const struct cb_elem *dz, const struct cb_elem *x, int T);
void	ref_act_bwd(struct cb_engine *, struct cb_elem *dz,
	    const struct cb_elem *dy, const struct cb_elem *kept,
	    enum cb_act act, int64_t n);
void	ref_add(struct cb_engine *, struct cb_elem *y,
	    const struct cb_elem *x, int64_t n);

void	ref_attention_fwd(struct cb_engine *, struct cb_elem *o,
	    float *lse, const struct cb_elem *qkv, const int32_t *seq, int S,
	    int longest, int T, int D, int A, const struct cb_drop *drop);
void	ref_attention_bwd(struct cb_engine *, struct cb_elem *dqkv,
	    const struct cb_elem *d_o, const struct cb_elem *o,
	    const float *lse, const struct cb_elem *qkv, const int32_t *seq,
	    int S, int longest, int T, int D, int A,
	    const struct cb_drop *drop);

void	ref_pool_scores(struct cb_engine *, float *out,
	    const struct cb_elem *clip, enum cb_agg agg, int K, int N, int C);
void	ref_loss(struct cb_engine *, float *total, float *each,
	    struct cb_elem *dclip, const struct cb_elem *clip,
	    const void *labels, const struct cb_loss *l);

void	ref_sumsq(struct cb_engine *, double *host, const float *g,
	    int64_t n);
void	ref_adamw(struct cb_engine *, float *w, float *m, float *v,
	    const float *g, int64_t n, const struct cb_adamw *a);

#endif
