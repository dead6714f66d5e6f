/*
 * Private to the task room: annotation jsonl, read once and checked whole.  The
 * bytes of the files are kept and a line is parsed again when its group comes,
 * which takes a tenth of the memory that parsed lines would.  Several files
 * are one list of lines; their media are different ones, also where they have
 * the same name.
 */
#ifndef CB_TASK_ANNOTATION_H
#define CB_TASK_ANNOTATION_H

#include "task/task.h"

enum label_kind {
	LABEL_NONE,
	LABEL_SCORES,	/* "labels": {answer: score} */
	LABEL_NAME,	/* "answer": its name */
	LABEL_COUNT,	/* "answer": from 1 to 10, a number or digits */
	LABEL_INDEX,	/* "answer": which of the options, a number or digits */
};

/* How the lines of a task look; the table is in convention.c. */
struct convention {
	const char *task;
	const char *media[6];	/* keys of the medium's id: first one there */
	const char *needs[3];	/* keys that must be there */
	const char *mark;	/* key that gives the task away */
	const char *id;		/* key of the example's id; else its number */
	enum label_kind label;
};

const struct convention *convention_named(const char *task);
/* That whose line it looks like; NULL: none's, and cb_fail() said so. */
const struct convention *convention_of(const json_t *line);
/* The medium's id, the line's own; NULL: missing. */
const json_t *convention_medium(const struct convention *c,
	    const json_t *line);
/* Its labels are names of answers. */
bool	 convention_has_answers(const struct convention *c);

struct annotation_file {
	char	*path, *text;
	int64_t	 media;		/* how many */
};

struct line {
	int	file;
	int64_t	at, bytes;	/* in its text */
	int64_t	number;		/* in the file, from 1 */
	int64_t	medium;
};

struct annotation {
	struct annotation_file *files;
	int	 nfiles;
	char	*path;		/* for messages, that of the first; borrowed */
	const struct convention *kind;
	char	 sha256[65];	/* of the text; of several, of all their hashes */
	struct line *lines;
	int64_t	 n, room;
	char	**media;	/* in order of first appearance */
	int64_t	 nmedia, media_room;
	json_t	*media_index;	/* name -> number, of the last file */
	json_t	*ids;		/* id -> which of the lines */
	char	*repeated;	/* says where an id is repeated first; NULL */
	const char *fault;	/* kind of the next, while reading */
	json_t	*counts;	/* answer -> examples that have it */
};

/*
 * Looks at every line in turn while reading.  -1 stops; the message should not
 * say where.
 */
typedef int annotation_see(void *arg, struct annotation *a,
    const json_t *line);

struct annotation_how {
	const char *task;	/* NULL: guessed */
	annotation_see *see;	/* NULL: nobody looks */
	/* Told of each bad line, which is left out, instead of failing; of
	 * each repeated id too.  Kinds: "file", "line", "answer", "repeated".
	 * NULL: a bad line is an error. */
	cb_found_fn *found;
	void	*arg;		/* of both */
};
int	 annotation_open(struct annotation **out, char *const *paths, int n,
	    const struct annotation_how *how);
void	 annotation_close(struct annotation *a);

/* Line i parsed again, yours to decref; NULL: out of memory. */
json_t	*annotation_line(const struct annotation *a, int64_t i);

/* The id of example i as the annotation has it, or i; yours to decref. */
json_t	*annotation_id(const struct annotation *a, const json_t *line,
	    int64_t i);

/* The number of an option, an integer or digits; -1: it is neither. */
int64_t	 annotation_option(const json_t *answer);

/* The name of a medium, a text or a number, yours; NULL: it is neither. */
char	*annotation_name(const json_t *medium);

/* answers.c: answers of a.counts, most frequent first, ties by name; yours. */
json_t	*annotation_answers(const struct annotation *a);

/* The folder of an annotation, "." of stdin; yours to free. */
char	*annotation_folder(const char *path);

/* The file of this name beside an annotation, NULL where there is none;
 * yours to free. */
char	*annotation_beside(const char *path, const char *name);

#endif
