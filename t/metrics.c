/*
 * metrics FILE ...: each a case of ../shared/reference/metrics; the figures must
 * be equal, not near.
 */
#include <stdlib.h>
#include <string.h>

#include "task/task.h"
#include "tap.h"

static json_t *
names(const json_t *map)
{
	json_t *list = json_array(), *label;
	const char *name;
	size_t i, n = json_object_size(map);

	for (i = 0; i < n; i++)
		json_object_foreach((json_t *)map, name, label)
			if (json_integer_value(label) == (json_int_t)i)
				json_array_append_new(list, json_string(name));
	return list;
}

/* The types that the expected figures have, in their order. */
static void
types_of(struct cb_strs *types, const json_t *expected)
{
	const char *key;
	json_t *v;

	json_object_foreach(json_object_get(expected, "ratios"), key, v) {
		types->at = realloc(types->at, sizeof(*types->at) *
		    (size_t)(types->n + 1));
		types->at[types->n++] = cb_strf("%.*s", (int)(strlen(key) -
		    strlen("_ratio")), key);
	}
}

static void
one(const char *path)
{
	struct cb_strs types = { 0 };
	json_t *file, *expected, *got, *answers = NULL, *v;
	const char *key;
	char *a, *b;

	if (cb_json_load(&file, path) < 0) {
		ok(false, "%s", cb_error());
		return;
	}
	expected = json_object_get(file, "expected");
	types_of(&types, expected);
	if (json_object_get(file, "ans2label") != NULL)
		answers = names(json_object_get(file, "ans2label"));
	if (!ok(cb_metrics(&got, answers != NULL ? "open_qa" : "vqa",
	    json_object_get(file, "data"), json_object_get(file, "results"),
	    &types, answers) == 0, "%s", path))
		return;
	json_object_foreach(expected, key, v) {
		a = cb_json_text(v);
		b = cb_json_text(json_object_get(got, key));
		if (!ok(strcmp(a, b) == 0, "%s", key))
			fprintf(stderr, "# got %s, expected %s\n", b, a);
		free(a);
		free(b);
	}
	while (types.n > 0)
		free((char *)types.at[--types.n]);
	free(types.at);
	json_decref(answers);
	json_decref(got);
	json_decref(file);
}

int
main(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++)
		one(argv[i]);
	printf("1..%d\n", tap_n);
	return done();
}
