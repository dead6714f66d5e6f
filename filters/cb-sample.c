/*
 * cb-sample: which few clips of each video to look at.  Before cb-decode it
 * writes the plan into each group; behind it, it picks the pictures.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "media/media.h"
#include "task/intake.h"

struct job {
	struct cb_intake *in;
	struct cb_writer *w;
	struct cb_plan plan;
	uint64_t seed;
	int64_t	 groups, lost;
};

static int
next(void *arg, struct cb_msg **out)
{
	return cb_intake_next(arg, out);
}

/*
 * Several clips are an ensemble, spread evenly.  One clip is drawn at random
 * for training; elsewhere it is the first of an ensemble of one.
 */
static void
choose(struct job *j, const char *strategy, int64_t seed)
{
	const struct cb_msg *header = cb_intake_header(j->in);
	const msgpack_object *root = header != NULL ? &header->root : NULL;
	enum cb_strategy *s = &j->plan.strategy;

	*s = CB_SAMPLE_CLIPS;
	if (strategy != NULL && cb_strategy_parse(s, strategy) < 0)
		cb_usage("--strategy %s", cb_error());
	if (strategy == NULL && j->plan.clips == 1 &&
	    cb_obj_is(cb_map_get(root, "split"), "train"))
		*s = CB_SAMPLE_RAND;
	if (*s >= CB_SAMPLE_UNIFORM && j->plan.clips > 1)
		cb_usage("--strategy %s: chooses one clip; leave out --clips",
		    cb_strategy_name(*s));
	if (seed < 0 && cb_map_int(root, "seed", &seed) < 0)
		seed = 0;
	j->seed = (uint64_t)seed;
}

/* A program upstream that decodes need decode no more than will be picked. */
static void
ask(const struct job *j)
{
	json_t *what = cb_plan_ask(&j->plan, j->seed);

	cb_intake_ask(j->in, what);
	json_decref(what);
}

static int
run(struct job *j)
{
	enum cb_outcome what = CB_GROUP_GOOD;
	struct cb_msg *m;
	int rc;

	while ((rc = cb_intake_next(j->in, &m)) > 0) {
		if (cb_msg_kind(m) == CB_MSG_GROUP) {
			rc = cb_group_sample(&what, j->w, m, next, j->in,
			    &j->plan, j->seed);
			if (rc == 0 && what == CB_GROUP_LOST) {
				cb_warn("%s", cb_error());
				j->lost++;
			}
			cb_intake_progress(j->in, ++j->groups);
		} else {
			rc = cb_writer_put(j->w, m);
		}
		cb_msg_free(m);
		if (rc < 0)
			return -1;
	}
	return rc;
}

int
main(int argc, char **argv)
{
	int64_t clips = 1, frames = 2, seed = -1;
	struct job j = { .plan.fps = 1 };
	const char *strategy = NULL, *compat = NULL;
	char *failed = NULL;
	int first, rc = 0;
	const struct cb_opt table[] = {
		{ 'n', "clips", CB_OPT_INT, &clips, "N",
		    "clips of each video [1]", 1, CB_MAX_CLIPS },
		{ 'f', "frames", CB_OPT_INT, &frames, "N",
		    "frames of each clip [2]", 1, CB_MAX_FRAMES },
		{ 'r', "fps", CB_OPT_REAL, &j.plan.fps, "RATE",
		    "a clip lasts frames/RATE seconds [1]", 0.001, 1000 },
		{ 's', "strategy", CB_OPT_STR, &strategy, "NAME",
		    "clips, rand, uniform, start, middle, end "
		    "[rand for one clip in training, else clips]", 0, 0 },
		{ 0, "seed", CB_OPT_INT, &seed, "N",
		    "of rand [the stream's, else 0]", 0, 9e18 },
		{ 0, "compat", CB_OPT_STR, &compat, "clipbert",
		    "choose as the original does, faults included", 0, 0 },
		{ 0 }
	};

	first = cb_options(argc, argv, table, "[options] [annotations.jsonl | "
	    "file ...]");
	if (compat != NULL && strcmp(compat, "clipbert") != 0)
		cb_usage("--compat %s: must be clipbert", compat);
	j.plan.original = compat != NULL;
	j.plan.clips = (int)clips;
	j.plan.frames = (int)frames;
	if (cb_intake_open(&j.in, argv + first, argc - first,
	    cb_media_is_name) < 0) {
		rc = cb_complain();
		goto done;
	}
	choose(&j, strategy, seed);
	ask(&j);
	if (cb_writer_open(&j.w, STDOUT_FILENO, cb_intake_header(j.in), argc,
	    argv) < 0) {
		rc = cb_complain();
		goto done;
	}
	if (run(&j) < 0) {
		failed = cb_strf("%s", cb_error());
		rc = 1;
	}
	cb_progress_end();
	if (cb_writer_eos(j.w, j.lost + cb_intake_skipped(j.in), failed) < 0 &&
	    failed == NULL)
		rc = cb_complain();
	if (failed != NULL)
		cb_warn("%s", failed);
	if (j.lost > 0) {
		cb_warn("%lld of %lld media could not be sampled",
		    (long long)j.lost, (long long)j.groups);
		rc = 1;
	}
done:
	cb_writer_close(j.w);
	cb_intake_close(j.in);
	free(failed);
	return rc;
}
