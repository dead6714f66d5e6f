/* Pictures: prepare.cu. */
#include <stdlib.h>

#include "kern.h"

struct picture_case {
	int	 h, w, S;
};

static void
prepare_case(struct kern *k, const void *arg)
{
	const struct picture_case *c = arg;
	static const float mean[3] = { 123.675f, 116.28f, 103.53f };
	static const float std[3] = { 1, 2, .5f };
	struct cb_array a[3];
	struct cu_picture p[3];
	int64_t pixels = (int64_t)c->S * c->S * 3, n = pixels * CU_COLOURS, i;
	struct cb_rng rng = { 3, 1, 2, 3 };
	void *x = acts(k, n);
	float *bgr = k->twin != NULL ? acts(k, 3 * pixels) : NULL;
	int j;

	for (j = 0; j < 3; j++) {	/* of three sizes */
		int64_t dim[3] = { c->h, c->w + j, 3 };

		if (cb_array_init(&a[j], CB_U8, 3, dim) < 0)
			abort();
		for (i = 0; i < cb_array_count(&a[j]); i++)
			((uint8_t *)a[j].data)[i] = (uint8_t)cb_rng_u32(&rng,
			    (uint32_t)(i + 1000 * j));
		p[j] = (struct cu_picture){ .h = c->h, .w = c->w + j };
		if (k->twin == NULL)
			p[j].rgb = copy(k, a[j].data, cb_array_bytes(&a[j]));
		cb_resized(&p[j].rows, &p[j].cols, p[j].h, p[j].w, c->S);
	}
	if (k->twin != NULL) {
		k->twin->prepare(k->twin, (void *)bgr, a, 3, c->S, mean, std);
		for (i = 0; i < n; i++)
			((float *)x)[i] = i % CU_COLOURS < 3 ?
			    bgr[i / CU_COLOURS * 3 + i % CU_COLOURS] : 0;
	} else
		must(cu_prepare(k->s, k->t, x, copy(k, p, sizeof(p)), 3, c->S,
		    mean, std));
	/* Up to 255 less the mean, in units of std: 0 may be left. */
	out_elem(k, "x", x, n, 1);
	for (j = 0; j < 3; j++)
		cb_array_clear(&a[j]);
}

static void
none_case(struct kern *k, const void *arg)
{
	float one[3] = { 1, 1, 1 };
	void *x = acts(k, 8);

	(void)arg;
	if (k->twin == NULL)
		must(cu_prepare(k->s, k->t, x, NULL, 0, 448, one, one));
	out_elem(k, "x", x, 8, 0);
}

static const struct kern_case cases[] = {
	/* h w S */
	CASE(prepare, EVERY, struct picture_case, { 1, 1, 8 }),
	CASE(prepare, EVERY, struct picture_case, { 31, 17, 33 }),
	CASE(prepare, EVERY, struct picture_case, { 40, 97, 32 }),
	CASE(prepare, EVERY, struct picture_case, { 64, 1, 16 }),
	CASE(prepare, EVERY, struct picture_case, { 16, 16, 16 }),
	CASE(prepare, EVERY, struct picture_case, { 5, 3, 1 }),
	CASE(prepare, LARGE, struct picture_case, { 120, 213, 224 }),
	CASE(none, EVERY, int[], { 0 }),
};

GROUP(prepare);
