/*
 * Looking over what a run will read, before it does: annotation files and
 * streams, to the end whatever is wrong with them.  Each fault goes to found();
 * its kinds, here and in the filter:
 *
 *	file		cannot be read at all
 *	line		is no example: not JSON, a key missing or of another type
 *	repeated	an id, a sequence number or a name that was there before
 *	text		a question, caption or option without a letter
 *	answer		not in the label list, not the number of an option, or
 *			not there, where training needs it
 *	stream		cut, out of order, damaged, or short of what it promised
 *	broken		a medium that cannot be read, also as told by the upstream
 */
#ifndef CB_TASK_CHECK_H
#define CB_TASK_CHECK_H

#include "task/task.h"

struct cb_check_how {
	const char *task;	/* NULL: guessed from the first line */
	bool	 eval;		/* an example may be without answer */
	const char *answers;	/* list of labels; NULL: ans2label.json beside
				 * the file, if there is one */
	cb_found_fn *found;
	void	*arg;		/* of found */
};

/*
 * Adds "examples" and "texts" to *counts and the names of the media to
 * *names, as keys.  -1: the answer list is of no use, or the task is none.
 */
int	cb_check_annotation(json_t *counts, json_t *names, const char *path,
	    const struct cb_check_how *how);

/* Adds "groups", "batches", "pictures", "examples" and "texts" to *counts.
 * fd is borrowed; name is for messages. */
void	cb_check_stream(json_t *counts, int fd, const char *name,
	    const struct cb_check_how *how);

/* Adds to a number of an object. */
void	cb_count(json_t *counts, const char *key, int64_t n);

#endif
