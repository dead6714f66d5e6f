/*
 * The simulated device proves itself: `faults all` runs kernels that are right
 * and compares with the host (TAP); `faults CASE BUG` runs one with a fault,
 * which the build or the seed under test must see.  A fault that goes unseen
 * ends with 0 where the numbers are right, with 3 where they are wrong.
 */
#include <math.h>

#include "types.h"

#include "case.h"

extern "C" {
struct cb_rng { uint64_t seed; uint32_t purpose, epoch, seq; };
uint32_t cb_rng_u32(const struct cb_rng *r, uint32_t i);
}

cudaError_t launch_sum(int, float *, const float *, int, cudaStream_t);
cudaError_t launch_fetch(int, float *, const float *, cudaStream_t);
cudaError_t launch_hand_on(int, float *, cudaStream_t);
cudaError_t launch_diverge(int, float *, cudaStream_t);
cudaError_t launch_blocks(int, float *, dim3, dim3, size_t, cudaStream_t);
cudaError_t launch_scale(float *, const float *, float, cudaStream_t);
cudaError_t launch_draws(uint32_t *, float *, cb_mask, int, cudaStream_t);
cudaError_t launch_tile(bool, float *, const void *, const void *,
    cudaStream_t);

static std::vector<float>
ramp(size_t n)
{
	std::vector<float> v(n);

	for (size_t i = 0; i < n; i++)
		v[i] = (float)(i % 97) - 48;
	return v;
}

/* ---- cases: true if the numbers are right */

static bool
sum_case(int bug)
{
	const int n = 1023;
	std::vector<float> in = ramp(n);
	float want = 0, *out = empty<float>(1);

	for (float v : in)
		want += v;
	must(launch_sum(bug, out, device(in), n, NULL));
	return host(out, 1)[0] == want;
}

static bool
fetch_case(int bug)
{
	std::vector<float> x = ramp(128);
	float *y = empty<float>(132);

	must(launch_fetch(bug, y, device(x), NULL));
	return host(y, 128) == x;
}

static bool
hand_on_case(int bug)
{
	float *y = empty<float>(32);
	bool same = true;

	must(launch_hand_on(bug, y, NULL));
	std::vector<float> v = host(y, 32);
	for (int i = 0; i < 32; i++)
		same = same && v[(size_t)i] == (float)((i + 2) % 32);
	return same;
}

static bool
diverge_case(int bug)
{
	float *y = empty<float>(64);

	must(launch_diverge(bug, y, NULL));
	return host(y, 64) == std::vector<float>(64, 1);
}

static bool
blocks_case(int bug)
{
	float *y = empty<float>(128);

	must(launch_blocks(bug, y, 2, 64, 0, NULL));
	return host(y, bug ? 64 : 128) == std::vector<float>(bug ? 64 : 128,
	    1);
}

/* y = 6 x on two streams; 1: without the event between them. */
static bool
stream_case(int bug)
{
	std::vector<float> x = ramp(64), want(64);
	float *x_d = device(x), *mid = device(std::vector<float>(64, 0));
	float *y = empty<float>(64);
	cudaStream_t a, b;
	cudaEvent_t done;

	for (size_t i = 0; i < 64; i++)
		want[i] = 6 * x[i];
	must(cudaStreamCreateWithFlags(&a, cudaStreamNonBlocking));
	must(cudaStreamCreateWithFlags(&b, cudaStreamNonBlocking));
	must(cudaEventCreateWithFlags(&done, cudaEventDisableTiming));
	must(cudaStreamSynchronize(NULL));
	must(launch_scale(mid, x_d, 2, a));
	must(cudaEventRecord(done, a));
	if (bug == 0)
		must(cudaStreamWaitEvent(b, done, 0));
	must(launch_scale(y, mid, 3, b));
	must(cudaStreamSynchronize(b));
	return host(y, 64) == want;
}

/* y = x by way of pinned memory; 1: which is used again at once. */
static bool
pinned_case(int bug)
{
	std::vector<float> x = ramp(64);
	float *y = empty<float>(64);
	cudaStream_t s;
	void *p;

	must(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking));
	must(cudaMallocHost(&p, 256));
	memcpy(p, x.data(), 256);
	must(cudaMemcpyAsync(y, p, 256, cudaMemcpyHostToDevice, s));
	if (bug == 0)
		must(cudaStreamSynchronize(s));
	memset(p, 0, 256);
	must(cudaStreamSynchronize(s));
	return host(y, 64) == x;
}

