/*
 * Pictures that an engine expects, on their way while it computes: whatever the
 * order of expect(), prepare() and forget(), it prepares what was there.
 *
 *	pictures ENGINE		against the twin
 *	pictures ENGINE two	two sets and no more: for the order of the calls
 *	pictures ENGINE FAULT	what must not be done to memory that is pinned:
 *				change it, unpin it, unmap it
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "engine/engine.h"
#include "tap.h"

enum { S = 24, MOST = 6, SETS = 5, STEPS = 400, BYTES = MOST * 3 << 14 };

static const float mean[3] = { 123.675f, 116.28f, 103.53f };
static const float std[3] = { 1, 2, .5f };
static struct cb_engine *e, *twin;
static uint32_t drawn;

static uint32_t
draw(uint32_t n)
{
	const struct cb_rng r = { 11, 7, 0, 0 };

	return cb_rng_u32(&r, drawn++) % n;
}

static uint8_t *
pages(void)
{
	void *p = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE |
	    MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* P pictures of any size in memory of their own. */
struct pack {
	struct cb_array a[MOST];
	int	 P, expected;
	uint8_t	*memory;
};

static void
fill(struct pack *k, int P, int side)
{
	int64_t at = 0;
	int i;

	k->P = P;
	for (i = 0; i < P; i++) {
		k->a[i] = (struct cb_array){ .type = CB_U8, .rank = 3,
		    .dim = { 1 + draw((uint32_t)side), 1 +
		    draw((uint32_t)side), 3 } };
		k->a[i].data = k->memory + at;
		/* some are neighbours as in memory that is shared */
		at += (cb_array_bytes(&k->a[i]) + 63) / 64 * 64;
	}
	for (i = 0; i < at; i++)
		k->memory[i] = (uint8_t)draw(256);
}

static struct cb_elem *
room(struct cb_engine *of, int P)
{
	struct cb_elem *x = of->alloc(of, P * S * S * (3 + of->blank) *
	    (int64_t)of->elem_size);

	if (x == NULL)
		exit(cb_complain());
	return x;
}

/* Does x have these pictures?  Waits. */
static bool
right(struct cb_elem *x, const struct cb_array *a, int P)
{
	const int colours = 3 + e->blank;
	int64_t n = (int64_t)P * S * S * colours, i;
	float *got = malloc(sizeof(*got) * (size_t)n);
	struct cb_elem *y = room(twin, P);
	const float *want = (const float *)y;
	bool same = true;

	twin->prepare(twin, y, a, P, S, mean, std);
	e->get_elem(e, got, x, n);
	for (i = 0; i < n; i++)
		same &= fabsf(got[i] - (i % colours < 3 ? want[i / colours * 3
		    + i % colours] : 0)) < 1e-4f;
	twin->release(twin, y);
	free(got);
	return same;
}

static void
make(struct cb_elem *x, const struct cb_array *a, int P)
{
	e->prepare(e, x, a, P, S, mean, std);
}

static void
two(struct pack *k, struct cb_elem *x, int side)
{
	fill(&k[0], 3, side);
	fill(&k[1], 5, side);
	e->expect(e, k[0].a, 3);
	make(x, k[0].a, 3);
	e->expect(e, k[1].a, 5);
	ok(right(x, k[0].a, 3), "while the next are on their way");
	e->forget(e, k[0].a, 3);
	make(x, k[1].a, 5);
	ok(right(x, k[1].a, 5), "and these");
	e->forget(e, k[1].a, 5);
	ok(e->sync(e) == 0, "without an error");
}

/* Not in one piece, not in order, one of them twice; expected more than once. */
static void
parts(struct pack *k, struct cb_elem *x)
{
	struct cb_array a[4];

	fill(&k[0], 6, 50);
	memcpy(a, (struct cb_array[]){ k[0].a[5], k[0].a[1], k[0].a[1],
	    k[0].a[2] }, sizeof(a));
	e->expect(e, k[0].a, 6);
	e->expect(e, k[0].a + 1, 2);
	e->forget(e, k[0].a + 1, 2);
	make(x, a, 4);
	ok(right(x, a, 4), "a part in another order");
	e->expect(e, k[0].a, 6);
	e->forget(e, k[0].a, 6);
	make(x, k[0].a + 3, 1);
	ok(right(x, k[0].a + 3, 1), "one, forgotten once of twice");
	e->forget(e, k[0].a, 6);
	e->forget(e, k[0].a, 6);
	e->forget(e, k[1].a, 3);
	ok(e->sync(e) == 0, "what is not expected is forgotten at no cost");
}

