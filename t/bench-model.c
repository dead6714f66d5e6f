/*
 * Our side of `make bench`: the model at one preset, made once, then one run a
 * line of stdin.
 *
 *	bench-model small|full [ENGINE]		cpu, or as for cb_engine_open()
 *
 * A line is "KIND A B"; the answer "SECONDS GMAC", where GMAC counts the
 * multiplications of plain convolutions and matrix products (effective, however
 * they are computed):
 *	cnn P 0		pictures to grids
 *	cnn-train P 0	and back
 *	bert N 0	N texts of 5 to 25 tokens with one grid each
 *	bert-train N 0	and back
 *	train K F	a step: 4 videos of K clips of F frames, one text each
 *	qa-train K F	the same with 16 videos, as MSRVTT-QA has them
 *	score N 0	one clip of 2 frames, N texts
 *	pairs N 0	N texts with each of 8 videos of 4 clips of 2 frames
 *	peak 0 0	fused multiply-adds alone, on all threads
 *	bytes 0 0	GB/s that all threads read from memory, in place of GMAC
 *	memory 0 0	MiB that this process took at most, in place of GMAC
 *
 * The weights are the initial ones: what they are does not change the work.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "model/internal.h"
#include "peak.h"
#include "train/train.h"

#define TEXT 30			/* tokens, with padding */
#define LARGEST 2048		/* texts in a run */
#define PICTURES 256
#define SWEEP ((int64_t)32 << 20)	/* floats read to measure memory */

static struct cb_model *m;
static struct cb_engine *e;
static struct cb_pool *pool;
static float *first, *second;	/* moments of the optimiser */
static struct cb_array pictures[PICTURES];
static int32_t ids[LARGEST * TEXT], mask[LARGEST * TEXT], labels[LARGEST];
static int32_t counts[PICTURES];
static const struct cb_rng rng = { .seed = 1, .purpose = CB_RNG_DEMO };

static struct cb_model_config
config(const char *preset)
{
	struct cb_model_config c = { .image = 448, .stem = 64, .width = 64,
	    .res2 = 256, .blocks = { 3, 4, 6, 3 }, .freeze_at = 2,
	    .hidden = 768, .layers = 12, .heads = 12, .inter = 3072,
	    .vocab = 30522, .positions = 512, .types = 2, .rows = 100,
	    .cols = 100, .labels = 1500, .loss = CB_LOSS_CE, .agg = CB_AGG_LSE,
	    .dropout = 0.1f, .attention_dropout = 0.1f, .init_range = 0.02f,
	    .mean = { 123.675f, 116.28f, 103.53f }, .std = { 1, 1, 1 } };

	if (strcmp(preset, "full") == 0)
		return c;
	if (strcmp(preset, "small") != 0)
		cb_usage("%s: neither small nor full", preset);
	c.image = 128;
	c.stem = c.width = 16;
	c.res2 = 64;
	c.hidden = 128;
	c.layers = c.heads = 4;
	c.inter = 512;
	c.labels = 30;
	return c;
}

/* Texts of 5 to 25 tokens in rows of TEXT; the same in t/bench.py. */
static void
make_texts(void)
{
	int i;

	for (i = 0; i < LARGEST * TEXT; i++) {
		mask[i] = i % TEXT < 5 + i / TEXT * 7 % 21;
		ids[i] = mask[i] ? 1000 + i % 997 : 0;
	}
}

static int
make_pictures(int side)
{
	int64_t dim[] = { side, side, 3 }, j;
	int i;

	for (i = 0; i < PICTURES; i++) {
		if (i >= 4) {	/* what they show does not matter */
			pictures[i] = pictures[i % 4];
			continue;
		}
		if (cb_array_init(&pictures[i], CB_U8, 3, dim) < 0)
			return -1;
		for (j = 0; j < cb_array_count(&pictures[i]); j++)
			((uint8_t *)pictures[i].data)[j] = (uint8_t)
			    cb_rng_below(&rng, (uint32_t)(i << 20 ^ j), 256);
	}
	return 0;
}

/* ---- what is plain work --------------------------------------------------- */

static double
conv_macs(const struct conv *c)
{
	int side = (c->g.H + 2 * c->g.pad - c->g.k) / c->g.stride + 1;

	return c->plan == NULL ? 0 : (double)side * side * c->g.O * c->g.C *
	    c->g.k * c->g.k;
}

