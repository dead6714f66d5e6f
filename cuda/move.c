/*
 * Between host and device, by way of pinned memory, so that the caller's is free
 * at once and a captured copy has a source that stays.  What is large is copied
 * directly, and waited for.
 */
#include <string.h>

#include "gpu.h"

#define STAGE_MOST ((int64_t)16 << 20)
#define DIRECT ((int64_t)4 << 20)	/* bytes from which on */
#define ELEMS ((int64_t)1 << 19)	/* converted at once */

void *
gpu_stage(struct gpu *g, struct stage *s, int64_t n, int64_t most)
{
	int64_t bytes = s->bytes > 0 ? s->bytes : 1 << 16;
	void *p;

	n = gpu_piece(n);
	if (s->used + n > s->bytes) {
		/* To hold all of this step, when it comes again. */
		while (bytes < s->used + n && bytes < most)
			bytes *= 2;
		bytes = bytes < n ? n : bytes;
		gpu_wait(g);
		s->used = 0;
	}
	if (bytes > s->bytes) {
		if (s->p != NULL)
			CU(g, cudaFreeHost(s->p));
		s->p = NULL;
		s->bytes = 0;
		if (!CU(g, cudaMallocHost(&p, (size_t)bytes)))
			return NULL;
		s->p = p;
		s->bytes = bytes;
	}
	s->used += n;
	return s->p + s->used - n;
}

void *
gpu_aligned(struct gpu *g, char **p, const void *x, int64_t bytes)
{
	void *to;

	if (gpu_spare(x, bytes) == 0)
		return (void *)(uintptr_t)x;
	to = gpu_cut(p, bytes);
	CU(g, cudaMemcpyAsync(to, x, (size_t)bytes, cudaMemcpyDeviceToDevice,
	    gpu_begin(g, "align")));
	return to;
}

/* A copy that nothing may be asked for beside. */
static void
directly(struct gpu *g, void *to, const void *from, int64_t n,
    enum cudaMemcpyKind kind)
{
	gpu_wait(g);
	if (g->code != CB_OK)
		return;
	CU(g, cudaMemcpyAsync(to, from, (size_t)n, kind, g->stream));
	CU(g, cudaStreamSynchronize(g->stream));
}

void
gpu_put(struct cb_engine *e, void *to, const void *host, int64_t n)
{
	struct gpu *g = gpu_of(e);
	void *p;

	if (n >= DIRECT) {
		directly(g, to, host, n, cudaMemcpyHostToDevice);
		return;
	}
	if (n <= 0 || (p = gpu_stage(g, &g->stage, n, STAGE_MOST)) == NULL)
		return;
	memcpy(p, host, (size_t)n);
	CU(g, cudaMemcpyAsync(to, p, (size_t)n, cudaMemcpyHostToDevice,
	    gpu_begin(g, "put")));
}

void
gpu_get(struct cb_engine *e, void *host, const void *from, int64_t n)
{
	if (n > 0)
		directly(gpu_of(e), host, from, n, cudaMemcpyDeviceToHost);
}

void
gpu_put_elem(struct cb_engine *e, struct cb_elem *to, const float *host,
    int64_t n)
{
	struct gpu *g = gpu_of(e);
	int64_t at, some;
	float *f;

	if (g->type == CU_F32) {
		gpu_put(e, to, host, n * (int64_t)sizeof(*f));
		return;
	}
	for (at = 0; at < n; at += some) {
		some = n - at < ELEMS ? n - at : ELEMS;
		if ((f = gpu_scratch(g, some * (int64_t)sizeof(*f))) == NULL)
			return;
		gpu_put(e, f, host + at, some * (int64_t)sizeof(*f));
		CU(g, cu_to_elem(gpu_begin(g, "put_elem"), g->type,
		    (char *)to + at * (int64_t)e->elem_size, f, some));
	}
}

void
gpu_get_elem(struct cb_engine *e, float *host, const struct cb_elem *from,
    int64_t n)
{
	struct gpu *g = gpu_of(e);
	int64_t at, some;
	const void *x;
	char *more;
	float *f;

	if (g->type == CU_F32) {
		gpu_get(e, host, from, n * (int64_t)sizeof(*f));
		return;
	}
	for (at = 0; at < n; at += some) {
		some = n - at < ELEMS ? n - at : ELEMS;
		more = gpu_scratch(g, 2 * gpu_piece(some *
		    (int64_t)sizeof(*f)));
		if ((f = gpu_cut(&more, some * (int64_t)sizeof(*f))) == NULL)
			return;
		x = gpu_aligned(g, &more, (const char *)from + at *
		    (int64_t)e->elem_size, some * (int64_t)e->elem_size);
		CU(g, cu_to_f32(gpu_begin(g, "get_elem"), g->type, f, x,
		    some));
		gpu_get(e, host + at, f, some * (int64_t)sizeof(*f));
	}
}

void
gpu_zero(struct cb_engine *e, void *p, int64_t bytes)
{
	struct gpu *g = gpu_of(e);

	if (bytes > 0)
		CU(g, cudaMemsetAsync(p, 0, (size_t)bytes,
		    gpu_begin(g, "zero")));
}