/* 1: an argument that is memory of the host. */
static bool
argument_case(int bug)
{
	std::vector<float> x = ramp(64);
	float *y = empty<float>(64);

	must(launch_scale(y, bug ? x.data() : device(x), 1, NULL));
	return host(y, 64) == x;
}

/* 1: a copy that is longer than where it goes. */
static bool
copy_case(int bug)
{
	std::vector<float> x = ramp(64);
	float *y = empty<float>(64);

	must(cudaMemcpyAsync(bug ? y + 1 : y, x.data(), 256,
	    cudaMemcpyHostToDevice, NULL));
	return host(y, 64) == x;
}

/* y = a x, and some copies behind it, as a graph. */
static cudaGraph_t
graph_of(cudaStream_t s, float *y, const float *x, float a, int copies)
{
	cudaGraph_t g;

	must(cudaStreamBeginCapture(s, cudaStreamCaptureModeRelaxed));
	must(launch_scale(y, x, a, s));
	for (int i = 0; i < copies; i++)
		must(cudaMemcpyAsync(y, y + 64, 64, cudaMemcpyDeviceToDevice,
		    s));
	must(cudaStreamEndCapture(s, &g));
	return g;
}

static bool
scaled(const float *y, float a)
{
	std::vector<float> want = ramp(64);

	for (float &v : want)
		v *= a;
	return host(y, 64) == want;
}

/* 1: memory that a node refers to is freed; 2: a graph of other nodes, as which
 * another is updated. */
static bool
graph_case(int bug)
{
	float *x = device(ramp(64)), *y = empty<float>(128);
	float *z = empty<float>(128), a = 2;
	cudaGraphExecUpdateResultInfo info;
	cudaGraphExec_t exec;
	cudaGraph_t g;
	cudaStream_t s;
	bool same;

	must(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking));
	must(cudaStreamSynchronize(NULL));
	g = graph_of(s, y, x, a, 0);
	a = 99;				/* a node has arguments of its own */
	must(cudaGraphInstantiate(&exec, g, 0));
	must(cudaGraphDestroy(g));
	if (bug == 1)
		must(cudaFree(y));
	must(cudaGraphLaunch(exec, s));
	must(cudaStreamSynchronize(s));
	same = scaled(y, 2);
	g = graph_of(s, z, y, 3, bug == 2);
	must(cudaGraphExecUpdate(exec, g, &info));
	must(cudaGraphDestroy(g));
	must(cudaGraphLaunch(exec, s));	/* z = 3 y ... */
	must(launch_scale(y, z, 2, s));
	must(cudaGraphLaunch(exec, s));	/* and again */
	must(cudaStreamSynchronize(s));
	must(cudaGraphExecDestroy(exec));
	return same && scaled(z, 36);
}

/* What a capture does not allow, and then is spoilt by. */
static bool
capture_case(int bug)
{
	float *x = device(ramp(64)), *y = empty<float>(64), host_y[64];
	cudaStream_t s, other;
	cudaEvent_t e;
	cudaGraph_t g;
	void *p;

	must(cudaStreamCreateWithFlags(&s, bug == 6 ? 0 :
	    cudaStreamNonBlocking));
	must(cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking));
	must(cudaEventCreateWithFlags(&e, cudaEventDisableTiming));
	must(cudaEventRecord(e, other));
	must(cudaStreamSynchronize(NULL));
	must(cudaStreamBeginCapture(s, bug == 4 ? cudaStreamCaptureModeGlobal :
	    cudaStreamCaptureModeRelaxed));
	must(launch_scale(y, x, 2, s));
	must(cudaMalloc(&p, 4));
	if (bug == 1)
		must(cudaStreamSynchronize(s));
	if (bug == 2)
		must(cudaDeviceSynchronize());
	if (bug == 3)
		must(cudaStreamWaitEvent(s, e, 0));
	if (bug == 5)
		must(cudaMemcpyAsync(host_y, y, 256, cudaMemcpyDeviceToHost,
		    s));
	if (bug == 6)
		must(launch_scale(y, x, 2, NULL));
	if (bug == 7) {
		cudaStreamSynchronize(s);
		cudaGetLastError();
	}
	must(cudaStreamEndCapture(s, &g));
	must(cudaGraphDestroy(g));
	must(launch_scale(y, x, 3, s));
	must(cudaStreamSynchronize(s));
	return scaled(y, 3);		/* what was captured has not run */
}

/* ---- what is right only */

