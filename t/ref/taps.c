/* Intermediate results against taps, samples and norms of them. */
#include "reference.h"

/* The side of the pictures [P,h,w,C] of a tap.  Of a stage that another follows,
 * the model makes but the pixels that are read there, every second one of every
 * second row. */
static int64_t
side_of(const struct ref_case *r, const char *name, const int64_t *dim)
{
	int64_t H = r->c.image;
	int i;

	if (strncmp(name, "res", 3) != 0 || name[3] - '0' > CB_STAGES)
		return dim[1];
	for (i = 0; i < name[3] - '0'; i++)
		H = (H - 1) / 2 + 1;
	return H;
}

/*
 * Clip 0 of channels-last pictures as channels-first [B*F,C,H,H]; yours to free.
 * For pixels that the model does not make, the expected values stand in, of which
 * there is one every `step`.
 */
static float *
planar(const struct ref_case *r, const float *x, const int64_t *dim, int64_t H,
    const struct cb_array *want, int64_t step)
{
	int64_t h = dim[1], w = dim[2], C = dim[3], i, c;
	int64_t apart = h < H ? 2 : 1;
	float *y = need(malloc(sizeof(*y) * r->B * r->F * H * H * C)), *to = y;
	const float *from;
	int b, f;

	for (i = 0; want != NULL && i < cb_array_count(want); i++)
		y[i * step] = ((float *)want->data)[i];
	for (b = 0; b < r->B; b++) {
		for (f = 0; f < r->F; f++) {
			from = x + (int64_t)(b * r->K * r->F + f) * h * w * C;
			for (c = 0; c < C; c++, to += H * H)
				for (i = 0; i < h * w; i++)
					to[(i / w * H + i % w) * apart] =
					    from[i * C + c];
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
	int64_t H = rank == 4 ? side_of(r, name, dim) : 0, n, step, i;
	float *got, *picked;
	int at;

	if (strcmp(name, "mlm_scores") == 0) {
		judge_words(t->v, r, x, dim[1]);
		return;
	}
	if (H > 0 && dim[1] != H && dim[1] != (H + 1) / 2) {
		judge(t->v, INFINITY, TOL_TAP, "tap/%s", name);
		return;
	}
	if (tokens && whole == NULL)
		return;		/* norms of whole tensors include padding */
	n = rank == 4 ? (int64_t)r->B * r->F * H * H * dim[3] :
	    tokens ? cb_array_count(whole) : r->N * dim[1];
	step = whole != NULL ? 1 : (n + 4095) / 4096;
	if (tokens)
		got = unpack(r, x, dim[1], (int)(whole->dim[1] - r->L),
		    whole->data);
	else if (strcmp(name, "grid") == 0)
		got = grid_of(r, x, dim);
	else if (rank == 4)
		got = planar(r, x, dim, H, want, step);
	else
		got = memcpy(need(malloc(sizeof(*got) * r->N * dim[1])), x,
		    sizeof(*got) * r->N * dim[1]);
	if (want != NULL) {
		picked = need(malloc(sizeof(*picked) * cb_array_count(want)));
		for (i = 0; i < cb_array_count(want); i++)
			picked[i] = got[i * step];
		judge(t->v, max_error(picked, want->data,
		    cb_array_count(want)), TOL_TAP, "tap/%s", name);
		free(picked);
	}
	at = index_of(t->norm_names, name);
	if (t->norms != NULL && at >= 0 && !tokens && (H == 0 || H == dim[1]))
		judge(t->v, relative(norm_of(got, n, 1),
		    ((float *)t->norms->data)[at]), TOL_TAP, "tapnorm/%s",
		    name);
	free(got);
}
