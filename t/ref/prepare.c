/* Pictures resized, padded and normalised. */
#include "reference.h"

int
run_prepare(struct verdict *v, struct ref_case *r, struct cb_engine *e)
{
	const struct cb_array *image = tensor(r->f, "image");
	const struct cb_array *size = tensor(r->f, "resized");
	const struct cb_array *whole = tensor(r->f, "expected");
	const struct cb_array *rows = tensor(r->f, "rows");
	const struct cb_array *some = tensor(r->f, "expected_rows");
	const struct cb_array *total = tensor(r->f, "sum");
	int S = (int)meta_int(r->f, "max_img_size", 0), h, w, i, j, ch, y, n;
	const int colours = 3 + e->blank;
	const int64_t all = (int64_t)S * S * colours;
	float mean[3], std[3], *host;
	double sum = 0, error = 0, want;
	json_t *jm, *js;
	void *x;

	if (image == NULL || S < 1 ||
	    cb_safetensors_meta_json(&jm, r->f, "mean") < 0)
		return cb_fail(CB_EFORMAT, "%s: no image", r->path);
	if (cb_safetensors_meta_json(&js, r->f, "std") < 0) {
		json_decref(jm);
		return -1;
	}
	for (i = 0; i < 3; i++) {
		mean[i] = (float)json_number_value(json_array_get(jm, i));
		std[i] = (float)json_number_value(json_array_get(js, i));
	}
	json_decref(jm);
	json_decref(js);
	cb_resized(&h, &w, (int)image->dim[0], (int)image->dim[1], S);
	if (size != NULL)
		judge(v, abs(h - ((int32_t *)size->data)[0]) +
		    abs(w - ((int32_t *)size->data)[1]), 0.5, "resized");
	x = need(e->alloc(e, all * (int64_t)e->elem_size));
	host = need(malloc(sizeof(*host) * (size_t)all));
	e->expect(e, image, 1);
	e->prepare(e, x, image, 1, S, mean, std);
	e->get_elem(e, host, x, all);
	e->sync(e);
	e->forget(e, image, 1);
	e->release(e, x);
	for (i = 0; i < all; i++)
		sum += host[i];
	n = rows != NULL ? (int)cb_array_count(rows) : S;
	for (ch = 0; ch < 3; ch++) {
		for (i = 0; i < n; i++) {
			y = rows != NULL ? ((int32_t *)rows->data)[i] : i;
			for (j = 0; j < S; j++) {
				want = ((float *)(rows != NULL ? some :
				    whole)->data)[((int64_t)ch * n + i) * S +
				    j];
				/* ours is BGR */
				error = fmax(error, fabs(want -
				    host[((int64_t)y * S + j) * colours + 2 -
				    ch]));
			}
		}
	}
	free(host);
	judge(v, error, TOL_PREPARE, "expected");
	if (total != NULL)
		judge(v, fabs(sum - *(double *)total->data) /
		    ((double)S * S * 3), TOL_PREPARE, "sum");
	return 0;
}
