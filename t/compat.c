/*
 * compat GOLDENDIR MEDIADIR: for every row of golden/sampling.jsonl the frames
 * of the two modes of cb-sample.  With --compat clipbert they must be those of
 * the row; by default they may differ, if a fact of the file says why.  Prints
 * a table of the reasons.
 */
#include <math.h>
#include <string.h>

#include "golden.h"

/* What is not as the original takes it; a row may have several. */
enum {
	NONE,		/* the original finds no frames */
	COUNT,		/* other number of frames than the header states */
	LATE,		/* the first frame is not at time 0 */
	SPAN,		/* other duration than the header states */
	RATE,		/* average rate off by more than half */
	NREASONS
};
static const char *const reasons[NREASONS] = {
	"the original has no frames", "count of the header is wrong",
	"does not begin at time 0", "duration of the header is wrong",
	"rate of the header is wrong"
};

static int64_t rows, same, alone[NREASONS], any[NREASONS];
static int64_t differ, unexplained, wrong;

/* The plan of a row; a draw of the golden rows is one clip of its own. */
static int
resolve(struct cb_cut *cut, const json_t *row, const json_t *draw,
    bool original)
{
	double u = json_number_value(json_object_get(draw, "u"));
	struct cb_plan plan = {
		.fps = json_number_value(json_object_get(row, "fps")),
		.frames = (int)json_integer_value(json_object_get(row,
		    "num_frm")),
		.clips = (int)json_integer_value(json_object_get(row,
		    "num_clips")),
		.original = original,
	};

	if (cb_strategy_parse(&plan.strategy, json_string_value(
	    json_object_get(row, "mode"))) < 0)
		return -1;
	plan.clips = plan.clips > 0 ? plan.clips : 1;
	plan.draw = plan.strategy == CB_SAMPLE_RAND ? &u : NULL;
	return cb_plan_resolve(cut, &plan, cb_media_info(media));
}

/* Is the cut what the row (of a draw: draw) says? */
static bool
golden(const struct cb_cut *cut, const json_t *row, const json_t *draw)
{
	const json_t *clips = json_object_get(row, "clips"), *list;
	int k, i;

	for (k = 0; k < cut->clips; k++) {
		list = json_object_get(json_is_array(clips) ?
		    json_array_get(clips, k) : draw != NULL ? draw : row,
		    "index");
		if (json_array_size(list) != (size_t)cut->frames)
			return false;
		for (i = 0; i < cut->frames; i++)
			if (json_integer_value(json_array_get(list, i)) !=
			    cut->index[k * cut->frames + i])
				return false;
	}
	return true;
}

/* Has the row frames, in every clip? */
static bool
has_frames(const json_t *row, const json_t *draw)
{
	const json_t *clips = json_object_get(row, "clips"), *e;
	size_t k;

	if (draw != NULL)
		return json_is_array(json_object_get(draw, "index"));
	if (json_object_get(row, "clips") == NULL)
		return json_is_array(json_object_get(row, "index"));
	json_array_foreach(clips, k, e)
		if (!json_is_array(json_object_get(e, "index")))
			return false;
	return json_is_array(clips);
}

static unsigned
facts(void)
{
	const struct cb_media_info *i = cb_media_info(media);
	double unit = (double)i->tb_num / i->tb_den, rate;
	int64_t lo = i->pts[0], hi = lo, n;
	unsigned f = 0;

	for (n = 0; n < i->frames; n++) {
		lo = i->pts[n] < lo ? i->pts[n] : lo;
		hi = i->pts[n] > hi ? i->pts[n] : hi;
	}
	rate = hi > lo ? (double)(i->frames - 1) / ((double)(hi - lo) * unit) :
	    i->fps;
	if (i->header_duration >= 0 && i->header_frames != i->frames)
		f |= 1 << COUNT;
	if (lo != 0)
		f |= 1 << LATE;
	if (i->header_duration >= 0 && fabs((double)i->header_duration * unit -
	    i->duration_s) > unit)
		f |= 1 << SPAN;
	if (i->fps > 1.5 * rate || i->fps < rate / 1.5)
		f |= 1 << RATE;
	return f;
}

static void
count(unsigned why)
{
	int r;

	for (r = 0; r < NREASONS; r++) {
		any[r] += why >> r & 1;
		alone[r] += why == 1u << r;
	}
	differ++;
	unexplained += why == 0;
	if (why == 0)
		printf("# %s differs for no known reason\n", media_name);
}

/* 0, or 1 where the default chooses other frames. */
static int
compare(const json_t *row, const json_t *draw)
{
	struct cb_cut ours, theirs;
	bool good = resolve(&ours, row, draw, false) == 0, known, other;

	if (!good) {
		printf("# %s: %s\n", media_name, cb_error());
		wrong++;
		return 0;
	}
	known = resolve(&theirs, row, draw, true) == 0;
	if (known != has_frames(row, draw) ||
	    (known && !golden(&theirs, row, draw)))
		wrong++;
	other = !known || memcmp(ours.index, theirs.index,
	    sizeof(*ours.index) * ours.clips * ours.frames) != 0;
	if (other)
		count(known ? facts() : 1u << NONE);
	cb_cut_clear(&ours);
	if (known)
		cb_cut_clear(&theirs);
	return other;
}

static void
table(void)
{
	int r;

	printf("%lld rows of %lld files, %lld cases: %lld the same, "
	    "%lld differ\n", (long long)rows, (long long)media_files,
	    (long long)(same + differ), (long long)same, (long long)differ);
	for (r = 0; r < NREASONS; r++)
		printf("%6lld %6lld alone  %s\n", (long long)any[r],
		    (long long)alone[r], reasons[r]);
	printf("%lld unexplained\n%lld not as the original\n",
	    (long long)unexplained, (long long)wrong);
}

int
main(int argc, char **argv)
{
	struct cb_jsonl *lines;
	json_t *row, *draws, *draw;
	char *path;
	size_t i;
	int rc;

	cb_program_set("compat");
	if (argc != 3)
		cb_usage("compat GOLDENDIR MEDIADIR");
	path = cb_strf("%s/sampling.jsonl", argv[1]);
	if (cb_jsonl_open(&lines, path) < 0)
		return cb_complain();
	while ((rc = cb_jsonl_next(lines, &row)) > 0) {
		rows++;
		draws = json_object_get(row, "draws");
		if (open_media(argv[2], json_string_value(json_object_get(row,
		    "file"))) < 0)
			wrong++;
		else if (json_is_array(draws))
			json_array_foreach(draws, i, draw)
				same += !compare(row, draw);
		else
			same += !compare(row, NULL);
		json_decref(row);
	}
	cb_jsonl_close(lines);
	close_media();
	free(path);
	if (rc < 0)
		return cb_complain();
	table();
	return unexplained > 0 || wrong > 0 || rows == 0;
}
