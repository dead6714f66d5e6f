/*
 * The threads of a block.  Each is a fiber; one runs until it must wait, at a
 * barrier or for the other lanes of its warp, and then the next of those that
 * can go on is picked, by the order that CBSIM_SEED asks for.  A fiber whose
 * thread ends becomes the next thread that has not begun, so that a kernel
 * without barriers never switches.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vector>

#include "device.h"

namespace cbsim {

Thread *cur;
uint3 block_at;
dim3 block_size, grid_size;

enum State { FRESH, GOES, BARRIER, COLLECTIVE, ENDED };

struct Copy { void *to; const void *from; int group; };

/* The public part comes first, so that cur is a Fiberful too. */
struct Worker : Thread {
	Fiber	*fiber;
	State	 state;
	int	 line;			/* where it waits */
	unsigned turn;			/* collectives so far */
	int	 group;			/* of cp.async, open */
	std::vector<Copy> copies;	/* issued, not landed */
};

/*
 * Two slots take turns: a lane that runs ahead into the next collective does
 * not disturb those that still fetch the result of this one.
 */
struct Warp {
	uint32_t here;			/* lanes that have come */
	Collective kind;
	int	 line;
	std::vector<int> waiting;
	uint32_t priority;
	alignas(16) unsigned char in[2][32][64], out[2][32][64];
};

struct Array { const void *site; void *p; size_t n; };

static std::vector<Worker> workers;
static std::vector<Warp> warps;
static std::vector<int> ready;		/* can go on, or begin */
static std::vector<int> at_barrier;
static std::vector<Array> arrays;	/* shared memory */
static size_t taken;			/* of ready, in order */
static void *dynamic;
static size_t dynamic_bytes;
static int ended, barrier_line;
static unsigned passed;			/* barriers */
static Launch *now;

/* ---- faults */

static const char *name = "?";

const char *
running(void)
{
	return name;
}

void
set_running(const char *n)
{
	name = n;
}

void
fault(const char *fmt, ...)
{
	char s[1024];
	va_list ap;
	int n;

	n = snprintf(s, sizeof(s), "cudasim: %s: ", name);
	if (cur != NULL)
		n += snprintf(s + n, sizeof(s) - (size_t)n,
		    "block %u,%u,%u thread %d: ", block_at.x, block_at.y,
		    block_at.z, cur->index);
	va_start(ap, fmt);
	vsnprintf(s + n, sizeof(s) - (size_t)n, fmt, ap);
	va_end(ap);
	fprintf(stderr, "%s\n", s);
	fflush(NULL);
	_exit(STATUS);
}

/* ---- order */

static uint64_t state;			/* of the generator; 0: not begun */
static int seed = -1;			/* -1: none */

static void
begin(void)
{
	const char *s = getenv("CBSIM_SEED");

	seed = s == NULL || *s == '\0' ? -1 : atoi(s);
	state = 88172645463325252ull ^ ((uint64_t)seed + 1) *
	    0x9e3779b97f4a7c15ull;
}

bool
shuffled(void)
{
	if (state == 0)
		begin();
	return seed >= 0;
}

bool
starving(void)
{
	return shuffled() && seed % 2 == 1;
}

uint32_t
draw(uint32_t n)
{
	if (state == 0)
		begin();
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)((state >> 32) * n >> 32);
}

/* The place in ready of the one that goes next. */
static size_t
choose(void)
{
	size_t best = taken, i;

	if (!shuffled())
		return taken;
	if (!starving())
		return taken + draw((uint32_t)(ready.size() - taken));
	if (draw(512) == 0)
		warps[draw((uint32_t)warps.size())].priority = draw(1u << 31);
	for (i = taken; i < ready.size(); i++)
		if (warps[(size_t)workers[(size_t)ready[i]].warp].priority >
		    warps[(size_t)workers[(size_t)ready[best]].warp].priority)
			best = i;
	return best;
}

[[noreturn]] static void
stuck(void)
{
	char s[512];
	int n = 0, i, shown = 0;

	s[0] = '\0';
	for (i = 0; i < (int)workers.size() && shown < 6; i++) {
		const Worker &w = workers[(size_t)i];

		if (w.state != BARRIER && w.state != COLLECTIVE)
			continue;
		n += snprintf(s + n, sizeof(s) - (size_t)n,
		    " thread %d at the %s of line %d,", i, w.state == BARRIER ?
		    "barrier" : "collective", w.line);
		shown++;
	}
	cur = NULL;
	fault("block %u,%u,%u cannot go on:%s and %d of %zu have ended",
	    block_at.x, block_at.y, block_at.z, s, ended, workers.size());
}

