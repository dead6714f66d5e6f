/*
 * Pictures come from the host in native size, set by set: a set is what one
 * expect() named.  They go to the device on a stream of their own, from where
 * they lie if that memory is pinned, else by way of some that is.  Those that
 * are wanted now go at once, while the host captures what is to be done with
 * them; those of the next step when all of this one has been launched, while the
 * device computes.  An event tells the stream that computes when a set is there.
 *
 * A set keeps its memory for the next that is expected, so a program that knows
 * of two at a time has two buffers, once both have been as large as they get.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "gpu.h"

#define LEAST ((int64_t)1 << 16)	/* bytes of a buffer */
#define ALIGN 64			/* bytes, of a picture */

int
gpu_pictures_open(struct gpu *g)
{
	return CU(g, cudaStreamCreateWithFlags(&g->pictures.stream,
	    cudaStreamNonBlocking)) ? 0 : -1;
}

void
gpu_pictures_free(struct gpu *g)
{
	struct pictures *p = &g->pictures;
	int i;

	if (p->stream != NULL) {
		cudaStreamSynchronize(p->stream);
		cudaStreamDestroy(p->stream);
	}
	for (i = 0; i < p->nspans; i++)
		cudaHostUnregister(p->spans[i].p);
	for (i = 0; i < p->n; i++) {
		if (p->sets[i].here != NULL)
			cudaEventDestroy(p->sets[i].here);
		if (p->sets[i].host.p != NULL)
			cudaFreeHost(p->sets[i].host.p);
		free(p->sets[i].at);
	}
	free(p->spans);
	free(p->sets);
	free(p->table);
}

/* ---- pinned memory ------------------------------------------------------------ */

/* Memory that cannot be pinned is as any other. */
void
gpu_pin(struct cb_engine *e, void *host, int64_t bytes)
{
	struct pictures *p = &gpu_of(e)->pictures;
	struct span *more = realloc(p->spans, sizeof(*more) *
	    (size_t)(p->nspans + 1));

	if (more == NULL)
		return;
	p->spans = more;
	if (cudaHostRegister(host, (size_t)bytes, cudaHostRegisterDefault) ==
	    cudaSuccess)
		p->spans[p->nspans++] = (struct span){ host, bytes };
	else
		cudaGetLastError();
}

void
gpu_unpin(struct cb_engine *e, void *host)
{
	struct gpu *g = gpu_of(e);
	struct pictures *p = &g->pictures;
	int i;

	for (i = 0; i < p->nspans; i++)
		if (p->spans[i].p == host) {
			CU(g, cudaHostUnregister(host));
			p->spans[i] = p->spans[--p->nspans];
			return;
		}
}

static bool
is_pinned(const struct pictures *p, const char *data, int64_t bytes)
{
	const struct span *s = p->spans;
	int i;

	for (i = 0; i < p->nspans; i++, s++)
		if (data >= s->p && data + bytes <= s->p + s->bytes)
			return true;
	return false;
}

/* ---- sets ------------------------------------------------------------------- */

/* Which picture of a set this is, looked for from `from` on; -1: none. */
static int
find(const struct set *s, const struct cb_array *picture, int from)
{
	int64_t bytes = cb_array_bytes(picture);
	int i, k;

	for (i = 0; i < s->n; i++) {
		k = (from + i) % s->n;
		if (s->at[k].data == picture->data && s->at[k].bytes == bytes)
			return k;
	}
	return -1;
}

/* The set that has all of these; NULL: none. */
static struct set *
set_of(struct gpu *g, const struct cb_array *pictures, int P)
{
	struct set *s;
	int i, k, at;

	for (i = 0; i < g->pictures.n; i++) {
		s = &g->pictures.sets[i];
		for (k = 0, at = 0; k < P && at >= 0; k++)
			at = find(s, &pictures[k], at);
		if (at >= 0)
			return s;
	}
	return NULL;
}

