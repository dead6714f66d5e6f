/*
 * Convolutions as products: the k x k x C samples under some positions are laid
 * out as rows, "columns" by old custom, and multiplied with the weights
 * [O, k x k x C].
 */
#include <string.h>

#include <algorithm>

#include "../cudasim/device.h"
#include "convolve.h"

namespace cbsim {

/* Sizes under short names. */
struct Sizes {
	size_t	 P, H, W, C, O, OH, OW, k, K;
	int64_t	 pad, stride;

	Sizes(const Graph &g) : P((size_t)g.x.dim[0]), H((size_t)g.x.dim[2]),
	    W((size_t)g.x.dim[3]), C((size_t)g.x.dim[1]),
	    O((size_t)g.y.dim[1]), OH((size_t)g.y.dim[2]),
	    OW((size_t)g.y.dim[3]), k((size_t)g.w.dim[2]), K(k * k * C),
	    pad(g.pad), stride(g.stride) {}
};

static const size_t CHUNK = 512;	/* positions at once */

/* For each tap of n positions from `first` on: f(column, sample or NULL). */
template <class F> static void
taps(const Sizes &s, size_t first, size_t n, F f)
{
	for (size_t i = 0; i < n; i++) {
		const size_t at = first + i, p = at / (s.OH * s.OW);
		const int64_t a = (int64_t)(at / s.OW % s.OH) * s.stride -
		    s.pad, b = (int64_t)(at % s.OW) * s.stride - s.pad;

		for (size_t u = 0; u < s.k; u++)
			for (size_t v = 0; v < s.k; v++) {
				const int64_t y = a + (int64_t)u, x = b +
				    (int64_t)v;
				const bool in = y >= 0 && x >= 0 &&
				    y < (int64_t)s.H && x < (int64_t)s.W;

				f(i * s.K + (u * s.k + v) * s.C, in ? ((p *
				    s.H + (size_t)y) * s.W + (size_t)x) * s.C :
				    SIZE_MAX);
			}
	}
}

static void
gather(float *columns, const float *x, const Sizes &s, size_t first, size_t n)
{
	taps(s, first, n, [=, &s](size_t column, size_t at) {
		if (at == SIZE_MAX)
			memset(columns + column, 0, 4 * s.C);
		else
			memcpy(columns + column, x + at, 4 * s.C);
	});
}

static void
scatter(float *x, const float *columns, const Sizes &s, size_t first, size_t n)
{
	taps(s, first, n, [=, &s](size_t column, size_t at) {
		for (size_t c = 0; at != SIZE_MAX && c < s.C; c++)
			x[at + c] += columns[column + c];
	});
}

static std::vector<float>
load(const void *p, const Tensor &t, bool tf32)
{
	std::vector<float> v(t.count());

	widen(v.data(), p, t.type, v.size());
	if (tf32)
		round_tf32(v.data(), v.size());
	return v;
}

static void
store(void *p, const Tensor &t, std::vector<float> &v, float beta)
{
	std::vector<float> was;

	if (beta != 0) {
		was = load(p, t, false);
		for (size_t i = 0; i < v.size(); i++)
			v[i] += beta * was[i];
	}
	narrow(p, v.data(), t.type, v.size());
}

/* [n,O] += res, + bias, relu */
static void
after(const Convolution &c, float *y, size_t first, size_t n, size_t O)
{
	const Elem t = c.g.x.type;
	std::vector<float> res(c.g.res ? n * O : 0), bias(O);

	if (c.g.res)
		widen(res.data(), (const char *)c.res + first * O *
		    elem_bytes(t), t, n * O);
	if (c.g.bias)
		widen(bias.data(), c.bias, t, O);
	for (size_t i = 0; i < n * O; i++) {
		if (c.g.res)
			y[i] += res[i];
		y[i] += bias[i % O];
		/* NaN stays one */
		if (c.g.relu && y[i] < 0)
			y[i] = 0;
	}
}

static void
forward(const Convolution &c, const Sizes &s)
{
	const size_t all = s.P * s.OH * s.OW;
	const std::vector<float> x = load(c.x, c.g.x, c.tf32);
	const std::vector<float> w = load(c.w, c.g.w, c.tf32);
	std::vector<float> columns(CHUNK * s.K), turned(w.size());

	turn(turned.data(), w.data(), s.O, s.K);
	for (size_t first = 0, n; first < all; first += n) {
		n = std::min(CHUNK, all - first);
		std::vector<float> y(n * s.O);

		gather(columns.data(), x.data(), s, first, n);
		product(y.data(), columns.data(), turned.data(), n, s.O, s.K);
		after(c, y.data(), first, n, s.O);
		narrow((char *)c.y + first * s.O * elem_bytes(c.g.y.type),
		    y.data(), c.g.y.type, n * s.O);
	}
}

static void
backward_data(const Convolution &c, const Sizes &s)
{
	const size_t all = s.P * s.OH * s.OW;
	const std::vector<float> dy = load(c.y, c.g.y, c.tf32);
	const std::vector<float> w = load(c.w, c.g.w, c.tf32);
	std::vector<float> dx(c.g.x.count());

	for (size_t first = 0, n; first < all; first += n) {
		n = std::min(CHUNK, all - first);
		std::vector<float> columns(n * s.K);

		product(columns.data(), &dy[first * s.O], w.data(), n, s.K,
		    s.O);
		scatter(dx.data(), columns.data(), s, first, n);
	}
	store(c.x, c.g.x, dx, c.g.beta);
}

static void
backward_filter(const Convolution &c, const Sizes &s)
{
	const size_t all = s.P * s.OH * s.OW;
	const std::vector<float> dy = load(c.y, c.g.y, c.tf32);
	const std::vector<float> x = load(c.x, c.g.x, c.tf32);
	std::vector<float> dw(c.g.w.count()), columns(CHUNK * s.K);
	std::vector<float> turned(CHUNK * s.O);

	for (size_t first = 0, n; first < all; first += n) {
		n = std::min(CHUNK, all - first);
		gather(columns.data(), x.data(), s, first, n);
		turn(turned.data(), &dy[first * s.O], n, s.O);
		product(dw.data(), turned.data(), columns.data(), s.O, s.K, n);
	}
	store(c.w, c.g.w, dw, c.g.beta);
}

/* Where it reads and writes, before it does. */
static void
check(const Convolution &c)
{
	const Graph &g = c.g;
	void *const at[] = { c.x, c.w, c.y };
	const Tensor *const t[] = { &g.x, &g.w, &g.y };
	const char *const name[] = { "x", "w", "y" };
	const int to = g.way == Graph::FORWARD ? 2 : g.way == Graph::DATA ? 0 :
	    1;

	for (int i = 0; i < 3; i++)
		if (i != to || g.beta != 0)
			range_read(at[i], t[i]->bytes(), name[i]);
	if (g.res)
		range_read(c.res, g.y.bytes(), "what is added");
	if (g.bias)
		range_read(c.bias, (size_t)g.y.dim[1] *
		    elem_bytes(g.x.type), "the bias");
	if (c.space_bytes > 0) {
		range_write(c.space, c.space_bytes, "the workspace");
		memset(c.space, 0xff, c.space_bytes);
	}
	range_write(at[to], t[to]->bytes(), name[to]);
}

static void
log(const Convolution &c, const Sizes &s)
{
	static const char *const way[] = { "forward", "data", "filter" };
	const Graph &g = c.g;
	const size_t b = elem_bytes(g.x.type), x = g.x.bytes(), w =
	    g.w.bytes(), y = g.y.bytes();
	const size_t to = g.way == Graph::FORWARD ? y : g.way == Graph::DATA ?
	    x : w;

	log_line("cudnnBackendExecute %s%s%s%s%s x %zu,%zu,%zu,%zu y "
	    "%zu,%zu,%zu,%zu k %zu stride %d pad %d bytes %zu flop %zu read "
	    "%zu written %zu", way[g.way], g.beta != 0 ? "+add" : "",
	    g.res ? "+res" : "", g.bias ? "+bias" : "", g.relu ? "+relu" : "",
	    s.P, s.H, s.W, s.C, s.P, s.OH, s.OW, s.O, s.k, (int)s.stride,
	    (int)s.pad, b, 2 * s.P * s.OH * s.OW * s.O * s.K, x + w + y -
	    (g.beta != 0 ? 0 : to) + (g.res ? y : 0) + (g.bias ? s.O * b : 0),
	    to);
}

void
convolve(const Convolution &c)
{
	const Sizes s(c.g);

	log(c, s);
	if (dry())
		return;
	check(c);
	switch (c.g.way) {
	case Graph::FORWARD:
		forward(c, s);
		break;
	case Graph::DATA:
		backward_data(c, s);
		break;
	case Graph::FILTER:
		backward_filter(c, s);
		break;
	}
}

} /* namespace cbsim */
