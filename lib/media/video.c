/*
 * Videos through FFmpeg.
 *
 * Opening looks through all packets of the first video stream, without
 * decoding.  In a sane file each packet is one frame, so the sorted times of
 * the packets number the frames, and a frame can be found after a seek by its
 * time alone: the file is *exact*.  Where that does not hold (AVI with
 * B-frames, where times are made up; a stream that begins in the middle of a
 * group of pictures; packets without times) opening decodes the whole file once
 * for the list of times, and nothing is ever sought in it.
 *
 * Fetching wanted frames first tries the short way: seek to the key frame
 * before each wanted one, skip pictures that no other depends on, stop after
 * the last.  Whatever is not exactly as the list of packets promised (a frame
 * that does not come, an error of the decoder) ends that way, and the plain
 * way, which defines what the right answer is, decodes from the start.
 */
#include <stdlib.h>
#include <string.h>

#include <libavutil/display.h>
#include <libavutil/imgutils.h>
#include <libavutil/opt.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>

#include "media/private.h"

#define MAX_PACKETS (1 << 23)
#define DRAIN_TRIES 256		/* damaged pictures at the end of a file */
#define SEEK_READS 4096		/* packets to pass over after a seek */
#define RGB_SLACK 64		/* libswscale may write past the last row */

struct packet {
	int64_t	 pts, dts;
	bool	 key, hidden;
};

struct video {
	struct input *in;
	char	*name;
	struct cb_media_limits limits;
	struct cb_media_info *info;
	AVIOContext *io;
	AVFormatContext *fmt;
	AVCodecContext *dec;
	struct SwsContext *sws;
	AVPacket *pkt;
	AVFrame	*frame;
	int	 stream, orientation;
	struct packet *packets;	/* in the order of the file */
	int	 npackets;
	bool	 exact;
	int	 cur;		/* number of the next packet */
	bool	 pending;	/* pkt holds it already */
	bool	 drained;	/* no more packets for the decoder */
	bool	 fresh;		/* at the start, nothing decoded */
	int64_t	 counted;	/* frames that came out since the start */
	int64_t	 fed;		/* packets given to the decoder */
	int64_t	 index, pts;	/* of frame */
	char	*damage;
	char	*hint;		/* what FFmpeg complained of while opening */
};

static AVStream *
stream_of(const struct video *v)
{
	return v->fmt->streams[v->stream];
}

static void
note_damage(struct video *v, const char *fallback)
{
	const char *why = av_log_first();

	if (v->damage == NULL)
		v->damage = cb_strf("%s", why[0] != '\0' ? why : fallback);
}

/* ---- opening ----------------------------------------------------------------- */

static int
interrupted(void *opaque)
{
	return input_late(opaque);
}

static void
close_file(struct video *v)
{
	avcodec_free_context(&v->dec);
	avformat_close_input(&v->fmt);
	input_io_free(&v->io);
	v->pending = false;
}

/* avformat_find_stream_info() decodes too, so the caps must be set for it. */
static int
find_streams(struct video *v)
{
	unsigned n = v->fmt->nb_streams, i;
	AVDictionary **caps;
	int rc;

	if ((caps = calloc(n + 1, sizeof(*caps))) == NULL)
		return AVERROR(ENOMEM);
	for (i = 0; i < n; i++)
		av_dict_set_int(&caps[i], "max_pixels", v->limits.max_pixels,
		    0);
	rc = avformat_find_stream_info(v->fmt, caps);
	for (i = 0; i < n; i++)
		av_dict_free(&caps[i]);
	free(caps);
	return rc;
}

static int
choose_stream(struct video *v)
{
	unsigned i;

	v->stream = -1;
	for (i = 0; i < v->fmt->nb_streams; i++) {
		AVStream *s = v->fmt->streams[i];

		if (v->stream < 0 &&
		    s->codecpar->codec_type == AVMEDIA_TYPE_VIDEO &&
		    !(s->disposition & AV_DISPOSITION_ATTACHED_PIC))
			v->stream = (int)i;
		else
			s->discard = AVDISCARD_ALL;
	}
	if (v->stream < 0)
		return cb_fail(CB_EFORMAT, "%s: no video stream", v->name);
	return 0;
}

