/*
 * Loads and stores, atomics, and cp.async: PTX ISA, "Data Movement and
 * Conversion Instructions".  Every lane's address is looked up in the table of
 * what was allocated.
 */
#include "ptx.h"

namespace ptx {

/* The allocation that was hit last; a run begins without. */
static cbsim::Area last;

static unsigned char *
global(Warp &w, const Ins &i, int lane, uint64_t address, size_t n)
{
	const char *p = (const char *)address;
	const cbsim::Area *a;

	if (p < last.p || p + n > last.p + last.n) {
		a = cbsim::area_of(p);
		if (a == NULL || p + n > a->p + a->n)
			wrong(w, i, lane, "%zu bytes at 0x%jx, %s", n,
			    (uintmax_t)address, a == NULL ? "which is no "
			    "memory of the device" : "beyond the end of an "
			    "allocation");
		last = *a;
	}
	return (unsigned char *)p;
}

static unsigned char *
in_shared(Warp &w, const Ins &i, int lane, uint64_t at, size_t n)
{
	const Kernel *k = w.block->kernel;
	/* the last byte too: no access is wider than the gaps */
	const bool inside = at >= DYNAMIC ?
	    at + n <= w.block->shared.size() : at + n <= k->shared &&
	    k->in_array[at] && k->in_array[at + n - 1];

	if (!inside)
		wrong(w, i, lane, "%zu bytes at 0x%jx of shared memory, which "
		    "is in no array", n, (uintmax_t)at);
	return w.block->shared.data() + at;
}

unsigned char *
reach(Warp &w, const Ins &i, int lane, uint64_t address, Space space, size_t n)
{
	const Kernel *k = w.block->kernel;
	uint64_t at = address;

	if (address % n != 0)
		wrong(w, i, lane, "%zu bytes at 0x%jx, not aligned", n,
		    (uintmax_t)address);
	if (space == GENERIC) {
		space = (Space)(address / window);
		space = space == GENERIC ? GLOBAL : space;
		at = address % window;
	}
	switch (space) {
	case GLOBAL:
		return global(w, i, lane, address, n);
	case SHARED:
		return in_shared(w, i, lane, at, n);
	case LOCAL:
		if (at + n > k->local)
			wrong(w, i, lane, "beyond its %zu bytes of local "
			    "memory", k->local);
		return w.local.data() + (size_t)lane * k->local + at;
	case PARAM:
		if (at + n > k->param_bytes)
			wrong(w, i, lane, "beyond the parameters");
		return (unsigned char *)w.block->params->data() + at;
	default:
		wrong(w, i, lane, "0x%jx is no address", (uintmax_t)address);
	}
}

/* Of all lanes; in spaces of its own an address has 32 bits at most. */
static void
addresses(const Warp &w, const Ins &i, const Source &s, uint32_t lanes,
    Space space, uint64_t *to)
{
	const Row &r = w.in(s);

	EACH(lanes, l)
		to[l] = space == GENERIC || space == GLOBAL ?
		    get<uint64_t>(r, (int)l) : get<uint32_t>(r, (int)l);
	if (i.offset != 0)
		EACH(lanes, l)
			to[l] += (uint64_t)i.offset;
}

static void
load(Warp &w, const Ins &i, uint32_t lanes)
{
	const size_t n = (size_t)(i.bytes * i.nto);
	uint64_t at[32], v;
	const unsigned char *p;

	addresses(w, i, i.from[0], lanes, i.space, at);
	EACH(lanes, l) {
		p = reach(w, i, (int)l, at[l], i.space, n);
		for (int k = 0; k < i.nto; k++) {
			v = 0;
			memcpy(&v, p + k * i.bytes, i.bytes);
			if (i.is_signed && i.bytes < 8)
				v = (uint64_t)((int64_t)(v << (64 - 8 *
				    i.bytes)) >> (64 - 8 * i.bytes));
			set<uint64_t>(w.out(i.to[k]), (int)l, v);
		}
	}
	if (counting())
		count_access(i, i.space, at, lanes, (int)n);
}

static void
store(Warp &w, const Ins &i, uint32_t lanes)
{
	const int count = i.nfrom - 1;
	const size_t n = (size_t)(i.bytes * count);
	unsigned char *p;
	uint64_t at[32], v;

	addresses(w, i, i.from[0], lanes, i.space, at);
	EACH(lanes, l) {
		p = reach(w, i, (int)l, at[l], i.space, n);
		for (int k = 0; k < count; k++) {
			v = get<uint64_t>(w.in(i.from[1 + k]), (int)l);
			memcpy(p + k * i.bytes, &v, i.bytes);
		}
	}
	if (counting())
		count_access(i, i.space, at, lanes, (int)n);
}

/* Lane after lane: any order is one of those that a device may take. */
template <class T, class F> static void
atomic(Warp &w, const Ins &i, uint32_t lanes, F f)
{
	uint64_t at[32];
	T was, now;

	addresses(w, i, i.from[0], lanes, i.space, at);
	EACH(lanes, l) {
		unsigned char *p = reach(w, i, (int)l, at[l], i.space,
		    sizeof(T));

		memcpy(&was, p, sizeof(T));
		now = f(was, get<T>(w.in(i.from[1]), (int)l));
		memcpy(p, &now, sizeof(T));
		if (i.nto > 0)
			set<T>(w.out(i.to[0]), (int)l, was);
	}
	if (counting())
		count_access(i, i.space, at, lanes, sizeof(T));
}

#define ATOMIC(T, expr) [](Warp &w, const Ins &i, uint32_t lanes) { \
	atomic<T>(w, i, lanes, [](T a, T b) -> T { return expr; }); }
