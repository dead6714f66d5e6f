/*
 * Pictures with holes: learning from some cells of the grid, drawn anew for each
 * batch and the same for all its rows (quirk 11), saves time and memory, and
 * the model does not come to rely on single cells.  (ClipBERT, sec. 3.2.)
 */
#include <string.h>

#include "train.h"

void
cb_cells_sample(int32_t *cells, int n, int V, uint64_t seed, uint32_t batch)
{
	struct cb_rng rng = { .seed = seed, .purpose = CB_RNG_PIXELS,
	    .seq = batch };
	int i, at, k, have = 0;

	for (i = V - n; i < V; i++) {
		k = (int)cb_rng_below(&rng, (uint32_t)(i - (V - n)),
		    (uint32_t)i + 1);
		for (at = 0; at < have && cells[at] < k; at++)
			;
		if (at < have && cells[at] == k) {	/* taken: i is not */
			k = i;
			at = have;
		}
		memmove(cells + at + 1, cells + at,
		    sizeof(*cells) * (size_t)(have - at));
		cells[at] = k;
		have++;
	}
}
