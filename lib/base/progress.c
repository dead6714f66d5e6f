/* The clock, and the line that shows how far a long job is. */
#include <pthread.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base.h"

#define INTERVAL_S 0.2

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static double last_shown;
static bool shown;

double
cb_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Of a pipeline the last program shows how far all are: it knows best. */
static bool
last_of_pipe(void)
{
	struct stat st;

	return fstat(STDOUT_FILENO, &st) < 0 || !S_ISFIFO(st.st_mode);
}

void
cb_progress(const char *fmt, ...)
{
	char line[512] = "\r";
	va_list ap;

	if (!isatty(STDERR_FILENO) || !last_of_pipe())
		return;
	pthread_mutex_lock(&lock);
	if (cb_now() - last_shown >= INTERVAL_S) {
		va_start(ap, fmt);
		vsnprintf(line + 1, sizeof(line) - 8, fmt, ap);
		va_end(ap);
		strcat(line, "\033[K");
		shown = write(STDERR_FILENO, line, strlen(line)) > 0;
		last_shown = cb_now();
	}
	pthread_mutex_unlock(&lock);
}

void
cb_progress_end(void)
{
	pthread_mutex_lock(&lock);
	if (shown)
		shown = write(STDERR_FILENO, "\r\033[K", 4) < 0;
	pthread_mutex_unlock(&lock);
}
