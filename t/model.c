/* What the reference cases do not show of lib/model. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/model.h"
#include "tap.h"

enum { B = 5, K = 2, F = 2, L = 7, S = 64, C = 6, P = B * K * F };

static struct cb_array pictures[P];
static int32_t counts[B] = { 1, 2, 0, 3, 1 }, ids[7 * L], mask[7 * L];
static int32_t labels[7] = { 0, 1, 2, 3, 4, 5, 0 };
static float soft[7 * C];
static int32_t masked[7 * L], belongs[7] = { 1, 0, 1, 1, 0, 0, 1 };

static const struct cb_rng rng = { .seed = 1, .purpose = CB_RNG_DEMO };

static struct cb_model_config
config(void)
{
	struct cb_model_config c = { .image = S, .stem = 8, .width = 4,
	    .res2 = 16, .blocks = { 1, 1, 1, 1 }, .hidden = 32, .layers = 2,
	    .heads = 2, .inter = 64, .vocab = 50, .positions = 16, .types = 2,
	    .rows = 4, .cols = 4, .labels = C, .loss = CB_LOSS_CE,
	    .agg = CB_AGG_MEAN, .init_range = 0.1f,
	    .mean = { 123.675f, 116.28f, 103.53f }, .std = { 1, 1, 1 } };

	return c;
}

static struct cb_inputs
make_inputs(void)
{
	struct cb_inputs in = { .B = B, .K = K, .F = F, .N = 7, .L = L,
	    .pictures = pictures, .counts = counts, .ids = ids, .mask = mask,
	    .labels = labels };
	int64_t dim[3] = { 40, 50, 3 }, j;
	int i;

	for (i = 0; i < P; i++) {
		if (pictures[i].data == NULL &&
		    cb_array_init(&pictures[i], CB_U8, 3, dim) < 0)
			abort();
		for (j = 0; j < cb_array_count(&pictures[i]); j++)
			((uint8_t *)pictures[i].data)[j] = (uint8_t)
			    cb_rng_below(&rng, (uint32_t)(i * 6000 + j), 256);
	}
	for (i = 0; i < 7 * L; i++) {
		mask[i] = i % L < 2 + i / L % 5;
		ids[i] = mask[i] ? 1 + (int)cb_rng_below(&rng, i, 49) : 0;
		/* some words; of the third text none */
		masked[i] = mask[i] && i % 3 == 1 && i / L != 2 ?
		    (int)cb_rng_below(&rng, 500 + i, 50) : -100;
	}
	for (i = 0; i < 7 * C; i++)
		soft[i] = i % 5 == 0 ? 0.6f : 0;
	return in;
}

/* Inputs as the head wants them. */
static struct cb_inputs
inputs_for(const struct cb_model_config *c)
{
	struct cb_inputs in = make_inputs();

	if (c->loss == CB_LOSS_BCE || c->loss == CB_LOSS_MSE)
		in.labels = soft;
	if (c->head == CB_HEAD_PRETRAIN) {
		in.K = 1;
		in.labels = belongs;
		in.mlm_labels = masked;
	}
	return in;
}

static struct cb_model_config
with_head(enum cb_head head)
{
	struct cb_model_config c = config();

	c.head = head;
	if (head == CB_HEAD_PRETRAIN)
		c.labels = 2;
	if (head == CB_HEAD_REGRESS) {
		c.labels = 1;
		c.loss = CB_LOSS_MSE;
	}
	return c;
}

static struct cb_model *
make_model(struct cb_engine *e, const struct cb_model_config *c)
{
	struct cb_model *m;

	if (cb_model_new(&m, e, c) < 0) {
		printf("# %s\n", cb_error());
		abort();
	}
	cb_model_init(m, 3);
	cb_model_pack(m, true);
	if (cb_model_calibrate(m, pictures, P) < 0)
		abort();
	return m;
}

/* Gradients and loss of one run; yours to free. */
static float *
gradients(struct cb_model *m, const struct cb_inputs *in, int64_t memory,
    uint32_t step, float *loss)
{
	struct cb_engine *e = cb_model_engine(m);
	int64_t bytes = cb_model_trainable(m) * (int64_t)sizeof(float);
	float *g = malloc(bytes);

	cb_model_memory(m, memory);
	cb_model_zero_grads(m);
	if (g == NULL || cb_model_train(m, in, 9, step, loss) < 0)
		abort();
	e->get(e, g, cb_model_grads(m), bytes);
	e->sync(e);
	return g;
}

