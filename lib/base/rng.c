/*
 * Counter-based random numbers: Philox4x32-10 (Salmon et al., SC 2011), from
 * Random123.  Draw i is word i%4 of block i/4.
 */
#include <math.h>
#include <Random123/philox.h>

#include "base.h"

void
cb_rng_block(const struct cb_rng *r, uint32_t block, uint32_t out[4])
{
	philox4x32_key_t key = { { (uint32_t)r->seed,
	    (uint32_t)(r->seed >> 32) } };
	philox4x32_ctr_t ctr = { { block, r->seq, r->epoch, r->purpose } };
	int i;

	ctr = philox4x32(ctr, key);
	for (i = 0; i < 4; i++)
		out[i] = ctr.v[i];
}

uint32_t
cb_rng_u32(const struct cb_rng *r, uint32_t i)
{
	uint32_t w[4];

	cb_rng_block(r, i / 4, w);
	return w[i % 4];
}

/* Two words a draw: block i/2, words 2(i%2) and the next. */
double
cb_rng_real(const struct cb_rng *r, uint32_t i)
{
	uint32_t w[4];
	uint64_t bits;

	cb_rng_block(r, i / 2, w);
	bits = (uint64_t)w[2 * (i % 2)] << 32 | w[2 * (i % 2) + 1];
	return (double)(bits >> 11) * 0x1p-53;
}

/* Box-Muller, one block a draw; 1 - u keeps the logarithm finite. */
double
cb_rng_normal(const struct cb_rng *r, uint32_t i)
{
	double u = 1 - cb_rng_real(r, 2 * i), v = cb_rng_real(r, 2 * i + 1);

	return sqrt(-2 * log(u)) * cos(2 * 3.14159265358979323846 * v);
}

uint32_t
cb_rng_below(const struct cb_rng *r, uint32_t i, uint32_t n)
{
	return (uint32_t)(cb_rng_real(r, i) * n);
}

void
cb_rng_shuffle(const struct cb_rng *r, int64_t *items, int64_t n)
{
	int64_t i, j, t;

	for (i = n - 1; i > 0; i--) {
		j = cb_rng_below(r, (uint32_t)(n - 1 - i), (uint32_t)(i + 1));
		t = items[i];
		items[i] = items[j];
		items[j] = t;
	}
}
