/*
 * Threads that stay.  A run wakes them, everybody takes tasks, the caller
 * included, and the last to finish wakes the caller.  A thread begins with its
 * own share, the same run of tasks whenever there are as many: what it left in
 * its cache it finds again.  Then it helps the others.
 *
 * Runs often follow one another within microseconds, and to wake a thread that
 * sleeps takes tens of them: who waits looks for a while before it sleeps.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base.h"

#define LOOKS 1000		/* some 40 us */

struct worker {
	struct cb_pool *pool;
	pthread_t id;
	int thread;
	/* its share of the current run, begun by itself */
	_Alignas(64) atomic_int next;
	int end;
};

struct cb_pool {
	pthread_mutex_t lock;
	pthread_cond_t go, done;
	struct worker *workers;		/* the first is the caller */
	int nthreads;
	int looks;			/* before one sleeps */
	bool quit;			/* under lock */
	/* of the current run, set before it is counted */
	cb_pool_fn *fn;
	void *arg;
	atomic_int busy;		/* workers that have not finished it */
	atomic_uint run;		/* counts runs; changes under lock */
};

static inline void
look_again(void)
{
#ifdef __x86_64__
	__builtin_ia32_pause();
#endif
}

static void
work(struct cb_pool *p, int thread)
{
	struct worker *w;
	int task, i;

	for (i = 0; i < p->nthreads; i++) {
		w = &p->workers[(thread + i) % p->nthreads];
		while (w->next < w->end &&
		    (task = atomic_fetch_add(&w->next, 1)) < w->end)
			p->fn(p->arg, task, thread);
	}
}

static void *
worker_main(void *arg)
{
	struct worker *w = arg;
	struct cb_pool *p = w->pool;
	unsigned seen = 0;
	bool quit;
	int i;

	for (;;) {
		for (i = 0; i < p->looks && p->run == seen; i++)
			look_again();
		if (p->run == seen) {
			pthread_mutex_lock(&p->lock);
			while (p->run == seen && !p->quit)
				pthread_cond_wait(&p->go, &p->lock);
			quit = p->quit;
			pthread_mutex_unlock(&p->lock);
			if (quit)
				return NULL;
		}
		seen = p->run;
		work(p, w->thread);
		if (atomic_fetch_sub(&p->busy, 1) == 1) {
			pthread_mutex_lock(&p->lock);
			pthread_cond_signal(&p->done);
			pthread_mutex_unlock(&p->lock);
		}
	}
}

int
cb_pool_new(struct cb_pool **out, int nthreads)
{
	int cores = (int)sysconf(_SC_NPROCESSORS_ONLN), i;
	struct cb_pool *p;

	if (nthreads <= 0)
		nthreads = cores;
	if ((p = calloc(1, sizeof(*p))) == NULL ||
	    (p->workers = aligned_alloc(64, nthreads *
	    sizeof(*p->workers))) == NULL) {
		free(p);
		return cb_fail(CB_ENOMEM, "thread pool");
	}
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->go, NULL);
	pthread_cond_init(&p->done, NULL);
	p->nthreads = 1;
	p->looks = nthreads <= cores ? LOOKS : 0;
	for (i = 1; i < nthreads; i++) {
		p->workers[i].pool = p;
		p->workers[i].thread = i;
		if (pthread_create(&p->workers[i].id, NULL, worker_main,
		    &p->workers[i]) != 0) {
			cb_pool_free(p);
			return cb_fail(CB_EIO, "cannot start a thread");
		}
		p->nthreads++;
	}
	*out = p;
	return 0;
}

void
cb_pool_free(struct cb_pool *p)
{
	int i;

	if (p == NULL)
		return;
	pthread_mutex_lock(&p->lock);
	p->quit = true;
	pthread_cond_broadcast(&p->go);
	pthread_mutex_unlock(&p->lock);
	for (i = 1; i < p->nthreads; i++)
		pthread_join(p->workers[i].id, NULL);
	pthread_mutex_destroy(&p->lock);
	pthread_cond_destroy(&p->go);
	pthread_cond_destroy(&p->done);
	free(p->workers);
	free(p);
}

int
cb_pool_threads(const struct cb_pool *p)
{
	return p->nthreads;
}

void
cb_pool_run(struct cb_pool *p, cb_pool_fn *fn, void *arg, int ntasks)
{
	int task, i;

	if (p->nthreads == 1 || ntasks <= 1) {
		for (task = 0; task < ntasks; task++)
			fn(arg, task, 0);
		return;
	}
	p->fn = fn;
	p->arg = arg;
	for (i = 0; i < p->nthreads; i++) {
		p->workers[i].next = (int)((int64_t)ntasks * i / p->nthreads);
		p->workers[i].end = (int)((int64_t)ntasks * (i + 1) /
		    p->nthreads);
	}
	p->busy = p->nthreads - 1;
	pthread_mutex_lock(&p->lock);
	p->run++;
	pthread_cond_broadcast(&p->go);
	pthread_mutex_unlock(&p->lock);
	work(p, 0);
	for (i = 0; i < p->looks && p->busy > 0; i++)
		look_again();
	if (p->busy == 0)
		return;
	pthread_mutex_lock(&p->lock);
	while (p->busy > 0)
		pthread_cond_wait(&p->done, &p->lock);
	pthread_mutex_unlock(&p->lock);
}
