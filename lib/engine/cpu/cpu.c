/*
 * The table of the CPU engine, its memory, scratch and threads.
 */
#include <omp.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "cpu.h"

void
cpu_fail(struct cpu *c, enum cb_code code, const char *what)
{
	if (c->code != CB_OK)
		return;
	c->code = code;
	snprintf(c->error, sizeof(c->error), "%s", what);
}

#define HUGE_PAGE (2 << 20)

/* What spans huge pages asks for them: there are 512 times fewer first touches
 * (0.15 ms a MB; 0.65 without). */
void *
cpu_large(int64_t bytes)
{
	bool huge = bytes >= HUGE_PAGE;
	int64_t step = huge ? HUGE_PAGE : 64;
	void *p = aligned_alloc(step, (bytes + 64 + step - 1) / step * step);

	if (huge && p != NULL)	/* may be refused */
		madvise(p, bytes / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE);
	return p;
}

void *
cpu_shared(struct cpu *c, int64_t bytes)
{
	if (bytes <= c->shared_bytes)
		return c->shared;
	free(c->shared);
	c->shared_bytes = 0;
	if ((c->shared = cpu_large(bytes)) == NULL)
		cpu_fail(c, CB_ENOMEM, "scratch memory of an operation");
	else
		c->shared_bytes = bytes;
	return c->shared;
}

int
cpu_own(struct cpu *c, int64_t bytes)
{
	int i;

	if (bytes <= c->own_bytes)
		return 0;
	if (bytes > HUGE_PAGE / 4 && bytes < HUGE_PAGE)
		bytes = HUGE_PAGE;
	c->own_bytes = 0;
	for (i = 0; i < c->threads; i++) {
		free(c->own[i]);
		if ((c->own[i] = cpu_large(bytes)) == NULL) {
			cpu_fail(c, CB_ENOMEM, "scratch memory of a thread");
			return -1;
		}
	}
	c->own_bytes = bytes;
	return 0;
}

struct run {
	cb_pool_fn *fn;
	void *arg;
};

/* The number of OpenMP threads is a setting of each thread. */
static void
run_task(void *arg, int task, int thread)
{
	struct run *r = arg;

	omp_set_num_threads(1);
	r->fn(r->arg, task, thread);
}

void
cpu_run(struct cpu *c, cb_pool_fn *fn, void *arg, int ntasks)
{
	struct run r = { fn, arg };

	cb_pool_run(c->pool, run_task, &r, ntasks);
}

#define MAX_ARGS 8

dnnl_status_t
dnn_execute(struct cpu *c, int thread, dnnl_primitive_t p,
    const struct dnn_arg *arg, int n)
{
	dnnl_exec_arg_t a[MAX_ARGS];
	dnnl_memory_t made[MAX_ARGS];
	dnnl_status_t s = dnnl_success;
	int i, nmade = 0;

	for (i = 0; i < n && s == dnnl_success; i++) {
		a[i].arg = arg[i].id;
		a[i].memory = arg[i].ready;
		if (arg[i].ready != NULL)
			continue;
		s = dnnl_memory_create(&a[i].memory, arg[i].md, c->dnn,
		    (void *)arg[i].data);
		if (s == dnnl_success)
			made[nmade++] = a[i].memory;
	}
	if (s == dnnl_success)
		s = dnnl_primitive_execute(p, c->stream[thread], n, a);
	while (nmade > 0)
		dnnl_memory_destroy(made[--nmade]);
	return s;
}

/* ---- memory */

/* What is large comes from the system, which clears it when it is touched; a
 * model that only scores never touches most of what it asks for. */
struct mapping {
	struct mapping *next;
	void	*at, *map;
	int64_t	 bytes;
};

static void *
map_zeroed(struct cpu *c, int64_t bytes)
{
	struct mapping *m = calloc(1, sizeof(*m));
	int64_t slack;

	if (m == NULL)
		return NULL;
	m->bytes = bytes + HUGE_PAGE;
	m->map = mmap(NULL, m->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE |
	    MAP_ANONYMOUS, -1, 0);
	if (m->map == MAP_FAILED) {
		free(m);
		return NULL;
	}
	slack = -(uintptr_t)m->map & (HUGE_PAGE - 1);
	m->at = (char *)m->map + slack;
	madvise(m->at, bytes, MADV_HUGEPAGE);	/* may be refused */
	m->next = c->mappings;
	c->mappings = m;
	return m->at;
}

static void *
cpu_alloc(struct cb_engine *e, int64_t bytes)
{
	return host_given(bytes < 4 * HUGE_PAGE ? cb_alloc(bytes) :
	    map_zeroed(cpu_of(e), bytes), bytes);
}

