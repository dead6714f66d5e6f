/*
 * Memory of the simulated device: a table of areas, each filled with 0xFF when
 * made.
 *
 * In the race build (CBSIM_RACE) areas lie in one arena with gaps between, and
 * every load and store of a kernel, which -fsanitize=thread turns into a call
 * of __tsan_...() below (ours, not libtsan's), is looked up in a shadow: for
 * each byte whether it may be used and was written, for each two bytes who
 * wrote and who read last.  Two accesses are in order if one thread made both,
 * a barrier of their block or a cb_syncwarp() of their warp lies between, or
 * their operations are in order by streams, events and waits of the host.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <map>
#include <vector>

#include "device.h"

namespace cbsim {

static std::map<const char *, Area> areas;	/* by their ends */
static size_t total;

static void *take(size_t n, size_t align, Kind kind);
static void give(void *p, size_t n, Kind kind);

bool
dry(void)
{
	static const char *s = getenv("CBSIM_DRY");

	return s != NULL && *s != '\0';
}

void *
area_new(size_t n, Kind kind, size_t align)
{
	char *p = (char *)take(n > 0 ? n : 1, align, kind);

	if (p == NULL)
		return NULL;
	if (!dry() || kind == SHARED)
		memset(p, 0xff, n);
	areas[p + (n > 0 ? n : 1)] = { p, n, kind };
	total += kind == DEVICE ? n : 0;
	return p;
}

const Area *
area_of(const void *p)
{
	auto i = areas.upper_bound((const char *)p);

	if (i == areas.end() || (const char *)p < i->second.p)
		return NULL;
	return &i->second;
}

bool
area_free(void *p, Kind kind)
{
	const Area *a = area_of(p);
	size_t n;

	if (a == NULL || a->p != p || a->kind != kind)
		return false;
	n = a->n;
	total -= kind == DEVICE ? n : 0;
	areas.erase((const char *)p + (n > 0 ? n : 1));
	give(p, n > 0 ? n : 1, kind);
	return true;
}

bool
area_lock(void *p, size_t n)
{
	auto i = areas.upper_bound((const char *)p);

	if (i != areas.end() && (char *)p + n > i->second.p)
		return false;
	areas[(char *)p + n] = { (char *)p, n, LOCKED };
	return true;
}

bool
area_unlock(void *p)
{
	const Area *a = area_of(p);

	if (a == NULL || a->p != p || a->kind != LOCKED)
		return false;
	areas.erase(a->p + a->n);
	return true;
}

size_t
area_total(void)
{
	return total;
}

bool
good_pointer(const Launch &l, int arg, const void *p)
{
	const Area *a = area_of(p);

	if (p == NULL || (a != NULL && a->kind != SHARED && a->kind != LOCKED))
		return true;
	/* One past the end of an area may go along where nothing is read. */
	if (areas.count((const char *)p) != 0)
		return true;
	set_running(l.name);
	fault("argument %d is %p, which is no memory of the device", arg, p);
}

static void
inside(const void *p, size_t n, const char *what)
{
	const Area *a = area_of(p);

	if (n == 0)
		return;
	if (a == NULL || a->kind == SHARED)
		fault("%s is %p, which is no memory of the device", what, p);
	if ((const char *)p + n > a->p + a->n)
		fault("%s ends %zu bytes behind its %zu bytes", what,
		    (size_t)((const char *)p + n - (a->p + a->n)), a->n);
}

#ifndef CBSIM_RACE

/* In a dry run most of it is never touched, and then takes no room. */
static void *
take(size_t n, size_t align, Kind kind)
{
	void *p;

	if (dry() && kind == DEVICE) {
		p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE |
		    MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		return p == MAP_FAILED ? NULL : p;
	}
	return posix_memalign(&p, align, n) == 0 ? p : NULL;
}

static void
give(void *p, size_t n, Kind kind)
{
	if (dry() && kind == DEVICE)
		munmap(p, n);
	else
		free(p);
}

void
range_read(const void *p, size_t n, const char *what)
{
	inside(p, n, what);
}

void
range_write(void *p, size_t n, const char *what)
{
	inside(p, n, what);
}

void thread_flight(void *, const void *, size_t) {}
void thread_land(void *, size_t) {}
void thread_atomic(void *, size_t) {}
void op_begin(const Clock &, int) {}

