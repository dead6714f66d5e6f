/*
 * media: pixels from outside.  Opens videos and pictures (FFmpeg,
 * libjpeg-turbo) from files, directories and LMDBs, says which frames a
 * sampling plan asks for, and fetches just those.  Knows nothing of texts.
 *
 * The words: a *medium* is a video or an image; a *plan* is what cb-sample
 * wants of any medium (strategy, clips, frames); a *cut* is a plan resolved
 * for one medium: frame numbers.  The cut is a pure function of the plan and
 * of struct cb_media_info, which is established in the same way wherever the
 * medium is opened.  That is why sampling commutes with decoding.
 */
#ifndef CB_MEDIA_H
#define CB_MEDIA_H

#include "base/base.h"
#include "stream/stream.h"

/* ---- a medium: media.c ------------------------------------------------- */

#define CB_MAX_PIXELS (64 << 20)	/* default cap of one picture */

struct cb_media_limits {
	int64_t	 max_pixels;	/* a larger picture is refused; 0: default */
	double	 timeout_s;	/* give up on a medium after; 0: never */
	bool	 upright;	/* apply EXIF orientation, display matrix */
	bool	 original;	/* groups: any plan is one of the original;
				 * pictures: gray of 16 bits is clipped */
};

struct cb_media_info {
	bool	 image;
	char	 format[32];	/* FFmpeg's name of the container; "jpeg" */
	char	 codec[32];
	int	 w, h;		/* pictures of a stream may differ from it */
	double	 fps;		/* average rate of the header; 0: unknown */
	int	 tb_num, tb_den;	/* seconds of one unit of pts */
	int64_t	 header_frames;	/* as the header says; 0: unknown */
	int64_t	 header_duration;	/* in units of pts; -1: unknown */
	int64_t	 frames;	/* frames that the file really holds */
	double	 duration_s;	/* what they span, the last one included */
	int64_t	*pts;		/* [frames] in order of output; ascending
				 * but for B-frames in AVI and its like */
};

/* Bytes of a medium: a file, or memory that outlives it. */
struct cb_source {
	const char *name;	/* for messages */
	const char *path;	/* NULL: in memory */
	const void *data;
	int64_t	 bytes;
};

/* One picture with its place; refs: freed when the last user is done. */
struct cb_frame {
	struct cb_array rgb;	/* u8 [H,W,3] */
	int64_t	 index;		/* number of the frame in the video, from 0 */
	double	 pts_s;
	int	 refs;
};
void	cb_frame_free(struct cb_frame *f);

struct cb_media;

/*
 * Opens and looks through the packets of src, so that the info is complete;
 * an image is decoded here.  limits NULL: defaults.  The message of a failure
 * begins with src->name.
 */
int	cb_media_open(struct cb_media **out, const struct cb_source *src,
	    const struct cb_media_limits *limits);
void	cb_media_close(struct cb_media *m);

/* Valid until close. */
const struct cb_media_info *cb_media_info(const struct cb_media *m);

/*
 * The next frame in order of output; yours to free.  1 got one, 0 end, -1
 * error.  Damaged packets are passed over: see cb_media_damage().
 */
int	cb_media_next(struct cb_media *m, struct cb_frame **out);

/*
 * Fetches the frames want[0..n-1] (ascending, each once) into out[0..n-1],
 * yours to free one by one, decoding as little as it can.  A frame that cannot
 * be decoded is replaced by the nearest one before it, else after it; *exact
 * counts those that needed no replacement.  -1: nothing at all could be
 * decoded; out is then empty.
 */
int	cb_media_fetch(struct cb_media *m, const int64_t *want, int n,
	    struct cb_frame **out, int *exact);

/* cb_media_next() gives the first frame again. */
void	cb_media_rewind(struct cb_media *m);

/* Why less than everything came out so far; NULL: no damage was met. */
const char *cb_media_damage(const struct cb_media *m);

/* Packets given to the decoder so far: what fetching has cost. */
int64_t	cb_media_fed(const struct cb_media *m);