/* Others where pictures were that nobody has wanted, or that were just read. */
static void
replaced(struct pack *k, struct cb_elem *x)
{
	fill(&k[0], 4, 50);
	e->expect(e, k[0].a, 4);
	make(x, k[0].a, 1);
	e->forget(e, k[0].a, 4);
	fill(&k[0], 4, 50);
	e->expect(e, k[0].a, 4);
	e->sync(e);
	e->forget(e, k[0].a, 4);
	fill(&k[0], 2, 50);
	e->expect(e, k[0].a, 2);
	make(x, k[0].a, 2);
	ok(right(x, k[0].a, 2), "others in the place of pictures forgotten");
	e->forget(e, k[0].a, 2);
}

static void
any_order(struct pack *k, struct cb_elem *x)
{
	int i, from, n, bad = 0, seen = 0;
	struct pack *p;

	for (i = 0; i < SETS; i++)
		k[i].expected = 0;
	for (i = 0; i < STEPS; i++) {
		p = &k[draw(SETS)];
		if (p->expected == 0)
			fill(p, 1 + (int)draw(MOST), 20 + i / 4);
		switch (draw(4)) {
		case 0:
			e->expect(e, p->a, p->P);
			p->expected++;
			break;
		case 1:
			e->forget(e, p->a, p->P);
			p->expected -= p->expected > 0;
			break;
		case 2:
			if (p->expected == 0)
				break;
			from = (int)draw((uint32_t)p->P);
			n = 1 + (int)draw((uint32_t)(p->P - from));
			make(x, p->a + from, n);
			if (draw(2) == 0)
				break;
			bad += !right(x, p->a + from, n);
			seen++;
			break;
		default:
			bad += draw(2) == 0 && e->sync(e) < 0;
		}
	}
	for (i = 0; i < SETS; i++)
		while (k[i].expected-- > 0)
			e->forget(e, k[i].a, k[i].P);
	ok(bad == 0 && seen > 20, "%d times in any order", seen);
}

/* The copies have been asked for; nobody has waited. */
static void
fault(struct pack *k, struct cb_elem *x, const char *what)
{
	fill(&k[0], 2, 40);
	e->expect(e, k[0].a, 2);
	make(x, k[0].a, 2);
	if (strcmp(what, "change") == 0)
		memset(k[0].memory, 1, 100);
	else if (strcmp(what, "unpin") == 0)
		e->unpin(e, k[0].memory);
	else
		munmap(k[0].memory, BYTES);
	e->sync(e);
}

int
main(int argc, char **argv)
{
	struct pack k[SETS];
	struct cb_elem *x;
	int i;

	if (argc < 2 || cb_engine_open(&e, argv[1], 1) < 0 ||
	    cb_engine_open(&twin, "ref", 1) < 0)
		return cb_complain();
	for (i = 0; i < SETS; i++)
		if ((k[i].memory = pages()) == NULL)
			return 1;
	for (i = 0; i < SETS; i += 2)	/* others are not */
		e->pin(e, k[i].memory, BYTES);
	x = room(e, MOST);
	if (argc > 2 && strcmp(argv[2], "two") != 0) {
		fault(k, x, argv[2]);
		return 0;
	} else if (argc > 2) {
		plan(6);
		two(k, x, 60);
		two(k, x, 30);	/* now there is memory for them */
	} else {
		plan(9);
		two(k, x, 60);
		parts(k, x);
		replaced(k, x);
		any_order(k, x);
		ok(e->sync(e) == 0, "without an error");
	}
	for (i = 0; i < SETS; i++) {
		e->unpin(e, k[i].memory);
		munmap(k[i].memory, BYTES);
	}
	e->release(e, x);
	e->free(e);
	twin->free(twin);
	return done();
}
