/*
 * The table of parameters: names and shapes as a ClipBERT checkpoint has them,
 * and where each lies in the arena.  Trainable ones come first, matrices before
 * vectors, so that the optimiser sees few long ranges and query, key and value
 * of a layer lie side by side and are one matrix to the engine.
 */
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

void
table_put(struct table *t, char *name, bool trainable, bool buffer, int rank,
    const int64_t *dim)
{
	struct cb_param *p;
	int i;

	if (t->n == t->room) {
		t->room = t->room > 0 ? 2 * t->room : 128;
		p = realloc(t->at, sizeof(*p) * t->room);
		if (p == NULL) {
			free(name);
			t->room = t->n;
			t->failed = true;
			return;
		}
		t->at = p;
	}
	p = &t->at[t->n++];
	memset(p, 0, sizeof(*p));
	p->name = name;
	p->rank = rank;
	p->count = 1;
	for (i = 0; i < rank; i++) {
		p->dim[i] = dim[i];
		p->count *= dim[i];
	}
	p->trainable = trainable;
	p->buffer = buffer;
}

void
table_vector(struct table *t, char *name, bool trainable, bool buffer,
    int64_t n)
{
	table_put(t, name, trainable, buffer, 1, &n);
}

static void
put_conv(struct table *t, const char *name, int O, int C, int k, bool trainable)
{
	static const char *const norm[] = { "weight", "bias", "running_mean",
	    "running_var" };
	int64_t dim[] = { O, C, k, k };
	size_t i;

	table_put(t, cb_strf("%s.weight", name), trainable, false, 4, dim);
	for (i = 0; i < CB_LEN(norm); i++)
		table_vector(t, cb_strf("%s.norm.%s", name, norm[i]), false, true, O);
}

void
table_matrix(struct table *t, char *name, int rows, int cols)
{
	int64_t dim[] = { rows, cols };

	table_put(t, name, true, false, 2, dim);
}

void
table_linear(struct table *t, const char *name, int O, int I)
{
	table_matrix(t, cb_strf("%s.weight", name), O, I);
	table_vector(t, cb_strf("%s.bias", name), true, false, O);
}

void
table_norm(struct table *t, const char *name, int n)
{
	table_vector(t, cb_strf("%s.weight", name), true, false, n);
	table_vector(t, cb_strf("%s.bias", name), true, false, n);
}

#define BACKBONE "cnn.feature.backbone."
#define BERT "transformer.bert."

static void
put_cnn(struct table *t, const struct cb_model_config *c)
{
	int in = c->stem, mid = c->width, out = c->res2, stage, b;
	int64_t grid[] = { c->hidden, 8 * (int64_t)c->res2, 3, 3 };
	bool trains = !c->freeze_cnn && c->freeze_at < 1;
	char name[128], part[160];

	put_conv(t, BACKBONE "stem.conv1", c->stem, 3, 7, trains);
	for (stage = 2; stage < 2 + CB_STAGES; stage++) {
		trains = !c->freeze_cnn && c->freeze_at < stage;
		for (b = 0; b < c->blocks[stage - 2]; b++) {
			snprintf(name, sizeof(name), BACKBONE "res%d.%d.",
			    stage, b);
			if (in != out) {
				snprintf(part, sizeof(part), "%sshortcut",
				    name);
				put_conv(t, part, out, in, 1, trains);
			}
			snprintf(part, sizeof(part), "%sconv1", name);
			put_conv(t, part, mid, in, 1, trains);
			snprintf(part, sizeof(part), "%sconv2", name);
			put_conv(t, part, mid, mid, 3, trains);
			snprintf(part, sizeof(part), "%sconv3", name);
			put_conv(t, part, out, mid, 1, trains);
			in = out;
		}
		mid *= 2;
		out *= 2;
	}
	table_put(t, cb_strf("cnn.grid_encoder.0.weight"), true, false, 4, grid);
}

