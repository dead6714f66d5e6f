/*
 * Counts of what was carried out, and of how well memory was used.  To the file
 * that PTXSIM_COUNT names goes a line for each kernel:
 *
 *	NAME launches=2 blocks=8 threads=2048 block=256 dynamic=0 ins=96
 *	    lanes=3072 flops=40 mma=4096 read=8192/8192 written=1024/512
 *	    memory=6144/512 shared=40/32 banks=2.00
 *
 *	block	the most threads of a block; dynamic: bytes of shared memory
 *	ins	instructions of warps; lanes: of threads
 *	flops	operations on floating point numbers, but for those of mma,
 *		which are 4096 each
 *	read	bytes of global memory in whole sectors of 32, asked for by warps
 *		(what caches keep is in it as often as it is asked for) / bytes
 *		in the fewest sectors that hold as much
 *	written	likewise
 *	memory	bytes in the sectors that a block reads / writes, each of which
 *		is counted once: what a cache must get from memory, if it keeps
 *		all that a block uses
 *	shared	passes through the 32 banks of shared memory / the fewest
 *	banks	the same of the instruction that is worst, passes for one
 *
 * and below it, begun by a tab, each instruction that needs more than the
 * fewest sectors or passes: its line, how often, lanes a time, both as they are
 * / the fewest a time, the text.
 */
#include <stdio.h>
#include <stdlib.h>

#include <algorithm>
#include <unordered_set>

#include "ptx.h"

namespace ptx {

static const char *path;
static std::vector<Module *> modules;
static double weight = 1;
static std::unordered_set<uint64_t> touched[2];	/* sectors: read, written */

bool
counting(void)
{
	static const bool on = (path = getenv("PTXSIM_COUNT")) != NULL &&
	    *path != '\0';

	return on;
}

void
count_weight(double w)
{
	weight = w;
}

void
count(const Ins &i, uint32_t lanes)
{
	i.times += weight;
	i.lanes += weight * __builtin_popcount(lanes);
}

static int
distinct(uint64_t *v, int n)
{
	std::sort(v, v + n);
	return (int)(std::unique(v, v + n) - v);
}

static void
count_global(const Ins &i, const uint64_t *address, uint32_t lanes, int bytes)
{
	uint64_t sector[64], chunk[32];
	int n = 0, m = 0;

	EACH(lanes, l) {
		sector[n++] = address[l] / 32;
		if (bytes > 32 - (int)(address[l] % 32))
			sector[n++] = address[l] / 32 + 1;
		chunk[m++] = address[l];
	}
	n = distinct(sector, n);
	touched[i.stores].insert(sector, sector + n);
	i.units += weight * n;
	i.ideal += weight * ((distinct(chunk, m) * bytes + 31) / 32);
}

/*
 * 4 bytes and less go for all lanes at once, 8 for half of them, 16 for a
 * quarter; a bank gives one word of 4 bytes a pass, to all who want it.
 */
static void
count_shared(const Ins &i, const uint64_t *address, uint32_t lanes, int bytes)
{
	const int words = bytes < 4 ? 1 : bytes / 4, group = 32 / words;

	for (int first = 0; first < 32; first += group) {
		std::vector<uint64_t> bank[32];
		size_t most = 0;

		for (int l = first; l < first + group; l++)
			for (int k = 0; k < words && lanes >> l & 1; k++) {
				uint64_t word = address[l] / 4 + (uint64_t)k;
				auto &b = bank[word % 32];

				if (std::find(b.begin(), b.end(), word) ==
				    b.end())
					b.push_back(word);
			}
		for (const auto &b : bank)
			most = std::max(most, b.size());
		i.passes += weight * (double)most;
		i.fewest += weight * (most > 0);
	}
}

void
count_access(const Ins &i, Space space, const uint64_t *address,
    uint32_t lanes, int bytes)
{
	if (lanes == 0)
		return;
	if (space == GENERIC)
		space = (Space)(address[__builtin_ctz(lanes)] / window);
	if (space == GLOBAL || space == GENERIC)
		count_global(i, address, lanes, bytes);
	else if (space == SHARED)
		count_shared(i, address, lanes, bytes);
}

void
count_block(Kernel &k)
{
	for (int w = 0; w < 2; w++) {
		k.memory[w] += weight * 32 * (double)touched[w].size();
		touched[w].clear();
	}
}

/* ---- the file */

static void
report(FILE *f, const Kernel &k)
{
	double ins = 0, lanes = 0, flops[2] = { 0 };
	double units[2] = { 0 }, ideal[2] = { 0 };
	double passes = 0, fewest = 0, worst = 0;

	for (const Ins &i : k.code) {
		ins += i.times;
		lanes += i.lanes;
		flops[i.text.find("mma.sync") != std::string::npos] +=
		    i.flops * i.lanes;
		units[i.stores] += i.units;
		ideal[i.stores] += i.ideal;
		passes += i.passes;
		fewest += i.fewest;
		worst = std::max(worst, i.passes / std::max(i.fewest, 1.));
	}
	fprintf(f, "%s launches=%.0f blocks=%.0f threads=%.0f block=%u "
	    "dynamic=%zu ins=%.0f lanes=%.0f flops=%.0f mma=%.0f "
	    "read=%.0f/%.0f written=%.0f/%.0f memory=%.0f/%.0f "
	    "shared=%.0f/%.0f banks=%.2f\n",
	    k.name.c_str(), k.launches, k.blocks, k.threads, k.widest,
	    k.dynamic, ins, lanes, flops[0], flops[1], 32 * units[0],
	    32 * ideal[0], 32 * units[1], 32 * ideal[1], k.memory[0],
	    k.memory[1], passes, fewest, worst);
	for (const Ins &i : k.code)
		if (i.units > i.ideal || i.passes > i.fewest)
			fprintf(f, "\t%d: %.0f times, %.1f lanes, sectors "
			    "%.2f/%.2f, passes %.2f/%.2f: %s\n", i.line,
			    i.times, i.lanes / i.times, i.units / i.times,
			    i.ideal / i.times, i.passes / i.times,
			    i.fewest / i.times, i.text.c_str());
}

static void
write_all(void)
{
	FILE *f = fopen(path, "w");

	if (f == NULL) {
		fprintf(stderr, "ptxsim: %s: cannot be written\n", path);
		return;
	}
	for (const Module *m : modules)
		for (const auto &k : *m)
			if (k.second->launches > 0)
				report(f, *k.second);
	fclose(f);
}

void
count_at_exit(Module &m)
{
	if (!counting())
		return;
	if (modules.empty())
		atexit(write_all);
	modules.push_back(&m);
}

} /* namespace ptx */