/*
 * Would it do for training?  Opens it and decodes frames from beginning to end,
 * a few of them or, with `whole`, all.  0: yes; 1: it will, but it is damaged;
 * -1: no; cb_error() says why of both.  *info: what there is to know, without
 * pts; zeroed where it cannot be opened.
 */
int	cb_media_check(struct cb_media_info *info, const struct cb_source *src,
	    const struct cb_media_limits *limits, bool whole);

/* ---- which frames: sample.c --------------------------------------------- */

enum cb_strategy {
	CB_SAMPLE_CLIPS,	/* clips spread evenly: the N-clip ensemble */
	CB_SAMPLE_RAND,		/* each clip at a place of its own draw */
	CB_SAMPLE_UNIFORM,	/* frames spread over the whole video */
	CB_SAMPLE_START, CB_SAMPLE_MIDDLE, CB_SAMPLE_END,
	CB_NSTRATEGY
};
const char *cb_strategy_name(enum cb_strategy s);
int	cb_strategy_parse(enum cb_strategy *out, const char *name);

#define CB_MAX_CLIPS 1024
#define CB_MAX_FRAMES 1024

struct cb_plan {
	enum cb_strategy strategy;
	int	 clips, frames;	/* frames of each clip */
	double	 fps;		/* a clip lasts frames/fps seconds */
	bool	 original;	/* ClipBERT's arithmetic with all its faults */
	double	*draw;		/* [clips] in [0,1) for RAND; else NULL */
};
void	cb_plan_clear(struct cb_plan *p);

/* One clip as the original defines it (media/README, section 2). */
struct cb_clip {
	enum cb_strategy strategy;
	int	 clip, clips;	/* for CLIPS */
	int	 frames;
	double	 fps, draw;
	bool	 safeguard;	/* as the original's, with more clips than 1 */
};

/*
 * The original's arithmetic: fills index[clip->frames] (numbers in order of
 * output) and *listed (how many frames its linspace ran over).  *max_pts:
 * handed from clip to clip, 0 before the first.  -1: the original yields None,
 * cb_error() says why.
 */
int	cb_sample_original(int64_t *index, int64_t *listed, int64_t *max_pts,
	    const struct cb_media_info *info, const struct cb_clip *clip);

/* A plan resolved for one medium. */
struct cb_cut {
	int	 clips, frames;
	int64_t	*index;		/* [clips,frames] */
	int64_t	*want;		/* [nwant] the same, ascending, each once */
	int	 nwant;
};
int	cb_plan_resolve(struct cb_cut *out, const struct cb_plan *plan,
	    const struct cb_media_info *info);
void	cb_cut_clear(struct cb_cut *c);
/* Position in want of a frame number that is in it. */
int	cb_cut_place(const struct cb_cut *c, int64_t index);

/*
 * Picks wanted frames from frames that come by in order, with replacement of
 * those that never come.  cb_picker_step() is told the number of the frame
 * that came; then wants [next, *before) get the frame before it, and [*before,
 * *now) get this one.  At the end wants [next, n) get the last frame.
 */
struct cb_picker {
	const int64_t *want;
	int	 n, next, exact;
	bool	 any;		/* a frame has come */
};
void	cb_picker_step(struct cb_picker *p, int64_t index, int *before,
	    int *now);
/* Is what was found enough?  Half of the wanted frames must be exact. */
bool	cb_picker_enough(int exact, int n);

/* ---- where media are: places.c, lmdb.c ------------------------------------ */

struct cb_places;	/* directories and LMDBs, searched in order */
int	cb_places_new(struct cb_places **out);
void	cb_places_free(struct cb_places *p);
/* A directory, or an LMDB (a directory with data.mdb, or its file). */
int	cb_places_add(struct cb_places *p, const char *path);
/* The default: base and its neighbours videos/ images/ media/, if they are. */
int	cb_places_add_base(struct cb_places *p, const char *base);

