/*
 * Writing video files through libavcodec and libavformat, so that the same
 * pictures always give the same bytes: one thread, and FFmpeg's "bitexact"
 * flags, which leave out dates, random ids and versions.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <libavutil/opt.h>
#include <libswscale/swscale.h>

#include "media/private.h"

/* For VP8, cpu-used above 0 means: as well as time allows, which is another
 * file each time. */
const struct cb_film_format cb_film_formats[] = {
	{ "mp4/h264", ".mp4", "mp4", "libx264", AV_PIX_FMT_YUV420P,
	    "preset=ultrafast:crf=22:g=12" },
	{ "webm/vp9", ".webm", "webm", "libvpx-vp9", AV_PIX_FMT_YUV420P,
	    "deadline=realtime:cpu-used=8:crf=24:b=2000000:g=12:"
	    "lag-in-frames=0" },
	{ "avi/mpeg4", ".avi", "avi", "mpeg4", AV_PIX_FMT_YUV420P,
	    "b=1000000:g=12" },
	{ "gif", ".gif", "gif", "gif", AV_PIX_FMT_PAL8, "" },
	{ "mkv/h264", ".mkv", "matroska", "libx264", AV_PIX_FMT_YUV420P,
	    "preset=superfast:crf=22:g=24:bf=2" },
	{ "webm/vp8", ".webm", "webm", "libvpx", AV_PIX_FMT_YUV420P,
	    "deadline=realtime:cpu-used=-8:crf=10:b=2000000:g=12:"
	    "lag-in-frames=0" },
	{ "mp4/mpeg4", ".mp4", "mp4", "mpeg4", AV_PIX_FMT_YUV420P,
	    "b=1000000:g=24:bf=1" },
	{ "mov/mjpeg", ".mov", "mov", "mjpeg", AV_PIX_FMT_YUVJ420P,
	    "b=1500000" },
	{ 0 }
};

struct cb_film {
	char	*path, *url;
	int	 w, h;
	int64_t	 frames;
	AVFormatContext *to;
	AVCodecContext *codec;
	AVStream *stream;
	struct SwsContext *scale;	/* NULL: a palette */
	AVFrame	*frame;
	AVPacket *packet;
	uint8_t	*padded;	/* a picture, and what swscale reads beyond it */
};

void
cb_film_discard(struct cb_film *f)
{
	if (f == NULL)
		return;
	av_packet_free(&f->packet);
	av_frame_free(&f->frame);
	sws_freeContext(f->scale);
	free(f->padded);
	avcodec_free_context(&f->codec);
	if (f->to != NULL)
		avio_closep(&f->to->pb);
	avformat_free_context(f->to);
	free(f->path);
	free(f->url);
	free(f);
}

static int
open_codec(struct cb_film *f, const struct cb_film_format *form, int fps_num,
    int fps_den)
{
	const AVCodec *kind = avcodec_find_encoder_by_name(form->encoder);
	AVDictionary *options = NULL;
	AVCodecContext *c;
	int rc;

	if (kind == NULL)
		return cb_fail(CB_EMISSING, "%s: this FFmpeg has no encoder %s",
		    f->path, form->encoder);
	if ((c = f->codec = avcodec_alloc_context3(kind)) == NULL)
		return cb_fail(CB_ENOMEM, "%s", f->path);
	c->width = f->w;
	c->height = f->h;
	c->pix_fmt = form->pixels;
	c->framerate = (AVRational){ fps_num, fps_den };
	c->time_base = (AVRational){ fps_den, fps_num };
	c->thread_count = 1;
	c->flags |= AV_CODEC_FLAG_BITEXACT;
	if (f->to->oformat->flags & AVFMT_GLOBALHEADER)
		c->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
	rc = av_dict_parse_string(&options, form->options, "=", ":", 0);
	if (rc >= 0)
		rc = avcodec_open2(c, kind, &options);
	if (rc >= 0 && av_dict_count(options) > 0)
		rc = AVERROR_OPTION_NOT_FOUND;
	av_dict_free(&options);
	return av(rc, f->path);
}

static int
open_file(struct cb_film *f)
{
	int rc;

	if ((f->stream = avformat_new_stream(f->to, NULL)) == NULL)
		return cb_fail(CB_ENOMEM, "%s", f->path);
	f->stream->time_base = f->codec->time_base;
	f->stream->avg_frame_rate = f->codec->framerate;
	rc = avcodec_parameters_from_context(f->stream->codecpar, f->codec);
	if (rc >= 0)
		rc = avio_open(&f->to->pb, f->url, AVIO_FLAG_WRITE);
	if (rc >= 0)
		rc = avformat_write_header(f->to, NULL);
	return av(rc, f->path);
}

static int
open_frame(struct cb_film *f)
{
	if ((f->frame = av_frame_alloc()) == NULL ||
	    (f->packet = av_packet_alloc()) == NULL)
		return cb_fail(CB_ENOMEM, "%s", f->path);
	f->frame->width = f->w;
	f->frame->height = f->h;
	f->frame->format = f->codec->pix_fmt;
	if (av(av_frame_get_buffer(f->frame, 0), f->path) < 0)
		return -1;
	if (f->codec->pix_fmt == AV_PIX_FMT_PAL8)
		return 0;
	if ((f->padded = cb_alloc(3LL * f->w * f->h + 64)) == NULL)
		return cb_fail(CB_ENOMEM, "%s", f->path);
	f->scale = sws_getContext(f->w, f->h, AV_PIX_FMT_RGB24, f->w, f->h,
	    f->codec->pix_fmt, SWS_BICUBIC | SWS_ACCURATE_RND | SWS_BITEXACT,
	    NULL, NULL, NULL);
	return f->scale == NULL ? cb_fail(CB_EFORMAT, "%s: no conversion to "
	    "the codec's pixels", f->path) : 0;
}

