/* cb-decode: opens the medium of each group and adds its pictures. */
#include <malloc.h>
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
	struct cb_line *line;
	double	 max_bad;	/* media; < 0: any number */
	bool	 percent;	/* it is one of a hundred */
	/* of the thread that writes */
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

/* What came to be written: a message as it is, or a group to be decoded. */
struct item {
	struct cb_msg *m;
	struct cb_load *load;
};

static void
drop(void *arg)
{
	struct item *i = arg;

	cb_msg_free(i->m);
	cb_load_free(i->load);
	free(i);
}

static void
work(void *arg, void *item)
{
	struct job *j = arg;
	struct item *i = item;

	if (i->load != NULL)
		cb_load_run(i->load, &j->limits, j->w);
}

/*
 * Are more media lost than --max-bad allows?  A share is one of all media, or,
 * where nobody knows how many will come, of those so far once they are many.
 */
static bool
too_bad(const struct job *j, bool end)
{
	int64_t of = cb_intake_groups(j->in);

	if (j->max_bad < 0)
		return false;
	if (!j->percent)
		return (double)j->lost > j->max_bad;
	if (of < j->media)
		of = j->media;
	if (cb_intake_groups(j->in) == 0 && j->media < 100 && !end)
		return false;
	return 100 * (double)j->lost > j->max_bad * (double)of;
}

static int
fail_bad(const struct job *j)
{
	return cb_fail(CB_ELIMIT, "%lld of %lld media could not be read: more "
	    "than --max-bad allows", (long long)j->lost, (long long)j->media);
}

/* 0 written; 1: the medium was lost and that stops all; -1. */
static int
write_group(struct job *j, struct cb_load *load)
{
	enum cb_outcome what;

	if (cb_load_write(&what, load, j->w) < 0)
		return -1;
	j->media++;
	j->lost += what == CB_GROUP_LOST;
	j->damaged += what == CB_GROUP_DAMAGED;
	if (what == CB_GROUP_LOST && j->stop)
		return 1;
	if (what != CB_GROUP_GOOD)
		cb_warn("%s", cb_error());
	if (what == CB_GROUP_LOST && too_bad(j, false)) {
		fail_bad(j);
		return 1;
	}
	cb_intake_progress(j->in, j->media);
	return 0;
}

static int
out(void *arg, void *item)
{
	struct job *j = arg;
	struct item *i = item;
	int rc = i->load != NULL ? write_group(j, i->load) :
	    cb_writer_put(j->w, i->m);

	drop(i);
	return rc;
}

/* Puts m on the line, as it is or to be decoded; it is handed over. */
static int
forward(struct job *j, struct cb_msg *m, bool decode)
{
	struct item *i;

	if ((i = calloc(1, sizeof(*i))) == NULL) {
		cb_msg_free(m);
		return cb_fail(CB_ENOMEM, "group");
	}
	if (!decode) {
		i->m = m;
	} else if (cb_load_new(&i->load, m, j->places) < 0) {
		free(i);
		return -1;
	}
	return cb_line_put(j->line, i);
}

/* A group without pictures and errors of its own is decoded at its end. */
static int
read_all(struct job *j)
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
		if (group != NULL && kind != CB_MSG_OTHER) {
			rc = forward(j, group, kind == CB_MSG_END);
			group = NULL;
			if (kind == CB_MSG_END) {	/* its own comes */
				cb_msg_free(m);
				m = NULL;
			}
		}
		if (m != NULL && rc == 0)
			rc = forward(j, m, false);
		else
			cb_msg_free(m);
		if (rc != 0)
			break;
	}
	cb_msg_free(group);
	return rc;
}

static int
run(struct job *j, int threads)
{
	static const struct cb_line_ops ops = { work, out, drop };
	char *why = NULL;
	int rc, end;

	if (cb_line_new(&j->line, threads, &ops, j) < 0)
		return -1;
	if ((rc = read_all(j)) != 0)
		why = cb_strf("%s", cb_error());
	end = cb_line_end(j->line);
	if (rc != 0 && end == 0)
		cb_fail(CB_EFORMAT, "%s", why);
	free(why);
	if (rc != 0 || end != 0)
		return -1;
	return too_bad(j, true) ? fail_bad(j) : 0;
}

/* N or P% */
static void
parse_max_bad(struct job *j, const char *text)
{
	char *end;

	j->max_bad = -1;
	if (text == NULL)
		return;
	j->max_bad = strtod(text, &end);
	j->percent = *end == '%';
	if (end == text || end[j->percent] != '\0' || !(j->max_bad >= 0) ||
	    j->max_bad > (j->percent ? 100 : 1e18))
		cb_usage("--max-bad %s: must be a number or a percentage",
		    text);
}

int
main(int argc, char **argv)
{
	struct job j = { .limits.max_pixels = CB_MAX_PIXELS };
	const char *on_error = "skip", *compat = NULL, *max_bad = NULL;
	const char *why = NULL;
	struct cb_strs media = { .n = 0 };
	int64_t skipped, threads = 1;
	char *failed = NULL;
	int first, rc = 0;
	const struct cb_opt table[] = {
		{ 'm', "media", CB_OPT_LIST, &media, "PLACE",
		    "directory or LMDB of the media; repeatable [beside the "
		    "annotations]", 0, 0 },
		{ 'j', "threads", CB_OPT_INT, &threads, "N",
		    "media decoded at a time [1]", 1, 256 },
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
		{ 0, "max-bad", CB_OPT_STR, &max_bad, "N|P%",
		    "stop when more media are bad [any number]", 0, 0 },
		{ 0 }
	};

	/* Pictures of one medium go into the memory of those before; giving
	 * it back and taking it again costs up to a quarter (sign_eat.mkv of
	 * make bench-media: 47 ms, 36 with this). */
	mallopt(M_MMAP_THRESHOLD, 32 << 20);
	mallopt(M_TRIM_THRESHOLD, 128 << 20);
	first = cb_options(argc, argv, table, "[options] [annotations.jsonl | "
	    "file ...]");
	if (compat != NULL && strcmp(compat, "clipbert") != 0)
		cb_usage("--compat %s: must be clipbert", compat);
	parse_max_bad(&j, max_bad);
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
	if (run(&j, (int)threads) < 0) {
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
