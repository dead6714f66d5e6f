/*
 * Preparation of pictures against the reference numbers.
 *
 *	engine-prepare NAME FILE...	files of ../shared/reference/preprocess
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/safetensors.h"
#include "engine/engine.h"
#include "tap.h"

static const float mean[3] = { 123.675f, 116.28f, 103.53f };
static const float std[3] = { 1, 1, 1 };

/* The largest difference; ours is [S,S,BGR...], theirs [RGB,rows,S]. */
static double
worst(const float *ours, int colours, const struct cb_array *theirs,
    const struct cb_array *rows, int S)
{
	const float *t = theirs->data;
	int64_t n = theirs->dim[1], i, x;
	double d, w = 0;
	int c, y;

	for (c = 0; c < 3; c++) for (i = 0; i < n; i++)
	for (x = 0; x < S; x++) {
		y = rows != NULL ? ((const int32_t *)rows->data)[i] : (int)i;
		d = fabs(ours[((int64_t)y * S + x) * colours + 2 - c] -
		    t[(c * n + i) * S + x]);
		w = d <= w ? w : d;
	}
	return w;
}

static void
compare(struct cb_engine *e, const struct cb_safetensors *f)
{
	const struct cb_array *image = cb_safetensors_find(f, "image");
	const struct cb_array *expect = cb_safetensors_find(f, "expected");
	const struct cb_array *rows = cb_safetensors_find(f, "rows");
	const struct cb_array *total = cb_safetensors_find(f, "sum");
	const char *size = cb_safetensors_meta(f, "max_img_size");
	int S = size != NULL ? atoi(size) : 0;
	const int colours = 3 + e->blank;
	int64_t n = (int64_t)S * S * colours, i;
	double sum = 0, d;
	struct cb_elem *x;
	float *ours;

	if (expect == NULL)
		expect = cb_safetensors_find(f, "expected_rows");
	if (image == NULL || expect == NULL || total == NULL || S <= 0) {
		ok(false, "%s: not a case", cb_safetensors_name(f));
		return;
	}
	x = e->alloc(e, n * (int64_t)e->elem_size);
	ours = malloc(n * sizeof(*ours));
	e->expect(e, image, 1);
	e->prepare(e, x, image, 1, S, mean, std);
	e->get_elem(e, ours, x, n);
	d = e->sync(e) < 0 ? INFINITY : worst(ours, colours, expect, rows, S);
	for (i = 0; i < n; i++)
		sum += ours[i];
	sum = fabs(sum - *(const double *)total->data) / (double)((int64_t)S * S * 3);
	ok(d < 1e-4 && sum < 1e-4, "%s: %s (%.1e, mean %.1e)", e->name,
	    strrchr(cb_safetensors_name(f), '/') + 1, d, sum);
	e->forget(e, image, 1);
	free(ours);
	e->release(e, x);
}

int
main(int argc, char **argv)
{
	struct cb_safetensors *f;
	struct cb_engine *e;
	int i;

	if (argc < 2 || cb_engine_open(&e, argv[1], 2) < 0)
		return cb_complain();
	plan(argc - 2);
	for (i = 2; i < argc; i++) {
		if (cb_safetensors_open(&f, argv[i]) < 0) {
			ok(false, "%s", cb_error());
			continue;
		}
		compare(e, f);
		cb_safetensors_close(f);
	}
	e->free(e);
	return done();
}
