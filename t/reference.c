/*
 * reference [-e engine] [-j threads] [-v] FILE...: runs what each case file in
 * the format of ../shared/reference describes (trunk, head and frames of a tiny
 * case lie beside it) and prints
 *
 *	ok|FAIL <worst relative error> <tensor> <file>
 *
 * where the worst is the one nearest to, or furthest beyond, its tolerance in
 * the README there.  Exits 0 only if all pass.
 */
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/safetensors.h"
#include "engine/engine.h"
#include "model/model.h"
#include "task/settings.h"
#include "train/train.h"

/* ---- the tolerances of the README ------------------------------------------- */

#define TOL_TAP 2e-4
#define TOL_SCORE 2e-4
#define TOL_LOSS 1e-4
#define TOL_GRAD 5e-4
#define TOL_LR 1e-6
#define TOL_MOMENT 2e-3
#define TOL_WEIGHT 5e-2		/* of the change since the start ... */
#define TOL_WEIGHT_ROUNDING 2e-7	/* ... and of the weight itself */
#define TOL_KEY_BIAS 0.1	/* of the largest rate */
#define TOL_BASE_SCORE 1e-4
#define TOL_BASE_LOSS 1e-5
#define TOL_BASE_CNN_NORM 5e-3
#define TOL_BASE_CNN_ENTRY 3e-2
#define TOL_PREPARE 1e-3

static bool verbose;

struct verdict {
	double	 worst;		/* error / tolerance */
	double	 error;
	char	 name[160];
	int	 compared;
};

static void
judge(struct verdict *v, double error, double tolerance, const char *fmt, ...)
{
	char name[160];
	double ratio = error / tolerance;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(name, sizeof(name), fmt, ap);
	va_end(ap);
	if (isnan(ratio))
		ratio = error = INFINITY;
	if (verbose)
		printf("  %-60s %.2e of %.0e\n", name, error, tolerance);
	v->compared++;
	if (ratio < v->worst && v->compared > 1)
		return;
	v->worst = ratio;
	v->error = error;
	snprintf(v->name, sizeof(v->name), "%s", name);
}

static double
norm_of(const float *x, int64_t n, int64_t step)
{
	double sum = 0;
	int64_t i;

	for (i = 0; i < n; i += step)
		sum += (double)x[i] * x[i];
	return sqrt(sum);
}

/* Norm of the difference of every step-th entry of got and all of want. */
static double
distance(const float *got, int64_t step, const float *want, int64_t n)
{
	double sum = 0, d;
	int64_t i;

	for (i = 0; i < n; i++) {
		d = (double)got[i * step] - want[i];
		sum += d * d;
	}
	return sqrt(sum);
}

/* Largest difference over the largest value. */
static double
max_error(const float *got, const float *want, int64_t n)
{
	double most = 0, error = 0, d;
	int64_t i;

	for (i = 0; i < n; i++) {
		d = fabs((double)got[i] - want[i]);
		error = d > error || isnan(d) ? d : error;
		most = fmax(most, fabs(want[i]));
	}
	return most > 0 ? error / most : error;
}

static double
relative(double got, double want)
{
	return want != 0 ? fabs(got - want) / fabs(want) : fabs(got);
}

static bool
has(const char *name, const char *part)
{
	return strstr(name, part) != NULL;
}

/* ---- reading a case ------------------------------------------------------------ */

struct ref_case {
	struct cb_safetensors *f;
	const char *path;
	struct cb_model_config c;
	int	 K, F, B, N, L, S;	/* S: side of the frames */
	struct cb_array *pictures;	/* B*K*F, owned */
	float	*memory;		/* their bytes */
	int32_t	*counts, *ids, *mask;	/* borrowed from f, counts expanded */
	const int32_t *mlm;		/* labels of masked words, borrowed */
	const struct cb_array *cells;	/* kept cells, borrowed; NULL: all */
	bool	 match;			/* only scores and answers: msrvtt_mc */
};

static void *
need(void *p)
{
	if (p == NULL)
		abort();
	return p;
}

