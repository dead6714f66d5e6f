/* cb-decode: opens the medium of each group and adds its pictures. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "media/media.h"
#include "task/intake.h"

struct job {
	struct cb_intake *in;
	struct cb_writer *w;
	struct cb_places *places;
	struct cb_media_limits limits;
	int64_t	 media, lost, damaged;
	bool	 stop;
};

/* The places of --media, else those that the header's "base" points to. */
static int
set_places(struct job *j, const struct cb_strs *media)
{
	const struct cb_msg *header = cb_intake_header(j->in);
	char *base;
	int i, rc = 0;

	if (cb_places_new(&j->places) < 0)
		return -1;
	for (i = 0; i < media->n && rc == 0; i++)
		rc = cb_places_add(j->places, media->at[i]);
	if (media->n > 0 || header == NULL ||
	    cb_map_text(&header->root, "base", &base) < 0)
		return rc;
	rc = cb_places_add_base(j->places, base);
	free(base);
	return rc;
}

/* 0 written; 1: the medium was lost and that stops all; -1. */
static int
decode_group(struct job *j, struct cb_msg *group)
{
	enum cb_outcome what;

	if (cb_group_decode(&what, j->w, group, j->places, &j->limits) < 0)
		return -1;
	j->media++;
	j->lost += what == CB_GROUP_LOST;
	j->damaged += what == CB_GROUP_DAMAGED;
	if (what == CB_GROUP_LOST && j->stop)
		return 1;
	if (what != CB_GROUP_GOOD)
		cb_warn("%s", cb_error());
	cb_intake_progress(j->in, j->media);
	return 0;
}

/* A group without pictures and errors of its own is decoded at its end. */
static int
run(struct job *j)
{
	struct cb_msg *group = NULL, *m;
	enum cb_msg_kind kind;
	int rc;

	while ((rc = cb_intake_next(j->in, &m)) > 0) {
		kind = cb_msg_kind(m);
		if (kind == CB_MSG_GROUP && cb_map_get(cb_msg_map(m, "group"),
		    "error") == NULL) {
			group = m;
			continue;
		}
		rc = 0;
		if (group != NULL && kind == CB_MSG_END)
			rc = decode_group(j, group);
		else if (group != NULL && kind == CB_MSG_PICTURE)
			rc = cb_writer_put(j->w, group);
		if (kind != CB_MSG_OTHER || rc < 0) {
			if (group == NULL || kind != CB_MSG_END)
				rc = rc < 0 ? -1 : cb_writer_put(j->w, m);
			cb_msg_free(group);
			group = NULL;
		} else {
			rc = cb_writer_put(j->w, m);
		}
		cb_msg_free(m);
		if (rc != 0)
			break;
	}
	cb_msg_free(group);
	return rc == 0 ? 0 : -1;
}

int
main(int argc, char **argv)
{
	struct job j = { .limits.max_pixels = CB_MAX_PIXELS };
	const char *on_error = "skip", *compat = NULL, *why = NULL;
	struct cb_strs media = { .n = 0 };
	int64_t skipped;
	char *failed = NULL;
	int first, rc = 0;
	const struct cb_opt table[] = {
		{ 'm', "media", CB_OPT_LIST, &media, "PLACE",
		    "directory or LMDB of the media; repeatable [beside the "
		    "annotations]", 0, 0 },
		{ 0, "max-pixels", CB_OPT_INT, &j.limits.max_pixels, "N",
		    "refuse larger pictures [67108864]", 1, 1e10 },
		{ 0, "timeout", CB_OPT_REAL, &j.limits.timeout_s, "SECONDS",
		    "give up on a medium after [0: never]", 0, 1e9 },
		{ 0, "upright", CB_OPT_FLAG, &j.limits.upright, NULL,
		    "turn pictures as their orientation tag says", 0, 0 },
		{ 0, "compat", CB_OPT_STR, &compat, "clipbert",
		    "choose as the original does, faults included", 0, 0 },
		{ 0, "on-error", CB_OPT_STR, &on_error, "skip|stop",
		    "what to do about a bad medium [skip]", 0, 0 },
		{ 0 }
	};

	first = cb_options(argc, argv, table, "[options] [annotations.jsonl | "
	    "file ...]");
	if (compat != NULL && strcmp(compat, "clipbert") != 0)
		cb_usage("--compat %s: must be clipbert", compat);
	j.limits.original = compat != NULL;
	j.stop = strcmp(on_error, "stop") == 0;
	if (!j.stop && strcmp(on_error, "skip") != 0)
		cb_usage("--on-error %s: must be skip or stop", on_error);
	if (cb_intake_open(&j.in, argv + first, argc - first,
	    cb_media_is_name) < 0 ||
	    set_places(&j, &media) < 0 || cb_writer_open(&j.w, STDOUT_FILENO,
	    cb_intake_header(j.in), argc, argv) < 0) {
		rc = cb_complain();
		goto done;
	}
	if (run(&j) < 0) {
		failed = cb_strf("%s", cb_error());
		why = failed;
		rc = 1;
	}
	cb_progress_end();
	skipped = j.lost + cb_intake_skipped(j.in);
	if (cb_writer_eos(j.w, skipped, why) < 0 && why == NULL)
		rc = cb_complain();
	if (why != NULL)
		cb_warn("%s", why);
	if (j.lost > 0)
		cb_warn("%lld of %lld media could not be read",
		    (long long)j.lost, (long long)j.media);
	if (j.damaged > 0)
		cb_warn("%lld of %lld media are damaged", (long long)j.damaged,
		    (long long)j.media);
	if (j.lost > 0 || j.damaged > 0)
		rc = 1;
done:
	cb_writer_close(j.w);
	cb_places_free(j.places);
	cb_intake_close(j.in);
	free(media.at);
	free(failed);
	return rc;
}
