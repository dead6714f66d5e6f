/*
 * Annotation jsonl: reading its lines, and complaining with file and line about
 * those that do not look as their task's (convention.c).
 */
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "task/annotation.h"

#define TEXT_MAX ((int64_t)16 << 30)

/* ---- one line ----------------------------------------------------------- */

static int
check_keys(const struct convention *c, const json_t *line)
{
	const json_t *v;
	int i;

	if (convention_medium(c, line) == NULL)
		return cb_fail(CB_EFORMAT, "key \"%s\" is missing",
		    c->media[0]);
	for (i = 0; c->needs[i] != NULL; i++) {
		if ((v = json_object_get(line, c->needs[i])) == NULL)
			return cb_fail(CB_EFORMAT, "key \"%s\" is missing",
			    c->needs[i]);
		if (strcmp(c->needs[i], "options") == 0 ?
		    !json_is_array(v) || json_array_size(v) == 0 :
		    !json_is_string(v))
			return cb_fail(CB_EFORMAT, "key \"%s\" is not a %s",
			    c->needs[i], strcmp(c->needs[i], "options") == 0 ?
			    "list" : "text");
	}
	return 0;
}

int64_t
annotation_option(const json_t *answer)
{
	const char *text = json_string_value(answer);
	int64_t k;
	char *end;

	if (json_is_integer(answer))
		k = json_integer_value(answer);
	else if (text == NULL || *text < '0' || *text > '9')
		return -1;
	else if (k = strtoll(text, &end, 10), *end != '\0')
		return -1;
	return k < 0 ? -1 : k;
}

char *
annotation_name(const json_t *medium)
{
	if (json_is_integer(medium))
		return cb_strf("%lld", (long long)json_integer_value(medium));
	if (json_is_string(medium) && json_string_length(medium) > 0)
		return cb_strf("%s", json_string_value(medium));
	return NULL;
}

static int
add_medium(struct annotation *a, const json_t *line, int64_t *number)
{
	char *name = annotation_name(convention_medium(a->kind, line));
	const json_t *known;

	if (name == NULL)
		return cb_fail(CB_EFORMAT, "the medium is not a name");
	if ((known = json_object_get(a->media_index, name)) != NULL) {
		*number = json_integer_value(known);
		free(name);
		return 0;
	}
	if (a->nmedia == a->media_room) {
		a->media_room = a->media_room > 0 ? 2 * a->media_room : 64;
		a->media = realloc(a->media, sizeof(*a->media) *
		    (size_t)a->media_room);
		if (a->media == NULL)
			abort();
	}
	*number = a->nmedia;
	json_object_set_new_nocheck(a->media_index, name,
	    json_integer(a->nmedia));
	a->media[a->nmedia++] = name;
	return 0;
}

/*
 * Ids must differ for predictions to be told apart; training does not care, so
 * it is the caller who decides.
 */
static void
add_id(struct annotation *a, const json_t *line, const struct line *at,
    const struct annotation_how *how)
{
	json_t *id = annotation_id(a, line, a->n), *known;
	const struct line *other;
	char *key = cb_json_text(id), *why;

	json_decref(id);
	known = json_object_get(a->ids, key);
	if (known == NULL) {
		json_object_set_new_nocheck(a->ids, key, json_integer(a->n));
	} else if (a->repeated == NULL || how->found != NULL) {
		other = &a->lines[json_integer_value(known)];
		why = cb_strf("%s:%lld: the id %s is that of line %lld"
		    "%s%s too", a->files[at->file].path,
		    (long long)at->number, key, (long long)other->number,
		    other->file != at->file ? " of " : "",
		    other->file != at->file ? a->files[other->file].path : "");
		if (how->found != NULL)
			how->found(how->arg, "repeated", why);
		free(a->repeated);
		a->repeated = why;
	}
	free(key);
}

