/* Why something failed, kept per thread until main() prints it. */
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "base.h"

#define MESSAGE_MAX 1024

static _Thread_local char message[MESSAGE_MAX] = "no error";
static _Thread_local enum cb_code last_code;
static const char *program = "cb";

int
cb_fail(enum cb_code code, const char *fmt, ...)
{
	int saved = errno;
	char text[MESSAGE_MAX];		/* arguments may be cb_error() itself */
	va_list ap;
	size_t n;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	n = strlen(text);
	if (code == CB_ENOMEM)
		saved = ENOMEM;
	if ((code == CB_ENOMEM || code == CB_EIO) && saved != 0)
		snprintf(text + n, sizeof(text) - n, ": %s", strerror(saved));
	memcpy(message, text, sizeof(message));
	last_code = code;
	return -1;
}

int
cb_fail_at(const char *fmt, ...)
{
	char text[MESSAGE_MAX];
	va_list ap;
	size_t n;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	n = strlen(text);
	snprintf(text + n, sizeof(text) - n, ": %s", message);
	memcpy(message, text, sizeof(message));
	return -1;
}

const char *
cb_error(void)
{
	return message;
}

enum cb_code
cb_error_code(void)
{
	return last_code;
}

void
cb_program_set(const char *name)
{
	const char *slash = strrchr(name, '/');

	program = slash != NULL ? slash + 1 : name;
}

const char *
cb_program(void)
{
	return program;
}

void
cb_warn(const char *fmt, ...)
{
	char line[MESSAGE_MAX + 64];
	va_list ap;
	size_t n;

	snprintf(line, sizeof(line), "%s: ", program);
	n = strlen(line);
	va_start(ap, fmt);
	vsnprintf(line + n, sizeof(line) - n - 1, fmt, ap);
	va_end(ap);
	n = strlen(line);
	line[n++] = '\n';
	cb_progress_end();
	if (write(STDERR_FILENO, line, n) < 0)
		return;			/* nowhere left to say it */
}

int
cb_complain(void)
{
	cb_warn("%s", message);
	return 1;
}