static bool
draws_case(int)
{
	const int n = 5 * 512;
	const struct cb_rng r = { 0x123456789abcdef0, 1007, 3, 99 };
	const float p = .1f;
	struct cb_mask m = { { (uint32_t)r.seed, (uint32_t)(r.seed >> 32) },
	    r.purpose, r.epoch, r.seq, 4, (uint32_t)ceil((double)p * 0x1p32),
	    1 / (1 - p) };
	uint32_t *words = empty<uint32_t>(n);
	float *kept = empty<float>(n);
	bool same = true;

	for (m.first = 0; m.first < 7; m.first++) {
		must(launch_draws(words, kept, m, n, NULL));
		std::vector<uint32_t> w = host(words, n);
		std::vector<float> k = host(kept, n);
		for (uint32_t i = 0; i < n; i++)
			same = same && w[i] == cb_rng_u32(&r, i) && k[i] ==
			    (cb_rng_u32(&r, i + m.first) < m.limit ? 0 :
			    m.scale);
	}
	return same;
}

/* Small whole numbers, which both element types hold and sums keep. */
static bool
tile_of(bool bf16)
{
	std::vector<uint16_t> a(256), b(128);
	std::vector<float> want(128);
	float *d = empty<float>(128);
	auto bits = [&](int v) {
		float f = (float)v;
		uint32_t u;
		int e = v == 0 ? 0 : ilogbf(f);

		memcpy(&u, &f, 4);
		return (uint16_t)(bf16 ? u >> 16 : v == 0 ? 0 : (v < 0 ?
		    0x8000 : 0) | (e + 15) << 10 | (u >> 13 & 1023));
	};

	for (int i = 0; i < 256; i++)
		a[(size_t)i] = bits(i * 7 % 13 - 6);
	for (int i = 0; i < 128; i++)
		b[(size_t)i] = bits(i * 5 % 11 - 5);
	for (int i = 0; i < 16; i++)
		for (int j = 0; j < 8; j++)
			for (int k = 0; k < 16; k++)
				want[(size_t)(8 * i + j)] +=
				    (float)(((16 * i + k) * 7 % 13 - 6) *
				    ((16 * j + k) * 5 % 11 - 5));
	must(launch_tile(bf16, d, device(a), device(b), NULL));
	return host(d, 128) == want;
}

static bool
tile_case(int)
{
	return tile_of(true) && tile_of(false);
}

static bool
shapes_case(int)
{
	float *y = empty<float>(64);

	return launch_blocks(0, y, 1, 2048, 0, NULL) ==
	    cudaErrorInvalidConfiguration &&
	    launch_blocks(0, y, dim3(1, 1 << 17), 64, 0, NULL) ==
	    cudaErrorInvalidConfiguration &&
	    launch_blocks(0, y, 0, 64, 0, NULL) ==
	    cudaErrorInvalidConfiguration &&
	    launch_blocks(0, y, 1, 64, 60000, NULL) == cudaErrorInvalidValue &&
	    cudaSetDevice(1) == cudaErrorInvalidDevice &&
	    cudaPeekAtLastError() == cudaErrorInvalidDevice &&
	    launch_blocks(0, y, 1, 64, 0, NULL) == cudaErrorInvalidDevice &&
	    cudaGetLastError() == cudaSuccess;
}

static const struct { const char *name; bool (*run)(int); } cases[] = {
	{ "sum", sum_case }, { "fetch", fetch_case },
	{ "hand_on", hand_on_case }, { "diverge", diverge_case },
	{ "blocks", blocks_case }, { "stream", stream_case },
	{ "pinned", pinned_case }, { "argument", argument_case },
	{ "copy", copy_case }, { "graph", graph_case },
	{ "capture", capture_case }, { "draws", draws_case },
	{ "tile", tile_case }, { "fragments", fragments_case },
	{ "matrices", matrices_case }, { "shapes", shapes_case },
};

/* `faults all`, or `faults NAME BUG`. */
int
main(int argc, char **argv)
{
	const int n = (int)(sizeof(cases) / sizeof(*cases));
	int bug = argc > 2 ? atoi(argv[2]) : 0, i, bad = 0;

	if (argc < 2)
		return 2;
	if (strcmp(argv[1], "all") == 0) {
		printf("1..%d\n", n);
		for (i = 0; i < n; i++) {
			bool right = cases[i].run(0);

			printf("%sok %d - %s\n", right ? "" : "not ", i + 1,
			    cases[i].name);
			bad += !right;
		}
		return bad > 0;
	}
	for (i = 0; i < n; i++)
		if (strcmp(argv[1], cases[i].name) == 0)
			return cases[i].run(bug) ? 0 : 3;
	return 2;
}
