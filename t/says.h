/* For tests of errors. */
#ifndef SAYS_H
#define SAYS_H
#include <stdio.h>
#include <string.h>

#include "base/base.h"

/* Is this part of the last error?  Shows the error where it is not. */
static inline bool
says(const char *what)
{
	if (strstr(cb_error(), what) != NULL)
		return true;
	fprintf(stderr, "# says: %s\n", cb_error());
	return false;
}

#endif