static const struct cb_array *
tensor(const struct cb_safetensors *f, const char *fmt, ...)
{
	char name[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(name, sizeof(name), fmt, ap);
	va_end(ap);
	return cb_safetensors_find(f, name);
}

static int64_t
meta_int(const struct cb_safetensors *f, const char *key, int64_t none)
{
	const char *s = cb_safetensors_meta(f, key);

	return s != NULL ? strtoll(s, NULL, 10) : none;
}

static int
int_of(const json_t *o, const char *key)
{
	return (int)json_integer_value(json_object_get(o, key));
}

static double
real_of(const json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}

static int
pick(const char *what, const char *const *names, int n)
{
	int i;

	for (i = 0; i < n && what != NULL; i++)
		if (strcmp(names[i], what) == 0)
			return i;
	return -1;
}

static int
read_config(struct ref_case *r)
{
	static const char *const losses[] = { "ce", "bce", "mse", "rank" };
	static const char *const aggs[] = { "mean", "max", "lse" };
	static const char *const heads[] = { "classify", "choice", "pretrain",
	    "regress", "retrieve" };
	struct cb_model_config *c = &r->c;
	const char *head;
	json_t *o;
	int i;

	if (cb_safetensors_meta_json(&o, r->f, "config") < 0)
		return -1;
	c->stem = int_of(o, "stem");
	c->width = int_of(o, "width");
	c->res2 = int_of(o, "res2");
	for (i = 0; i < CB_STAGES; i++)
		c->blocks[i] = (int)json_integer_value(json_array_get(
		    json_object_get(o, "blocks"), i));
	c->freeze_at = int_of(o, "freeze_at");
	c->hidden = int_of(o, "hidden");
	c->layers = int_of(o, "layers");
	c->heads = int_of(o, "heads");
	c->inter = int_of(o, "inter");
	c->vocab = int_of(o, "vocab");
	c->positions = int_of(o, "max_pos");
	c->types = int_of(o, "types");
	c->rows = int_of(o, "rows");
	c->cols = int_of(o, "cols");
	c->labels = int_of(o, "labels");
	c->margin = (float)real_of(o, "margin");
	c->dropout = (float)real_of(o, "dropout");
	c->attention_dropout = (float)real_of(o, "attn_dropout");
	c->loss = pick(json_string_value(json_object_get(o, "loss")), losses,
	    4);
	i = pick(cb_safetensors_meta(r->f, "agg"), aggs, 3);
	c->agg = i < 0 ? CB_AGG_MEAN : i;
	head = json_string_value(json_object_get(o, "head"));
	if ((i = pick(head, heads, CB_LEN(heads))) < 0) {
		cb_fail(CB_EUSAGE, "%s: unknown head %s", r->path,
		    head != NULL ? head : "");
		json_decref(o);
		return -1;
	}
	c->head = i == 4 ? CB_HEAD_CLASSIFY : (enum cb_head)i;
	json_decref(o);
	memcpy(c->mean, (float[]){ 123.675f, 116.28f, 103.53f },
	    sizeof(c->mean));
	memcpy(c->std, (float[]){ 1, 1, 1 }, sizeof(c->std));
	r->K = (int)meta_int(r->f, "n_clips", 1);
	r->F = (int)meta_int(r->f, "num_frm", 1);
	return 0;
}

/* frames U8 [B,T,3,S,S] -> pictures u8 [S,S,3], the first K*F of each video. */
static int
read_frames(struct ref_case *r, const struct cb_array *a)
{
	int64_t dim[3], plane, t, i;
	int b, n = r->K * r->F, ch;
	const uint8_t *from;
	uint8_t *to;

	if (a == NULL || a->rank != 5 || a->type != CB_U8 || a->dim[2] != 3 ||
	    a->dim[0] < r->B || a->dim[1] < n)
		return cb_fail(CB_EFORMAT, "%s: no such frames", r->path);
	r->S = r->c.image = (int)a->dim[3];
	plane = a->dim[3] * a->dim[4];
	dim[0] = a->dim[3];
	dim[1] = a->dim[4];
	dim[2] = 3;
	r->pictures = need(calloc((size_t)r->B * n, sizeof(*r->pictures)));
	for (b = 0; b < r->B; b++) {
		for (t = 0; t < n; t++) {
			if (cb_array_init(&r->pictures[b * n + t], CB_U8, 3,
			    dim) < 0)
				return -1;
			from = (const uint8_t *)a->data +
			    (b * a->dim[1] + t) * 3 * plane;
			to = r->pictures[b * n + t].data;
			for (ch = 0; ch < 3; ch++)
				for (i = 0; i < plane; i++)
					to[3 * i + ch] = from[ch * plane + i];
		}
	}
	return 0;
}

/* ids, mask, counts and what pretraining has, under a prefix ("" or
 * "micro0/"). */
static int
read_texts(struct ref_case *r, const char *prefix)
{
	const struct cb_array *ids = tensor(r->f, "%sids", prefix);
	const struct cb_array *mask = tensor(r->f, "%smask", prefix);
	const struct cb_array *counts = tensor(r->f, "counts"), *mlm;
	int i;

	if (ids == NULL || mask == NULL || ids->rank != 2)
		return cb_fail(CB_EFORMAT, "%s: no %sids", r->path, prefix);
	r->N = (int)ids->dim[0];
	r->L = (int)ids->dim[1];
	r->ids = ids->data;
	r->mask = mask->data;
	mlm = tensor(r->f, "%smlm_labels", prefix);
	r->mlm = mlm != NULL ? mlm->data : NULL;
	r->cells = tensor(r->f, "%spixels", prefix);
	/* msrvtt_mc has no counts: five captions a video */
	r->B = counts != NULL ? (int)counts->dim[0] : r->N / 5;
	free(r->counts);
	r->counts = need(malloc(sizeof(*r->counts) * (r->B + 1)));
	for (i = 0; i < r->B; i++)
		r->counts[i] = counts == NULL ? 5 :
		    ((int32_t *)counts->data)[i] *
		    (r->c.head == CB_HEAD_CHOICE ? r->c.labels : 1);
	return 0;
}

/* With the labels under a prefix. */
static struct cb_inputs
inputs(const struct ref_case *r, const char *prefix)
{
	const struct cb_array *labels = tensor(r->f, r->mlm != NULL ?
	    "%sitm_labels" : "%slabels", prefix);
	struct cb_inputs in = { .B = r->B, .K = r->K, .F = r->F, .N = r->N,
	    .L = r->L, .pictures = r->pictures, .counts = r->counts,
	    .ids = r->ids, .mask = r->mask, .mlm_labels = r->mlm,
	    .labels = labels != NULL ? labels->data : NULL };

	if (r->cells != NULL) {
		in.cells = r->cells->data;
		in.ncells = (int)cb_array_count(r->cells);
	}
	return in;
}

static void
free_frames(struct ref_case *r)
{
	int i;

	for (i = 0; r->pictures != NULL && i < r->B * r->K * r->F; i++)
		cb_array_clear(&r->pictures[i]);
	free(r->pictures);
	r->pictures = NULL;
}

/* ---- weights ---------------------------------------------------------------------- */

static int
set_from(struct cb_model *m, const struct cb_safetensors *f,
    const char *prefix, bool *seen)
{
	int n, i;
	const struct cb_param *p = cb_model_params(m, &n);
	char name[256];
	float *host;

	for (i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "%s%s", prefix, p[i].name);
		if (cb_safetensors_find(f, name) == NULL)
			continue;
		host = need(malloc(sizeof(*host) * p[i].count));
		if (cb_safetensors_f32(f, name, p[i].rank, p[i].dim, host) < 0) {
			free(host);
			return -1;
		}
		cb_model_set(m, i, host);
		seen[i] = true;
		free(host);
	}
	return 0;
}

/* "a.safetensors b.safetensors", beside the case file. */
static int
set_from_files(struct cb_model *m, const struct ref_case *r, bool *seen)
{
	char *list = cb_strf("%s", cb_safetensors_meta(r->f, "weights"));
	const char *slash = strrchr(r->path, '/');
	char *name, *path, *save = NULL;
	struct cb_safetensors *f;
	int rc = 0;

	for (name = strtok_r(list, " ", &save); name != NULL && rc == 0;
	    name = strtok_r(NULL, " ", &save)) {
		path = cb_strf("%.*s%s", slash == NULL ? 0 :
		    (int)(slash - r->path + 1), r->path, name);
		rc = cb_safetensors_open(&f, path);
		if (rc == 0) {
			rc = set_from(m, f, "", seen);
			cb_safetensors_close(f);
		}
		free(path);
	}
	free(list);
	return rc;
}

static bool
ends(const char *name, const char *tail)
{
	size_t n = strlen(name), k = strlen(tail);

	return n >= k && strcmp(name + n - k, tail) == 0;
}