int
cb_film_open(struct cb_film **out, const char *path,
    const struct cb_film_format *form, int w, int h, int fps_num, int fps_den)
{
	struct cb_film *f;
	int rc = -1;

	av_log_clear();
	if ((f = calloc(1, sizeof(*f))) == NULL)
		return cb_fail(CB_ENOMEM, "%s", path);
	f->path = cb_strf("%s", path);
	f->url = cb_strf("file:%s", path);	/* never a protocol */
	f->w = w;
	f->h = h;
	if (av(avformat_alloc_output_context2(&f->to, NULL, form->muxer, path),
	    path) < 0)
		goto done;
	f->to->flags |= AVFMT_FLAG_BITEXACT;
	if (open_codec(f, form, fps_num, fps_den) < 0 || open_file(f) < 0 ||
	    open_frame(f) < 0)
		goto done;
	*out = f;
	f = NULL;
	rc = 0;
done:
	cb_film_discard(f);
	return rc;
}

/* ---- pictures ----------------------------------------------------------- */

/*
 * 6 x 7 x 6 levels of red, green and blue.  What a level is off is spread over
 * 4 x 4 pixels (ordered dither), which does not flicker from frame to frame.
 */
static void
to_palette(AVFrame *to, const uint8_t *rgb, int w, int h)
{
	static const uint8_t order[4][4] = { { 0, 8, 2, 10 }, { 12, 4, 14, 6 },
	    { 3, 11, 1, 9 }, { 15, 7, 13, 5 } };
	static const int levels[3] = { 6, 7, 6 };
	uint32_t *palette = (uint32_t *)(void *)to->data[1];
	int x, y, c, i;

	memset(palette, 0, 256 * sizeof(*palette));
	for (i = 0; i < 252; i++)
		palette[i] = 0xff000000u | (uint32_t)(i / 42 * 51) << 16 |
		    (uint32_t)(i / 6 % 7 * 85 / 2) << 8 |
		    (uint32_t)(i % 6 * 51);
	for (y = 0; y < h; y++) {
		for (x = 0; x < w; x++, rgb += 3) {
			i = 0;
			for (c = 0; c < 3; c++)
				i = i * levels[c] + (rgb[c] * 16 *
				    (levels[c] - 1) + 255 * order[y % 4][x % 4]
				    + 127) / (16 * 255);
			to->data[0][y * to->linesize[0] + x] = (uint8_t)i;
		}
	}
}

/* Takes what the encoder has ready. */
static int
drain(struct cb_film *f)
{
	int rc;

	while ((rc = avcodec_receive_packet(f->codec, f->packet)) >= 0) {
		f->packet->stream_index = f->stream->index;
		if (f->packet->duration == 0)
			f->packet->duration = 1;
		av_packet_rescale_ts(f->packet, f->codec->time_base,
		    f->stream->time_base);
		if ((rc = av_interleaved_write_frame(f->to, f->packet)) < 0)
			return av(rc, f->path);
	}
	return rc == AVERROR(EAGAIN) || rc == AVERROR_EOF ? 0 :
	    av(rc, f->path);
}

int
cb_film_put(struct cb_film *f, const struct cb_array *rgb)
{
	const uint8_t *from[4] = { f->padded };
	int stride[4] = { 3 * f->w };

	if (av(av_frame_make_writable(f->frame), f->path) < 0)
		return -1;
	if (f->scale == NULL) {
		to_palette(f->frame, rgb->data, f->w, f->h);
	} else {
		memcpy(f->padded, rgb->data, (size_t)cb_array_bytes(rgb));
		sws_scale(f->scale, from, stride, 0, f->h, f->frame->data,
		    f->frame->linesize);
	}
	f->frame->pts = f->frames++;
	if (av(avcodec_send_frame(f->codec, f->frame), f->path) < 0)
		return -1;
	return drain(f);
}

int
cb_film_close(struct cb_film *f)
{
	int rc = av(avcodec_send_frame(f->codec, NULL), f->path);

	if (rc >= 0)
		rc = drain(f);
	if (rc >= 0)
		rc = av(av_write_trailer(f->to), f->path);
	if (rc >= 0)	/* a full disk shows here at the latest */
		rc = av(avio_closep(&f->to->pb), f->path);
	cb_film_discard(f);
	return rc < 0 ? -1 : 0;
}

/* ---- a scene ------------------------------------------------------------ */

int
cb_scene_film(const char *path, const struct cb_scene *s,
    const struct cb_film_format *form, int fps_num, int fps_den, int frames)
{
	struct cb_array ground = { .data = NULL }, rgb = { .data = NULL };
	int64_t dim[3] = { s->h, s->w, 3 };
	struct cb_film *f = NULL;
	int i, rc = -1;

	if (cb_array_init(&ground, CB_U8, 3, dim) < 0 ||
	    cb_array_init(&rgb, CB_U8, 3, dim) < 0 ||
	    cb_film_open(&f, path, form, s->w, s->h, fps_num, fps_den) < 0)
		goto done;
	cb_scene_ground(&ground, s);
	for (i = 0; i < frames; i++) {
		memcpy(rgb.data, ground.data, (size_t)cb_array_bytes(&rgb));
		cb_scene_shapes(&rgb, s, (double)i * fps_den / fps_num);
		if (cb_film_put(f, &rgb) < 0)
			goto done;
	}
	rc = cb_film_close(f);
	f = NULL;
done:
	cb_film_discard(f);
	cb_array_clear(&rgb);
	cb_array_clear(&ground);
	return rc;
}
