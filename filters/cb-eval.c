/* cb-eval: predictions and annotations in, metrics out, as JSON. */
#include <string.h>

#include "task/task.h"

/* What was left without a prediction, to standard error. */
static int
tell_missing(const json_t *m)
{
	long long missing = json_integer_value(json_object_get(m, "missing"));
	const json_t *pairs = json_object_get(m, "pairs");

	if (missing == 0)
		return 0;
	if (pairs != NULL)
		cb_warn("%lld of %lld pairs of text and medium have no score",
		    missing, (long long)json_integer_value(pairs));
	else
		cb_warn("%lld of %lld questions have no prediction and count "
		    "as wrong", missing, (long long)json_integer_value(
		    json_object_get(m, "questions")));
	return 1;
}

int
main(int argc, char **argv)
{
	const char *task = NULL, *answers = NULL, *compat = NULL;
	const char *predictions;
	json_t *m;
	int i, rc;
	const struct cb_opt table[] = {
		{ 't', "task", CB_OPT_STR, &task, "TASK",
		    "kind of annotation [guessed from the first line]", 0, 0 },
		{ 'a', "answers", CB_OPT_STR, &answers, "FILE",
		    "ans2label.json, where predictions are labels", 0, 0 },
		{ 0, "compat", CB_OPT_STR, &compat, "WHOSE",
		    "clipbert: its percentages and rounding", 0, 0 },
		{ 0 }
	};

	i = cb_options(argc, argv, table,
	    "[options] annotations.jsonl [predictions.jsonl]");
	if (argc - i < 1 || argc - i > 2)
		cb_usage("annotations, please, and predictions or stdin");
	predictions = argc - i == 2 ? argv[i + 1] : "-";
	if (strcmp(argv[i], "-") == 0 && strcmp(predictions, "-") == 0)
		cb_usage("annotations and predictions cannot both be stdin");
	if (compat != NULL && strcmp(compat, "clipbert") != 0)
		cb_usage("--compat %s: must be clipbert", compat);
	if (cb_metrics_files(&m, task, argv[i], predictions, answers,
	    compat != NULL) < 0)
		return cb_complain();
	if (json_dumpf(m, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(15)) != 0
	    || putchar('\n') == EOF || fflush(stdout) != 0) {
		cb_fail(CB_EIO, "stdout");
		return cb_complain();
	}
	rc = tell_missing(m);
	json_decref(m);
	return rc;
}