static void
cpu_release(struct cb_engine *e, void *p)
{
	struct mapping **at = &cpu_of(e)->mappings, *m;

	for (; (m = *at) != NULL; at = &m->next)
		if (m->at == p) {
			*at = m->next;
			munmap(m->map, m->bytes);
			free(m);
			return;
		}
	free(p);
}

/* Operations are done when they return; only their errors wait for this. */
static int
cpu_sync(struct cb_engine *e)
{
	struct cpu *c = cpu_of(e);
	int s = atomic_exchange(&c->status, dnnl_success);
	enum cb_code code = c->code;

	c->code = CB_OK;
	if (code != CB_OK)
		return cb_fail(code, "%s", c->error);
	if (s == dnnl_out_of_memory)
		return cb_fail(CB_ENOMEM, "oneDNN");
	if (s != dnnl_success)
		return cb_fail(CB_EIO, "oneDNN: status %d", s);
	return 0;
}

static void
cpu_free(struct cb_engine *e)
{
	struct cpu *c = cpu_of(e);
	int i;

	if (e == NULL)
		return;
	for (i = 0; i < c->threads; i++) {
		if (c->own != NULL)
			free(c->own[i]);
		if (c->stream != NULL && c->stream[i] != NULL)
			dnnl_stream_destroy(c->stream[i]);
	}
	free(c->own);
	free(c->stream);
	free(c->shared);
	if (c->dnn != NULL)
		dnnl_engine_destroy(c->dnn);
	cb_pool_free(c->pool);
	free(c);
}

static const struct cb_engine table = {
	.name = "cpu", .elem_size = sizeof(float), .on_host = true,
	.loss_scale = 1,
	.free = cpu_free, .alloc = cpu_alloc, .release = cpu_release,
	.put = host_put, .get = host_put, .put_elem = host_put_elem,
	.get_elem = host_get_elem, .zero = host_zero, .sync = cpu_sync,
	.expect = host_pictures, .forget = host_pictures,
	.pin = host_pin, .unpin = host_unpin,
	.prepare = cpu_prepare,
	.conv_new = cpu_conv_new, .conv_free = cpu_conv_free,
	.conv_pack = cpu_conv_pack, .conv_fwd = cpu_conv_fwd,
	.conv_bwd = cpu_conv_bwd,
	.pool_fwd = cpu_pool_fwd, .pool_bwd = cpu_pool_bwd,
	.moments = cpu_moments,
	.embed_text_fwd = cpu_embed_text_fwd,
	.embed_text_bwd = cpu_embed_text_bwd,
	.embed_grid_fwd = cpu_embed_grid_fwd,
	.embed_grid_bwd = cpu_embed_grid_bwd,
	.rows_fwd = cpu_rows_fwd, .rows_bwd = cpu_rows_bwd,
	.norm_fwd = cpu_norm_fwd, .norm_bwd = cpu_norm_bwd,
	.batchnorm_fwd = cpu_batchnorm_fwd,
	.batchnorm_bwd = cpu_batchnorm_bwd,
	.linear_new = cpu_linear_new, .linear_free = cpu_linear_free,
	.linear_pack = cpu_linear_pack, .linear_fwd = cpu_linear_fwd,
	.linear_bwd = cpu_linear_bwd,
	.act_bwd = cpu_act_bwd, .add = cpu_add,
	.attention_fwd = cpu_attention_fwd,
	.attention_bwd = cpu_attention_bwd,
	.pool_scores = cpu_pool_scores, .loss = cpu_loss,
	.sumsq = cpu_sumsq, .adamw = cpu_adamw,
};

static int
open_dnn(struct cpu *c)
{
	int i;

	if (dnnl_engine_create(&c->dnn, dnnl_cpu, 0) != dnnl_success)
		return cb_fail(CB_EIO, "oneDNN has no CPU engine");
	for (i = 0; i < c->threads; i++)
		if (dnnl_stream_create(&c->stream[i], c->dnn,
		    dnnl_stream_default_flags) != dnnl_success)
			return cb_fail(CB_EIO, "oneDNN has no stream");
	return 0;
}

int
cb_cpu_open(struct cb_engine **out, int threads)
{
	struct cpu *c;

	if ((c = calloc(1, sizeof(*c))) == NULL)
		return cb_fail(CB_ENOMEM, "engine");
	c->e = table;
	if (cb_pool_new(&c->pool, threads) < 0)
		goto fail;
	c->threads = cb_pool_threads(c->pool);
	c->stream = calloc(c->threads, sizeof(*c->stream));
	c->own = calloc(c->threads, sizeof(*c->own));
	if (c->stream == NULL || c->own == NULL) {
		cb_fail(CB_ENOMEM, "engine");
		goto fail;
	}
	if (open_dnn(c) < 0)
		goto fail;
	*out = &c->e;
	return 0;
fail:
	cpu_free(&c->e);
	return -1;
}
