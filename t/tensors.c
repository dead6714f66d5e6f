/*
 * Tensors out of PyTorch's files and pickles: t/import-files.py made them in the
 * directory that is the first argument, and PyTorch itself those called torch-*.
 */
#include <stdlib.h>
#include <string.h>

#include "tap.h"
#include "train/train.h"

static const char *dir;

static struct cb_tensors *
open_file(const char *name)
{
	char *path = cb_strf("%s/%s", dir, name);
	struct cb_tensors *f = NULL;

	if (cb_tensors_open(&f, path) < 0)
		printf("# %s\n", cb_error());
	free(path);
	return f;
}

/* Type, shape and numbers of a tensor. */
static bool
is(const struct cb_tensors *f, const char *name, enum cb_dtype type, int rank,
    int64_t d0, int64_t d1, const double *want)
{
	const struct cb_array *a = cb_tensors_find(f, name);
	int64_t n, i;
	float *x;
	bool good;

	if (a == NULL || a->type != type || a->rank != rank ||
	    (rank > 0 && a->dim[0] != d0) || (rank > 1 && a->dim[1] != d1)) {
		printf("# %s is not there or of another kind\n", name);
		return false;
	}
	n = cb_array_count(a);
	x = cb_alloc(n * 4);
	cb_array_to_f32(x, a);
	for (good = true, i = 0; i < n; i++) {
		if (x[i] != (float)want[i]) {
			printf("# %s[%d]: %g, not %g\n", name, (int)i, x[i],
			    want[i]);
			good = false;
		}
	}
	free(x);
	return good;
}

static bool
all_there(const struct cb_tensors *f)
{
	double count[24], turned[24];
	int i;

	for (i = 0; i < 24; i++) {
		count[i] = i / 4.0;
		turned[i] = (i % 4 * 6 + i / 4) / 4.0;
	}
	return f->n == 16 && strcmp(f->at[0].name, "whole") == 0 &&
	    is(f, "whole", CB_F32, 1, 24, 0, count) &&
	    is(f, "matrix", CB_F32, 2, 4, 6, count) &&
	    is(f, "turned", CB_F32, 2, 6, 4, turned) &&
	    is(f, "part", CB_F32, 2, 2, 3,
	    (double[]){ 2, 2.25, 2.5, 3.5, 3.75, 4 }) &&
	    is(f, "expanded", CB_F32, 2, 2, 3,
	    (double[]){ .25, .5, .75, .25, .5, .75 }) &&
	    is(f, "parameter", CB_F32, 2, 1, 2, (double[]){ 5.5, 5.75 }) &&
	    is(f, "empty", CB_F32, 2, 0, 3, NULL) &&
	    is(f, "double", CB_F64, 1, 2, 0, (double[]){ 0.1, -2 }) &&
	    is(f, "half", CB_F16, 1, 2, 0, (double[]){ 1.5, -.25 }) &&
	    is(f, "bfloat", CB_BF16, 1, 2, 0, (double[]){ 1.5, -1 }) &&
	    is(f, "long", CB_I64, 0, 0, 0, (double[]){ -7 }) &&
	    is(f, "int", CB_I32, 1, 2, 0, (double[]){ 1, -2 }) &&
	    is(f, "short", CB_I32, 1, 2, 0, (double[]){ 300, -300 }) &&
	    is(f, "char", CB_I32, 1, 2, 0, (double[]){ -128, 127 }) &&
	    is(f, "byte", CB_U8, 1, 2, 0, (double[]){ 0, 255 }) &&
	    is(f, "bool", CB_U8, 1, 2, 0, (double[]){ 1, 0 });
}

static void
test_torch(const char *name, const char *format, const char *inside)
{
	struct cb_tensors *f = open_file(name);

	ok(f != NULL && all_there(f) && strcmp(f->format, format) == 0 &&
	    strcmp(f->inside, inside) == 0, "%s: every type and stride", name);
	cb_tensors_close(f);
}