/*
 * Finds a medium by id (the stem of its file name, the key in an LMDB) or by
 * path.  place: where it is, as for cb_places_add(); NULL: in those that were
 * added.  *out is valid until the next call.  -1: nowhere, or two files of one
 * directory have this stem.
 */
int	cb_places_find(struct cb_places *p, const char *place,
	    const char *name, struct cb_source *out);

/*
 * Every medium of every place, in the order of the places and of the names; two
 * files of one stem come both.  src is valid during the call, its data until
 * the places are freed.  What fn gives, when it is not 0, ends it.
 */
typedef int cb_place_fn(void *arg, const struct cb_source *src);
int	cb_places_each(struct cb_places *p, cb_place_fn *fn, void *arg);

/* Has the name an extension of a video or picture file? */
bool	cb_media_is_name(const char *path);
/* File name without folder and extension; yours to free. */
char	*cb_media_stem(const char *path);

/* ---- groups: values.c, load.c, pick.c --------------------------------------- */

msgpack_object cb_plan_obj(struct cb_msg *m, const struct cb_plan *p);
/* Yours to cb_plan_clear(). */
int	cb_plan_read(struct cb_plan *out, const msgpack_object *plan);
/* For cb_reader_ask(): what cb_group_sample() will want of each group; yours
 * to decref. */
json_t	*cb_plan_ask(const struct cb_plan *plan, uint64_t seed);
msgpack_object cb_info_obj(struct cb_msg *m, const struct cb_media_info *i);
/* From a group's "kind" and "info"; free out->pts. */
int	cb_info_read(struct cb_media_info *out, const msgpack_object *group);

/* What became of one group. */
enum cb_outcome {
	CB_GROUP_GOOD,
	CB_GROUP_DAMAGED,	/* enough came out; cb_error() says what not */
	CB_GROUP_LOST,		/* carries an error now, which cb_error() is */
};

/*
 * A group on its way through cb-decode, in three steps, so that several can be
 * in hand at a time.
 */
struct cb_load;
/* Finds the medium.  group is handed over.  That there is none is told by
 * cb_load_write(). */
int	cb_load_new(struct cb_load **out, struct cb_msg *group,
	    struct cb_places *places);
void	cb_load_free(struct cb_load *l);
/*
 * Opens the medium and completes the group ("kind", "info"); gets all the
 * pictures of its "plan", if it has one, or else of what w's reader has asked
 * for.  On any thread.
 */
void	cb_load_run(struct cb_load *l, const struct cb_media_limits *limits,
	    struct cb_writer *w);
/*
 * Writes the group, its pictures (those of its plan, else all, decoded one by
 * one, less those of which w's reader has said that it will not use them) and
 * its end.  With a plan nothing is written before all is known to be
 * there; without one, before the first picture.  -1: could not be written.
 */
int	cb_load_write(enum cb_outcome *what, struct cb_load *l,
	    struct cb_writer *w);

/*
 * Adds a plan to a group and writes it.  If cb-decode has been there, reads its
 * pictures from next(arg, &msg), which gives 1 for a message, and picks;
 * holds one picture of each wanted frame.  Reads and writes up to the end of
 * the group.  The draws are made from the group's epoch and seq and the seed;
 * plan->draw is not used.
 */
typedef int cb_next_fn(void *arg, struct cb_msg **out);
int	cb_group_sample(enum cb_outcome *what, struct cb_writer *w,
	    struct cb_msg *group, cb_next_fn *next, void *arg,
	    const struct cb_plan *plan, uint64_t seed);

/* ---- LMDB writing: lmdb.c -------------------------------------------------- */

struct cb_pack;
enum cb_packed { CB_PACK_NEW, CB_PACK_SAME, CB_PACK_CHANGED };
int	cb_pack_open(struct cb_pack **out, const char *path);
/* Puts the bytes of a file under its stem; what happened goes to *what. */
int	cb_pack_put(struct cb_pack *p, const char *file, enum cb_packed *what);
/* After a failed put: was it only this file that could not be read? */
bool	cb_pack_whole(const struct cb_pack *p);
/* Makes all that was put lasting; -1: it may not have been. */
int	cb_pack_close(struct cb_pack *p);
/* Closes without what was put since the last commit. */
void	cb_pack_abandon(struct cb_pack *p);

