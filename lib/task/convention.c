/*
 * What the lines of each task's annotation look like, and whose a line is.
 */
#include <string.h>

#include "task/annotation.h"

/*
 * Where a row of several fits, the first with its mark wins, so the rows with
 * options stand in front.
 */
static const struct convention conventions[] = {
	{ "mc_qa", { "gif_name", "video_id", "media" },
	    { "question", "options" }, "options", "question_id", LABEL_INDEX },
	{ "caption_mc", { "clip_name", "media" },
	    { "options" }, "options", "qid", LABEL_INDEX },
	{ "vqa", { "image_id", "media" },
	    { "question" }, "labels", "question_id", LABEL_SCORES },
	{ "count", { "gif_name", "video_id", "media" },
	    { "question" }, "answer", "question_id", LABEL_COUNT },
	{ "open_qa", { "gif_name", "video_id", "image_id", "media" },
	    { "question" }, "answer", "question_id", LABEL_NAME },
	{ "retrieval", { "clip_name", "media" },
	    { "caption" }, "clip_name", NULL, LABEL_NONE },
	{ "captions", { "coco_id", "vg_id", "image_id", "clip_name", "media" },
	    { "caption" }, "caption", NULL, LABEL_NONE },
};

const struct convention *
convention_named(const char *task)
{
	size_t i;

	for (i = 0; i < CB_LEN(conventions); i++)
		if (strcmp(conventions[i].task, task) == 0)
			return &conventions[i];
	cb_fail(CB_EUSAGE, "%s: no such task; there are mc_qa, caption_mc, "
	    "vqa, count, open_qa, retrieval, captions", task);
	return NULL;
}

bool
convention_has_answers(const struct convention *c)
{
	return c->label == LABEL_SCORES || c->label == LABEL_NAME;
}

const json_t *
convention_medium(const struct convention *c, const json_t *line)
{
	const json_t *v;
	int i;

	for (i = 0; c->media[i] != NULL; i++)
		if ((v = json_object_get(line, c->media[i])) != NULL)
			return v;
	return NULL;
}

const struct convention *
convention_of(const json_t *line)
{
	const struct convention *c;
	size_t pass, i, k;

	for (pass = 0; pass < 2; pass++) {
		for (i = 0; i < CB_LEN(conventions); i++) {
			c = &conventions[i];
			if (convention_medium(c, line) == NULL || (pass == 0 &&
			    json_object_get(line, c->mark) == NULL))
				continue;
			if (c->label == LABEL_COUNT && !json_is_integer(
			    json_object_get(line, c->mark)))
				continue;
			for (k = 0; c->needs[k] != NULL; k++)
				if (json_object_get(line, c->needs[k]) == NULL)
					break;
			if (c->needs[k] == NULL)
				return c;
		}
	}
	cb_fail(CB_EFORMAT, "the keys are those of no known task (such as "
	    "\"question\", \"answer\" and \"video_id\", or \"question\", "
	    "\"labels\" and \"image_id\")");
	return NULL;
}
