/*
 * frames GOLDENDIR MEDIADIR [file ...]: for every video of golden/frames.jsonl
 * compares all frames of a plain decode, then those of a plan of 8 clips of 2
 * frames fetched with seeks, both by sha256; and that fetching is not decoding
 * everything.  One line a video, then totals.
 */
#include <string.h>

#include "media/media.h"

static int64_t frames_good, frames_all, fetched_good, fetched_all;

static bool
equal(const struct cb_frame *f, const json_t *sums, int64_t i)
{
	const char *want = json_string_value(json_array_get(sums, i));
	char got[65];

	cb_sha256(got, f->rgb.data, cb_array_bytes(&f->rgb));
	return want != NULL && strcmp(got, want) == 0;
}

static int64_t
check_plain(struct cb_media *m, const json_t *row)
{
	const json_t *sums = json_object_get(row, "rgb24_sha256");
	const json_t *pts = json_object_get(row, "pts");
	const struct cb_media_info *info = cb_media_info(m);
	int64_t n = (int64_t)json_array_size(sums), good = 0, i = 0;
	struct cb_frame *f;
	int rc;

	while ((rc = cb_media_next(m, &f)) > 0) {
		good += i < n && f->index == i && i < info->frames &&
		    info->pts[i] == json_integer_value(json_array_get(pts,
		    i)) && equal(f, sums, i);
		cb_frame_free(f);
		i++;
	}
	frames_good += good;
	frames_all += n;
	return rc == 0 && i == n && info->frames == n ? n - good : n;
}

static int64_t
check_fetch(struct cb_media *m, const json_t *row, int clips)
{
	const json_t *sums = json_object_get(row, "rgb24_sha256");
	struct cb_plan plan = {
		.strategy = CB_SAMPLE_CLIPS, .clips = clips, .frames = 2,
		.fps = 2,
	};
	struct cb_frame **out;
	int64_t bad = 0;
	struct cb_cut cut;
	int i, exact;

	if (cb_plan_resolve(&cut, &plan, cb_media_info(m)) < 0)
		return 1;
	if ((out = calloc(cut.nwant, sizeof(*out))) == NULL)
		return 1;
	if (cb_media_fetch(m, cut.want, cut.nwant, out, &exact) < 0 ||
	    exact != cut.nwant)
		bad++;
	for (i = 0; i < cut.nwant; i++) {
		if (out[i] == NULL || out[i]->index != cut.want[i] ||
		    !equal(out[i], sums, cut.want[i]))
			bad++;
		else
			fetched_good++;
		cb_frame_free(out[i]);
	}
	fetched_all += cut.nwant;
	free(out);
	cb_cut_clear(&cut);
	return bad;
}

/* Opening must not decode everything to know which frames there are. */
static int64_t
check_open(struct cb_media *m, const json_t *row)
{
	int64_t fed = cb_media_fed(m), n = cb_media_info(m)->frames;

	if (2 * fed <= n)
		return 0;
	printf("# %s: %lld packets to list %lld frames\n",
	    json_string_value(json_object_get(row, "file")), (long long)fed,
	    (long long)n);
	return 1;
}

/*
 * Fetching the last of many frames must not decode them all, which would be
 * right and slow.  Only where packets say which frames they are and the last
 * key frame is in the second half.
 */
static int64_t
check_cost(struct cb_media *m, const json_t *row)
{
	static const char *const sought[] = {
		"bird_nonref.mp4", "bottles.mp4", "cars_above.mp4",
		"cockatoo.mp4", "cups_opengop.mp4", "desk.3gp", "flower.webm",
		"green_screen.mp4", "plane.mp4", "sign_again.wmv",
		"telescope.mp4", "toy_elf_headless.ts", "toy_frog.mpg",
		"toy_pig.ogv", "toy_rabbit_hevc.mp4"
	};
	const char *file = json_string_value(json_object_get(row, "file"));
	int64_t last = cb_media_info(m)->frames - 1, before, cost;
	struct cb_frame *f;
	bool wanted = false;
	int exact;
	size_t i;

	for (i = 0; i < CB_LEN(sought); i++)
		wanted = wanted || strcmp(file, sought[i]) == 0;
	before = cb_media_fed(m);
	if (!wanted || cb_media_fetch(m, &last, 1, &f, &exact) < 0)
		return wanted;
	cb_frame_free(f);
	cost = cb_media_fed(m) - before;
	if (2 * cost > last + 1)
		printf("# %s: %lld packets for the last of %lld frames\n", file,
		    (long long)cost, (long long)last + 1);
	return 2 * cost > last + 1;
}

static bool
check(const json_t *row, const char *file, const char *dir)
{
	char *path = cb_strf("%s/videos/%s", dir, file);
	struct cb_source src = { .name = file, .path = path };
	struct cb_media *m = NULL;
	int64_t plain = -1, few = -1, many = -1;
	double t[4];

	t[0] = cb_now();
	if (cb_media_open(&m, &src, NULL) < 0) {
		printf("FAIL %s: %s\n", file, cb_error());
	} else {
		t[1] = cb_now();
		many = check_open(m, row) + check_fetch(m, row, 8);
		few = check_fetch(m, row, 1) + check_cost(m, row);
		t[2] = cb_now();
		cb_media_close(m);
		plain = cb_media_open(&m, &src, NULL) < 0 ? -1 :
		    check_plain(m, row);
		t[3] = cb_now();
		printf("%s %s plain %lld bad, fetched %lld + %lld bad; "
		    "open %.0f fetch %.0f plain %.0f ms %s\n", plain == 0 &&
		    few == 0 && many == 0 ? "ok" : "FAIL", file,
		    (long long)plain, (long long)many, (long long)few,
		    1e3 * (t[1] - t[0]), 1e3 * (t[2] - t[1]),
		    1e3 * (t[3] - t[2]), cb_media_damage(m) != NULL ?
		    cb_media_damage(m) : "");
	}
	cb_media_close(m);
	free(path);
	return plain == 0 && few == 0 && many == 0;
}

int
main(int argc, char **argv)
{
	int n = 0, good = 0, rc, i;
	struct cb_jsonl *rows;
	const char *file;
	char *path;
	json_t *row;
	bool skip;

	cb_program_set("frames");
	if (argc < 3)
		cb_usage("frames GOLDENDIR MEDIADIR [file ...]");
	path = cb_strf("%s/frames.jsonl", argv[1]);
	if (cb_jsonl_open(&rows, path) < 0)
		return cb_complain();
	while ((rc = cb_jsonl_next(rows, &row)) > 0) {
		file = json_string_value(json_object_get(row, "file"));
		skip = argc > 3;
		for (i = 3; i < argc; i++)
			skip = skip && strcmp(argv[i], file) != 0;
		if (!skip) {
			n++;
			good += check(row, file, argv[2]);
			fflush(stdout);
		}
		json_decref(row);
	}
	cb_jsonl_close(rows);
	free(path);
	if (rc < 0)
		return cb_complain();
	printf("%d of %d videos, %lld of %lld frames, %lld of %lld fetched\n",
	    good, n, (long long)frames_good, (long long)frames_all,
	    (long long)fetched_good, (long long)fetched_all);
	return good != n || n == 0;
}
