/*
 * Device memory.  Released blocks are kept, and given out again to whoever asks
 * for as much: the stream keeps the order of what is done with them.  Only large
 * ones go back, when something else is wanted and nothing runs, so that a
 * program whose needs grow does not hold both.
 */
#include <stdlib.h>

#include "gpu.h"

#define UNIT 512			/* sizes are multiples of it */
#define LARGE ((int64_t)1 << 20)

/* The smallest spare block that is not too large. */
static struct block *
spare_for(struct gpu *g, int64_t bytes)
{
	struct block *b, *best = NULL;
	int i;

	for (i = 0; i < g->nblocks; i++) {
		b = &g->blocks[i];
		if (b->spare && b->bytes >= bytes &&
		    b->bytes <= bytes + bytes / 4 &&
		    (best == NULL || b->bytes < best->bytes))
			best = b;
	}
	return best;
}

/* Gives spare blocks of at least so many bytes back; true: there were some. */
static bool
give_back(struct gpu *g, int64_t least)
{
	bool any = false;
	int i, n = 0;

	for (i = 0; i < g->nblocks; i++)
		any |= g->blocks[i].spare && g->blocks[i].bytes >= least;
	if (!any)
		return false;
	gpu_wait(g);
	for (i = 0; i < g->nblocks; i++) {
		if (g->blocks[i].spare && g->blocks[i].bytes >= least)
			CU(g, cudaFree(g->blocks[i].p));
		else
			g->blocks[n++] = g->blocks[i];
	}
	g->nblocks = n;
	return true;
}

/* NULL: none left, and cb_fail() said so. */
static void *
take(struct gpu *g, int64_t bytes)
{
	struct block *b;
	void *p;

	bytes = bytes < 1 ? UNIT : (bytes + UNIT - 1) / UNIT * UNIT;
	if ((b = spare_for(g, bytes)) != NULL) {
		b->spare = false;
		return b->p;
	}
	give_back(g, LARGE);
	if ((b = realloc(g->blocks, sizeof(*b) * (size_t)(g->nblocks + 1))) ==
	    NULL) {
		cb_fail(CB_ENOMEM, "cuda: table of memory");
		return NULL;
	}
	g->blocks = b;
	while (cudaMalloc(&p, (size_t)bytes) != cudaSuccess) {
		cudaGetLastError();
		if (give_back(g, 0))
			continue;
		cb_fail(CB_ENOMEM, "cuda: cudaMalloc of %lld bytes",
		    (long long)bytes);
		return NULL;
	}
	g->blocks[g->nblocks++] = (struct block){ p, bytes, false };
	return p;
}

void *
gpu_take(struct gpu *g, int64_t bytes)
{
	void *p = take(g, bytes);

	if (p == NULL)
		gpu_lib(g, -1);
	return p;
}

void *
gpu_alloc(struct cb_engine *e, int64_t bytes)
{
	void *p = take(gpu_of(e), bytes);

	if (p != NULL)
		gpu_zero(e, p, bytes);
	return p;
}

void
gpu_release(struct cb_engine *e, void *p)
{
	struct gpu *g = gpu_of(e);
	int i;

	for (i = 0; i < g->nblocks; i++)
		if (g->blocks[i].p == p)
			g->blocks[i].spare = true;
}

static void *
grow(struct gpu *g, struct buffer *b, int64_t bytes)
{
	if (bytes <= b->bytes)
		return b->p;
	if (b->p != NULL)
		gpu_release(&g->e, b->p);
	b->p = gpu_take(g, bytes);
	b->bytes = b->p != NULL ? bytes : 0;
	return b->p;
}

void *
gpu_scratch(struct gpu *g, int64_t bytes)
{
	return grow(g, &g->scratch, bytes);
}

struct cu_work
gpu_work(struct gpu *g, size_t bytes)
{
	struct cu_work k = { g->stream, grow(g, &g->space, (int64_t)bytes), 0 };

	k.bytes = (size_t)g->space.bytes;
	return k;
}

void
gpu_mem_free(struct gpu *g)
{
	int i;

	for (i = 0; i < g->nblocks; i++)
		cudaFree(g->blocks[i].p);
	free(g->blocks);
}
