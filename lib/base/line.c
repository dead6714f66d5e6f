/*
 * A line of workers that keeps the order: a ring of slots.  Items enter at
 * `in`, workers take the one at `taken`, one thread hands on the one at `out` as
 * soon as it is done.  in - out never exceeds the number of slots, which is what
 * bounds the memory.
 */
#include <pthread.h>
#include <stdlib.h>

#include "base.h"

struct slot {
	void	*item;
	bool	 done;
};

struct cb_line {
	struct cb_line_ops ops;
	void	*arg;
	int	 nthreads, nslots, started;
	pthread_t *threads;	/* workers, then the one at the end */
	struct slot *slots;
	pthread_mutex_t lock;
	pthread_cond_t room, todo, ready;
	/* under lock */
	uint64_t in, taken, out;
	bool	 end;		/* nothing more will come */
	int	 stopped;	/* what out() gave */
	enum cb_code code;
	char	*why;
};

static struct slot *
slot_of(struct cb_line *l, uint64_t i)
{
	return &l->slots[i % (uint64_t)l->nslots];
}

static void *
work_main(void *arg)
{
	struct cb_line *l = arg;
	struct slot *s;

	pthread_mutex_lock(&l->lock);
	for (;;) {
		while (l->taken == l->in && !l->end)
			pthread_cond_wait(&l->todo, &l->lock);
		if (l->taken == l->in)
			break;
		s = slot_of(l, l->taken++);
		if (l->stopped == 0) {
			pthread_mutex_unlock(&l->lock);
			l->ops.work(l->arg, s->item);
			pthread_mutex_lock(&l->lock);
		}
		s->done = true;
		pthread_cond_signal(&l->ready);
	}
	pthread_mutex_unlock(&l->lock);
	return NULL;
}

/* Hands on one item; keeps why the line was stopped. */
static void
hand_on(struct cb_line *l, void *item)
{
	int rc;

	if (l->stopped != 0) {
		l->ops.drop(item);
		return;
	}
	if ((rc = l->ops.out(l->arg, item)) == 0)
		return;
	l->why = cb_strf("%s", cb_error());
	l->code = cb_error_code();
	pthread_mutex_lock(&l->lock);
	l->stopped = rc;
	pthread_mutex_unlock(&l->lock);
}

static void *
out_main(void *arg)
{
	struct cb_line *l = arg;
	struct slot *s;
	void *item;

	pthread_mutex_lock(&l->lock);
	for (;;) {
		s = slot_of(l, l->out);
		while (!(l->out < l->in && s->done) &&
		    !(l->end && l->out == l->in))
			pthread_cond_wait(&l->ready, &l->lock);
		if (l->out == l->in)
			break;
		item = s->item;
		s->done = false;
		pthread_mutex_unlock(&l->lock);
		hand_on(l, item);
		pthread_mutex_lock(&l->lock);
		l->out++;
		pthread_cond_signal(&l->room);
	}
	pthread_mutex_unlock(&l->lock);
	return NULL;
}

int
cb_line_new(struct cb_line **out, int nthreads, const struct cb_line_ops *ops,
    void *arg)
{
	struct cb_line *l;
	int i, n = nthreads > 1 ? nthreads + 1 : 0;

	if ((l = calloc(1, sizeof(*l))) == NULL)
		return cb_fail(CB_ENOMEM, "threads");
	l->ops = *ops;
	l->arg = arg;
	l->nthreads = nthreads;
	l->nslots = 2 * nthreads;
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->room, NULL);
	pthread_cond_init(&l->todo, NULL);
	pthread_cond_init(&l->ready, NULL);
	l->threads = calloc(n + 1, sizeof(*l->threads));
	l->slots = calloc(l->nslots, sizeof(*l->slots));
	if (l->threads == NULL || l->slots == NULL) {
		cb_line_end(l);
		return cb_fail(CB_ENOMEM, "threads");
	}
	for (i = 0; i < n; i++, l->started++) {
		if (pthread_create(&l->threads[i], NULL,
		    i < nthreads ? work_main : out_main, l) == 0)
			continue;
		cb_line_end(l);
		return cb_fail(CB_ENOMEM, "%d threads", n);
	}
	*out = l;
	return 0;
}

/* The reason is known to the thread that found it only. */
static int
result(const struct cb_line *l)
{
	if (l->stopped != 0)
		cb_fail(l->code == CB_EIO || l->code == CB_ENOMEM ? CB_EFORMAT :
		    l->code, "%s", l->why);
	return l->stopped;
}

int
cb_line_put(struct cb_line *l, void *item)
{
	int rc;

	if (l->nthreads <= 1) {
		if (l->stopped == 0)
			l->ops.work(l->arg, item);
		hand_on(l, item);
		return result(l);
	}
	pthread_mutex_lock(&l->lock);
	while (l->in - l->out == (uint64_t)l->nslots)
		pthread_cond_wait(&l->room, &l->lock);
	slot_of(l, l->in++)->item = item;
	pthread_cond_signal(&l->todo);
	rc = result(l);
	pthread_mutex_unlock(&l->lock);
	return rc;
}

int
cb_line_end(struct cb_line *l)
{
	int i, rc;

	if (l == NULL)
		return 0;
	pthread_mutex_lock(&l->lock);
	l->end = true;
	pthread_cond_broadcast(&l->todo);
	pthread_cond_broadcast(&l->ready);
	pthread_mutex_unlock(&l->lock);
	for (i = 0; i < l->started; i++)
		pthread_join(l->threads[i], NULL);
	rc = result(l);
	pthread_cond_destroy(&l->ready);
	pthread_cond_destroy(&l->todo);
	pthread_cond_destroy(&l->room);
	pthread_mutex_destroy(&l->lock);
	free(l->why);
	free(l->slots);
	free(l->threads);
	free(l);
	return rc;
}
