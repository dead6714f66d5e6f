/* Grid cells that a step keeps: which ones, how often, and no others. */
#include <stdlib.h>
#include <string.h>

#include "train/train.h"
#include "tap.h"

enum { N = 100, V = 576, BATCHES = 4000 };

/* Sorted, so no two equal, and in range? */
static bool
good(const int32_t *c, int n, int of)
{
	int i;

	for (i = 0; i < n; i++)
		if (c[i] < 0 || c[i] >= of || (i > 0 && c[i] <= c[i - 1]))
			return false;
	return true;
}

int
main(void)
{
	static int32_t c[V], d[V], often[V];
	/* a cell comes up N/V of the times: mean 694, deviation 24 */
	double mean = (double)BATCHES * N / V;
	int i, b, n, bad = 0, most = 0, least = BATCHES, last = 0;

	plan(8);
	for (b = 0; b < BATCHES; b++) {
		cb_cells_sample(c, N, V, 42, (uint32_t)b);
		bad += !good(c, N, V);
		for (i = 0; i < N; i++)
			often[c[i]]++;
		last += c[N - 1] == V - 1;
	}
	ok(bad == 0, "a hundred cells, each once, in order");
	for (i = 0; i < V; i++) {
		most = often[i] > most ? often[i] : most;
		least = often[i] < least ? often[i] : least;
	}
	ok(most < mean + 120 && least > mean - 120,
	    "all alike: from %d to %d times of %.0f", least, most, mean);
	ok(last > 500, "the last one too");
	cb_cells_sample(c, N, V, 42, 7);
	cb_cells_sample(d, N, V, 42, 7);
	ok(memcmp(c, d, sizeof(*c) * N) == 0, "the same again");
	cb_cells_sample(d, N, V, 42, 8);
	ok(memcmp(c, d, sizeof(*c) * N) != 0, "others for another batch");
	cb_cells_sample(d, N, V, 43, 7);
	ok(memcmp(c, d, sizeof(*c) * N) != 0, "and for another seed");
	for (n = 1, bad = 0; n <= 9; n++) {
		cb_cells_sample(c, n, 9, 1, (uint32_t)n);
		bad += !good(c, n, 9);
	}
	ok(bad == 0, "from one cell to all of nine");
	cb_cells_sample(c, 9, 9, 1, 0);
	ok(c[0] == 0 && c[8] == 8, "which are all");
	return done();
}
