/*
 * What the two engines in host memory share: the element type is float, an
 * activation pointer is cast here and nowhere else, and their operations of
 * memory, but for where it comes from.
 */
#ifndef CB_ENGINE_HOST_H
#define CB_ENGINE_HOST_H

#include <math.h>

#include "engine.h"

static inline float *
f32(struct cb_elem *x)
{
	return (float *)x;
}

static inline const float *
cf32(const struct cb_elem *x)
{
	return (const float *)x;
}

static inline int
conv_out(int side, int k, int stride, int pad)
{
	return (side + 2 * pad - k) / stride + 1;
}

/* Draws below this are dropped: u < p 2^32 for whole u.  0: no dropout. */
static inline uint32_t
drop_limit(const struct cb_drop *d)
{
	return d == NULL ? 0 : (uint32_t)ceil((double)d->p * 0x1p32);
}

static inline float
drop_scale(const struct cb_drop *d)
{
	return d == NULL ? 1 : 1 / (1 - d->p);
}

/* What element i is multiplied by: 0, or 1/(1-p). */
static inline float
drop_factor(const struct cb_drop *d, int64_t i)
{
	if (d == NULL || d->p == 0)
		return 1;
	return cb_rng_u32(&d->rng, (uint32_t)(d->first + i)) <
	    drop_limit(d) ? 0 : drop_scale(d);
}

/* p, after saying so where it is NULL: new memory of so many bytes. */
void	*host_given(void *p, int64_t bytes);

/* Entries of struct cb_engine; to and from the host are alike. */
void	host_release(struct cb_engine *e, void *p);
void	host_put(struct cb_engine *e, void *to, const void *from,
	    int64_t bytes);
void	host_put_elem(struct cb_engine *e, struct cb_elem *to,
	    const float *from, int64_t n);
void	host_get_elem(struct cb_engine *e, float *to,
	    const struct cb_elem *from, int64_t n);
/* expect() and forget() */
void	host_pictures(struct cb_engine *e, const struct cb_array *pictures,
	    int P);
void	host_pin(struct cb_engine *e, void *host, int64_t bytes);
void	host_unpin(struct cb_engine *e, void *host);
void	host_zero(struct cb_engine *e, void *p, int64_t bytes);

int	cb_ref_open(struct cb_engine **out);
int	cb_cpu_open(struct cb_engine **out, int threads);

#endif
