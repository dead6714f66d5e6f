/*
 * decoded [DIR/FILE ...]: what the pictures of a plan cost, counted.  Of videos
 * that are made here and of the files named, for several plans each: the file is
 * opened once; no packet is decoded twice, nor one that no wanted frame needs;
 * what comes out of the decoder is wanted or referred to by others, once; only
 * what is wanted is converted, and by one scaler.
 *
 * The calls of FFmpeg in this program come first to the dynamic linker: they
 * count and pass on.  What a plan needs is worked out here, from the packets of
 * the file and the bits of its pictures, and owes nothing to the library.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/intreadwrite.h>
#include <libswscale/swscale.h>

#include "media/media.h"
#include "tap.h"

#define FRAMES 240

#define X264 "preset=veryfast:sc_threshold=0:"
static const struct cb_film_format formats[] = {
	{ "h264.mp4", "", "mp4", "libx264", AV_PIX_FMT_YUV420P, X264 "g=12:bf=2" },
	{ "h264-flat.mp4", "", "mp4", "libx264", AV_PIX_FMT_YUV420P,
	    X264 "g=12:bf=0" },
	{ "h264-pyramid.mp4", "", "mp4", "libx264", AV_PIX_FMT_YUV420P,
	    X264 "g=12:bf=5:b_strategy=0:b-pyramid=normal" },
	{ "h264-open.mp4", "", "mp4", "libx264", AV_PIX_FMT_YUV420P,
	    X264 "g=12:bf=3:x264-params=open-gop=1" },
	{ "h264-one.mp4", "", "mp4", "libx264", AV_PIX_FMT_YUV420P,
	    X264 "g=1000:bf=3" },
	{ "h264.mkv", "", "matroska", "libx264", AV_PIX_FMT_YUV420P,
	    X264 "g=12:bf=3" },
	{ "mpeg4.mp4", "", "mp4", "mpeg4", AV_PIX_FMT_YUV420P, "bf=2:g=12" },
	{ "mpeg4.avi", "", "avi", "mpeg4", AV_PIX_FMT_YUV420P, "bf=0:g=12" },
	/* large pictures: each bears its time */
	{ "mpeg2.mpg", "", "mpeg", "mpeg2video", AV_PIX_FMT_YUV420P,
	    "bf=2:g=12:qmin=1:qmax=1:b=4000000" },
	{ "mpeg2.ts", "", "mpegts", "mpeg2video", AV_PIX_FMT_YUV420P,
	    "bf=2:g=12" },
	{ "vp9.webm", "", "webm", "libvpx-vp9", AV_PIX_FMT_YUV420P,
	    "deadline=realtime:cpu-used=8:g=12:lag-in-frames=0" },
};

/* The same place drawn twice, and two in one group of pictures. */
static double draws[] = { 0.9, 0.1, 0.5, 0.1, 0.51, 0.99, 0, 0.3 };
static struct cb_plan plans[] = {
	{ CB_SAMPLE_CLIPS, 1, 2, 2, false, NULL },
	{ CB_SAMPLE_CLIPS, 8, 2, 2, false, NULL },
	{ CB_SAMPLE_CLIPS, 8, 2, 25, false, NULL },
	{ CB_SAMPLE_CLIPS, 64, 4, 2, false, NULL },
	{ CB_SAMPLE_RAND, 8, 2, 2, false, draws },
	{ CB_SAMPLE_UNIFORM, 1, 4, 2, false, NULL },
	{ CB_SAMPLE_END, 1, 1, 2, false, NULL },
};

/* ---- what the file holds ------------------------------------------------- */

static struct unit {
	int64_t	 pts;
	int	 size;
	bool	 key, ref;	/* ref: others may refer to it */
	bool	 wanted, needed;
	int	 given, came;	/* to the decoder, out of it */
} *units;			/* packets in the order of the file */
static int nunits;

/* Is the picture in these bits, of which the length stands before each NAL
 * unit of H.264 and HEVC, one that others may refer to? */
static bool
is_reference(enum AVCodecID id, const uint8_t *p, int n)
{
	int at, kind;

	for (at = 0; at + 6 < n; at++) {
		if (id == AV_CODEC_ID_MPEG4 && AV_RB32(p + at) == 0x1b6)
			return p[at + 4] >> 6 != 2;
		if ((id == AV_CODEC_ID_MPEG1VIDEO ||
		    id == AV_CODEC_ID_MPEG2VIDEO) && AV_RB32(p + at) ==
		    0x100)
			return (p[at + 5] >> 3 & 7) != 3;
		kind = id == AV_CODEC_ID_H264 ? p[at + 4] & 31 :
		    p[at + 4] >> 1 & 63;
		if (id == AV_CODEC_ID_H264 && (kind == 1 || kind == 5))
			return p[at + 4] & 0x60;
		if (id == AV_CODEC_ID_HEVC && kind < 32)
			return kind >= 16 || kind & 1;
		if (id == AV_CODEC_ID_H264 || id == AV_CODEC_ID_HEVC)
			at += 3 + (int)AV_RB32(p + at);
	}
	return true;
}

