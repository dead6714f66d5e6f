/*
 * sampling GOLDENDIR MEDIADIR: replays golden/sampling.jsonl, the choices of
 * the original for every video, strategy, rate and number of frames, from what
 * opening the file tells.  One line a row, then the total.
 */
#include "golden.h"

/* One result: the frames expected in `want` against those of clip c. */
static bool
check(const json_t *want, const struct cb_clip *c, int64_t *max_pts)
{
	const json_t *list = json_object_get(want, "index"), *n;
	int64_t index[CB_MAX_FRAMES], listed;
	int i, rc;

	rc = cb_sample_original(index, &listed, max_pts,
	    cb_media_info(media), c);
	if (!json_is_array(list))
		return rc < 0;
	if (rc < 0 || json_array_size(list) != (size_t)c->frames)
		return false;
	n = json_object_get(want, "n");
	if (n != NULL && json_integer_value(n) != listed)
		return false;
	for (i = 0; i < c->frames; i++)
		if (json_integer_value(json_array_get(list, i)) != index[i])
			return false;
	return true;
}

static bool
check_row(const json_t *row, const char *dir)
{
	const char *mode = json_string_value(json_object_get(row, "mode"));
	const json_t *list, *e;
	struct cb_clip c = {
		.fps = json_number_value(json_object_get(row, "fps")),
		.frames = (int)json_integer_value(json_object_get(row,
		    "num_frm")),
		.clips = (int)json_integer_value(json_object_get(row,
		    "num_clips")),
		.safeguard = json_is_true(json_object_get(row, "safeguard")),
	};
	int64_t max_pts = 0;
	bool good = true;
	size_t i;

	if (open_media(dir, json_string_value(json_object_get(row,
	    "file"))) < 0 || cb_strategy_parse(&c.strategy, mode) < 0)
		return false;
	list = json_object_get(row, c.strategy == CB_SAMPLE_RAND ? "draws" :
	    "clips");
	if (list == NULL || json_is_null(list))
		return check(row, &c, &max_pts);
	json_array_foreach(list, i, e) {
		c.clip = (int)i;
		c.draw = json_number_value(json_object_get(e, "u"));
		good = check(e, &c, &max_pts) && good;
	}
	return good;
}

int
main(int argc, char **argv)
{
	int n = 0, good = 0, rc;
	struct cb_jsonl *rows;
	char *path;
	json_t *row;
	bool ok;

	cb_program_set("sampling");
	if (argc != 3)
		cb_usage("sampling GOLDENDIR MEDIADIR");
	path = cb_strf("%s/sampling.jsonl", argv[1]);
	if (cb_jsonl_open(&rows, path) < 0)
		return cb_complain();
	while ((rc = cb_jsonl_next(rows, &row)) > 0) {
		n++;
		good += ok = check_row(row, argv[2]);
		printf("%s %s %s fps=%lld frames=%lld clips=%lld\n",
		    ok ? "ok" : "FAIL",
		    json_string_value(json_object_get(row, "file")),
		    json_string_value(json_object_get(row, "mode")),
		    json_integer_value(json_object_get(row, "fps")),
		    json_integer_value(json_object_get(row, "num_frm")),
		    json_integer_value(json_object_get(row, "num_clips")));
		json_decref(row);
	}
	cb_jsonl_close(rows);
	close_media();
	free(path);
	if (rc < 0)
		return cb_complain();
	printf("%d of %d rows\n", good, n);
	return good != n || n == 0;
}
