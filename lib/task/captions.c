/*
 * How well a model has been pretrained: of its masked words, how many it tells,
 * and of its texts, how many it takes for what they are.  What was masked and
 * mismatched is drawn, so it stands in the predictions, not in the annotation.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "task/metric.h"

struct sums {
	const json_t *ids;	/* those that there are; NULL: any */
	json_int_t lines, texts, matches, matched, words, told;
	double itm_loss, mlm_loss;
	json_t *seen;		/* word -> times that it was masked */
};

/* -log(p), for a p that may have been rounded to 0. */
static double
surprise(double p)
{
	return -log(p > 1e-12 ? p : 1e-12);
}

static int
take_word(struct sums *s, const json_t *word)
{
	const char *was, *told;
	json_int_t n;
	double loss;

	if (json_unpack((json_t *)word, "[s, s, F]", &was, &told, &loss) != 0)
		return cb_fail(CB_EFORMAT, "a word is not [word, told, loss]");
	s->words++;
	s->told += strcmp(was, told) == 0;
	s->mlm_loss += loss;
	n = json_integer_value(json_object_get(s->seen, was));
	json_object_set_new_nocheck(s->seen, was, json_integer(n + 1));
	return 0;
}

static int
take_caption(void *arg, json_t *line)
{
	const json_t *id = json_object_get(line, "question_id");
	const json_t *match = json_object_get(line, "match");
	const json_t *score = json_object_get(line, "score");
	const json_t *words = json_object_get(line, "words");
	char *key = id != NULL ? cb_json_text(id) : NULL;
	struct sums *s = arg;
	double p = json_number_value(score);
	size_t i;
	int rc = 0;

	if (s->ids != NULL &&
	    (key == NULL || json_object_get(s->ids, key) == NULL))
		rc = cb_fail(CB_EFORMAT, "there is no caption with the id %s",
		    key != NULL ? key : "(none)");
	free(key);
	if (rc == 0 && (!json_is_number(score) || !json_is_array(words)))
		rc = cb_fail(CB_EFORMAT, "\"score\" and \"words\" are needed");
	if (rc < 0)
		return -1;
	s->lines++;
	if (json_is_integer(match)) {
		s->texts++;
		s->matches += json_integer_value(match) == 1;
		s->matched += (p > 0.5) == json_integer_value(match);
		s->itm_loss += surprise(json_integer_value(match) == 1 ? p :
		    1 - p);
	}
	for (i = 0; i < json_array_size(words) && rc == 0; i++)
		rc = take_word(s, json_array_get(words, i));
	return rc;
}

static double
share(double part, json_int_t of)
{
	return of > 0 ? part / (double)of : 0;
}

static void
put(json_t *out, const struct sums *s)
{
	const char *word, *most = NULL;
	json_int_t often = 0, no = s->texts - s->matches;
	json_t *n;

	json_object_foreach(s->seen, word, n)
		if (most == NULL || json_integer_value(n) > often ||
		    (json_integer_value(n) == often && strcmp(word, most) < 0)) {
			most = word;
			often = json_integer_value(n);
		}
	json_object_set_new(out, "mlm_acc",
	    json_real(share((double)s->told, s->words)));
	json_object_set_new(out, "mlm_loss",
	    json_real(share(s->mlm_loss, s->words)));
	json_object_set_new(out, "itm_acc",
	    json_real(share((double)s->matched, s->texts)));
	json_object_set_new(out, "itm_loss",
	    json_real(share(s->itm_loss, s->texts)));
	json_object_set_new(out, "captions", json_integer(s->lines));
	json_object_set_new(out, "words", json_integer(s->words));
	if (most != NULL)
		json_object_set_new(out, "most_frequent_word",
		    json_string(most));
	json_object_set_new(out, "most_frequent_word_acc",
	    json_real(share((double)often, s->words)));
	json_object_set_new(out, "most_frequent_match_acc",
	    json_real(share((double)(s->matches > no ? s->matches : no),
	    s->texts)));
}

int
metric_captions(json_t **out, const struct annotation *a,
    const char *predictions)
{
	struct sums s = { .ids = a->ids, .seen = json_object() };
	int rc = metric_read(predictions, take_caption, &s);

	if (rc == 0 && s.lines == 0)
		rc = cb_fail(CB_EFORMAT, "%s: no predictions", predictions);
	if (rc == 0) {
		*out = json_object();
		put(*out, &s);
	}
	json_decref(s.seen);
	return rc;
}

int
metric_captions_list(json_t **out, const json_t *predictions)
{
	struct sums s = { .seen = json_object() };
	json_t *line;
	size_t i;
	int rc = 0;

	json_array_foreach((json_t *)(uintptr_t)predictions, i, line)
		if ((rc = take_caption(&s, line)) < 0)
			break;
	if (rc == 0) {
		*out = json_object();
		put(*out, &s);
	}
	json_decref(s.seen);
	return rc;
}
