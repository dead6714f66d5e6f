/*
 * images GOLDENDIR MEDIADIR: decodes every picture of golden/images.jsonl and
 * compares its bytes with what Pillow made of it.
 */
#include <string.h>

#include "media/media.h"

static bool
check(const json_t *row, const char *dir)
{
	const char *file = json_string_value(json_object_get(row, "file"));
	const char *sum = json_string_value(json_object_get(row,
	    "rgb24_sha256"));
	char *path = cb_strf("%s/images/%s", dir, file), got[65] = "";
	struct cb_source src = { .name = file, .path = path };
	struct cb_media *m = NULL;
	struct cb_frame *f = NULL;
	bool good = false;

	if (cb_media_open(&m, &src, NULL) < 0 || cb_media_next(m, &f) != 1) {
		printf("FAIL %s: %s\n", file, cb_error());
	} else {
		cb_sha256(got, f->rgb.data, cb_array_bytes(&f->rgb));
		good = cb_media_info(m)->image && sum != NULL &&
		    strcmp(got, sum) == 0;
		printf("%s %s %dx%d %.16s\n", good ? "ok" : "FAIL", file,
		    cb_media_info(m)->w, cb_media_info(m)->h, got);
	}
	cb_frame_free(f);
	cb_media_close(m);
	free(path);
	return good;
}

int
main(int argc, char **argv)
{
	struct cb_jsonl *rows;
	int n = 0, good = 0, rc;
	char *path;
	json_t *row;

	cb_program_set("images");
	if (argc != 3)
		cb_usage("images GOLDENDIR MEDIADIR");
	path = cb_strf("%s/images.jsonl", argv[1]);
	if (cb_jsonl_open(&rows, path) < 0)
		return cb_complain();
	while ((rc = cb_jsonl_next(rows, &row)) > 0) {
		n++;
		good += check(row, argv[2]);
		json_decref(row);
	}
	cb_jsonl_close(rows);
	free(path);
	if (rc < 0)
		return cb_complain();
	printf("%d of %d pictures\n", good, n);
	return good != n || n == 0;
}