/*
 * One thread: the result is the same with more, but training has a process
 * for each core already.
 */
static int
open_decoder(struct video *v)
{
	const AVCodecParameters *par = stream_of(v)->codecpar;
	const AVCodec *codec = avcodec_find_decoder(par->codec_id);

	if (codec == NULL)
		return cb_fail(CB_EFORMAT, "%s: no decoder for %s", v->name,
		    avcodec_get_name(par->codec_id));
	if ((v->dec = avcodec_alloc_context3(codec)) == NULL ||
	    avcodec_parameters_to_context(v->dec, par) < 0)
		return cb_fail(CB_ENOMEM, "%s", v->name);
	v->dec->pkt_timebase = stream_of(v)->time_base;
	v->dec->thread_count = 1;
	v->dec->max_pixels = v->limits.max_pixels;
	return av(avcodec_open2(v->dec, codec, NULL), v->name);
}

/* From nothing to the first packet not yet read. */
static int
open_file(struct video *v)
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
	if (av(rc, v->name) < 0 || av(find_streams(v), v->name) < 0)
		return -1;
	if (choose_stream(v) < 0 || open_decoder(v) < 0)
		return -1;
	v->cur = 0;
	v->counted = 0;
	v->drained = false;
	v->fresh = true;
	if (v->hint == NULL && av_log_first()[0] != '\0')
		v->hint = cb_strf("%s", av_log_first());
	av_log_clear();
	return 0;
}

/* ---- packets ------------------------------------------------------------------ */

/* The next packet of the stream into v->pkt: 1, 0 at the end, or -1. */
static int
read_packet(struct video *v)
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
			note_damage(v, "cannot be read to its end");
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
 * in the first byte says so (RFC 6386, section 9.1).
 */
static bool
is_hidden(const struct video *v)
{
	if (v->pkt->flags & AV_PKT_FLAG_DISCARD)
		return true;
	return stream_of(v)->codecpar->codec_id == AV_CODEC_ID_VP8 &&
	    v->pkt->size > 0 && !(v->pkt->data[0] & 0x10);
}

static int
list_packets(struct video *v)
{
	struct packet *more, *p;
	int room = 0, rc;

	while ((rc = read_packet(v)) > 0) {
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
		p->key = v->pkt->flags & AV_PKT_FLAG_KEY;
		p->hidden = is_hidden(v);
	}
	return rc;
}

static int
by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

/* Sorted times of the packets into info->pts; decides whether they are exact. */
static int
list_times(struct video *v)
{
	enum AVCodecID id = stream_of(v)->codecpar->codec_id;
	const AVCodecDescriptor *d = avcodec_descriptor_get(id);
	bool reorders = d == NULL || (d->props & AV_CODEC_PROP_REORDER);
	int64_t *pts, n = 0;
	int i;

	if ((pts = malloc(sizeof(*pts) * (v->npackets + 1))) == NULL)
		return cb_fail(CB_ENOMEM, "%s", v->name);
	v->exact = v->npackets > 0 && v->packets[0].key &&
	    !(reorders && strcmp(v->fmt->iformat->name, "avi") == 0);
	for (i = 0; i < v->npackets; i++) {
		if (v->packets[i].pts == AV_NOPTS_VALUE)
			v->exact = false;
		else if (!v->packets[i].hidden)
			pts[n++] = v->packets[i].pts;
	}
	qsort(pts, n, sizeof(*pts), by_value);
	for (i = 1; i < n; i++)
		if (pts[i] == pts[i - 1])
			v->exact = false;
	v->info->pts = pts;
	v->info->frames = n;
	return 0;
}

/* ---- back to the start ---------------------------------------------------------- */

/* Formats with a table of packets can be wound back; others open again. */
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
	avcodec_flush_buffers(v->dec);
	v->pending = false;
	v->cur = -1;
	if (read_packet(v) <= 0 || v->pkt->pts != v->packets[0].pts)
		return false;
	v->pending = true;
	v->counted = 0;
	v->drained = false;
	v->fresh = true;
	return true;
}

static int
to_start(struct video *v)
{
	if (v->fresh || wind_back(v))
		return 0;
	close_file(v);
	return open_file(v);
}

