/*
 * reference [-e engine] [-j threads] [-v] FILE...: runs what each case file in
 * the format of ../shared/reference describes (trunk, head and frames of a tiny
 * case lie beside it) and prints
 *
 *	ok|FAIL <worst relative error> <tensor> <file>
 *
 * where the worst is the one nearest to, or furthest beyond, its tolerance in
 * the README there.  Files that hold nothing but weights or frames of such cases
 * are passed over, so that all of a folder can be named.  Exits 0 only if all
 * cases pass, and there is one.
 */
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
	int i = cb_options(argc, argv, options, "[-v] [-e engine] file ...");
	struct cb_engine *e;
	int bad = 0, cases = 0, rc;

	if (i == argc)
		cb_usage("no case files");
	if (cb_engine_open(&e, name, (int)threads) < 0)
		return cb_complain();
	for (; i < argc; i++) {
		struct ref_case r = { .path = argv[i] };
		struct verdict v = { 0 };

		rc = run_file(&v, &r, e);
		if (rc < 0)
			cb_warn("%s", cb_error());
		if (rc > 0)
			printf("-- data of cases: %s\n", argv[i]);
		else if (rc < 0 || v.compared == 0)
			printf("FAIL inf - %s\n", argv[i]);
		else
			printf("%s %.3e %s %s\n", v.worst <= 1 ? "ok" : "FAIL",
			    v.error, v.name, argv[i]);
		fflush(stdout);
		cases += rc <= 0;
		bad += rc < 0 || (rc == 0 && (v.compared == 0 || v.worst > 1));
		free_frames(&r);
		free(r.counts);
		cb_safetensors_close(r.f);
	}
	e->free(e);
	return bad > 0 || cases == 0;
}
