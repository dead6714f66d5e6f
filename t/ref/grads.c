/* Gradients, whole or sampled, and their norms. */
#include "reference.h"

/* Gradients of all parameters, host, at the offsets of the table. */
static float *
all_grads(struct cb_model *m)
{
	struct cb_engine *e = cb_model_engine(m);
	int64_t n = cb_model_trainable(m), i;
	float *g = need(malloc(sizeof(*g) * n));

	e->get(e, g, cb_model_grads(m), n * sizeof(*g));
	e->sync(e);
	for (i = 0; i < n; i++)
		g[i] /= e->loss_scale;
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
	judge(v, share(fabs(norm_of(g, p->count, 1) - norm), norm + base),
	    TOL_GRAD, "gradnorm/%s", p->name);
	if (want == NULL)
		return;
	n = cb_array_count(want);
	size = norm_of(want->data, n, 1);
	judge(v, share(distance(g, step, want->data, n), size + base),
	    TOL_GRAD, "grad/%s", p->name);
}

int
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
void
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
		judge(v, share(fabs(norm_of(mine, p[i].count, 1) - norm),
		    norm + base), tol_n, "grad_norm/%s", p[i].name);
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
		judge(v, share(error, most), tol_e, "grad_value/%s",
		    p[i].name);
	}
	free(g);
}
