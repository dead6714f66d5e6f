/*
 * Memory for the activations of one run: a stack of blocks.  The first run
 * finds out how much it takes; afterwards one block holds it all, and no step
 * allocates.
 */
#include <stdlib.h>

#include "internal.h"

#define ALIGN 64
#define FIRST_BLOCK ((int64_t)16 << 20)

static bool
add_block(struct arena *a, int64_t size)
{
	struct block *more = realloc(a->blocks, sizeof(*more) * (a->n + 1));

	if (more == NULL)
		return false;
	a->blocks = more;
	more += a->n;
	if ((more->at = a->e->alloc(a->e, size)) == NULL)
		return false;
	more->size = size;
	more->used = 0;
	a->n++;
	return true;
}

void
arena_clear(struct arena *a)
{
	int i;

	for (i = 0; i < a->n; i++)
		a->e->release(a->e, a->blocks[i].at);
	free(a->blocks);
	a->blocks = NULL;
	a->n = a->top = 0;
}

void
arena_reset(struct arena *a)
{
	int64_t all = 0;
	int i;

	if (a->n > 1) {
		for (i = 0; i < a->n; i++)
			all += a->blocks[i].size;
		arena_clear(a);
		add_block(a, all);	/* else it grows again, or fails there */
	}
	for (i = 0; i < a->n; i++)
		a->blocks[i].used = 0;
	a->top = 0;
}

void *
arena_take(struct arena *a, int64_t count, size_t size)
{
	int64_t bytes;
	struct block *b;

	if (__builtin_mul_overflow(count, (int64_t)size, &bytes) ||
	    bytes > INT64_MAX - ALIGN) {
		cb_fail(CB_ELIMIT, "activations overflow");
		longjmp(*a->full, 1);
	}
	bytes = (bytes + ALIGN - 1) / ALIGN * ALIGN;
	for (; a->top < a->n; a->top++) {
		b = &a->blocks[a->top];
		if (b->size - b->used >= bytes)
			break;
		if (a->top + 1 == a->n) {
			a->top++;
			break;
		}
		a->blocks[a->top + 1].used = 0;
	}
	if (a->top == a->n &&
	    !add_block(a, bytes > FIRST_BLOCK ? bytes : FIRST_BLOCK)) {
		if (a->n > 0)
			a->top = a->n - 1;
		cb_fail(CB_ENOMEM, "activations of %lld bytes",
		    (long long)bytes);
		longjmp(*a->full, 1);
	}
	b = &a->blocks[a->top];
	b->used += bytes;
	return b->at + b->used - bytes;
}

struct mark
arena_mark(const struct arena *a)
{
	struct mark m = { a->top, a->n > a->top ? a->blocks[a->top].used : 0 };

	return m;
}

void
arena_release(struct arena *a, struct mark m)
{
	a->top = m.top;
	if (m.top < a->n)
		a->blocks[m.top].used = m.used;
}