/* ---- frames ---------------------------------------------------------------------- */

/* Gives one packet to the decoder; a damaged one is passed over. */
static int
feed(struct video *v)
{
	int rc;

	v->fresh = false;
	if ((rc = read_packet(v)) < 0)
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
		note_damage(v, "damaged packet");
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
		note_damage(v, "damaged picture");
		if (!v->drained)
			return 0;
	}
	return -1;
}

/* Number of the frame with a time, or of the last one before it. */
static int64_t
number_of(const struct video *v, int64_t pts)
{
	int64_t lo = 0, hi = v->info->frames, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (v->info->pts[mid] <= pts)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo > 0 ? lo - 1 : 0;
}

/* The next frame of the plain way: 1, 0 at the end, -1. */
static int
decode(struct video *v)
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
	v->index = v->exact ? number_of(v, v->pts) : v->counted;
	v->counted++;
	return 1;
}

/* The list of times the hard way. */
static int
list_by_decoding(struct video *v)
{
	int64_t *pts = NULL, *more, n = 0, room = 0;
	int rc;

	if (to_start(v) < 0)
		return -1;
	while ((rc = decode(v)) > 0) {
		if (n == room) {
			room = room > 0 ? 2 * room : 256;
			more = realloc(pts, sizeof(*pts) * room);
			if (more == NULL) {
				free(pts);
				return cb_fail(CB_ENOMEM, "%s", v->name);
			}
			pts = more;
		}
		pts[n++] = v->pts;
	}
	if (rc < 0) {
		free(pts);
		return -1;
	}
	free(v->info->pts);
	v->info->pts = pts;
	v->info->frames = n;
	return 0;
}

/* Memory for a picture, not zeroed: all of it will be written. */
static uint8_t *
picture_alloc(int64_t bytes)
{
	return aligned_alloc(64, FFALIGN(bytes + RGB_SLACK, 64));
}

/*
 * To RGB as the README of the samples states it: bilinear, no other flag, rows
 * aligned to 16 bytes while libswscale writes them.  Most widths are such that
 * these are the rows of the picture itself.
 */
