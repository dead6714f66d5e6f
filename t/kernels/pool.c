/* Max pooling: pool.cu. */
#include <math.h>
#include <stdlib.h>

#include "kern.h"

struct pool_case {
	struct cb_pool2d g;
	int	 P;
};

static void
pool_case(struct kern *k, const void *arg)
{
	const struct pool_case *c = arg;
	const struct cb_pool2d *g = &c->g;
	int OH = (g->H + 2 * g->pad - g->k) / g->stride + 1;
	int OW = (g->W + 2 * g->pad - g->k) / g->stride + 1;
	int64_t nx = (int64_t)c->P * g->H * g->W * g->C, i;
	int64_t ny = (int64_t)c->P * OH * OW * g->C;
	float *v = noise(k, nx, -9, 5);
	void *x, *y = acts(k, ny), *dx = acts(k, nx), *dy = acts(k, ny);

	for (i = 0; i < nx; i++)	/* whole numbers: many ties */
		v[i] = truncf(v[i]);
	x = acts_of(k, v, nx);
	free(v);
	if (k->twin != NULL) {
		k->twin->pool_fwd(k->twin, y, x, g, c->P);
		k->twin->pool_bwd(k->twin, dx, dy, x, y, g, c->P);
	} else {
		must(cu_pool_fwd(k->s, k->t, y, x, g, c->P));
		must(cu_pool_bwd(k->s, k->t, dx, dy, x, y, g, c->P));
	}
	out_elem(k, "y", y, ny, 0);
	out_elem(k, "dx", dx, nx, 4);
}

static const struct kern_case cases[] = {
	/* H W C k stride pad relu, P */
	CASE(pool, EVERY, struct pool_case, {{ 7, 6, 3, 3, 2, 1, false }, 2 }),
	CASE(pool, EVERY, struct pool_case, {{ 8, 9, 8, 3, 2, 1, false }, 2 }),
	CASE(pool, EVERY, struct pool_case, {{ 5, 7, 17, 2, 2, 0, true }, 3 }),
	CASE(pool, EVERY, struct pool_case, {{ 4, 4, 264, 2, 2, 0, true }, 1 }),
	CASE(pool, EVERY, struct pool_case, {{ 6, 5, 8, 3, 1, 1, true }, 2 }),
	CASE(pool, EVERY, struct pool_case, {{ 9, 8, 8, 2, 3, 0, false }, 1 }),
	CASE(pool, EVERY, struct pool_case, {{ 4, 4, 8, 2, 2, 0, true }, 0 }),
	CASE(pool, LARGE, struct pool_case, {{ 37, 41, 64, 3, 2, 1, 0 }, 2 }),
};

GROUP(pool);