static void
formula_law(const struct cb_param *p, float *centre, float *half)
{
	double fan = 1, root;
	int i;

	for (i = 1; i < p->rank; i++)
		fan *= (double)p->dim[i];
	*centre = 0;
	if (ends(p->name, "running_var")) {
		*centre = 1;
		root = 0.5;
	} else if (ends(p->name, "running_mean")) {
		root = 0.1;
	} else if (ends(p->name, "conv3.norm.weight")) {
		*centre = 0.3f;
		root = 0.1;
	} else if (ends(p->name, "norm.weight") ||
	    ends(p->name, "LayerNorm.weight") ||
	    ends(p->name, "regressor.2.weight")) {
		*centre = 1;
		root = 0.25;
	} else if (ends(p->name, "bias")) {
		root = 0.05;
	} else if (ends(p->name, "stem.conv1.weight")) {
		root = 0.0025;
	} else if (p->rank == 4) {
		root = sqrt(6 / fan);
	} else if (ends(p->name, "embeddings.weight")) {
		root = 0.5;
	} else if (ends(p->name, "query.weight") ||
	    ends(p->name, "key.weight")) {
		root = sqrt(12 / fan);
	} else if (ends(p->name, "output.dense.weight")) {
		root = sqrt(0.5 / fan);
	} else {
		root = sqrt(6 / fan);
	}
	*half = (float)root;
}

static void
formula_fill(const struct cb_param *p, const char *salt, float *to)
{
	uint64_t seed = 0xcbf29ce484222325u, z;
	const char *s;
	float centre, half;
	int64_t i, k;

	for (s = salt; *s != '\0'; s++)
		seed = (seed ^ (unsigned char)*s) * 0x100000001b3u;
	for (s = p->name; *s != '\0'; s++)
		seed = (seed ^ (unsigned char)*s) * 0x100000001b3u;
	formula_law(p, &centre, &half);
	for (i = 0; i < p->count; i++) {
		z = seed + (uint64_t)(i + 1) * 0x9E3779B97F4A7C15u;
		z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
		z = (z ^ z >> 27) * 0x94D049BB133111EBu;
		z ^= z >> 31;
		k = 2 * (int64_t)(z >> 40) + 1 - (1 << 24);
		to[i] = (float)((double)centre + (double)half *
		    ((double)k / (1 << 24)));
	}
}

static void
set_formula(struct cb_model *m, const char *salt, bool *seen)
{
	int n, i;
	const struct cb_param *p = cb_model_params(m, &n);
	float *host;

	for (i = 0; i < n; i++) {
		host = need(malloc(sizeof(*host) * p[i].count));
		formula_fill(&p[i], salt, host);
		cb_model_set(m, i, host);
		seen[i] = true;
		free(host);
	}
}

static int
set_weights(struct cb_model *m, const struct ref_case *r)
{
	const char *how = cb_safetensors_meta(r->f, "weights");
	const char *salt = cb_safetensors_meta(r->f, "salt");
	int n, i, rc = 0;
	const struct cb_param *p = cb_model_params(m, &n);
	bool *seen = need(calloc(n, sizeof(*seen)));

	if (how == NULL)
		rc = set_from(m, r->f, "start/", seen);
	else if (strcmp(how, "formula") == 0)
		set_formula(m, salt != NULL ? salt : "", seen);
	else
		rc = set_from_files(m, r, seen);
	for (i = 0; i < n && rc == 0; i++)
		if (!seen[i])
			rc = cb_fail(CB_EMISSING, "%s: no weights for %s",
			    r->path, p[i].name);
	free(seen);
	if (rc == 0)
		cb_model_pack(m, true);
	return rc;
}

/* ---- intermediate results ------------------------------------------------------ */

struct taps {
	struct ref_case *r;
	struct verdict *v;
	const struct cb_array *norms;	/* "tapnorm", base only */
	const char *norm_names;
};

/* Clip 0 of channels-last pictures [P,H,W,C] as channels-first [B*F,C,H,W];
 * yours to free. */
static float *
planar(const struct ref_case *r, const float *x, const int64_t *dim)
{
	int64_t H = dim[1], W = dim[2], C = dim[3], i, c;
	float *y = need(malloc(sizeof(*y) * r->B * r->F * H * W * C)), *to = y;
	const float *from;
	int b, f;

	for (b = 0; b < r->B; b++) {
		for (f = 0; f < r->F; f++) {
			from = x + (int64_t)(b * r->K * r->F + f) * H * W * C;
			for (c = 0; c < C; c++)
				for (i = 0; i < H * W; i++)
					*to++ = from[i * C + c];
		}
	}
	return y;
}

/* Clip 0 of the grid, [B,F,h,w,D]: channels stay last. */
static float *
grid_of(const struct ref_case *r, const float *x, const int64_t *dim)
{
	int64_t n = dim[1] * dim[2] * dim[3];
	float *y = need(malloc(sizeof(*y) * r->B * r->F * n));
	int b;

	for (b = 0; b < r->B; b++)
		memcpy(y + b * r->F * n, x + b * r->K * r->F * n,
		    sizeof(*y) * r->F * n);
	return y;
}

/*
 * Tokens of clip 0 from packed [T,D] to [N,L+V,D].  Padded text tokens are not
 * computed here: the expected values stand in for them.
 */
static float *
unpack(const struct ref_case *r, const float *x, int64_t D, int V,
    const float *want)
{
	int W = r->L + V, n, l;
	float *y = need(malloc(sizeof(*y) * r->N * W * D)), *to = y;

	for (n = 0; n < r->N; n++) {
		for (l = 0; l < W; l++, to += D) {
			if (l < r->L && r->mask[n * r->L + l] == 0) {
				memcpy(to, want + (to - y), sizeof(*y) * D);
				continue;
			}
			memcpy(to, x, sizeof(*y) * D);
			x += D;
		}
	}
	return y;
}

/* The i-th number where the i-th of the blank-separated names is name. */
static int
index_of(const char *names, const char *name)
{
	size_t k = strlen(name);
	int i = 0;

	for (; names != NULL && *names != '\0'; i++) {
		if (strncmp(names, name, k) == 0 &&
		    (names[k] == ' ' || names[k] == '\0'))
			return i;
		names += strcspn(names, " ");
		names += *names == ' ';
	}
	return -1;
}

/*
 * Scores of the vocabulary, packed like the texts: of all positions, or of the
 * labelled ones only.
 */