/* NULL: all have ended. */
static Worker *
pick(void)
{
	size_t i;
	int t;

	if (taken == ready.size()) {
		if (ended < (int)workers.size())
			stuck();
		return NULL;
	}
	i = choose();
	t = ready[i];
	ready[i] = ready[taken++];
	if (taken == ready.size()) {
		ready.clear();
		taken = 0;
	}
	return &workers[(size_t)t];
}

/* ---- life of a thread */

static void threads(void);

/* Leaves the running thread, which waits, for another. */
static void
wait(void)
{
	Worker *me = static_cast<Worker *>(cur), *w = pick();

	if (w == NULL)
		stuck();
	if (w == me) {
		me->state = GOES;
		return;
	}
	if (w->state == FRESH)
		w->fiber = fiber_new(threads);
	w->state = GOES;
	cur = w;
	fiber_go(me->fiber, w->fiber, false);
	cur = me;
}

/* The running thread lets others go first. */
static void
step_back(void)
{
	ready.push_back(cur->index);
	wait();
}

/* A fiber: the threads that begin on it, one after the other. */
static void
threads(void)
{
	Worker *me, *w;

	for (;;) {
		me = static_cast<Worker *>(cur);
		now->call();
		if (!me->copies.empty())
			fault("ends with copies of cp.async that it did not "
			    "wait for");
		me->state = ENDED;
		ended++;
		if (!at_barrier.empty())
			fault("ends while others wait at the barrier of line "
			    "%d", barrier_line);
		if ((w = pick()) == NULL)
			fiber_go(me->fiber, NULL, true);
		cur = w;
		if (w->state == FRESH) {
			w->state = GOES;
			w->fiber = me->fiber;
			continue;
		}
		w->state = GOES;
		fiber_go(me->fiber, w->fiber, true);
	}
}

unsigned
barriers(void)
{
	return passed;
}

void
barrier(int line)
{
	Worker *me = static_cast<Worker *>(cur);

	if (at_barrier.empty())
		barrier_line = line;
	else if (barrier_line != line)
		fault("barrier of line %d while others wait at that of line "
		    "%d", line, barrier_line);
	if (ended > 0)
		fault("barrier of line %d after %d threads have ended", line,
		    ended);
	if (at_barrier.size() + 1 < workers.size()) {
		at_barrier.push_back(me->index);
		me->state = BARRIER;
		me->line = line;
		wait();
		return;
	}
	passed++;
	ready.insert(ready.end(), at_barrier.begin(), at_barrier.end());
	for (int t : at_barrier)
		workers[(size_t)t].state = GOES;
	at_barrier.clear();
	if (shuffled())
		step_back();
}

void
collective(Collective kind, int line, const void *in, size_t nin, void *out,
    size_t nout)
{
	Worker *me = static_cast<Worker *>(cur);
	Warp *w = &warps[(size_t)me->warp];
	unsigned slot = me->turn++ & 1;

	if (w->here == 0) {
		w->kind = kind;
		w->line = line;
	} else if (w->kind != kind || w->line != line)
		fault("warp %d diverges: collectives of lines %d and %d",
		    me->warp, w->line, line);
	if (nin > 0)
		memcpy(w->in[slot][me->lane], in, nin);
	w->here |= 1u << me->lane;
	if (w->here != 0xffffffffu) {
		w->waiting.push_back(me->index);
		me->state = COLLECTIVE;
		me->line = line;
		wait();
	} else {
		w->here = 0;
		compute(kind, w->in[slot], w->out[slot]);
		for (int t : w->waiting)
			workers[(size_t)t].state = GOES;
		ready.insert(ready.end(), w->waiting.begin(),
		    w->waiting.end());
		w->waiting.clear();
		if (shuffled())
			step_back();
	}
	if (nout > 0)
		memcpy(out, w->out[slot][me->lane], nout);
}

/* ---- shared memory and copies into it */

void *
shared(const void *site, size_t bytes)
{
	for (const Array &a : arrays)
		if (a.site == site)
			return a.p;
	arrays.push_back({ site, area_new(bytes, SHARED, 16), bytes });
	return arrays.back().p;
}

