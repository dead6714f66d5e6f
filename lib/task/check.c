/* Annotation files looked over to the end: see check.h. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "task/annotation.h"
#include "task/check.h"

struct look {
	const struct cb_check_how *how;
	json_t	*counts, *names;
	json_t	*labels;	/* name -> whatever; NULL: any answer will do */
	int64_t	 options;	/* of the first question; 0: none yet */
};

void
cb_count(json_t *counts, const char *key, int64_t n)
{
	json_object_set_new(counts, key, json_integer(n +
	    json_integer_value(json_object_get(counts, key))));
}

static void CB_PRINTF(4, 5)
found(struct look *l, const struct annotation *a, const char *kind,
    const char *fmt, ...)
{
	const struct line *at = &a->lines[a->n - 1];
	char *what = NULL, *all;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&what, fmt, ap) < 0)
		abort();
	va_end(ap);
	all = cb_strf("%s:%lld: %s", a->files[at->file].path,
	    (long long)at->number, what);
	l->how->found(l->how->arg, kind, all);
	free(all);
	free(what);
}

static bool
blank(const json_t *v)
{
	const char *s = json_string_value(v);

	return s == NULL || s[strspn(s, " \t\r\n")] == '\0';
}

static void
look_texts(struct look *l, const struct annotation *a, const json_t *line)
{
	const json_t *options = json_object_get(line, "options");
	size_t i, n = json_array_size(options);
	int k;

	for (k = 0; a->kind->needs[k] != NULL; k++)
		if (strcmp(a->kind->needs[k], "options") != 0 &&
		    blank(json_object_get(line, a->kind->needs[k])))
			found(l, a, "text", "key \"%s\" is empty",
			    a->kind->needs[k]);
	for (i = 0; i < n; i++)
		if (blank(json_array_get(options, i)))
			found(l, a, "text", "option %zu is no text", i);
	if (n > 0 && l->options == 0)
		l->options = (int64_t)n;
	if ((int64_t)n != l->options)
		found(l, a, "line", "%zu options, not %lld as in the lines "
		    "before", n, (long long)l->options);
	cb_count(l->counts, "texts", n > 0 ? (int64_t)n : 1);
}

static void
look_answer(struct look *l, const struct annotation *a, const char *name)
{
	if (l->labels != NULL && json_object_get(l->labels, name) == NULL)
		found(l, a, "answer", "\"%s\" is not in the answer list",
		    name);
}

static void
look_label(struct look *l, const struct annotation *a, const json_t *line)
{
	const char *key = a->kind->label == LABEL_SCORES ? "labels" : "answer";
	const char *name;
	json_t *v = json_object_get(line, key), *score;

	if (a->kind->label == LABEL_NONE)
		return;
	if (v == NULL) {
		if (!l->how->eval)
			found(l, a, "answer", "key \"%s\" is missing, which "
			    "training needs", key);
	} else if (a->kind->label == LABEL_NAME) {
		look_answer(l, a, json_string_value(v));
	} else if (a->kind->label == LABEL_SCORES) {
		json_object_foreach(v, name, score)
			look_answer(l, a, name);
	}
}

static int
see(void *arg, struct annotation *a, const json_t *line)
{
	struct look *l = arg;

	cb_count(l->counts, "examples", 1);
	json_object_set_new_nocheck(l->names,
	    a->media[a->lines[a->n - 1].medium], json_true());
	look_texts(l, a, line);
	look_label(l, a, line);
	return 0;
}

static int
load_labels(struct look *l, const char *path)
{
	char *file = l->how->answers != NULL ?
	    cb_strf("%s", l->how->answers) :
	    annotation_beside(path, "ans2label.json");
	json_t *list, *name;
	size_t i;
	int rc = 0;

	if (file != NULL && (rc = cb_answers_load(&list, file)) == 0) {
		l->labels = json_object();
		json_array_foreach(list, i, name)
			json_object_set_new_nocheck(l->labels,
			    json_string_value(name), json_true());
		json_decref(list);
	}
	free(file);
	return rc;
}

static void
pass_on(void *arg, const char *kind, const char *what)
{
	struct look *l = arg;

	l->how->found(l->how->arg, kind, what);
}

int
cb_check_annotation(json_t *counts, json_t *names, const char *path,
    const struct cb_check_how *how)
{
	struct look l = { .how = how, .counts = counts, .names = names };
	const struct annotation_how reading = { .task = how->task, .see = see,
	    .found = pass_on, .arg = &l };
	char *p = (char *)(uintptr_t)path;
	struct annotation *a;
	int rc;

	if (how->task != NULL && convention_named(how->task) == NULL)
		return -1;
	if (load_labels(&l, path) < 0)
		return -1;
	if ((rc = annotation_open(&a, &p, 1, &reading)) == 0)
		annotation_close(a);
	json_decref(l.labels);
	return rc;
}
