/* Private to the media room. */
#ifndef CB_MEDIA_PRIVATE_H
#define CB_MEDIA_PRIVATE_H

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>

#include "media/media.h"

/* ---- av.c: FFmpeg's status, its log, and reading from a source ---------- */

/*
 * Turns FFmpeg's status into cb_fail(): what FFmpeg logged since the last
 * av_log_clear() says more than its status, so that is preferred.
 */
int	av(int status, const char *where);
void	av_log_clear(void);
/* Errors of this thread that begin with this are none; NULL: all are. */
void	av_log_forgive(const char *text);
const char *av_log_first(void);	/* first error of this thread, "" if none */
int	av_log_count(void);

/* Bytes for FFmpeg: a descriptor or memory, never a path, so that a hostile
 * playlist has no way to another file. */
struct input {
	int	 fd;		/* -1: memory */
	const uint8_t *data;
	void	*owned;		/* what was read from a pipe */
	int64_t	 bytes, pos;
	double	 deadline;	/* cb_now() at which to give up; 0: never */
};
int	input_open(struct input *in, const struct cb_source *src,
	    double timeout_s);
void	input_close(struct input *in);
int64_t	input_at(struct input *in, void *to, int64_t n, int64_t pos);	/* count */
int	input_peek(struct input *in, void *to, int n);	/* first bytes; count */
bool	input_late(const struct input *in);
/* A context that reads in; free with input_io_free(). */
int	input_io(AVIOContext **out, struct input *in);
void	input_io_free(AVIOContext **io);
/* All bytes, borrowed from in or read into *owned (free it). */
int	input_bytes(struct input *in, const uint8_t **data, void **owned,
	    const char *name);

/* ---- video.c, frames.c (next), fetch.c ----------------------------------- */

struct video;
int	video_open(struct video **out, struct input *in, const char *name,
	    const struct cb_media_limits *limits, struct cb_media_info *info);
void	video_close(struct video *v);
int	video_next(struct video *v, struct cb_frame **out);
void	video_rewind(struct video *v);
int	video_fetch(struct video *v, const int64_t *want, int n,
	    struct cb_frame **out, int *exact);
const char *video_damage(const struct video *v);
int64_t	video_fed(const struct video *v);

/* ---- image.c -------------------------------------------------------------- */

/* in: how many bytes data has, and until when it may take. */
int	jpeg_decode(struct cb_array *rgb, int *orientation, char **damage,
	    const uint8_t *data, const struct input *in, int64_t max_pixels);
/* Exact conversion of what picture decoders yield; 1: format not handled.
 * original: gray of 16 bits is clipped to 8, as Pillow does it. */
int	image_rgb(struct cb_array *rgb, const AVFrame *f, bool original);
/* Turns a picture by the EXIF orientation 1..8, in place of *rgb. */
int	image_turn(struct cb_array *rgb, int orientation);
int	image_size_check(int64_t w, int64_t h, int64_t max_pixels);

#endif
