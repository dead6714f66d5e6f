/*
 * bench-media ROUNDS CLIPS FILE ...: CPU milliseconds of one thread for CLIPS
 * clips of 2 frames at 2 fps, the least of some rounds, in columns:
 *
 *	full	open the file and decode all frames, converting none
 *	least	open it and do the least that yields the frames, knowing where
 *		they are: each group of pictures at most once, pictures that no
 *		other needs left out, each wanted frame converted once
 *	cb	what cb-decode does, which has to find out where they are
 *
 * t/bench-media.py adds the peers.
 */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <libswscale/swscale.h>

#include "media/private.h"

struct file {
	const char *path;
	struct cb_cut cut;
	int64_t	*want;		/* [cut.nwant] times */
	int64_t	*keys;		/* [nkeys] times, ascending */
	int	 nkeys;
	AVFormatContext *fmt;
	AVCodecContext *dec;
	int	 stream;
};

static double
cpu_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

static int
open_file(struct file *f)
{
	const AVCodec *codec;
	unsigned i;

	f->fmt = NULL;
	f->dec = NULL;
	if (avformat_open_input(&f->fmt, f->path, NULL, NULL) < 0 ||
	    avformat_find_stream_info(f->fmt, NULL) < 0)
		return -1;
	for (i = f->fmt->nb_streams; i-- > 0; )
		if (f->fmt->streams[i]->codecpar->codec_type ==
		    AVMEDIA_TYPE_VIDEO)
			f->stream = (int)i;	/* the first counts */
	codec = avcodec_find_decoder(
	    f->fmt->streams[f->stream]->codecpar->codec_id);
	if ((f->dec = avcodec_alloc_context3(codec)) == NULL)
		return -1;
	avcodec_parameters_to_context(f->dec,
	    f->fmt->streams[f->stream]->codecpar);
	f->dec->thread_count = 1;
	return avcodec_open2(f->dec, codec, NULL);
}

static void
close_file(struct file *f)
{
	avcodec_free_context(&f->dec);
	avformat_close_input(&f->fmt);
}

static bool
wanted(const struct file *f, int64_t pts)
{
	int i;

	for (i = 0; i < f->cut.nwant; i++)
		if (f->want[i] == pts)
			return true;
	return false;
}

static void
convert(struct SwsContext **sws, const AVFrame *f)
{
	int stride[4] = { FFALIGN(3 * f->width, 16) };
	uint8_t *data[4] = { malloc((size_t)stride[0] * f->height + 64) };

	*sws = sws_getCachedContext(*sws, f->width, f->height, f->format,
	    f->width, f->height, AV_PIX_FMT_RGB24, SWS_BILINEAR, NULL, NULL,
	    NULL);
	if (*sws != NULL && data[0] != NULL)
		sws_scale(*sws, (const uint8_t *const *)f->data, f->linesize,
		    0, f->height, data, stride);
	free(data[0]);
}

/* Decodes from here up to the time `last`; converts what is wanted. */
static int
sweep(struct file *f, int64_t last, struct SwsContext **sws, bool skip)
{
	AVPacket *pkt = av_packet_alloc();
	AVFrame *frame = av_frame_alloc();
	bool end = false, done = false;
	int n = 0;

	while (!done) {
		if (!end && av_read_frame(f->fmt, pkt) < 0) {
			end = true;
			avcodec_send_packet(f->dec, NULL);
		} else if (!end && pkt->stream_index == f->stream) {
			f->dec->skip_frame = skip && !wanted(f, pkt->pts) ?
			    AVDISCARD_NONREF : AVDISCARD_DEFAULT;
			avcodec_send_packet(f->dec, pkt);
		}
		av_packet_unref(pkt);
		while (!done && avcodec_receive_frame(f->dec, frame) >= 0) {
			if (sws != NULL && wanted(f, frame->pts)) {
				convert(sws, frame);
				n++;
			}
			done = frame->pts >= last;
		}
		done = done || end;
	}
	av_frame_free(&frame);
	av_packet_free(&pkt);
	return n;
}

static double
time_full(struct file *f)
{
	double t = cpu_ms();

	if (open_file(f) >= 0)
		sweep(f, INT64_MAX, NULL, false);
	close_file(f);
	return cpu_ms() - t;
}

/* Time of the key frame to begin at for a time. */
static int64_t
key_before(const struct file *f, int64_t pts)
{
	int64_t key = INT64_MIN;
	int i;

	for (i = 0; i < f->nkeys; i++)
		if (f->keys[i] <= pts && f->keys[i] > key)
			key = f->keys[i];
	return key;
}

