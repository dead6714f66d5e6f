/*
 * A launch: block after block, in each warp after warp until it must wait for
 * the others at a barrier.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <algorithm>

#include "ptx.h"

namespace ptx {

void
wrong(const Warp &w, const Ins &i, int lane, const char *fmt, ...)
{
	const uint3 at = w.block->at;
	char s[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(s, sizeof(s), fmt, ap);
	va_end(ap);
	cbsim::fault("block %u,%u,%u thread %d: line %d: %s: %s", at.x, at.y,
	    at.z, 32 * w.index + lane, i.line, i.text.c_str(), s);
}

static bool
serial(void)
{
	static const char *s = getenv("PTXSIM_SERIAL");

	return s != NULL && *s != '\0';
}

/* Blocks to run of so many. */
static uint64_t
sample(uint64_t n)
{
	static const char *s = getenv("PTXSIM_SAMPLE");
	const uint64_t most = s != NULL ? strtoull(s, NULL, 10) : 0;

	return most > 0 && most < n ? most : n;
}

static uint32_t
where(const Row &r)
{
	uint32_t m = 0;

	for (int l = 0; l < 32; l++)
		m |= (r.lo[l] & 1) << l;
	return m;
}

/*
 * Those that go next: the lanes at the lowest instruction, which go together
 * until they come to that of others.
 */
static uint32_t
choose(const Warp &w, int *pc, int *limit)
{
	const uint32_t can = w.alive & ~w.waiting;
	uint32_t lanes = 0;

	*limit = INT32_MAX;
	if (serial()) {
		*pc = w.pc[__builtin_ctz(can)];
		return can & -can;
	}
	*pc = INT32_MAX;
	EACH(can, l)
		*pc = w.pc[l] < *pc ? w.pc[l] : *pc;
	EACH(can, l) {
		if (w.pc[l] == *pc)
			lanes |= 1u << l;
		else if (w.pc[l] < *limit)
			*limit = w.pc[l];
	}
	return lanes;
}

static void
put(Warp &w, uint32_t lanes, int pc)
{
	EACH(lanes, l)
		w.pc[l] = pc;
}

/* Lanes end at i. */
static void
end(Warp &w, const Ins &i, uint32_t lanes)
{
	w.alive &= ~lanes;
	for (const Copy &c : w.copies)
		if (lanes >> c.lane & 1)
			wrong(w, i, c.lane, "ends with copies of cp.async "
			    "that it did not wait for");
}

/* All that are left wait: for each other, then they go on, or at a barrier. */
static void
settle(Warp &w)
{
	const std::vector<Ins> &code = w.block->kernel->code;
	const int first = __builtin_ctz(w.alive), pc = w.pc[first];
	const Ins &i = code[(size_t)pc];

	EACH(w.alive, l)
		if (w.pc[l] != pc)
			wrong(w, i, first, "waits for lane %u, which waits at "
			    "line %d: %s", l, code[(size_t)w.pc[l]].line,
			    code[(size_t)w.pc[l]].text.c_str());
	if (w.alive != 0xffffffffu)
		wrong(w, i, first, "waits for lanes that have ended");
	if (i.flow == BARRIER) {
		w.barrier = pc;
		return;
	}
	i.run(w, i, w.alive);
	if (counting())
		count(i, w.alive);
	w.waiting = 0;
	put(w, w.alive, pc + 1);
}

/* Lanes go on from pc, until others are to go, or they wait, or end. */
static void
advance(Warp &w, uint32_t lanes, int pc, int limit)
{
	const Ins *code = w.block->kernel->code.data();
	const bool counted = counting();
	uint32_t m;

	while (pc < limit) {
		const Ins &i = code[pc];

		m = lanes;
		if (i.guard >= 0)
			m &= i.unless ? ~where(w.out(i.guard)) :
			    where(w.out(i.guard));
		if (m == 0) {
			pc++;
			continue;
		}
		if (i.flow == COLLECTIVE || i.flow == BARRIER) {
			if (m != lanes)
				wrong(w, i, __builtin_ctz(m), "not by all "
				    "lanes that come here");
			if (i.flow == BARRIER || lanes != 0xffffffffu) {
				w.waiting |= lanes;
				break;
			}
		}
		if (counted)
			count(i, m);
		if (i.flow == EXIT) {
			end(w, i, m);
			lanes &= ~m;
			pc++;
			break;
		}
		if (i.flow == BRANCH) {
			if (m != lanes) {
				put(w, m, i.target);
				lanes &= ~m;
				pc++;
				break;
			}
			pc = i.target;
			continue;
		}
		i.run(w, i, m);
		pc++;
	}
	put(w, lanes, pc);
}

