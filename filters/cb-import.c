/*
 * cb-import: weights of others, in PyTorch's formats, pickles of detectron2 or
 * safetensors, into one safetensors file under our names.
 */
#include <stdlib.h>
#include <string.h>

#include "train/train.h"

/* What goes into the file; the arrays are of the files that were opened. */
struct result {
	struct cb_tensors **files;
	struct cb_tensor *tensors;
	void **own;		/* memory of changed arrays, mostly NULL */
	int nfiles, n, left_out;
	int64_t room;
};

static int
list(const char *path)
{
	struct cb_tensors *f;
	char shape[128];
	int i;

	if (cb_tensors_open(&f, path) < 0)
		return -1;
	for (i = 0; i < f->n; i++)
		printf("%s\t%s\t%s\n", f->at[i].name,
		    cb_dtype_name(f->at[i].array.type), cb_shape_text(shape,
		    f->at[i].array.rank, f->at[i].array.dim));
	cb_tensors_close(f);
	return 0;
}

static int
grow(struct result *r, int more)
{
	void *tensors, *own;

	r->room += more;
	tensors = realloc(r->tensors, (r->room + 1) * sizeof(*r->tensors));
	if (tensors != NULL)
		r->tensors = tensors;
	own = realloc(r->own, (r->room + 1) * sizeof(*r->own));
	if (own != NULL)
		r->own = own;
	return tensors != NULL && own != NULL ? 0 :
	    cb_fail(CB_ENOMEM, "%d tensors", more);
}

/* Takes what is ours, and says of every tensor what became of it. */
static int
take(struct result *r, const struct cb_tensors *f)
{
	enum cb_import_kind kind;
	const char *why, *theirs;
	int i, rc, before = r->n;

	if (cb_import_guess(&kind, f) < 0 || grow(r, f->n) < 0)
		return -1;
	for (i = 0; i < f->n; i++) {
		theirs = f->at[i].name;
		rc = cb_import_take(&r->tensors[r->n], &r->own[r->n], &why, f,
		    kind, i);
		if (rc < 0)
			return cb_fail_at("%s", f->path);
		if (rc == 0) {
			printf("left out\t%s\t%s\n", theirs, why);
			r->left_out++;
		} else if (strcmp(theirs, r->tensors[r->n].name) == 0) {
			printf("taken\t%s\n", theirs);
		} else {
			printf("renamed\t%s\t%s\n", theirs,
			    r->tensors[r->n].name);
		}
		r->n += rc;
	}
	return r->n > before ? 0 : cb_fail(CB_EFORMAT, "%s: no weight of ours "
	    "is in it", f->path);
}

static void
result_clear(struct result *r)
{
	int i;

	for (i = 0; i < r->n; i++) {
		free((void *)(uintptr_t)r->tensors[i].name);
		free(r->own[i]);
	}
	for (i = 0; i < r->nfiles; i++)
		cb_tensors_close(r->files[i]);
	free(r->tensors);
	free(r->own);
	free(r->files);
}

static int
import(char *const *paths, int n, const char *out)
{
	struct result r = { .files = calloc(n, sizeof(*r.files)) };
	json_t *meta = json_pack("{s:s}", "format", "pt");
	int i, rc = -1;

	if (r.files == NULL || meta == NULL) {
		cb_fail(CB_ENOMEM, "%s", out);
		goto done;
	}
	for (i = 0; i < n; i++) {
		if (cb_tensors_open(&r.files[i], paths[i]) < 0)
			goto done;
		r.nfiles++;
		if (take(&r, r.files[i]) < 0)
			goto done;
	}
	if (cb_safetensors_write(out, r.tensors, r.n, meta) < 0)
		goto done;
	cb_warn("%s: %d tensors, %d left out", out, r.n, r.left_out);
	rc = 0;
done:
	json_decref(meta);
	result_clear(&r);
	return rc;
}

int
main(int argc, char **argv)
{
	const char *out = NULL;
	bool only_list = false;
	const struct cb_opt options[] = {
		{ 'l', "list", CB_OPT_FLAG, &only_list, NULL,
		    "print what is in the files, write none", 0, 0 },
		{ 'o', "output", CB_OPT_STR, &out, "FILE",
		    "write this safetensors file", 0, 0 },
		{ 0 }
	};
	int i, rc = 0;

	i = cb_options(argc, argv, options, "-l file ... | -o file file ...");
	if (i == argc)
		cb_usage("no file is given");
	if (only_list == (out != NULL))
		cb_usage("either -l or -o is needed");
	if (!only_list)
		rc = import(argv + i, argc - i, out);
	for (; only_list && rc == 0 && i < argc; i++)
		rc = list(argv[i]);
	if (rc == 0 && (fflush(stdout) != 0 || ferror(stdout)))
		rc = cb_fail(CB_EIO, "standard output");
	return rc < 0 ? cb_complain() : 0;
}
