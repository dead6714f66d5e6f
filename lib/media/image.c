/*
 * Pictures: JPEG by libjpeg-turbo with its defaults, which is what Pillow and
 * so the original's loader use; exact conversion of what FFmpeg's picture
 * decoders yield (alpha dropped, 16 bits cut to the high byte).  Rare kinds are
 * held to Pillow by t/photos.c.
 */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>
#include <libavutil/imgutils.h>
#include <libavutil/pixdesc.h>

#include "media/private.h"

#define MAX_SCANS 500		/* a scan costs time over the whole picture */

int
image_size_check(int64_t w, int64_t h, int64_t max_pixels)
{
	const int64_t n[] = { w, h };
	int64_t pixels;

	if (w <= 0 || h <= 0)
		return cb_fail(CB_EFORMAT, "picture of %lld x %lld pixels",
		    (long long)w, (long long)h);
	if (cb_size_mul(&pixels, 1, 2, n, max_pixels) < 0)
		return cb_fail(CB_ELIMIT, "picture of %lld x %lld pixels is "
		    "over the limit (--max-pixels %lld)", (long long)w,
		    (long long)h, (long long)max_pixels);
	return 0;
}

/* ---- JPEG ------------------------------------------------------------------ */

struct failure {
	struct jpeg_error_mgr base;
	jmp_buf	 where;
	char	 text[JMSG_LENGTH_MAX];
	char	 warned[JMSG_LENGTH_MAX];	/* first damage to the data */
	bool	 cut;		/* ran into the end */
	bool	 starved;	/* a scan wanted more than there was */
	const struct input *in;	/* where time is measured */
};

static void
jpeg_die(j_common_ptr c)
{
	struct failure *f = (struct failure *)c->err;

	c->err->format_message(c, f->text);
	longjmp(f->where, 1);
}

static void
jpeg_warn(j_common_ptr c, int level)
{
	struct failure *f = (struct failure *)c->err;

	if (level >= 0)
		return;
	f->base.num_warnings++;
	switch (c->err->msg_code) {
	case JWRN_JPEG_EOF:
		f->cut = true;
		return;
	case JWRN_HIT_MARKER:
		f->starved = f->starved || f->cut;
		break;
	case JWRN_HUFF_BAD_CODE:
	case JWRN_MUST_RESYNC:
		break;
	default:
		return;		/* harmless, and common in old cameras' files */
	}
	if (f->warned[0] == '\0')
		c->err->format_message(c, f->warned);
}

static void
jpeg_watch(j_common_ptr c)
{
	struct failure *f = (struct failure *)c->err;

	if (!c->is_decompressor)
		return;
	if (((j_decompress_ptr)c)->input_scan_number > MAX_SCANS) {
		snprintf(f->text, sizeof(f->text), "more than %d scans",
		    MAX_SCANS);
		longjmp(f->where, 1);
	}
	if (input_late(f->in)) {
		snprintf(f->text, sizeof(f->text), "took longer than "
		    "--timeout");
		longjmp(f->where, 1);
	}
}

/* The orientation tag of an EXIF segment, 1 if there is none. */
static int
exif_orientation(const uint8_t *p, int64_t n)
{
	int64_t at, i;
	bool little;
	int entries;

#define U16(o) (little ? p[o] | p[(o) + 1] << 8 : p[o] << 8 | p[(o) + 1])
#define U32(o) (little ? (uint32_t)U16(o) | (uint32_t)U16((o) + 2) << 16 : \
	    (uint32_t)U16(o) << 16 | (uint32_t)U16((o) + 2))
	if (n < 14 || memcmp(p, "Exif\0\0", 6) != 0)
		return 1;
	p += 6;
	n -= 6;
	little = p[0] == 'I';
	at = U32(4);
	if (at + 2 > n)
		return 1;
	entries = U16(at);
	for (i = 0; i < entries && at + 2 + 12 * (i + 1) <= n; i++) {
		int64_t e = at + 2 + 12 * i;

		if (U16(e) == 0x0112 && U16(e + 8) >= 1 && U16(e + 8) <= 8)
			return U16(e + 8);
	}
	return 1;
