/*
 * Wanted frames of a video.
 *
 * Fetching first tries the short way: seek to the key frame before each wanted
 * one, skip pictures that no other depends on, stop after the last.  Whatever
 * is not exactly as the list of packets promised (a frame that does not come,
 * an error of the decoder) ends that way, and the plain way, which defines what
 * the right answer is, decodes from the start.
 */
#include <stdlib.h>
#include <string.h>

#include "media/video.h"

#define SEEK_READS 4096		/* packets to pass over after a seek */
#define SEEK_BACK 4		/* packets to begin before, by bytes */

/* ---- the short way ------------------------------------------------------- */

/* Number of the key packet to start from for a frame; -1: there is none. */
static int
key_before(const struct video *v, int64_t index)
{
	int i, at = v->npackets - 1;

	while (at > 0 && v->packets[at].index != index)
		at--;
	for (i = at; i >= 0; i--)
		if (v->packets[i].key &&
		    v->packets[i].order <= v->packets[at].order)
			return i;
	return -1;
}

/*
 * Reads on until the packet number k is pending.  Behind a seek the first ones
 * may be remains of others, under its time: its size tells it from them.
 */
static bool
read_up_to(struct video *v, int k, int reads, int64_t last_dts)
{
	const struct packet *p = &v->packets[k];

	v->pending = false;
	while (reads-- > 0 && video_packet_read(v) > 0) {
		if (v->pkt->pts == p->pts && v->pkt->size == p->size) {
			v->cur = k;
			v->pending = true;
			v->drained = false;
			avcodec_flush_buffers(v->dec);
			return true;
		}
		if (last_dts != AV_NOPTS_VALUE && v->pkt->dts > last_dts)
			break;
	}
	return false;
}

/*
 * Formats without a table of packets would search for a time, reading here and
 * there, but we know where the packet lies.  What is read first where frames
 * are not aligned is wrong, so it is begun some packets earlier.
 */
static bool
seek_bytes(struct video *v, int k)
{
	const char *f = v->fmt->iformat->name;
	int back;

	if (strcmp(f, "mpeg") != 0 && strcmp(f, "mpegts") != 0 &&
	    strcmp(f, "ogg") != 0)
		return false;
	for (back = 0; back < SEEK_BACK && back <= k; back++)
		if (v->packets[k - back].pos >= 0 &&
		    av_seek_frame(v->fmt, v->stream, v->packets[k - back].pos,
		    AVSEEK_FLAG_BYTE) >= 0 &&
		    read_up_to(v, k, back + SEEK_BACK, AV_NOPTS_VALUE))
			return true;
	return false;
}

/* Leaves the packet number k pending; false: did not get there. */
static bool
seek_packet(struct video *v, int k)
{
	const struct packet *p = &v->packets[k];
	int64_t ts[2] = { p->pts, p->dts };
	int i;

	if (seek_bytes(v, k))
		return true;
	for (i = 0; i < 2; i++)
		if (ts[i] != AV_NOPTS_VALUE && av_seek_frame(v->fmt, v->stream,
		    ts[i], AVSEEK_FLAG_BACKWARD) >= 0 &&
		    read_up_to(v, k, SEEK_READS, p->dts))
			return true;
	return false;
}

/* To the first packet.  Opening again costs more than a seek, but here each
 * packet is compared with the list, so a seek will do. */
static int
short_way_to_start(struct video *v)
{
	if (v->fresh)
		return 0;
	if (v->fmt == NULL || !seek_packet(v, 0))
		return video_to_start(v);
	v->fresh = true;
	return 0;
}

/*
 * The first packet of an H.264 or MPEG-4 stream may carry a note of its
 * encoder, which the decoder needs to work around old encoders' faults
 * (cockatoo.mp4); a seek would miss it.  No slice is decoded.
 */
static void
read_preamble(struct video *v)
{
	enum AVCodecID id = video_stream(v)->codecpar->codec_id;

	if ((id != AV_CODEC_ID_H264 && id != AV_CODEC_ID_MPEG4) ||
	    video_packet_read(v) <= 0)
		return;
	v->fresh = false;
	v->dec->skip_frame = AVDISCARD_ALL;
	avcodec_send_packet(v->dec, v->pkt);
	v->dec->skip_frame = AVDISCARD_DEFAULT;
	avcodec_flush_buffers(v->dec);
}

static bool
is_wanted(const struct packet *p, const int64_t *want, int n)
{
	return p->index >= 0 && bsearch(&p->index, want, n, sizeof(*want),
	    video_by_value) != NULL;
}