static void
judge_words(struct verdict *v, const struct ref_case *r, const float *x,
    int64_t C)
{
	const struct cb_array *all = tensor(r->f, "mlm_scores");
	const struct cb_array *some = tensor(r->f, "mlm_scores_at_labels");
	float *got;
	int64_t n = 0;
	int i;

	if (all != NULL) {
		got = unpack(r, x, C, 0, all->data);
		judge(v, max_error(got, all->data, cb_array_count(all)),
		    TOL_SCORE, "mlm_scores");
		free(got);
	}
	if (some == NULL)
		return;
	got = need(malloc(sizeof(*got) * cb_array_count(some)));
	for (i = 0; i < r->N * r->L; i++) {
		if (r->mlm[i] >= 0 && n < some->dim[0])
			memcpy(got + C * n++, x, sizeof(*got) * C);
		x += r->mask[i] != 0 ? C : 0;
	}
	judge(v, n == some->dim[0] ? max_error(got, some->data,
	    cb_array_count(some)) : INFINITY, TOL_BASE_SCORE,
	    "mlm_scores_at_labels");
	free(got);
}

static void
on_tap(void *arg, const char *name, const float *x, int rank,
    const int64_t *dim)
{
	struct taps *t = arg;
	struct ref_case *r = t->r;
	const struct cb_array *whole = tensor(r->f, "tap/%s", name);
	const struct cb_array *some = tensor(r->f, "tapsample/%s", name);
	bool tokens = rank == 2 && strcmp(name, "pooled") != 0;
	const struct cb_array *want = whole != NULL ? whole : some;
	int64_t n, step, i;
	float *got, *picked;
	int at;

	if (strcmp(name, "mlm_scores") == 0) {
		judge_words(t->v, r, x, dim[1]);
		return;
	}
	if (tokens && whole == NULL)
		return;		/* norms of whole tensors include padding */
	if (tokens)
		got = unpack(r, x, dim[1], (int)(whole->dim[1] - r->L),
		    whole->data);
	else if (strcmp(name, "grid") == 0)
		got = grid_of(r, x, dim);
	else if (rank == 4)
		got = planar(r, x, dim);
	else
		got = memcpy(need(malloc(sizeof(*got) * r->N * dim[1])), x,
		    sizeof(*got) * r->N * dim[1]);
	n = rank == 4 ? (int64_t)r->B * r->F * dim[1] * dim[2] * dim[3] :
	    tokens ? cb_array_count(whole) : r->N * dim[1];
	if (want != NULL) {
		step = whole != NULL ? 1 : (n + 4095) / 4096;
		picked = need(malloc(sizeof(*picked) * cb_array_count(want)));
		for (i = 0; i < cb_array_count(want); i++)
			picked[i] = got[i * step];
		judge(t->v, max_error(picked, want->data,
		    cb_array_count(want)), TOL_TAP, "tap/%s", name);
		free(picked);
	}
	at = index_of(t->norm_names, name);
	if (t->norms != NULL && at >= 0 && !tokens)
		judge(t->v, relative(norm_of(got, n, 1),
		    ((float *)t->norms->data)[at]), TOL_TAP, "tapnorm/%s",
		    name);
	free(got);
}

/* ---- gradients --------------------------------------------------------------------- */

/* Gradients of all parameters, host, at the offsets of the table. */
static float *
all_grads(struct cb_model *m)
{
	struct cb_engine *e = cb_model_engine(m);
	int64_t n = cb_model_trainable(m);
	float *g = need(malloc(sizeof(*g) * n));

	e->get(e, g, cb_model_grads(m), n * sizeof(*g));
	e->sync(e);
	return g;
}

static void
judge_grad(struct verdict *v, const struct ref_case *r,
    const struct cb_param *p, const float *g, double global, double norm)
{
	const struct cb_array *whole = tensor(r->f, "grad/%s", p->name);
	const struct cb_array *some = tensor(r->f, "gradsample/%s", p->name);
	const struct cb_array *want = whole != NULL ? whole : some;
	int64_t n, step = whole != NULL ? 1 : (p->count + 127) / 128;
	double size, base;

	/* pure noise in f32 (README, Tolerances): against the global norm */
	base = has(p->name, "key.bias") ? global : 0.001 * global;
	judge(v, fabs(norm_of(g, p->count, 1) - norm) / (norm + base),
	    TOL_GRAD, "gradnorm/%s", p->name);
	if (want == NULL)
		return;
	n = cb_array_count(want);
	size = norm_of(want->data, n, 1);
	judge(v, distance(g, step, want->data, n) / (size + base), TOL_GRAD,
	    "grad/%s", p->name);
}

static int
judge_grads(struct verdict *v, const struct ref_case *r, struct cb_model *m)
{
	const char *names = cb_safetensors_meta(r->f, "grad_names");
	const struct cb_array *norms = tensor(r->f, "gradnorm");
	int n, i, at, found = 0;
	const struct cb_param *p = cb_model_params(m, &n);
	double global = 0;
	float *g;

	if (norms == NULL)
		return 0;
	global = norm_of(norms->data, cb_array_count(norms), 1);
	g = all_grads(m);
	for (i = 0; i < n; i++) {
		if (!p[i].trainable)
			continue;
		if ((at = index_of(names, p[i].name)) < 0 ||
		    at >= cb_array_count(norms)) {
			judge(v, INFINITY, 1, "grad/%s not expected",
			    p[i].name);
			continue;
		}
		found++;
		judge_grad(v, r, &p[i], g + p[i].at, global,
		    ((float *)norms->data)[at]);
	}
	free(g);
	if (found != cb_array_count(norms))
		judge(v, INFINITY, 1, "%d of %lld gradients", found,
		    (long long)cb_array_count(norms));
	return 0;
}

/* base/: norms, and eight entries of each. */
static void
judge_base_grads(struct verdict *v, const struct ref_case *r,
    struct cb_model *m)
{
	const char *names = cb_safetensors_meta(r->f, "grad_names");
	const struct cb_array *norms = tensor(r->f, "grad_norm");
	const struct cb_array *index = tensor(r->f, "grad_index");
	const struct cb_array *value = tensor(r->f, "grad_value");
	int n, i, at, j;
	const struct cb_param *p = cb_model_params(m, &n);
	double global = norm_of(norms->data, cb_array_count(norms), 1);
	float *g = all_grads(m);

