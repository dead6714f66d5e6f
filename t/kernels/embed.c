/* Embeddings: embed.cu. */
#include "kern.h"

static void
text_case(struct kern *k, const void *arg)
{
	const int *a = arg;
	int T = a[0], D = a[1], n = 11, i;
	int32_t v[2048], *ids, *pos;
	void *x = acts(k, (int64_t)T * D), *dx = acts(k, (int64_t)T * D);
	float *word = params(k, n * D, -1, 1), *type = params(k, D, -1, 1);
	float *position = params(k, n * D, -1, 1);
	float *dword = params(k, n * D, -1, 1), *dtype = params(k, D, -1, 1);
	float *dposition = params(k, n * D, -1, 1);
	float *part = scratch(k, CU_PARTS * (int64_t)D);

	for (i = 0; i < T; i++)
		v[i] = i * 7 % 13 % n;		/* with 0, which is [PAD] */
	ids = ints(k, v, T);
	for (i = 0; i < T; i++)
		v[i] = i % 5;
	pos = ints(k, v, T);
	if (k->twin != NULL) {
		k->twin->embed_text_fwd(k->twin, x, ids, pos, word, position,
		    type, T, D);
		k->twin->embed_text_bwd(k->twin, dword, dposition, dtype, dx,
		    ids, pos, T, D);
	} else {
		must(cu_embed_text_fwd(k->s, k->t, x, ids, pos, word,
		    position, type, T, D));
		must(cu_embed_text_bwd(k->s, k->t, dword, dposition, dtype, dx,
		    ids, pos, T, D, part));
		must(cu_embed_text_bwd(k->s, k->t, NULL, NULL, NULL, dx, ids,
		    pos, T, D, part));
	}
	out_elem(k, "x", x, (int64_t)T * D, 3);
	out_f32(k, "dword", dword, n * D, T);
	out_f32(k, "dposition", dposition, n * D, T);
	out_f32(k, "dtype", dtype, D, T);
}

struct grid_case {
	int	 M, F, h, w, V, D;	/* V 0: all, without cells */
};

static void
grid_case(struct kern *k, const void *arg)
{
	const struct grid_case *c = arg;
	int M = c->M, F = c->F, h = c->h, w = c->w, D = c->D, i;
	int V = c->V > 0 ? c->V : h * w;
	int64_t n = (int64_t)M * F * h * w * D, nx = (int64_t)M * V * D;
	int32_t v[512], *cells;
	void *grid = acts(k, n), *x = acts(k, nx), *dgrid = acts(k, n);
	void *dx = acts(k, nx);
	float *row = params(k, h * D, -1, 1), *col = params(k, w * D, -1, 1);
	float *type = params(k, D, -1, 1), *drow = params(k, h * D, -1, 1);
	float *dcol = params(k, w * D, -1, 1), *dtype = params(k, D, -1, 1);
	float *part = scratch(k, CU_PARTS * (int64_t)D);

	for (i = 0; i < c->V; i++)		/* backwards */
		v[i] = (V - 1 - i) * h * w / V;
	cells = c->V > 0 ? ints(k, v, V) : NULL;
	if (k->twin != NULL) {
		k->twin->embed_grid_fwd(k->twin, x, grid, row, col, type,
		    cells, M, F, h, w, V, D);
		k->twin->embed_grid_bwd(k->twin, dgrid, drow, dcol, dtype, dx,
		    cells, M, F, h, w, V, D);
	} else {
		must(cu_embed_grid_fwd(k->s, k->t, x, grid, row, col, type,
		    cells, M, F, h, w, V, D));
		must(cu_embed_grid_bwd(k->s, k->t, dgrid, drow, dcol, dtype,
		    dx, cells, M, F, h, w, V, D, part));
		must(cu_embed_grid_bwd(k->s, k->t, NULL, NULL, NULL, NULL, dx,
		    cells, M, F, h, w, V, D, part));
	}
	out_elem(k, "x", x, nx, F);
	out_elem(k, "dgrid", dgrid, n, 1);
	out_f32(k, "drow", drow, h * D, (double)M * V);
	out_f32(k, "dcol", dcol, w * D, (double)M * V);
	out_f32(k, "dtype", dtype, D, (double)M * V);
}

static const struct kern_case cases[] = {
	/* T D */
	CASE(text, EVERY, int[], { 0, 8 }),
	CASE(text, EVERY, int[], { 1, 8 }),
	CASE(text, EVERY, int[], { 31, 33 }),
	CASE(text, EVERY, int[], { 131, 40 }),
	CASE(text, EVERY, int[], { 7, 1032 }),
	CASE(text, LARGE, int[], { 1100, 768 }),
	/* M F h w V D */
	CASE(grid, EVERY, struct grid_case, { 0, 2, 2, 2, 0, 8 }),
	CASE(grid, EVERY, struct grid_case, { 1, 1, 2, 3, 0, 8 }),
	CASE(grid, EVERY, struct grid_case, { 3, 2, 4, 5, 7, 33 }),
	CASE(grid, EVERY, struct grid_case, { 2, 3, 3, 7, 0, 264 }),
	CASE(grid, EVERY, struct grid_case, { 2, 1, 14, 13, 150, 8 }),
	CASE(grid, LARGE, struct grid_case, { 91, 1, 14, 13, 0, 8 }),
	CASE(grid, LARGE, struct grid_case, { 17, 2, 7, 7, 31, 768 }),
};

GROUP(embed);
