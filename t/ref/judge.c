/* Errors, and the one nearest to or furthest beyond its tolerance. */
#include "reference.h"

bool verbose;

void
judge(struct verdict *v, double error, double tolerance, const char *fmt, ...)
{
	char name[160];
	double ratio = error / tolerance;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(name, sizeof(name), fmt, ap);
	va_end(ap);
	if (isnan(ratio))
		ratio = error = INFINITY;
	if (verbose)
		printf("  %-60s %.2e of %.0e\n", name, error, tolerance);
	v->compared++;
	if (ratio < v->worst && v->compared > 1)
		return;
	v->worst = ratio;
	v->error = error;
	snprintf(v->name, sizeof(v->name), "%s", name);
}

/* An error as a share of what it is measured by; where that is 0, itself. */
double
share(double error, double of)
{
	return of > 0 ? error / of : error;
}

double
norm_of(const float *x, int64_t n, int64_t step)
{
	double sum = 0;
	int64_t i;

	for (i = 0; i < n; i += step)
		sum += (double)x[i] * x[i];
	return sqrt(sum);
}

/* Norm of the difference of every step-th entry of got and all of want. */
double
distance(const float *got, int64_t step, const float *want, int64_t n)
{
	double sum = 0, d;
	int64_t i;

	for (i = 0; i < n; i++) {
		d = (double)got[i * step] - want[i];
		sum += d * d;
	}
	return sqrt(sum);
}

/* Largest difference over the largest value. */
double
max_error(const float *got, const float *want, int64_t n)
{
	double most = 0, error = 0, d;
	int64_t i;

	for (i = 0; i < n; i++) {
		d = fabs((double)got[i] - want[i]);
		error = d > error || isnan(d) ? d : error;
		most = fmax(most, fabs(want[i]));
	}
	return share(error, most);
}

double
relative(double got, double want)
{
	return share(fabs(got - want), fabs(want));
}

bool
has(const char *name, const char *part)
{
	return strstr(name, part) != NULL;
}
