/*
 * Frames of a video in the order in which they come: packets into the decoder,
 * pictures out of it, their numbers, and their conversion to RGB.  Damaged ones
 * are noted and passed over.
 */
#include <stdlib.h>
#include <string.h>

#include <libavutil/pixdesc.h>

#include "media/video.h"

#define DRAIN_TRIES 256		/* damaged pictures at the end of a file */
#define RGB_SLACK 64		/* libswscale may write past the last row */

/* Gives one packet to the decoder; a damaged one is passed over. */
static int
feed(struct video *v)
{
	int rc;

	v->fresh = false;
	if ((rc = video_packet_read(v)) < 0)
		return -1;
	if (rc == 0) {
		v->drained = true;
		avcodec_send_packet(v->dec, NULL);
		return 0;
	}
	v->fed++;
	rc = avcodec_send_packet(v->dec, v->pkt);
	if (rc == AVERROR(ENOMEM))
		return av(rc, v->name);
	if (rc < 0 && rc != AVERROR_EOF)
		video_note_damage(v, "damaged packet");
	return 0;
}

/* A decoded frame out of the decoder: 1, 0 if it wants more, -1 at the end. */
static int
take(struct video *v)
{
	int rc, tries;

	/* when drained the next may be good, but not for ever */
	for (tries = 0; tries < DRAIN_TRIES; tries++) {
		rc = avcodec_receive_frame(v->dec, v->frame);
		if (rc == AVERROR(EAGAIN))
			return v->drained ? -1 : 0;
		if (rc == AVERROR_EOF)
			return -1;
		if (rc >= 0)
			return 1;
		video_note_damage(v, "damaged picture");
		if (!v->drained)
			return 0;
	}
	return -1;
}

/* Number of the frame with a time, or of the last one before it. */
int64_t
video_number_of(const struct video *v, int64_t pts)
{
	int64_t lo = 0, hi = v->info->frames, mid, at;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		at = v->by_time != NULL ? v->by_time[mid] : mid;
		if (v->info->pts[at] <= pts)
			lo = mid + 1;
		else
			hi = mid;
	}
	lo = lo > 0 ? lo - 1 : 0;
	return v->by_time != NULL ? v->by_time[lo] : lo;
}

/* The next frame of the plain way: 1, 0 at the end, -1. */
int
video_decode(struct video *v)
{
	int rc;

	while ((rc = take(v)) <= 0) {
		if (rc < 0)
			return 0;
		if (feed(v) < 0)
			return -1;
	}
	v->pts = v->frame->pts;
	if (v->pts == AV_NOPTS_VALUE)
		v->pts = v->frame->best_effort_timestamp;
	if (v->pts == AV_NOPTS_VALUE)
		v->pts = v->counted;
	v->index = v->exact ? video_number_of(v, v->pts) : v->counted;
	v->counted++;
	return 1;
}

/* Memory for a picture, not zeroed: all of it will be written. */
static uint8_t *
picture_alloc(int64_t bytes)
{
	return aligned_alloc(64, FFALIGN(bytes + RGB_SLACK, 64));
}

/*
 * To RGB as the README of the samples states it: bilinear, no other flag, rows
 * aligned to 16 bytes while libswscale writes them, and with room for whole
 * eights of pixels: it leaves out the last eight where a row has no room for all
 * of them.  Most widths are such that these are the rows of the picture itself.
 */
static int
to_rgb(struct video *v, struct cb_array *rgb, const AVFrame *f)
{
	int64_t row = 3 * (int64_t)f->width;
	uint8_t *data[4] = { NULL }, *own;
	struct SwsContext *sws;
	int stride[4] = { FFALIGN(3 * FFALIGN(f->width, 8), 16) }, y;

	if (image_size_check(f->width, f->height, v->limits.max_pixels) < 0)
		return cb_fail_at("%s", v->name);
	if (v->info->image) {
		if ((y = image_rgb(rgb, f, v->limits.original)) <= 0)
			return y < 0 ? cb_fail_at("%s", v->name) : 0;
	}
	if ((sws = scaler_for(&v->scaler, f)) == NULL)
		return cb_fail(CB_EFORMAT, "%s: pixel format %s cannot be "
		    "converted", v->name, av_get_pix_fmt_name(f->format));
	own = picture_alloc(row * f->height);
	data[0] = stride[0] == row ? own :
	    picture_alloc((int64_t)stride[0] * f->height);
	if (own == NULL || data[0] == NULL)
		goto nomem;
	y = sws_scale(sws, (const uint8_t *const *)f->data, f->linesize, 0,
	    f->height, data, stride);
	if (y != f->height)	/* never what lay in memory before */
		memset(data[0], 0, (size_t)stride[0] * f->height);
	for (y = 0; data[0] != own && y < f->height; y++)
		memcpy(own + row * y, data[0] + (int64_t)stride[0] * y, row);
	if (data[0] != own)
		free(data[0]);
	*rgb = (struct cb_array){ .type = CB_U8, .rank = 3,
	    .dim = { f->height, f->width, 3 }, .data = own };
	return 0;
nomem:
	if (data[0] != own)
		free(data[0]);
	free(own);
	return cb_fail(CB_ENOMEM, "%s", v->name);
}

int
video_make_frame(struct cb_frame **out, struct video *v, const AVFrame *f,
    int64_t index, int64_t pts)
{
	struct cb_frame *c;

	if ((c = calloc(1, sizeof(*c))) == NULL)
		return cb_fail(CB_ENOMEM, "%s", v->name);
	c->refs = 1;
	c->index = index;
	c->pts_s = (double)pts * v->info->tb_num / v->info->tb_den;
	if (to_rgb(v, &c->rgb, f) < 0 ||
	    image_turn(&c->rgb, v->orientation) < 0) {
		cb_frame_free(c);
		return -1;
	}
	*out = c;
	return 0;
}

void
video_rewind(struct video *v)
{
	v->begun = false;
}

int
video_next(struct video *v, struct cb_frame **out)
{
	int rc;

	if (!v->begun) {
		/* opened by another thread, perhaps: its log is not ours */
		av_log_clear();
		v->next = 0;
		if (v->nkept < v->info->frames && video_to_start(v) < 0)
			return -1;
		v->begun = true;
	}
	if (v->nkept == v->info->frames) {
		if (v->next == v->nkept)
			return 0;
		rc = video_make_frame(out, v, v->kept[v->next], v->next,
		    v->info->pts[v->next]);
		v->next++;
		return rc < 0 ? -1 : 1;
	}
	if ((rc = video_decode(v)) <= 0)
		return rc;
	return video_make_frame(out, v, v->frame, v->index, v->pts) < 0 ?
	    -1 : 1;
}
