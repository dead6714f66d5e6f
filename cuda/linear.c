/*
 * Linear maps: a plan keeps weights and bias in the type of the elements.
 * Activations are kernels of ours behind the product: see lt.c.
 */
#include <stdlib.h>

#include "gpu.h"

struct cb_linear_plan {
	int	 I, O;
	void	*w, *bias;		/* elements */
	float	*wide;			/* bias as it is in elements */
	bool	 biased;
};

int
gpu_linear_new(struct cb_engine *e, struct cb_linear_plan **out, int I, int O)
{
	int64_t elem = (int64_t)e->elem_size;
	struct cb_linear_plan *l;

	if ((l = calloc(1, sizeof(*l))) == NULL)
		return cb_fail(CB_ENOMEM, "linear map");
	l->I = I;
	l->O = O;
	if ((l->w = gpu_alloc(e, (int64_t)I * O * elem)) == NULL ||
	    (l->bias = gpu_alloc(e, O * elem)) == NULL ||
	    (l->wide = gpu_alloc(e, O * (int64_t)sizeof(float))) == NULL) {
		gpu_linear_free(e, l);
		return -1;
	}
	*out = l;
	return 0;
}

void
gpu_linear_free(struct cb_engine *e, struct cb_linear_plan *l)
{
	if (l == NULL)
		return;
	gpu_release(e, l->w);
	gpu_release(e, l->bias);
	gpu_release(e, l->wide);
	free(l);
}

void
gpu_linear_pack(struct cb_engine *e, struct cb_linear_plan *l, const float *w,
    const float *bias, bool backward)
{
	struct gpu *g = gpu_of(e);

	(void)backward;
	gpu_pack(g, &(struct pack){ .kind = PACK_LINEAR, .x = w, .y = l->w,
	    .O = l->O, .C = l->I });
	if ((l->biased = bias != NULL))
		gpu_pack(g, &(struct pack){ .kind = PACK_BIAS, .x = bias,
		    .y = l->bias, .wide = l->wide, .O = l->O, .Op = l->O });
}

enum { FWD = 1, DX, DW };

static struct sizes
sizes(const struct cb_linear_plan *l, int op, int T)
{
	return (struct sizes){ op, { T, l->I, l->O } };
}

void
gpu_linear_fwd(struct cb_engine *e, struct cb_linear_plan *l,
    struct cb_elem *y, struct cb_elem *z, const struct cb_elem *x,
    enum cb_act act, int T)
{
	const struct cu_bias bias = { l->bias, l->wide };
	const struct sizes s = sizes(l, FWD, T);
	struct gpu *g = gpu_of(e);
	struct cb_elem *to = z != NULL ? z : y;
	struct cu_work k;

	if (T == 0)
		return;
	k = gpu_work(g, CU_LT_BYTES);
	if (k.space == NULL)
		return;
	gpu_begin_lib(g, "linear_fwd", &s);
	gpu_lib(g, cu_lt_fwd(g->lt, &k, to, x, l->w, l->biased ? &bias : NULL,
	    T, l->I, l->O));
	if (act != CB_ACT_NONE || to != y)
		CU(g, cu_bias_act(gpu_begin(g, "activation"), g->type, y, to,
		    NULL, NULL, act, T, l->O));
}

void
gpu_linear_bwd(struct cb_engine *e, struct cb_linear_plan *l,
    struct cb_elem *dx, bool add, float *dw, float *dbias,
    const struct cb_elem *dz, const struct cb_elem *x, int T)
{
	const struct sizes sx = sizes(l, DX, T), sw = sizes(l, DW, T);
	const int64_t parts = CU_PARTS * (int64_t)l->O * (int64_t)sizeof(float);
	const int64_t bytes = (int64_t)T * l->O * (int64_t)e->elem_size;
	struct gpu *g = gpu_of(e);
	const void *dzp;
	struct cu_work k;
	float *part;
	char *at;

	if (T == 0)
		return;
	k = gpu_work(g, CU_LT_BYTES);
	at = gpu_scratch(g, gpu_piece(parts) + gpu_spare(dz, bytes));
	if (k.space == NULL || at == NULL)
		return;
	part = gpu_cut(&at, parts);
	dzp = gpu_aligned(g, &at, dz, bytes);
	if (dx != NULL) {
		gpu_begin_lib(g, "linear_dx", &sx);
		gpu_lib(g, cu_lt_dx(g->lt, &k, dx, add, dzp, l->w, T, l->I,
		    l->O));
	}
	if (dw != NULL || dbias != NULL) {
		gpu_begin_lib(g, "linear_dw", &sw);
		gpu_lib(g, cu_lt_dw(g->lt, &k, dw, dbias, dzp, x, part, T,
		    l->I, l->O));
	}
}
