/*
 * Threads that stay.  A run wakes them, everybody takes tasks from one counter,
 * the caller included, and the last to finish wakes the caller.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base.h"

struct worker {
	struct cb_pool *pool;
	pthread_t id;
	int thread;
};

struct cb_pool {
	pthread_mutex_t lock;
	pthread_cond_t go, done;
	struct worker *workers;		/* threads 1 .. nthreads-1 */
	int nthreads;
	/* under lock */
	uint64_t run;			/* counts runs */
	int busy;			/* workers that have not finished it */
	bool quit;
	/* of the current run */
	cb_pool_fn *fn;
	void *arg;
	int ntasks;
	atomic_int next;
};

static void
work(struct cb_pool *p, int thread)
{
	int task;

	while ((task = atomic_fetch_add(&p->next, 1)) < p->ntasks)
		p->fn(p->arg, task, thread);
}

static void *
worker_main(void *arg)
{
	struct worker *w = arg;
	struct cb_pool *p = w->pool;
	uint64_t seen = 0;

	pthread_mutex_lock(&p->lock);
	for (;;) {
		while (p->run == seen && !p->quit)
			pthread_cond_wait(&p->go, &p->lock);
		if (p->quit)
			break;
		seen = p->run;
		pthread_mutex_unlock(&p->lock);
		work(p, w->thread);
		pthread_mutex_lock(&p->lock);
		if (--p->busy == 0)
			pthread_cond_signal(&p->done);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

int
cb_pool_new(struct cb_pool **out, int nthreads)
{
	struct cb_pool *p;
	int i;

	if (nthreads <= 0)
		nthreads = (int)sysconf(_SC_NPROCESSORS_ONLN);
	if ((p = calloc(1, sizeof(*p))) == NULL ||
	    (p->workers = calloc(nthreads, sizeof(*p->workers))) == NULL) {
		free(p);
		return cb_fail(CB_ENOMEM, "thread pool");
	}
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->go, NULL);
	pthread_cond_init(&p->done, NULL);
	p->nthreads = 1;
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
	int task;

	if (p->nthreads == 1 || ntasks <= 1) {
		for (task = 0; task < ntasks; task++)
			fn(arg, task, 0);
		return;
	}
	pthread_mutex_lock(&p->lock);
	p->fn = fn;
	p->arg = arg;
	p->ntasks = ntasks;
	atomic_store(&p->next, 0);
	p->busy = p->nthreads - 1;
	p->run++;
	pthread_cond_broadcast(&p->go);
	pthread_mutex_unlock(&p->lock);
	work(p, 0);
	pthread_mutex_lock(&p->lock);
	while (p->busy > 0)
		pthread_cond_wait(&p->done, &p->lock);
	pthread_mutex_unlock(&p->lock);
}
