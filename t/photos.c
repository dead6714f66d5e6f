/*
 * photos TABLE [DIR]: photographs made here, of kinds that are rare: how JPEG
 * and PNG may be coded, sized, turned, cut and followed by other bytes.  TABLE
 * says what Pillow makes of each, by t/data/make-photos.py: NAME SHA256 SHA256,
 * of the RGB bytes as they are stored and upright, or NAME - where it refuses
 * the file.  DIR: the files are written there instead, for that program.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <png.h>

#include "media/media.h"
#include "tap.h"

#define ROOM (1 << 20)		/* of a file */

struct file {
	uint8_t	*data;
	int64_t	 bytes;
};

static uint8_t
sample(int x, int y, int c)
{
	return (uint8_t)(128 + (x - 20) * (c + 1) + (y - 10) * (3 - c) +
	    (x * y * (c + 3) + x * x) % 29);
}

/* ---- JPEG ---------------------------------------------------------------- */

enum { PLAIN = 0, PROGRESSIVE = 1, ARITHMETIC = 2, NO_ADOBE = 4, NO_JFIF = 8 };

static const struct jpeg {
	const char *name;
	int	 w, h;
	int	 space;		/* of the file */
	int	 hs, vs;	/* how much finer the first component is */
	int	 how, restart, quality;
} jpegs[] = {
	{ "444", 37, 29, JCS_YCbCr, 1, 1, PLAIN, 0, 90 },
	{ "422", 37, 29, JCS_YCbCr, 2, 1, PLAIN, 0, 90 },
	{ "420", 37, 29, JCS_YCbCr, 2, 2, PLAIN, 0, 90 },
	{ "440", 37, 29, JCS_YCbCr, 1, 2, PLAIN, 0, 90 },
	{ "411", 37, 29, JCS_YCbCr, 4, 1, PLAIN, 0, 90 },
	{ "410", 37, 29, JCS_YCbCr, 4, 2, PLAIN, 0, 90 },
	{ "441", 37, 29, JCS_YCbCr, 1, 4, PLAIN, 0, 90 },
	{ "422-progressive", 37, 29, JCS_YCbCr, 2, 1, PROGRESSIVE, 0, 90 },
	{ "420-progressive", 37, 29, JCS_YCbCr, 2, 2, PROGRESSIVE, 0, 90 },
	{ "440-progressive", 37, 29, JCS_YCbCr, 1, 2, PROGRESSIVE, 0, 90 },
	{ "411-progressive", 37, 29, JCS_YCbCr, 4, 1, PROGRESSIVE, 0, 90 },
	{ "420-restart", 37, 29, JCS_YCbCr, 2, 2, PLAIN, 1, 90 },
	{ "411-restart", 67, 29, JCS_YCbCr, 4, 1, PLAIN, 2, 90 },
	{ "restart-progressive", 37, 29, JCS_YCbCr, 2, 2, PROGRESSIVE, 3, 90 },
	{ "420-coarse", 37, 29, JCS_YCbCr, 2, 2, PLAIN, 0, 3 },
	{ "420-fine", 37, 29, JCS_YCbCr, 2, 2, PLAIN, 0, 100 },
	{ "arithmetic", 37, 29, JCS_YCbCr, 2, 2, ARITHMETIC, 0, 90 },
	{ "gray", 37, 29, JCS_GRAYSCALE, 1, 1, PLAIN, 0, 90 },
	{ "gray-2x2", 37, 29, JCS_GRAYSCALE, 2, 2, PLAIN, 0, 90 },
	{ "gray-progressive", 37, 29, JCS_GRAYSCALE, 1, 1, PROGRESSIVE, 0, 90 },
	{ "rgb", 37, 29, JCS_RGB, 1, 1, PLAIN, 0, 90 },
	{ "rgb-no-adobe", 37, 29, JCS_RGB, 1, 1, NO_ADOBE, 0, 90 },
	{ "ycc-bare", 37, 29, JCS_YCbCr, 2, 2, NO_JFIF, 0, 90 },
	{ "cmyk", 37, 29, JCS_CMYK, 1, 1, PLAIN, 0, 90 },
	{ "cmyk-no-adobe", 37, 29, JCS_CMYK, 1, 1, NO_ADOBE, 0, 90 },
	{ "cmyk-progressive", 37, 29, JCS_CMYK, 1, 1, PROGRESSIVE, 0, 90 },
	{ "ycck", 37, 29, JCS_YCCK, 1, 1, PLAIN, 0, 90 },
	{ "ycck-420", 37, 29, JCS_YCCK, 2, 2, PLAIN, 0, 90 },
	{ "ycck-restart", 37, 29, JCS_YCCK, 2, 2, PLAIN, 1, 90 },
	{ "two", 37, 29, JCS_UNKNOWN, 1, 1, PLAIN, 0, 90 },
	{ "1x1", 1, 1, JCS_YCbCr, 2, 2, PLAIN, 0, 90 },
	{ "1x1-gray", 1, 1, JCS_GRAYSCALE, 1, 1, PLAIN, 0, 90 },
	{ "1x1-cmyk", 1, 1, JCS_CMYK, 1, 1, PLAIN, 0, 90 },
	{ "1x40", 1, 40, JCS_YCbCr, 2, 2, PLAIN, 0, 90 },
	{ "40x1", 40, 1, JCS_YCbCr, 2, 2, PLAIN, 0, 90 },
	{ "2x2", 2, 2, JCS_YCbCr, 2, 1, PLAIN, 0, 90 },
	{ "3x5-411", 3, 5, JCS_YCbCr, 4, 1, PLAIN, 0, 90 },
	{ "17x16-440", 17, 16, JCS_YCbCr, 1, 2, PLAIN, 0, 90 },
	{ "16x17-422", 16, 17, JCS_YCbCr, 2, 1, PROGRESSIVE, 0, 90 },
};

