/*
 * Weights as libraries take them: in elements, those of convolutions in another
 * layout and times a scale.  Kernels of cast.cu make them, from weights that were
 * put or that stay as they are.  But behind AdamW, as every step of training is,
 * they are asked for before it is launched, and it leaves them itself where the
 * weights are its own: what it waits for is the next thing other than these.
 */
#include <stdlib.h>

#include "gpu.h"

/* Parameters that it takes; 0: whatever AdamW does has no part in it. */
static int64_t
count(const struct pack *p)
{
	switch (p->kind) {
	case PACK_LINEAR:
		return (int64_t)p->O * p->C;
	case PACK_CONV:
		return (int64_t)p->O * p->C * p->k * p->k;
	default:
		return p->x == NULL || p->scale != NULL ? 0 : p->O;
	}
}

void
gpu_pack_now(struct gpu *g, const struct pack *p)
{
	switch (p->kind) {
	case PACK_LINEAR:
		CU(g, cu_to_elem(gpu_begin(g, "linear_pack"), g->type, p->y,
		    p->x, count(p)));
		break;
	case PACK_CONV:
		CU(g, cu_conv_weights(gpu_begin(g, "conv_pack"), g->type, p->y,
		    p->x, p->scale, p->O, p->Op, p->C, p->Cp, p->k));
		break;
	case PACK_BIAS:
		CU(g, cu_bias(gpu_begin(g, "bias"), g->type, p->y, p->wide,
		    p->kept, p->x, p->scale, p->O, p->Op));
	}
}

void
gpu_pack(struct gpu *g, const struct pack *p)
{
	struct optim *o = &g->optim;

	if (o->npacks == GPU_PACKS)
		gpu_optim_step(g);
	if (o->n == 0)
		gpu_pack_now(g, p);
	else
		o->packs[o->npacks++] = *p;
}

/* ---- behind AdamW */

/* Parameters of the vector that pack i takes. */
struct stretch {
	int64_t	 at, end;
	int	 i;
};

static int
compare(const void *a, const void *b)
{
	const struct stretch *x = a, *y = b;

	return x->at != y->at ? (x->at > y->at) - (x->at < y->at) :
	    x->i - y->i;
}

/* Is all of it updated? */
static bool
covered(const struct stretch *x, const struct cu_segment *at, int n)
{
	int64_t from = x->at;
	int i;

	for (i = 0; i < n && from < x->end; i++)
		if (at[i].at <= from && from < at[i].at + at[i].n)
			from = at[i].at + at[i].n;
	return from >= x->end;
}

/* Those that AdamW can do, in ascending order: all of their parameters are its
 * own, and no other wants some of them (a matrix may serve twice). */
static int
find(struct stretch *out, const struct pack *p, int npacks,
    const struct cu_segment *at, int n, const float *w)
{
	int64_t end = INT64_MIN;
	int i, all = 0, good = 0;

	for (i = 0; i < npacks; i++) {
		if (count(&p[i]) == 0)
			continue;
		out[all].i = i;
		out[all].at = gpu_apart(p[i].x, w);
		out[all].end = out[all].at + count(&p[i]);
		all++;
	}
	qsort(out, (size_t)all, sizeof(*out), compare);
	for (i = 0; i < all; i++)
		if (out[i].at >= end && covered(&out[i], at, n)) {
			end = out[i].end;
			out[good++] = out[i];
		}
	return good;
}

static struct cu_copy
copy_of(const struct pack *p, int64_t from)
{
	struct cu_copy c = { .to = p->y, .wide = p->wide, .scale = p->scale,
	    .from = from, .C = p->C, .Cp = p->Cp };

	if (p->kind == PACK_CONV && (p->k > 1 || p->C != p->Cp ||
	    p->C % 4 != 0))
		c.kk = p->k * p->k;
	return c;
}

/* What begins at p of a segment, up to where it or the copy ends, or the next
 * copy begins. */
static struct cu_segment
piece(const struct cu_segment *s, int64_t p, const struct stretch *next,
    const struct pack *packs)
{
	const bool copied = next->at <= p;
	const int64_t ends = s->at + s->n, to = copied ? next->end : next->at;
	struct cu_segment x = *s;

	x.at = p;
	x.n = (to < ends ? to : ends) - p;
	if (copied)
		x.copy = copy_of(&packs[next->i], next->at);
	return x;
}

int
gpu_pack_pieces(struct cu_segment *pieces, struct pack *packs, int *npacks,
    const struct cu_segment *at, int n, const float *w)
{
	struct stretch stretches[GPU_PACKS + 1], *next = stretches;
	const int m = find(stretches, packs, *npacks, at, n, w);
	bool done[GPU_PACKS] = { false };
	int i, npieces = 0, left = 0;
	struct cu_segment *x;
	int64_t p;

	stretches[m].at = INT64_MAX;
	for (i = 0; i < n; i++)
		for (p = at[i].at; p < at[i].at + at[i].n; p = x->at + x->n) {
			while (next < stretches + m && next->end <= p)
				next++;
			x = &pieces[npieces++];
			*x = piece(&at[i], p, next, packs);
		}
	for (i = 0; i < m; i++)
		done[stretches[i].i] = true;
	for (i = 0; i < *npacks; i++)
		if (!done[i])
			packs[left++] = packs[i];
	*npacks = left;
	return npieces;
}
