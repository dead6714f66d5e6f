/* Lines of a budget, one at a time. */
#include <fnmatch.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

#include "budget.h"

enum { ARCHS = 8, ROUND_REGS = 8 };

struct bound {
	char	 key[16];
	bool	 most;			/* else least */
	int	 n;			/* limits: one, or as many as archs */
	int64_t	 limit[ARCHS];
};

struct budget {
	const struct kernels *all;
	const char *path;
	FILE	*out;
	int	 narch, arch[ARCHS];	/* of all kernels, ascending */
	bool	*told;			/* whether a line was of kernel i */
};

static bool
is_of(const struct kernel *k, const char *pattern)
{
	return fnmatch(pattern, k->title, 0) == 0;
}

/* Loads and stores of memory of fewer bits. */
static int64_t
narrower(const struct kernel *k, int bits)
{
	int64_t sum = 0;
	int w;

	for (w = 0; 1 << w < bits; w++)
		sum += k->count[LDG][w] + k->count[STG][w];
	return sum;
}

/* The value of a key; -2: there is no such key. */
static int64_t
value(const struct kernel *k, const char *key)
{
	const struct { const char *key; int64_t is; } plain[] = {
		{ "regs", k->regs }, { "stack", k->stack },
		{ "shared", k->shared }, { "threads", k->threads },
		{ "blocks", k->blocks }, { "code", k->code },
		{ "narrow", narrower(k, 32) } };
	const size_t n = strcspn(key, ".");
	const int bits = key[n] == '.' ? atoi(key + n + 1) : 0;
	int64_t sum = 0;
	size_t i;
	int w;

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
	return -2;
}

static int
arch_index(const struct budget *b, int arch)
{
	int i;

	for (i = 0; i < b->narch && b->arch[i] != arch; i++)
		;
	return i;
}

static int
find_archs(struct budget *b)
{
	int i, j;

	for (i = 0; i < b->all->n; i++) {
		const int arch = b->all->at[i].arch;

		if (arch_index(b, arch) < b->narch)
			continue;
		if (b->narch == ARCHS)
			return cb_fail(CB_EFORMAT, "more than %d architectures",
			    ARCHS);
		for (j = b->narch++; j > 0 && b->arch[j - 1] > arch; j--)
			b->arch[j] = b->arch[j - 1];
		b->arch[j] = arch;
	}
	return 0;
}

/* KEY<=N[/N...] */
static int
parse(const struct budget *b, struct bound *to, const char *word)
{
	const size_t n = strcspn(word, "<>");
	const char *p = word + n;
	char *end;

	*to = (struct bound){ .most = *p == '<' };
	if (n >= sizeof(to->key) || *p == '\0' || p[1] != '=')
		return -1;
	memcpy(to->key, word, n);
	if (value(b->all->at, to->key) == -2)
		return -1;
	p++;
	do {
		if (to->n == b->narch)
			return -1;
		to->limit[to->n++] = strtoll(++p, &end, 10);
		if (end == p)
			return -1;
		p = end;
	} while (*p == '/');
	return *p != '\0' || (to->n > 1 && to->n < b->narch) ? -1 : 0;
}

/* On all kernels of the pattern; how often it is broken. */
static int
hold(const struct budget *b, const char *pattern, const struct bound *x)
{
	int i, bad = 0;

	for (i = 0; i < b->all->n; i++) {
		const struct kernel *k = b->all->at + i;
		const int64_t limit = x->limit[x->n == 1 ? 0 :
		    arch_index(b, k->arch)];
		const int64_t v = value(k, x->key);

		if (!is_of(k, pattern) || (x->most ? v <= limit : v >= limit))
			continue;
		cb_warn("sm_%d %s: %s is %jd, at %s %jd", k->arch, k->title,
		    x->key, (intmax_t)v, x->most ? "most" : "least",
		    (intmax_t)limit);
		bad++;
	}
	return bad;
}

/* What a bound would have to be for the kernel. */
static int64_t
needed(const struct kernel *k, const char *key)
{
	const int64_t v = value(k, key);

	return strcmp(key, "regs") != 0 ? v : (v + ROUND_REGS - 1) /
	    ROUND_REGS * ROUND_REGS;
}

