/*
 * Embeddings.  Text: x_t = word[ids_t] + position[pos_t] + type.  Pictures: for
 * clip m and kept cell v at (i,j), x[m,v] = mean over the frames f of
 * grid[m,f,i,j] + row[i] + col[j] + type.
 */
#include <string.h>

#include "ref.h"

void
ref_embed_text_fwd(struct cb_engine *e, struct cb_elem *x,
    const int32_t *ids, const int32_t *pos, const float *word,
    const float *position, const float *type, int T, int D)
{
	int t, d;

	(void)e;
	for (t = 0; t < T; t++) for (d = 0; d < D; d++)
		f32(x)[(int64_t)t * D + d] = word[(int64_t)ids[t] * D + d] +
		    position[(int64_t)pos[t] * D + d] + type[d];
}

void
ref_embed_text_bwd(struct cb_engine *e, float *dword, float *dposition,
    float *dtype, const struct cb_elem *dx, const int32_t *ids,
    const int32_t *pos, int T, int D)
{
	int t, d;
	float g;

	(void)e;
	for (t = 0; t < T; t++) for (d = 0; d < D; d++) {
		g = cf32(dx)[(int64_t)t * D + d];
		if (dword != NULL && ids[t] != 0)	/* [PAD]: quirk 6 */
			dword[(int64_t)ids[t] * D + d] += g;
		if (dposition != NULL)
			dposition[(int64_t)pos[t] * D + d] += g;
		if (dtype != NULL)
			dtype[d] += g;
	}
}

void
ref_embed_grid_fwd(struct cb_engine *e, struct cb_elem *x,
    const struct cb_elem *grid, const float *row, const float *col,
    const float *type, const int32_t *cells, int M, int F, int h, int w,
    int V, int D)
{
	int m, f, v, d, cell;
	float *to = f32(x);
	double sum;

	(void)e;
	for (m = 0; m < M; m++) for (v = 0; v < V; v++) {
		cell = cells != NULL ? cells[v] : v;
		for (d = 0; d < D; d++) {
			sum = 0;
			for (f = 0; f < F; f++)
				sum += cf32(grid)[(((int64_t)m * F + f) * h *
				    w + cell) * D + d];
			*to++ = (float)(sum / F +
			    row[(int64_t)(cell / w) * D + d] +
			    col[(int64_t)(cell % w) * D + d] + type[d]);
		}
	}
}

void
ref_embed_grid_bwd(struct cb_engine *e, struct cb_elem *dgrid, float *drow,
    float *dcol, float *dtype, const struct cb_elem *dx,
    const int32_t *cells, int M, int F, int h, int w, int V, int D)
{
	const float *from = cf32(dx);
	int m, f, v, d, cell;

	(void)e;
	if (dgrid != NULL)
		memset(dgrid, 0, sizeof(float) * M * F * h * w * D);
	for (m = 0; m < M; m++) for (v = 0; v < V; v++, from += D) {
		cell = cells != NULL ? cells[v] : v;
		for (d = 0; d < D; d++) {
			for (f = 0; f < F && dgrid != NULL; f++)
				f32(dgrid)[(((int64_t)m * F + f) * h * w +
				    cell) * D + d] = from[d] / F;
			if (drow != NULL)
				drow[(int64_t)(cell / w) * D + d] += from[d];
			if (dcol != NULL)
				dcol[(int64_t)(cell % w) * D + d] += from[d];
			if (dtype != NULL)
				dtype[d] += from[d];
		}
	}
}