static void
count_answer(struct annotation *a, const char *name)
{
	json_t *n = json_object_get(a->counts, name);

	json_object_set_new_nocheck(a->counts, name,
	    json_integer(n == NULL ? 1 : json_integer_value(n) + 1));
}

static int
check_label(struct annotation *a, const json_t *line)
{
	const json_t *v;
	const char *key;
	json_t *score;

	switch (a->kind->label) {
	case LABEL_SCORES:
		if ((v = json_object_get(line, "labels")) == NULL)
			return 0;
		if (!json_is_object(v))
			return cb_fail(CB_EFORMAT, "key \"labels\" is not a "
			    "map of scores");
		json_object_foreach((json_t *)v, key, score) {
			if (!json_is_number(score))
				return cb_fail(CB_EFORMAT, "the score of "
				    "\"%s\" is not a number", key);
			count_answer(a, key);
		}
		return 0;
	case LABEL_NAME:
		if ((v = json_object_get(line, "answer")) == NULL)
			return 0;
		if (!json_is_string(v))
			return cb_fail(CB_EFORMAT, "key \"answer\" is not a "
			    "text");
		count_answer(a, json_string_value(v));
		return 0;
	case LABEL_COUNT:
		v = json_object_get(line, "answer");
		if (v != NULL && (annotation_option(v) < 1 ||
		    annotation_option(v) > CB_COUNT_MAX))
			return cb_fail(CB_EFORMAT, "key \"answer\" is not a "
			    "number from 1 to %d", CB_COUNT_MAX);
		return 0;
	case LABEL_INDEX:
		v = json_object_get(line, "answer");
		if (v != NULL && (annotation_option(v) < 0 ||
		    (size_t)annotation_option(v) >=
		    json_array_size(json_object_get(line, "options"))))
			return cb_fail(CB_EFORMAT, "key \"answer\" is not the "
			    "number of an option, from 0");
		return 0;
	default:
		return 0;
	}
}

static int
add_line(struct annotation *a, const json_t *line, const struct line *where,
    const struct annotation_how *how)
{
	struct line *l;

	if (a->n == a->room) {
		a->room = a->room > 0 ? 2 * a->room : 256;
		a->lines = realloc(a->lines, sizeof(*a->lines) *
		    (size_t)a->room);
		if (a->lines == NULL)
			abort();
	}
	l = &a->lines[a->n];
	*l = *where;
	if (check_keys(a->kind, line) < 0 ||
	    add_medium(a, line, &l->medium) < 0)
		return -1;
	a->fault = "answer";
	if (check_label(a, line) < 0)
		return -1;
	add_id(a, line, l, how);
	a->n++;
	return 0;
}

/* ---- the file ----------------------------------------------------------- */

static int
read_line(struct annotation *a, const struct line *where,
    const struct annotation_how *how)
{
	json_error_t why;
	json_t *line;
	int rc = -1;

	line = json_loadb(a->files[where->file].text + where->at,
	    (size_t)where->bytes, JSON_REJECT_DUPLICATES, &why);
	if (line == NULL)
		return cb_fail(CB_EFORMAT, "not JSON: %s", why.text);
	if (!json_is_object(line)) {
		cb_fail(CB_EFORMAT, "not an object");
		goto done;
	}
	if (a->kind == NULL && (a->kind = how->task != NULL ?
	    convention_named(how->task) : convention_of(line)) == NULL)
		goto done;
	if (add_line(a, line, where, how) < 0)
		goto done;
	if (how->see != NULL && how->see(how->arg, a, line) < 0)
		goto done;
	rc = 0;
done:
	json_decref(line);
	return rc;
}

