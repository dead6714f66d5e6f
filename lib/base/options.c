/*
 * Command lines: one table describes the options of a program; parsing and the
 * help text both come from it, so they cannot disagree.
 */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base.h"

#define MAX_OPTIONS 64
#define LONG_ONLY 256		/* getopt value of row i without a letter: + i */

static const struct cb_opt builtin[] = {
	{ 'h', "help", CB_OPT_FLAG, NULL, NULL, "print this and exit", 0, 0 },
	{ 'V', "version", CB_OPT_FLAG, NULL, NULL, "print the version", 0, 0 },
	{ 0 }
};

static const char *usage_synopsis = "";

static void
print_rows(FILE *to, const struct cb_opt *o)
{
	char left[64];

	for (; o->name != NULL; o++) {
		if (o->letter != 0)
			snprintf(left, sizeof(left), "-%c, --%s%s%s", o->letter,
			    o->name, o->arg != NULL ? " " : "",
			    o->arg != NULL ? o->arg : "");
		else
			snprintf(left, sizeof(left), "    --%s%s%s", o->name,
			    o->arg != NULL ? " " : "",
			    o->arg != NULL ? o->arg : "");
		fprintf(to, "  %-28s %s\n", left, o->help);
	}
}

static void
print_usage(FILE *to)
{
	fprintf(to, "usage: %s %s\n", cb_program(), usage_synopsis);
}

_Noreturn void
cb_usage(const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	cb_warn("%s", text);
	print_usage(stderr);
	exit(2);
}

int
cb_choice(const char *option, const char *value, const char *first,
    const char *second)
{
	if (strcmp(value, first) != 0 && strcmp(value, second) != 0)
		cb_usage("%s %s: must be %s or %s", option, value, first,
		    second);
	return strcmp(value, second) == 0;
}

static void
check_range(const struct cb_opt *o, double v, const char *text)
{
	if ((o->min != 0 || o->max != 0) && (v < o->min || v > o->max))
		cb_usage("--%s %s: must be from %g to %g", o->name, text,
		    o->min, o->max);
}

static void
take(const struct cb_opt *o, char *text)
{
	struct cb_strs *list = o->to;
	char *end;

	errno = 0;
	switch (o->kind) {
	case CB_OPT_FLAG:
		*(bool *)o->to = true;
		break;
	case CB_OPT_INT:
		*(int64_t *)o->to = strtoll(text, &end, 10);
		if (end == text || *end != '\0' || errno != 0)
			cb_usage("--%s %s: not a whole number", o->name, text);
		check_range(o, (double)*(int64_t *)o->to, text);
		break;
	case CB_OPT_REAL:
		*(double *)o->to = strtod(text, &end);
		if (end == text || *end != '\0' || !isfinite(*(double *)o->to))
			cb_usage("--%s %s: not a number", o->name, text);
		check_range(o, *(double *)o->to, text);
		break;
	case CB_OPT_STR:
		*(const char **)o->to = text;
		break;
	case CB_OPT_LIST:
		list->at = realloc(list->at, sizeof(*list->at) * (list->n + 1));
		if (list->at == NULL)
			abort();
		list->at[list->n++] = text;
		break;
	}
}

int
cb_options(int argc, char **argv, const struct cb_opt *table,
    const char *synopsis)
{
	struct option longs[MAX_OPTIONS] = { 0 };
	const struct cb_opt *rows[MAX_OPTIONS];
	char shorts[2 * MAX_OPTIONS + 3] = ":", *s = shorts + 1;
	const struct cb_opt *parts[] = { table, builtin }, *o;
	int n = 0, c, i;
	size_t p;

	signal(SIGPIPE, SIG_DFL);
	cb_program_set(argv[0]);
	usage_synopsis = synopsis;
	for (p = 0; p < CB_LEN(parts); p++) {
		for (o = parts[p]; o->name != NULL; o++) {
			longs[n].name = o->name;
			longs[n].has_arg = o->kind != CB_OPT_FLAG;
			longs[n].val = LONG_ONLY + n;
			rows[n++] = o;
			if (o->letter == 0)
				continue;
			*s++ = (char)o->letter;
			if (o->kind != CB_OPT_FLAG)
				*s++ = ':';
		}
	}
	*s = '\0';
	while ((c = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		if (c == ':')
			cb_usage("%s: needs an argument", argv[optind - 1]);
		if (c == '?')
			cb_usage("%s: no such option", argv[optind - 1]);
		for (i = 0; i < n; i++)
			if (c == LONG_ONLY + i || c == rows[i]->letter)
				break;
		if (rows[i]->to != NULL) {
			take(rows[i], optarg);
		} else if (rows[i]->letter == 'V') {
			printf("%s %s\n", cb_program(), CB_VERSION);
			exit(0);
		} else {
			print_usage(stdout);
			print_rows(stdout, table);
			print_rows(stdout, builtin);
			exit(0);
		}
	}
	return optind;
}
