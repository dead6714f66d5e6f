/*
 * Rows from two sources, and dropout.  (Twin: ref/rows.c.)
 *
 * Dropout draws Philox4x32-10 (Salmon et al., SC 2011) sixteen blocks at a
 * time, one a lane: the numbers are exactly those of cb_rng_u32().
 */
#include "cpu.h"

#define LANES 16

/*
 * The four words each of LANES blocks of r.  The words of the state sit in
 * 64-bit lanes, whose upper halves are ignored, since machines multiply 32 by
 * 32 bits to 64 in such lanes: 0.7 ns a draw instead of 3.
 */
static void
draw(uint32_t out[4 * LANES], const struct cb_rng *r,
    const uint32_t block[LANES])
{
	uint64_t a[LANES], b[LANES], c[LANES], d[LANES], p, q;
	uint64_t k0 = (uint32_t)r->seed, k1 = (uint32_t)(r->seed >> 32);
	int i, round;

	for (i = 0; i < LANES; i++) {
		a[i] = block[i];
		b[i] = r->seq;
		c[i] = r->epoch;
		d[i] = r->purpose;
	}
#pragma GCC unroll 10
	for (round = 0; round < 10; round++) {
#pragma GCC unroll 1
		for (i = 0; i < LANES; i++) {
			p = (a[i] & 0xffffffff) * 0xD2511F53;
			q = (c[i] & 0xffffffff) * 0xCD9E8D57;
			a[i] = q >> 32 ^ b[i] ^ k0;
			b[i] = q;
			c[i] = p >> 32 ^ d[i] ^ k1;
			d[i] = p;
		}
		k0 = (uint32_t)(k0 + 0x9E3779B9);
		k1 = (uint32_t)(k1 + 0xBB67AE85);
	}
	for (i = 0; i < LANES; i++) {
		out[4 * i] = (uint32_t)a[i];
		out[4 * i + 1] = (uint32_t)b[i];
		out[4 * i + 2] = (uint32_t)c[i];
		out[4 * i + 3] = (uint32_t)d[i];
	}
}

/* Factors of dropout for LANES blocks. */
static void
factors(float f[4 * LANES], const struct cb_drop *d,
    const uint32_t block[LANES])
{
	uint32_t u[4 * LANES], limit = drop_limit(d);
	float scale = drop_scale(d);
	int k;

	draw(u, &d->rng, block);
	for (k = 0; k < 4 * LANES; k++)
		f[k] = u[k] < limit ? 0 : scale;
}

/* Numbers of draws have 32 bits, so those of blocks have 30 and wrap. */
void
cpu_drop_factors(float *f, int n, int64_t i, const struct cb_drop *d)
{
	uint32_t number = (uint32_t)(d->first + i);
	uint32_t block[LANES], first = number / 4;
	int skip = number % 4, k, m;
	float some[4 * LANES];

	for (; n > 0; n -= m, f += m, skip = 0, first += LANES) {
		for (k = 0; k < LANES; k++)
			block[k] = (first + k) & 0x3fffffff;
		factors(some, d, block);
		m = 4 * LANES - skip < n ? 4 * LANES - skip : n;
		memcpy(f, some + skip, sizeof(*f) * m);
	}
}

void
cpu_drop_rows(float *f, int64_t ld, int rows, int n, int64_t i,
    int64_t stride, const struct cb_drop *d)
{
	uint32_t block[LANES] = { 0 }, u;
	float some[4 * LANES], *to[LANES];
	int r, b, k, have = 0;

	for (r = 0; r < rows; r++) {
		u = (uint32_t)(d->first + i + r * stride);
		for (b = 0; b < (int)(u % 4 + n + 3) / 4; b++) {
			block[have] = (u / 4 + b) & 0x3fffffff;
			to[have++] = f + r * ld + 4 * b;
			if (have < LANES && (r < rows - 1 ||
			    b < (int)(u % 4 + n + 3) / 4 - 1))
				continue;
			factors(some, d, block);
			for (k = 0; k < have; k++)
				memcpy(to[k], some + 4 * k, 4 * sizeof(*f));
			have = 0;
		}
	}
}

