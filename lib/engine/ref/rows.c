/*
 * Rows chosen from two sources, with dropout: y_t = drop(a[src_t]), or
 * drop(b[-1 - src_t]) where src_t is negative.
 */
#include <string.h>

#include "ref.h"

void
ref_rows_fwd(struct cb_engine *e, struct cb_elem *y, const struct cb_elem *a,
    const struct cb_elem *b, const int32_t *src, int T, int D,
    const struct cb_drop *drop)
{
	const float *from;
	int t, d;

	(void)e;
	for (t = 0; t < T; t++) {
		from = src[t] >= 0 ? cf32(a) + (int64_t)src[t] * D :
		    cf32(b) + (int64_t)(-1 - src[t]) * D;
		for (d = 0; d < D; d++)
			f32(y)[(int64_t)t * D + d] = from[d] *
			    drop_factor(drop, (int64_t)t * D + d);
	}
}

void
ref_rows_bwd(struct cb_engine *e, struct cb_elem *da, int Ta,
    struct cb_elem *db, int Tb, const struct cb_elem *dy, const int32_t *src,
    int T, int D, const struct cb_drop *drop)
{
	float *to;
	int t, d;

	(void)e;
	if (da != NULL)
		memset(da, 0, sizeof(float) * Ta * D);
	if (db != NULL)
		memset(db, 0, sizeof(float) * Tb * D);
	for (t = 0; t < T; t++) {
		to = f32(src[t] >= 0 ? da : db);
		if (to == NULL)
			continue;
		to += (int64_t)(src[t] >= 0 ? src[t] : -1 - src[t]) * D;
		for (d = 0; d < D; d++)
			to[d] += cf32(dy)[(int64_t)t * D + d] *
			    drop_factor(drop, (int64_t)t * D + d);
	}
}
