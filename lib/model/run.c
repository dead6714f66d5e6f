/* What every part uses: linear maps, memory from the arena, dropout masks by
 * number, and taps. */
#include <stdarg.h>
#include <stdlib.h>

#include "internal.h"

int
linear_build(struct cb_model *m, struct linear *l, int I, int O,
    const char *weight)
{
	l->p = find(m, "%s", weight);
	return m->e->linear_new(m->e, &l->plan, I, O);
}

void
linear_clear(struct cb_model *m, struct cb_linear_plan *l)
{
	if (l != NULL)
		m->e->linear_free(m->e, l);
}

void
linear_pack(struct cb_model *m, struct linear *l)
{
	m->e->linear_pack(m->e, l->plan, param(m, l->p), param(m, l->p + 1),
	    !m->scoring);
}

void
linear_forward(struct cb_model *m, struct linear *l, struct cb_elem *y,
    struct cb_elem *z, const struct cb_elem *x, enum cb_act act, int T)
{
	m->e->linear_fwd(m->e, l->plan, y, z, x, act, T);
}

void
linear_backward(struct cb_model *m, struct linear *l, struct cb_elem *dx,
    const struct cb_elem *dz, const struct cb_elem *x, int T)
{
	m->e->linear_bwd(m->e, l->plan, dx, false, grad(m, l->p),
	    grad(m, l->p + 1), dz, x, T);
}

struct cb_elem *
take(struct cb_model *m, int64_t elements)
{
	return arena_take(&m->arena, elements, m->e->elem_size);
}

float *
take_f32(struct cb_model *m, int64_t n)
{
	return arena_take(&m->arena, n, sizeof(float));
}

struct cb_elem *
elem_at(struct cb_model *m, const struct cb_elem *x, int64_t elements)
{
	return (struct cb_elem *)((char *)x + elements *
	    (int64_t)m->e->elem_size);
}

struct cb_drop
drop(const struct cb_model *m, float p, int op, int64_t clip)
{
	struct cb_drop d = { .p = m->training ? p : 0, .rng = {
	    .seed = m->seed, .purpose = CB_RNG_DROPOUT + op,
	    .epoch = m->part, .seq = m->step },
	    .first = m->clip * clip };

	return d;
}

void
tap(struct cb_model *m, const struct cb_elem *x, int rank, const int64_t *dim,
    const char *fmt, ...)
{
	char name[64];
	int64_t n = 1;
	float *host;
	va_list ap;
	int i;

	if (m->tap == NULL)
		return;
	for (i = 0; i < rank; i++)
		n *= dim[i];
	if ((host = malloc(n * sizeof(*host))) == NULL)
		abort();
	va_start(ap, fmt);
	vsnprintf(name, sizeof(name), fmt, ap);
	va_end(ap);
	m->e->get_elem(m->e, host, x, n);
	m->tap(m->tap_arg, name, host, rank, dim);
	free(host);
}
