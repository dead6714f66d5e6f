/*
 * The file of a video and its packets: the demuxer and the decoder are opened,
 * the packets of the first video stream listed without decoding, and the start
 * is found again.
 */
#include <stdlib.h>
#include <string.h>

#include "media/video.h"

#define MAX_PACKETS (1 << 22)	/* 19 hours of 60 a second */

AVStream *
video_stream(const struct video *v)
{
	return v->fmt->streams[v->stream];
}

void
video_note_damage(struct video *v, const char *fallback)
{
	const char *why = av_log_first();

	if (v->damage == NULL)
		v->damage = cb_strf("%s", why[0] != '\0' ? why : fallback);
}

/* ---- opening ------------------------------------------------------------- */

static int
interrupted(void *opaque)
{
	return input_late(opaque);
}

void
video_file_close(struct video *v)
{
	avcodec_free_context(&v->dec);
	avformat_close_input(&v->fmt);
	input_io_free(&v->io);
	v->pending = v->fresh = false;
}

/*
 * avformat_find_stream_info() decodes too, so the caps must be set for it.  No
 * one will see its pictures: they need not be right.
 */
static int
find_streams(struct video *v)
{
	unsigned n = v->fmt->nb_streams, i;
	AVDictionary **caps;
	int rc;

	if ((caps = calloc(n + 1, sizeof(*caps))) == NULL)
		return AVERROR(ENOMEM);
	for (i = 0; i < n; i++) {
		av_dict_set_int(&caps[i], "max_pixels", v->limits.max_pixels,
		    0);
		av_dict_set(&caps[i], "skip_loop_filter", "all", 0);
	}
	rc = avformat_find_stream_info(v->fmt, caps);
	for (i = 0; i < n; i++)
		av_dict_free(&caps[i]);
	free(caps);
	return rc;
}

/* The first of video; -1: there is none, yet. */
static int
first_stream(const AVFormatContext *fmt)
{
	const AVStream *s;
	unsigned i;

	for (i = 0; i < fmt->nb_streams; i++) {
		s = fmt->streams[i];
		if (s->codecpar->codec_type == AVMEDIA_TYPE_VIDEO &&
		    !(s->disposition & AV_DISPOSITION_ATTACHED_PIC))
			return (int)i;
	}
	return -1;
}

static int
choose_stream(struct video *v)
{
	unsigned i;

	v->stream = first_stream(v->fmt);
	if (v->stream < 0)
		return cb_fail(CB_EFORMAT, "%s: no video stream", v->name);
	for (i = 0; i < v->fmt->nb_streams; i++)
		if ((int)i != v->stream)
			v->fmt->streams[i]->discard = AVDISCARD_ALL;
	return 0;
}

/*
 * Is the header of an MP4 file with H.264 enough?  avformat_find_stream_info()
 * decodes its first frames, for as long as all of the rest takes where these
 * are large, to find what stands there already, but for the delay of the
 * decoder, which then is one guessed from the times of the packets.  So frames
 * may come late or out of order, though not otherwise than they would: who
 * finds them so has to open thoroughly.
 */
static bool
header_tells(struct video *v)
{
	const AVCodecParameters *par;
	const AVStream *s;

	v->stream = first_stream(v->fmt);
	if (v->stream < 0 || strncmp(v->fmt->iformat->name, "mov,", 4) != 0)
		return false;
	s = video_stream(v);
	par = s->codecpar;
	return par->codec_id == AV_CODEC_ID_H264 && par->extradata_size > 0 &&
	    s->nb_frames > 0 && s->duration != AV_NOPTS_VALUE &&
	    s->avg_frame_rate.num > 0 && s->avg_frame_rate.den > 0;
}

/* With the first packet in v->pkt, pending: has it the size of the header? */
static bool
size_tells(struct video *v)
{
	const AVCodecParameters *par = video_stream(v)->codecpar;
	const AVCodecParserContext *p;

	v->pending = video_packet_read(v) > 0;
	v->cur = 0;
	p = av_stream_get_parser(video_stream(v));
	return v->pending && v->pkt->flags & AV_PKT_FLAG_KEY && p != NULL &&
	    p->width == par->width && p->height == par->height;
}

/*
 * One thread: the result is the same with more, but training has a process
 * for each core already.
 */
static int
open_decoder(struct video *v)
{
	const AVCodecParameters *par = video_stream(v)->codecpar;
	const AVCodec *codec = avcodec_find_decoder(par->codec_id);

	if (codec == NULL)
		return cb_fail(CB_EFORMAT, "%s: no decoder for %s", v->name,
		    avcodec_get_name(par->codec_id));
	if ((v->dec = avcodec_alloc_context3(codec)) == NULL ||
	    avcodec_parameters_to_context(v->dec, par) < 0)
		return cb_fail(CB_ENOMEM, "%s", v->name);
	v->dec->pkt_timebase = video_stream(v)->time_base;
	v->dec->thread_count = 1;
	v->dec->max_pixels = v->limits.max_pixels;
	return av(avcodec_open2(v->dec, codec, NULL), v->name);
}

