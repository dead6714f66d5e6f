/*
 * What the code that nvcc makes for the host calls: a module is registered with
 * its fat binary, each kernel with the address of its launcher.  The fat binary
 * holds the PTX as text (nvcc --no-compress), which is parsed when the first of
 * its kernels is launched.
 *
 * These entry points have no page of documentation; their shapes are those of
 * crt/host_runtime.h of the toolkit.  A fat binary is a header and then entries,
 * each with a header of its own.
 */
#include <stdio.h>
#include <string.h>

#include "ptx.h"

using namespace cbsim;

namespace {

struct Wrapper { int magic, version; const char *data; void *more; };
struct FatHeader { uint32_t magic; uint16_t version, bytes; uint64_t size; };
/* kind 1: PTX, 2: a cubin.  packed: bytes if compressed, else 0. */
struct Entry {
	uint16_t kind, version;
	uint32_t header;
	uint64_t size;
	uint32_t packed, options;
	uint16_t minor, major;
	uint32_t arch;
};

struct Fat {
	const char *data;
	ptx::Module module;
	bool	 parsed;
};

struct Known { Fat *fat; std::string name; };

std::map<const void *, Known> known;	/* by launcher */

struct Call { dim3 grid, block; size_t shared; void *stream; };
thread_local std::vector<Call> calls;

/* The PTX for the newest architecture. */
std::string
text_of(const Fat &f)
{
	FatHeader h;
	Entry e;
	const char *p = f.data, *end;
	std::string text;
	uint32_t arch = 0;

	memcpy(&h, p, sizeof(h));
	if (h.magic != 0xba55ed50)
		fault("a fat binary of an unknown kind");
	end = p + h.bytes + h.size;
	for (p += h.bytes; p < end; p += e.header + e.size) {
		memcpy(&e, p, sizeof(e));
		if (e.kind != 1 || e.arch < arch)
			continue;
		if (e.packed != 0)
			fault("the PTX is compressed: nvcc --no-compress");
		arch = e.arch;
		text.assign(p + e.header, strnlen(p + e.header, e.size));
	}
	if (text.empty())
		fault("a fat binary without PTX");
	return text;
}

struct PtxLaunch final : Launch {
	ptx::Kernel *k;
	std::vector<unsigned char> params;

	void call(void) override {}
	void check(void) override {}	/* each access is */
	void run(void) override
	{
		ptx::run(*k, grid, block, shared, params);
	}
};

} /* namespace */

extern "C" {

void **
__cudaRegisterFatBinary(void *wrapper)
{
	auto *f = new Fat();

	f->data = ((Wrapper *)wrapper)->data;
	return (void **)f;
}

void __cudaRegisterFatBinaryEnd(void **) {}
void __cudaUnregisterFatBinary(void **) {}

void
__cudaRegisterFunction(void **fat, const char *launcher, char *, const char *name,
    int, uint3 *, uint3 *, dim3 *, dim3 *, int *)
{
	known[launcher] = { (Fat *)fat, name };
}

unsigned
__cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared, void *stream)
{
	calls.push_back({ grid, block, shared, stream });
	return 0;
}

cudaError_t
__cudaPopCallConfiguration(dim3 *grid, dim3 *block, size_t *shared,
    void *stream)
{
	const Call c = calls.back();

	calls.pop_back();
	*grid = c.grid;
	*block = c.block;
	*shared = c.shared;
	*(void **)stream = c.stream;
	return cudaSuccess;
}

cudaError_t
cudaLaunchKernel(const void *launcher, dim3 grid, dim3 block, void **args,
    size_t shared, cudaStream_t stream)
{
	auto i = known.find(launcher);
	auto *l = new PtxLaunch();

	if (i == known.end())
		fault("a launch of what is no kernel");
	Fat &f = *i->second.fat;
	set_running(i->second.name.c_str());
	if (!f.parsed) {
		ptx::parse(f.module, text_of(f));
		ptx::count_at_exit(f.module);
		f.parsed = true;
	}
	auto k = f.module.find(i->second.name);
	if (k == f.module.end())
		fault("not in the PTX");
	l->k = k->second.get();
	l->params.resize(l->k->param_bytes);
	for (size_t n = 0; n < l->k->params.size(); n++)
		memcpy(l->params.data() + l->k->params[n].at, args[n],
		    l->k->params[n].bytes);
	l->name = l->k->name.c_str();
	l->kernel = launcher;
	l->grid = grid;
	l->block = block;
	l->shared = shared;
	return launch(l, stream);
}

cudaError_t
__cudaGetKernel(cudaKernel_t *kernel, const void *launcher)
{
	*kernel = (cudaKernel_t)launcher;
	return cudaSuccess;
}

cudaError_t
__cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void **args,
    size_t shared, cudaStream_t stream)
{
	return cudaLaunchKernel((const void *)kernel, grid, block, args, shared,
	    stream);
}

} /* extern "C" */