void *
shared_dyn(void)
{
	if (dynamic == NULL)
		fault("dynamic shared memory, but the launch gave none");
	return dynamic;
}

static bool
in_shared(const void *p, size_t n)
{
	const char *c = (const char *)p;

	for (const Array &a : arrays)
		if (c >= (char *)a.p && c + n <= (char *)a.p + a.n)
			return true;
	return dynamic != NULL && c >= (char *)dynamic &&
	    c + n <= (char *)dynamic + dynamic_bytes;
}

static void
land(const Copy &c)
{
	thread_land(c.to, 16);
	if (c.from == NULL)
		memset(c.to, 0, 16);
	else
		memcpy(c.to, c.from, 16);
}

/* When it lands is open until the wait: at once or then, as the seed draws. */
void
cp_async(void *to, const void *from, bool there)
{
	Worker *me = static_cast<Worker *>(cur);
	Copy c = { to, there ? from : NULL, me->group };

	if ((((uintptr_t)to | (uintptr_t)from) & 15) != 0)
		fault("cp.async between %p and %p, not 16-byte aligned", to,
		    from);
	if (!in_shared(to, 16))
		fault("cp.async to what is not shared memory");
	thread_flight(to, c.from, 16);
	if (shuffled() && draw(2) == 0) {
		if (c.from == NULL)
			memset(to, 0, 16);
		else
			memcpy(to, c.from, 16);
	}
	me->copies.push_back(c);
}

void
cp_commit(void)
{
	static_cast<Worker *>(cur)->group++;
}

void
cp_wait(int left)
{
	Worker *me = static_cast<Worker *>(cur);
	size_t kept = 0;

	for (const Copy &c : me->copies) {
		if (c.group < me->group - left)
			land(c);
		else
			me->copies[kept++] = c;
	}
	me->copies.resize(kept);
}

uint32_t
atomic_add(uint32_t *p, uint32_t v)
{
	uint32_t was = *p;

	thread_atomic(p, sizeof(*p));
	*p = was + v;
	return was;
}

int32_t
atomic_max(int32_t *p, int32_t v)
{
	int32_t was = *p;

	thread_atomic(p, sizeof(*p));
	*p = was < v ? v : was;
	return was;
}

/* ---- a launch */

static void
run_block(uint3 at)
{
	int n = (int)workers.size(), i;

	block_at = at;
	ended = 0;
	passed = 0;
	taken = 0;
	ready.resize((size_t)n);
	for (i = 0; i < n; i++) {
		Worker &w = workers[(size_t)i];

		w.at = { (unsigned)i % block_size.x, (unsigned)i /
		    block_size.x % block_size.y, (unsigned)i / (block_size.x *
		    block_size.y) };
		w.index = i;
		w.lane = i % 32;
		w.warp = i / 32;
		w.syncs = w.turn = 0;
		w.group = 0;
		w.state = FRESH;
		ready[(size_t)i] = i;
	}
	for (Warp &w : warps)
		w.priority = starving() ? draw(1u << 31) : 0;
	dynamic = dynamic_bytes > 0 ? area_new(dynamic_bytes, SHARED, 16) :
	    NULL;
	Worker *w = pick();
	w->state = GOES;
	w->fiber = fiber_new(threads);
	cur = w;
	fiber_go(NULL, w->fiber, false);
	cur = NULL;
	for (const Array &a : arrays)
		area_free(a.p, SHARED);
	arrays.clear();
	if (dynamic != NULL)
		area_free(dynamic, SHARED);
	dynamic = NULL;
}

/* Blocks in order, or in an order that visits each once. */
void
Launch::run(void)
{
	uint64_t n = (uint64_t)grid.x * grid.y * grid.z, i, k, step = 1;

	now = this;
	block_size = block;
	grid_size = grid;
	dynamic_bytes = shared;
	workers.resize(block.x * block.y * block.z);
	warps.resize(workers.size() / 32);
	fiber_enter();
	if (shuffled() && n % 7919 != 0)
		step = 7919;
	for (i = 0; i < n; i++) {
		k = i * step % n;
		run_block({ (unsigned)(k % grid.x), (unsigned)(k / grid.x %
		    grid.y), (unsigned)(k / grid.x / grid.y) });
	}
	now = NULL;
}

} /* namespace cbsim */
