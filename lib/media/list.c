/*
 * Which frames a video holds: how many, and their times, in the order in which
 * they come out of the decoder.
 *
 * In a sane file each packet is one frame, and a frame bears the time of its
 * packet: the list is made without decoding (number), and the file is *exact*.
 * One that begins in the middle of a group of pictures is so behind its first
 * key frame: it is decoded up to there (list_head).  All others are decoded
 * whole (list_by_decoding); as many frames as a little memory holds are kept
 * from that, so that they need not be decoded again.
 */
#include <stdlib.h>
#include <string.h>

#include "media/video.h"

/*
 * Frames kept from listing to fetching, of at most two media at a time with
 * -j 1: ten seconds of 320x240 or so.  Longer ones are decoded twice; they must
 * not take more memory than all others get by with.
 */
#define KEEP_BYTES (32 << 20)

/* ---- by packets ---------------------------------------------------------- */

int
video_by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

struct place {
	int64_t	 at;		/* what it is sorted by */
	int64_t	 what;
};

static int
by_place(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	return video_by_value(&x->at, &y->at);
}

/* Sorts; is each place taken once? */
static bool
sort_places(struct place *p, int64_t n)
{
	int64_t i;

	qsort(p, n, sizeof(*p), by_place);
	for (i = 1; i < n; i++)
		if (p[i].at == p[i - 1].at)
			return false;
	return true;
}

/* Where times do not ascend (order.c), v->by_time finds them. */
static int
sort_times(struct video *v, struct place *p)
{
	int64_t n = v->info->frames, i;
	bool ascend = true;

	for (i = 0; i < n; i++) {
		p[i] = (struct place){ v->info->pts[i], i };
		ascend = ascend && (i == 0 || p[i].at > p[i - 1].at);
	}
	if (ascend)
		return 0;
	v->exact = v->exact && sort_places(p, n);
	v->by_time = malloc(sizeof(*v->by_time) * (n + 1));
	if (v->by_time == NULL)
		return cb_fail(CB_ENOMEM, "%s", v->name);
	for (i = 0; i < n; i++)
		v->by_time[i] = p[i].what;
	return 0;
}

/*
 * Numbers the packets in the order in which their frames come, and lists the
 * times of these.  Decides v->exact, but for what precedes the first key frame.
 */
static int
number(struct video *v)
{
	struct place *p = malloc(sizeof(*p) * (v->npackets + 1));
	int64_t *pts = malloc(sizeof(*pts) * (v->npackets + 1)), n = 0, i;
	struct packet *k;
	int rc = -1;

	free(v->by_time);
	v->by_time = NULL;
	free(v->info->pts);
	v->info->pts = pts;
	if (p == NULL || pts == NULL) {
		cb_fail(CB_ENOMEM, "%s", v->name);
		goto done;
	}
	v->exact = v->npackets > 0;
	for (i = 0; i < v->npackets; i++) {
		k = &v->packets[i];
		k->index = -1;
		if (k->pts == AV_NOPTS_VALUE)
			v->exact = false;
		else if (!k->hidden)
			p[n++] = (struct place){ k->order, i };
	}
	v->exact = sort_places(p, n) && v->exact;
	for (i = 0; i < n; i++) {
		v->packets[p[i].what].index = i;
		pts[i] = v->packets[p[i].what].pts;
	}
	v->info->frames = n;
	v->exact = v->exact && video_order_known(v);
	rc = sort_times(v, p);
done:
	free(p);
	return rc;
}

/* ---- by decoding --------------------------------------------------------- */

/*
 * Keeps a frame that was decoded for the list, without a copy, so that it need
 * not be decoded again to be fetched; a frame that does not fit ends it.
 */
static int
keep(struct video *v, int64_t *bytes)
{
	AVFrame **more;
	int64_t room;
	int i;

	if (v->nkept != v->info->frames || *bytes > KEEP_BYTES)
		return 0;
	for (i = 0; i < AV_NUM_DATA_POINTERS && v->frame->buf[i] != NULL; i++)
		*bytes += (int64_t)v->frame->buf[i]->size;
	if (*bytes > KEEP_BYTES)
		return 0;
	if (v->nkept == v->room) {
		room = v->room > 0 ? 2 * v->room : 64;
		if ((more = realloc(v->kept, sizeof(*more) * room)) == NULL)
			return cb_fail(CB_ENOMEM, "%s", v->name);
		v->kept = more;
		v->room = room;
	}
	if ((v->kept[v->nkept] = av_frame_clone(v->frame)) == NULL)
		return cb_fail(CB_ENOMEM, "%s", v->name);
	v->nkept++;
	return 0;
}