/* A set that is free; NULL: none, and cb_fail() said so. */
static struct set *
free_set(struct gpu *g)
{
	struct pictures *p = &g->pictures;
	struct set *s;
	int i;

	for (i = 0; i < p->n; i++)
		if (p->sets[i].users == 0)
			return &p->sets[i];
	if ((s = realloc(p->sets, sizeof(*s) * (size_t)(p->n + 1))) == NULL) {
		cb_fail(CB_ENOMEM, "cuda: pictures");
		return NULL;
	}
	p->sets = s;
	return memset(&s[p->n++], 0, sizeof(*s));
}

/* Places for the pictures, as far apart as in memory that they share with a link.
 * *device, *host: bytes that they take. */
static int
lay_out(struct gpu *g, struct set *s, const struct cb_array *pictures, int P,
    int64_t *device, int64_t *host)
{
	struct picture *a;
	void *more;
	int i;

	if (P > s->room) {
		if ((more = realloc(s->at, sizeof(*s->at) * (size_t)P)) == NULL)
			return cb_fail(CB_ENOMEM, "cuda: pictures");
		s->at = more;
		s->room = P;
	}
	*device = *host = 0;
	for (i = 0; i < P; i++) {
		a = &s->at[i];
		a->data = pictures[i].data;
		a->bytes = cb_array_bytes(&pictures[i]);
		a->at = *device;
		a->pinned = is_pinned(&g->pictures, a->data, a->bytes);
		*device += (a->bytes + ALIGN - 1) / ALIGN * ALIGN;
		if (!a->pinned)
			*host = *device;
	}
	return 0;
}

/* What to make of a buffer that is too small: powers of two soon fit all. */
static int64_t
grown(int64_t n)
{
	int64_t bytes = LEAST;

	while (bytes < n)
		bytes *= 2;
	return bytes;
}

/* New memory of the device may be what an operation still uses, which the stream
 * of the copies would not know. */
static bool
device_room(struct gpu *g, struct buffer *b, int64_t n)
{
	if (n <= b->bytes)
		return true;
	if (b->p != NULL)
		gpu_release(&g->e, b->p);
	b->bytes = 0;
	b->p = gpu_take(g, grown(n));
	gpu_wait(g);
	if (b->p != NULL)
		b->bytes = grown(n);
	return b->p != NULL;
}

static bool
host_room(struct gpu *g, struct buffer *b, int64_t n)
{
	if (n <= b->bytes)
		return true;
	if (b->p != NULL)
		CU(g, cudaFreeHost(b->p));
	*b = (struct buffer){ NULL, 0 };
	if (!CU(g, cudaMallocHost(&b->p, (size_t)grown(n))))
		return false;
	b->bytes = grown(n);
	return true;
}

void
gpu_expect(struct cb_engine *e, const struct cb_array *pictures, int P)
{
	struct gpu *g = gpu_of(e);
	struct set *s = set_of(g, pictures, P);
	int64_t device = 0, host = 0;

	if (P == 0 || g->code != CB_OK)
		return;
	if (s != NULL) {
		s->users++;
		return;
	}
	if ((s = free_set(g)) == NULL ||
	    lay_out(g, s, pictures, P, &device, &host) < 0) {
		gpu_lib(g, -1);
		return;
	}
	if (!device_room(g, &s->device, device) ||
	    !host_room(g, &s->host, host) || (s->here == NULL && !CU(g,
	    cudaEventCreateWithFlags(&s->here, cudaEventDisableTiming))))
		return;
	s->n = P;
	s->users = 1;
	s->sent = s->wanted = s->ordered = false;
}

void
gpu_forget(struct cb_engine *e, const struct cb_array *pictures, int P)
{
	struct gpu *g = gpu_of(e);
	struct set *s = set_of(g, pictures, P);

	if (P == 0 || s == NULL || --s->users > 0)
		return;
	if (s->wanted)
		gpu_wait(g);
	if (s->sent && !s->ordered)
		CU(g, cudaEventSynchronize(s->here));
	s->n = 0;
}

