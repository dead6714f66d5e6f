/*
 * validation MODEL COMMAND: a run that is told to stop just before it starts the
 * command of a validation, as a signal does that comes in the middle of it.
 */
#include <stdio.h>

#include "train/validate.h"

int
main(int argc, char **argv)
{
	struct cb_scorer *s;
	struct cb_figure f;
	json_t *metrics;
	int64_t skipped;
	int rc;

	if (argc != 3 || cb_scorer_open(&s, argv[1], "cpu", 1) < 0) {
		fprintf(stderr, "validation: %s\n", cb_error());
		return 2;
	}
	validate_stop();
	rc = validate_run(&metrics, &f, &skipped, s, argv[2]);
	puts(rc < 0 ? "stopped" : "validated");
	json_decref(metrics);
	cb_scorer_close(s);
	return 0;
}
