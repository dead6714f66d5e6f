/* Messages from stdin, from annotations or from names of files. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "task/intake.h"
#include "task/task.h"

struct cb_intake {
	struct cb_reader *reader;
	struct cb_list *list;
	struct cb_strs files;	/* own copies */
	int	 next;
	bool	 open;		/* a group was given, its end was not */
	double	 begun;		/* cb_now() */
};

static bool
is_annotation(const char *name)
{
	size_t n = strlen(name);

	return n > 6 && strcmp(name + n - 6, ".jsonl") == 0;
}

static int
add_file(struct cb_intake *in, char *path)
{
	const char **more = realloc(in->files.at,
	    sizeof(*more) * (in->files.n + 1));

	if (more == NULL) {
		free(path);
		return cb_fail(CB_ENOMEM, "list of files");
	}
	in->files.at = more;
	in->files.at[in->files.n++] = path;
	return 0;
}

static int
by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* The wanted files of a directory, in the order of their bytes' values. */
static int
add_directory(struct cb_intake *in, const char *path, cb_intake_wants *wants)
{
	int n, i, before = in->files.n, rc = 0;
	struct dirent **list;

	if ((n = scandir(path, &list, NULL, by_bytes)) < 0)
		return cb_fail(CB_EIO, "%s", path);
	for (i = 0; i < n; i++) {
		if (rc == 0 && wants(list[i]->d_name))
			rc = add_file(in, cb_strf("%s/%s", path,
			    list[i]->d_name));
		free(list[i]);
	}
	free(list);
	return rc == 0 && in->files.n == before ? cb_fail(CB_EMISSING, "%s: no media files",
	    path) : rc;
}

static int
open_operands(struct cb_intake *in, char *const *operands, int n,
    cb_intake_wants *wants)
{
	struct cb_list_options o = cb_list_defaults();
	struct stat st;
	int i;

	for (i = 0; i < n; i++) {
		if (is_annotation(operands[i]) && n > 1)
			return cb_fail(CB_EUSAGE, "%s: an annotation file "
			    "must be the only operand", operands[i]);
		if (is_annotation(operands[i]))
			return cb_list_open(&in->list, &operands[i], 1, &o);
		if ((stat(operands[i], &st) == 0 && S_ISDIR(st.st_mode) ?
		    add_directory(in, operands[i], wants) :
		    add_file(in, cb_strf("%s", operands[i]))) < 0)
			return -1;
	}
	return 0;
}

int
cb_intake_open(struct cb_intake **out, char *const *operands, int n,
    cb_intake_wants *wants)
{
	struct cb_intake *in;

	if ((in = calloc(1, sizeof(*in))) == NULL)
		return cb_fail(CB_ENOMEM, "input");
	in->begun = cb_now();
	if ((n == 0 ? cb_reader_open(&in->reader, STDIN_FILENO, "stdin") :
	    open_operands(in, operands, n, wants)) < 0) {
		cb_intake_close(in);
		return -1;
	}
	*out = in;
	return 0;
}

void
cb_intake_close(struct cb_intake *in)
{
	if (in == NULL)
		return;
	cb_reader_close(in->reader);
	cb_list_close(in->list);
	while (in->files.n > 0)
		free((void *)(uintptr_t)in->files.at[--in->files.n]);
	free(in->files.at);
	free(in);
}

struct cb_msg *
cb_intake_header(struct cb_intake *in)
{
	return in->reader != NULL ? cb_reader_header(in->reader) :
	    in->list != NULL ? cb_list_header(in->list) : NULL;
}

void
cb_intake_ask(struct cb_intake *in, const json_t *what)
{
	if (in->reader != NULL)
		cb_reader_ask(in->reader, what);
}

static int
end_group(struct cb_intake *in, struct cb_msg **out)
{
	msgpack_object end;
	struct cb_msg *m;

	if (cb_msg_new(&m) < 0)
		return -1;
	end = cb_obj_map(m, 2);
	cb_map_set(m, &end, "pictures", cb_obj_int(0));
	cb_map_set(m, &end, "error", cb_obj_nil());
	cb_map_set(m, &m->root, "end", end);
	in->open = false;
	*out = m;
	return 1;
}

static int
next_file(struct cb_intake *in, struct cb_msg **out)
{
	msgpack_object g;
	struct cb_msg *m;

	if (in->next == in->files.n)
		return 0;
	if (cb_msg_new(&m) < 0)
		return -1;
	g = cb_obj_map(m, 8);
	cb_map_set(m, &g, "seq", cb_obj_int(in->next));
	cb_map_set(m, &g, "epoch", cb_obj_int(0));
	cb_map_set(m, &g, "media", cb_obj_text(m, in->files.at[in->next++]));
	cb_map_set(m, &g, "examples", cb_obj_list(m, 0));
	cb_map_set(m, &m->root, "group", g);
	*out = m;
	return 1;
}

int
cb_intake_next(struct cb_intake *in, struct cb_msg **out)
{
	int rc;

	if (in->reader != NULL)
		return cb_reader_next(in->reader, out);
	if (in->open)
		return end_group(in, out);
	rc = in->list != NULL ? cb_list_next(in->list, out) :
	    next_file(in, out);
	in->open = rc == 1;
	return rc;
}

int64_t
cb_intake_skipped(const struct cb_intake *in)
{
	return in->reader != NULL ? cb_reader_skipped(in->reader) : 0;
}

int64_t
cb_intake_groups(const struct cb_intake *in)
{
	const msgpack_object *n;

	if (in->list != NULL)
		return cb_list_groups(in->list);
	if (in->reader == NULL)
		return in->files.n;
	/* not by cb_map_int(), which would replace a message yet to be told */
	n = cb_map_get(&cb_reader_header(in->reader)->root, "groups");
	return n != NULL && n->type == MSGPACK_OBJECT_POSITIVE_INTEGER &&
	    n->via.u64 < INT64_MAX ? (int64_t)n->via.u64 : 0;
}

void
cb_intake_progress(const struct cb_intake *in, int64_t n)
{
	double rate = (double)n / (cb_now() - in->begun + 1e-3);
	int64_t of = cb_intake_groups(in);

	if (of >= n)
		cb_progress("%lld of %lld media, %.1f/s, %.0f s left",
		    (long long)n, (long long)of, rate,
		    (double)(of - n) / rate);
	else
		cb_progress("%lld media, %.1f/s", (long long)n, rate);
}
