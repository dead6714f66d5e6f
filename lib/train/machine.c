/* The machine of pickle.c: its memory and its stack. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "machine.h"

#define CHUNK 65536

/* ---- memory ---------------------------------------------------------------- */

struct chunk {
	struct chunk *next;
	int64_t used, room;
	_Alignas(16) uint8_t at[];
};

void
cb_pickle_init(struct cb_pickle *p, const char *path)
{
	memset(p, 0, sizeof(*p));
	p->path = path;
	p->budget = OPCODES_MAX;
}

void
cb_pickle_clear(struct cb_pickle *p)
{
	struct chunk *c;

	while ((c = p->chunks) != NULL) {
		p->chunks = c->next;
		free(c);
	}
}

void *
cb_pickle_alloc(struct cb_pickle *p, int64_t bytes)
{
	int64_t want = (bytes + 15) / 16 * 16;
	struct chunk *c = p->chunks;
	void *to;

	if (c == NULL || c->room - c->used < want) {
		int64_t room = want > CHUNK ? want : CHUNK;

		if ((c = calloc(1, sizeof(*c) + room)) == NULL) {
			cb_fail(CB_ENOMEM, "%s", p->path);
			return NULL;
		}
		c->room = room;
		c->next = p->chunks;
		p->chunks = c;
	}
	to = c->at + c->used;
	c->used += want;
	return to;
}

int
pk_bad(const struct machine *m, const char *why)
{
	return cb_fail(CB_EFORMAT, "%s: pickle, byte %lld: %s", m->p->path,
	    (long long)m->at, why);
}

int
pk_refuse(const struct machine *m, const char *what, int64_t n)
{
	char text[100];
	int i, k = n < (int64_t)sizeof(text) ? (int)n : (int)sizeof(text) - 1;

	for (i = 0; i < k; i++)
		text[i] = isprint((unsigned char)what[i]) ? what[i] : '?';
	text[k] = '\0';
	return cb_fail(CB_EFORMAT, "%s: wants %s: refused", m->p->path, text);
}

int
pk_grow(const struct machine *m, void **at, int *room, int need,
    size_t unit)
{
	int more = *room;
	void *p;

	if (need <= *room)
		return 0;
	if (need > OPCODES_MAX)
		return pk_bad(m, "too large");
	while (more < need)
		more = more > 0 ? 2 * more : 64;
	if ((p = realloc(*at, more * unit)) == NULL)
		return cb_fail(CB_ENOMEM, "%s", m->p->path);
	memset((char *)p + *room * unit, 0, (more - *room) * unit);
	*at = p;
	*room = more;
	return 0;
}

/* ---- the stack ------------------------------------------------------------- */

int
pk_push(struct machine *m, struct cb_value *v)
{
	if (pk_grow(m, (void **)&m->stack, &m->stack_room, m->nstack + 1,
	    sizeof(*m->stack)) < 0)
		return -1;
	m->stack[m->nstack++] = v;
	return 0;
}

struct cb_value *
pk_push_new(struct machine *m, enum cb_value_kind kind)
{
	struct cb_value *v = cb_pickle_alloc(m->p, sizeof(*v));

	if (v == NULL || pk_push(m, v) < 0)
		return NULL;
	v->kind = kind;
	return v;
}

int
pk_push_int(struct machine *m, enum cb_value_kind kind, int64_t i)
{
	struct cb_value *v = pk_push_new(m, kind);

	if (v == NULL)
		return -1;
	v->i = i;
	return 0;
}

int
pk_push_text(struct machine *m, enum cb_value_kind kind, const uint8_t *at,
    int64_t n)
{
	struct cb_value *v = pk_push_new(m, kind);

	if (v == NULL)
		return -1;
	v->s.at = at;
	v->s.n = n;
	return 0;
}

/* Values above the last mark cannot be reached from below it. */
static int
floor_of(const struct machine *m)
{
	return m->nmarks > 0 ? m->marks[m->nmarks - 1] : 0;
}

struct cb_value *
pk_pop(struct machine *m)
{
	if (m->nstack <= floor_of(m)) {
		pk_bad(m, "takes from an empty stack");
		return NULL;
	}
	return m->stack[--m->nstack];
}

struct cb_value *
pk_top(const struct machine *m)
{
	if (m->nstack <= floor_of(m)) {
		pk_bad(m, "looks at an empty stack");
		return NULL;
	}
	return m->stack[m->nstack - 1];
}

int
pk_push_mark(struct machine *m)
{
	if (pk_grow(m, (void **)&m->marks, &m->marks_room, m->nmarks + 1,
	    sizeof(*m->marks)) < 0)
		return -1;
	m->marks[m->nmarks++] = m->nstack;
	return 0;
}

/* Takes the mark away; values from *from to the top of the stack were above. */
int
pk_pop_mark(struct machine *m, int *from)
{
	if (m->nmarks == 0)
		return pk_bad(m, "no mark is set");
	*from = m->marks[--m->nmarks];
	return 0;
}

/* Moves the stack from there up to the end of a container. */
static int
append_from(struct machine *m, struct cb_value *to, int from)
{
	int k = m->nstack - from, room;
	struct cb_value **at;

	if (k > OPCODES_MAX - to->list.n)
		return pk_bad(m, "a container is too large");
	if (to->list.n + k > to->list.room) {
		room = to->list.n + k > 2 * to->list.room ? to->list.n + k :
		    2 * to->list.room;
		if ((at = cb_pickle_alloc(m->p, room * sizeof(*at))) == NULL)
			return -1;
		if (to->list.n > 0)
			memcpy(at, to->list.at, to->list.n * sizeof(*at));
		to->list.at = at;
		to->list.room = room;
	}
	if (k > 0)
		memcpy(to->list.at + to->list.n, m->stack + from,
		    k * sizeof(*at));
	to->list.n += k;
	m->nstack = from;
	return 0;
}

/* A container of what is above there. */
int
pk_collect(struct machine *m, enum cb_value_kind kind, int from)
{
	struct cb_value *v = cb_pickle_alloc(m->p, sizeof(*v));

	if (v == NULL)
		return -1;
	v->kind = kind;
	if (from < floor_of(m))
		return pk_bad(m, "takes from an empty stack");
	if (kind == CB_V_DICT && (m->nstack - from) % 2 != 0)
		return pk_bad(m, "a key without a value");
	return append_from(m, v, from) < 0 ? -1 : pk_push(m, v);
}

/* Puts what is above there into the container below it. */
int
pk_extend(struct machine *m, enum cb_value_kind kind, int from)
{
	struct cb_value *to;

	if (from <= floor_of(m))
		return pk_bad(m, "takes from an empty stack");
	to = m->stack[from - 1];
	if (to->kind != kind)
		return pk_bad(m, "adds to what is no such container");
	if (kind == CB_V_DICT && (m->nstack - from) % 2 != 0)
		return pk_bad(m, "a key without a value");
	return append_from(m, to, from);
}