static const struct { const char *name; Run *run; } atomics[] = {
	{ "add.u32", ATOMIC(uint32_t, a + b) },
	{ "add.s32", ATOMIC(uint32_t, a + b) },
	{ "add.u64", ATOMIC(uint64_t, a + b) },
	{ "max.s32", ATOMIC(int32_t, a > b ? a : b) },
	{ "max.u32", ATOMIC(uint32_t, a > b ? a : b) },
	{ "min.s32", ATOMIC(int32_t, a < b ? a : b) },
	{ "min.u32", ATOMIC(uint32_t, a < b ? a : b) },
	{ "or.b32", ATOMIC(uint32_t, a | b) },
	{ "exch.b32", ATOMIC(uint32_t, ((void)a, b)) },
};

/* ---- cp.async */

/* [to], [from], 16 and, where given, how many of these are read: the others
 * become 0.  The bytes land at the wait, not before. */
static void
issue(Warp &w, const Ins &i, uint32_t lanes)
{
	uint64_t to[32], from[32];
	int whole = 16, n;

	addresses(w, i, i.from[0], lanes, SHARED, to);
	EACH(lanes, l) {
		from[l] = get<uint64_t>(w.in(i.from[1]), (int)l);
		whole = n = (int)get<uint32_t>(w.in(i.from[2]), (int)l);
		if (i.nfrom > 3)
			n = (int)get<uint32_t>(w.in(i.from[3]), (int)l);
		if (n < 0 || n > whole)
			wrong(w, i, (int)l, "%d of %d bytes are to be read", n,
			    whole);
		reach(w, i, (int)l, to[l], SHARED, (size_t)whole);
		if (n > 0)
			reach(w, i, (int)l, from[l], GLOBAL, (size_t)whole);
		w.copies.push_back({ (int)l, w.group[l], (uint32_t)to[l],
		    (const void *)from[l], n, whole });
	}
	if (counting()) {
		count_access(i, GLOBAL, from, lanes, whole);
		count_access(i, SHARED, to, lanes, whole);
	}
}

