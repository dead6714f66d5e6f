/*
 * listing [FILE ...]: are those frames listed that a decoder gives, and are they
 * fetched as it gives them?  Of videos that are made here, of kinds whose
 * packets tell little, and of the files named; each whole, and, where its
 * container bears it, without its beginning.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>

#include "media/media.h"
#include "tap.h"

#define FRAMES 60
#define CUTS 16			/* at whole packets of a transport stream */
#define PACKET 188
#define TRIES 4			/* fetches of each */

#define X264 "preset=veryfast:bf=3:g=15"
static const struct cb_film_format formats[] = {
	{ "h264.avi", "", "avi", "libx264", AV_PIX_FMT_YUV420P, X264 },
	{ "h264-pyramid.avi", "", "avi", "libx264", AV_PIX_FMT_YUV420P,
	    "preset=veryfast:bf=8:b_strategy=0:b-pyramid=normal" },
	{ "h264-flat.avi", "", "avi", "libx264", AV_PIX_FMT_YUV420P,
	    "preset=veryfast:bf=0:g=15" },
	{ "h264-open.avi", "", "avi", "libx264", AV_PIX_FMT_YUV420P,
	    X264 ":x264-params=open-gop=1" },
	{ "h264.ts", "", "mpegts", "libx264", AV_PIX_FMT_YUV420P, X264 },
	{ "h264-open.ts", "", "mpegts", "libx264", AV_PIX_FMT_YUV420P,
	    "preset=veryfast:g=15:bf=8:x264-params=open-gop=1" },
	{ "mpeg2.ts", "", "mpegts", "mpeg2video", AV_PIX_FMT_YUV420P,
	    "bf=2:g=12" },
	{ "mpeg2.mpg", "", "mpeg", "mpeg2video", AV_PIX_FMT_YUV420P,
	    "bf=2:g=12" },
	{ "mpeg4.avi", "", "avi", "mpeg4", AV_PIX_FMT_YUV420P, "bf=0:g=12" },
	{ "mpeg4-b.avi", "", "avi", "mpeg4", AV_PIX_FMT_YUV420P, "bf=2:g=12" },
	{ "mpeg2.avi", "", "avi", "mpeg2video", AV_PIX_FMT_YUV420P, "bf=2" },
	{ "h264.mp4", "", "mp4", "libx264", AV_PIX_FMT_YUV420P, X264 },
	{ "h264-open.mp4", "", "mp4", "libx264", AV_PIX_FMT_YUV420P,
	    X264 ":x264-params=open-gop=1" },
	{ "xvid.mkv", "", "matroska", "libxvid", AV_PIX_FMT_YUV420P,
	    "bf=3:g=5" },
	{ "mpeg4.mkv", "", "matroska", "mpeg4", AV_PIX_FMT_YUV420P,
	    "bf=3:g=1" },
	{ "h264.asf", "", "asf", "libx264", AV_PIX_FMT_YUV420P, X264 },
	{ "mpeg4-b.asf", "", "asf", "mpeg4", AV_PIX_FMT_YUV420P, "bf=2:g=12" },
	{ "h264.mxf", "", "mxf", "libx264", AV_PIX_FMT_YUV420P, X264 },
	{ "h264-pyramid.mov", "", "mov", "libx264", AV_PIX_FMT_YUV444P,
	    "preset=veryfast:bf=8:b_strategy=0:b-pyramid=normal" },
};

/* Frames as they come, by sha256; -1 where they are not as they are listed. */
static int64_t
decode_all(struct cb_media *m, char (*sums)[65])
{
	int64_t n = 0, frames = cb_media_info(m)->frames;
	struct cb_frame *f;
	int rc;

	while ((rc = cb_media_next(m, &f)) > 0) {
		if (n == frames || f->index != n) {
			printf("# frame %lld of %lld comes as %lld\n",
			    (long long)n, (long long)frames,
			    (long long)f->index);
			cb_frame_free(f);
			return -1;
		}
		cb_sha256(sums[n++], f->rgb.data, cb_array_bytes(&f->rgb));
		cb_frame_free(f);
	}
	return rc < 0 || n != frames ? -1 : n;
}

static bool
fetch(struct cb_media *m, char (*sums)[65], const int64_t *want, int n)
{
	struct cb_frame *got[2];
	bool good = true;
	char sum[65];
	int exact, i;

	if (cb_media_fetch(m, want, n, got, &exact) < 0)
		return false;
	for (i = 0; i < n; i++) {
		cb_sha256(sum, got[i]->rgb.data, cb_array_bytes(&got[i]->rgb));
		good = good && got[i]->index == want[i] &&
		    strcmp(sum, sums[want[i]]) == 0;
		cb_frame_free(got[i]);
	}
	return good && exact == n;
}

