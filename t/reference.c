/*
 * reference [-e ENGINE[:PRECISION]] [-j threads] [-v] FILE|FOLDER...: runs what
 * each case file in the format of ../shared/reference describes (trunk, head and frames of
 * a tiny case lie beside it) and prints
 *
 *	ok|FAIL <worst relative error> <tensor> <file>
 *
 * where the worst is the one nearest to, or furthest beyond, its tolerance in
 * the README there.  Of a folder it takes the safetensors in it and in those
 * below.  Files that hold nothing but weights or frames of cases are passed over.
 * Exits 0 only if all cases pass, and there is one.
 */
#include <dirent.h>

#include "ref/reference.h"

/* 1: a file of weights or frames; 0: a case was run; -1. */
static int
run_file(struct verdict *v, struct ref_case *r, struct cb_engine *e)
{
	int z, rc;

	if (cb_safetensors_open(&r->f, r->path) < 0)
		return -1;
	if (cb_safetensors_meta(r->f, "config_base") != NULL &&
	    cb_safetensors_meta(r->f, "config") == NULL)
		return 1;
	if (cb_safetensors_meta(r->f, "max_img_size") != NULL)
		return run_prepare(v, r, e);
	if (cb_safetensors_meta(r->f, "optim") == NULL)
		return run_case(v, r, e);
	rc = run_steps(v, r, e, 0);
	for (z = 1; rc == 0 && tensor(r->f, "zero%d/losses", z) != NULL; z++)
		rc = run_steps(v, r, e, z);
	return rc;
}

/* What was run so far, and by what. */
struct tally {
	struct cb_engine *e;
	int	 cases, bad;
};

static void
one(struct tally *t, const char *path)
{
	struct ref_case r = { .path = path };
	struct verdict v = { 0 };
	int rc = run_file(&v, &r, t->e);

	if (rc < 0)
		cb_warn("%s", cb_error());
	if (rc > 0)
		printf("-- data of cases: %s\n", path);
	else if (rc < 0 || v.compared == 0)
		printf("FAIL inf - %s\n", path);
	else
		printf("%s %.3e %s %s\n", v.worst <= 1 ? "ok" : "FAIL",
		    v.error, v.name, path);
	fflush(stdout);
	t->cases += rc <= 0;
	t->bad += rc < 0 || (rc == 0 && (v.compared == 0 || v.worst > 1));
	free_frames(&r);
	free(r.counts);
	cb_safetensors_close(r.f);
}

static int
worth_it(const struct dirent *d)
{
	const char *dot = strrchr(d->d_name, '.');

	return d->d_name[0] != '.' && (d->d_type == DT_DIR ||
	    (dot != NULL && strcmp(dot, ".safetensors") == 0));
}

/* A file, or all of a folder in the order of their names. */
static void
all(struct tally *t, const char *path)
{
	struct dirent **list;
	int n = scandir(path, &list, worth_it, alphasort), i;
	char *at;

	if (n < 0) {
		one(t, path);
		return;
	}
	for (i = 0; i < n; i++) {
		at = cb_strf("%s/%s", path, list[i]->d_name);
		all(t, at);
		free(at);
		free(list[i]);
	}
	free(list);
}

int
main(int argc, char **argv)
{
	const char *name = "cpu";
	int64_t threads = 0;
	const struct cb_opt options[] = {
		{ 'e', "engine", CB_OPT_STR, &name, "NAME",
		    "engine under test [cpu]", 0, 0 },
		{ 'j', "threads", CB_OPT_INT, &threads, "N",
		    "threads [one a core]", 0, 256 },
		{ 'v', "verbose", CB_OPT_FLAG, &verbose, NULL,
		    "print every comparison", 0, 0 },
		{ 0 }
	};
	int i = cb_options(argc, argv, options,
	    "[-v] [-e engine] file|folder ...");
	struct tally t = { 0 };

	if (i == argc)
		cb_usage("no case files");
	if (cb_engine_open(&t.e, name, (int)threads) < 0)
		return cb_complain();
	if (t.e->scales)	/* low enough that no gradient overflows */
		t.e->loss_scale = 256;
	for (; i < argc; i++)
		all(&t, argv[i]);
	t.e->free(t.e);
	return t.bad > 0 || t.cases == 0;
}
