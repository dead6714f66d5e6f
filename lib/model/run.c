/* What every part uses during a run: memory from the arena, dropout masks by
 * number, and taps. */
#include <stdarg.h>
#include <stdlib.h>

#include "internal.h"

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
drop(const struct cb_model *m, float p, int op)
{
	struct cb_drop d = { .p = m->training ? p : 0, .rng = {
	    .seed = m->seed, .purpose = CB_RNG_DROPOUT + op,
	    .epoch = m->part, .seq = m->step } };

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