static int
to_rgb(struct video *v, struct cb_array *rgb, const AVFrame *f)
{
	int64_t row = 3 * (int64_t)f->width;
	uint8_t *data[4] = { NULL }, *own;
	int stride[4] = { FFALIGN(row, 16) }, y;

	if (image_size_check(f->width, f->height, v->limits.max_pixels) < 0)
		return cb_fail_at("%s", v->name);
	if (v->info->image) {
		if ((y = image_rgb(rgb, f)) <= 0)
			return y < 0 ? cb_fail_at("%s", v->name) : 0;
	}
	v->sws = sws_getCachedContext(v->sws, f->width, f->height, f->format,
	    f->width, f->height, AV_PIX_FMT_RGB24, SWS_BILINEAR, NULL, NULL,
	    NULL);
	if (v->sws == NULL)
		return cb_fail(CB_EFORMAT, "%s: pixel format %s cannot be "
		    "converted", v->name, av_get_pix_fmt_name(f->format));
	own = picture_alloc(row * f->height);
	data[0] = stride[0] == row ? own :
	    picture_alloc((int64_t)stride[0] * f->height);
	if (own == NULL || data[0] == NULL)
		goto nomem;
	y = sws_scale(v->sws, (const uint8_t *const *)f->data, f->linesize, 0,
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

static int
make_frame(struct cb_frame **out, struct video *v, const AVFrame *f,
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

int
video_next(struct video *v, struct cb_frame **out)
{
	int rc;

	/* opened by another thread, perhaps: its log is not this one's */
	if (v->fresh)
		av_log_clear();
	if ((rc = decode(v)) <= 0)
		return rc;
	return make_frame(out, v, v->frame, v->index, v->pts) < 0 ? -1 : 1;
}

/* ---- fetching: the short way ------------------------------------------------------ */

/* Number of the key packet to start from for a time; -1: there is none. */
static int
key_before(const struct video *v, int64_t pts)
{
	int i, at = v->npackets - 1;

	for (i = 0; i < v->npackets; i++)
		if (v->packets[i].pts == pts && !v->packets[i].hidden)
			at = i;
	for (i = at; i >= 0; i--)
		if (v->packets[i].key && v->packets[i].pts <= pts)
			return i;
	return -1;
}

/* Leaves the packet number k pending; false: did not get there. */
static bool
seek_packet(struct video *v, int k)
{
	const struct packet *p = &v->packets[k];
	int64_t ts[2] = { p->pts, p->dts };
	int i, n;

	for (i = 0; i < 2; i++) {
		if (ts[i] == AV_NOPTS_VALUE)
			continue;
		v->pending = false;
		if (av_seek_frame(v->fmt, v->stream, ts[i],
		    AVSEEK_FLAG_BACKWARD) < 0)
			continue;
		for (n = 0; n < SEEK_READS; n++) {
			if (read_packet(v) <= 0)
				break;
			if (v->pkt->pts == p->pts) {
				v->cur = k;
				v->pending = true;
				avcodec_flush_buffers(v->dec);
				return true;
			}
			if (p->dts != AV_NOPTS_VALUE && v->pkt->dts > p->dts)
				break;
		}
	}
	return false;
}

/*
 * The first packet of an H.264 stream may carry a note of its encoder, which
 * the decoder needs to work around old encoders' faults (cockatoo.mp4); a
 * seek would miss it.  No slice is decoded.
 */
static void
read_preamble(struct video *v)
{
	if (stream_of(v)->codecpar->codec_id != AV_CODEC_ID_H264 ||
	    read_packet(v) <= 0)
		return;
	v->fresh = false;
	v->dec->skip_frame = AVDISCARD_ALL;
	avcodec_send_packet(v->dec, v->pkt);
	v->dec->skip_frame = AVDISCARD_DEFAULT;
	avcodec_flush_buffers(v->dec);
}

static bool
is_wanted(const struct video *v, const int64_t *want, int n, int64_t pts)
{
	int64_t index = number_of(v, pts);

	return v->info->pts[index] == pts &&
	    bsearch(&index, want, n, sizeof(*want), by_value) != NULL;
}

/*
 * Feeds one packet, without slices that nobody needs.  from: time of the key
 * packet last sought; what precedes it in time cannot be right and may
 * complain.  False: leave the short way.
 */
static bool
feed_wanted(struct video *v, const int64_t *want, int n, int64_t from)
{
	int64_t pts;
	bool early;
	int rc;

	v->fresh = false;
	if (!v->pending && read_packet(v) <= 0) {
		v->drained = true;
		return avcodec_send_packet(v->dec, NULL) == 0;
	}
	if (v->pending) {
		v->pending = false;
		v->cur++;
	}
	pts = v->pkt->pts;
	if (v->cur > v->npackets || pts != v->packets[v->cur - 1].pts)
		return false;
	early = pts < from;
	v->dec->skip_frame = !early && is_wanted(v, want, n, pts) ?
	    AVDISCARD_DEFAULT : AVDISCARD_NONREF;
	av_log_clear();
	v->fed++;
	rc = avcodec_send_packet(v->dec, v->pkt);
	v->dec->skip_frame = AVDISCARD_DEFAULT;
	return early || (rc >= 0 && av_log_count() == 0);
}

/* 1 all found, 0 leave the short way, -1 error. */
static int
fetch_seeking(struct video *v, const int64_t *want, int n,
    struct cb_frame **out)
{
	int64_t from = INT64_MIN, target;
	int i, k, rc;

	if (to_start(v) < 0)
		return -1;
	for (i = 0; i < n; ) {
		target = v->info->pts[want[i]];
		k = key_before(v, target);
		if (k < 0)
			return 0;
		if (k > v->cur) {
			if (v->fresh)
				read_preamble(v);
			if (!seek_packet(v, k))
				return 0;
			v->drained = false;
			from = v->packets[k].pts;
		}
		for (;;) {
			rc = avcodec_receive_frame(v->dec, v->frame);
			if (rc == AVERROR(EAGAIN)) {
				if (!feed_wanted(v, want, n, from))
					return 0;
				continue;
			}
			if (rc < 0)
				return 0;
			if (v->frame->pts >= target)
				break;
		}
		if (v->frame->pts != target || v->frame->decode_error_flags ||
		    (v->frame->flags & AV_FRAME_FLAG_CORRUPT))
			return 0;
		if (make_frame(&out[i], v, v->frame, want[i], target) < 0)
			return -1;
		i++;
	}
	return 1;
}

/* ---- fetching: the plain way --------------------------------------------------------- */

struct held {			/* the last frame, not yet converted */
	AVFrame	*frame;
	struct cb_frame *made;	/* converted, if it was wanted */
	int64_t	 index, pts;
};

static int
give(struct video *v, struct held *h, struct cb_frame **out, int from, int to)
{
	for (; from < to; from++) {
		if (h->made == NULL && make_frame(&h->made, v, h->frame,
		    h->index, h->pts) < 0)
			return -1;
		h->made->refs++;
		out[from] = h->made;
	}
	return 0;
}

static int
fetch_plainly(struct video *v, const int64_t *want, int n,
    struct cb_frame **out, int *exact)
{
	struct cb_picker p = { .want = want, .n = n };
	struct held h = { .frame = av_frame_alloc() };
	int before, now, first, rc = -1;

	if (h.frame == NULL) {
		cb_fail(CB_ENOMEM, "%s", v->name);
		goto done;
	}
	if (to_start(v) < 0)
		goto done;
	while (p.next < n && (rc = decode(v)) > 0) {
		first = p.next;
		cb_picker_step(&p, v->index, &before, &now);
		if (give(v, &h, out, first, before) < 0) {
			rc = -1;
			goto done;
		}
		cb_frame_free(h.made);
		h.made = NULL;
		av_frame_unref(h.frame);
		av_frame_move_ref(h.frame, v->frame);
		h.index = v->index;
		h.pts = v->pts;
		if (give(v, &h, out, before, now) < 0) {
			rc = -1;
			goto done;
		}
	}
	if (rc < 0)
		goto done;
	*exact = p.exact;
	if (!p.any)
		rc = cb_fail(CB_EFORMAT, "%s: %s", v->name, v->damage != NULL ?
		    v->damage : "no picture could be decoded");
	else
		rc = give(v, &h, out, p.next, n);
done:
	cb_frame_free(h.made);
	av_frame_free(&h.frame);
	return rc;
}

int
video_fetch(struct video *v, const int64_t *want, int n,
    struct cb_frame **out, int *exact)
{
	int i, rc = 0;

	memset(out, 0, sizeof(*out) * n);
	*exact = n;
	if (n == 0)
		return 0;
	if (v->exact)
		rc = fetch_seeking(v, want, n, out);
	if (rc == 0) {
		for (i = 0; i < n; i++) {
			cb_frame_free(out[i]);
			out[i] = NULL;
		}
		rc = fetch_plainly(v, want, n, out, exact);
	}
	for (i = 0; rc < 0 && i < n; i++) {
		cb_frame_free(out[i]);
		out[i] = NULL;
	}
	return rc < 0 ? -1 : 0;
}

/* ---- info ------------------------------------------------------------------------------ */

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
	AVStream *s = stream_of(v);
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
	if (open_file(v) < 0)
		goto done;
	fill_info(v);
	if (info->w > 0 && info->h > 0 &&
	    image_size_check(info->w, info->h, limits->max_pixels) < 0) {
		cb_fail_at("%s", name);
		goto done;
	}
	v->fresh = false;
	if (list_packets(v) < 0 || list_times(v) < 0)
		goto done;
	info->image = is_image(v);
	if (!info->image)
		check_whole(v);
	if (!v->exact && !info->image && list_by_decoding(v) < 0)
		goto done;
	info->duration_s = info->image ? 0 :
	    span(info) * info->tb_num / info->tb_den;
	if (info->frames == 0) {
		cb_fail(CB_EFORMAT, "%s: %s", name, v->damage != NULL ?
		    v->damage : v->hint != NULL ? v->hint :
		    "holds no picture");
		goto done;
	}
	if (to_start(v) < 0)
		goto done;
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
	close_file(v);
	sws_freeContext(v->sws);
	av_packet_free(&v->pkt);
	av_frame_free(&v->frame);
	free(v->packets);
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
