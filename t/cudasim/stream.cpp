/*
 * Streams and events.  A launch or a copy only goes into the queue of its
 * stream.  Queues are worked off when the host waits, and not before, so that
 * host memory that is used again too early shows; with CBSIM_SEED the head of
 * any stream that may go on is taken, so that a missing event shows.  Every
 * operation carries a clock of what is in order before it, for the race build.
 *
 * A stream that is captured puts its operations into a graph instead; graphs
 * are in graph.cpp.
 */
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <deque>
#include <map>
#include <string>
#include <vector>

#include "device.h"

using cbsim::Clock;
using cbsim::Work;

/* A point in a stream: what was recorded there, once it has come. */
struct Point {
	bool	 come;
	Clock	 clock;
};

struct CUevent_st {
	std::shared_ptr<Point> last;	/* NULL: never recorded */
	bool	 timing;
	bool	 captured;		/* recorded within a capture */
};

struct Task {
	const char *name;
	Work	 work;
	std::shared_ptr<Point> record, await;
	Clock	 host;			/* what the host had waited for */
};

struct CUstream_st {
	std::deque<Task> queue;
	Clock	 clock;
	int	 slot;
	bool	 blocking;		/* waits for the default stream */
	cbsim::Capture capture;
};

namespace cbsim {

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static std::vector<cudaStream_t> streams;
static CUstream_st first;		/* the default stream, slot 0 */
static std::map<std::string, long> calls;	/* of each function */
static Clock host;

Lock::Lock() { pthread_mutex_lock(&mutex); }
Lock::~Lock() { pthread_mutex_unlock(&mutex); }

static void
join(Clock &a, const Clock &b)
{
	for (int i = 0; i < Clock::N; i++)
		a.at[i] = a.at[i] < b.at[i] ? b.at[i] : a.at[i];
}

static cudaStream_t
stream_of(cudaStream_t s)
{
	if (streams.empty())
		streams.push_back(&first);
	if (s == NULL || s == cudaStreamLegacy)
		return &first;
	for (cudaStream_t known : streams)
		if (known == s)
			return s;
	fault("no such stream");
}

static void
put(cudaStream_t s, Task t)
{
	t.host = host;
	s->queue.push_back(std::move(t));
}

cudaError_t
enqueue(cudaStream_t s, const char *name, Work work)
{
	s = stream_of(s);
	if (s == &first && break_captures(NULL))
		return last_error(cudaErrorStreamCaptureImplicit);
	if (s->capture.on) {
		calls["(captured)"]++;
		s->capture.nodes.push_back({ name, std::move(work) });
	} else {
		put(s, { name, std::move(work), NULL, NULL, {} });
	}
	return cudaSuccess;
}

Capture *
capture_of(cudaStream_t s)
{
	return &stream_of(s)->capture;
}

bool
break_captures(const char *call)
{
	bool any = false;

	for (cudaStream_t s : streams) {
		Capture &c = s->capture;

		if (!c.on || (call == NULL ? !s->blocking : strcmp(call,
		    "any") != 0 && c.relaxed))
			continue;
		any = c.broken = true;
	}
	return any;
}

static bool
may_go(cudaStream_t s)
{
	return !s->queue.empty() && (s->queue.front().await == NULL ||
	    s->queue.front().await->come);
}

static void
step(cudaStream_t s)
{
	Task t = std::move(s->queue.front());

	s->queue.pop_front();
	join(s->clock, t.host);
	if (t.await != NULL)
		join(s->clock, t.await->clock);
	if (t.work) {
		s->clock.at[s->slot]++;
		op_begin(s->clock, s->slot);
		set_running(t.name);
		t.work();
		set_running("?");
	}
	if (t.record != NULL) {
		t.record->come = true;
		t.record->clock = s->clock;
	}
}

/* One step of any stream that can make it; false: none can. */
static bool
any_step(void)
{
	size_t n = streams.size(), i, from = shuffled() ? draw((uint32_t)n) : 0;

	for (i = 0; i < n; i++)
		if (may_go(streams[(from + i) % n])) {
			step(streams[(from + i) % n]);
			return true;
		}
	return false;
}

cudaError_t
drain(cudaStream_t s)
{
	s = stream_of(s);
	while (!s->queue.empty())
		if (!any_step())
			fault("a stream waits for an event that never comes");
	join(host, s->clock);
	return cudaSuccess;
}

void
drain_all(void)
{
	stream_of(NULL);
	for (cudaStream_t s : streams)
		drain(s);
}

cudaError_t
launch(Launch *l, cudaStream_t s)
{
	std::shared_ptr<Launch> own(l);
	uint64_t n = (uint64_t)l->block.x * l->block.y * l->block.z;
	Lock lock;

	if (refuse("cudaLaunchKernel"))
		return last_error(cudaErrorLaunchFailure);
	if (n < 1 || n > 1024 || l->block.z > 64 || l->grid.x == 0 ||
	    l->grid.y == 0 || l->grid.z == 0 || l->grid.x > 0x7fffffff ||
	    l->grid.y > 65535 || l->grid.z > 65535)
		return last_error(cudaErrorInvalidConfiguration);
	if (l->shared > (size_t)dynamic_max(l->kernel))
		return last_error(cudaErrorInvalidValue);
	if (n % 32 != 0) {
		set_running(l->name);
		fault("a block of %lu threads, no multiple of 32", n);
	}
	return enqueue(s, l->name, [own] {
		own->check();
		log_line("kernel grid %u,%u,%u block %u,%u,%u shared %zu %s",
		    own->grid.x, own->grid.y, own->grid.z, own->block.x,
		    own->block.y, own->block.z, own->shared, own->name);
		own->run();
	});
}

/* ---- refusals, counts, and a log */

/* CBSIM_COUNTS: how often each function was called, a line each. */
static void
write_counts(void)
{
	FILE *f = fopen(getenv("CBSIM_COUNTS"), "w");

	if (f == NULL)
		fault("CBSIM_COUNTS: cannot write");
	for (const auto &c : calls)
		fprintf(f, "%s %ld\n", c.first.c_str(), c.second);
	fclose(f);
}

void
log_line(const char *fmt, ...)
{
	static const char *path = getenv("CBSIM_LOG");
	static FILE *f = path == NULL ? NULL : fopen(path, "w");
	va_list ap;

	if (path == NULL)
		return;
	if (f == NULL)
		fault("CBSIM_LOG: cannot write");
	va_start(ap, fmt);
	vfprintf(f, fmt, ap);
	va_end(ap);
	putc('\n', f);
}

bool
refuse(const char *name)
{
	static int left = -1;
	static bool every;
	static std::string wanted;
	const char *s, *colon;

	calls[name]++;
	if (left < 0) {
		left = 0;
		if (getenv("CBSIM_COUNTS") != NULL)
			atexit(write_counts);
		if ((s = getenv("CBSIM_FAIL")) != NULL) {
			colon = strchr(s, ':');
			wanted = colon == NULL ? s : std::string(s, colon);
			left = colon == NULL ? 1 : atoi(colon + 1);
			every = left == 0;
		}
	}
	if (wanted != name)
		return false;
	return every || (left > 0 && --left == 0);
}

} /* namespace cbsim */