/* A file that cannot be opened has nothing to be listed.  Frames are fetched
 * from one that has not been decoded: it may have been opened in another way. */
static bool
check(const char *name, const uint8_t *data, int64_t bytes)
{
	struct cb_source src = { .name = name, .data = data, .bytes = bytes };
	char (*sums)[65] = NULL;
	struct cb_media *m;
	int64_t n, want[2];
	bool good;
	int i;

	if (cb_media_open(&m, &src, NULL) < 0)
		return true;
	n = cb_media_info(m)->frames;
	sums = calloc(n + 1, sizeof(*sums));
	good = sums != NULL && decode_all(m, sums) == n;
	cb_media_close(m);
	if (cb_media_open(&m, &src, NULL) < 0) {
		free(sums);
		return false;
	}
	for (i = 0; good && i < TRIES; i++) {
		want[0] = i * n / (2 * TRIES);
		want[1] = n - 1 - i * n / (2 * TRIES + 1);
		good = fetch(m, sums, want, want[1] > want[0] ? 2 : 1);
	}
	free(sums);
	cb_media_close(m);
	return good;
}

/*
 * Files whose header was changed: `value` into 16 bits, `at` bytes behind the
 * first `tag`.  Frames and width that are to be listed.
 */
static void
check_patched(const char *what, const char *encoder, const char *tag, int at,
    int value, int64_t frames, int width)
{
	struct cb_film_format form = { "", "", "mp4", encoder,
	    AV_PIX_FMT_YUV420P, "g=15" };
	struct cb_scene s = { .w = 96, .h = 64, .n = 1 };
	struct cb_source src = { .name = what };
	struct cb_media *m = NULL;
	char *data, *p;
	bool good;

	if (cb_scene_film("film", &s, &form, 25, 1, FRAMES) < 0 ||
	    cb_file_read(&data, &src.bytes, "film", 1 << 26) < 0) {
		ok(false, "%s: %s", what, cb_error());
		return;
	}
	src.data = data;
	p = memmem(data, src.bytes, tag, 4);
	if (p != NULL) {
		p[at] = (char)(value >> 8);
		p[at + 1] = (char)value;
	}
	good = p != NULL && cb_media_open(&m, &src, NULL) == 0 &&
	    cb_media_info(m)->frames == frames && cb_media_info(m)->w == width;
	if (m != NULL && !good)
		printf("# %s: %lld frames, %d wide\n", what,
		    (long long)cb_media_info(m)->frames, cb_media_info(m)->w);
	ok(good && check(what, src.data, src.bytes), "%s", what);
	cb_media_close(m);
	free(data);
}

static void
check_headers(void)
{
	check_patched("a width that the pictures have not", "libx264", "avc1",
	    28, 608, FRAMES, 96);
	/* three frames of 512 ticks: where the first entry begins */
	check_patched("an edit list that hides frames", "mpeg4", "elst", 18,
	    3 * 512, FRAMES - 3, 96);
	check_patched("an edit list that hides them in vain", "libsvtav1",
	    "elst", 18, 3 * 512, FRAMES, 96);
}

/* A file that is emptied while it is open, and has to be opened again: that is
 * an error each time. */
static void
check_emptied(void)
{
	static const struct cb_film_format form = { "", "", "mpegts", "libx264",
	    AV_PIX_FMT_YUV420P, X264 };
	struct cb_scene s = { .w = 96, .h = 64, .n = 1 };
	struct cb_source src = { .name = "emptied", .path = "film" };
	struct cb_frame *f;
	int64_t want = 3;
	struct cb_media *m;
	int i, n = 0, exact;

	if (cb_scene_film("film", &s, &form, 25, 1, FRAMES) < 0 ||
	    cb_media_open(&m, &src, NULL) < 0 || truncate("film", 0) < 0) {
		ok(false, "emptied: %s", cb_error());
		return;
	}
	for (i = 0; i < 2; i++) {
		n += cb_media_next(m, &f) < 0;
		n += cb_media_fetch(m, &want, 1, &f, &exact) < 0;
		cb_media_rewind(m);
	}
	ok(n == 4, "a file that is emptied while it is open (%d)", n);
	cb_media_close(m);
}

/* Files and decoders opened: FFmpeg's calls in this program come first to the
 * dynamic linker. */
static int decoders, files;

