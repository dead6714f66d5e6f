/* Intermediate results against taps, samples and norms of them. */
#include "reference.h"

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
int
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

/*
 * A stage that another follows: the model makes the pixels that are read there,
 * every second one of every second row of [B*F,C,H,H].  want NULL: none.
 */
static void
judge_stage(struct taps *t, const char *name, const float *x,
    const int64_t *dim, const struct cb_array *want, bool whole)
{
	const struct ref_case *r = t->r;
	int64_t n, step, H = r->c.image, at, row, column, i;
	float *got, *picked;

	if (want == NULL)
		return;
	for (i = 0; i < name[3] - '0'; i++)
		H = (H - 1) / 2 + 1;
	n = (int64_t)r->B * r->F * dim[3] * H * H;
	step = whole ? 1 : (n + 4095) / 4096;
	got = planar(r, x, dim);
	picked = need(malloc(sizeof(*picked) * cb_array_count(want)));
	for (i = 0; i < cb_array_count(want); i++) {
		at = i * step;
		row = at / H % H;
		column = at % H;
		picked[i] = row % 2 + column % 2 > 0 ? ((float *)want->data)[i] :
		    got[(at / (H * H) * dim[1] + row / 2) * dim[2] +
		    column / 2];
	}
	judge(t->v, max_error(picked, want->data, cb_array_count(want)),
	    TOL_TAP, "tap/%s", name);
	free(picked);
	free(got);
}

void
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
	if (strncmp(name, "res", 3) == 0 && name[3] - '0' < 1 + CB_STAGES) {
		judge_stage(t, name, x, dim, want, whole != NULL);
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
