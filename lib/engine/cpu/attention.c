/*
 * Attention within packed sequences.  (Twin: ref/attention.c, with the
 * formulas.)  A task is one head of one sequence.  Sequences are short, so its
 * matrices of scores stay in the cache of a core, and a product of small
 * matrices kept in registers beats the start-up of a general one.
 */
#include "cpu.h"

#define INLINE static inline __attribute__((always_inline))

/* R rows and V vectors of c = a b; a[i,l] = a[i si + l sl], b[l,j] =
 * b[l ldb + j] in vectors.  R and V are constants where this is called. */
INLINE void
tile(float *c, int64_t ldc, const float *a, int64_t si, int64_t sl,
    const float *b, int64_t ldb, int k, const int R, const int V)
{
	v16 acc[4][4];
	int i, j, l;

#pragma GCC unroll 4
	for (i = 0; i < R; i++)
#pragma GCC unroll 4
		for (j = 0; j < V; j++)
			acc[i][j] = (v16){ 0 };
	for (l = 0; l < k; l++) {
#pragma GCC unroll 4
		for (i = 0; i < R; i++)
#pragma GCC unroll 4
			for (j = 0; j < V; j++)
				acc[i][j] += a[i * si + l * sl] *
				    load(b + l * ldb + 16 * j);
	}
#pragma GCC unroll 4
	for (i = 0; i < R; i++)
#pragma GCC unroll 4
		for (j = 0; j < V; j++)
			store(c + i * ldc + 16 * j, acc[i][j]);
}

INLINE void
stripe(float *c, int64_t ldc, const float *a, int64_t si, int64_t sl,
    const float *b, int64_t ldb, int n, int k, const int V)
{
	int i = 0;

	for (; i + 4 <= n; i += 4)
		tile(c + i * ldc, ldc, a + i * si, si, sl, b, ldb, k, 4, V);
	for (; i < n; i++)
		tile(c + i * ldc, ldc, a + i * si, si, sl, b, ldb, k, 1, V);
}

/* c [n,m] = a [n,k] b [k,m] */
static void
product(float *c, int64_t ldc, const float *a, int64_t si, int64_t sl,
    const float *b, int64_t ldb, int n, int m, int k)
{
	int i, j = 0, l;
	float s;

	for (; j + 64 <= m; j += 64)
		stripe(c + j, ldc, a, si, sl, b + j, ldb, n, k, 4);
	for (; j + 32 <= m; j += 32)
		stripe(c + j, ldc, a, si, sl, b + j, ldb, n, k, 2);
	for (; j + 16 <= m; j += 16)
		stripe(c + j, ldc, a, si, sl, b + j, ldb, n, k, 1);
	for (; j < m; j++)
		for (i = 0; i < n; i++) {
			for (s = 0, l = 0; l < k; l++)
				s += a[i * si + l * sl] * b[l * ldb + j];
			c[i * ldc + j] = s;
		}
}

struct job {
	struct cpu *u;
	const float *qkv, *d_o, *o_in;
	float	*o, *dqkv, *lse;
	const int32_t *seq;
	const struct cb_drop *drop;
	int	 longest, D, A, w, np;	/* np: longest in whole vectors */
};

/* to [w,np] = transposed rows of n keys or values; zeros behind them. */
static void
turn(float *to, const float *from, int64_t ld, int n, int w, int np)
{
	int i, d;

	for (d = 0; d < w; d++) {
		for (i = 0; i < n; i++)
			to[(int64_t)d * np + i] = from[i * ld + d];
		for (; i < np; i++)
			to[(int64_t)d * np + i] = 0;
	}
}

static float
largest(const float *x, int n)
{
	float m[16], top;
	int i, k;

	for (k = 0; k < 16; k++)
		m[k] = -INFINITY;
	for (i = 0; i + 16 <= n; i += 16)
		for (k = 0; k < 16; k++)
			m[k] = m[k] > x[i + k] ? m[k] : x[i + k];
	for (top = m[0], k = 1; k < 16; k++)
		top = m[k] > top ? m[k] : top;
	for (; i < n; i++)
		top = x[i] > top ? x[i] : top;
	return top;
}

/* A row of scores becomes one of probabilities; gives the log of the sum. */
static float
softmax(float *s, int n, float scale)
{
	float top = largest(s, n) * scale, all, inv;
	int j;

	for (j = 0; j < n; j++)
		s[j] = exp_(s[j] * scale - top);
	all = sum(s, n);
	inv = 1 / all;
	for (j = 0; j < n; j++)
		s[j] *= inv;
	return top + logf(all);
}

/* Factors of the dropout of one head of n rows from lo on, then of row i. */
static void
draw(const struct job *j, float *f, int lo, int head, int n, int np)
{
	cpu_drop_rows(f, np + 16, n, n, ((int64_t)lo * j->A + head) *
	    j->longest, (int64_t)j->A * j->longest, j->drop);
}

static const float *
drawn(const struct job *j, const float *f, int lo, int head, int i, int np)
{
	uint32_t u = (uint32_t)(((int64_t)(lo + i) * j->A + head) *
	    j->longest + j->drop->first);

	return f + i * (np + 16) + u % 4;
}

