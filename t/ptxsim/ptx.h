/*
 * ptx: executes the PTX that nvcc made of the kernels, where t/cudasim runs
 * their source: the same device otherwise, with its memory, streams and errors.
 * Built as libcudart.so.13, so that the plug-in that ships runs on it as it is.
 *
 *	parse.cpp	text of PTX to kernels of instructions
 *	ops.cpp		what each opcode computes: the table
 *	access.cpp	loads, stores, atomics, cp.async
 *	warp.cpp	shuffles, votes, ldmatrix, mma
 *	run.cpp		which instruction of which warp goes next
 *	count.cpp	how often, and how well memory was used
 *	register.cpp	what the code that nvcc makes for the host calls
 *
 * A warp goes instruction by instruction, those of its lanes together that are
 * at the lowest one, so that they meet again as soon as they can.  Collectives
 * wait for all 32 lanes.  An opcode that is not in the table is an error, never
 * a guess; so is an address outside of what was allocated, or not aligned.
 * Shared and local memory begin as 0xFF, as global memory does.
 *
 * Environment, beside that of t/cudasim/device.h:
 *	PTXSIM_SERIAL=1	one lane alone until it must wait for others, then the
 *			next: what shared memory owes to a cb_syncwarp() shows
 *	PTXSIM_COUNT=f	counts go to this file at the end: count.cpp
 *	PTXSIM_SAMPLE=n	of a launch only so many blocks are run, evenly spread,
 *			and counted for all of them; what it computes is lost
 */
#ifndef PTXSIM_PTX_H
#define PTXSIM_PTX_H

#include <stdint.h>
#include <string.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "../cudasim/device.h"

namespace ptx {

/* A register of the 32 lanes of a warp; 64-bit values have an upper half. */
struct alignas(64) Row { uint32_t lo[32], hi[32]; };

template <class T> inline T
get(const Row &r, int lane)
{
	uint64_t v = r.lo[lane];
	T t;

	if constexpr (sizeof(T) == 8)
		v |= (uint64_t)r.hi[lane] << 32;
	if constexpr (sizeof(T) == 4) {
		uint32_t w = r.lo[lane];
		memcpy(&t, &w, sizeof(t));
	} else
		memcpy(&t, &v, sizeof(t));
	return t;
}

template <> inline bool
get<bool>(const Row &r, int lane)
{
	return r.lo[lane] & 1;
}

template <class T> inline void
set(Row &r, int lane, T t)
{
	if constexpr (sizeof(T) == 8) {
		uint64_t v;

		memcpy(&v, &t, sizeof(v));
		r.lo[lane] = (uint32_t)v;
		r.hi[lane] = (uint32_t)(v >> 32);
	} else if constexpr (sizeof(T) == 4)
		memcpy(&r.lo[lane], &t, sizeof(t));
	else
		r.lo[lane] = (uint32_t)t;
}

/* What is read: a register, or a row of the kernel's constants. */
struct Source {
	bool	 constant;
	int	 row;
};

enum Space : uint8_t { GENERIC, GLOBAL, SHARED, LOCAL, PARAM };

/* Where spaces other than global memory begin in generic addresses. */
static const uint64_t window = (uint64_t)1 << 60;
/* Where dynamic shared memory begins, behind all arrays. */
static const size_t DYNAMIC = 128 << 10;

struct Block;
struct Warp;
struct Ins;
typedef void Run(Warp &w, const Ins &i, uint32_t lanes);

/* What is special about how an instruction goes on. */
enum Flow : uint8_t { NEXT, BRANCH, EXIT, COLLECTIVE, BARRIER };

struct Ins {
	Run	*run;
	Flow	 flow;
	int	 guard;			/* a register, or -1 */
	bool	 unless;		/* ... that must be false */
	int	 target;		/* of a branch */
	int	 nto, nfrom;
	int	 to[8];			/* registers written */
	Source	 from[12];
	int64_t	 offset;		/* of the address from[0] */
	Space	 space;
	uint8_t	 bytes;			/* of one element */
	bool	 is_signed;
	bool	 stores;
	uint8_t	 flops;			/* of a lane */
	int	 line;
	std::string text;
	mutable double times, lanes, units, ideal, passes, fewest; /* count.cpp */
};

struct Param { size_t at, bytes; };

struct Kernel {
	std::string name;
	std::vector<Param> params;
	size_t	 param_bytes;
	std::vector<Ins> code;
	int	 nrows;			/* registers */
	std::vector<Row> constants;
	size_t	 shared, local;		/* bytes, static; of one lane */
	std::vector<bool> in_array;	/* of the static shared bytes */
	double	 launches, blocks, threads, memory[2];	/* count.cpp */
	unsigned widest;		/* threads of a block */
	size_t	 dynamic;		/* the most of shared memory */
};

/* Rows that every warp begins with. */
enum { TID_X, TID_Y, TID_Z, NTID_X, NTID_Y, NTID_Z, CTAID_X, CTAID_Y, CTAID_Z,
	NCTAID_X, NCTAID_Y, NCTAID_Z, LANEID, WARPID, SINK, FIRST_ROW };

struct Copy { int lane, group; uint32_t to; const void *from; int bytes, whole; };

struct Warp {
	Block	*block;
	int	 index;
	std::vector<Row> rows;
	std::vector<unsigned char> local;	/* lane after lane */
	uint32_t alive, waiting;	/* lanes */
	int	 pc[32];
	int	 barrier;		/* the instruction it waits at, or -1 */
	int	 group[32];		/* of cp.async, open */
	std::vector<Copy> copies;	/* issued, not landed */