/* *n: frames that came, so that a file where this fails can be told. */
static double
time_least(struct file *f, int *n)
{
	struct SwsContext *sws = NULL;
	double t = cpu_ms();
	int i, next;

	*n = 0;
	if (open_file(f) < 0) {
		close_file(f);
		return 0;
	}
	for (i = 0; i < f->cut.nwant; i = next) {
		int64_t key = key_before(f, f->want[i]);

		for (next = i; next < f->cut.nwant &&
		    key_before(f, f->want[next]) == key; )
			next++;
		if (key > key_before(f, INT64_MIN) && key != f->keys[0]) {
			av_seek_frame(f->fmt, f->stream, key,
			    AVSEEK_FLAG_BACKWARD);
			avcodec_flush_buffers(f->dec);
		}
		*n += sweep(f, f->want[next - 1], &sws, true);
	}
	sws_freeContext(sws);
	close_file(f);
	return cpu_ms() - t;
}

static double
time_cb(const struct file *f, const struct cb_plan *plan)
{
	struct cb_source src = { .name = f->path, .path = f->path };
	struct cb_frame **got = calloc(f->cut.nwant, sizeof(*got));
	struct cb_media *m = NULL;
	struct cb_cut cut = { .index = NULL };
	double t = cpu_ms();
	int i, exact;

	if (got != NULL && cb_media_open(&m, &src, NULL) == 0 &&
	    cb_plan_resolve(&cut, plan, cb_media_info(m)) == 0 &&
	    cut.nwant == f->cut.nwant && cb_media_fetch(m, cut.want, cut.nwant,
	    got, &exact) == 0)
		for (i = 0; i < cut.nwant; i++)
			cb_frame_free(got[i]);
	cb_cut_clear(&cut);
	cb_media_close(m);
	t = cpu_ms() - t;
	free(got);
	return t;
}

/* Where the wanted frames are: not part of any time. */
static int
prepare(struct file *f, const struct cb_plan *plan)
{
	struct cb_source src = { .name = f->path, .path = f->path };
	struct cb_media *m;
	AVPacket *pkt;
	int i, rc;

	if (cb_media_open(&m, &src, NULL) < 0)
		return -1;
	rc = cb_plan_resolve(&f->cut, plan, cb_media_info(m));
	f->want = calloc(f->cut.nwant + 1, sizeof(*f->want));
	for (i = 0; f->want != NULL && i < f->cut.nwant; i++)
		f->want[i] = cb_media_info(m)->pts[f->cut.want[i]];
	cb_media_close(m);
	if (rc < 0 || f->want == NULL || open_file(f) < 0)
		return -1;
	pkt = av_packet_alloc();
	while (av_read_frame(f->fmt, pkt) >= 0) {
		if (pkt->stream_index == f->stream &&
		    (f->nkeys == 0 || pkt->flags & AV_PKT_FLAG_KEY)) {
			f->keys = realloc(f->keys, sizeof(*f->keys) *
			    (f->nkeys + 1));
			if (f->keys == NULL)
				return cb_fail(CB_ENOMEM, "%s", f->path);
			f->keys[f->nkeys++] = pkt->pts;
		}
		av_packet_unref(pkt);
	}
	av_packet_free(&pkt);
	close_file(f);
	return 0;
}

static void
bench(struct file *f, const struct cb_plan *plan, int rounds)
{
	double full = 1e9, least = 1e9, cb = 1e9, t;
	int n = 0;

	while (rounds-- > 0) {
		full = (t = time_full(f)) < full ? t : full;
		least = (t = time_least(f, &n)) < least ? t : least;
		cb = (t = time_cb(f, plan)) < cb ? t : cb;
	}
	printf("%s\t%.2f\t%.2f\t%.2f\t%d of %d\n", f->path, full, least, cb, n,
	    f->cut.nwant);
	fflush(stdout);
}

int
main(int argc, char **argv)
{
	struct cb_plan plan = { .frames = 2, .fps = 2 };
	int i, rc = 0;

	mallopt(M_MMAP_THRESHOLD, 32 << 20);	/* as cb-decode does */
	mallopt(M_TRIM_THRESHOLD, 128 << 20);
	cb_program_set("bench-media");
	if (argc < 4)
		cb_usage("bench-media ROUNDS CLIPS FILE ...");
	plan.clips = atoi(argv[2]) > 0 ? atoi(argv[2]) : 1;
	for (i = 3; i < argc; i++) {
		struct file f = { .path = argv[i] };

		if (prepare(&f, &plan) < 0)
			rc = cb_complain();
		else
			bench(&f, &plan, atoi(argv[1]));
		cb_cut_clear(&f.cut);
		free(f.want);
		free(f.keys);
	}
	return rc;
}
