/*
 * What the 32 lanes of a warp do together: PTX ISA, "shfl.sync",
 * "vote.sync", "ldmatrix", "Matrix Fragments for mma.m16n8k16 with floating
 * point type".  t/cudasim/isa.cpp holds these to tables typed from there.
 */
#include <math.h>

#include "ptx.h"

namespace ptx {

static void
whole_warp(const Warp &w, const Ins &i, const Source &mask)
{
	EACH(0xffffffffu, l)
		if (get<uint32_t>(w.in(mask), (int)l) != 0xffffffffu)
			wrong(w, i, (int)l, "is not of all 32 lanes");
}

/*
 * Lane j of its segment, or its own where that is outside; the third operand
 * holds the clamp in bits 0-4 and the mask of segments in bits 8-12.
 */
template <class F> static void
shuffle(Warp &w, const Ins &i, bool up, F lane_of)
{
	const Row a = w.in(i.from[0]);
	bool inside;

	whole_warp(w, i, i.from[3]);
	for (int l = 0; l < 32; l++) {
		const int b = (int)(get<uint32_t>(w.in(i.from[1]), l) & 31);
		const int c = (int)get<uint32_t>(w.in(i.from[2]), l);
		const int segment = c >> 8 & 31, clamp = c & 31;
		const int most = (l & segment) | (clamp & ~segment);
		int j = lane_of(l, b, segment);

		inside = up ? j >= most : j <= most;
		j = inside ? j : l;
		set<uint32_t>(w.out(i.to[0]), l, a.lo[j]);
		if (i.nto > 1)
			set<bool>(w.out(i.to[1]), l, inside);
	}
}

static void
butterfly(Warp &w, const Ins &i, uint32_t)
{
	shuffle(w, i, false, [](int l, int b, int) { return l ^ b; });
}

static void
down(Warp &w, const Ins &i, uint32_t)
{
	shuffle(w, i, false, [](int l, int b, int) { return l + b; });
}

static void
up(Warp &w, const Ins &i, uint32_t)
{
	shuffle(w, i, true, [](int l, int b, int) { return l - b; });
}

static void
indexed(Warp &w, const Ins &i, uint32_t)
{
	shuffle(w, i, false, [](int l, int b, int segment) {
		return (l & segment) | (b & ~segment); });
}

static uint32_t
votes(Warp &w, const Ins &i)
{
	uint32_t all = 0;

	whole_warp(w, i, i.from[1]);
	for (int l = 0; l < 32; l++)
		all |= (uint32_t)get<bool>(w.in(i.from[0]), l) << l;
	return all;
}

static void
ballot(Warp &w, const Ins &i, uint32_t)
{
	const uint32_t v = votes(w, i);

	for (int l = 0; l < 32; l++)
		set<uint32_t>(w.out(i.to[0]), l, v);
}

static void
any(Warp &w, const Ins &i, uint32_t)
{
	const bool v = votes(w, i) != 0;

	for (int l = 0; l < 32; l++)
		set<bool>(w.out(i.to[0]), l, v);
}

static void
all(Warp &w, const Ins &i, uint32_t)
{
	const bool v = votes(w, i) == 0xffffffffu;

	for (int l = 0; l < 32; l++)
		set<bool>(w.out(i.to[0]), l, v);
}

static void
meet(Warp &w, const Ins &i, uint32_t)
{
	whole_warp(w, i, i.from[0]);
}

/*
 * Lane 8m + r brings the address of row r of matrix m; lane l gets of each
 * matrix elements 2(l%4) and 2(l%4)+1 of row l/4, or of column l/4.
 */
template <int count, bool turned> static void
ldmatrix(Warp &w, const Ins &i, uint32_t)
{
	uint16_t m[8 * count][8];
	uint64_t at[32];
	int l, k, r, c;

	for (l = 0; l < 8 * count; l++) {
		at[l] = get<uint32_t>(w.in(i.from[0]), l) +
		    (uint64_t)i.offset;
		memcpy(m[l], reach(w, i, l, at[l], SHARED, 16), 16);
	}
	for (l = 0; l < 32; l++)
		for (k = 0; k < count; k++) {
			r = l / 4;
			c = 2 * (l % 4);
			set<uint32_t>(w.out(i.to[k]), l, turned ?
			    m[8 * k + c][r] | (uint32_t)m[8 * k + c + 1][r] <<
			    16 : m[8 * k + r][c] |
			    (uint32_t)m[8 * k + r][c + 1] << 16);
		}
	if (counting())
		count_access(i, SHARED, at, count == 4 ? 0xffffffffu :
		    (1u << 8 * count) - 1, 16);
}

template <bool bf16> static float
element(const Row &r, int lane, int half)
{
	const uint32_t u = r.lo[lane] >> 16 * half & 0xffff;
	const uint32_t wide = u << 16;
	float f;

	if (!bf16)
		return cbsim::widen_f16((uint16_t)u);
	memcpy(&f, &wide, sizeof(f));
	return f;
}

/*
 * Element i of a fragment of lane l, with group g = l / 4 and t = l % 4:
 *	a0 .. a7  row g + 8 (i/2 % 2), column 2t + i%2 + 8 (i/4)
 *	b0 .. b3  row 2t + i%2 + 8 (i/2), column g
 *	c0 .. c3  row g + 8 (i/2), column 2t + i%2
 * A device adds the 16 products in an order and with a rounding of its own; here
 * one after the other, in f32.
 */
template <bool bf16> static void
mma(Warp &w, const Ins &i, uint32_t)
{
	float a[16][16], b[16][8], c[16][8];
	int l, k, g, t;

	for (l = 0; l < 32; l++) {
		g = l / 4;
		t = l % 4;
		for (k = 0; k < 8; k++)
			a[g + 8 * (k / 2 % 2)][2 * t + k % 2 + 8 * (k / 4)] =
			    element<bf16>(w.in(i.from[k / 2]), l, k % 2);
		for (k = 0; k < 4; k++)
			b[2 * t + k % 2 + 8 * (k / 2)][g] =
			    element<bf16>(w.in(i.from[4 + k / 2]), l, k % 2);
		for (k = 0; k < 4; k++)
			c[g + 8 * (k / 2)][2 * t + k % 2] =
			    get<float>(w.in(i.from[6 + k]), l);
	}
	for (int row = 0; row < 16; row++)
		for (k = 0; k < 16; k++)
			for (int col = 0; col < 8; col++)
				c[row][col] += a[row][k] * b[k][col];
	for (l = 0; l < 32; l++)
		for (k = 0; k < 4; k++)
			set<float>(w.out(i.to[k]), l,
			    c[l / 4 + 8 * (k / 2)][2 * (l % 4) + k % 2]);
}

/* 4096 operations an mma are 128 a lane. */
static const struct { const char *name; Op op; } table[] = {
	{ "shfl.sync.bfly.b32", { butterfly, COLLECTIVE, 1, 0 } },
	{ "shfl.sync.down.b32", { down, COLLECTIVE, 1, 0 } },
	{ "shfl.sync.up.b32", { up, COLLECTIVE, 1, 0 } },
	{ "shfl.sync.idx.b32", { indexed, COLLECTIVE, 1, 0 } },
	{ "vote.sync.ballot.b32", { ballot, COLLECTIVE, 1, 0 } },
	{ "vote.sync.any.pred", { any, COLLECTIVE, 1, 0 } },
	{ "vote.sync.all.pred", { all, COLLECTIVE, 1, 0 } },
	{ "bar.warp.sync", { meet, COLLECTIVE, 0, 0 } },
	{ "ldmatrix.sync.aligned.m8n8.x1.shared.b16",
	    { ldmatrix<1, false>, COLLECTIVE, 1, 0 } },
	{ "ldmatrix.sync.aligned.m8n8.x2.shared.b16",
	    { ldmatrix<2, false>, COLLECTIVE, 2, 0 } },
	{ "ldmatrix.sync.aligned.m8n8.x4.shared.b16",
	    { ldmatrix<4, false>, COLLECTIVE, 4, 0 } },
	{ "ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16",
	    { ldmatrix<1, true>, COLLECTIVE, 1, 0 } },
	{ "ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16",
	    { ldmatrix<2, true>, COLLECTIVE, 2, 0 } },
	{ "ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16",
	    { ldmatrix<4, true>, COLLECTIVE, 4, 0 } },
	{ "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32",
	    { mma<true>, COLLECTIVE, 4, 128 } },
	{ "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32",
	    { mma<false>, COLLECTIVE, 4, 128 } },
};

const Op *
warp_find(const std::string &name)
{
	for (const auto &t : table)
		if (name == t.name)
			return &t.op;
	return NULL;
}

} /* namespace ptx */