static double
distance(const float *a, const float *b, int64_t n)
{
	double d = 0, size = 0;
	int64_t i;

	for (i = 0; i < n; i++) {
		d += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
		size += (double)a[i] * a[i];
	}
	return sqrt(d / size);
}

static void
test_parts(struct cb_engine *e, struct cb_model_config c, const char *name)
{
	struct cb_inputs in = inputs_for(&c);
	struct cb_model *m;
	float whole, parts, *a, *b;
	double d;

	m = make_model(e, &c);
	a = gradients(m, &in, 0, 0, &whole);
	b = gradients(m, &in, 1, 0, &parts);
	d = distance(a, b, cb_model_trainable(m));
	ok(d < 1e-5 && fabsf(whole - parts) < 1e-5f * fabsf(whole),
	    "%s: one video at a time gives the same gradients (%.1e)", name, d);
	free(a);
	free(b);
	cb_model_free(m);
}

/* A model with dropout and four clips of one frame; of a choice, four options. */
static struct cb_model_config
with_clips(enum cb_head head, enum cb_loss_kind loss, enum cb_agg agg)
{
	struct cb_model_config c = with_head(head);

	c.loss = loss;
	c.agg = agg;
	c.dropout = c.attention_dropout = 0.2f;
	if (loss == CB_LOSS_RANK) {
		c.labels = 1;
		c.margin = 0.2f;
	}
	if (head == CB_HEAD_CHOICE)
		c.labels = 3;
	return c;
}

static struct cb_inputs
clips_for(const struct cb_model_config *c)
{
	static int32_t three[2] = { 3, 3 };
	struct cb_inputs in = inputs_for(c);

	in.K = 4;
	in.F = 1;
	if (c->loss == CB_LOSS_RANK || c->head == CB_HEAD_CHOICE) {
		in.B = 2;
		in.counts = three;
		in.N = 6;
	}
	return in;
}

/* Running statistics of the regression head, if it is that: [2D+1]. */
static void
statistics(struct cb_model *m, float *to)
{
	int i = cb_model_find(m, "transformer.regressor.2.running_mean");

	memset(to, 0, sizeof(*to) * 65);
	if (i < 0)
		return;
	cb_model_get(m, i, to);
	cb_model_get(m, i + 1, to + 32);
	cb_model_get(m, i + 2, to + 64);
}

static void
test_clips(struct cb_engine *e, struct cb_model_config c, const char *name)
{
	struct cb_inputs in = clips_for(&c);
	struct cb_model *m, *again;
	float whole, loss, *a, *b, was[65], is[65];
	double d, worst = 0;
	int n;

	m = make_model(e, &c);
	a = gradients(m, &in, 0, 4, &whole);
	statistics(m, was);
	cb_model_free(m);
	for (n = 1; n < 4; n++) {
		again = make_model(e, &c);
		cb_model_clip_memory(again, n);
		b = gradients(again, &in, 0, 4, &loss);
		statistics(again, is);
		d = distance(a, b, cb_model_trainable(again));
		worst = d > worst ? d : worst;
		d = distance(was, is, 65);
		worst = d > worst ? d : worst;
		d = fabs(((double)loss - whole) / whole);
		worst = d > worst ? d : worst;
		free(b);
		cb_model_free(again);
	}
	ok(worst < 1e-5, "%s: clips one, two or three at a time (%.1e)", name,
	    worst);
	free(a);
}

static void
test_all_clips(struct cb_engine *e)
{
	test_clips(e, with_clips(CB_HEAD_CLASSIFY, CB_LOSS_CE, CB_AGG_MEAN),
	    "classes, mean");
	test_clips(e, with_clips(CB_HEAD_CLASSIFY, CB_LOSS_CE, CB_AGG_MAX),
	    "classes, max");
	test_clips(e, with_clips(CB_HEAD_CLASSIFY, CB_LOSS_CE, CB_AGG_LSE),
	    "classes, lse");
	test_clips(e, with_clips(CB_HEAD_CLASSIFY, CB_LOSS_BCE, CB_AGG_MEAN),
	    "soft labels, mean");
	test_clips(e, with_clips(CB_HEAD_CLASSIFY, CB_LOSS_RANK, CB_AGG_MAX),
	    "rank, max");
	test_clips(e, with_clips(CB_HEAD_CHOICE, CB_LOSS_CE, CB_AGG_LSE),
	    "choice, lse");
	test_clips(e, with_clips(CB_HEAD_CHOICE, CB_LOSS_CE, CB_AGG_MEAN),
	    "choice, mean");
	test_clips(e, with_clips(CB_HEAD_REGRESS, CB_LOSS_MSE, CB_AGG_MEAN),
	    "regression, mean");
	test_clips(e, with_clips(CB_HEAD_REGRESS, CB_LOSS_MSE, CB_AGG_MAX),
	    "regression, max");
}

