/* Scores, losses, answers; and the run of a case. */
#include "reference.h"

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
	int O = r->match ? (int)want->dim[1] : 1, i, j, best, bad = 0;
	float *p = need(malloc(sizeof(*p) * rows));

	for (i = 0; i < rows; i++)
		p[i] = r->c.labels == 2 ?
		    1 / (1 + expf(s[2 * i] - s[2 * i + 1])) :
		    1 / (1 + expf(-s[i]));
	if (want != NULL)
		judge(v, max_error(p, want->data, rows), TOL_SCORE, "match");
	want = tensor(r->f, "answers");
	for (i = 0; r->match && want != NULL && i < rows / O; i++) {
		for (j = 1, best = 0; j < O; j++)
			if (p[O * i + j] > p[O * i + best])
				best = j;
		bad += best != ((int32_t *)want->data)[i];
	}
	if (r->match)
		judge(v, bad, 0.5, "answers");
	free(p);
}

/* ---- a case that is trained or scored once ------------------------------ */

/* What forward passes left in the statistics of the regression head. */
void
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

/* Masked words: the unreduced losses, and their mean over all positions. */
static void
judge_words_loss(struct verdict *v, const struct ref_case *r,
    struct cb_model *m, double tolerance)
{
	const struct cb_array *want = tensor(r->f, "mlm_loss");
	int NL = r->N * r->L, n = cb_model_last_mlm(m, NULL, NULL), i, k = 0;
	float *each = need(malloc(sizeof(*each) * (n + 1)));
	float *all = need(calloc(NL, sizeof(*all)));
	double sum = 0;

	cb_model_last_mlm(m, each, NULL);
	for (i = 0; i < NL; i++)
		if (r->mlm[i] >= 0 && k < n)
			sum += all[i] = each[k++];
	judge_values(v, r, "mlm_loss_each", all, tolerance);
	if (want != NULL)
		judge(v, k == n ? relative(sum / NL, *(float *)want->data) :
		    INFINITY, tolerance, "mlm_loss");
	free(each);
	free(all);
}

static void
judge_match_loss(struct verdict *v, const struct ref_case *r,
    const float *each, double tolerance)
{
	const struct cb_array *want = tensor(r->f, "itm_loss");
	double sum = 0;
	int i;

	judge_values(v, r, "itm_loss_each", each, tolerance);
	for (i = 0; i < r->N; i++)
		sum += each[i];
	if (want != NULL)
		judge(v, relative(sum / r->N, *(float *)want->data), tolerance,
		    "itm_loss");
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
	if (r->mlm != NULL)
		judge_words_loss(v, r, m, tol);
	judge_answers(v, r, scores, rows);
	judge_match(v, r, scores, rows);
	/* what is looked at is made otherwise, so scores and gradients are of
	 * runs that nobody looks at */
	cb_model_tap(m, on_tap, &t);
	rc = cb_model_score(m, &in, scores, clip);
	cb_model_tap(m, NULL, NULL);
	if (rc < 0 || in.labels == NULL)
		goto done;
	if ((rc = cb_model_train(m, &in, 0, 0, &loss)) < 0)
		goto done;
	cb_model_last(m, x, scores, clip, dclip);
	judge_values(v, r, "logits", scores, tol);
	judge_values(v, r, "itm_scores", scores, tol);
	judge_values(v, r, "clip_logits", clip, tol);
	judge_values(v, r, "loss_each", x, tol);
	judge_values(v, r, "dclip_logits", dclip, tol);
	judge_values(v, r, "ditm_scores", dclip, tol);
	judge_after(v, r, m, "after/");
	if (r->mlm != NULL) {
		judge_words_loss(v, r, m, tol);
		judge_match_loss(v, r, x, tol);
	}
	if (want != NULL)
		judge(v, relative(loss, *(float *)want->data),
		    base ? TOL_BASE_LOSS : TOL_LOSS, "loss");
	if (base)
		judge_base_grads(v, r, m);
	else
		judge_grads(v, r, m);
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

int
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