static int
list_units(const char *path)
{
	AVFormatContext *fmt = avformat_alloc_context();
	AVPacket *pkt = av_packet_alloc();
	struct unit *u;
	int stream;

	free(units);
	units = calloc(1 << 14, sizeof(*units));
	nunits = 0;
	fmt->flags |= AVFMT_FLAG_GENPTS;
	if (avformat_open_input(&fmt, path, NULL, NULL) < 0 ||
	    avformat_find_stream_info(fmt, NULL) < 0)
		return -1;
	for (stream = 0; fmt->streams[stream]->codecpar->codec_type !=
	    AVMEDIA_TYPE_VIDEO; )
		stream++;
	while (nunits < 1 << 14 && av_read_frame(fmt, pkt) >= 0) {
		if (pkt->stream_index == stream) {
			u = &units[nunits++];
			u->pts = pkt->pts;
			u->size = pkt->size;
			u->key = pkt->flags & AV_PKT_FLAG_KEY;
			u->ref = is_reference(fmt->streams[stream]->codecpar->
			    codec_id, pkt->data, pkt->size);
		}
		av_packet_unref(pkt);
	}
	av_packet_free(&pkt);
	avformat_close_input(&fmt);
	return 0;
}

static struct unit *
unit_at(int64_t pts)
{
	int i;

	for (i = 0; i < nunits; i++)
		if (units[i].pts == pts)
			return &units[i];
	return NULL;
}

/* ---- what is done with it ------------------------------------------------ */

static struct tally {
	bool	 on, probing;
	int	 opened, scaled, scalers;
	int	 probed;	/* packets decoded by libavformat */
	int	 strange;	/* packets and frames that are not in the file */
	int	 delay;		/* frames that the decoder holds back */
} tally;

