/*
 * sass [-b BUDGET] [-l LAUNCHES] FILE...: what the compiler made of each
 * kernel, from the machine code of cubins, or of objects and plug-ins with
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
 * LAUNCHES: lines `NAME THREADS BYTES`, how a kernel is launched with how much
 * dynamic shared memory; blocks is then that of the line which gives fewest.
 *
 * BUDGET: lines `NAME BOUND...`, `#` begins a comment; a bound is one of the
 * keys above with <= or >= and a number: k_norm regs<=64 LDG.128>=1.  NAME is
 * the mangled one, or of a template the bare one, for all that is made of it;
 * bounds hold on every architecture.  Each kernel needs its line and each line
 * its kernel, and none may use local memory.
 *
 * Exit status: 0, 1 a bound is broken or a file cannot be read, 2 usage.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"

#include "cubin/cubin.h"

static struct kernels all;
static const char *launches;		/* a file, or NULL */

/* ---- a kernel's line */

/* The bare name of _Z3sumILi0EEvPf is sum; what is not mangled is its own. */
static bool
named(const struct kernel *k, const char *name)
{
	const size_t n = strlen(name);
	char *rest;
	unsigned long m;

	if (strcmp(k->name, name) == 0)
		return true;
	if (strncmp(k->name, "_Z", 2) != 0)
		return false;
	m = strtoul(k->name + 2, &rest, 10);
	return m == n && strncmp(rest, name, n) == 0;
}

/* blocks, as `sass` was told that it is launched; -1: does not fit. */
static int
blocks(const struct kernel *k)
{
	char *line = NULL, *save, *name, *threads, *bytes;
	int least = cubin_blocks(k, (int)k->threads, 0), n;
	bool told = false;
	size_t room = 0;
	FILE *f;

	if (launches == NULL || (f = fopen(launches, "r")) == NULL)
		return least;
	while (getline(&line, &room, f) > 0) {
		if ((name = strtok_r(line, " \t\n", &save)) == NULL ||
		    (threads = strtok_r(NULL, " \t\n", &save)) == NULL ||
		    (bytes = strtok_r(NULL, " \t\n", &save)) == NULL ||
		    !named(k, name))
			continue;
		n = cubin_blocks(k, atoi(threads), atoll(bytes));
		least = !told || n < least ? n : least;
		told = true;
	}
	free(line);
	fclose(f);
	return least;
}

/* The value of a key of the line; -1: there is no such key. */
static int64_t
value(const struct kernel *k, const char *key)
{
	const struct { const char *key; int64_t is; } plain[] = {
		{ "regs", k->regs }, { "stack", k->stack },
		{ "shared", k->shared }, { "threads", k->threads },
		{ "code", k->code } };
	const size_t n = strcspn(key, ".");
	const int bits = key[n] == '.' ? atoi(key + n + 1) : 0;
	int64_t sum = 0;
	size_t i;
	int w;

	if (strcmp(key, "blocks") == 0)
		return blocks(k);
	for (i = 0; i < sizeof(plain) / sizeof(*plain); i++)
		if (strcmp(key, plain[i].key) == 0)
			return plain[i].is;
	for (i = 0; i < SASS_KINDS; i++) {
		if (strlen(sass_names[i]) != n ||
		    strncmp(sass_names[i], key, n) != 0)
			continue;
		for (w = 0; w < SASS_WIDTHS; w++)
			if (bits == 0 || 1 << w == bits)
				sum += k->count[i][w];
		return sum;
	}
	return -1;
}