static void
put_bert(struct table *t, const struct cb_model_config *c)
{
	static const char *const qkv[] = { "query", "key", "value" };
	char name[128], part[160];
	int D = c->hidden, i;
	size_t k;

	table_matrix(t, cb_strf(BERT "embeddings.word_embeddings.weight"),
	    c->vocab, D);
	table_matrix(t, cb_strf(BERT "embeddings.position_embeddings.weight"),
	    c->positions, D);
	table_matrix(t, cb_strf(BERT "embeddings.token_type_embeddings.weight"),
	    c->types, D);
	table_norm(t, BERT "embeddings.LayerNorm", D);
	/* never used, but there (quirk 5) */
	table_matrix(t, cb_strf(BERT
	    "visual_embeddings.position_embeddings.weight"), c->positions, D);
	table_matrix(t, cb_strf(BERT
	    "visual_embeddings.row_position_embeddings.weight"), c->rows, D);
	table_matrix(t, cb_strf(BERT
	    "visual_embeddings.col_position_embeddings.weight"), c->cols, D);
	table_matrix(t, cb_strf(BERT
	    "visual_embeddings.token_type_embeddings.weight"), 1, D);
	table_norm(t, BERT "visual_embeddings.LayerNorm", D);
	for (i = 0; i < c->layers; i++) {
		snprintf(name, sizeof(name), BERT "encoder.layer.%d.", i);
		for (k = 0; k < CB_LEN(qkv); k++)
			table_matrix(t, cb_strf("%sattention.self.%s.weight",
			    name, qkv[k]), D, D);
		for (k = 0; k < CB_LEN(qkv); k++)
			table_vector(t, cb_strf("%sattention.self.%s.bias",
			    name, qkv[k]), true, false, D);
		snprintf(part, sizeof(part), "%sattention.output.dense", name);
		table_linear(t, part, D, D);
		snprintf(part, sizeof(part), "%sattention.output.LayerNorm",
		    name);
		table_norm(t, part, D);
		snprintf(part, sizeof(part), "%sintermediate.dense", name);
		table_linear(t, part, c->inter, D);
		snprintf(part, sizeof(part), "%soutput.dense", name);
		table_linear(t, part, D, c->inter);
		snprintf(part, sizeof(part), "%soutput.LayerNorm", name);
		table_norm(t, part, D);
	}
	table_linear(t, BERT "pooler.dense", D, D);
}

/* Trainable matrices, trainable vectors, constants. */
static int
shelf(const struct cb_param *p)
{
	return !p->trainable ? 2 : p->rank == 1 ? 1 : 0;
}

/* The table and where its values stand; *trainable: floats with gradient. */
static int
build_table(struct table *t, int64_t *count, int64_t *trainable,
    const struct cb_model_config *c)
{
	int s, i;

	put_cnn(t, c);
	put_bert(t, c);
	head_kind(c)->params(t, c);
	if (t->failed)
		return cb_fail(CB_ENOMEM, "table of parameters");
	for (s = 0; s < 3; s++) {
		for (i = 0; i < t->n; i++) {
			if (shelf(&t->at[i]) != s)
				continue;
			t->at[i].at = *count;
			*count += t->at[i].count;
		}
		if (s == 1)
			*trainable = *count;
	}
	return 0;
}

int
params_build(struct cb_model *m)
{
	struct table t = { 0 };
	int rc = build_table(&t, &m->count, &m->trainable, &m->c);

	m->params = t.at;
	m->nparams = t.n;
	if (rc < 0)
		return -1;
	m->weights = m->e->alloc(m->e, m->count * sizeof(float));
	if (m->weights == NULL)
		return -1;
	if (m->scoring) {
		m->where = calloc(m->nparams, sizeof(*m->where));
		return m->where != NULL ? 0 : cb_fail(CB_ENOMEM, "model");
	}
	m->grads = m->e->alloc(m->e, m->trainable * sizeof(float));
	return m->grads == NULL ? -1 : 0;
}

int
params_table(struct cb_param **out, int *n, const struct cb_model_config *c)
{
	struct table t = { 0 };
	int64_t count = 0, trainable;

	if (build_table(&t, &count, &trainable, c) < 0) {
		cb_model_table_free(t.at, t.n);
		return -1;
	}
	*out = t.at;
	*n = t.n;
	return 0;
}

void
cb_model_table_free(struct cb_param *p, int n)
{
	int i;

	for (i = 0; i < n; i++)
		free(p[i].name);
	free(p);
}

void
params_clear(struct cb_model *m)
{
	cb_model_table_free(m->params, m->nparams);
	free(m->where);
	if (m->weights != NULL)
		m->e->release(m->e, m->weights);
	if (m->grads != NULL)
		m->e->release(m->e, m->grads);
}

