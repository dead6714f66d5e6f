/*
 * Pictures come from the host in native size.  They are copied into pinned
 * memory and go to the device on a stream of their own, at once: while they
 * travel, the host captures what is to be done with them.
 */
#include <string.h>

#include "gpu.h"

/* Pictures in native size that are on the device at once. */
#define MOST ((int64_t)256 << 20)

int
gpu_pictures_open(struct gpu *g)
{
	struct pictures *p = &g->pictures;

	return CU(g, cudaStreamCreateWithFlags(&p->stream,
	    cudaStreamNonBlocking)) &&
	    CU(g, cudaEventCreateWithFlags(&p->here,
	    cudaEventDisableTiming)) ? 0 : -1;
}

void
gpu_pictures_free(struct gpu *g)
{
	struct pictures *p = &g->pictures;

	if (p->here != NULL)
		cudaEventDestroy(p->here);
	if (p->stream != NULL)
		cudaStreamDestroy(p->stream);
	if (p->host.p != NULL)
		cudaFreeHost(p->host.p);
}

void
gpu_pictures_wait(struct gpu *g)
{
	struct pictures *p = &g->pictures;

	if (p->waited_for)
		CU(g, cudaStreamWaitEvent(g->stream, p->here, 0));
	p->waited_for = false;
}

void
gpu_pictures_drop(struct gpu *g)
{
	struct pictures *p = &g->pictures;

	if (p->waited_for)
		CU(g, cudaStreamSynchronize(p->stream));
	p->waited_for = false;
}

/* n bytes of pinned memory, and where they will be on the device. */
static char *
room(struct gpu *g, int64_t n, char **device)
{
	struct pictures *p = &g->pictures;
	int64_t before = p->host.bytes;
	char *host = gpu_stage(g, &p->host, n, MOST);

	if (host == NULL)
		return NULL;
	if (p->host.bytes != before) {
		if (p->device != NULL)
			gpu_release(&g->e, p->device);
		p->device = gpu_take(g, p->host.bytes);
	}
	*device = p->device != NULL ? p->device + (host - p->host.p) : NULL;
	return p->device != NULL ? host : NULL;
}

/* A table, then the pixels. */
static int64_t
bytes_of(const struct cb_array *pictures, int P)
{
	int64_t n = gpu_piece(P * (int64_t)sizeof(struct cu_picture));
	int i;

	for (i = 0; i < P; i++)
		n += gpu_piece(cb_array_bytes(&pictures[i]));
	return n;
}

static void
fill(char *host, char *device, const struct cb_array *pictures, int P, int S)
{
	int64_t at = gpu_piece(P * (int64_t)sizeof(struct cu_picture)), n;
	struct cu_picture *table = (struct cu_picture *)host;
	int i;

	for (i = 0; i < P; i++) {
		n = cb_array_bytes(&pictures[i]);
		memcpy(host + at, pictures[i].data, (size_t)n);
		table[i] = (struct cu_picture){
		    .rgb = (const uint8_t *)device + at,
		    .h = (int)pictures[i].dim[0],
		    .w = (int)pictures[i].dim[1] };
		cb_resized(&table[i].rows, &table[i].cols, table[i].h,
		    table[i].w, S);
		at += gpu_piece(n);
	}
}

void
gpu_prepare(struct cb_engine *e, struct cb_elem *x,
    const struct cb_array *pictures, int P, int S, const float mean[3],
    const float std[3])
{
	struct gpu *g = gpu_of(e);
	int64_t n = bytes_of(pictures, P);
	char *host, *device;
	cudaStream_t s;

	if (P == 0 || (host = room(g, n, &device)) == NULL)
		return;
	fill(host, device, pictures, P, S);
	CU(g, cudaMemcpyAsync(device, host, (size_t)n, cudaMemcpyHostToDevice,
	    g->pictures.stream));
	CU(g, cudaEventRecord(g->pictures.here, g->pictures.stream));
	g->pictures.waited_for = true;
	s = gpu_begin(g, "prepare");
	if (!g->graphs.capturing)
		gpu_pictures_wait(g);
	CU(g, cu_prepare(s, g->type, x, (const struct cu_picture *)device, P,
	    S, mean, std));
}