struct job {
	const float *a, *b, *dy;
	float	*y, *da, *db;
	const int32_t *src;
	const struct cb_drop *drop;
	int	 T, D, Ta, Tb, tasks;
};

static void
fwd_task(void *arg, int task, int thread)
{
	const struct job *j = arg;
	int t, hi = (int)part(j->T, j->tasks, task + 1), D = j->D, d, k, n;
	float f[256], *y;
	const float *x;

	(void)thread;
	for (t = (int)part(j->T, j->tasks, task); t < hi; t++) {
		x = j->src[t] >= 0 ? j->a + (int64_t)j->src[t] * D :
		    j->b + (int64_t)(-1 - j->src[t]) * D;
		y = j->y + (int64_t)t * D;
		if (!drops(j->drop)) {
			memcpy(y, x, sizeof(*y) * D);
			continue;
		}
		for (d = 0; d < D; d += n) {
			n = D - d < 256 ? D - d : 256;
			cpu_drop_factors(f, n, (int64_t)t * D + d, j->drop);
			for (k = 0; k < n; k++)
				y[d + k] = x[d + k] * f[k];
		}
	}
}

void
cpu_rows_fwd(struct cb_engine *e, struct cb_elem *y, const struct cb_elem *a,
    const struct cb_elem *b, const int32_t *src, int T, int D,
    const struct cb_drop *drop)
{
	struct job j = { .a = cf32(a), .b = cf32(b), .y = f32(y), .src = src,
	    .drop = drop, .T = T, .D = D,
	    .tasks = tasks_for(T, drops(drop) ? 8 * D : D) };

	cpu_run(cpu_of(e), fwd_task, &j, j.tasks);
}

/* A range of columns of all rows, since rows may be used many times. */
static void
bwd_task(void *arg, int task, int thread)
{
	const struct job *j = arg;
	int t, D = j->D, lo = (int)part(D, j->tasks, task), d, k, n;
	int hi = (int)part(D, j->tasks, task + 1);
	const float *dy;
	float f[256], *to;

	(void)thread;
	for (t = 0; t < j->Ta && j->da != NULL; t++)
		memset(j->da + (int64_t)t * D + lo, 0, sizeof(*to) * (hi - lo));
	for (t = 0; t < j->Tb && j->db != NULL; t++)
		memset(j->db + (int64_t)t * D + lo, 0, sizeof(*to) * (hi - lo));
	for (t = 0; t < j->T; t++) {
		if ((to = j->src[t] >= 0 ? j->da : j->db) == NULL)
			continue;
		to += (int64_t)(j->src[t] >= 0 ? j->src[t] : -1 - j->src[t]) *
		    D;
		dy = j->dy + (int64_t)t * D;
		for (d = lo; d < hi; d += n) {
			n = hi - d < 256 ? hi - d : 256;
			if (!drops(j->drop)) {
				for (k = 0; k < n; k++)
					to[d + k] += dy[d + k];
				continue;
			}
			cpu_drop_factors(f, n, (int64_t)t * D + d, j->drop);
			for (k = 0; k < n; k++)
				to[d + k] += dy[d + k] * f[k];
		}
	}
}

void
cpu_rows_bwd(struct cb_engine *e, struct cb_elem *da, int Ta,
    struct cb_elem *db, int Tb, const struct cb_elem *dy, const int32_t *src,
    int T, int D, const struct cb_drop *drop)
{
	struct job j = { .dy = cf32(dy), .da = f32(da), .db = f32(db),
	    .src = src, .drop = drop, .T = T, .D = D, .Ta = Ta, .Tb = Tb,
	    .tasks = D < 128 ? 1 : D / 64 };

	cpu_run(cpu_of(e), bwd_task, &j, j.tasks);
}