#define REAL(name) \
	static __typeof__(&name) real; \
	if (real == NULL) \
		*(void **)&real = dlsym(RTLD_NEXT, #name)

int
avformat_open_input(AVFormatContext **fmt, const char *url,
    const AVInputFormat *kind, AVDictionary **options)
{
	REAL(avformat_open_input);
	tally.opened++;
	return real(fmt, url, kind, options);
}

int
avformat_find_stream_info(AVFormatContext *fmt, AVDictionary **options)
{
	int rc;

	REAL(avformat_find_stream_info);
	tally.probing = true;
	rc = real(fmt, options);
	tally.probing = false;
	return rc;
}

int
avcodec_send_packet(AVCodecContext *c, const AVPacket *pkt)
{
	struct unit *u;

	REAL(avcodec_send_packet);
	if (tally.on && pkt != NULL && pkt->data != NULL && tally.probing) {
		tally.probed++;
	} else if (tally.on && pkt != NULL && pkt->data != NULL &&
	    c->skip_frame < AVDISCARD_ALL) {
		if ((u = unit_at(pkt->pts)) == NULL || u->size != pkt->size)
			tally.strange++;
		else
			u->given++;
	}
	return real(c, pkt);
}

int
avcodec_receive_frame(AVCodecContext *c, AVFrame *f)
{
	struct unit *u;
	int rc;

	REAL(avcodec_receive_frame);
	rc = real(c, f);
	if (tally.on && !tally.probing) {
		tally.delay = FFMAX(tally.delay, c->has_b_frames);
		if (rc >= 0 && (u = unit_at(f->pts)) != NULL)
			u->came++;
		else
			tally.strange += rc >= 0;
	}
	return rc;
}

int
sws_scale(struct SwsContext *c, const uint8_t *const from[],
    const int from_stride[], int y, int h, uint8_t *const to[],
    const int to_stride[])
{
	REAL(sws_scale);
	tally.scaled++;
	return real(c, from, from_stride, y, h, to, to_stride);
}

struct SwsContext *
sws_getContext(int w, int h, enum AVPixelFormat format, int to_w, int to_h,
    enum AVPixelFormat to_format, int flags, SwsFilter *a, SwsFilter *b,
    const double *param)
{
	REAL(sws_getContext);
	tally.scalers++;
	return real(w, h, format, to_w, to_h, to_format, flags, a, b, param);
}

/* ---- the plan ------------------------------------------------------------ */

/* Marks the frames of a plan; how many there are, -1 where they cannot be
 * told.  Forgets what was counted. */
static int
mark_wanted(const char *path, const struct cb_plan *plan)
{
	struct cb_source src = { .name = path, .path = path };
	const struct cb_media_info *info;
	struct cb_media *m;
	struct cb_cut cut;
	struct unit *u;
	int i, n = -1;

	for (i = 0; i < nunits; i++) {
		u = &units[i];
		u->wanted = u->needed = false;
		u->given = u->came = 0;
	}
	if (cb_media_open(&m, &src, NULL) < 0)
		return -1;
	info = cb_media_info(m);
	if (cb_plan_resolve(&cut, plan, info) == 0) {
		n = cut.nwant;
		for (i = 0; i < cut.nwant; i++)
			if ((u = unit_at(info->pts[cut.want[i]])) != NULL)
				u->wanted = true;
			else
				n = -1;
		cb_cut_clear(&cut);
	}
	cb_media_close(m);
	return n;
}

/*
 * What the wanted frames need: the packets from the last key picture that comes
 * no later than they do, and, as the decoder holds frames back, as many more
 * that come later as bring them out.
 */
static void
mark_needed(int delay)
{
	int at, i, more;

	for (at = 0; at < nunits; at++) {
		if (!units[at].wanted)
			continue;
		for (i = at; i > 0 && (!units[i].key ||
		    units[i].pts > units[at].pts); )
			i--;
		for (; i <= at; i++)
			units[i].needed = true;
		for (more = delay; i < nunits && more > 0; i++) {
			units[i].needed = true;
			more -= units[i].pts > units[at].pts &&
			    (units[i].ref || units[i].wanted);
		}
	}
}

/* What cb-decode does with a group that has a plan. */
static int
decode(const char *path, const struct cb_plan *plan, struct cb_places *places,
    struct cb_writer *w)
{
	struct cb_media_limits limits = { 0 };
	enum cb_outcome what = CB_GROUP_LOST;
	struct cb_load *load;
	msgpack_object map;
	struct cb_msg *m;

	if (cb_msg_new(&m) < 0)
		return -1;
	map = cb_obj_map(m, 2);
	cb_map_set(m, &map, "media", cb_obj_text(m, path));
	cb_map_set(m, &map, "plan", cb_plan_obj(m, plan));
	cb_map_set(m, &m->root, "group", map);
	if (cb_load_new(&load, m, places) < 0)
		return -1;
	cb_load_run(load, &limits, w);
	if (cb_load_write(&what, load, w) < 0)
		what = CB_GROUP_LOST;
	cb_load_free(load);
	return what == CB_GROUP_GOOD ? 0 : -1;
}

/* Did it take no more than the plan needs?  MP4 with H.264 is to be opened
 * without decoding, and a scaler is made for the first plan only. */
static bool
judge(const char *name, int plan, int wanted)
{
	bool tells = strncmp(name, "h264", 4) == 0 && strstr(name, ".mp4");
	int given = 0, twice = 0, vain = 0, came = 0, again = 0, idle = 0, i;
	const struct unit *u;
	bool good;

	for (i = 0; i < nunits; i++) {
		u = &units[i];
		given += u->given;
		twice += u->given > 1;
		vain += u->given > 0 && !u->needed;
		came += u->came;
		again += u->came > 1;
		idle += u->came > 0 && !u->ref && !u->wanted;
	}
	good = twice + vain + again + idle + tally.strange == 0 &&
	    given >= wanted && came >= wanted && tally.scaled == wanted &&
	    tally.scalers <= (plan == 0) && tally.opened == 1 &&
	    (tally.probed == 0 || !tells);
	printf("# %s plan %d: wants %d of %d frames; %d packets (%d in vain, "
	    "%d again), %d frames (%d in vain, %d again), %d converted, "
	    "%d scalers, %d opened, %d probed, %d strange%s\n", name, plan,
	    wanted, nunits, given, vain, twice, came, idle, again,
	    tally.scaled, tally.scalers, tally.opened, tally.probed,
	    tally.strange, good ? "" : ": BAD");
	return good;
}

/* name: of the kind, for messages */
static void
check(const char *path, const char *name, struct cb_places *places,
    struct cb_writer *w)
{
	bool good = list_units(path) == 0;
	int wanted, bad = 0;
	size_t i;

	for (i = 0; good && i < CB_LEN(plans); i++) {
		wanted = mark_wanted(path, &plans[i]);
		tally = (struct tally){ .on = true };
		if (wanted <= 0 || decode(path, &plans[i], places, w) < 0) {
			printf("# %s: %s\n", path, cb_error());
			bad++;
			continue;
		}
		tally.on = false;
		mark_needed(tally.delay);
		bad += !judge(name, (int)i, wanted);
	}
	ok(good && bad == 0, "%s: what a plan needs, once", name);
}

int
main(int argc, char **argv)
{
	struct cb_scene s = { .w = 96, .h = 64, .n = 1 };
	struct cb_rng rng = { .seed = 3, .purpose = CB_RNG_DEMO };
	struct cb_places *places;
	struct cb_writer *w;
	size_t k;
	int i;

	cb_program_set("decoded");
	plan((int)CB_LEN(formats) + argc - 1);
	if (cb_places_new(&places) < 0 || cb_writer_open(&w,
	    open("/dev/null", O_WRONLY), NULL, argc, argv) < 0)
		return cb_complain();
	cb_scene_vary(&s, &rng);
	for (k = 0; k < CB_LEN(formats); k++) {
		if (cb_scene_film("film", &s, &formats[k], 25, 1, FRAMES) < 0)
			ok(false, "%s: %s", formats[k].name, cb_error());
		else
			check("film", formats[k].name, places, w);
	}
	for (i = 1; i < argc; i++)
		check(argv[i], strrchr(argv[i], '/') + 1, places, w);
	free(units);
	cb_writer_close(w);
	cb_places_free(places);
	return done();
}