/* Up to the header. */
static int
open_format(struct video *v)
{
	int rc;

	av_log_clear();
	if (av(input_io(&v->io, v->in), v->name) < 0)
		return -1;
	if ((v->fmt = avformat_alloc_context()) == NULL)
		return cb_fail(CB_ENOMEM, "%s", v->name);
	v->fmt->pb = v->io;
	v->fmt->flags |= AVFMT_FLAG_GENPTS;
	v->fmt->interrupt_callback.callback = interrupted;
	v->fmt->interrupt_callback.opaque = v->in;
	/* a playlist must not open other files */
	v->fmt->protocol_whitelist = av_strdup("none");
	rc = avformat_open_input(&v->fmt, NULL, NULL, NULL);
	if (rc == AVERROR_INVALIDDATA && av_log_count() == 0)
		return cb_fail(CB_EFORMAT, "%s: neither a video nor a picture",
		    v->name);
	return av(rc, v->name);
}

/* From nothing to the first packet not yet read. */
int
video_file_open(struct video *v)
{
	v->cur = 0;
	if (open_format(v) < 0)
		return -1;
	if (!v->thorough && header_tells(v)) {
		if (choose_stream(v) < 0)
			return -1;
		if (!size_tells(v)) {
			video_file_close(v);
			v->thorough = true;
			return video_file_open(v);
		}
	} else {
		v->thorough = true;
		if (av(find_streams(v), v->name) < 0 || choose_stream(v) < 0)
			return -1;
	}
	if (open_decoder(v) < 0)
		return -1;
	v->counted = 0;
	v->drained = false;
	v->fresh = true;
	if (v->hint == NULL && av_log_first()[0] != '\0')
		v->hint = cb_strf("%s", av_log_first());
	av_log_clear();
	return 0;
}

/* ---- packets ------------------------------------------------------------- */

/* The next packet of the stream into v->pkt: 1, 0 at the end, or -1. */
int
video_packet_read(struct video *v)
{
	int rc;

	if (v->pending) {
		v->pending = false;
		v->cur++;
		return 1;
	}
	for (;;) {
		av_packet_unref(v->pkt);
		if (input_late(v->in))
			return av(AVERROR_EXIT, v->name);
		rc = av_read_frame(v->fmt, v->pkt);
		if (rc == AVERROR_EXIT)
			return av(rc, v->name);
		if (rc < 0 && rc != AVERROR_EOF)
			video_note_damage(v, "cannot be read to its end");
		if (rc < 0)
			return 0;
		if (v->pkt->stream_index == v->stream)
			break;
	}
	v->cur++;
	return 1;
}

/*
 * VP8 codes pictures that are only referred to as packets of their own; a bit
 * in the first byte says so (RFC 6386, section 9.1).  What edit lists hide comes
 * all the same where FFmpeg leaves all to a library, as it does AV1.
 */
static bool
is_hidden(const struct video *v)
{
	enum AVCodecID id = video_stream(v)->codecpar->codec_id;

	if (v->pkt->flags & AV_PKT_FLAG_DISCARD)
		return id != AV_CODEC_ID_AV1;
	return id == AV_CODEC_ID_VP8 && v->pkt->size > 0 &&
	    !(v->pkt->data[0] & 0x10);
}

int
video_list_packets(struct video *v)
{
	struct packet *more, *p;
	int room = 0, rc;

	while ((rc = video_packet_read(v)) > 0) {
		if (v->npackets == MAX_PACKETS)
			return cb_fail(CB_ELIMIT, "%s: more than %d packets",
			    v->name, MAX_PACKETS);
		if (v->npackets == room) {
			room = room > 0 ? 2 * room : 256;
			more = realloc(v->packets, sizeof(*more) * room);
			if (more == NULL)
				return cb_fail(CB_ENOMEM, "%s", v->name);
			v->packets = more;
		}
		p = &v->packets[v->npackets++];
		p->pts = v->pkt->pts;
		p->dts = v->pkt->dts;
		p->pos = v->pkt->pos;
		p->size = v->pkt->size;
		p->key = v->pkt->flags & AV_PKT_FLAG_KEY;
		p->hidden = is_hidden(v);
		if (video_order_packet(v, p) < 0)
			return -1;
	}
	return rc;
}

/* ---- back to the start --------------------------------------------------- */

/*
 * Formats with a table of packets can be wound back; others open again.  The
 * decoder is a new one: flushed, that of MPEG-4 would take times for those behind
 * what it has seen, and leave out B-frames.
 */
static bool
wind_back(struct video *v)
{
	const char *f = v->fmt->iformat->name;
	int64_t ts;

	if (v->npackets == 0 ||
	    (strncmp(f, "mov,", 4) != 0 && strncmp(f, "matroska", 8) != 0))
		return false;
	ts = v->packets[0].dts != AV_NOPTS_VALUE ? v->packets[0].dts :
	    v->packets[0].pts;
	if (av_seek_frame(v->fmt, v->stream, ts, AVSEEK_FLAG_BACKWARD) < 0)
		return false;
	avcodec_free_context(&v->dec);
	if (open_decoder(v) < 0)
		return false;
	v->pending = false;
	v->cur = -1;
	if (video_packet_read(v) <= 0 || v->pkt->pts != v->packets[0].pts)
		return false;
	v->pending = true;
	v->counted = 0;
	v->drained = false;
	v->fresh = true;
	return true;
}

int
video_to_start(struct video *v)
{
	/* it is closed if it could not be opened again before */
	if (v->fmt != NULL && v->thorough && (v->fresh || wind_back(v)))
		return 0;
	v->thorough = true;
	video_file_close(v);
	return video_file_open(v);
}
