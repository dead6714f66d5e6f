/*
 * The eight parameter groups of the original's optimiser, and the ranges of the
 * arena that they come to.
 */
#include <stdlib.h>
#include <string.h>

#include "train.h"

static bool
has(const char *name, const char *part)
{
	return part[0] != '\0' && strstr(name, part) != NULL;
}

/*
 * Substring tests, as in the original: "bias" covers LayerNorm.bias, and a batch
 * norm's weight is decayed since its name has no LayerNorm (quirks 18, 26).
 */
int
cb_group_of(const char *name, const char *transformer_prefix,
    const char *cnn_prefix)
{
	bool plain = has(name, "bias") || has(name, "LayerNorm.weight");

	if (has(name, "transformer"))
		return (has(name, transformer_prefix) ? 0 : 2) + plain;
	if (has(name, "cnn"))
		return (has(name, cnn_prefix) ? 4 : 6) + plain;
	return -1;
}

/* The floor of the schedule comes before lr_mul: quirk 27. */
void
cb_group_rates(double lr[CB_GROUPS], const struct cb_settings *s,
    int64_t step, int64_t total, int64_t epoch)
{
	double a = cb_lr_at(step, total, s->learning_rate, s->decay,
	    s->warmup_ratio, s->step_decay_epochs, s->n_step_decay_epochs,
	    epoch);
	double b = cb_lr_at(step, total, s->cnn_learning_rate,
	    s->cnn_lr_decay, s->warmup_ratio, s->cnn_step_decay_epochs,
	    s->n_cnn_step_decay_epochs, epoch);

	lr[0] = lr[1] = s->transformer_lr_mul * a;
	lr[2] = lr[3] = a;
	lr[4] = lr[5] = s->cnn_lr_mul * b;
	lr[6] = lr[7] = b;
}

void
cb_group_decays(double wd[CB_GROUPS], const struct cb_settings *s)
{
	int i;

	for (i = 0; i < CB_GROUPS; i++)
		wd[i] = i % 2 == 1 ? 0 :
		    i < 4 ? s->weight_decay : s->cnn_weight_decay;
}

static int
compare_at(const void *a, const void *b)
{
	const struct cb_segment *x = a, *y = b;

	return (x->at > y->at) - (x->at < y->at);
}

/* Neighbours of one group become one. */
static void
join(struct cb_segments *g)
{
	struct cb_segment *last = g->at;
	int i;

	for (i = 1; i < g->n; i++) {
		if (g->at[i].group == last->group &&
		    g->at[i].at == last->at + last->count)
			last->count += g->at[i].count;
		else
			*++last = g->at[i];
	}
	if (g->n > 0)
		g->n = (int)(last - g->at) + 1;
}

int
cb_segments_init(struct cb_segments *out, const struct cb_param *p, int n,
    const struct cb_settings *s)
{
	struct cb_segment *g;
	double wd[CB_GROUPS];
	int i;

	memset(out, 0, sizeof(*out));
	if ((out->at = calloc(n + 1, sizeof(*out->at))) == NULL)
		return cb_fail(CB_ENOMEM, "%d segments", n);
	cb_group_decays(wd, s);
	for (i = 0; i < n; i++) {
		if (!p[i].trainable)
			continue;
		g = &out->at[out->n++];
		g->at = p[i].at;
		g->count = p[i].count;
		g->group = cb_group_of(p[i].name,
		    s->transformer_lr_mul_prefix, s->cnn_lr_mul_prefix);
		if (g->group < 0) {
			cb_segments_clear(out);
			return cb_fail(CB_EFORMAT, "%s: neither of the "
			    "transformer nor of the cnn", p[i].name);
		}
		g->wd = wd[g->group];
	}
	qsort(out->at, out->n, sizeof(*out->at), compare_at);
	join(out);
	return 0;
}

void
cb_segments_clear(struct cb_segments *g)
{
	free(g->at);
	memset(g, 0, sizeof(*g));
}

void
cb_segments_rate(struct cb_segments *g, const struct cb_settings *s,
    int64_t step, int64_t total, int64_t epoch)
{
	double lr[CB_GROUPS];
	int i;

	cb_group_rates(lr, s, step, total, epoch);
	for (i = 0; i < g->n; i++)
		g->at[i].lr = lr[g->at[i].group];
}