/* ---- on their way ------------------------------------------------------------ */

/* Where in pinned memory a picture is. */
static const char *
source(const struct set *s, const struct picture *a)
{
	char *to = (char *)s->host.p + a->at;

	return a->pinned ? a->data : memcpy(to, a->data, (size_t)a->bytes);
}

/* Neighbours here and there are copied as one. */
static void
send(struct gpu *g, struct set *s)
{
	cudaStream_t stream = g->pictures.stream;
	const struct picture *a = s->at, *end = a + s->n, *first;
	const char *from, *next;
	int64_t n;

	for (next = source(s, a); a < end;) {
		first = a;
		from = next;
		do {
			n = a->at + a->bytes - first->at;
			next = ++a < end ? source(s, a) : NULL;
		} while (a < end && next - from == a->at - first->at);
		CU(g, cudaMemcpyAsync((char *)s->device.p + first->at, from,
		    (size_t)n, cudaMemcpyHostToDevice, stream));
	}
	s->sent = true;
	if (!CU(g, cudaEventRecord(s->here, stream)))
		CU(g, cudaStreamSynchronize(stream));
}

void
gpu_pictures_send(struct gpu *g)
{
	struct pictures *p = &g->pictures;
	int i;

	for (i = 0; i < p->n && g->code == CB_OK; i++)
		if (p->sets[i].users > 0 && !p->sets[i].sent)
			send(g, &p->sets[i]);
}

void
gpu_pictures_order(struct gpu *g)
{
	struct set *s = g->pictures.sets;
	int i;

	for (i = 0; i < g->pictures.n; i++, s++)
		if (s->wanted && !s->ordered)
			s->ordered = CU(g, cudaStreamWaitEvent(g->stream,
			    s->here, 0));
}

void
gpu_pictures_idle(struct gpu *g)
{
	int i;

	for (i = 0; i < g->pictures.n; i++)
		g->pictures.sets[i].wanted = false;
}

/* ---- preparation -------------------------------------------------------------- */

/* What the kernel is to know of the pictures; NULL: no memory. */
static struct cu_picture *
table_of(struct gpu *g, const struct set *s, const struct cb_array *pictures,
    int P, int S)
{
	struct pictures *p = &g->pictures;
	struct cu_picture *t;
	int i, k = 0;

	if (P > p->room) {
		if ((t = realloc(p->table, sizeof(*t) * (size_t)P)) == NULL) {
			gpu_lib(g, cb_fail(CB_ENOMEM, "cuda: pictures"));
			return NULL;
		}
		p->table = t;
		p->room = P;
	}
	for (i = 0; i < P; i++) {
		k = find(s, &pictures[i], k);
		t = &p->table[i];
		*t = (struct cu_picture){
		    .rgb = (const uint8_t *)s->device.p + s->at[k].at,
		    .h = (int)pictures[i].dim[0],
		    .w = (int)pictures[i].dim[1] };
		cb_resized(&t->rows, &t->cols, t->h, t->w, S);
	}
	return p->table;
}

void
gpu_prepare(struct cb_engine *e, struct cb_elem *x,
    const struct cb_array *pictures, int P, int S, const float mean[3],
    const float std[3])
{
	struct gpu *g = gpu_of(e);
	int64_t bytes = P * (int64_t)sizeof(struct cu_picture);
	struct cu_picture *host, *table;
	cudaStream_t stream;
	struct set *s;

	if (P == 0 || g->code != CB_OK)
		return;
	s = set_of(g, pictures, P);
	assert(s != NULL);
	if ((host = table_of(g, s, pictures, P, S)) == NULL ||
	    (table = gpu_scratch(g, bytes)) == NULL)
		return;
	gpu_put(e, table, host, bytes);
	if (!s->sent)
		send(g, s);
	stream = gpu_begin(g, "prepare");
	s->wanted = true;
	if (!g->graphs.capturing)
		gpu_pictures_order(g);
	CU(g, cu_prepare(stream, g->type, x, table, P, S, mean, std));
}
