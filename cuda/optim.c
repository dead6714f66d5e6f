/*
 * The optimiser.  Segments come one by one; as long as nothing else is asked
 * for, they are collected, and become one kernel over all of them; so do the
 * copies of these weights that are asked for next (pack.c).  Sums of squares are
 * left on the device until the host waits, then come all at once.
 */
#include <string.h>

#include "gpu.h"

int
gpu_optim_open(struct gpu *g)
{
	struct optim *o = &g->optim;
	void *p;

	if ((o->sums = gpu_take(g, sizeof(*o->sums) * GPU_SEGMENTS)) == NULL ||
	    (o->pieces = gpu_take(g, sizeof(o->host_pieces))) == NULL ||
	    !CU(g, cudaMallocHost(&p, sizeof(*o->host) * GPU_SEGMENTS)))
		return -1;
	o->host = p;
	return 0;
}

void
gpu_optim_free(struct gpu *g)
{
	if (g->optim.host != NULL)
		cudaFreeHost(g->optim.host);
}

/* ---- sums */

void
gpu_sumsq(struct cb_engine *e, double *host, const float *g, int64_t n)
{
	struct gpu *gpu = gpu_of(e);
	struct optim *o = &gpu->optim;
	double *part;

	*host = 0;
	if (n == 0)
		return;
	if (o->nsums == GPU_SEGMENTS)
		gpu_wait(gpu);
	part = gpu_scratch(gpu, CU_PARTS * (int64_t)sizeof(*part));
	if (part == NULL || !CU(gpu, cu_sumsq(gpu_begin(gpu, "sumsq"),
	    o->sums + o->nsums, g, n, part)))
		return;
	o->to[o->nsums++] = host;
}

void
gpu_optim_fetch(struct gpu *g)
{
	struct optim *o = &g->optim;

	if (o->nsums > 0)
		CU(g, cudaMemcpyAsync(o->host, o->sums, sizeof(*o->sums) *
		    (size_t)o->nsums, cudaMemcpyDeviceToHost,
		    gpu_begin(g, "sums")));
}

void
gpu_optim_deliver(struct gpu *g)
{
	struct optim *o = &g->optim;
	int i;

	for (i = 0; i < o->nsums && g->code == CB_OK; i++)
		*o->to[i] = o->host[i];
	o->nsums = 0;
}

/* ---- AdamW */

/* Do they belong behind the segments that are there? */
static bool
joins(const struct optim *o, const float *w, const float *m, const float *v,
    const float *g, const struct cb_adamw *a)
{
	const struct cu_segment *last = &o->at[o->n - 1];
	int64_t at = gpu_apart(w, o->w);

	return o->n < GPU_SEGMENTS && at >= last->at + last->n &&
	    gpu_apart(m, o->m) == at && gpu_apart(v, o->v) == at &&
	    gpu_apart(g, o->g) == at &&
	    a->b1 == o->a.b1 && a->b2 == o->a.b2 && a->eps == o->a.eps &&
	    a->fix == o->a.fix && a->grad_scale == o->a.grad_scale;
}

/* The vectors begin where the kernel wants it: at 16 bytes. */
static void
begin(struct gpu *gpu, float *w, float *m, float *v, const float *g,
    const struct cb_adamw *a)
{
	size_t off = (uintptr_t)w / sizeof(*w) % 4;
	struct optim *o = &gpu->optim;

	o->w = w - off;
	o->m = m - off;
	o->v = v - off;
	o->g = g - off;
	o->a = *a;
	if (((uintptr_t)o->m | (uintptr_t)o->v | (uintptr_t)o->g) % 16 != 0)
		gpu_fail(gpu, CB_EUSAGE, "cuda: adamw: vectors that begin at "
		    "different places");
}

void
gpu_adamw(struct cb_engine *e, float *w, float *m, float *v, const float *g,
    int64_t n, const struct cb_adamw *a)
{
	struct gpu *gpu = gpu_of(e);
	struct optim *o = &gpu->optim;

	if (n == 0)
		return;
	if (o->n > 0 && !joins(o, w, m, v, g, a))
		gpu_optim_step(gpu);
	if (o->n == 0)
		begin(gpu, w, m, v, g, a);
	o->at[o->n++] = (struct cu_segment){ .at = gpu_apart(w, o->w), .n = n,
	    .lr = a->lr, .wd = a->wd };
	gpu->graphs.pending = true;
}

void
gpu_optim_step(struct gpu *g)
{
	struct optim *o = &g->optim;
	int n = o->n, npacks = o->npacks, i;
	int64_t end;

	if (n == 0)
		return;
	end = o->at[n - 1].at + o->at[n - 1].n;
	o->n = o->npacks = 0;		/* what follows calls here again */
	n = gpu_pack_pieces(o->host_pieces, o->packs, &npacks, o->at, n, o->w);
	gpu_put(&g->e, o->pieces, o->host_pieces,
	    (int64_t)sizeof(*o->pieces) * n);
	CU(g, cu_adamw(gpu_begin(g, "adamw"), g->type, o->w, o->m, o->v, o->g,
	    o->pieces, n, end, o->a.b1, o->a.b2, o->a.eps, o->a.fix,
	    o->a.grad_scale));
	for (i = 0; i < npacks; i++)
		gpu_pack_now(g, &o->packs[i]);
}