int
avcodec_open2(AVCodecContext *c, const AVCodec *codec, AVDictionary **options)
{
	static __typeof__(&avcodec_open2) real;

	if (real == NULL)
		*(void **)&real = dlsym(RTLD_NEXT, "avcodec_open2");
	decoders++;
	return real(c, codec, options);
}

int
avformat_open_input(AVFormatContext **fmt, const char *url,
    const AVInputFormat *kind, AVDictionary **options)
{
	static __typeof__(&avformat_open_input) real;

	if (real == NULL)
		*(void **)&real = dlsym(RTLD_NEXT, "avformat_open_input");
	files++;
	return real(fmt, url, kind, options);
}

/* Behind the header of the last group of pictures. */
static void
damage(char *data, int64_t bytes)
{
	int64_t at = bytes - 64;

	while (at > 0 && memcmp(data + at, "\0\0\1\xb3", 4) != 0)
		at--;
	memset(data + at + 48, 0xff, 16);
}

/*
 * The last key picture is damaged, of which the decoder complains after a seek;
 * so all is decoded again from the start, in the file as it is open, by a new
 * decoder.
 */
static void
check_damaged(const char *muxer)
{
	struct cb_film_format form = { "", "", muxer, "mpeg4",
	    AV_PIX_FMT_YUV420P, "bf=2:g=12" };
	struct cb_scene s = { .w = 96, .h = 64, .n = 1 };
	struct cb_rng rng = { .seed = 3, .purpose = CB_RNG_DEMO };
	struct cb_source src = { .name = "damaged" };
	static const int64_t want[2] = { 10, FRAMES - 1 };
	char sums[FRAMES][65], *data;
	struct cb_media *m = NULL;
	int64_t fed = 0;
	bool good;

	cb_scene_vary(&s, &rng);
	if (cb_scene_film("film", &s, &form, 25, 1, FRAMES) < 0 ||
	    cb_file_read(&data, &src.bytes, "film", 1 << 26) < 0) {
		ok(false, "damaged: %s", cb_error());
		return;
	}
	damage(data, src.bytes);
	src.data = data;
	good = cb_media_open(&m, &src, NULL) == 0 &&
	    cb_media_info(m)->frames == FRAMES && decode_all(m, sums) == FRAMES;
	cb_media_close(m);
	m = NULL;
	if (good && cb_media_open(&m, &src, NULL) == 0) {
		fed = cb_media_fed(m);
		files = decoders = 0;
		good = fetch(m, sums, want, 2) && files == 0 &&
		    decoders == 1;
		fed = cb_media_fed(m) - fed;
	}
	if (!ok(good && fed > FRAMES, "%s: an error behind a seek", muxer))
		printf("# %lld packets, %d files, %d decoders\n",
		    (long long)fed, files, decoders);
	cb_media_close(m);
	free(data);
}

/* name: of the kind, for messages */
static void
check_file(const char *path, const char *name)
{
	bool cuts = strstr(name, ".ts") != NULL || strstr(name, ".mpg") != NULL;
	int64_t bytes, at;
	int k, bad = 0;
	char *data;

	if (cb_file_read(&data, &bytes, path, 1 << 26) < 0) {
		ok(false, "%s: %s", name, cb_error());
		return;
	}
	for (k = 0; k == 0 || (cuts && k < CUTS); k++) {
		at = bytes * k / (CUTS + 2) / PACKET * PACKET;
		if (!check(name, (uint8_t *)data + at, bytes - at)) {
			printf("# %s from byte %lld\n", name, (long long)at);
			bad++;
		}
	}
	ok(bad == 0, "%s: what is listed comes, and is found%s", name,
	    cuts ? ", wherever it begins" : "");
	free(data);
}

static void
check_made(const struct cb_film_format *f)
{
	struct cb_scene s = { .w = 96, .h = 64, .n = 1 };
	struct cb_rng rng = { .seed = 3, .purpose = CB_RNG_DEMO };

	cb_scene_vary(&s, &rng);
	if (cb_scene_film("film", &s, f, 25, 1, FRAMES) < 0)
		ok(false, "%s: %s", f->name, cb_error());
	else
		check_file("film", f->name);
}

int
main(int argc, char **argv)
{
	size_t k;
	int i;

	cb_program_set("listing");
	plan((int)CB_LEN(formats) + 6 + argc - 1);
	check_headers();
	check_emptied();
	check_damaged("mp4");
	check_damaged("matroska");
	for (k = 0; k < CB_LEN(formats); k++)
		check_made(&formats[k]);
	for (i = 1; i < argc; i++)
		check_file(argv[i], argv[i]);
	return done();
}
