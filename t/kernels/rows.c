/* Rows from two sources: rows.cu. */
#include "kern.h"

struct rows_case {
	int	 T, D;
	float	 p;
	bool	 b;
};

static void
rows_case(struct kern *k, const void *arg)
{
	const struct rows_case *c = arg;
	int T = c->T, D = c->D, i;
	int32_t v[1024], *src;
	struct cb_drop drop = drop_of(c->p);
	struct cb_mask mask = mask_of(&drop);
	void *a = acts(k, 7 * D), *b = c->b ? acts(k, 6 * D) : NULL;
	void *y = acts(k, (int64_t)T * D), *dy = acts(k, (int64_t)T * D);
	void *da = acts(k, 7 * D), *db = c->b ? acts(k, 6 * D) : NULL;
	const struct cb_mask *m = c->p > 0 ? &mask : NULL;

	for (i = 0; i < T; i++)		/* row 6 of a and b stay unused */
		v[i] = c->b ? i * 5 % 12 - 5 : i * 5 % 6;
	src = ints(k, v, T);
	if (k->twin != NULL) {
		k->twin->rows_fwd(k->twin, y, a, b, src, T, D, &drop);
		k->twin->rows_bwd(k->twin, da, 7, db, 6, dy, src, T, D, &drop);
	} else {
		must(cu_rows_fwd(k->s, k->t, y, a, b, src, T, D, m));
		must(cu_rows_bwd(k->s, k->t, da, 7, db, 6, dy, src, T, D, m));
	}
	out_elem(k, "y", y, (int64_t)T * D, 0);
	out_elem(k, "da", da, 7 * D, T);
	if (c->b)
		out_elem(k, "db", db, 6 * D, T);
}

static const struct kern_case cases[] = {
	/* T D p b */
	CASE(rows, EVERY, struct rows_case, { 0, 8, 0, true }),
	CASE(rows, EVERY, struct rows_case, { 1, 17, 0, false }),
	CASE(rows, EVERY, struct rows_case, { 31, 33, .1f, true }),
	CASE(rows, EVERY, struct rows_case, { 33, 264, .3f, true }),
	CASE(rows, EVERY, struct rows_case, { 131, 40, .5f, false }),
	CASE(rows, EVERY, struct rows_case, { 13, 1032, .1f, true }),
	CASE(rows, LARGE, struct rows_case, { 1021, 768, .1f, true }),
};

GROUP(rows);