/* Until it has ended, or is at a barrier. */
static void
go(Warp &w)
{
	uint32_t lanes;
	int pc, limit;

	while (w.alive != 0 && w.barrier < 0) {
		if ((w.alive & ~w.waiting) == 0) {
			settle(w);
			continue;
		}
		lanes = choose(w, &pc, &limit);
		advance(w, lanes, pc, limit);
	}
}

static void
begin(Warp &w)
{
	const Block &b = *w.block;
	const dim3 n = b.size;
	unsigned t;

	for (int l = 0; l < 32; l++) {
		const struct { int row; uint32_t v; } fixed[] = {
			{ NTID_X, n.x }, { NTID_Y, n.y }, { NTID_Z, n.z },
			{ CTAID_X, b.at.x }, { CTAID_Y, b.at.y },
			{ CTAID_Z, b.at.z }, { NCTAID_X, b.grid.x },
			{ NCTAID_Y, b.grid.y }, { NCTAID_Z, b.grid.z },
			{ LANEID, (uint32_t)l }, { WARPID, (uint32_t)w.index },
		};

		for (const auto &f : fixed)
			set<uint64_t>(w.out(f.row), l, f.v);
		t = 32 * (unsigned)w.index + (unsigned)l;
		set<uint64_t>(w.out(TID_X), l, t % n.x);
		set<uint64_t>(w.out(TID_Y), l, t / n.x % n.y);
		set<uint64_t>(w.out(TID_Z), l, t / (n.x * n.y));
		w.pc[l] = w.group[l] = 0;
	}
	w.alive = 0xffffffffu;
	w.waiting = 0;
	w.barrier = -1;
	w.copies.clear();
	std::fill(w.local.begin(), w.local.end(), 0xff);
}

/* The warps have stopped: all at one barrier, or all at their end? */
static bool
release(Block &b)
{
	const Warp *at = NULL;

	for (const Warp &w : b.warps)
		if (w.barrier >= 0)
			at = &w;
	if (at == NULL)
		return false;
	const Ins &i = b.kernel->code[(size_t)at->barrier];
	for (Warp &w : b.warps) {
		if (w.barrier < 0)
			wrong(w, i, 0, "ends while others wait at the "
			    "barrier");
		if (w.barrier != at->barrier)
			wrong(w, b.kernel->code[(size_t)w.barrier], 0, "while "
			    "others wait at that of line %d", i.line);
	}
	for (Warp &w : b.warps) {
		put(w, w.alive, w.barrier + 1);
		w.waiting = 0;
		w.barrier = -1;
	}
	return true;
}

void
run(Kernel &k, dim3 grid, dim3 size, size_t shared,
    const std::vector<unsigned char> &params)
{
	const uint64_t n = (uint64_t)grid.x * grid.y * grid.z, some = sample(n);
	const unsigned threads = size.x * size.y * size.z;
	Block b = { &k, &params, grid, size, {}, {}, {} };
	Warp fresh = {};

	access_begin();
	fresh.block = &b;
	fresh.rows.resize((size_t)k.nrows);
	memset((void *)fresh.rows.data(), 0xff, fresh.rows.size() *
	    sizeof(Row));
	fresh.local.resize(32 * k.local);
	b.warps.resize(threads / 32, fresh);
	b.shared.resize(DYNAMIC + shared);
	count_weight((double)n / (double)some);
	for (uint64_t turn = 0; turn < some; turn++) {
		const uint64_t at = some == n ? turn : turn * n / some;

		b.at = { (unsigned)(at % grid.x), (unsigned)(at / grid.x %
		    grid.y), (unsigned)(at / grid.x / grid.y) };
		memset(b.shared.data(), 0xff, k.shared);
		memset(b.shared.data() + DYNAMIC, 0xff, shared);
		for (size_t i = 0; i < b.warps.size(); i++) {
			b.warps[i].index = (int)i;
			begin(b.warps[i]);
		}
		do {
			for (Warp &w : b.warps)
				go(w);
		} while (release(b));
		count_block(k);
	}
	k.launches++;
	k.blocks += (double)n;
	k.threads += (double)(n * threads);
	k.widest = std::max(k.widest, threads);
	k.dynamic = std::max(k.dynamic, shared);
}

} /* namespace ptx */
