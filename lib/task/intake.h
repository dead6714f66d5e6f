/*
 * Where a filter's messages come from: the stream on stdin, or operands - one
 * annotation file, whose groups cb-list would write, or media files and
 * directories, one group each.  The filter sees the same messages either way.
 */
#ifndef CB_TASK_INTAKE_H
#define CB_TASK_INTAKE_H

#include "stream/stream.h"

struct cb_intake;

/* Is it worth taking this file of a directory? */
typedef bool cb_intake_wants(const char *name);

/* n operands; 0: stdin.  Operands are borrowed until close. */
int	cb_intake_open(struct cb_intake **out, char *const *operands, int n,
	    cb_intake_wants *wants);
void	cb_intake_close(struct cb_intake *in);

/* For cb_writer_open(); NULL: begin one.  Valid until close. */
struct cb_msg *cb_intake_header(struct cb_intake *in);

/* As cb_reader_ask(); operands are asked nothing. */
void	cb_intake_ask(struct cb_intake *in, const json_t *what);

/* As cb_reader_next(): a message, yours to free. */
int	cb_intake_next(struct cb_intake *in, struct cb_msg **out);

/* Groups lost upstream so far, and groups to come in all; 0: unknown. */
int64_t	cb_intake_skipped(const struct cb_intake *in);
int64_t	cb_intake_groups(const struct cb_intake *in);

/* Progress after n groups, with rate and, where it can be known, time left. */
void	cb_intake_progress(const struct cb_intake *in, int64_t n);

#endif