static void
test_numpy(const char *name)
{
	struct cb_tensors *f = open_file(name);

	ok(f != NULL && f->n == 5 && is(f, "c", CB_F32, 2, 2, 3,
	    (double[]){ 0, 1, 2, 3, 4, 5 }) &&
	    is(f, "fortran", CB_F32, 2, 2, 3,
	    (double[]){ 0, 2, 4, 1, 3, 5 }) &&
	    is(f, "swapped", CB_I64, 1, 2, 0, (double[]){ 1, -2 }) &&
	    is(f, "latin", CB_U8, 1, 3, 0, (double[]){ 0, 128, 255 }) &&
	    is(f, "none", CB_F64, 1, 0, 0, NULL), "%s", name);
	cb_tensors_close(f);
}

static void
test_python2(void)
{
	struct cb_tensors *f = open_file("python2.pkl");

	ok(f != NULL && is(f, "a", CB_F32, 1, 2, 0, (double[]){ 1.5, -2 }),
	    "python2.pkl");
	cb_tensors_close(f);
}

/* Every file cut at every byte: refused, or whole. */
static void
test_cut(const char *name)
{
	char *path = cb_strf("%s/%s", dir, name), *data, *part;
	struct cb_tensors *f;
	int64_t n, i;
	int opened = 0;

	if (cb_file_read(&data, &n, path, 1 << 20) < 0)
		exit(1);
	for (i = 0; i < n; i++) {
		part = malloc(i > 0 ? i : 1);	/* exact, for ASan */
		memcpy(part, data, i);
		if (cb_tensors_parse(&f, part, i, name) == 0) {
			opened++;
			cb_tensors_close(f);
		}
		free(part);
	}
	ok(opened == 0, "%s cut at every byte", name);
	free(data);
	free(path);
}

/* torchvision's stem is turned the same by training and by cb-import. */
static void
test_stem(void)
{
	char name[] = "cnn.feature.backbone.stem.conv1.weight";
	struct cb_param p = { .name = name, .rank = 4, .dim = { 2, 3, 2, 2 } };
	char *path = cb_strf("%s/torchvision.pth", dir);
	struct cb_tensors *f = open_file("torchvision.pth");
	enum cb_import_kind kind;
	struct cb_import r;
	struct cb_tensor t = { 0 };
	const char *why;
	void *own = NULL;
	float w[24] = { 0 };

	ok(f != NULL && cb_import(&r, CB_IMPORT_RESNET, path, &p, 1, w) == 0 &&
	    r.taken == 1 && w[0] == 8 / (255 * .225f) &&
	    w[8] == 0 / (255 * .229f) && w[4] == 4 / (255 * .224f) &&
	    w[12] == 20 / (255 * .225f), "training takes a .pth");
	ok(f != NULL && cb_import_guess(&kind, f) == 0 &&
	    kind == CB_IMPORT_RESNET &&
	    cb_import_take(&t, &own, &why, f, kind, 0) == 1 &&
	    strcmp(t.name, name) == 0 && memcmp(own, w, sizeof(w)) == 0,
	    "cb-import turns it as training does");
	free((void *)(uintptr_t)t.name);
	free(own);
	cb_tensors_close(f);
	free(path);
}

int
main(int argc, char **argv)
{
	dir = argc > 1 ? argv[1] : ".";
	plan(16);
	test_torch("zip.pt", "PyTorch zip", "");
	test_torch("zip64.pt", "PyTorch zip", "");
	test_torch("big.pt", "PyTorch zip", "");
	test_torch("legacy.pt", "PyTorch legacy", "");
	test_torch("ckpt.pt", "PyTorch zip", "model_state_dict");
	test_torch("torch-zip.pt", "PyTorch zip", "");
	test_torch("torch-legacy.pt", "PyTorch legacy", "");
	test_numpy("numpy.pkl");
	test_numpy("torch-numpy2.pkl");
	test_numpy("torch-numpy5.pkl");
	test_python2();
	test_cut("zip.pt");
	test_cut("legacy.pt");
	test_cut("numpy.pkl");
	test_stem();
	return done();
}
