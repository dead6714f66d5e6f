/* Questions of how often: scores to answers, and how far off these are. */
#include <math.h>

#include "task/metric.h"

int
cb_count_of(float score)
{
	if (!(score >= 1))
		return 1;
	return score >= CB_COUNT_MAX ? CB_COUNT_MAX : (int)(score + 0.5f);
}

/* Mean over the questions of the squared distance from one answer, or, where it
 * is 0, from that of each.  One without a prediction is as far off as can be. */
static double
mean_square(const json_t *annotations, const int64_t *guess, int64_t one)
{
	size_t n = 0, i;
	double sum = 0;
	int64_t is, told;
	json_t *row;

	json_array_foreach((json_t *)annotations, i, row) {
		is = annotation_option(json_object_get(row, "answer"));
		told = one > 0 ? one : guess[i];
		if (is < 0)
			continue;
		if (told < 0)
			told = is > CB_COUNT_MAX / 2 ? 1 : CB_COUNT_MAX;
		sum += (double)((is - told) * (is - told));
		n++;
	}
	return n > 0 ? sum / (double)n : 0;
}

void
metric_squares(json_t *out, const json_t *annotations, const int64_t *guess)
{
	double best = INFINITY, mse;
	int64_t k;

	for (k = 1; k <= CB_COUNT_MAX; k++) {
		mse = mean_square(annotations, NULL, k);
		best = mse < best ? mse : best;
	}
	json_object_set_new(out, "mse", json_real(mean_square(annotations,
	    guess, 0)));
	json_object_set_new(out, "constant_mse", json_real(best));
}