	for (i = 0; i < n; i++) {
		const float *want, *mine;
		double tol_n = TOL_GRAD, tol_e = TOL_GRAD, norm, most = 0;
		double error = 0, base;
		const int64_t *where;

		if (!p[i].trainable)
			continue;
		if ((at = index_of(names, p[i].name)) < 0) {
			judge(v, INFINITY, 1, "grad/%s", p[i].name);
			continue;
		}
		if (has(p[i].name, "cnn.feature")) {
			tol_n = TOL_BASE_CNN_NORM;
			tol_e = TOL_BASE_CNN_ENTRY;
		}
		mine = g + p[i].at;
		norm = ((float *)norms->data)[at];
		base = has(p[i].name, "key.bias") ? global : 0.001 * global;
		judge(v, fabs(norm_of(mine, p[i].count, 1) - norm) /
		    (norm + base), tol_n, "grad_norm/%s", p[i].name);
		want = (float *)value->data + 8 * at;
		where = (int64_t *)index->data + 8 * at;
		for (j = 0; j < 8; j++) {
			if (where[j] < 0 || where[j] >= p[i].count) {
				error = INFINITY;
				break;
			}
			most = fmax(most, fabs(want[j]));
			error = fmax(error, fabs((double)mine[where[j]] -
			    want[j]));
		}
		if (has(p[i].name, "key.bias"))
			most = global;
		judge(v, most > 0 ? error / most : error, tol_e,
		    "grad_value/%s", p[i].name);
	}
	free(g);
}

/* ---- scores ------------------------------------------------------------------------ */

static void
judge_values(struct verdict *v, const struct ref_case *r, const char *name,
    const float *got, double tolerance)
{
	const struct cb_array *want = tensor(r->f, "%s", name);

	if (want != NULL)
		judge(v, max_error(got, want->data, cb_array_count(want)),
		    tolerance, "%s", name);
}

static void
judge_answers(struct verdict *v, const struct ref_case *r, const float *scores,
    int rows)
{
	const struct cb_array *want = tensor(r->f, "answers");
	int C = r->c.labels, i, c, best, bad = 0;

	if (want == NULL || r->c.loss == CB_LOSS_RANK || r->match)
		return;
	for (i = 0; i < rows; i++) {
		if (r->c.head == CB_HEAD_REGRESS) {	/* quirk 22 */
			c = (int)(scores[i] + 0.5f);
			c = c < 1 ? 1 : c > 10 ? 10 : c;
			bad += c != ((int32_t *)want->data)[i];
			continue;
		}
		for (c = 1, best = 0; c < C; c++)
			if (scores[i * C + c] > scores[i * C + best])
				best = c;
		bad += best != ((int32_t *)want->data)[i];
	}
	judge(v, bad, 0.5, "answers");
}

/* Probability that text and video belong together. */
static void
judge_match(struct verdict *v, const struct ref_case *r, const float *s,
    int rows)
{
	const struct cb_array *want = tensor(r->f, r->match ? "prob" :
	    "match_score");
	float *p = need(malloc(sizeof(*p) * rows));
	int i, j, best, bad = 0;

	for (i = 0; i < rows; i++)
		p[i] = r->c.labels == 2 ?
		    1 / (1 + expf(s[2 * i] - s[2 * i + 1])) :
		    1 / (1 + expf(-s[i]));
	if (want != NULL)
		judge(v, max_error(p, want->data, rows), TOL_SCORE, "match");
	want = tensor(r->f, "answers");
	for (i = 0; r->match && want != NULL && i < rows / 5; i++) {
		for (j = 1, best = 0; j < 5; j++)
			if (p[5 * i + j] > p[5 * i + best])
				best = j;
		bad += best != ((int32_t *)want->data)[i];
	}
	if (r->match)
		judge(v, bad, 0.5, "answers");
	free(p);
}

/* ---- the kinds of case ---------------------------------------------------------- */

/* What forward passes left in the statistics of the regression head. */
static void
judge_after(struct verdict *v, const struct ref_case *r, struct cb_model *m,
    const char *prefix)
{
	int n, i;
	const struct cb_param *p = cb_model_params(m, &n);
	const struct cb_array *want;
	float *got, *is;

	for (i = 0; i < n; i++) {
		if (!p[i].buffer ||
		    (want = tensor(r->f, "%s%s", prefix, p[i].name)) == NULL)
			continue;
		got = need(malloc(2 * sizeof(*got) * p[i].count));
		is = got + p[i].count;
		cb_model_get(m, i, got);
		cb_array_to_f32(is, want);
		judge(v, max_error(got, is, p[i].count), TOL_SCORE, "%s%s",
		    prefix, p[i].name);
		free(got);
	}
}

/* Masked words: the unreduced losses and the two parts of the loss. */
static void
judge_pretraining(struct verdict *v, const struct ref_case *r,
    struct cb_model *m, const float *itm_each, double tolerance)
{
	const struct cb_array *want = tensor(r->f, "mlm_loss");
	int NL = r->N * r->L, n = cb_model_last_mlm(m, NULL), i, k = 0;
	float *each = need(malloc(sizeof(*each) * (n + 1)));
	float *all = need(calloc(NL, sizeof(*all)));
	double sum = 0;

	cb_model_last_mlm(m, each);
	for (i = 0; i < NL; i++)
		if (r->mlm[i] >= 0 && k < n)
			sum += all[i] = each[k++];
	judge_values(v, r, "mlm_loss_each", all, tolerance);
	judge_values(v, r, "itm_loss_each", itm_each, tolerance);
	if (want != NULL)
		judge(v, k == n ? relative(sum / NL, *(float *)want->data) :
		    INFINITY, tolerance, "mlm_loss");
	want = tensor(r->f, "itm_loss");
	for (sum = 0, i = 0; i < r->N; i++)
		sum += itm_each[i];
	if (want != NULL)
		judge(v, relative(sum / r->N, *(float *)want->data), tolerance,
		    "itm_loss");
	free(each);
	free(all);
}