/* With videos one at a time, too; then masks are drawn for each part. */
static void
test_clips_of_parts(struct cb_engine *e)
{
	struct cb_model_config c = with_clips(CB_HEAD_CLASSIFY, CB_LOSS_CE,
	    CB_AGG_LSE);
	struct cb_inputs in = clips_for(&c);
	struct cb_model *m = make_model(e, &c);
	float *a, *b, *twice, one, two;
	int64_t n = cb_model_trainable(m);
	double d;

	a = gradients(m, &in, 1, 4, &one);
	cb_model_clip_memory(m, 1);
	b = gradients(m, &in, 1, 4, &two);
	d = distance(a, b, n);
	ok(d < 1e-5 && fabsf(one - two) < 1e-5f * fabsf(one),
	    "one video and one clip at a time (%.1e)", d);
	twice = gradients(m, &in, 1, 4, &two);
	ok(memcmp(b, twice, sizeof(*b) * n) == 0, "... the same bits again");
	free(a);
	free(b);
	free(twice);
	cb_model_free(m);
}

static void
test_clip_threads(void)
{
	struct cb_model_config c = with_clips(CB_HEAD_CLASSIFY, CB_LOSS_CE,
	    CB_AGG_LSE);
	struct cb_inputs in = clips_for(&c);
	struct cb_engine *e[2];
	struct cb_model *m[2];
	float loss[2], *g[2];
	int i;

	for (i = 0; i < 2; i++) {
		if (cb_engine_open(&e[i], "cpu", i == 0 ? 1 : 3) < 0)
			abort();
		m[i] = make_model(e[i], &c);
		cb_model_clip_memory(m[i], 2);
		g[i] = gradients(m[i], &in, 0, 4, &loss[i]);
	}
	ok(loss[0] == loss[1] && memcmp(g[0], g[1], sizeof(float) *
	    cb_model_trainable(m[0])) == 0,
	    "two clips at a time: 1 and 3 threads give the same bits");
	for (i = 0; i < 2; i++) {
		free(g[i]);
		cb_model_free(m[i]);
		e[i]->free(e[i]);
	}
}

static void
test_threads(struct cb_model_config c)
{
	struct cb_inputs in = make_inputs();
	struct cb_engine *e[2];
	struct cb_model *m[2];
	float loss[2], *g[2];
	int i;

	c.dropout = c.attention_dropout = 0.2f;
	for (i = 0; i < 2; i++) {
		if (cb_engine_open(&e[i], "cpu", i == 0 ? 1 : 3) < 0)
			abort();
		m[i] = make_model(e[i], &c);
		g[i] = gradients(m[i], &in, 0, 4, &loss[i]);
	}
	ok(loss[0] == loss[1] && memcmp(g[0], g[1], sizeof(float) *
	    cb_model_trainable(m[0])) == 0,
	    "1 and 3 threads give the same bits");
	free(g[1]);
	g[1] = gradients(m[0], &in, 0, 4, &loss[1]);
	ok(memcmp(g[0], g[1], sizeof(float) * cb_model_trainable(m[0])) == 0,
	    "so does the same step again, dropout included");
	free(g[1]);
	g[1] = gradients(m[0], &in, 0, 5, &loss[1]);
	ok(loss[0] != loss[1], "another step has other dropout masks");
	for (i = 0; i < 2; i++) {
		free(g[i]);
		cb_model_free(m[i]);
		e[i]->free(e[i]);
	}
}