#else

/* ---- the shadow */

static const size_t arena_bytes = (size_t)8 << 30, gap = 256;

enum Byte : unsigned char { OUTSIDE, FRESH, WRITTEN, FLYING };

/* op 0: none.  thread 0xffff: the operation as a whole, a copy for one. */
struct Access {
	uint32_t op, block;
	uint16_t thread, barrier, sync, atomic;
};
struct Cell { Access w, r, r2; };	/* the last writer, two readers */

static char *arena;
static Byte *bytes_of;
static Cell *cells;
static size_t top = gap;
static std::map<size_t, std::vector<size_t>> spare;	/* SHARED, by size */

/* Operations so far: which place of which queue each was. */
struct Op { int slot; uint32_t at; };
static std::vector<Op> ops(1);
static Clock now;

static void *
reserve(size_t n)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE |
	    MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		fault("no address space for the shadow of memory");
	return p;
}

static void *
take(size_t n, size_t align, Kind kind)
{
	size_t at;

	if (arena == NULL) {
		arena = (char *)reserve(arena_bytes);
		bytes_of = (Byte *)reserve(arena_bytes);
		cells = (Cell *)reserve(arena_bytes / 2 * sizeof(Cell));
	}
	if (kind == SHARED && !spare[n].empty()) {
		at = spare[n].back();
		spare[n].pop_back();
		memset((void *)(cells + at / 2), 0, (n + 1) / 2 *
		    sizeof(Cell));
	} else {
		at = (top + align - 1) / align * align;
		if (at + n + gap > arena_bytes)
			return NULL;
		top = at + n + gap;
	}
	memset(bytes_of + at, kind == PINNED ? WRITTEN : FRESH, n);
	return arena + at;
}

static void
give(void *p, size_t n, Kind kind)
{
	size_t at = (size_t)((char *)p - arena);

	memset(bytes_of + at, OUTSIDE, n);
	if (kind == SHARED)
		spare[n].push_back(at);
}

void
op_begin(const Clock &c, int slot)
{
	now = c;
	ops.push_back({ slot, c.at[slot] });
}

static bool
in_order(const Access &a, const Access &b)
{
	if (a.op != b.op) {
		const Op &o = ops[a.op];

		return now.at[o.slot] >= o.at;
	}
	if (a.thread == b.thread && a.block == b.block)
		return true;
	if (a.block != b.block)
		return false;
	return a.barrier != b.barrier || (a.thread / 32 == b.thread / 32 &&
	    a.sync != b.sync);
}

enum Way { READ, WRITE, ATOMIC };

[[noreturn]] static void
report(const char *what, const void *p, int n, const Access *other)
{
	const Area *a = area_of(p);
	char where[96], who[96];

	where[0] = who[0] = '\0';
	if (a != NULL)
		snprintf(where, sizeof(where), " at byte %zu of %zu of %s "
		    "memory", (size_t)((const char *)p - a->p), a->n, a->kind ==
		    SHARED ? "shared" : "global");
	if (other != NULL && other->thread == 0xffff)
		snprintf(who, sizeof(who), ", against an operation of another "
		    "stream");
	else if (other != NULL)
		snprintf(who, sizeof(who), ", against thread %u of block %u%s",
		    other->thread, other->block, other->op + 1 == ops.size() ?
		    "" : " of another launch");
	fault("%s of %d bytes%s%s", what, n, where, who);
}