static int
run_model(struct verdict *v, struct ref_case *r, struct cb_model *m)
{
	bool base = tensor(r->f, "grad_norm") != NULL;
	bool regress = r->c.head == CB_HEAD_REGRESS;
	double tol = base ? TOL_BASE_SCORE : TOL_SCORE;
	int rows = r->c.head == CB_HEAD_CHOICE ? r->N / r->c.labels : r->N;
	int64_t n = (int64_t)rows * r->c.labels;
	float *x = need(malloc(sizeof(*x) * (2 + 2 * r->K) * n));
	float *scores = x + n, *clip = scores + n, *dclip = clip + r->K * n;
	struct cb_inputs in = inputs(r, "");
	const struct cb_array *want = tensor(r->f, "loss");
	struct taps t = { r, v, tensor(r->f, "tapnorm"),
	    cb_safetensors_meta(r->f, "tap_names") };
	float loss;
	int rc = -1;

	if (cb_model_score(m, &in, scores, clip) < 0)
		goto done;
	judge_values(v, r, regress ? "eval_logits" : "logits", scores, tol);
	judge_values(v, r, "itm_scores", scores, tol);
	if (!regress)
		judge_values(v, r, "clip_logits", clip, tol);
	judge_answers(v, r, scores, rows);
	judge_match(v, r, scores, rows);
	if (in.labels == NULL) {
		rc = 0;
		goto done;
	}
	cb_model_tap(m, on_tap, &t);
	if (cb_model_train(m, &in, 0, 0, &loss) < 0)
		goto done;
	cb_model_tap(m, NULL, NULL);
	cb_model_last(m, x, scores, clip, dclip);
	judge_values(v, r, "logits", scores, tol);
	judge_values(v, r, "itm_scores", scores, tol);
	judge_values(v, r, "clip_logits", clip, tol);
	judge_values(v, r, "loss_each", x, tol);
	judge_values(v, r, "dclip_logits", dclip, tol);
	judge_values(v, r, "ditm_scores", dclip, tol);
	judge_after(v, r, m, "after/");
	if (r->mlm != NULL)
		judge_pretraining(v, r, m, x, tol);
	if (want != NULL)
		judge(v, relative(loss, *(float *)want->data),
		    base ? TOL_BASE_LOSS : TOL_LOSS, "loss");
	if (base)
		judge_base_grads(v, r, m);
	else
		judge_grads(v, r, m);
	rc = 0;
done:
	free(x);
	return rc;
}

static int
read_case_frames(struct ref_case *r)
{
	const char *where = cb_safetensors_meta(r->f, "frames");
	const char *slash = strrchr(r->path, '/');
	struct cb_safetensors *f;
	char *path;
	int rc;

	if (tensor(r->f, "frames") != NULL)
		return read_frames(r, tensor(r->f, "frames"));
	if (where == NULL)
		return cb_fail(CB_EFORMAT, "%s: no frames", r->path);
	path = cb_strf("%.*s%.*s", slash == NULL ? 0 :
	    (int)(slash - r->path + 1), r->path, (int)strcspn(where, " "),
	    where);
	rc = cb_safetensors_open(&f, path);
	free(path);
	if (rc < 0)
		return -1;
	rc = read_frames(r, cb_safetensors_find(f, "frames"));
	cb_safetensors_close(f);
	return rc;
}

static int
run_case(struct verdict *v, struct ref_case *r, struct cb_engine *e)
{
	struct cb_model *m = NULL;
	int rc = -1;

	r->match = tensor(r->f, "prob") != NULL;
	if (read_config(r) < 0 || read_texts(r, "") < 0 ||
	    read_case_frames(r) < 0 || cb_model_new(&m, e, &r->c) < 0 ||
	    set_weights(m, r) < 0 || run_model(v, r, m) < 0)
		goto done;
	rc = 0;
done:
	cb_model_free(m);
	return rc;
}

/* ---- optimiser steps ------------------------------------------------------------ */

struct run {
	struct ref_case *r;
	struct cb_model *m;
	struct cb_settings s;
	struct cb_segments segs;
	float	*moment, *variance;	/* engine */
	double	 rates[CB_GROUPS];
	int64_t	 total, t;
	int	 accumulate, zero;
};

static int
read_optim(struct run *u)
{
	static const char *const kinds[] = { "linear", "invsqrt", "constant",
	    "multi_step" };
	struct cb_settings *s = &u->s;
	json_t *o, *betas;
	int kind, cnn_kind;

	if (cb_safetensors_meta_json(&o, u->r->f, "optim") < 0)
		return -1;
	if (cb_settings_init(s) < 0) {
		json_decref(o);
		return -1;
	}
	s->learning_rate = real_of(o, "lr");
	s->cnn_learning_rate = real_of(o, "cnn_lr");
	s->weight_decay = real_of(o, "wd");
	s->cnn_weight_decay = real_of(o, "cnn_wd");
	s->transformer_lr_mul = real_of(o, "lr_mul");
	s->cnn_lr_mul = real_of(o, "cnn_lr_mul");
	free(s->transformer_lr_mul_prefix);
	free(s->cnn_lr_mul_prefix);
	s->transformer_lr_mul_prefix = cb_strf("%s", json_string_value(
	    json_object_get(o, "transformer_prefix")));
	s->cnn_lr_mul_prefix = cb_strf("%s", json_string_value(
	    json_object_get(o, "cnn_prefix")));
	betas = json_object_get(o, "betas");
	s->betas[0] = json_number_value(json_array_get(betas, 0));
	s->betas[1] = json_number_value(json_array_get(betas, 1));
	kind = pick(json_string_value(json_object_get(o, "decay")), kinds, 4);
	cnn_kind = pick(json_string_value(json_object_get(o, "cnn_decay")),
	    kinds, 4);
	s->decay = kind;
	s->cnn_lr_decay = cnn_kind;
	s->warmup_ratio = real_of(o, "warmup_ratio");
	s->grad_norm = real_of(o, "grad_norm");
	u->total = int_of(o, "total_steps");
	u->accumulate = (int)meta_int(u->r->f, "accumulate", 1);
	json_decref(o);
	return kind < 0 || cnn_kind < 0 ?
	    cb_fail(CB_EFORMAT, "%s: decay", u->r->path) : 0;
}

/*
 * The original's steps with zero gradients (quirk 31): before the first look-up
 * in the schedule, so with base rates, the CNN's rest with the transformer's
 * (quirk 30).
 */
static int
zero_steps(struct run *u)
{
	const struct cb_settings *s = &u->s;
	double lr[CB_GROUPS] = { s->transformer_lr_mul * s->learning_rate,
	    s->transformer_lr_mul * s->learning_rate, s->learning_rate,
	    s->learning_rate, s->cnn_lr_mul * s->cnn_learning_rate,
	    s->cnn_lr_mul * s->cnn_learning_rate, s->learning_rate,
	    s->learning_rate };
	double norm;
	int i, z;

	cb_model_zero_grads(u->m);
	cb_segments_rate(&u->segs, s, 1, u->total, 0);
	for (i = 0; i < u->segs.n; i++)
		u->segs.at[i].lr = lr[u->segs.at[i].group];
	for (z = 0; z < u->zero; z++)
		if (cb_optim_step(&norm, cb_model_engine(u->m), &u->segs,
		    cb_model_weights(u->m), u->moment, u->variance,
		    cb_model_grads(u->m), ++u->t, s->betas, s->grad_norm) < 0)
			return -1;
	cb_model_pack(u->m, false);
	return 0;
}