static void
make_jpeg(struct file *f, const struct jpeg *j)
{
	struct jpeg_compress_struct c;
	struct jpeg_error_mgr err;
	unsigned long bytes = 0;
	uint8_t row[4 * 128], *at = row;
	int x, k, y;

	c.err = jpeg_std_error(&err);
	jpeg_create_compress(&c);
	f->data = NULL;
	jpeg_mem_dest(&c, &f->data, &bytes);
	c.image_width = (JDIMENSION)j->w;
	c.image_height = (JDIMENSION)j->h;
	c.in_color_space = j->space == JCS_YCbCr ? JCS_RGB :
	    j->space == JCS_YCCK ? JCS_CMYK : (J_COLOR_SPACE)j->space;
	c.input_components = j->space == JCS_UNKNOWN ? 2 :
	    j->space == JCS_GRAYSCALE ? 1 :
	    c.in_color_space == JCS_CMYK ? 4 : 3;
	jpeg_set_defaults(&c);
	jpeg_set_colorspace(&c, (J_COLOR_SPACE)j->space);
	jpeg_set_quality(&c, j->quality, TRUE);
	c.comp_info[0].h_samp_factor = j->hs;
	c.comp_info[0].v_samp_factor = j->vs;
	for (k = 1; k < c.num_components; k++)
		c.comp_info[k].h_samp_factor = c.comp_info[k].v_samp_factor =
		    1;
	if (j->space == JCS_YCCK) {
		c.comp_info[3].h_samp_factor = j->hs;
		c.comp_info[3].v_samp_factor = j->vs;
	}
	c.restart_interval = (unsigned)j->restart;
	c.arith_code = (j->how & ARITHMETIC) != 0;
	if (j->how & NO_ADOBE)
		c.write_Adobe_marker = FALSE;
	if (j->how & NO_JFIF)
		c.write_JFIF_header = FALSE;
	if (j->how & PROGRESSIVE)
		jpeg_simple_progression(&c);
	jpeg_start_compress(&c, TRUE);
	for (y = 0; y < j->h; y++) {
		for (x = 0; x < j->w; x++)
			for (k = 0; k < c.input_components; k++)
				row[x * c.input_components + k] =
				    sample(x, y, k);
		jpeg_write_scanlines(&c, &at, 1);
	}
	jpeg_finish_compress(&c);
	f->bytes = (int64_t)bytes;
	jpeg_destroy_compress(&c);
}

/* ---- PNG ----------------------------------------------------------------- */

enum { FLAT = 0, INTERLACED = 1, SEEN = 2, GAMMA = 4 };

