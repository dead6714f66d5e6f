/*
 * In which order frames come out, found without decoding, where times do not
 * tell: AVI has none, so packets bear their numbers, and so do the frames, which
 * come in another order where there are B-frames.  ASF, MXF and what Matroska
 * took over from AVI have times at which packets are to be decoded, not shown.
 *
 * That of MPEG-4 follows from the headers of the pictures (mpeg4.c).  H.264
 * states in each picture where it belongs (picture order count, section
 * 8.2.1 of the standard), and a decoder that holds back D pictures gives them in
 * that order if none is preceded in the file by more than D that come later.
 * Then, and only then, the order is known.  The same holds of the times in
 * MPEG streams, some of which FFmpeg has to guess where the file was cut.
 */
#include <stdlib.h>
#include <string.h>

#include "media/video.h"

#define MAX_DELAY 16		/* of H.264 */

struct order {
	struct mpeg4 *mpeg4;
	AVCodecParserContext *parser;	/* H.264 */
	AVCodecContext *dec;	/* what the parser notes; never opened */
	bool	 lost;		/* a packet was not understood */
	int64_t	 period;	/* counts begin anew in each */
	int	 top;		/* highest count of the period */
};

void
video_order_close(struct video *v)
{
	if (v->order == NULL)
		return;
	free(v->order->mpeg4);
	av_parser_close(v->order->parser);
	avcodec_free_context(&v->order->dec);
	free(v->order);
	v->order = NULL;
}

/* Do frames of this file come in an order that times do not tell? */
static bool
is_untold(const struct video *v)
{
	const AVCodecParameters *par = video_stream(v)->codecpar;
	const AVCodecDescriptor *d = avcodec_descriptor_get(par->codec_id);
	const char *f = v->fmt->iformat->name;

	if (strcmp(f, "avi") == 0)
		return d == NULL || (d->props & AV_CODEC_PROP_REORDER);
	if (par->codec_id != AV_CODEC_ID_H264 &&
	    par->codec_id != AV_CODEC_ID_MPEG4)
		return false;
	return strcmp(f, "asf") == 0 || strcmp(f, "mxf") == 0 ||
	    (strncmp(f, "matroska", 8) == 0 && (par->codec_tag != 0 ||
	    par->codec_id == AV_CODEC_ID_MPEG4));
}

static int
order_open(struct video *v)
{
	const AVCodecParameters *par = video_stream(v)->codecpar;
	struct order *o;

	if ((o = v->order = calloc(1, sizeof(*o))) == NULL)
		return cb_fail(CB_ENOMEM, "%s", v->name);
	if (par->codec_id == AV_CODEC_ID_MPEG4)
		return mpeg4_new(&o->mpeg4, par->extradata,
		    par->extradata_size) < 0 ?
		    cb_fail(CB_ENOMEM, "%s", v->name) : 0;
	if (par->codec_id == AV_CODEC_ID_H264)
		o->parser = av_parser_init(par->codec_id);
	if (o->parser == NULL) {
		o->lost = true;
		return 0;
	}
	o->parser->flags |= PARSER_FLAG_COMPLETE_FRAMES;
	if ((o->dec = avcodec_alloc_context3(NULL)) == NULL ||
	    avcodec_parameters_to_context(o->dec, par) < 0)
		return cb_fail(CB_ENOMEM, "%s", v->name);
	return 0;
}

/*
 * One packet.  A key picture whose count does not rise begins a period: it is
 * an IDR picture, before which all others come out.
 */
static void
order_note(struct order *o, struct packet *p, const AVPacket *pkt)
{
	AVCodecParserContext *s = o->parser;
	uint8_t *out;
	int bytes;

	s->picture_structure = AV_PICTURE_STRUCTURE_UNKNOWN;
	av_parser_parse2(s, o->dec, &out, &bytes, pkt->data, pkt->size,
	    pkt->pts, pkt->dts, pkt->pos);
	if (s->picture_structure != AV_PICTURE_STRUCTURE_FRAME) {
		o->lost = true;		/* half a picture, or none */
		return;
	}
	p->key = p->key && s->key_frame == 1;
	if (p->key && s->output_picture_number <= o->top) {
		o->period++;
		o->top = INT32_MIN;
	}
	if (s->output_picture_number > o->top)
		o->top = s->output_picture_number;
	p->order = (o->period << 32) + s->output_picture_number;
}

int
video_order_packet(struct video *v, struct packet *p)
{
	p->order = p->pts;
	if (v->npackets == 1 && is_untold(v) && order_open(v) < 0)
		return -1;
	if (v->order != NULL && v->order->mpeg4 != NULL)
		mpeg4_note(v->order->mpeg4, v->packets, v->npackets - 1,
		    v->pkt);
	else if (v->order != NULL && !v->order->lost)
		order_note(v->order, p, v->pkt);
	return 0;
}

/* Does the decoder keep parts of a packet for the next? */
bool
video_order_packed(const struct video *v)
{
	return v->order != NULL && v->order->mpeg4 != NULL &&
	    mpeg4_packed(v->order->mpeg4);
}

/*
 * The decoder gives a frame as soon as it holds more than D, and lets none pass
 * a key picture: before no packet may there be more than D, before a key one
 * none, that come after it.  Keeps the D+1 highest numbers so far.
 */
bool
video_order_known(const struct video *v)
{
	int64_t high[MAX_DELAY + 1], at;
	int delay = v->dec->has_b_frames, i, k, n = 0;

	if (v->order != NULL && (v->order->lost || v->packets[0].index != 0))
		return false;
	if (v->order != NULL && v->order->mpeg4 != NULL)
		return mpeg4_known(v->order->mpeg4);
	if (v->order == NULL && strncmp(v->fmt->iformat->name, "mpeg", 4) != 0)
		return true;
	if (delay < 0 || delay > MAX_DELAY)
		return false;
	for (i = 0; i < v->npackets; i++) {
		if ((at = v->packets[i].index) < 0)
			continue;
		for (k = 0; k < n && high[k] > at; )
			k++;
		if (k > (v->packets[i].key ? 0 : delay))
			return false;
		n += n <= delay;
		memmove(high + k + 1, high + k, sizeof(*high) * (n - 1 - k));
		high[k] = at;
	}
	return true;
}
