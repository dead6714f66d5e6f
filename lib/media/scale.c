/*
 * Scalers of libswscale, one for each geometry in use: those of a video that is
 * closed wait here for the next video of that geometry, on whatever thread.
 * Making one costs 0.03 to 0.1 ms, 1 to 2 % of a small video.  They keep nothing
 * from one picture to the next.
 *
 * Decoders are made anew for each video (CAVEATS of cb-decode(1)): flushing one
 * does not make it forget parameter sets, the version of the encoder, or the
 * delay that it has seen, so pictures would depend on the videos before.
 */
#include <pthread.h>
#include <string.h>

#include "media/video.h"

#define IDLE 16

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct scaler idle[IDLE];	/* the latest first; sws NULL: none */

static bool
fits(const struct scaler *s, const AVFrame *f)
{
	return s->sws != NULL && s->w == f->width && s->h == f->height &&
	    s->format == f->format;
}

/* sws_getCachedContext() would take a full range for another format, and make
 * a scaler for each picture. */
static struct SwsContext *
make(const AVFrame *f)
{
	return sws_getContext(f->width, f->height, f->format, f->width,
	    f->height, AV_PIX_FMT_RGB24, SWS_BILINEAR, NULL, NULL, NULL);
}

void
scaler_free(struct scaler *s)
{
	struct SwsContext *oldest;

	if (s->sws == NULL)
		return;
	pthread_mutex_lock(&lock);
	oldest = idle[IDLE - 1].sws;
	memmove(idle + 1, idle, sizeof(idle) - sizeof(idle[0]));
	idle[0] = *s;
	pthread_mutex_unlock(&lock);
	sws_freeContext(oldest);
	s->sws = NULL;
}

struct SwsContext *
scaler_for(struct scaler *s, const AVFrame *f)
{
	int i;

	if (fits(s, f))
		return s->sws;
	scaler_free(s);
	pthread_mutex_lock(&lock);
	for (i = 0; i < IDLE && !fits(&idle[i], f); )
		i++;
	if (i < IDLE) {
		*s = idle[i];
		memmove(idle + i, idle + i + 1, sizeof(idle[0]) *
		    (IDLE - 1 - i));
		idle[IDLE - 1].sws = NULL;
	}
	pthread_mutex_unlock(&lock);
	if (s->sws == NULL)
		*s = (struct scaler){ f->width, f->height, f->format, make(f) };
	return s->sws;
}