static const struct png {
	const char *name;
	int	 w, h, type, depth;
	int	 how;		/* SEEN: with a tRNS chunk */
} pngs[] = {
	{ "gray1", 37, 29, PNG_COLOR_TYPE_GRAY, 1, FLAT },
	{ "gray2", 37, 29, PNG_COLOR_TYPE_GRAY, 2, FLAT },
	{ "gray4", 37, 29, PNG_COLOR_TYPE_GRAY, 4, FLAT },
	{ "gray8", 37, 29, PNG_COLOR_TYPE_GRAY, 8, FLAT },
	{ "gray8-seen", 37, 29, PNG_COLOR_TYPE_GRAY, 8, SEEN },
	{ "gray8-interlaced", 37, 29, PNG_COLOR_TYPE_GRAY, 8, INTERLACED },
	{ "gray16", 37, 29, PNG_COLOR_TYPE_GRAY, 16, FLAT },
	{ "grayalpha8", 37, 29, PNG_COLOR_TYPE_GRAY_ALPHA, 8, FLAT },
	{ "grayalpha16", 37, 29, PNG_COLOR_TYPE_GRAY_ALPHA, 16, FLAT },
	{ "rgb8", 37, 29, PNG_COLOR_TYPE_RGB, 8, FLAT },
	{ "rgb8-seen", 37, 29, PNG_COLOR_TYPE_RGB, 8, SEEN },
	{ "rgb8-gamma", 37, 29, PNG_COLOR_TYPE_RGB, 8, GAMMA },
	{ "rgb8-interlaced", 37, 29, PNG_COLOR_TYPE_RGB, 8, INTERLACED },
	{ "rgb16", 37, 29, PNG_COLOR_TYPE_RGB, 16, FLAT },
	{ "rgb16-seen", 37, 29, PNG_COLOR_TYPE_RGB, 16, SEEN },
	{ "rgb16-interlaced", 37, 29, PNG_COLOR_TYPE_RGB, 16, INTERLACED },
	{ "rgba8", 37, 29, PNG_COLOR_TYPE_RGB_ALPHA, 8, FLAT },
	{ "rgba8-interlaced", 37, 29, PNG_COLOR_TYPE_RGB_ALPHA, 8, INTERLACED },
	{ "rgba16", 37, 29, PNG_COLOR_TYPE_RGB_ALPHA, 16, FLAT },
	{ "palette1", 37, 29, PNG_COLOR_TYPE_PALETTE, 1, FLAT },
	{ "palette2", 37, 29, PNG_COLOR_TYPE_PALETTE, 2, FLAT },
	{ "palette4-seen", 37, 29, PNG_COLOR_TYPE_PALETTE, 4, SEEN },
	{ "palette8", 37, 29, PNG_COLOR_TYPE_PALETTE, 8, FLAT },
	{ "palette8-seen", 37, 29, PNG_COLOR_TYPE_PALETTE, 8, SEEN },
	{ "palette8-interlaced", 37, 29, PNG_COLOR_TYPE_PALETTE, 8,
	    INTERLACED },
	{ "1x1", 1, 1, PNG_COLOR_TYPE_RGB, 8, FLAT },
	{ "1x1-palette", 1, 1, PNG_COLOR_TYPE_PALETTE, 1, SEEN },
	{ "1x40", 1, 40, PNG_COLOR_TYPE_RGB_ALPHA, 8, INTERLACED },
	{ "40x1", 40, 1, PNG_COLOR_TYPE_GRAY, 1, FLAT },
};

static void
put(png_structp p, png_bytep data, size_t n)
{
	struct file *f = png_get_io_ptr(p);

	if (f->bytes + (int64_t)n > ROOM)
		abort();
	memcpy(f->data + f->bytes, data, n);
	f->bytes += (int64_t)n;
}

static void
flush(png_structp p)
{
	(void)p;
}