#undef U16
#undef U32
}

/*
 * A row of CMYK to RGB as Pillow does it: the inks are stored inverted, as Adobe
 * began to, whether its marker is there or not.
 */
static void
cmyk_row(uint8_t *to, const uint8_t *from, int w)
{
	int x, c, n, t, v;

	for (x = 0; x < w; x++, from += 4) {
		n = from[3];
		for (c = 0; c < 3; c++) {
			t = (255 - from[c]) * n + 128;
			v = n - (((t >> 8) + t) >> 8);
			*to++ = v < 0 ? 0 : v;
		}
	}
}

static void
read_rows(struct cb_array *rgb, j_decompress_ptr c)
{
	int64_t stride = 3 * (int64_t)c->output_width;
	JSAMPARRAY row = NULL;
	JSAMPROW to;

	if (c->out_color_space == JCS_CMYK)
		row = c->mem->alloc_sarray((j_common_ptr)c, JPOOL_IMAGE,
		    c->output_width * 4, 1);
	while (c->output_scanline < c->output_height) {
		to = (uint8_t *)rgb->data + stride * c->output_scanline;
		if (row == NULL) {
			jpeg_read_scanlines(c, &to, 1);
		} else {
			jpeg_read_scanlines(c, row, 1);
			cmyk_row(to, row[0], c->output_width);
		}
	}
}

/* Has a progressive picture had the scans that make all its coefficients exact?
 * What ends between two scans looks as if it lacked its end marker only. */
static bool
all_scans(const struct jpeg_decompress_struct *c)
{
	int i, k;

	for (i = 0; c->coef_bits != NULL && i < c->num_components; i++)
		for (k = 0; k < DCTSIZE2; k++)
			if (c->coef_bits[i][k] != 0)
				return false;
	return true;
}

int
jpeg_decode(struct cb_array *rgb, int *orientation, char **damage,
    const uint8_t *data, const struct input *in, int64_t max_pixels)
{
	struct jpeg_decompress_struct c = { 0 };
	struct jpeg_progress_mgr watch = { .progress_monitor = jpeg_watch };
	struct failure err = { .in = in };
	jpeg_saved_marker_ptr mark;
	int64_t dim[3];

	memset(rgb, 0, sizeof(*rgb));
	*orientation = 1;
	c.err = jpeg_std_error(&err.base);
	err.base.error_exit = jpeg_die;
	err.base.emit_message = jpeg_warn;
	if (setjmp(err.where)) {
		jpeg_destroy_decompress(&c);
		cb_array_clear(rgb);
		return cb_fail(CB_EFORMAT, "%s", err.text);
	}
	jpeg_create_decompress(&c);
	c.progress = &watch;
	jpeg_mem_src(&c, data, in->bytes);
	jpeg_save_markers(&c, JPEG_APP0 + 1, 0xffff);
	jpeg_read_header(&c, TRUE);
	for (mark = c.marker_list; mark != NULL && *orientation == 1;
	    mark = mark->next)
		*orientation = exif_orientation(mark->data, mark->data_length);
	dim[0] = c.image_height;
	dim[1] = c.image_width;
	dim[2] = 3;
	if (image_size_check(dim[1], dim[0], max_pixels) < 0 ||
	    cb_array_init(rgb, CB_U8, 3, dim) < 0) {
		jpeg_destroy_decompress(&c);
		return -1;
	}
	c.out_color_space = c.num_components == 4 ? JCS_CMYK : JCS_RGB;
	jpeg_start_decompress(&c);
	read_rows(rgb, &c);
	err.starved = err.starved || (err.cut && !all_scans(&c));
	jpeg_finish_decompress(&c);
	jpeg_destroy_decompress(&c);
	if (err.starved) {	/* libjpeg fills the rest with gray */
		cb_array_clear(rgb);
		return cb_fail(CB_EFORMAT, "JPEG file ends early");
	}
	if (err.warned[0] != '\0')
		*damage = cb_strf("%s", err.warned);
	return 0;
}