/* Moves the head's own weights along their gradient; returns the loss there. */
static double
moved(struct cb_model *m, const struct cb_inputs *in, const char *prefix,
    const float *g, double by)
{
	int n, i;
	const struct cb_param *p = cb_model_params(m, &n);
	float *w, loss, back = (float)by;
	int64_t k;

	for (i = 0; i < n; i++) {
		if (!p[i].trainable || strncmp(p[i].name, prefix,
		    strlen(prefix)) != 0)
			continue;
		w = malloc(sizeof(*w) * p[i].count);
		cb_model_get(m, i, w);
		for (k = 0; k < p[i].count; k++)
			w[k] += back * g[p[i].at + k];
		cb_model_set(m, i, w);
		free(w);
	}
	cb_model_pack(m, false);
	free(gradients(m, in, 0, 4, &loss));
	return loss;
}

/*
 * The loss along the gradient of the head, dropout included, rises as the
 * gradient says: L(w + h g) - L(w - h g) = 2 h |g|^2.
 */
static void
test_slope(struct cb_engine *e, enum cb_head head, const char *prefix)
{
	struct cb_model_config c = with_head(head);
	struct cb_inputs in = inputs_for(&c);
	struct cb_model *m;
	const struct cb_param *p;
	double size = 0, h, up, down;
	float *g, loss;
	int64_t k;
	int n, i;

	c.dropout = c.attention_dropout = 0.2f;
	m = make_model(e, &c);
	p = cb_model_params(m, &n);
	g = gradients(m, &in, 0, 4, &loss);
	for (i = 0; i < n; i++)
		for (k = 0; p[i].trainable && k < p[i].count &&
		    strncmp(p[i].name, prefix, strlen(prefix)) == 0; k++)
			size += (double)g[p[i].at + k] * g[p[i].at + k];
	h = 0.01 / sqrt(size);
	up = moved(m, &in, prefix, g, h);
	down = moved(m, &in, prefix, g, -2 * h);
	ok(fabs((up - down) / (2 * h * size) - 1) < 0.01,
	    "%s: the loss follows its gradient (%.4f)", prefix,
	    (up - down) / (2 * h * size));
	free(g);
	cb_model_free(m);
}

/* Scoring leaves the running statistics as they are, training counts. */
static void
test_statistics(struct cb_engine *e)
{
	struct cb_model_config c = with_head(CB_HEAD_REGRESS);
	struct cb_inputs in = inputs_for(&c);
	struct cb_model *m = make_model(e, &c);
	int i = cb_model_find(m,
	    "transformer.regressor.2.num_batches_tracked");
	float scores[7], loss, count[2];

	if (cb_model_score(m, &in, scores, NULL) < 0)
		abort();
	cb_model_get(m, i, &count[0]);
	if (cb_model_train(m, &in, 0, 0, &loss) < 0)
		abort();
	cb_model_get(m, i, &count[1]);
	ok(count[0] == 0 && count[1] == K, "batch norm counts once a clip, "
	    "and in training only (%g, %g)", count[0], count[1]);
	cb_model_free(m);
}

static void
test_head_refusals(struct cb_engine *e)
{
	struct cb_model_config c = with_head(CB_HEAD_PRETRAIN);
	struct cb_inputs in = inputs_for(&c), one;
	struct cb_model *m = make_model(e, &c), *no;
	float loss;

	masked[L - 1] = 3;
	ok(cb_model_train(m, &in, 0, 0, &loss) < 0 &&
	    strstr(cb_error(), "padding of text 0") != NULL,
	    "a masked word in the padding: %s", cb_error());
	masked[L - 1] = -100;
	masked[1] = 50;
	ok(cb_model_train(m, &in, 0, 0, &loss) < 0 &&
	    strstr(cb_error(), "masked word 50") != NULL,
	    "a masked word beyond the vocabulary: %s", cb_error());
	in = inputs_for(&c);
	in.cells = (int32_t[]){ 0, 4 };
	in.ncells = 2;
	ok(cb_model_train(m, &in, 0, 0, &loss) < 0 &&
	    strstr(cb_error(), "cell 4") != NULL,
	    "a cell beyond the grid: %s", cb_error());
	in.cells = NULL;
	in.K = 2;
	ok(cb_model_train(m, &in, 0, 0, &loss) < 0 &&
	    strstr(cb_error(), "one clip") != NULL,
	    "two clips in pretraining: %s", cb_error());
	in.K = 1;
	in.mlm_labels = NULL;
	ok(cb_model_train(m, &in, 0, 0, &loss) < 0 &&
	    strstr(cb_error(), "no masked words") != NULL,
	    "no labels of words: %s", cb_error());
	cb_model_free(m);
	c.labels = 3;
	ok(cb_model_new(&no, e, &c) < 0, "pretraining of three labels: %s",
	    cb_error());
	c = with_head(CB_HEAD_REGRESS);
	m = make_model(e, &c);
	one = inputs_for(&c);
	one.B = one.N = 1;
	ok(cb_model_train(m, &one, 0, 0, &loss) < 0 &&
	    strstr(cb_error(), "batch norm") != NULL,
	    "one row for a batch norm: %s", cb_error());
	cb_model_free(m);
	c.loss = CB_LOSS_CE;
	ok(cb_model_new(&no, e, &c) < 0, "regression by cross-entropy: %s",
	    cb_error());
}