void
land(Warp &w, uint32_t lanes, int left)
{
	size_t kept = 0;

	for (const Copy &c : w.copies) {
		if ((lanes >> c.lane & 1) == 0 ||
		    c.group >= w.group[c.lane] - left) {
			w.copies[kept++] = c;
			continue;
		}
		unsigned char *p = w.block->shared.data() + c.to;
		if (c.bytes > 0)
			memcpy(p, c.from, (size_t)c.bytes);
		memset(p + c.bytes, 0, (size_t)(c.whole - c.bytes));
	}
	w.copies.resize(kept);
}

static void
commit(Warp &w, const Ins &, uint32_t lanes)
{
	EACH(lanes, l)
		w.group[l]++;
}

static void
await(Warp &w, const Ins &i, uint32_t lanes)
{
	if (i.nfrom == 0) {		/* wait_all: commits, then waits */
		commit(w, i, lanes);
		land(w, lanes, 0);
		return;
	}
	land(w, lanes, (int)get<uint32_t>(w.in(i.from[0]), 0));
}

/* ---- names */

static bool
element(Ins &i, const std::string &t)
{
	static const char *const kinds = "busf";
	const int bits = t.size() < 2 ? 0 : atoi(t.c_str() + 1);

	if (t.empty() || strchr(kinds, t[0]) == NULL || (bits != 8 &&
	    bits != 16 && bits != 32 && bits != 64))
		return false;
	i.bytes = (uint8_t)(bits / 8);
	i.is_signed = t[0] == 's';
	return true;
}

static bool
space_of(Ins &i, const std::string &word)
{
	if (word == "global")
		i.space = GLOBAL;
	else if (word == "shared" || word == "shared::cta")
		i.space = SHARED;
	else if (word == "local")
		i.space = LOCAL;
	else if (word == "param")
		i.space = PARAM;
	else
		return false;
	return true;
}

/* What changes nothing here: hints to caches, ordering that one warp after the
 * other gives, and v2 .. v8, which the operands tell. */
static bool
idle(const std::string &word)
{
	static const char *const words[] = { "nc", "volatile", "relaxed", "gpu",
	    "cta", "sys", "weak", "ca", "cg", "cs", "lu", "cv", "wb", "wt",
	    "v2", "v4", "v8", "L1::no_allocate", "L1::evict_last",
	    "L1::evict_first", "L2::128B", "L2::256B", "L2::64B" };

	for (const char *s : words)
		if (word == s)
			return true;
	return false;
}

bool
access_find(Ins &i, const std::string &name)
{
	std::vector<std::string> words;
	std::string rest;
	size_t at, end, n;

	for (at = 0; at <= name.size(); at = end + 1) {
		end = name.find('.', at);
		end = end == std::string::npos ? name.size() : end;
		words.push_back(name.substr(at, end - at));
	}
	i.space = GENERIC;
	if (name == "cp.async.commit_group")
		i.run = commit;
	else if (name == "cp.async.wait_group" || name == "cp.async.wait_all")
		i.run = await;
	else if (name == "cp.async.cg.shared.global" ||
	    name == "cp.async.ca.shared.global" ||
	    name == "cp.async.cg.shared.global.L2::128B")
		i.run = issue;
	else if (words[0] == "ld" || words[0] == "st") {
		i.run = words[0] == "ld" ? load : store;
		i.stores = words[0] == "st";
		for (n = 1; n + 1 < words.size(); n++)
			if (!space_of(i, words[n]) && !idle(words[n]))
				return false;
		return element(i, words.back());
	} else if (words[0] == "atom" || words[0] == "red") {
		i.stores = words[0] == "red";
		for (n = 1; n < words.size(); n++)
			if (!space_of(i, words[n]) && !idle(words[n]))
				rest += (rest.empty() ? "" : ".") + words[n];
		for (const auto &a : atomics)
			if (rest == a.name)
				i.run = a.run;
	}
	return i.run != NULL;
}

void
access_begin(void)
{
	last = { NULL, 0, cbsim::DEVICE };
}

} /* namespace ptx */