static void
fwd_task(void *arg, int task, int thread)
{
	const struct job *j = arg;
	int head = task % j->A, lo = j->seq[task / j->A], i, k;
	int n = j->seq[task / j->A + 1] - lo, np = (n + 15) / 16 * 16, w = j->w;
	int64_t ld = 3 * (int64_t)j->D;
	const float *q = j->qkv + lo * ld + head * w;
	float *kt = j->u->own[thread], *s = kt + (int64_t)w * np;
	float *f = s + (int64_t)n * np, *row;
	const float *fi;

	turn(kt, q + j->D, ld, n, w, np);
	product(s, np, q, ld, 1, kt, np, n, np, w);
	if (drops(j->drop))
		draw(j, f, lo, head, n, np);
	for (i = 0; i < n; i++) {
		row = s + (int64_t)i * np;
		j->lse[(int64_t)(lo + i) * j->A + head] = softmax(row, n,
		    1 / sqrtf(w));
		if (!drops(j->drop))
			continue;
		fi = drawn(j, f, lo, head, i, np);
		for (k = 0; k < n; k++)
			row[k] *= fi[k];
	}
	product(j->o + (int64_t)lo * j->D + head * w, j->D, s, np, 1,
	    q + 2 * j->D, ld, n, w, n);
}

static int
job_run(struct job *j, cb_pool_fn *fn, int S, int matrices)
{
	j->w = j->D / j->A;
	j->np = (j->longest + 15) / 16 * 16;
	if (S == 0 || cpu_own(j->u, (int64_t)sizeof(float) * (j->np + 16) *
	    (matrices * ((int64_t)j->w + j->longest) + j->longest)) < 0)
		return -1;
	cpu_run(j->u, fn, j, S * j->A);
	return 0;
}

void
cpu_attention_fwd(struct cb_engine *e, struct cb_elem *o, float *lse,
    const struct cb_elem *qkv, const int32_t *seq, int S, int longest, int T,
    int D, int A, const struct cb_drop *drop)
{
	struct job j = { .u = cpu_of(e), .qkv = cf32(qkv), .o = f32(o),
	    .lse = lse, .seq = seq, .drop = drop, .longest = longest, .D = D,
	    .A = A };

	(void)T;
	job_run(&j, fwd_task, S, 1);
}

/* Scores s and dp = do v' of one row become r = drop(p) and ds. */
static void
row_bwd(const struct job *j, float *s, float *dp, const float *f, int n,
    float lse, float delta)
{
	float scale = 1 / sqrtf(j->w), p;
	int k;

	if (f == NULL) {
		for (k = 0; k < n; k++) {
			p = exp_(s[k] * scale - lse);
			s[k] = p;
			dp[k] = p * (dp[k] - delta) * scale;
		}
		return;
	}
	for (k = 0; k < n; k++) {
		p = exp_(s[k] * scale - lse);
		s[k] = p * f[k];
		dp[k] = p * (f[k] * dp[k] - delta) * scale;
	}
}

static void
bwd_task(void *arg, int task, int thread)
{
	const struct job *j = arg;
	int head = task % j->A, lo = j->seq[task / j->A], i, D = j->D;
	int n = j->seq[task / j->A + 1] - lo, np = (n + 15) / 16 * 16, w = j->w;
	int64_t ld = 3 * (int64_t)D, at = (int64_t)lo * D + head * w;
	const float *q = j->qkv + lo * ld + head * w, *d_o = j->d_o + at;
	float *dq = j->dqkv + lo * ld + head * w;
	float *kt = j->u->own[thread], *vt = kt + (int64_t)w * np;
	float *s = vt + (int64_t)w * np, *dp = s + (int64_t)n * np;
	float *f = dp + (int64_t)n * np;

	turn(kt, q + D, ld, n, w, np);
	turn(vt, q + 2 * D, ld, n, w, np);
	product(s, np, q, ld, 1, kt, np, n, np, w);
	product(dp, np, d_o, D, 1, vt, np, n, np, w);
	if (drops(j->drop))
		draw(j, f, lo, head, n, np);
	for (i = 0; i < n; i++)
		row_bwd(j, s + (int64_t)i * np, dp + (int64_t)i * np,
		    drops(j->drop) ? drawn(j, f, lo, head, i, np) : NULL, n,
		    j->lse[(int64_t)(lo + i) * j->A + head],
		    dot(d_o + (int64_t)i * D, j->o_in + at + (int64_t)i * D,
		    w));
	product(dq, ld, dp, np, 1, q + D, ld, n, w, n);
	product(dq + D, ld, dp, 1, np, q, ld, n, w, n);
	product(dq + 2 * D, ld, s, 1, np, d_o, D, n, w, n);
}

void
cpu_attention_bwd(struct cb_engine *e, struct cb_elem *dqkv,
    const struct cb_elem *d_o, const struct cb_elem *o, const float *lse,
    const struct cb_elem *qkv, const int32_t *seq, int S, int longest, int T,
    int D, int A, const struct cb_drop *drop)
{
	struct job j = { .u = cpu_of(e), .qkv = cf32(qkv), .d_o = cf32(d_o),
	    .o_in = cf32(o), .dqkv = f32(dqkv), .lse = (float *)lse,
	    .seq = seq, .drop = drop, .longest = longest, .D = D, .A = A };

	(void)T;
	job_run(&j, bwd_task, S, 2);
}