/*
 * Feeds one packet, without slices that nobody needs.  from: order of the key
 * packet last sought; what comes out before it cannot be right and may
 * complain.  Behind such a packet H.264 may also ask to forget pictures that
 * came before it, which the decoder has never seen: it says so and is as right
 * as without (cups_opengop.mp4).  False: leave the short way.
 */
static bool
feed_wanted(struct video *v, const int64_t *want, int n, int64_t from)
{
	const struct packet *p;
	bool early;
	int rc;

	v->fresh = false;
	if (!v->pending && video_packet_read(v) <= 0) {
		v->drained = true;
		return avcodec_send_packet(v->dec, NULL) == 0;
	}
	if (v->pending) {
		v->pending = false;
		v->cur++;
	}
	p = &v->packets[v->cur - 1];
	if (v->cur > v->npackets || v->pkt->pts != p->pts ||
	    v->pkt->size != p->size)
		return false;
	early = p->order < from;
	v->dec->skip_frame = video_order_packed(v) ||
	    (!early && is_wanted(p, want, n)) ?
	    AVDISCARD_DEFAULT : AVDISCARD_NONREF;
	av_log_clear();
	av_log_forgive(from > INT64_MIN ? "mmco: unref short failure" : NULL);
	v->fed++;
	rc = avcodec_send_packet(v->dec, v->pkt);
	av_log_forgive(NULL);
	v->dec->skip_frame = AVDISCARD_DEFAULT;
	return early || (rc >= 0 && av_log_count() == 0);
}

/* 1 all found, 0 leave the short way, -1 error. */
static int
fetch_seeking(struct video *v, const int64_t *want, int n,
    struct cb_frame **out)
{
	int64_t from = INT64_MIN, at;
	int i, k, rc;

	if (short_way_to_start(v) < 0)
		return -1;
	for (i = 0; i < n; ) {
		k = key_before(v, want[i]);
		if (k < 0)
			return 0;
		if (k > v->cur) {
			if (v->fresh)
				read_preamble(v);
			if (!seek_packet(v, k))
				return 0;
			from = v->packets[k].order;
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
			if ((at = video_number_of(v, v->frame->pts)) >= want[i])
				break;
		}
		if (at != want[i] || v->frame->pts != v->info->pts[at] ||
		    v->frame->decode_error_flags ||
		    (v->frame->flags & AV_FRAME_FLAG_CORRUPT))
			return 0;
		if (video_make_frame(&out[i], v, v->frame, at,
		    v->frame->pts) < 0)
			return -1;
		i++;
	}
	return 1;
}

/* ---- the plain way ------------------------------------------------------- */

struct held {			/* the last frame, not yet converted */
	AVFrame	*frame;
	struct cb_frame *made;	/* converted, if it was wanted */
	int64_t	 index, pts;
};

static int
give(struct video *v, struct held *h, struct cb_frame **out, int from, int to)
{
	for (; from < to; from++) {
		if (h->made == NULL && video_make_frame(&h->made, v, h->frame,
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
	if (video_to_start(v) < 0)
		goto done;
	while (p.next < n && (rc = video_decode(v)) > 0) {
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

/* Those that were decoded for the list.  1 done, -1 error. */
static int
fetch_kept(struct video *v, const int64_t *want, int n, struct cb_frame **out)
{
	int i;

	for (i = 0; i < n; i++)
		if (video_make_frame(&out[i], v, v->kept[want[i]], want[i],
		    v->info->pts[want[i]]) < 0)
			return -1;
	return 1;
}

static void
drop(struct cb_frame **out, int n)
{
	int i;

	for (i = 0; i < n; i++) {
		cb_frame_free(out[i]);
		out[i] = NULL;
	}
}

int
video_fetch(struct video *v, const int64_t *want, int n,
    struct cb_frame **out, int *exact)
{
	int rc = 0;

	memset(out, 0, sizeof(*out) * n);
	*exact = n;
	if (n == 0)
		return 0;
	v->begun = false;
	if (want[n - 1] < v->nkept)
		rc = fetch_kept(v, want, n, out);
	else if (v->exact)
		rc = fetch_seeking(v, want, n, out);
	if (rc == 0 && v->exact && !v->thorough) {
		drop(out, n);
		rc = video_to_start(v) < 0 ? -1 : fetch_seeking(v, want, n,
		    out);
	}
	if (rc == 0) {
		v->fresh = false;	/* the start was sought */
		drop(out, n);
		rc = fetch_plainly(v, want, n, out, exact);
	}
	if (rc < 0)
		drop(out, n);
	return rc < 0 ? -1 : 0;
}
