/*
 * device: what the parts of the simulated device know of each other.
 *
 *	fiber.cpp	stacks and switching between them
 *	block.cpp	the threads of a block: their order, barriers, collectives
 *	warp.cpp	what a collective computes
 *	memory.cpp	allocations, and in the race build (CBSIM_RACE) every
 *			access to them
 *	stream.cpp	streams and events: when a launch or a copy runs
 *	graph.cpp	streams captured into graphs, and these run
 *
 * One block runs at a time, on the host thread that waits for a stream; a lock
 * (stream.cpp) keeps others out.  What a real device would leave undefined ends
 * the program with a message and status CBSIM_STATUS.
 *
 * Environment:
 *	CBSIM_SEED=n	none: threads in order, streams first come first served.
 *			Even: any thread that can go on, at random; odd: one warp
 *			runs far ahead while another starves.  Both: the blocks
 *			of a launch and the heads of streams at random.
 *	CBSIM_FAIL=name[:n]	the n-th call (1) of this library function is
 *			refused; 0: every one.  Some stand-ins take more names
 *			than functions: what of a library is not there
 *	CBSIM_COUNTS=file	written at the end: how often each library
 *			function was called, and (captured) operations
 *	CBSIM_LOG=file	a line for every kernel and every operation of a library
 *			when it runs: "kernel", its launch and its name; or the
 *			call, its sizes, operations and bytes.  Besides, what the
 *			host asks for, when it does: "asks" a copy or a graph,
 *			and "waits" for a stream
 *	CBSIM_DRY=1	calls of libraries compute nothing, and memory, of which
 *			there is 80 GB, is zero to begin with: for what a program
 *			asks for at sizes that nobody could wait for.  Copies are
 *			made, for their data may be sizes, and kernels run (but
 *			see PTXSIM_SAMPLE)
 */
#ifndef CBSIM_DEVICE_H
#define CBSIM_DEVICE_H

#include <stddef.h>
#include <stdint.h>

#include <functional>
#include <memory>
#include <vector>

#include <cuda_runtime_api.h>

#include "dev.h"

/* The names of the kernels' side, which code of the host may use otherwise. */
#undef threadIdx
#undef blockIdx
#undef blockDim
#undef gridDim

namespace cbsim {

enum { STATUS = 66 };		/* of a program that a fault ended */

/* "cudasim: KERNEL: message" on stderr, then exits at once. */
[[noreturn]] void fault(const char *fmt, ...)
    __attribute__((format(printf, 1, 2)));
const char *running(void);	/* the kernel or call that runs */
void	set_running(const char *name);

/* ---- order */

bool	shuffled(void);		/* CBSIM_SEED is set */
bool	starving(void);		/* ... and odd */
uint32_t draw(uint32_t n);	/* one of 0 .. n-1 */

/* ---- fibers */

struct Fiber;
Fiber	*fiber_new(void (*start)(void));
/* Leaves the running fiber, for good if over (then it is free for reuse); NULL
 * is the host thread that came in. */
void	fiber_go(Fiber *from, Fiber *to, bool over);
void	fiber_enter(void);	/* once per host thread that runs blocks */

/* ---- memory */

/* LOCKED is memory of the program that is pinned. */
enum Kind { DEVICE, SHARED, PINNED, LOCKED };
struct Area { char *p; size_t n; Kind kind; };

/* Filled with 0xFF, which is a NaN in every float type.  NULL: none left. */
void	*area_new(size_t n, Kind kind, size_t align);
bool	area_free(void *p, Kind kind);	/* false: no such area */
/* Memory that is LOCKED, and no more; false: part of it is already; is not. */
bool	area_lock(void *p, size_t n);
bool	area_unlock(void *p);
/* The area that holds p, NULL: none. */
const Area *area_of(const void *p);
size_t	area_total(void);		/* bytes of DEVICE */

/* A whole range is read or written by the operation that runs (a copy, a
 * library call): must be inside one DEVICE area, or is a fault naming what. */
void	range_read(const void *p, size_t n, const char *what);
void	range_write(void *p, size_t n, const char *what);

/* Accesses made for a thread, not by it. */
void	thread_copy(void *to, const void *from, size_t n);
void	thread_flight(void *to, const void *from, size_t n);
void	thread_land(void *to, size_t n);
void	thread_atomic(void *p, size_t n);

/* What orders accesses: barriers within a block, and operations. */
unsigned barriers(void);
struct Clock { enum { N = 24 }; uint32_t at[N]; };
/* A new operation runs as number at[slot] of its queue, after all that its
 * clock holds. */
void	op_begin(const Clock &c, int slot);

/* ---- collectives */

void	compute(Collective kind, unsigned char (*in)[64],
	    unsigned char (*out)[64]);

/* ---- streams */

typedef std::function<void()> Work;
/* Does work when the stream comes to it, or each time that the graph runs into
 * which the stream is captured. */
cudaError_t enqueue(cudaStream_t s, const char *name, Work work);
cudaError_t drain(cudaStream_t s);	/* until it is empty */
void	drain_all(void);

/* A capture that is going on: what it has so far. */
struct Node { const char *name; Work work; };
struct Capture { bool on, relaxed, broken; std::vector<Node> nodes; };
Capture	*capture_of(cudaStream_t s);
/*
 * For a call that captures do not allow, which spoils them.  "any": all
 * captures; NULL, for work of the default stream: those of streams that wait
 * for it; else a call that is unsafe: those that are not relaxed.  Is whether
 * there is one.
 */
bool	break_captures(const char *call);

/* The most dynamic shared memory that a kernel may be launched with. */
int	dynamic_max(const void *kernel);
/* Keeps e for cudaGetLastError(); is e. */
cudaError_t last_error(cudaError_t e);

/* Whether this call of a library function is to be refused (CBSIM_FAIL). */
bool	refuse(const char *name);
/* Into CBSIM_LOG, if that is set. */
void	log_line(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

bool	dry(void);		/* CBSIM_DRY is set */

struct Lock { Lock(); ~Lock(); };	/* the device is this thread's */

} /* namespace cbsim */

#endif