/* ---- light augmentation: augment.c ---------------------------------------- */

struct cb_augment {
	uint64_t seed;
	int	 shift;		/* pixels at most, in both directions; 0: none */
	double	 brightness;	/* factor from 1-this to 1+this; 0: none */
};

/*
 * Changes the n pictures of one clip in place, all in the same way: moved by up
 * to `shift` pixels (edges repeated) and multiplied by a factor.  What is drawn
 * is a function of seed, epoch, seq (of the group) and clip alone.
 */
void	cb_augment_clip(const struct cb_augment *o, struct cb_array *pictures,
	    int n, int64_t epoch, int64_t seq, int clip);

/* ---- made pictures and videos: shapes.c, film.c ---------------------------- */

/* Names by number, NULL behind the last. */
extern const char *const cb_shape_names[];
extern const char *const cb_colour_names[];
extern const char *const cb_pattern_names[];	/* of backgrounds */

enum cb_motion { CB_MOVE_ACROSS, CB_MOVE_UPRIGHT, CB_MOVE_ROUND, CB_NMOTION };

struct cb_shape {
	int	 kind, colour;	/* into the names */
	int	 place;		/* 0: left or top half, 1: the other */
	enum cb_motion motion;
	/* How it looks, of cb_scene_vary(): pixels, radians, 1/s, 0..1 */
	double	 x, y, radius, turn;
	double	 reach_x, reach_y, rate, phase;
	double	 rgb[3];
};

/* One or two coloured shapes before a patterned background. */
struct cb_scene {
	int	 w, h;
	int	 pattern;
	bool	 stacked;	/* one above the other, else side by side */
	int	 n;
	struct cb_shape shapes[2];
	/* How it looks, of cb_scene_vary() */
	double	 tone[2][3], period, angle, from_x, from_y;
	struct cb_rng grain;
};

/* Draws all that is left open: places, sizes, tones, rates.  Sets them as a
 * function of *rng alone, whose seq tells one video from the other. */
void	cb_scene_vary(struct cb_scene *s, const struct cb_rng *rng);

/* The background, into rgb u8 [h,w,3]. */
void	cb_scene_ground(struct cb_array *rgb, const struct cb_scene *s);
/* The shapes as they stand after time_s, over what is in rgb. */
void	cb_scene_shapes(struct cb_array *rgb, const struct cb_scene *s,
	    double time_s);

struct cb_film_format {
	const char *name;	/* "mp4/h264" */
	const char *extension;	/* with its dot */
	const char *muxer, *encoder;	/* FFmpeg's names */
	int	 pixels;	/* enum AVPixelFormat of the encoder */
	const char *options;	/* key=value:... of the encoder */
};
extern const struct cb_film_format cb_film_formats[];	/* ends: name NULL */

/*
 * Writes a video file.  The same pictures give the same bytes: one thread, and
 * nothing in the file about when and by what it was made.
 */
struct cb_film;
int	cb_film_open(struct cb_film **out, const char *path,
	    const struct cb_film_format *f, int w, int h, int fps_num,
	    int fps_den);
/* rgb: u8 [h,w,3]; pictures come in order, 1/fps apart. */
int	cb_film_put(struct cb_film *f, const struct cb_array *rgb);
/* Writes what is left and frees; -1: the file is not whole. */
int	cb_film_close(struct cb_film *f);
/* Frees, leaving a file that is not whole. */
void	cb_film_discard(struct cb_film *f);

/* All of it: the scene through so many frames, as a file. */
int	cb_scene_film(const char *path, const struct cb_scene *s,
	    const struct cb_film_format *f, int fps_num, int fps_den,
	    int frames);

#endif
