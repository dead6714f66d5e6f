/* Reading a case: the model it is of, pictures, texts, labels. */
#include "reference.h"

void *
need(void *p)
{
	if (p == NULL)
		abort();
	return p;
}

const struct cb_array *
tensor(const struct cb_safetensors *f, const char *fmt, ...)
{
	char name[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(name, sizeof(name), fmt, ap);
	va_end(ap);
	return cb_safetensors_find(f, name);
}

int64_t
meta_int(const struct cb_safetensors *f, const char *key, int64_t none)
{
	const char *s = cb_safetensors_meta(f, key);

	return s != NULL ? strtoll(s, NULL, 10) : none;
}

int
int_of(const json_t *o, const char *key)
{
	return (int)json_integer_value(json_object_get(o, key));
}

double
real_of(const json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}

int
pick(const char *what, const char *const *names, int n)
{
	int i;

	for (i = 0; i < n && what != NULL; i++)
		if (strcmp(names[i], what) == 0)
			return i;
	return -1;
}

int
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
int
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
int
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
struct cb_inputs
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

void
free_frames(struct ref_case *r)
{
	int i;

	for (i = 0; r->pictures != NULL && i < r->B * r->K * r->F; i++)
		cb_array_clear(&r->pictures[i]);
	free(r->pictures);
	r->pictures = NULL;
}
