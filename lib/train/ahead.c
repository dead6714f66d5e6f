/*
 * Batches read ahead: a thread takes them off the stream while the engine
 * computes, so that data is waited for only when the pipeline is slower, and the
 * pictures of the next are on their way to where it computes.  A
 * semaphore counts what there is to take, since a handler of signals may raise
 * it, but may not touch a condition.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "train.h"

#define DEPTH (CB_AHEAD - 2)

struct cb_ahead {
	struct cb_feed *feed;
	int	 fd;
	struct cb_engine *e;
	const struct cb_batch *expected;	/* of the queue; NULL: none */
	void	*pinned;		/* where pictures stay; NULL: none yet */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;		/* there is room, or quit */
	sem_t	 ready;			/* batches, the end, calls to wake */
	struct cb_batch *queue[DEPTH];
	int	 n;
	bool	 ended, quit;
	int	 status;		/* of the end: 0 or -1 */
	enum cb_code code;
	char	*why;			/* the reader's message */
};

static void *
reader(void *arg)
{
	struct cb_ahead *a = arg;
	struct cb_batch *b;
	int rc = 1;

	while (rc > 0) {
		rc = cb_feed_next(a->feed, &b);
		pthread_mutex_lock(&a->lock);
		while (rc > 0 && a->n == DEPTH && !a->quit)
			pthread_cond_wait(&a->changed, &a->lock);
		if (rc > 0 && a->quit) {
			cb_batch_free(b);
			rc = 0;
		} else if (rc > 0) {
			a->queue[a->n++] = b;
		}
		if (rc <= 0) {
			a->ended = true;
			a->status = rc;
			if (rc < 0) {
				a->code = cb_error_code();
				a->why = cb_strf("%s", cb_error());
			}
		}
		sem_post(&a->ready);
		pthread_mutex_unlock(&a->lock);
	}
	return NULL;
}

int
cb_ahead_open(struct cb_ahead **out, struct cb_feed *feed, int fd,
    struct cb_engine *e)
{
	struct cb_ahead *a;

	if ((a = calloc(1, sizeof(*a))) == NULL)
		return cb_fail(CB_ENOMEM, "reading ahead");
	a->feed = feed;
	a->fd = fd;
	a->e = e;
	sem_init(&a->ready, 0, 0);
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->changed, NULL);
	if (pthread_create(&a->thread, NULL, reader, a) != 0) {
		free(a);
		return cb_fail(CB_EIO, "cannot start a thread");
	}
	*out = a;
	return 0;
}

int
cb_ahead_next(struct cb_ahead *a, struct cb_batch **out)
{
	int i, rc = 1;

	while (sem_wait(&a->ready) < 0 && errno == EINTR)
		;
	pthread_mutex_lock(&a->lock);
	if (a->n > 0) {
		*out = a->queue[0];
		a->expected = NULL;
		for (i = 1; i < a->n; i++)
			a->queue[i - 1] = a->queue[i];
		a->n--;
		pthread_cond_signal(&a->changed);
	} else if (!a->ended) {
		rc = cb_fail(CB_EUSAGE, "stopped by a signal");
	} else {
		sem_post(&a->ready);	/* the end stays the end */
		rc = a->status;
		if (rc < 0)
			cb_fail(a->code == CB_EIO ? CB_EFORMAT : a->code, "%s",
			    a->why);
	}
	pthread_mutex_unlock(&a->lock);
	if (rc > 0 && (*out)->memory != a->pinned) {
		a->pinned = (*out)->memory;
		a->e->pin(a->e, a->pinned, (*out)->memory_bytes);
	}
	return rc;
}

static int
pictures_of(const struct cb_batch *b)
{
	return b->B * b->K * b->T;
}

void
cb_ahead_expect(struct cb_ahead *a)
{
	const struct cb_batch *b = NULL;

	pthread_mutex_lock(&a->lock);
	if (a->n > 0 && a->queue[0] != a->expected)
		b = a->expected = a->queue[0];
	pthread_mutex_unlock(&a->lock);
	if (b != NULL)
		a->e->expect(a->e, b->pictures, pictures_of(b));
}

void
cb_ahead_done(struct cb_ahead *a, struct cb_batch *b)
{
	a->e->forget(a->e, b->pictures, pictures_of(b));
	cb_batch_free(b);
}

void
cb_ahead_wake(struct cb_ahead *a)
{
	sem_post(&a->ready);
}

static void
do_nothing(int n)
{
	(void)n;
}

/*
 * The reader may be waiting for bytes that will not come.  With nothing in the
 * place of its input, and its system call interrupted, it finds the end.
 */
static void
interrupt(struct cb_ahead *a)
{
	const struct sigaction quiet = { .sa_handler = do_nothing };
	int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (nothing < 0)
		return;
	dup2(nothing, a->fd);
	close(nothing);
	sigaction(SIGURG, &quiet, NULL);
	pthread_kill(a->thread, SIGURG);
}

void
cb_ahead_close(struct cb_ahead *a)
{
	int i;

	if (a == NULL)
		return;
	pthread_mutex_lock(&a->lock);
	a->quit = true;
	if (!a->ended)
		interrupt(a);
	pthread_cond_signal(&a->changed);
	pthread_mutex_unlock(&a->lock);
	pthread_join(a->thread, NULL);
	for (i = 0; i < a->n; i++)
		cb_ahead_done(a, a->queue[i]);
	if (a->pinned != NULL)
		a->e->unpin(a->e, a->pinned);
	pthread_mutex_destroy(&a->lock);
	pthread_cond_destroy(&a->changed);
	sem_destroy(&a->ready);
	free(a->why);
	free(a);
}