/* A picture's; with the gradients of what trains and of what lies between. */
static double
cnn_macs(bool train)
{
	const struct cnn *n = &m->cnn;
	double all = conv_macs(&n->stem) + conv_macs(&n->grid) *
	    (train ? 3 : 1);
	int i;

	for (i = 0; i < n->nblocks; i++) {
		const struct bottleneck *b = &n->blocks[i];
		/* the plain model makes the pixels that nobody reads, too */
		double unread = (double)b->H * b->W / b->OH / b->OW;
		double in = conv_macs(&b->conv1) + conv_macs(&b->shortcut) *
		    unread;
		double on = (conv_macs(&b->conv2) + conv_macs(&b->conv3)) *
		    unread;

		all += !train || i < n->frozen ? in + on :
		    3 * on + (i == n->frozen ? 2 : 3) * in;
	}
	return all;
}

/* Of N texts in K clips; nothing for padding. */
static double
bert_macs(int N, int K, bool train)
{
	double D = m->c.hidden, I = m->c.inter, all = 0, n;
	int V = m->cnn.h * m->cnn.h, i;

	for (i = 0; i < N; i++) {
		n = V + 5 + i * 7 % 21;
		all += n * (4 * D * D + 2 * D * I) + 2 * n * n * D;
	}
	return all * K * m->c.layers * (train ? 3 : 1);
}

/* ---- the kinds of run ------------------------------------------------------- */

static struct cb_inputs
inputs(int B, int K, int F, int texts)
{
	struct cb_inputs in = { .B = B, .K = K, .F = F, .N = B * texts,
	    .L = TEXT, .pictures = pictures, .counts = counts, .ids = ids,
	    .mask = mask, .labels = labels };
	int b;

	for (b = 0; b < B; b++)
		counts[b] = texts;
	return in;
}

static int
run_cnn(int P, bool train)
{
	int64_t size = (int64_t)P * m->cnn.h * m->cnn.h * m->c.hidden;
	struct cb_elem *grid;
	int rc;

	m->training = train;
	e->expect(e, pictures, P);
	grid = cnn_forward(m, pictures, P);
	if (train) {
		e->zero(e, m->cnn.dgrid, size * (int64_t)e->elem_size);
		e->add(e, m->cnn.dgrid, grid, size);
		cnn_backward(m);
	}
	rc = e->sync(e);
	e->forget(e, pictures, P);
	return rc;
}

static int
run_bert(int N, bool train)
{
	struct cb_inputs in = inputs(N, 1, 1, 1);
	int64_t size = (int64_t)N * m->cnn.h * m->cnn.h * m->c.hidden;
	struct cb_elem *grid = take(m, size), *pooled;

	m->training = train;
	e->zero(e, grid, size * (int64_t)e->elem_size);
	if (bert_batch(m, &in) < 0)
		return -1;
	pooled = bert_forward(m, grid, 1);
	if (train)
		bert_backward(m, pooled, NULL, take(m, size), 1);
	return e->sync(e);
}

static int
run_train(int B, int K, int F)
{
	static int64_t t;
	struct cb_inputs in = inputs(B, K, F, 1);
	struct cb_segment all = { .count = cb_model_trainable(m), .lr = 1e-6,
	    .wd = 1e-3 };
	struct cb_segments segs = { &all, 1 };
	const double betas[] = { 0.9, 0.98 };
	double norm;
	float loss;

	if (first == NULL && ((first = e->alloc(e, all.count * 4)) == NULL ||
	    (second = e->alloc(e, all.count * 4)) == NULL))
		return -1;
	cb_model_zero_grads(m);
	t++;
	if (cb_model_train(m, &in, 1, (uint32_t)t, &loss) < 0 ||
	    cb_optim_step(&norm, e, &segs, cb_model_weights(m), first, second,
	    cb_model_grads(m), t, betas, 5) < 0)
		return -1;
	cb_model_pack(m, false);
	return e->sync(e);
}

static int
run_score(int B, int K, int texts)
{
	struct cb_inputs in = inputs(B, K, 2, texts);
	float *scores = malloc((size_t)in.N * m->c.labels * sizeof(*scores));
	int rc = scores == NULL ? cb_fail(CB_ENOMEM, "scores") :
	    cb_model_score(m, &in, scores, NULL);

	free(scores);
	return rc;
}

/* ---- the limits ---------------------------------------------------------------- */

static void
peak_task(void *arg, int task, int thread)
{
	(void)thread;
	((double *)arg)[task] = core_peak();
}