float *
param(struct cb_model *m, int i)
{
	if (m->where != NULL && m->where[i] != NULL)
		return (float *)(uintptr_t)m->where[i];	/* is only read */
	return m->weights + m->params[i].at;
}

float *
grad(struct cb_model *m, int i)
{
	return m->params[i].trainable ? m->grads + m->params[i].at : NULL;
}

int
find(struct cb_model *m, const char *fmt, ...)
{
	char name[160];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(name, sizeof(name), fmt, ap);
	va_end(ap);
	return cb_model_find(m, name);
}

const struct cb_param *
cb_model_params(const struct cb_model *m, int *n)
{
	*n = m->nparams;
	return m->params;
}

int
cb_model_find(const struct cb_model *m, const char *name)
{
	int i;

	for (i = 0; i < m->nparams; i++)
		if (strcmp(m->params[i].name, name) == 0)
			return i;
	return -1;
}

float *
cb_model_weights(struct cb_model *m)
{
	return m->weights;
}

float *
cb_model_grads(struct cb_model *m)
{
	return m->grads;
}

int64_t
cb_model_count(const struct cb_model *m)
{
	return m->count;
}

int64_t
cb_model_trainable(const struct cb_model *m)
{
	return m->trainable;
}

void
cb_model_set(struct cb_model *m, int i, const float *host)
{
	if (m->where != NULL)
		m->where[i] = NULL;
	m->e->put(m->e, param(m, i), host, m->params[i].count * sizeof(float));
}

void
cb_model_borrow(struct cb_model *m, int i, const float *host)
{
	if (m->where == NULL || !m->e->on_host)
		cb_model_set(m, i, host);
	else
		m->where[i] = host;
}

void
params_join(struct cb_model *m, int first, int n)
{
	bool joined = true;
	int i;

	for (i = first + 1; i < first + n; i++)
		joined = joined && param(m, i) == param(m, i - 1) +
		    m->params[i - 1].count;
	for (i = first; !joined && i < first + n; i++)
		if (m->where != NULL && m->where[i] != NULL)
			cb_model_set(m, i, m->where[i]);
}

void
cb_model_get(struct cb_model *m, int i, float *host)
{
	m->e->get(m->e, host, param(m, i), m->params[i].count * sizeof(float));
}

void
cb_model_zero_grads(struct cb_model *m)
{
	m->e->zero(m->e, m->grads, m->trainable * sizeof(float));
}

/* ---- initial weights ------------------------------------------------------ */

/* FNV-1a of the name: the draws of a tensor depend on nothing else. */
static uint32_t
name_hash(const char *s)
{
	uint32_t h = 2166136261u;

	for (; *s != '\0'; s++)
		h = (h ^ (unsigned char)*s) * 16777619u;
	return h;
}

static bool
ends(const char *name, const char *tail)
{
	size_t n = strlen(name), k = strlen(tail);

	return n >= k && strcmp(name + n - k, tail) == 0;
}

static void
init_one(const struct cb_model *m, const struct cb_param *p, uint64_t seed,
    float *to)
{
	struct cb_rng r = { .seed = seed, .purpose = CB_RNG_INIT,
	    .seq = name_hash(p->name) };
	double deviation = m->c.init_range;
	int64_t i;

	if (p->rank <= 1) {		/* gains and variances 1, the rest 0 */
		for (i = 0; i < p->count; i++)
			to[i] = ends(p->name, "norm.weight") ||
			    ends(p->name, "LayerNorm.weight") ||
			    ends(p->name, "regressor.2.weight") ||
			    ends(p->name, "running_var");
		return;
	}
	if (p->rank == 4)
		deviation = sqrt(2.0 / (double)(p->dim[0] * p->dim[2] *
		    p->dim[3]));
	for (i = 0; i < p->count; i++)
		to[i] = (float)(deviation * cb_rng_normal(&r, (uint32_t)i));
}

void
cb_model_init(struct cb_model *m, uint64_t seed)
{
	const struct cb_param *p;
	float *host;
	int i;

	for (i = 0; i < m->nparams; i++) {
		p = &m->params[i];
		if ((host = malloc(p->count * sizeof(float))) == NULL)
			abort();
		init_one(m, p, seed, host);
		/* [PAD] begins as nothing, as in torch's padding_idx */
		if (ends(p->name, "word_embeddings.weight"))
			memset(host, 0, m->c.hidden * sizeof(float));
		cb_model_set(m, i, host);
		free(host);
	}
}
