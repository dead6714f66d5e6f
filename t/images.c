/*
 * images GOLDENDIR MEDIADIR: decodes every picture of golden/images.jsonl and
 * compares its bytes with what Pillow made of it.  Then turns it upright, writes
 * it as JPEG as the original's preprocessing does, and compares that file.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

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

static void
jpeg_sum(char sum[65], const struct cb_array *rgb)
{
	struct jpeg_compress_struct c;
	struct jpeg_error_mgr err;
	unsigned long bytes = 0;
	uint8_t *file = NULL;
	JSAMPROW row;

	c.err = jpeg_std_error(&err);
	jpeg_create_compress(&c);
	jpeg_mem_dest(&c, &file, &bytes);
	c.image_width = (JDIMENSION)rgb->dim[1];
	c.image_height = (JDIMENSION)rgb->dim[0];
	c.input_components = 3;
	c.in_color_space = JCS_RGB;
	jpeg_set_defaults(&c);
	jpeg_set_quality(&c, 95, TRUE);
	jpeg_start_compress(&c, TRUE);
	while (c.next_scanline < c.image_height) {
		row = (uint8_t *)rgb->data + 3 * rgb->dim[1] * c.next_scanline;
		jpeg_write_scanlines(&c, &row, 1);
	}
	jpeg_finish_compress(&c);
	jpeg_destroy_compress(&c);
	cb_sha256(sum, file, (int64_t)bytes);
	free(file);
}

/* 1 equal, 0 not, -1 no preprocessing for this file. */
static int
check_upright(const json_t *row, const char *dir)
{
	const struct cb_media_limits limits = { .upright = true };
	const char *file = json_string_value(json_object_get(row, "file"));
	const char *want = json_string_value(json_object_get(json_object_get(
	    row, "prep"), "jpeg_sha256"));
	const char *mode = json_string_value(json_object_get(row, "mode"));
	char *path = cb_strf("%s/images/%s", dir, file), got[65] = "";
	struct cb_source src = { .name = file, .path = path };
	struct cb_media *m = NULL;
	struct cb_frame *f = NULL;

	/* OpenCV turns CMYK into RGB by another formula */
	if (want == NULL || mode == NULL || strcmp(mode, "CMYK") == 0) {
		free(path);
		return -1;
	}
	if (cb_media_open(&m, &src, &limits) == 0 && cb_media_next(m, &f) == 1)
		jpeg_sum(got, &f->rgb);
	cb_frame_free(f);
	cb_media_close(m);
	free(path);
	if (strcmp(got, want) != 0)
		printf("FAIL %s: upright and written as JPEG\n", file);
	return strcmp(got, want) == 0;
}

int
main(int argc, char **argv)
{
	struct cb_jsonl *rows;
	int n = 0, good = 0, prepared = 0, of = 0, up, rc;
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
		up = check_upright(row, argv[2]);
		prepared += up > 0;
		of += up >= 0;
		json_decref(row);
	}
	cb_jsonl_close(rows);
	free(path);
	if (rc < 0)
		return cb_complain();
	printf("%d of %d prepared\n", prepared, of);
	printf("%d of %d pictures\n", good, n);
	return good != n || n == 0 || prepared != of;
}