	const Row &in(const Source &s) const;
	Row &out(int row) { return rows[(size_t)row]; }
};

struct Block {
	const Kernel *kernel;
	const std::vector<unsigned char> *params;
	dim3	 grid, size;
	uint3	 at;
	std::vector<unsigned char> shared;
	std::vector<Warp> warps;
};

inline const Row &
Warp::in(const Source &s) const
{
	return s.constant ? block->kernel->constants[(size_t)s.row] :
	    rows[(size_t)s.row];
}

struct Op { Run *run; Flow flow; uint8_t to, flops; };

/* The opcode, NULL: not known.  to: how many registers it writes. */
const Op *op_find(const std::string &name);
/* Loads, stores and their kin; fills in what the name says.  false: is none,
 * or one that is not known. */
bool	access_find(Ins &i, const std::string &name);
void	access_begin(void);	/* before each run: forgets what it knows */
/* Likewise for what a warp does together. */
const Op *warp_find(const std::string &name);

/* The kernels of a module by name; exits with a message if it cannot. */
typedef std::map<std::string, std::unique_ptr<Kernel>> Module;
void	parse(Module &m, const std::string &text);

void	run(Kernel &k, dim3 grid, dim3 block, size_t shared,
	    const std::vector<unsigned char> &params);

/* Ends the program: what lane of w did wrong at i. */
[[noreturn]] void wrong(const Warp &w, const Ins &i, int lane,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Where n bytes at a generic address, or one of a space, lie on the host. */
unsigned char *reach(Warp &w, const Ins &i, int lane, uint64_t address,
    Space space, size_t n);
/* The copies of cp.async that lanes wait for, all but the last `left` groups. */
void	land(Warp &w, uint32_t lanes, int left);

bool	counting(void);
/* From now on all is counted so many times. */
void	count_weight(double w);
/* That lanes carried i out. */
void	count(const Ins &i, uint32_t lanes);
/* An access by lanes: 32-byte sectors of global memory, or passes through the
 * banks of shared memory, against the fewest that could do. */
void	count_access(const Ins &i, Space space, const uint64_t *address,
	    uint32_t lanes, int bytes);
/* A block is done. */
void	count_block(Kernel &k);
void	count_at_exit(Module &m);

#define EACH(lanes, l) \
	for (uint32_t left_ = (lanes), l = 0; left_ != 0 && \
	    (l = (uint32_t)__builtin_ctz(left_), true); left_ &= left_ - 1)

} /* namespace ptx */

#endif
