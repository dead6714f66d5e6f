/*
 * Videos through FFmpeg.
 *
 * Opening looks through all packets of the first video stream (demux.c),
 * without decoding, and numbers the frames by them (list.c).  A frame can then
 * be found after a seek by its time alone: the file is *exact*.  Where that does
 * not hold opening decodes the whole file once, and nothing is ever sought in
 * it; wanted frames are brought by fetch.c.
 */
#include <stdlib.h>
#include <string.h>

#include <libavutil/display.h>

#include "media/video.h"

/* Stills come from demuxers that know no time, or as a video of one picture. */
static bool
is_image(const struct video *v)
{
	const char *f = v->fmt->iformat->name;
	size_t n = strlen(f);

	if (strcmp(f, "image2") == 0 || strcmp(f, "ico") == 0 ||
	    (n > 5 && strcmp(f + n - 5, "_pipe") == 0))
		return true;
	return v->npackets == 1 &&
	    (strcmp(f, "gif") == 0 || strcmp(f, "apng") == 0);
}

/*
 * What the frames span.  The header is believed where at least 0.8 of its
 * duration is filled, which is the original's own rule.
 */
static double
span(const struct cb_media_info *i)
{
	int64_t lo = INT64_MAX, hi = INT64_MIN, k;
	double last, width;

	for (k = 0; k < i->frames; k++) {
		lo = i->pts[k] < lo ? i->pts[k] : lo;
		hi = i->pts[k] > hi ? i->pts[k] : hi;
	}
	if (i->frames == 0)
		return 0;
	width = (double)hi - (double)lo;
	last = i->frames > 1 ? width / (double)(i->frames - 1) :
	    i->fps > 0 ? i->tb_den / (i->fps * i->tb_num) : 1;
	if (i->header_duration > width &&
	    width + last >= 0.8 * (double)i->header_duration)
		return (double)i->header_duration;
	return width + last;
}

static void
fill_info(struct video *v)
{
	AVStream *s = video_stream(v);
	struct cb_media_info *i = v->info;
	const int32_t *matrix;
	double turn;

	snprintf(i->format, sizeof(i->format), "%s", v->fmt->iformat->name);
	snprintf(i->codec, sizeof(i->codec), "%s",
	    avcodec_get_name(s->codecpar->codec_id));
	i->w = s->codecpar->width;
	i->h = s->codecpar->height;
	i->tb_num = s->time_base.num;
	i->tb_den = s->time_base.den;
	if (s->avg_frame_rate.num > 0 && s->avg_frame_rate.den > 0)
		i->fps = av_q2d(s->avg_frame_rate);
	i->header_frames = s->nb_frames;
	i->header_duration = s->duration == AV_NOPTS_VALUE ? -1 : s->duration;
	i->image = is_image(v);
	matrix = (const int32_t *)(void *)av_stream_get_side_data(s,
	    AV_PKT_DATA_DISPLAYMATRIX, NULL);
	if (v->limits.upright && matrix != NULL) {
		turn = av_display_rotation_get(matrix);	/* anticlockwise */
		v->orientation = turn > 45 && turn < 135 ? 8 :
		    turn < -45 && turn > -135 ? 6 :
		    turn > 135 || turn < -135 ? 3 : 1;
	}
	if (v->orientation >= 5) {
		i->w = s->codecpar->height;
		i->h = s->codecpar->width;
	}
}

/*
 * What FFmpeg complained of while the file was opened and its packets were read.
 * A stream that begins in the middle is complained of as a matter of course.
 */
static void
check_complaints(struct video *v)
{
	if (v->damage == NULL && av_log_count() > 0)
		video_note_damage(v, "damaged");
	if (v->damage == NULL && v->hint != NULL && v->npackets > 0 &&
	    v->packets[0].key)
		v->damage = cb_strf("%s", v->hint);
}

/* A GIF file ends with this byte; zeros may follow. */
static void
check_gif(struct video *v)
{
	uint8_t tail[64];
	int n = v->in->bytes < 64 ? (int)v->in->bytes : 64;

	if (strcmp(v->fmt->iformat->name, "gif") != 0 || v->damage != NULL ||
	    input_at(v->in, tail, n, v->in->bytes - n) != n)
		return;
	while (n > 1 && tail[n - 1] == 0)
		n--;
	if (tail[n - 1] != 0x3b)
		v->damage = cb_strf("GIF file ends early");
}

/* A file that was cut often says nothing else.  Counts in headers are off by
 * one now and then, so a tenth must be missing. */
static void
check_whole(struct video *v)
{
	int64_t says = v->info->header_frames;

	if (v->damage == NULL && v->npackets > 0 &&
	    (double)v->npackets < 0.9 * (double)says && says > 1)
		v->damage = cb_strf("holds %d of the %lld frames that its "
		    "header states", v->npackets, (long long)says);
}

int
video_open(struct video **out, struct input *in, const char *name,
    const struct cb_media_limits *limits, struct cb_media_info *info)
{
	struct video *v;
	int rc = -1;

	if ((v = calloc(1, sizeof(*v))) == NULL)
		return cb_fail(CB_ENOMEM, "%s", name);
	v->in = in;
	v->name = cb_strf("%s", name);
	v->limits = *limits;
	v->info = info;
	v->orientation = 1;
	v->pkt = av_packet_alloc();
	v->frame = av_frame_alloc();
	if (v->pkt == NULL || v->frame == NULL) {
		cb_fail(CB_ENOMEM, "%s", name);
		goto done;
	}
	if (video_file_open(v) < 0)
		goto done;
	fill_info(v);
	if (info->w > 0 && info->h > 0 &&
	    image_size_check(info->w, info->h, limits->max_pixels) < 0) {
		cb_fail_at("%s", name);
		goto done;
	}
	v->fresh = false;
	if (video_list_packets(v) < 0)
		goto done;
	info->image = is_image(v);
	if (!info->image) {
		check_whole(v);
		check_complaints(v);
	}
	check_gif(v);
	if (video_list_frames(v) < 0)
		goto done;
	info->duration_s = info->image ? 0 :
	    span(info) * info->tb_num / info->tb_den;
	if (info->frames == 0) {
		cb_fail(CB_EFORMAT, "%s: %s", name, v->damage != NULL ?
		    v->damage : v->hint != NULL ? v->hint :
		    "holds no picture");
		goto done;
	}
	*out = v;
	v = NULL;
	rc = 0;
done:
	video_close(v);
	return rc;
}

void
video_close(struct video *v)
{
	if (v == NULL)
		return;
	video_kept_free(v);
	video_order_close(v);
	video_file_close(v);
	scaler_free(&v->scaler);
	av_packet_free(&v->pkt);
	av_frame_free(&v->frame);
	free(v->packets);
	free(v->by_time);
	free(v->damage);
	free(v->hint);
	free(v->name);
	free(v);
}

const char *
video_damage(const struct video *v)
{
	return v->damage;
}

int64_t
video_fed(const struct video *v)
{
	return v->fed;
}
