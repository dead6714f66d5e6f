/* TAP for C tests: plan(n); ok(condition, "name"); return done(); */
#ifndef TAP_H
#define TAP_H
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

static int tap_n, tap_bad;

static inline void
plan(int n)
{
	printf("1..%d\n", n);
}

static inline bool __attribute__((format(printf, 2, 3)))
ok(bool good, const char *fmt, ...)
{
	va_list ap;

	printf("%sok %d - ", good ? "" : "not ", ++tap_n);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	fflush(stdout);
	tap_bad += !good;
	return good;
}

static inline int
done(void)
{
	return tap_bad > 0;
}
#endif
