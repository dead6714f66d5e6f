/*
 * sass [-b BUDGET | -u BUDGET] [-l LOG] FILE...: what the compiler made of
 * each kernel, from the machine code of cubins, or of objects and plug-ins with
 * uncompressed cubins in them.  A line for each kernel and architecture:
 *
 *	sm_80 NAME regs=12 stack=0 shared=512 threads=256 blocks=8 code=120 ...
 *
 *	regs	registers of a thread
 *	stack	bytes of local memory of a thread: spills, and arrays with an
 *		index that is known at run time only
 *	shared	static shared memory of a block
 *	threads	the most of a block (launch bounds; 1024 without)
 *	blocks	such blocks at once on a multiprocessor
 *	code	instructions
 *
 * then those counted that occur: HMMA LDSM BAR SHFL MUFU, and by the bits that
 * a thread moves LDG STG LDS STS LDGSTS LDL STL, as LDG.128=4.
 *
 * LOG: a file of CBSIM_LOG (cb-cuda(7)), how kernels were launched with how much
 * dynamic shared memory; blocks is then that of the launch which gives fewest.
 *
 * BUDGET (t/cubin/budget.h): -b looks whether it is kept to; -u prints it, and
 * nothing else, with what is the case for its bounds.
 *
 * Exit status: 0, 1 a bound is broken or a file cannot be read, 2 usage.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"

#include "cubin/budget.h"

static struct kernels all;

/* ---- how they are launched */

/* told[i]: a launch of kernel i is known. */
static void
launched(const char *name, int threads, int64_t bytes, bool *told)
{
	int i, n;

	for (i = 0; i < all.n; i++) {
		if (strcmp(all.at[i].name, name) != 0)
			continue;
		n = cubin_blocks(all.at + i, threads, bytes);
		if (!told[i] || n < all.at[i].blocks)
			all.at[i].blocks = n;
		told[i] = true;
	}
}

static int
read_log(const char *path)
{
	bool *told = calloc((size_t)all.n + 1, sizeof(*told));
	FILE *f = fopen(path, "r");
	char *line = NULL, name[1024];
	long long bytes;
	size_t room = 0;
	int threads, rc = f == NULL || told == NULL ? cb_fail(CB_EIO, "%s", path) : 0;

	while (rc == 0 && getline(&line, &room, f) > 0)
		if (sscanf(line, "kernel grid %*s block %d,1,1 shared %lld "
		    "%1023s", &threads, &bytes, name) == 3)
			launched(name, threads, bytes, told);
	free(line);
	free(told);
	if (f != NULL)
		fclose(f);
	return rc;
}

/* ---- a kernel's line */

static void
print_kernel(const struct kernel *k)
{
	int i, w;

	printf("sm_%d %s regs=%jd stack=%jd shared=%jd threads=%jd blocks=%d "
	    "code=%jd", k->arch, k->name, (intmax_t)k->regs,
	    (intmax_t)k->stack, (intmax_t)k->shared, (intmax_t)k->threads,
	    k->blocks, (intmax_t)k->code);
	for (i = 0; i < SASS_KINDS; i++)
		for (w = 0; w < SASS_WIDTHS; w++) {
			if (k->count[i][w] == 0)
				continue;
			printf(" %s", sass_names[i]);
			if (i >= LDG)
				printf(".%d", 1 << w);
			printf("=%jd", (intmax_t)k->count[i][w]);
		}
	printf("\n");
}

int
main(int argc, char **argv)
{
	const char *budget = NULL, *log = NULL;
	bool update = false;
	int i, c, bad = 0;

	cb_program_set("sass");
	while ((c = getopt(argc, argv, "b:u:l:")) != -1) {
		if (c == 'l')
			log = optarg;
		else if (c == '?')
			optind = argc;
		else
			budget = optarg;
		update = update || c == 'u';
	}
	if (optind >= argc) {
		fprintf(stderr, "usage: sass [-b BUDGET | -u BUDGET] "
		    "[-l LOG] FILE...\n");
		return 2;
	}
	for (i = optind; i < argc; i++)
		if (cubin_read(&all, argv[i]) < 0)
			return cb_complain();
	if (log != NULL && read_log(log) < 0)
		return cb_complain();
	for (i = 0; i < all.n && !update; i++)
		print_kernel(all.at + i);
	if (budget != NULL && (bad = budget_check(&all, budget, update ?
	    stdout : NULL)) < 0)
		return cb_complain();
	kernels_clear(&all);
	return bad > 0;
}