/* "" or "zero1/": the prefix of the expected values. */
static void
prefix_of(const struct run *u, char out[16])
{
	out[0] = '\0';
	if (u->zero > 0)
		snprintf(out, 16, "zero%d/", u->zero);
}

static float *
get_arena(struct run *u, const float *from)
{
	struct cb_engine *e = cb_model_engine(u->m);
	int64_t n = cb_model_trainable(u->m);
	float *host = need(malloc(sizeof(*host) * n));

	e->get(e, host, from, n * sizeof(*host));
	e->sync(e);
	return host;
}

static void
judge_weight(struct verdict *v, const struct run *u, const char *name,
    const float *w, const float *start, const struct cb_array *want,
    int64_t step)
{
	int64_t n = cb_array_count(want), i;
	double most = 0, change, lr = 0, error = 0;
	const float *y = want->data;

	for (i = 0; i < CB_GROUPS; i++)
		lr = fmax(lr, u->rates[i]);
	if (has(name, "key.bias")) {
		for (i = 0; i < n; i++)
			most = fmax(most, fabs((double)w[i * step] - y[i]));
		judge(v, most / lr, TOL_KEY_BIAS, "w/%s", name);
		return;
	}
	change = distance(start, step, y, n);
	error = distance(w, step, y, n);
	/* as a share of what is allowed beside the rounding of w itself */
	error -= TOL_WEIGHT_ROUNDING * norm_of(y, n, 1);
	judge(v, error <= 0 ? 0 : change > 0 ? error / change : INFINITY,
	    TOL_WEIGHT, "w/%s", name);
}

static void
judge_state(struct verdict *v, struct run *u, int step, double norm)
{
	struct ref_case *r = u->r;
	int n, i;
	const struct cb_param *p = cb_model_params(u->m, &n);
	float *w = get_arena(u, cb_model_weights(u->m));
	float *m = get_arena(u, u->moment), *s = get_arena(u, u->variance);
	const struct cb_array *a;
	char pre[16];
	double base;

	prefix_of(u, pre);
	for (i = 0; i < n; i++) {
		if (!p[i].trainable)
			continue;
		bool key = has(p[i].name, "key.bias");
		const struct cb_array *start = tensor(r->f, "start/%s",
		    p[i].name);

		if (start != NULL && u->zero == 0 && (a = tensor(r->f,
		    "step%d/w/%s", step, p[i].name)) != NULL)
			judge_weight(v, u, p[i].name, w + p[i].at,
			    start->data, a, 1);
		if (start != NULL && u->zero > 0 && (a = tensor(r->f,
		    "%sstep%d/wsample/%s", pre, step, p[i].name)) != NULL) {
			/* sampled as the gradients are */
			int64_t every = (p[i].count + 127) / 128, j;
			float *some = need(malloc(sizeof(*some) *
			    cb_array_count(a) * every));

			for (j = 0; j < cb_array_count(a); j++)
				some[j * every] =
				    ((float *)start->data)[j * every];
			judge_weight(v, u, p[i].name, w + p[i].at, some, a,
			    every);
			free(some);
		}
		if (u->zero > 0)
			continue;
		if ((a = tensor(r->f, "step%d/m/%s", step, p[i].name))) {
			base = key ? norm : norm_of(a->data, p[i].count, 1);
			judge(v, base > 0 ? distance(m + p[i].at, 1, a->data,
			    p[i].count) / base : norm_of(m + p[i].at,
			    p[i].count, 1), TOL_MOMENT, "step%d/m/%s", step,
			    p[i].name);
		}
		if ((a = tensor(r->f, "step%d/v/%s", step, p[i].name))) {
			base = key ? norm * norm :
			    norm_of(a->data, p[i].count, 1);
			judge(v, base > 0 ? distance(s + p[i].at, 1, a->data,
			    p[i].count) / base : norm_of(s + p[i].at,
			    p[i].count, 1), TOL_MOMENT, "step%d/v/%s", step,
			    p[i].name);
		}
	}
	free(w);
	free(m);
	free(s);
}

static int
one_step(struct verdict *v, struct run *u, int step)
{
	struct ref_case *r = u->r;
	const struct cb_array *losses, *a;
	char micro[24], pre[16], after[32];
	struct cb_inputs in;
	double norm;
	float loss;
	int i, k, rc;

	prefix_of(u, pre);
	losses = tensor(r->f, "%slosses", pre);
	cb_model_zero_grads(u->m);
	for (k = 0; k < u->accumulate; k++) {
		i = (step - 1) * u->accumulate + k;
		snprintf(micro, sizeof(micro), "micro%d/", i);
		if (read_texts(r, micro) < 0 ||
		    read_frames(r, tensor(r->f, "%sframes", micro)) < 0)
			return -1;
		in = inputs(r, micro);
		rc = cb_model_train(u->m, &in, 0, 0, &loss);
		free_frames(r);
		if (rc < 0)
			return -1;
		if (losses != NULL)
			judge(v, relative(loss, ((float *)losses->data)[i]),
			    TOL_LOSS, "%slosses[%d]", pre, i);
	}
	cb_segments_rate(&u->segs, &u->s, step, u->total, 0);
	cb_group_rates(u->rates, &u->s, step, u->total, 0);
	if ((a = tensor(r->f, "%sstep%d/lr", pre, step)) != NULL)
		for (i = 0; i < CB_GROUPS; i++)
			judge(v, relative(u->rates[i], ((float *)a->data)[i]),
			    TOL_LR, "%sstep%d/lr[%d]", pre, step, i);
	if (cb_optim_step(&norm, cb_model_engine(u->m), &u->segs,
	    cb_model_weights(u->m), u->moment, u->variance,
	    cb_model_grads(u->m), ++u->t, u->s.betas, u->s.grad_norm) < 0)
		return -1;
	cb_model_pack(u->m, false);
	if ((a = tensor(r->f, "%sstep%d/grad_norm", pre, step)) != NULL)
		judge(v, relative(norm, *(float *)a->data), TOL_LOSS,
		    "%sstep%d/grad_norm", pre, step);
	judge_state(v, u, step, norm);
	snprintf(after, sizeof(after), "%sstep%d/w/", pre, step);
	judge_after(v, r, u->m, after);
	return 0;
}

