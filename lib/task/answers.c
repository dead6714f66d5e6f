/*
 * The names of the answers, index = label: counted in an annotation, or read
 * from a file.
 */
#include <stdlib.h>
#include <string.h>

#include "task/annotation.h"

struct answer {
	const char *name;
	json_int_t count;
};

static int
by_count(const void *pa, const void *pb)
{
	const struct answer *a = pa, *b = pb;

	if (a->count != b->count)
		return a->count > b->count ? -1 : 1;
	return strcmp(a->name, b->name);
}

json_t *
annotation_answers(const struct annotation *a)
{
	size_t n = json_object_size(a->counts), i = 0;
	struct answer *all = calloc(n + 1, sizeof(*all));
	json_t *list = json_array(), *count;
	const char *name;

	if (all == NULL)
		abort();
	json_object_foreach(a->counts, name, count) {
		all[i].name = name;
		all[i++].count = json_integer_value(count);
	}
	qsort(all, n, sizeof(*all), by_count);
	for (i = 0; i < n; i++)
		json_array_append_new(list, json_string_nocheck(all[i].name));
	free(all);
	return list;
}

/* {answer: label} turned round; every label from 0 on exactly once. */
static int
turn_round(json_t **out, const json_t *map, const char *path)
{
	size_t n = json_object_size(map), i;
	json_t *list = json_array(), *label;
	const char *name;
	json_int_t k;
	int rc = -1;

	for (i = 0; i < n; i++)
		json_array_append_new(list, json_null());
	json_object_foreach((json_t *)map, name, label) {
		k = json_integer_value(label);
		if (!json_is_integer(label) || k < 0 || (size_t)k >= n) {
			cb_fail(CB_EFORMAT, "%s: the label of \"%s\" is not "
			    "an integer from 0 to %zu", path, name, n - 1);
			goto done;
		}
		if (!json_is_null(json_array_get(list, (size_t)k))) {
			cb_fail(CB_EFORMAT, "%s: \"%s\" and \"%s\" share the "
			    "label %lld", path, name, json_string_value(
			    json_array_get(list, (size_t)k)), (long long)k);
			goto done;
		}
		json_array_set_new(list, (size_t)k, json_string_nocheck(name));
	}
	*out = json_incref(list);
	rc = 0;
done:
	json_decref(list);
	return rc;
}

int
cb_answers_load(json_t **out, const char *path)
{
	json_t *v, *name;
	size_t i;
	int rc = -1;

	if (cb_json_load(&v, path) < 0)
		return -1;
	if (json_is_object(v) && json_object_size(v) > 0) {
		rc = turn_round(out, v, path);
	} else if (json_is_array(v) && json_array_size(v) > 0) {
		rc = 0;
		json_array_foreach(v, i, name)
			if (!json_is_string(name))
				rc = cb_fail(CB_EFORMAT, "%s: answer %zu is "
				    "not a text", path, i);
		if (rc == 0)
			*out = json_incref(v);
	} else {
		cb_fail(CB_EFORMAT, "%s: neither {answer: label} nor a list "
		    "of answers", path);
	}
	json_decref(v);
	return rc;
}
