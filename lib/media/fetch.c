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

/* ---- the short way ------------------------------------------------------- */

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
			if (video_packet_read(v) <= 0)
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
	if (video_stream(v)->codecpar->codec_id != AV_CODEC_ID_H264 ||
	    video_packet_read(v) <= 0)
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
	int64_t index = video_number_of(v, pts);

	return v->info->pts[index] == pts &&
	    bsearch(&index, want, n, sizeof(*want), video_by_value) != NULL;
}

/*
 * Feeds one packet, without slices that nobody needs.  from: time of the key
 * packet last sought; what precedes it in time cannot be right and may
 * complain.  Behind such a packet H.264 may also ask to forget pictures that
 * came before it, which the decoder has never seen: it says so and is as right
 * as without (cups_opengop.mp4).  False: leave the short way.
 */
static bool
feed_wanted(struct video *v, const int64_t *want, int n, int64_t from)
{
	int64_t pts;
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
	pts = v->pkt->pts;
	if (v->cur > v->npackets || pts != v->packets[v->cur - 1].pts)
		return false;
	early = pts < from;
	v->dec->skip_frame = !early && is_wanted(v, want, n, pts) ?
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
	int64_t from = INT64_MIN, target;
	int i, k, rc;

	if (video_to_start(v) < 0)
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
		if (video_make_frame(&out[i], v, v->frame, want[i], target) < 0)
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