static void
make_png(struct file *f, const struct png *g)
{
	png_structp p = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL,
	    NULL, NULL);
	png_infop i = png_create_info_struct(p);
	png_color colours[256];
	png_color_16 colour = { 3, 100, 110, 120, 100 };
	uint8_t alpha[256], row[8 * 64];
	int x, y, k, n, passes;

	f->data = malloc(ROOM);
	f->bytes = 0;
	for (k = 0; k < 256; k++) {
		colours[k] = (png_color){ (uint8_t)(k * 7), (uint8_t)(255 - k),
		    (uint8_t)(k * 31 + 5) };
		alpha[k] = (uint8_t)(k * 13);
	}
	png_set_write_fn(p, f, put, flush);
	png_set_IHDR(p, i, (png_uint_32)g->w, (png_uint_32)g->h, g->depth,
	    g->type, g->how & INTERLACED ? PNG_INTERLACE_ADAM7 :
	    PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
	    PNG_FILTER_TYPE_DEFAULT);
	n = g->depth < 8 ? 1 << g->depth : 256;
	if (g->type == PNG_COLOR_TYPE_PALETTE)
		png_set_PLTE(p, i, colours, n);
	if (g->how & SEEN)
		png_set_tRNS(p, i, alpha, g->type == PNG_COLOR_TYPE_PALETTE ?
		    n / 2 : 1, &colour);
	if (g->how & GAMMA)
		png_set_gAMA(p, i, 1.0);
	png_write_info(p, i);
	n = (int)png_get_rowbytes(p, i);
	passes = png_set_interlace_handling(p);
	while (passes-- > 0) {
		for (y = 0; y < g->h; y++) {
			for (x = 0; x < n; x++)
				row[x] = sample(x, y, x % 4);
			png_write_row(p, row);
		}
	}
	png_write_end(p, i);
	png_destroy_write_struct(&p, &i);
}

/* ---- what is done to a file ---------------------------------------------- */

/* n bytes behind the first two. */
static void
insert(struct file *f, const uint8_t *what, int n)
{
	f->data = realloc(f->data, (size_t)(f->bytes + n));
	memmove(f->data + 2 + n, f->data + 2, (size_t)f->bytes - 2);
	memcpy(f->data + 2, what, (size_t)n);
	f->bytes += n;
}

static void
append(struct file *f, const char *what, int n)
{
	f->data = realloc(f->data, (size_t)(f->bytes + n));
	memcpy(f->data + f->bytes, what, (size_t)n);
	f->bytes += n;
}

/* An EXIF segment with the tag of orientation, the second of two. */
static void
orient(struct file *f, int o, bool little)
{
	uint8_t big[] = "\xff\xe1\0\x2e" "Exif\0\0" "MM\0*\0\0\0\x08\0\x02"
	    "\x01\0\0\x03\0\0\0\x01\0\x25\0\0" "\x01\x12\0\x03\0\0\0\x01\0o\0\0"
	    "\0\0\0";
	uint8_t small[] = "\xff\xe1\0\x2e" "Exif\0\0" "II*\0\x08\0\0\0\x02\0"
	    "\0\x01\x03\0\x01\0\0\0\x25\0\0\0" "\x12\x01\x03\0\x01\0\0\0o\0\0\0"
	    "\0\0\0";

	big[41] = small[40] = (uint8_t)o;
	insert(f, little ? small : big, sizeof(big));
}

/* ---- tests --------------------------------------------------------------- */

static char *table;
static const char *dir;

/* Sum of the picture in the original's way; "-" where it is refused. */
static void
sum_of(char sum[65], const char *name, const struct file *f, bool upright)
{
	struct cb_source src = { .name = name, .data = f->data,
	    .bytes = f->bytes };
	struct cb_media_limits limits = { .upright = upright,
	    .original = true };
	struct cb_media *m = NULL;
	struct cb_frame *p;

	strcpy(sum, "-");
	if (cb_media_open(&m, &src, &limits) == 0 &&
	    cb_media_info(m)->image && cb_media_next(m, &p) == 1) {
		cb_sha256(sum, p->rgb.data, cb_array_bytes(&p->rgb));
		cb_frame_free(p);
	}
	cb_media_close(m);
}

static void
write_file(const char *name, const struct file *f)
{
	char *path = cb_strf("%s/%s", dir, name);
	FILE *out = fopen(path, "wb");

	if (out == NULL || fwrite(f->data, (size_t)f->bytes, 1, out) != 1 ||
	    fclose(out) != 0)
		exit(1);
	free(path);
}

/* f is freed. */
static void
check(const char *name, struct file *f)
{
	char sum[65], upright[65], *line;

	if (dir != NULL) {
		write_file(name, f);
	} else {
		sum_of(sum, name, f, false);
		sum_of(upright, name, f, true);
		line = strcmp(sum, "-") == 0 ? cb_strf("\n%s -\n", name) :
		    cb_strf("\n%s %s %s\n", name, sum, upright);
		ok(strstr(table, line) != NULL, "%s%s", name,
		    strcmp(sum, "-") == 0 ? " is refused" : "");
		free(line);
	}
	free(f->data);
}