static void
print_kernel(const struct kernel *k)
{
	int i, w;

	printf("sm_%d %s regs=%jd stack=%jd shared=%jd threads=%jd blocks=%d "
	    "code=%jd", k->arch, k->name, (intmax_t)k->regs,
	    (intmax_t)k->stack, (intmax_t)k->shared, (intmax_t)k->threads,
	    blocks(k), (intmax_t)k->code);
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

/* ---- the budget */

/* One bound on all kernels of that name; how often it is broken. */
static int
hold(const char *name, char *bound)
{
	char *sign = strpbrk(bound, "<>"), *end = NULL;
	const bool most = sign != NULL && *sign == '<';
	int64_t limit, v;
	int i, bad = 0;

	if (sign == NULL || sign[1] != '=') {
		cb_warn("%s: %s is no bound", name, bound);
		return 1;
	}
	*sign = '\0';
	limit = strtoll(sign + 2, &end, 10);
	for (i = 0; i < all.n; i++) {
		if (!named(all.at + i, name))
			continue;
		v = value(all.at + i, bound);
		if (end == sign + 2 || *end != '\0' || (v < 0 &&
		    strcmp(bound, "blocks") != 0)) {
			cb_warn("%s: %s%c=... is no bound", name, bound,
			    most ? '<' : '>');
			return 1;
		}
		if (most ? v <= limit : v >= limit)
			continue;
		cb_warn("sm_%d %s: %s is %jd, at %s %jd", all.at[i].arch,
		    all.at[i].name, bound, (intmax_t)v, most ? "most" :
		    "least", (intmax_t)limit);
		bad++;
	}
	return bad;
}

/* How much of a line is broken; told[i] where it is of kernel i. */
static int
hold_line(const char *path, char *line, bool *told)
{
	char *save, *name, *bound;
	bool found = false;
	int i, bad = 0;

	line[strcspn(line, "#\n")] = '\0';
	if ((name = strtok_r(line, " \t", &save)) == NULL)
		return 0;
	for (i = 0; i < all.n; i++)
		if (named(all.at + i, name))
			told[i] = found = true;
	if (!found) {
		cb_warn("%s: %s: no such kernel", path, name);
		return 1;
	}
	while ((bound = strtok_r(NULL, " \t", &save)) != NULL)
		bad += hold(name, bound);
	return bad;
}

/* How much is broken; -1: the file cannot be read. */
static int
check_budget(const char *path)
{
	bool *told = calloc((size_t)all.n + 1, sizeof(*told));
	FILE *f = fopen(path, "r");
	char *line = NULL;
	size_t room = 0;
	int i, bad = 0;

	if (f == NULL || told == NULL) {
		free(told);
		if (f != NULL)
			fclose(f);
		return cb_fail(CB_EIO, "%s", path);
	}
	while (getline(&line, &room, f) > 0)
		bad += hold_line(path, line, told);
	for (i = 0; i < all.n; i++) {
		if (!told[i])
			cb_warn("%s: sm_%d %s is not in it", path,
			    all.at[i].arch, all.at[i].name);
		if (all.at[i].stack > 0)
			cb_warn("sm_%d %s: %jd bytes of local memory",
			    all.at[i].arch, all.at[i].name,
			    (intmax_t)all.at[i].stack);
		bad += !told[i] + (all.at[i].stack > 0);
	}
	free(line);
	free(told);
	fclose(f);
	return bad;
}

int
main(int argc, char **argv)
{
	const char *budget = NULL;
	int i, c, bad = 0;

	cb_program_set("sass");
	while ((c = getopt(argc, argv, "b:l:")) != -1) {
		if (c == 'b')
			budget = optarg;
		else if (c == 'l')
			launches = optarg;
		else
			optind = argc;
	}
	if (optind >= argc) {
		fprintf(stderr, "usage: sass [-b BUDGET] [-l LAUNCHES] "
		    "FILE...\n");
		return 2;
	}
	if (launches != NULL && access(launches, R_OK) != 0) {
		cb_warn("%s: cannot be read", launches);
		return 1;
	}
	for (i = optind; i < argc; i++)
		if (cubin_read(&all, argv[i]) < 0)
			return cb_complain();
	for (i = 0; i < all.n; i++)
		print_kernel(all.at + i);
	if (budget != NULL && (bad = check_budget(budget)) < 0)
		return cb_complain();
	kernels_clear(&all);
	return bad > 0;
}
