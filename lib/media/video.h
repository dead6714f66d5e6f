/*
 * Private to videos: what their files share.  video.c opens and describes one;
 * demux.c knows the file and its packets; list.c and order.c which frames they
 * give; frames.c decodes in the plain order; fetch.c brings wanted frames.  What
 * other files of the room call stands in private.h.
 */
#ifndef CB_MEDIA_VIDEO_H
#define CB_MEDIA_VIDEO_H

#include <libswscale/swscale.h>

#include "media/private.h"

struct packet {
	int64_t	 pts, dts, pos;	/* pos: in the file, -1 unknown */
	int	 size;
	int64_t	 order;		/* sorted by this they give the frames */
	int64_t	 index;		/* of the frame, -1 none */
	bool	 key, hidden;	/* hidden: no frame comes of it */
};

struct scaler {
	int	 w, h, format;
	struct SwsContext *sws;	/* NULL: none */
};

struct video {
	struct input *in;
	char	*name;
	struct cb_media_limits limits;
	struct cb_media_info *info;
	AVIOContext *io;
	AVFormatContext *fmt;
	AVCodecContext *dec;
	struct scaler scaler;
	AVPacket *pkt;
	AVFrame	*frame;
	int	 stream, orientation;
	bool	 thorough;	/* opened in the way that needs no doubt */
	struct packet *packets;	/* in the order of the file */
	int	 npackets;
	bool	 exact;
	int64_t	*by_time;	/* numbers of frames by time; NULL: as they are */
	struct order *order;	/* NULL: frames come in order of time */
	int	 cur;		/* number of the next packet */
	bool	 pending;	/* pkt holds it already */
	bool	 drained;	/* no more packets for the decoder */
	bool	 fresh;		/* at the start, nothing decoded */
	bool	 begun;		/* video_next() goes on from here */
	int64_t	 next;		/* or, if all are kept, with this one */
	int64_t	 counted;	/* frames that came out since the start */
	int64_t	 fed;		/* packets given to the decoder */
	int64_t	 index, pts;	/* of frame */
	AVFrame	**kept;		/* [nkept] the first, decoded for the list */
	int64_t	 nkept, room;
	char	*damage;
	char	*hint;		/* what FFmpeg complained of while opening */
};

/* ---- demux.c ------------------------------------------------------------- */

AVStream *video_stream(const struct video *v);
/* Keeps the first reason: FFmpeg's, or the fallback. */
void	video_note_damage(struct video *v, const char *fallback);

/* From nothing to the first packet not yet read, and back to nothing. */
int	video_file_open(struct video *v);
void	video_file_close(struct video *v);
/* To the first packet of a file that is open, now thoroughly. */
int	video_to_start(struct video *v);

/* The next packet of the stream into v->pkt: 1, 0 at the end, or -1. */
int	video_packet_read(struct video *v);
int	video_list_packets(struct video *v);

/* ---- list.c, order.c ------------------------------------------------------ */

/* Number and times of the frames into info, and v->exact. */
int	video_list_frames(struct video *v);
void	video_kept_free(struct video *v);
/* Order of int64_t, for qsort() and bsearch(). */
int	video_by_value(const void *a, const void *b);

/*
 * p is v->pkt: its place among the frames that come out, into p->order.  When
 * all packets have been seen, is that how it will be?
 */
int	video_order_packet(struct video *v, struct packet *p);
bool	video_order_known(const struct video *v);
bool	video_order_packed(const struct video *v);
void	video_order_close(struct video *v);

/* ---- mpeg4.c: for order.c ------------------------------------------------- */

struct mpeg4;
/* -1: no memory; free() it. */
int	mpeg4_new(struct mpeg4 **out, const uint8_t *extradata, int bytes);
/* pkt is packet number `at`: sets order, hidden and key there, and the order of
 * that whose frame it brings out. */
void	mpeg4_note(struct mpeg4 *m, struct packet *packets, int at,
	    const AVPacket *pkt);
/* Were all packets understood? */
bool	mpeg4_known(const struct mpeg4 *m);
bool	mpeg4_packed(const struct mpeg4 *m);

/* ---- scale.c ------------------------------------------------------------- */

/* The scaler to RGB of f's geometry, in *s, whose last one is kept if it fits;
 * NULL: there is no such conversion.  Free with scaler_free(). */
struct SwsContext *scaler_for(struct scaler *s, const AVFrame *f);
void	scaler_free(struct scaler *s);

/* ---- frames.c ------------------------------------------------------------ */

/* Number of the frame with a time, or of the last one before it. */
int64_t	video_number_of(const struct video *v, int64_t pts);
/* The next frame of the plain way: 1, 0 at the end, -1. */
int	video_decode(struct video *v);
/* A decoded frame in RGB, upright; yours to free. */
int	video_make_frame(struct cb_frame **out, struct video *v,
	    const AVFrame *f, int64_t index, int64_t pts);

#endif