static void
check_plain(void)
{
	struct file f;
	char *name;
	size_t i;

	for (i = 0; i < CB_LEN(jpegs); i++) {
		make_jpeg(&f, &jpegs[i]);
		name = cb_strf("%s.jpg", jpegs[i].name);
		check(name, &f);
		free(name);
	}
	for (i = 0; i < CB_LEN(pngs); i++) {
		make_png(&f, &pngs[i]);
		name = cb_strf("%s.png", pngs[i].name);
		check(name, &f);
		free(name);
	}
}

static void
check_turned(void)
{
	struct file f;
	char *name;
	int o;

	for (o = 0; o <= 9; o++) {
		make_jpeg(&f, &jpegs[2]);
		orient(&f, o, o % 2);
		name = cb_strf("exif%d.jpg", o);
		check(name, &f);
		free(name);
	}
}

/* Cut at every byte: refused, but for what lacks its end marker only, which is
 * whole. */
static void
check_cut(const struct jpeg *j)
{
	int64_t whole, bad = 0;
	char sum[65], got[65];
	struct file f;

	make_jpeg(&f, j);
	whole = f.bytes;
	sum_of(sum, j->name, &f, false);
	while (--f.bytes > 0) {
		sum_of(got, j->name, &f, false);
		if (strcmp(got, f.bytes >= whole - 2 ? sum : "-") != 0) {
			printf("# cut at %lld of %lld\n", (long long)f.bytes,
			    (long long)whole);
			bad++;
		}
	}
	ok(bad == 0, "%s.jpg cut anywhere", j->name);
	free(f.data);
}

static void
check_more(void)
{
	static const char end[] = "behind the end \xff\xd8\xff\xe0";
	struct file f;

	make_jpeg(&f, &jpegs[2]);
	append(&f, end, sizeof(end));
	check("more.jpg", &f);
	make_jpeg(&f, &jpegs[8]);
	append(&f, end, sizeof(end));
	check("more-progressive.jpg", &f);
	make_jpeg(&f, &jpegs[2]);
	insert(&f, (const uint8_t *)"\xff\xff\xff\xfe\0\x06note", 10);
	check("fill.jpg", &f);
	make_png(&f, &pngs[9]);
	append(&f, end, sizeof(end));
	check("more.png", &f);
	make_png(&f, &pngs[9]);
	f.bytes /= 2;
	check("cut.png", &f);
}

/* By default gray of 16 bits is its high byte: pngs[6]. */
static void
check_gray16(void)
{
	struct cb_source src = { .name = "gray16" };
	struct cb_media *m = NULL;
	struct cb_frame *p = NULL;
	const uint8_t *at;
	struct file f;
	int x, y, bad = 1;

	make_png(&f, &pngs[6]);
	src.data = f.data;
	src.bytes = f.bytes;
	if (cb_media_open(&m, &src, NULL) == 0 && cb_media_next(m, &p) == 1) {
		at = p->rgb.data;
		for (bad = y = 0; y < pngs[6].h; y++)
			for (x = 0; x < pngs[6].w; x++, at += 3)
				bad += at[0] != sample(2 * x, y, 2 * x % 4) ||
				    at[1] != at[0] || at[2] != at[0];
	}
	ok(bad == 0, "gray16.png by default");
	cb_frame_free(p);
	cb_media_close(m);
	free(f.data);
}

int
main(int argc, char **argv)
{
	int64_t bytes;
	int n = (int)(CB_LEN(jpegs) + CB_LEN(pngs)) + 10 + 5 + 4;

	cb_program_set("photos");
	if (argc < 2 || argc > 3)
		cb_usage("photos TABLE [DIR]");
	dir = argv[2];
	if (dir == NULL && cb_file_read(&table, &bytes, argv[1], ROOM) < 0)
		return cb_complain();
	if (dir == NULL)
		plan(n);
	check_plain();
	check_turned();
	check_more();
	if (dir == NULL) {
		check_cut(&jpegs[2]);
		check_cut(&jpegs[8]);
		check_cut(&jpegs[17]);
		check_gray16();
	}
	free(table);
	return done();
}
