/*
 * The shared memory of a link.  One page of state, then the bytes.
 *
 * An item lies in one piece; what does not fit before the end begins again at
 * the start.  The only state that both sides use is how many items the reader
 * has done with, in the order in which they came, and a flag by which the writer
 * asks to be woken.
 *
 * The memory is sealed against shrinking by the one who makes it, and the other
 * looks, since to touch pages that are gone is to be killed.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stream/ring.h"

#define STATE 4096		/* bytes before the data */
#define ITEM_ALIGN 64
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW)

struct state {
	_Alignas(64) _Atomic uint64_t taken;	/* items, by the reader */
	_Alignas(64) _Atomic uint32_t want;	/* by the writer: room */
};

#define OUT 1024			/* items at once */

struct ring {
	struct state *state;
	char *data;
	int64_t bytes;
	/* the writer's */
	int64_t head;			/* where the next item goes */
	uint64_t put, taken;		/* items */
	int64_t out[OUT];		/* where item i lies, at i % OUT */
	/* the reader's */
	pthread_mutex_t lock;
	uint64_t come, gone;		/* items; the first `gone` are done with */
	int64_t held;			/* bytes of the others */
	struct { int64_t bytes; bool done; } in[OUT];	/* item i at i % OUT */
};

static struct ring *
map(int fd, int64_t bytes)
{
	struct ring *r;
	void *p;

	p = mmap(NULL, (size_t)(STATE + bytes), PROT_READ | PROT_WRITE,
	    MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return NULL;
	if ((r = calloc(1, sizeof(*r))) == NULL) {
		munmap(p, (size_t)(STATE + bytes));
		return NULL;
	}
	r->state = p;
	r->data = (char *)p + STATE;
	r->bytes = bytes;
	pthread_mutex_init(&r->lock, NULL);
	return r;
}

/* A file over the limit of its size would be a signal, not an error. */
static bool
may_have(int64_t bytes)
{
	struct rlimit l;

	return getrlimit(RLIMIT_FSIZE, &l) == 0 &&
	    (l.rlim_cur == RLIM_INFINITY || (int64_t)l.rlim_cur >= bytes);
}

struct ring *
ring_new(int *fd, int64_t bytes)
{
	struct ring *r = NULL;

	bytes = bytes < RING_MIN ? RING_MIN : bytes > RING_MAX ? RING_MAX :
	    bytes;
	bytes = (bytes + STATE - 1) / STATE * STATE;
	if (!may_have(STATE + bytes))
		return NULL;
	*fd = memfd_create("cb-link", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (*fd < 0)
		return NULL;
	/* All of it now: later there is no way to say that it is short. */
	if (fallocate(*fd, 0, 0, STATE + bytes) == 0 &&
	    fcntl(*fd, F_ADD_SEALS, SEALS | F_SEAL_SEAL) == 0)
		r = map(*fd, bytes);
	if (r == NULL)
		close(*fd);
	return r;
}

struct ring *
ring_map(int fd)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	if (seals < 0 || (seals & SEALS) != SEALS || fstat(fd, &st) < 0 ||
	    st.st_size < STATE + RING_MIN || st.st_size > STATE + RING_MAX ||
	    st.st_blocks * 512 < st.st_size)
		return NULL;
	return map(fd, st.st_size - STATE);
}

void
ring_free(struct ring *r)
{
	if (r == NULL)
		return;
	munmap(r->state, (size_t)(STATE + r->bytes));
	pthread_mutex_destroy(&r->lock);
	free(r);
}

static int64_t
room_of(int64_t bytes)
{
	return (bytes + ITEM_ALIGN - 1) / ITEM_ALIGN * ITEM_ALIGN;
}

/* ---- the writer ------------------------------------------------------------ */

/* What the reader says that it has taken counts if it can be. */
static void
learn(struct ring *r)
{
	uint64_t taken = atomic_load(&r->state->taken);

	if (taken > r->taken && taken <= r->put)
		r->taken = taken;
}

/* Where an item of so many bytes can lie; -1: nowhere. */
static int64_t
find_room(const struct ring *r, int64_t bytes)
{
	int64_t tail;

	if (r->put == r->taken)
		return 0;
	if (r->put - r->taken == OUT)
		return -1;
	tail = r->out[r->taken % OUT];
	if (r->head > tail)		/* free: behind the head, before the tail */
		return bytes <= r->bytes - r->head ? r->head :
		    bytes < tail ? 0 : -1;
	return bytes < tail - r->head ? r->head : -1;
}

int64_t
ring_place(struct ring *r, int64_t bytes)
{
	int64_t room = room_of(bytes), at;

	if (room > r->bytes)
		return -2;
	learn(r);
	if ((at = find_room(r, room)) < 0)
		return -1;
	r->out[r->put++ % OUT] = at;
	r->head = at + room;
	return at;
}

int64_t
ring_put(struct ring *r, const void *data, int64_t bytes)
{
	int64_t at = ring_place(r, bytes);

	if (at >= 0)
		memcpy(r->data + at, data, (size_t)bytes);
	return at;
}

bool
ring_want_room(struct ring *r)
{
	uint64_t before = r->taken;

	atomic_store(&r->state->want, 1);
	learn(r);
	return r->taken == before;
}

/* ---- the reader ------------------------------------------------------------ */

int
ring_take(struct ring *r, void **data, uint64_t *item, int64_t at,
    int64_t bytes)
{
	int rc = -1;

	if (at < 0 || bytes < 0 || at > r->bytes || bytes > r->bytes - at)
		return -1;
	*data = r->data + at;
	pthread_mutex_lock(&r->lock);
	if (r->come - r->gone < OUT) {
		*item = r->come++;
		r->in[*item % OUT].bytes = room_of(bytes);
		r->in[*item % OUT].done = false;
		r->held += room_of(bytes);
		rc = 0;
	}
	pthread_mutex_unlock(&r->lock);
	return rc;
}

bool
ring_give(struct ring *r, uint64_t item)
{
	uint64_t before;
	bool tell = false;

	pthread_mutex_lock(&r->lock);
	before = r->gone;
	r->held -= r->in[item % OUT].bytes;
	r->in[item % OUT].done = true;
	while (r->gone < r->come && r->in[r->gone % OUT].done)
		r->gone++;
	if (r->gone > before) {
		atomic_store(&r->state->taken, r->gone);
		tell = atomic_exchange(&r->state->want, 0) != 0;
	}
	pthread_mutex_unlock(&r->lock);
	return tell;
}

/* Not if it has a quarter still. */
bool
ring_tight(struct ring *r, int64_t bytes)
{
	bool tight;

	pthread_mutex_lock(&r->lock);
	tight = r->held + room_of(bytes) > r->bytes / 4 * 3 ||
	    r->come - r->gone >= OUT / 4 * 3;
	pthread_mutex_unlock(&r->lock);
	return tight;
}

void *
ring_memory(const struct ring *r, int64_t *bytes)
{
	*bytes = r->bytes;
	return r->data;
}