/* The first residual block's output has unit variances, so a step can learn. */
static void
test_calibrate(struct cb_engine *e)
{
	struct cb_model_config c = config();
	struct cb_model *m = make_model(e, &c);
	int i = cb_model_find(m,
	    "cnn.feature.backbone.stem.conv1.norm.running_var");
	float var[8], mean[8];

	cb_model_get(m, i, var);
	cb_model_get(m, i - 1, mean);
	ok(var[0] > 0 && var[0] != 1 && mean[0] != 0,
	    "norm statistics come from the pictures");
	cb_model_free(m);
}

static void
test_scores(struct cb_engine *e)
{
	struct cb_model_config c = config();
	struct cb_inputs in = make_inputs(), one = in;
	struct cb_model *m = make_model(e, &c);
	float all[7 * C], single[C];
	int b = 3, first = 3;		/* the fourth video, its first text */

	if (cb_model_score(m, &in, all, NULL) < 0)
		abort();
	one.B = 1;
	one.N = 1;
	one.pictures = pictures + b * K * F;
	one.counts = (int32_t[]){ 1 };
	one.ids = ids + first * L;
	one.mask = mask + first * L;
	if (cb_model_score(m, &one, single, NULL) < 0)
		abort();
	ok(distance(all + first * C, single, C) < 1e-5,
	    "scores do not depend on what else is in the batch");
	one.counts = (int32_t[]){ 0 };
	one.N = 0;
	ok(cb_model_score(m, &one, single, NULL) == 0, "no texts, no scores");
	cb_model_free(m);
}

struct right {
	int words, right;
};

/* Looks at the scores of all words of the texts: is the label's the highest? */
static void
look(void *arg, const char *name, const float *x, int rank, const int64_t *dim)
{
	struct right *r = arg;
	int64_t i, v, row = 0;
	bool most;

	if (strcmp(name, "mlm_scores") != 0 || rank != 2)
		return;
	for (i = 0; i < 7 * L; i++) {
		if (!mask[i])
			continue;
		most = true;
		for (v = 0; v < dim[1]; v++)
			most &= masked[i] < 0 || x[row * dim[1] + v] <=
			    x[row * dim[1] + masked[i]];
		r->words += masked[i] >= 0;
		r->right += masked[i] >= 0 && most;
		row++;
	}
}

/* Learns one batch until some words are told, and counts them twice. */
static void
test_tally(struct cb_engine *e)
{
	struct cb_model_config c = with_head(CB_HEAD_PRETRAIN);
	struct cb_inputs in = inputs_for(&c);
	struct cb_model *m = make_model(e, &c);
	struct right r = { 0 };
	float *w = cb_model_weights(m), *g, loss, scores[7 * 2];
	struct cb_tally t, parts;
	int64_t i;
	int step, match = 0;

	for (step = 0; step < 12; step++) {
		free(gradients(m, &in, 0, 0, &loss));
		g = cb_model_grads(m);
		for (i = 0; i < cb_model_trainable(m); i++)
			w[i] -= 0.1f * g[i];
		cb_model_pack(m, true);
	}
	free(gradients(m, &in, 1, 0, &loss));
	parts = cb_model_tally(m);
	cb_model_tap(m, look, &r);
	free(gradients(m, &in, 0, 0, &loss));
	cb_model_tap(m, NULL, NULL);
	t = cb_model_tally(m);
	ok(t.words == r.words && t.told == r.right && r.right > 0 &&
	    r.right < r.words, "words told rightly: %d of %d", r.right,
	    r.words);
	if (cb_model_score(m, &in, scores, NULL) < 0)
		abort();
	for (i = 0; i < 7; i++)
		match += (scores[2 * i + 1] > scores[2 * i]) == belongs[i];
	ok(t.texts == 7 && t.matched == match, "and matches: %d of 7", match);
	ok(t.positions == 7 * L && fabs(t.mlm_loss / (double)t.positions +
	    t.itm_loss / 7 - (double)loss) < 1e-5, "the two losses make one");
	ok(parts.words == t.words && parts.told == t.told &&
	    parts.texts == 7 && parts.matched == t.matched &&
	    fabs(parts.mlm_loss - t.mlm_loss) < 1e-4 * t.mlm_loss,
	    "parts count the same");
	cb_model_free(m);
}