static void
touch(const void *p, int n, Way way, bool whole)
{
	size_t at = (size_t)((const char *)p - arena), i;
	Access me = { (uint32_t)ops.size() - 1, 0, 0xffff, 0, 0,
	    way == ATOMIC };

	if (!whole) {
		me.block = block_at.x + grid_size.x * (block_at.y +
		    grid_size.y * block_at.z);
		me.thread = (uint16_t)cur->index;
		me.barrier = (uint16_t)barriers();
		me.sync = (uint16_t)cur->syncs;
	}
	for (i = at; i < at + (size_t)n; i++) {
		if (bytes_of[i] == OUTSIDE)
			report(way == READ ? "read out of bounds" :
			    "write out of bounds", p, n, NULL);
		if (way != WRITE && bytes_of[i] == FLYING)
			report("read of a cp.async in flight", p, n, NULL);
		if (way != WRITE && bytes_of[i] == FRESH && !whole)
			report("read of what was never written", p, n, NULL);
		if (way != READ)
			bytes_of[i] = WRITTEN;
	}
	for (i = at / 2; i <= (at + (size_t)n - 1) / 2; i++) {
		Cell &c = cells[i];
		const bool calm = way == ATOMIC;

		if (c.w.op != 0 && !(calm && c.w.atomic) &&
		    !in_order(c.w, me))
			report(way == READ ? "race: read after write" :
			    "race: write after write", p, n, &c.w);
		if (way == READ) {
			if (c.r.op != me.op || c.r.thread != me.thread ||
			    c.r.block != me.block)
				c.r2 = c.r;
			c.r = me;
			continue;
		}
		if (c.r.op != 0 && !in_order(c.r, me))
			report("race: write after read", p, n, &c.r);
		if (c.r2.op != 0 && !in_order(c.r2, me))
			report("race: write after read", p, n, &c.r2);
		c.w = me;
	}
}

static bool
in_arena(const void *p)
{
	return arena != NULL && (const char *)p >= arena &&
	    (const char *)p < arena + arena_bytes;
}

void
range_read(const void *p, size_t n, const char *what)
{
	inside(p, n, what);
	if (!in_arena(p))
		return;
	for (size_t i = 0; i < n; i += 1 << 20)
		touch((const char *)p + i, (int)(n - i < 1 << 20 ? n - i :
		    1 << 20), READ, true);
}

void
range_write(void *p, size_t n, const char *what)
{
	inside(p, n, what);
	if (!in_arena(p))
		return;
	for (size_t i = 0; i < n; i += 1 << 20)
		touch((char *)p + i, (int)(n - i < 1 << 20 ? n - i : 1 << 20),
		    WRITE, true);
}

static void
access(const void *p, int n, Way way)
{
	if (cur == NULL || !in_arena(p))
		return;
	if ((uintptr_t)p % (unsigned)n != 0)
		fault("%d bytes at %p, not aligned", n, p);
	touch(p, n, way, false);
}

static void
access_range(const void *p, size_t n, Way way)
{
	if (cur != NULL && n > 0 && in_arena(p))
		touch(p, (int)n, way, false);
}

/* From its issue on the write may happen at any time. */
void
thread_flight(void *to, const void *from, size_t n)
{
	if (from != NULL)
		access(from, (int)n, READ);
	access(to, (int)n, WRITE);
	memset(bytes_of + ((char *)to - arena), FLYING, n);
}

void
thread_land(void *to, size_t n)
{
	memset(bytes_of + ((char *)to - arena), WRITTEN, n);
}

void
thread_atomic(void *p, size_t n)
{
	access(p, (int)n, ATOMIC);
}

#endif /* CBSIM_RACE */

} /* namespace cbsim */

#ifdef CBSIM_RACE

/* What gcc's -fsanitize=thread calls; see the top of this file. */
#define HOOKS(n) \
	void __tsan_read##n(void *p) { cbsim::access(p, n, cbsim::READ); } \
	void __tsan_write##n(void *p) { cbsim::access(p, n, cbsim::WRITE); } \
	void __tsan_unaligned_read##n(void *p) \
	    { cbsim::access(p, n, cbsim::READ); } \
	void __tsan_unaligned_write##n(void *p) \
	    { cbsim::access(p, n, cbsim::WRITE); } \
	void __tsan_volatile_read##n(void *p) \
	    { cbsim::access(p, n, cbsim::READ); } \
	void __tsan_volatile_write##n(void *p) \
	    { cbsim::access(p, n, cbsim::WRITE); }
#pragma GCC visibility push(hidden)
extern "C" {
HOOKS(1)
HOOKS(2)
HOOKS(4)
HOOKS(8)
HOOKS(16)
void
__tsan_read_range(void *p, size_t n)
{
	cbsim::access_range(p, n, cbsim::READ);
}
void
__tsan_write_range(void *p, size_t n)
{
	cbsim::access_range(p, n, cbsim::WRITE);
}
void __tsan_init(void) {}
void __tsan_vptr_update(void *, void *) {}
void __tsan_vptr_read(void *) {}
void __tsan_func_entry(void *) {}
void __tsan_func_exit(void) {}
}
#pragma GCC visibility pop

#endif
