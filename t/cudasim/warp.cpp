/*
 * What the collectives of a warp compute, from what its 32 lanes brought; and
 * binary16.  The fragments are those of the PTX ISA, "Matrix Fragments for
 * mma.m16n8k16" and "ldmatrix".
 */
#include <math.h>
#include <string.h>

#include "device.h"

namespace cbsim {

float
widen_f16(uint16_t h)
{
	int e = h >> 10 & 31, m = h & 1023;
	float f;

	if (e == 31)
		f = m != 0 ? NAN : INFINITY;
	else if (e == 0)
		f = ldexpf((float)m, -24);
	else
		f = ldexpf((float)(1024 + m), e - 25);
	return h & 0x8000 ? -f : f;
}

/* To nearest even, as cvt.rn.f16.f32: too large becomes infinite. */
uint16_t
round_f16(float f)
{
	uint16_t sign = signbit(f) ? 0x8000 : 0;
	float a = fabsf(f), q;
	int e;

	if (isnan(f))
		return 0x7fff;
	if (a >= 65520)
		return sign | 0x7c00;
	if (a < 0x1p-14f)		/* subnormal: steps of 2^-24 */
		return sign | (uint16_t)rintf(a * 0x1p24f);
	e = ilogbf(a);
	q = rintf(ldexpf(a, 10 - e));	/* 1024 .. 2048 */
	return (uint16_t)(sign + ((e + 15) << 10) + ((int)q - 1024));
}

static void
shuffle(unsigned char (*in)[64], unsigned char (*out)[64])
{
	const Shfl *s, *from;

	for (int i = 0; i < 32; i++) {
		s = (const Shfl *)in[i];
		from = (const Shfl *)in[s->from];
		memcpy(out[i], &from->v, sizeof(from->v));
	}
}

static void
ballot(unsigned char (*in)[64], unsigned char (*out)[64])
{
	uint32_t all = 0;

	for (int i = 0; i < 32; i++)
		all |= (uint32_t)(in[i][0] != 0) << i;
	for (int i = 0; i < 32; i++)
		memcpy(out[i], &all, sizeof(all));
}

static void
ldmatrix(unsigned char (*in)[64], unsigned char (*out)[64], bool turned)
{
	const uint16_t *row;
	uint16_t got[2];

	for (int i = 0; i < 32; i++)
		for (int j = 0; j < 4; j++) {
			for (int k = 0; k < 2; k++) {
				int r = i / 4, c = 2 * (i % 4) + k;

				row = (const uint16_t *)in[8 * j +
				    (turned ? c : r)];
				got[k] = row[turned ? r : c];
			}
			memcpy(out[i] + 4 * j, got, 4);
		}
}

static float
half_of(uint32_t word, int upper, bool bf16)
{
	uint32_t u = upper ? word >> 16 : word & 0xffff;
	float f;

	if (!bf16)
		return widen_f16((uint16_t)u);
	u <<= 16;
	memcpy(&f, &u, sizeof(f));
	return f;
}

static void
mma(unsigned char (*in)[64], unsigned char (*out)[64], bool bf16)
{
	float a[16][16], b[16][8], d[16][8];

	for (int i = 0; i < 32; i++) {
		const Mma *m = (const Mma *)in[i];
		int g = i / 4, q = 2 * (i % 4);

		for (int k = 0; k < 2; k++) {
			a[g][q + k] = half_of(m->a[0], k, bf16);
			a[g + 8][q + k] = half_of(m->a[1], k, bf16);
			a[g][q + 8 + k] = half_of(m->a[2], k, bf16);
			a[g + 8][q + 8 + k] = half_of(m->a[3], k, bf16);
			b[q + k][g] = half_of(m->b[0], k, bf16);
			b[q + 8 + k][g] = half_of(m->b[1], k, bf16);
			d[g][q + k] = m->d[k];
			d[g + 8][q + k] = m->d[2 + k];
		}
	}
	for (int i = 0; i < 16; i++)
		for (int k = 0; k < 16; k++)
			for (int j = 0; j < 8; j++)
				d[i][j] += a[i][k] * b[k][j];
	for (int i = 0; i < 32; i++) {
		int g = i / 4, q = 2 * (i % 4);
		const float own[4] = { d[g][q], d[g][q + 1], d[g + 8][q],
		    d[g + 8][q + 1] };

		memcpy(out[i], own, sizeof(own));
	}
}

void
compute(Collective kind, unsigned char (*in)[64], unsigned char (*out)[64])
{
	switch (kind) {
	case SYNC:
		break;
	case SHFL:
		shuffle(in, out);
		break;
	case BALLOT:
		ballot(in, out);
		break;
	case LDMATRIX:
	case LDMATRIX_T:
		ldmatrix(in, out, kind == LDMATRIX_T);
		break;
	case MMA_BF16:
	case MMA_F16:
		mma(in, out, kind == MMA_BF16);
		break;
	}
}

} /* namespace cbsim */