using namespace cbsim;

extern "C" {

cudaError_t
cudaStreamCreateWithFlags(cudaStream_t *out, unsigned flags)
{
	Lock lock;

	if (refuse("cudaStreamCreateWithFlags"))
		return last_error(cudaErrorMemoryAllocation);
	stream_of(NULL);
	if (streams.size() == Clock::N)
		fault("more than %d streams", Clock::N);
	*out = new CUstream_st();
	(*out)->slot = (int)streams.size();
	(*out)->blocking = (flags & cudaStreamNonBlocking) == 0;
	streams.push_back(*out);
	return cudaSuccess;
}

/* Its slot of the clocks stays taken; what it still has to do is done. */
cudaError_t
cudaStreamDestroy(cudaStream_t s)
{
	Lock lock;

	return drain(s);
}

cudaError_t
cudaStreamSynchronize(cudaStream_t s)
{
	Lock lock;

	if (refuse("cudaStreamSynchronize"))
		return last_error(cudaErrorLaunchFailure);
	if (capture_of(s)->on) {
		capture_of(s)->broken = true;
		return last_error(cudaErrorStreamCaptureUnsupported);
	}
	log_line("waits");
	return drain(s);
}

cudaError_t
cudaDeviceSynchronize(void)
{
	Lock lock;

	if (refuse("cudaDeviceSynchronize"))
		return last_error(cudaErrorLaunchFailure);
	if (break_captures("any"))
		return last_error(cudaErrorStreamCaptureUnsupported);
	drain_all();
	return cudaSuccess;
}

cudaError_t
cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t e, unsigned)
{
	Lock lock;

	if (refuse("cudaStreamWaitEvent"))
		return last_error(cudaErrorInvalidResourceHandle);
	if (capture_of(s)->on) {
		if (e->captured)	/* by this stream: in order */
			return cudaSuccess;
		capture_of(s)->broken = true;
		return last_error(cudaErrorStreamCaptureIsolation);
	}
	if (e->captured)
		fault("a second stream in one capture is not simulated");
	if (e->last != NULL)
		put(stream_of(s), { "cudaStreamWaitEvent", nullptr, NULL,
		    e->last, {} });
	return cudaSuccess;
}

cudaError_t
cudaEventCreateWithFlags(cudaEvent_t *out, unsigned flags)
{
	Lock lock;

	if (refuse("cudaEventCreateWithFlags"))
		return last_error(cudaErrorMemoryAllocation);
	*out = new CUevent_st();
	(*out)->timing = (flags & cudaEventDisableTiming) == 0;
	return cudaSuccess;
}

cudaError_t
cudaEventDestroy(cudaEvent_t e)
{
	delete e;
	return cudaSuccess;
}

cudaError_t
cudaEventRecord(cudaEvent_t e, cudaStream_t s)
{
	Lock lock;

	if (refuse("cudaEventRecord"))
		return last_error(cudaErrorInvalidResourceHandle);
	if ((e->captured = capture_of(s)->on))
		return cudaSuccess;
	e->last = std::make_shared<Point>();
	put(stream_of(s), { "cudaEventRecord", nullptr, e->last, NULL, {} });
	return cudaSuccess;
}

cudaError_t
cudaEventSynchronize(cudaEvent_t e)
{
	Lock lock;

	if (refuse("cudaEventSynchronize"))
		return last_error(cudaErrorLaunchFailure);
	if (e->captured)
		return last_error(cudaErrorCapturedEvent);
	if (e->last == NULL)
		return cudaSuccess;
	while (!e->last->come)
		if (!any_step())
			fault("an event that never comes");
	join(host, e->last->clock);
	return cudaSuccess;
}

cudaError_t
cudaEventQuery(cudaEvent_t e)
{
	Lock lock;

	if (e->captured)
		return last_error(cudaErrorCapturedEvent);
	if (e->last == NULL || e->last->come)
		return cudaSuccess;
	any_step();
	return cudaErrorNotReady;
}

} /* extern "C" */