static void
test_refusals(struct cb_engine *e)
{
	struct cb_model_config c = config();
	struct cb_inputs in = make_inputs();
	struct cb_model *m = make_model(e, &c), *no;
	struct cb_array narrow = { CB_U8, 3, { 1, 1000, 3 }, pictures[0].data };
	float loss;

	ids[0] = 50;
	ok(cb_model_train(m, &in, 0, 0, &loss) < 0 &&
	    strstr(cb_error(), "token id 50") != NULL,
	    "an id beyond the vocabulary: %s", cb_error());
	ids[0] = 1;
	labels[2] = C;
	ok(cb_model_train(m, &in, 0, 0, &loss) < 0 &&
	    strstr(cb_error(), "label 6") != NULL,
	    "a label beyond the classes: %s", cb_error());
	labels[2] = 2;
	in.pictures = &narrow;
	in.B = in.K = in.F = 1;
	ok(cb_model_train(m, &in, 0, 0, &loss) == 0,
	    "a picture of one column is kept as one column");
	c.heads = 3;
	ok(cb_model_new(&no, e, &c) < 0, "heads that do not divide: %s",
	    cb_error());
	c = config();
	c.rows = 0;
	ok(cb_model_new(&no, e, &c) < 0, "a grid without rows: %s",
	    cb_error());
	c = config();
	c.loss = CB_LOSS_BCE;
	c.agg = CB_AGG_LSE;
	ok(cb_model_new(&no, e, &c) < 0, "lse with bce: %s", cb_error());
	cb_model_free(m);
}

/* Frozen weights are not among the trainable, and their part keeps nothing:
 * the result is that of the unfrozen model. */
static void
test_frozen(struct cb_engine *e)
{
	struct cb_model_config c = config();
	struct cb_inputs in = make_inputs();
	struct cb_model *m = make_model(e, &c), *f;
	int64_t all = cb_model_trainable(m);
	float a, b;

	free(gradients(m, &in, 0, 0, &a));
	c.freeze_at = 3;
	f = make_model(e, &c);
	free(gradients(f, &in, 0, 0, &b));
	ok(cb_model_trainable(f) < all && cb_model_count(f) ==
	    cb_model_count(m), "what is frozen does not train");
	ok(fabsf(a - b) < 1e-5f, "and gives the same loss");
	cb_model_free(f);
	c.freeze_cnn = true;
	f = make_model(e, &c);
	free(gradients(f, &in, 0, 0, &b));
	ok(fabsf(a - b) < 1e-5f, "so does a frozen CNN");
	cb_model_free(f);
	cb_model_free(m);
}

int
main(void)
{
	struct cb_model_config c = config();
	struct cb_engine *e;
	int i;

	if (cb_engine_open(&e, "cpu", 0) < 0)
		abort();
	plan(48);
	make_inputs();
	test_parts(e, c, "mean");
	c.agg = CB_AGG_LSE;
	test_parts(e, c, "lse");
	c.agg = CB_AGG_MAX;
	c.loss = CB_LOSS_BCE;
	test_parts(e, c, "bce");
	test_parts(e, with_head(CB_HEAD_PRETRAIN), "pretraining");
	test_parts(e, with_head(CB_HEAD_REGRESS), "regression");
	test_all_clips(e);
	test_clips_of_parts(e);
	test_clip_threads();
	test_slope(e, CB_HEAD_CLASSIFY, "transformer.classifier.");
	test_slope(e, CB_HEAD_PRETRAIN, "transformer.cls.");
	test_slope(e, CB_HEAD_REGRESS, "transformer.regressor.");
	test_statistics(e);
	test_head_refusals(e);
	test_threads(config());
	test_calibrate(e);
	test_scores(e);
	test_tally(e);
	test_refusals(e);
	test_frozen(e);
	e->free(e);
	for (i = 0; i < P; i++)
		cb_array_clear(&pictures[i]);
	return done();
}