/* ---- what FFmpeg's picture decoders yield ----------------------------------- */

int
image_rgb(struct cb_array *rgb, const AVFrame *f, bool original)
{
	const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(f->format);
	int64_t dim[] = { f->height, f->width, 3 };
	bool pal, gray, mono, clip;
	const uint8_t *entry;
	uint16_t *line;
	uint8_t *to;
	int x, y, c, bits, v;

	if (d == NULL || (d->flags & (AV_PIX_FMT_FLAG_HWACCEL |
	    AV_PIX_FMT_FLAG_FLOAT | AV_PIX_FMT_FLAG_BAYER)))
		return 1;
	pal = d->flags & AV_PIX_FMT_FLAG_PAL;
	gray = d->nb_components <= 2 && !pal;
	mono = f->format == AV_PIX_FMT_MONOWHITE;
	if (!pal && !gray && !(d->flags & AV_PIX_FMT_FLAG_RGB))
		return 1;
	if (cb_array_init(rgb, CB_U8, 3, dim) < 0)
		return -1;
	if ((line = malloc(sizeof(*line) * f->width)) == NULL) {
		cb_array_clear(rgb);
		return cb_fail(CB_ENOMEM, "picture");
	}
	bits = pal ? 8 : d->comp[0].depth;
	clip = original && d->nb_components == 1 && bits == 16;
	for (y = 0; y < f->height; y++) {
		to = (uint8_t *)rgb->data + 3 * (int64_t)f->width * y;
		for (c = 0; c < (gray || pal ? 1 : 3); c++) {
			av_read_image_line2(line, (const uint8_t **)f->data,
			    f->linesize, d, 0, y, c, f->width, 0,
			    sizeof(*line));
			for (x = 0; x < f->width; x++) {
				v = bits >= 8 ? line[x] >> (bits - 8) :
				    line[x] * 255 / ((1 << bits) - 1);
				if (clip)
					v = line[x] < 255 ? line[x] : 255;
				to[3 * x + c] = mono ? 255 - v : v;
			}
		}
		for (x = 0; pal && x < f->width; x++) {
			entry = f->data[1] + 4 * to[3 * x];	/* B G R A */
			to[3 * x] = entry[2];
			to[3 * x + 1] = entry[1];
			to[3 * x + 2] = entry[0];
		}
		for (x = 0; gray && x < f->width; x++)
			to[3 * x + 1] = to[3 * x + 2] = to[3 * x];
	}
	free(line);
	return 0;
}

/*
 * EXIF orientation o of a stored picture: where its row 0 and column 0 belong.
 * From 5 on rows and columns change places.
 */
int
image_turn(struct cb_array *rgb, int o)
{
	int64_t H = rgb->dim[0], W = rgb->dim[1], dim[3], y, x, sy, sx;
	const uint8_t *from = rgb->data, *s;
	struct cb_array out;
	uint8_t *to;

	if (o <= 1 || o > 8)
		return 0;
	dim[0] = o >= 5 ? W : H;
	dim[1] = o >= 5 ? H : W;
	dim[2] = 3;
	if (cb_array_init(&out, CB_U8, 3, dim) < 0)
		return -1;
	to = out.data;
	for (y = 0; y < dim[0]; y++) {
		for (x = 0; x < dim[1]; x++) {
			sy = o >= 5 ? x : y;
			sx = o >= 5 ? y : x;
			if (o == 3 || o == 4 || o == 6 || o == 7)
				sy = H - 1 - sy;
			if (o == 2 || o == 3 || o == 7 || o == 8)
				sx = W - 1 - sx;
			s = from + 3 * (sy * W + sx);
			*to++ = s[0];
			*to++ = s[1];
			*to++ = s[2];
		}
	}
	cb_array_clear(rgb);
	*rgb = out;
	return 0;
}