void
video_kept_free(struct video *v)
{
	while (v->nkept > 0)
		av_frame_free(&v->kept[--v->nkept]);
	free(v->kept);
	v->kept = NULL;
}

/* One more time for the list of those that came out. */
static int
add_time(struct video *v, int64_t *room)
{
	int64_t *more;

	if (v->info->frames == *room) {
		*room = *room > 0 ? 2 * *room : 256;
		more = realloc(v->info->pts, sizeof(*more) * *room);
		if (more == NULL)
			return cb_fail(CB_ENOMEM, "%s", v->name);
		v->info->pts = more;
	}
	v->info->pts[v->info->frames++] = v->pts;
	return 0;
}

/* All frames that come out. */
static int
list_by_decoding(struct video *v)
{
	int64_t room = 0, bytes = 0;
	int rc;

	v->info->frames = 0;
	v->exact = false;
	if (video_to_start(v) < 0)
		return -1;
	while ((rc = video_decode(v)) > 0)
		if (keep(v, &bytes) < 0 || add_time(v, &room) < 0)
			return -1;
	return rc;
}

/*
 * Pictures that nobody will see need not be right: what is left out here has no
 * say in whether and when one comes.
 */
static void
roughly(struct video *v, bool rough)
{
	v->dec->skip_loop_filter = v->dec->skip_idct = rough ? AVDISCARD_ALL :
	    AVDISCARD_DEFAULT;
}

static bool
is_among(int64_t pts, const int64_t *list, int64_t n)
{
	return n > 0 &&	/* else list is NULL */
	    bsearch(&pts, list, n, sizeof(*list), video_by_value) != NULL;
}

/* Latest time of the packets that the decoder has had. */
static int64_t
last_fed(const struct video *v)
{
	int64_t last = INT64_MIN;
	int i;

	for (i = 0; i < v->cur && i < v->npackets; i++)
		if (v->packets[i].pts > last)
			last = v->packets[i].pts;
	return last;
}

/*
 * Decodes up to the first frame that is no earlier than the first key packet,
 * number `key`, and on to the last of the packets that were needed for that.
 * Into info->pts what came.  The time before which nothing more can come, or
 * INT64_MAX, into *until.
 */
static int
decode_head(struct video *v, int key, int64_t *until)
{
	bool met = false;
	int64_t room = 0;
	int rc;

	*until = v->packets[key].pts;
	while ((rc = video_decode(v)) > 0) {
		if (add_time(v, &room) < 0)
			return -1;
		if (!met && v->pts >= *until) {
			met = true;
			*until = last_fed(v);
		}
		if (met && v->pts >= *until)
			return 0;
	}
	*until = INT64_MAX;
	return rc;
}

/*
 * Hides the packets around the first key packet, number `key`, of which no
 * frame comes.  1 done, 0 it is not so simple, -1.
 */
static int
list_head(struct video *v, int key)
{
	int64_t *all = v->info->pts, nall = v->info->frames, until, i, n;
	int rc;

	v->info->pts = NULL;
	v->info->frames = 0;
	if ((rc = video_to_start(v)) < 0)
		goto done;
	roughly(v, true);
	if ((rc = decode_head(v, key, &until)) < 0)
		goto done;
	n = v->info->frames;
	for (i = 0; i < n; i++)
		if ((i > 0 && v->info->pts[i] <= v->info->pts[i - 1]) ||
		    !is_among(v->info->pts[i], all, nall))
			goto done;
	for (i = 0; i < v->npackets; i++)
		if (v->packets[i].pts <= until &&
		    !is_among(v->packets[i].pts, v->info->pts, n))
			v->packets[i].hidden = true;
	rc = number(v) < 0 ? -1 : 1;
done:
	if (v->dec != NULL)
		roughly(v, false);
	free(all);
	return rc;
}

int
video_list_frames(struct video *v)
{
	int key, rc = 0;

	if (number(v) < 0)
		return -1;
	for (key = 0; key < v->npackets && !v->packets[key].key; )
		key++;
	if (v->info->image)
		return 0;
	if (v->exact && key < v->npackets) {
		if (key == 0 && (v->info->frames == 0 || v->by_time != NULL ||
		    v->info->pts[0] >= v->packets[0].pts))
			return 0;
		if (v->by_time == NULL && (rc = list_head(v, key)) != 0)
			return rc < 0 ? -1 : 0;
	}
	return list_by_decoding(v);
}