static int
run_steps(struct verdict *v, struct ref_case *r, struct cb_engine *e, int zero)
{
	struct run u = { .r = r, .zero = zero };
	int64_t n;
	const struct cb_param *p;
	int rc = -1, np, i, steps;

	if (read_config(r) < 0 || read_optim(&u) < 0)
		return -1;
	if (tensor(r->f, "micro0/frames") == NULL) {
		cb_fail(CB_EFORMAT, "%s: no micro0/frames", r->path);
		goto done;
	}
	r->c.image = (int)tensor(r->f, "micro0/frames")->dim[3];
	if (cb_model_new(&u.m, e, &r->c) < 0 || set_weights(u.m, r) < 0)
		goto done;
	n = cb_model_trainable(u.m) * (int64_t)sizeof(float);
	u.moment = need(e->alloc(e, n));
	u.variance = need(e->alloc(e, n));
	p = cb_model_params(u.m, &np);
	if (cb_segments_init(&u.segs, p, np, &u.s) < 0 || zero_steps(&u) < 0)
		goto done;
	for (steps = 0; tensor(r->f, "micro%d/ids", steps) != NULL; steps++)
		;
	for (i = 1; i <= steps / u.accumulate; i++)
		if (one_step(v, &u, i) < 0)
			goto done;
	rc = 0;
done:
	if (u.moment != NULL)
		e->release(e, u.moment);
	if (u.variance != NULL)
		e->release(e, u.variance);
	cb_segments_clear(&u.segs);
	cb_settings_clear(&u.s);
	cb_model_free(u.m);
	return rc;
}

/* ---- preparing pictures ---------------------------------------------------------- */

static int
run_prepare(struct verdict *v, struct ref_case *r, struct cb_engine *e)
{
	const struct cb_array *image = tensor(r->f, "image");
	const struct cb_array *size = tensor(r->f, "resized");
	const struct cb_array *whole = tensor(r->f, "expected");
	const struct cb_array *rows = tensor(r->f, "rows");
	const struct cb_array *some = tensor(r->f, "expected_rows");
	const struct cb_array *total = tensor(r->f, "sum");
	int S = (int)meta_int(r->f, "max_img_size", 0), h, w, i, j, ch, y, n;
	float mean[3], std[3], *host;
	double sum = 0, error = 0, want;
	json_t *jm, *js;
	void *x;

	if (image == NULL || S < 1 ||
	    cb_safetensors_meta_json(&jm, r->f, "mean") < 0)
		return cb_fail(CB_EFORMAT, "%s: no image", r->path);
	if (cb_safetensors_meta_json(&js, r->f, "std") < 0) {
		json_decref(jm);
		return -1;
	}
	for (i = 0; i < 3; i++) {
		mean[i] = (float)json_number_value(json_array_get(jm, i));
		std[i] = (float)json_number_value(json_array_get(js, i));
	}
	json_decref(jm);
	json_decref(js);
	cb_resized(&h, &w, (int)image->dim[0], (int)image->dim[1], S);
	if (size != NULL)
		judge(v, abs(h - ((int32_t *)size->data)[0]) +
		    abs(w - ((int32_t *)size->data)[1]), 0.5, "resized");
	x = need(e->alloc(e, (int64_t)S * S * 3 * (int64_t)e->elem_size));
	host = need(malloc(sizeof(*host) * S * S * 3));
	e->prepare(e, x, image, 1, S, mean, std);
	e->get_elem(e, host, x, (int64_t)S * S * 3);
	e->sync(e);
	e->release(e, x);
	for (i = 0; i < S * S * 3; i++)
		sum += host[i];
	n = rows != NULL ? (int)cb_array_count(rows) : S;
	for (ch = 0; ch < 3; ch++) {
		for (i = 0; i < n; i++) {
			y = rows != NULL ? ((int32_t *)rows->data)[i] : i;
			for (j = 0; j < S; j++) {
				want = ((float *)(rows != NULL ? some :
				    whole)->data)[((int64_t)ch * n + i) * S +
				    j];
				/* ours is BGR */
				error = fmax(error, fabs(want -
				    host[((int64_t)y * S + j) * 3 + 2 - ch]));
			}
		}
	}
	free(host);
	judge(v, error, TOL_PREPARE, "expected");
	if (total != NULL)
		judge(v, fabs(sum - *(double *)total->data) /
		    ((double)S * S * 3), TOL_PREPARE, "sum");
	return 0;
}

static int
run_file(struct verdict *v, struct ref_case *r, struct cb_engine *e)
{
	int z, rc;

	if (cb_safetensors_open(&r->f, r->path) < 0)
		return -1;
	if (cb_safetensors_meta(r->f, "max_img_size") != NULL)
		return run_prepare(v, r, e);
	if (cb_safetensors_meta(r->f, "optim") == NULL)
		return run_case(v, r, e);
	rc = run_steps(v, r, e, 0);
	for (z = 1; rc == 0 && tensor(r->f, "zero%d/losses", z) != NULL; z++)
		rc = run_steps(v, r, e, z);
	return rc;
}

int
main(int argc, char **argv)
{
	const char *name = "cpu";
	int64_t threads = 0;
	const struct cb_opt options[] = {
		{ 'e', "engine", CB_OPT_STR, &name, "NAME",
		    "engine under test [cpu]", 0, 0 },
		{ 'j', "threads", CB_OPT_INT, &threads, "N",
		    "threads [one a core]", 0, 256 },
		{ 'v', "verbose", CB_OPT_FLAG, &verbose, NULL,
		    "print every comparison", 0, 0 },
		{ 0 }
	};
	int i = cb_options(argc, argv, options, "[-v] [-e engine] file ...");
	struct cb_engine *e;
	int bad = 0, rc;

	if (i == argc)
		cb_usage("no case files");
	if (cb_engine_open(&e, name, (int)threads) < 0)
		return cb_complain();
	for (; i < argc; i++) {
		struct ref_case r = { .path = argv[i] };
		struct verdict v = { 0 };

		rc = run_file(&v, &r, e);
		if (rc < 0)
			cb_warn("%s", cb_error());
		if (rc < 0 || v.compared == 0)
			printf("FAIL inf - %s\n", argv[i]);
		else
			printf("%s %.3e %s %s\n", v.worst <= 1 ? "ok" : "FAIL",
			    v.error, v.name, argv[i]);
		fflush(stdout);
		bad += rc < 0 || v.compared == 0 || v.worst > 1;
		free_frames(&r);
		free(r.counts);
		cb_safetensors_close(r.f);
	}
	e->free(e);
	return bad > 0;
}
