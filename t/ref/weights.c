/* Weights of a case: from files beside it, its own, or by the formula of the
 * README. */
#include "reference.h"

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
	for (i = 0; i < p->count && ends(p->name, "num_batches_tracked"); i++)
		to[i] = 0;	/* counted, not drawn */
	for (; i < p->count; i++) {
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

int
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