static void
read_task(void *arg, int task, int thread)
{
	const v16 *x = (const v16 *)arg + task * (SWEEP / 16);
	v16 sum[4] = { 0 };
	int64_t i;

	(void)thread;
	for (i = 0; i < SWEEP / 16; i += 4) {
		sum[0] += x[i];
		sum[1] += x[i + 1];
		sum[2] += x[i + 2];
		sum[3] += x[i + 3];
	}
	sum[0] += sum[1] + sum[2] + sum[3];
	__asm__ volatile("" : : "r"(sum) : "memory");
}

/* GMAC/s or GB/s of all threads together. */
static double
limit(bool memory)
{
	static float *x;
	int n = cb_pool_threads(pool), i;
	double one[64] = { 0 }, t;

	n = n < 64 ? n : 64;
	if (!memory) {
		cb_pool_run(pool, peak_task, one, n);
		for (i = 1; i < n; i++)
			one[0] += one[i];
		return one[0];
	}
	if (x == NULL) {
		if ((x = cb_alloc(n * SWEEP * 4)) == NULL)
			return 0;
		memset(x, 1, n * SWEEP * 4);
	}
	t = cb_now();
	cb_pool_run(pool, read_task, x, n);
	return (double)n * SWEEP * 4e-9 / (cb_now() - t);
}

static double
most_memory(void)
{
	struct rusage r;

	getrusage(RUSAGE_SELF, &r);
	return r.ru_maxrss / 1024.0;
}

/* ---- one line -------------------------------------------------------------------- */

/* *macs: multiplications, or what else is asked for. */
static int
run(const char *kind, int a, int b, double *macs)
{
	bool train = strstr(kind, "train") != NULL;

	arena_reset(&m->arena);
	if (strncmp(kind, "cnn", 3) == 0) {
		*macs = a * cnn_macs(train);
		return run_cnn(a, train);
	}
	if (strncmp(kind, "bert", 4) == 0) {
		*macs = bert_macs(a, 1, train);
		return run_bert(a, train);
	}
	if (train) {
		const int B = strcmp(kind, "qa-train") == 0 ? 16 : 4;

		*macs = (double)B * a * b * cnn_macs(true) + bert_macs(B, a,
		    true);
		return run_train(B, a, b);
	}
	if (strcmp(kind, "score") == 0) {
		*macs = 2 * cnn_macs(false) + bert_macs(a, 1, false);
		return run_score(1, 1, a);
	}
	if (strcmp(kind, "pairs") == 0) {
		*macs = 64 * cnn_macs(false) + bert_macs(8 * a, 4, false);
		return run_score(8, 4, a);
	}
	*macs = 1e9 * (strcmp(kind, "memory") == 0 ? most_memory() :
	    limit(strcmp(kind, "bytes") == 0));
	return 0;
}

static int
serve(void)
{
	char kind[32];
	double macs, t;
	jmp_buf full;
	int a, b;

	m->arena.full = &full;
	if (setjmp(full) != 0)
		return -1;
	while (scanf("%31s %d %d", kind, &a, &b) == 3) {
		if (a < 0 || b < 0 || a * (strcmp(kind, "pairs") ? 1 : 8) >
		    LARGEST)
			return cb_fail(CB_EUSAGE, "%s %d %d", kind, a, b);
		t = cb_now();
		if (run(kind, a, b, &macs) < 0)
			return -1;
		printf("%.9f %.6f\n", cb_now() - t, 1e-9 * macs);
		fflush(stdout);
		m->arena.full = &full;	/* cb_model_score() sets its own */
	}
	return 0;
}

int
main(int argc, char **argv)
{
	const struct cb_opt none[] = { { 0 } };
	int at = cb_options(argc, argv, none, "small|full [ENGINE]");
	struct cb_model_config c = config(argc > at ? argv[at] : "small");
	int rc = 1;

	make_texts();
	if (cb_pool_new(&pool, 0) < 0 || make_pictures(c.image) < 0 ||
	    cb_engine_open(&e, argc > at + 1 ? argv[at + 1] : "cpu", 0) < 0 ||
	    cb_model_new(&m, e, &c) < 0)
		return cb_complain();
	if (e->on_host)			/* as cb-train; a GPU: all at once */
		cb_model_memory(m, cb_trainer_memory(e));
	cb_model_init(m, 1);
	cb_model_pack(m, true);
	rc = serve() < 0 ? cb_complain() : 0;
	cb_model_free(m);
	e->free(e);
	cb_pool_free(pool);
	return rc;
}