/* The bound as it would just hold: one number where that is the same for all,
 * and of instructions that must be there. */
static void
renew(const struct budget *b, const char *pattern, const struct bound *x)
{
	const bool each = x->most || strcmp(x->key, "blocks") == 0;
	int64_t worst[ARCHS], v;
	bool found[ARCHS] = { false }, same = true;
	int i, a;

	for (i = 0; i < b->all->n; i++) {
		if (!is_of(b->all->at + i, pattern))
			continue;
		a = each ? arch_index(b, b->all->at[i].arch) : 0;
		v = needed(b->all->at + i, x->key);
		if (!found[a] || (x->most ? v > worst[a] : v < worst[a]))
			worst[a] = v;
		found[a] = true;
	}
	for (a = 1; a < b->narch && each; a++)
		same = same && worst[a] == worst[0];
	fprintf(b->out, " %s%c=%jd", x->key, x->most ? '<' : '>',
	    (intmax_t)worst[0]);
	for (a = 1; a < b->narch && !same; a++)
		fprintf(b->out, "/%jd", (intmax_t)worst[a]);
}

/* Marks the kernels of a pattern; how much is wrong with it. */
static int
tell(struct budget *b, const char *pattern)
{
	bool found = false;
	int i, bad = 0;

	for (i = 0; i < b->all->n; i++) {
		const struct kernel *k = b->all->at + i;

		if (!is_of(k, pattern))
			continue;
		if (b->told[i]) {
			cb_warn("%s: sm_%d %s is in it twice, again as %s",
			    b->path, k->arch, k->title, pattern);
			bad++;
		}
		b->told[i] = found = true;
	}
	if (found)
		return bad;
	cb_warn("%s: %s: no such kernel", b->path, pattern);
	return 1;
}

/* How much of a line is broken. */
static int
line_check(struct budget *b, char *line)
{
	char *note = strchr(line, '#'), *save, *pattern, *word;
	struct bound x;
	int bad = 0;

	line[strcspn(line, "#\n")] = '\0';
	pattern = strtok_r(line, " \t", &save);
	if (pattern != NULL)
		bad = tell(b, pattern);
	if (pattern != NULL && b->out != NULL)
		fprintf(b->out, "%-31s", pattern);
	while (pattern != NULL && (word = strtok_r(NULL, " \t", &save)) !=
	    NULL)
		if (parse(b, &x, word) < 0) {
			cb_warn("%s: %s: %s is no bound", b->path, pattern,
			    word);
			bad++;
		} else if (b->out != NULL)
			renew(b, pattern, &x);
		else
			bad += hold(b, pattern, &x);
	if (b->out != NULL)
		fprintf(b->out, "%s%s%s", pattern != NULL && note != NULL ?
		    " " : "", note != NULL ? "#" : "\n", note != NULL ?
		    note + 1 : "");
	return bad;
}

/* What no line is about; local memory. */
static int
rest_check(const struct budget *b)
{
	int i, bad = 0;

	for (i = 0; i < b->all->n; i++) {
		const struct kernel *k = b->all->at + i;

		if (!b->told[i])
			cb_warn("%s: sm_%d %s is not in it", b->path, k->arch,
			    k->title);
		if (k->stack > 0)
			cb_warn("sm_%d %s: %jd bytes of local memory",
			    k->arch, k->title, (intmax_t)k->stack);
		bad += !b->told[i] + (k->stack > 0);
	}
	return bad;
}

int
budget_check(const struct kernels *all, const char *path, FILE *out)
{
	struct budget b = { .all = all, .path = path, .out = out,
	    .told = calloc((size_t)all->n + 1, sizeof(*b.told)) };
	FILE *f = fopen(path, "r");
	char *line = NULL;
	size_t room = 0;
	int bad = 0;

	if (f == NULL || b.told == NULL)
		bad = cb_fail(CB_EIO, "%s", path);
	else if (find_archs(&b) < 0)
		bad = -1;
	else {
		while (getline(&line, &room, f) > 0)
			bad += line_check(&b, line);
		bad += rest_check(&b);
	}
	free(line);
	free(b.told);
	if (f != NULL)
		fclose(f);
	return bad;
}