static int
read_lines(struct annotation *a, int file, int64_t bytes,
    const struct annotation_how *how)
{
	const char *text = a->files[file].text, *end;
	struct line l = { .file = file };
	int64_t before = a->n;

	for (l.at = 0; l.at < bytes; l.at += l.bytes + 1) {
		end = memchr(text + l.at, '\n', (size_t)(bytes - l.at));
		l.bytes = end != NULL ? end - (text + l.at) : bytes - l.at;
		l.number++;
		if ((int64_t)strspn(text + l.at, " \t\r") >= l.bytes)
			continue;
		a->fault = "line";
		if (read_line(a, &l, how) == 0)
			continue;
		cb_fail_at("%s:%lld", a->files[file].path,
		    (long long)l.number);
		if (how->found == NULL)
			return -1;
		how->found(how->arg, a->fault, cb_error());
	}
	if (a->n == before)
		return cb_fail(CB_EFORMAT, "%s: no examples in it",
		    a->files[file].path);
	return 0;
}

static int
read_file(struct annotation *a, int i, const char *path,
    const struct annotation_how *how)
{
	struct annotation_file *f = &a->files[i];
	int64_t bytes, before = a->nmedia;
	char hash[65], *both;

	f->path = cb_strf("%s", path);
	a->path = a->files[0].path;
	a->nfiles = i + 1;
	json_object_clear(a->media_index);
	if (cb_file_read(&f->text, &bytes, path, TEXT_MAX) < 0)
		return -1;
	cb_sha256(hash, f->text, bytes);
	both = cb_strf("%s%s", a->sha256, hash);
	if (i == 0)
		memcpy(a->sha256, hash, sizeof(hash));
	else
		cb_sha256(a->sha256, both, (int64_t)strlen(both));
	free(both);
	if (read_lines(a, i, bytes, how) < 0)
		return -1;
	f->media = a->nmedia - before;
	return 0;
}

int
annotation_open(struct annotation **out, char *const *paths, int n,
    const struct annotation_how *how)
{
	struct annotation *a;
	int i, rc = -1;

	if ((a = calloc(1, sizeof(*a))) == NULL || (a->files = calloc(
	    (size_t)n, sizeof(*a->files))) == NULL) {
		free(a);
		return cb_fail(CB_ENOMEM, "%s", paths[0]);
	}
	a->media_index = json_object();
	a->ids = json_object();
	a->counts = json_object();
	for (i = 0; i < n; i++) {
		if (read_file(a, i, paths[i], how) == 0)
			continue;
		if (how->found == NULL)
			goto done;
		how->found(how->arg, "file", cb_error());
	}
	*out = a;
	a = NULL;
	rc = 0;
done:
	annotation_close(a);
	return rc;
}

void
annotation_close(struct annotation *a)
{
	int64_t i;

	if (a == NULL)
		return;
	for (i = 0; i < a->nmedia; i++)
		free(a->media[i]);
	free(a->media);
	json_decref(a->media_index);
	json_decref(a->ids);
	json_decref(a->counts);
	free(a->repeated);
	free(a->lines);
	for (i = 0; i < a->nfiles; i++) {
		free(a->files[i].text);
		free(a->files[i].path);
	}
	free(a->files);
	free(a);
}

json_t *
annotation_line(const struct annotation *a, int64_t i)
{
	const struct line *l = &a->lines[i];

	return json_loadb(a->files[l->file].text + l->at, (size_t)l->bytes, 0,
	    NULL);
}

json_t *
annotation_id(const struct annotation *a, const json_t *line, int64_t i)
{
	json_t *id = a->kind->id == NULL ? NULL :
	    json_object_get(line, a->kind->id);

	return id != NULL ? json_incref(id) : json_integer(i);
}

/* ---- what stands beside it ------------------------------------------------ */

char *
annotation_folder(const char *path)
{
	char *copy = cb_strf("%s", path), *dir;

	dir = cb_strf("%s", strcmp(path, "-") == 0 ? "." : dirname(copy));
	free(copy);
	return dir;
}

char *
annotation_beside(const char *path, const char *name)
{
	char *dir = annotation_folder(path), *file = cb_strf("%s/%s", dir, name);

	free(dir);
	if (access(file, F_OK) == 0)
		return file;
	free(file);
	return NULL;
}
