/*
 * sampling GOLDENDIR MEDIADIR: replays golden/sampling.jsonl, the choices of
 * the original for every video, strategy, rate and number of frames, and
 * compares number, time, size and sha256 of the frames chosen with
 * golden/frames.jsonl.  One line a row, then the total.
 */
#include "golden.h"

#define TOGETHER 32		/* frames in memory at a time */

/* What a frame of the open file is; only those that some row chooses. */
struct chosen {
	bool	 wanted, known;
	int64_t	 w, h;
	char	 sum[65];
};
static struct chosen *chosen;
static json_t *frames;		/* {file: row of frames.jsonl} */

/* Whether frame i has what the row of frames.jsonl and this result state. */
static bool
same_frame(const json_t *want, const json_t *file, int place, int64_t i)
{
	const json_t *wh = json_object_get(want, "wh");
	const json_t *pts = json_object_get(want, "pts");
	const char *sum = json_string_value(json_array_get(
	    json_object_get(file, "rgb24_sha256"), i));

	return chosen[i].known && sum != NULL &&
	    strcmp(sum, chosen[i].sum) == 0 &&
	    json_integer_value(json_array_get(pts, place)) ==
	    cb_media_info(media)->pts[i] &&
	    json_integer_value(json_array_get(wh, 0)) == chosen[i].w &&
	    json_integer_value(json_array_get(wh, 1)) == chosen[i].h;
}

/*
 * One result: the frames expected in `want` against those of clip c.  Without
 * `file` only notes which frames will be compared.
 */
static bool
check(const json_t *want, const json_t *file, const struct cb_clip *c,
    int64_t *max_pts)
{
	const json_t *list = json_object_get(want, "index"), *n;
	int64_t index[CB_MAX_FRAMES], listed;
	bool good = true;
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
	for (i = 0; i < c->frames; i++) {
		if (file == NULL)
			chosen[index[i]].wanted = true;
		else
			good = good && json_integer_value(json_array_get(list,
			    i)) == index[i] && same_frame(want, file, i,
			    index[i]);
	}
	return good;
}

static bool
check_row(const json_t *row, const json_t *file)
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

	if (media == NULL || mode == NULL || c.frames > CB_MAX_FRAMES ||
	    cb_strategy_parse(&c.strategy, mode) < 0)
		return false;
	list = json_object_get(row, c.strategy == CB_SAMPLE_RAND ? "draws" :
	    "clips");
	if (list == NULL || json_is_null(list))
		return check(row, file, &c, &max_pts);
	json_array_foreach(list, i, e) {
		c.clip = (int)i;
		c.draw = json_number_value(json_object_get(e, "u"));
		good = check(e, file, &c, &max_pts) && good;
	}
	return good;
}

static void
fetch_some(const int64_t *want, int n)
{
	struct cb_frame *out[TOGETHER] = { NULL };
	struct chosen *at;
	int i, exact;

	if (cb_media_fetch(media, want, n, out, &exact) < 0)
		cb_warn("%s", cb_error());
	for (i = 0; i < n; i++) {
		if (out[i] == NULL)
			continue;
		at = &chosen[want[i]];
		at->known = out[i]->index == want[i];
		at->h = out[i]->rgb.dim[0];
		at->w = out[i]->rgb.dim[1];
		cb_sha256(at->sum, out[i]->rgb.data,
		    cb_array_bytes(&out[i]->rgb));
		cb_frame_free(out[i]);
	}
}

/* The sums of all that the rows of a file choose. */
static void
fetch_chosen(void)
{
	int64_t want[TOGETHER], i;
	int n = 0;

	for (i = 0; i < cb_media_info(media)->frames; i++) {
		if (chosen[i].wanted)
			want[n++] = i;
		if (n == TOGETHER) {
			fetch_some(want, n);
			n = 0;
		}
	}
	if (n > 0)
		fetch_some(want, n);
}

/* All rows of one file; how many are good. */
static int
check_file(const json_t *rows, const char *file, const char *dir)
{
	const json_t *row;
	int good = 0;
	size_t i;
	bool ok;

	if (open_media(dir, file) == 0) {
		chosen = calloc(cb_media_info(media)->frames + 1,
		    sizeof(*chosen));
		if (chosen == NULL)
			return 0;
		json_array_foreach(rows, i, row)
			check_row(row, NULL);
		fetch_chosen();
	}
	json_array_foreach(rows, i, row) {
		good += ok = check_row(row, json_object_get(frames, file));
		printf("%s %s %s fps=%lld frames=%lld clips=%lld\n",
		    ok ? "ok" : "FAIL", file,
		    json_string_value(json_object_get(row, "mode")),
		    json_integer_value(json_object_get(row, "fps")),
		    json_integer_value(json_object_get(row, "num_frm")),
		    json_integer_value(json_object_get(row, "num_clips")));
	}
	free(chosen);
	chosen = NULL;
	return good;
}

/* {file: [rows]} of a list, or {file: row} if there is one a file. */
static json_t *
by_file(const char *dir, const char *name, bool many)
{
	char *path = cb_strf("%s/%s", dir, name);
	json_t *all = json_object(), *row, *list;
	struct cb_jsonl *in;
	const char *file;
	int rc = -1;

	if (cb_jsonl_open(&in, path) == 0) {
		while ((rc = cb_jsonl_next(in, &row)) > 0) {
			file = json_string_value(json_object_get(row, "file"));
			if (file == NULL)
				file = "(no file)";
			if (!many) {
				json_object_set_new(all, file, row);
				continue;
			}
			list = json_object_get(all, file);
			if (list == NULL) {
				list = json_array();
				json_object_set_new(all, file, list);
			}
			json_array_append_new(list, row);
		}
		cb_jsonl_close(in);
	}
	free(path);
	if (rc == 0)
		return all;
	json_decref(all);
	return NULL;
}

int
main(int argc, char **argv)
{
	int n = 0, good = 0;
	json_t *all, *rows;
	const char *file;

	cb_program_set("sampling");
	if (argc != 3)
		cb_usage("sampling GOLDENDIR MEDIADIR");
	all = by_file(argv[1], "sampling.jsonl", true);
	if (all == NULL)
		return cb_complain();
	if ((frames = by_file(argv[1], "frames.jsonl", false)) == NULL)
		return cb_complain();
	json_object_foreach(all, file, rows) {
		n += (int)json_array_size(rows);
		good += check_file(rows, file, argv[2]);
	}
	close_media();
	json_decref(all);
	json_decref(frames);
	printf("%d of %d rows\n", good, n);
	return good != n || n == 0;
}
