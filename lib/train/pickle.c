/*
 * A reader of pickles that runs nothing.  A pickle is a program for a machine
 * with a stack and a memo; it can name any function of Python and have it called,
 * which is how a weights file can take over a computer.  This machine knows the
 * opcodes, the containers, and the few functions by which PyTorch and numpy
 * rebuild tensors; anything else is refused by its name.  Opcodes: Python's
 * Lib/pickletools.py, protocols 2 to 5.
 *
 * Whatever a file says, memory stays within a fixed amount for each opcode
 * (strings are borrowed from the file) and opcodes are counted; nothing here
 * calls itself, so nesting takes no stack.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "pickle.h"

#define OPCODES_MAX (1 << 22)	/* a training checkpoint has some 100,000 */
#define CHUNK 65536

enum global {
	G_ORDERED_DICT, G_SET, G_SIZE, G_BYTES, G_ENCODE, G_TENSOR, G_PARAMETER,
	G_NDARRAY, G_RECONSTRUCT, G_DTYPE, G_SCALAR, G_FROMBUFFER,
	G_STORAGE,		/* + index into elements */
};

static const struct {
	const char *name;
	enum global is;
} globals[] = {
	{ "collections.OrderedDict", G_ORDERED_DICT },
	{ "__builtin__.set", G_SET }, { "builtins.set", G_SET },
	{ "__builtin__.frozenset", G_SET }, { "builtins.frozenset", G_SET },
	{ "__builtin__.bytes", G_BYTES }, { "builtins.bytes", G_BYTES },
	{ "_codecs.encode", G_ENCODE },
	{ "torch.Size", G_SIZE },
	{ "torch._utils._rebuild_tensor", G_TENSOR },
	{ "torch._utils._rebuild_tensor_v2", G_TENSOR },
	{ "torch._utils._rebuild_parameter", G_PARAMETER },
	{ "numpy.ndarray", G_NDARRAY }, { "numpy.dtype", G_DTYPE },
	{ "numpy.core.multiarray._reconstruct", G_RECONSTRUCT },
	{ "numpy._core.multiarray._reconstruct", G_RECONSTRUCT },
	{ "numpy.core.multiarray.scalar", G_SCALAR },
	{ "numpy._core.multiarray.scalar", G_SCALAR },
	{ "numpy.core.numeric._frombuffer", G_FROMBUFFER },
	{ "numpy._core.numeric._frombuffer", G_FROMBUFFER },
};

static const struct cb_element elements[] = {
	{ "FloatStorage", "f4", 4, true, CB_F32 },
	{ "DoubleStorage", "f8", 8, true, CB_F64 },
	{ "HalfStorage", "f2", 2, true, CB_F16 },
	{ "BFloat16Storage", "", 2, true, CB_BF16 },
	{ "LongStorage", "i8", 8, true, CB_I64 },
	{ "IntStorage", "i4", 4, true, CB_I32 },
	{ "ShortStorage", "i2", 2, true, CB_I32 },
	{ "CharStorage", "i1", 1, true, CB_I32 },
	{ "ByteStorage", "u1", 1, false, CB_U8 },
	{ "BoolStorage", "b1", 1, false, CB_U8 },
	{ "", "u2", 2, false, CB_I32 },
	{ "", "u4", 4, false, CB_I64 },
};

struct machine {
	struct cb_pickle *p;
	const uint8_t *data;
	int64_t n, at;
	struct cb_value **stack, **memo;
	int *marks;		/* heights of the stack */
	int nstack, stack_room, nmarks, marks_room, memo_room, nmemo;
};

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

static int
bad(const struct machine *m, const char *why)
{
	return cb_fail(CB_EFORMAT, "%s: pickle, byte %lld: %s", m->p->path,
	    (long long)m->at, why);
}

static int
refuse(const struct machine *m, const char *what, int64_t n)
{
	char text[100];
	int i, k = n < (int64_t)sizeof(text) ? (int)n : (int)sizeof(text) - 1;

	for (i = 0; i < k; i++)
		text[i] = isprint((unsigned char)what[i]) ? what[i] : '?';
	text[k] = '\0';
	return cb_fail(CB_EFORMAT, "%s: wants %s: refused", m->p->path, text);
}

/* Room for one more in an array that grows. */
static int
grow(const struct machine *m, void **at, int *room, int need, size_t unit)
{
	int more = *room;
	void *p;

	if (need <= *room)
		return 0;
	if (need > OPCODES_MAX)
		return bad(m, "too large");
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

static int
push(struct machine *m, struct cb_value *v)
{
	if (grow(m, (void **)&m->stack, &m->stack_room, m->nstack + 1,
	    sizeof(*m->stack)) < 0)
		return -1;
	m->stack[m->nstack++] = v;
	return 0;
}

static struct cb_value *
push_new(struct machine *m, enum cb_value_kind kind)
{
	struct cb_value *v = cb_pickle_alloc(m->p, sizeof(*v));

	if (v == NULL || push(m, v) < 0)
		return NULL;
	v->kind = kind;
	return v;
}

static int
push_int(struct machine *m, enum cb_value_kind kind, int64_t i)
{
	struct cb_value *v = push_new(m, kind);

	if (v == NULL)
		return -1;
	v->i = i;
	return 0;
}

static int
push_text(struct machine *m, enum cb_value_kind kind, const uint8_t *at,
    int64_t n)
{
	struct cb_value *v = push_new(m, kind);

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

static struct cb_value *
pop(struct machine *m)
{
	if (m->nstack <= floor_of(m)) {
		bad(m, "takes from an empty stack");
		return NULL;
	}
	return m->stack[--m->nstack];
}

static struct cb_value *
top(const struct machine *m)
{
	if (m->nstack <= floor_of(m)) {
		bad(m, "looks at an empty stack");
		return NULL;
	}
	return m->stack[m->nstack - 1];
}

static int
push_mark(struct machine *m)
{
	if (grow(m, (void **)&m->marks, &m->marks_room, m->nmarks + 1,
	    sizeof(*m->marks)) < 0)
		return -1;
	m->marks[m->nmarks++] = m->nstack;
	return 0;
}

/* Takes the mark away; values from *from to the top of the stack were above. */
static int
pop_mark(struct machine *m, int *from)
{
	if (m->nmarks == 0)
		return bad(m, "no mark is set");
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
		return bad(m, "a container is too large");
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
static int
collect(struct machine *m, enum cb_value_kind kind, int from)
{
	struct cb_value *v = cb_pickle_alloc(m->p, sizeof(*v));

	if (v == NULL)
		return -1;
	v->kind = kind;
	if (from < floor_of(m))
		return bad(m, "takes from an empty stack");
	if (kind == CB_V_DICT && (m->nstack - from) % 2 != 0)
		return bad(m, "a key without a value");
	return append_from(m, v, from) < 0 ? -1 : push(m, v);
}

/* Puts what is above there into the container below it. */
static int
extend(struct machine *m, enum cb_value_kind kind, int from)
{
	struct cb_value *to;

	if (from <= floor_of(m))
		return bad(m, "takes from an empty stack");
	to = m->stack[from - 1];
	if (to->kind != kind)
		return bad(m, "adds to what is no such container");
	if (kind == CB_V_DICT && (m->nstack - from) % 2 != 0)
		return bad(m, "a key without a value");
	return append_from(m, to, from);
}

/* ---- values ---------------------------------------------------------------- */

bool
cb_value_is(const struct cb_value *v, const char *text)
{
	return (v->kind == CB_V_STR || v->kind == CB_V_BYTES) &&
	    v->s.n == (int64_t)strlen(text) &&
	    memcmp(v->s.at, text, v->s.n) == 0;
}

struct cb_value *
cb_value_get(const struct cb_value *dict, const char *key)
{
	int i;

	if (dict->kind != CB_V_DICT)
		return NULL;
	for (i = dict->list.n - 2; i >= 0; i -= 2)	/* the last one wins */
		if (cb_value_is(dict->list.at[i], key))
			return dict->list.at[i + 1];
	return NULL;
}

/* An argument of a call or a state: NULL where it is absent or of another kind. */
static struct cb_value *
arg(const struct cb_value *list, int i, enum cb_value_kind kind)
{
	if ((list->kind != CB_V_TUPLE && list->kind != CB_V_LIST) ||
	    i >= list->list.n || list->list.at[i]->kind != kind)
		return NULL;
	return list->list.at[i];
}

/* A tuple of whole numbers; -1 where it is none. */
static int
int_tuple(int64_t to[CB_MAX_RANK], const struct cb_value *v)
{
	int i;

	if (v == NULL || v->list.n > CB_MAX_RANK)
		return -1;
	for (i = 0; i < v->list.n; i++) {
		if (v->list.at[i]->kind != CB_V_INT || v->list.at[i]->i < 0)
			return -1;
		to[i] = v->list.at[i]->i;
	}
	return v->list.n;
}

static int
push_tensor(struct machine *m, struct cb_strided **out)
{
	struct cb_value *v = push_new(m, CB_V_TENSOR);

	if (v == NULL ||
	    (v->tensor = cb_pickle_alloc(m->p, sizeof(**out))) == NULL)
		return -1;
	if (out != NULL)
		*out = v->tensor;
	return 0;
}

/* (storage, offset, sizes, strides, ...) */
static int
build_tensor(struct machine *m, const struct cb_value *args)
{
	const struct cb_value *s = arg(args, 0, CB_V_STORAGE);
	const struct cb_value *offset = arg(args, 1, CB_V_INT);
	struct cb_strided *t;

	if (push_tensor(m, &t) < 0)
		return -1;
	t->rank = int_tuple(t->dim, arg(args, 2, CB_V_TUPLE));
	if (s == NULL || offset == NULL || offset->i < 0 || t->rank < 0 ||
	    int_tuple(t->stride, arg(args, 3, CB_V_TUPLE)) != t->rank)
		return bad(m, "a tensor that is none, or of too many dimensions");
	if (__builtin_add_overflow(offset->i, s->storage->first, &t->offset))
		return bad(m, "a tensor far outside its storage");
	t->storage = s->storage;
	return 0;
}

/* A numpy array: bytes, dense, in the order of C or Fortran. */
static int
fill_array(struct machine *m, struct cb_strided *t, const struct cb_value *dtype,
    const struct cb_value *shape, bool fortran, const struct cb_value *bytes)
{
	struct cb_storage *s = cb_pickle_alloc(m->p, sizeof(*s));
	int64_t step = 1;
	int i, k;

	if (s == NULL)
		return -1;
	t->rank = int_tuple(t->dim, shape);
	if (dtype == NULL || dtype->dtype.type == NULL || bytes == NULL ||
	    t->rank < 0)
		return bad(m, "an array that is none, or not of numbers, or of "
		    "too many dimensions");
	for (i = 0; i < t->rank; i++) {
		k = fortran ? i : t->rank - 1 - i;
		t->stride[k] = step;
		if (__builtin_mul_overflow(step, t->dim[k] > 0 ? t->dim[k] : 1,
		    &step))
			return bad(m, "the size of an array overflows");
	}
	s->type = dtype->dtype.type;
	s->swap = dtype->dtype.swap;
	s->data = bytes->s.at;
	s->bytes = bytes->s.n;
	s->count = s->bytes / s->type->bytes;
	t->storage = s;
	return 0;
}

/* Python 3 writes bytes in protocol 2 as the latin-1 text of them. */
static int
encode(struct machine *m, const struct cb_value *args)
{
	const struct cb_value *s = arg(args, 0, CB_V_STR);
	const struct cb_value *code = arg(args, 1, CB_V_STR);
	uint8_t *to;
	int64_t i, k = 0;

	if (s == NULL || code == NULL || (!cb_value_is(code, "latin1") &&
	    !cb_value_is(code, "latin-1")))
		return bad(m, "_codecs.encode of something else than latin1");
	if ((m->p->decoded += s->s.n) > 2 * m->n)
		return bad(m, "the same bytes over and over");
	if ((to = cb_pickle_alloc(m->p, s->s.n)) == NULL)
		return -1;
	for (i = 0; i < s->s.n; i++) {
		uint8_t c = s->s.at[i];

		if ((c & 0xfe) == 0xc2 && i + 1 < s->s.n &&
		    (s->s.at[i + 1] & 0xc0) == 0x80)
			to[k++] = (uint8_t)(c << 6 | (s->s.at[++i] & 0x3f));
		else if (c < 0x80)
			to[k++] = c;
		else
			return bad(m, "text that is not latin1");
	}
	return push_text(m, CB_V_BYTES, to, k);
}

/* "f4", "<f4": NULL for what is no number. */
static int
build_dtype(struct machine *m, const struct cb_value *args)
{
	const struct cb_value *name = arg(args, 0, CB_V_STR);
	struct cb_value *v = push_new(m, CB_V_DTYPE);
	int64_t skip;
	size_t i;

	if (v == NULL)
		return -1;
	if (name == NULL)
		return bad(m, "a dtype without a name");
	skip = name->s.n > 0 && strchr("<>=|", name->s.at[0]) != NULL;
	v->dtype.swap = skip > 0 && name->s.at[0] == '>';
	for (i = 0; i < CB_LEN(elements); i++)
		if (elements[i].numpy[0] != '\0' && name->s.n - skip == 2 &&
		    memcmp(name->s.at + skip, elements[i].numpy, 2) == 0)
			v->dtype.type = &elements[i];
	return 0;
}

/* [(key, value), ...] or nothing. */
static int
build_dict(struct machine *m, const struct cb_value *args)
{
	const struct cb_value *pairs = arg(args, 0, CB_V_LIST), *pair;
	int from = m->nstack, i;

	for (i = 0; pairs != NULL && i < pairs->list.n; i++) {
		pair = pairs->list.at[i];
		if ((pair->kind != CB_V_TUPLE && pair->kind != CB_V_LIST) ||
		    pair->list.n != 2)
			return bad(m, "an OrderedDict of something else");
		if (--m->p->budget < 0)
			return bad(m, "more opcodes than any weights need");
		if (push(m, pair->list.at[0]) < 0 ||
		    push(m, pair->list.at[1]) < 0)
			return -1;
	}
	return collect(m, CB_V_DICT, from);
}

/* Calls one of the few functions that we know. */
static int
reduce(struct machine *m)
{
	struct cb_value *args = pop(m), *f = args != NULL ? pop(m) : NULL, *v;
	struct cb_strided *t;

	if (f == NULL)
		return -1;
	if (f->kind != CB_V_GLOBAL || args->kind != CB_V_TUPLE)
		return bad(m, "calls what is no function");
	switch (f->global) {
	case G_ORDERED_DICT:
		return build_dict(m, args);
	case G_SET:
		if ((v = arg(args, 0, CB_V_LIST)) == NULL)
			return args->list.n == 0 ?
			    collect(m, CB_V_SET, m->nstack) :
			    bad(m, "a set of something else");
		return push(m, v);
	case G_SIZE:
		if ((v = arg(args, 0, CB_V_TUPLE)) == NULL)
			return bad(m, "a torch.Size of something else");
		return push(m, v);
	case G_BYTES:
		if (args->list.n != 0)
			return bad(m, "bytes of something");
		return push_text(m, CB_V_BYTES, m->data, 0);
	case G_ENCODE:
		return encode(m, args);
	case G_TENSOR:
		return build_tensor(m, args);
	case G_PARAMETER:
		if ((v = arg(args, 0, CB_V_TENSOR)) == NULL)
			return bad(m, "a parameter that is no tensor");
		return push(m, v);
	case G_DTYPE:
		return build_dtype(m, args);
	case G_RECONSTRUCT:
		return push_tensor(m, NULL);
	case G_SCALAR:
		if (push_tensor(m, &t) < 0)
			return -1;
		v = cb_pickle_alloc(m->p, sizeof(*v));	/* the shape () */
		if (v == NULL)
			return -1;
		v->kind = CB_V_TUPLE;
		f = arg(args, 1, CB_V_BYTES);
		return fill_array(m, t, arg(args, 0, CB_V_DTYPE), v, false,
		    f != NULL ? f : arg(args, 1, CB_V_STR));
	case G_FROMBUFFER:
		if (push_tensor(m, &t) < 0)
			return -1;
		v = arg(args, 3, CB_V_STR);
		return fill_array(m, t, arg(args, 1, CB_V_DTYPE),
		    arg(args, 2, CB_V_TUPLE), v != NULL && cb_value_is(v, "F"),
		    arg(args, 0, CB_V_BYTES));
	default:
		return bad(m, "calls what is no function");
	}
}

/* Gives an object its state.  That of a container or a tensor (hooks, the
 * _metadata of a state_dict) is nothing that we need. */
static int
build(struct machine *m)
{
	const struct cb_value *state = pop(m), *b, *f;
	struct cb_value *to = state != NULL ? top(m) : NULL;

	if (to == NULL)
		return -1;
	switch (to->kind) {
	case CB_V_DICT:
		return 0;
	case CB_V_DTYPE:
		if ((b = arg(state, 1, CB_V_STR)) == NULL &&
		    (b = arg(state, 1, CB_V_BYTES)) == NULL)
			return bad(m, "a dtype without byte order");
		to->dtype.swap = cb_value_is(b, ">");
		return 0;
	case CB_V_TENSOR:
		if (to->tensor->storage != NULL)
			return 0;
		b = arg(state, 4, CB_V_BYTES);	/* Python 2 wrote a str */
		if (b == NULL)
			b = arg(state, 4, CB_V_STR);
		f = arg(state, 3, CB_V_BOOL);
		return fill_array(m, to->tensor, arg(state, 2, CB_V_DTYPE),
		    arg(state, 1, CB_V_TUPLE), f != NULL && f->i, b);
	default:
		return bad(m, "gives a state to what has none");
	}
}

/* ("storage", type, key, place, elements[, (view, first, elements)]) */
static int
persistent(struct machine *m)
{
	const struct cb_value *id = pop(m), *what, *type, *key, *count, *view;
	struct cb_storage *s;
	struct cb_value *v;

	if (id == NULL)
		return -1;
	if (!m->p->torch)
		return bad(m, "a persistent id, but no storages are here");
	what = arg(id, 0, CB_V_STR);
	if (what == NULL)
		return bad(m, "a persistent id that is no storage");
	if (!cb_value_is(what, "storage"))
		return refuse(m, (const char *)what->s.at, what->s.n);
	type = arg(id, 1, CB_V_GLOBAL);
	key = arg(id, 2, CB_V_STR);
	count = arg(id, 4, CB_V_INT);
	view = arg(id, 5, CB_V_TUPLE);
	if (type == NULL || type->global < G_STORAGE || key == NULL ||
	    count == NULL || count->i < 0)
		return bad(m, "a persistent id that is no storage");
	if ((v = push_new(m, CB_V_STORAGE)) == NULL ||
	    (s = cb_pickle_alloc(m->p, sizeof(*s))) == NULL)
		return -1;
	s->type = &elements[type->global - G_STORAGE];
	s->key = (const char *)key->s.at;
	s->key_bytes = key->s.n;
	s->count = count->i;
	if (view != NULL) {
		if ((what = arg(view, 1, CB_V_INT)) == NULL || what->i < 0)
			return bad(m, "a view that is none");
		s->first = what->i;
	}
	s->next = m->p->storages;
	m->p->storages = s;
	m->p->nstorages++;
	v->storage = s;
	return 0;
}

/* A function or class by its name.  Here is where a file is refused. */
static int
push_global(struct machine *m, const uint8_t *module, int64_t n,
    const uint8_t *name, int64_t k)
{
	char *text;
	int found = -1, rc;
	size_t i;

	if (n > 200 || k > 200)
		return bad(m, "a name that is too long");
	text = cb_strf("%.*s.%.*s", (int)n, (const char *)module, (int)k,
	    (const char *)name);
	for (i = 0; i < CB_LEN(globals); i++)
		if (strcmp(globals[i].name, text) == 0)
			found = globals[i].is;
	for (i = 0; i < CB_LEN(elements); i++)
		if (strncmp(text, "torch.", 6) == 0 &&
		    elements[i].storage[0] != '\0' &&
		    strcmp(elements[i].storage, text + 6) == 0)
			found = G_STORAGE + (int)i;
	rc = found < 0 ? refuse(m, text, (int64_t)strlen(text)) :
	    push_int(m, CB_V_GLOBAL, 0);
	free(text);
	if (rc == 0)
		m->stack[m->nstack - 1]->global = found;
	return rc;
}

/* ---- opcodes --------------------------------------------------------------- */

/* The next n bytes of the file; NULL where it ends. */
static const uint8_t *
take(struct machine *m, uint64_t n)
{
	const uint8_t *p = m->data + m->at;

	if (n > (uint64_t)(m->n - m->at)) {
		bad(m, "cut short");
		return NULL;
	}
	m->at += (int64_t)n;
	return p;
}

/* A little-endian number of some bytes. */
static int
take_number(struct machine *m, int bytes, uint64_t *out)
{
	const uint8_t *p = take(m, bytes);
	int i;

	if (p == NULL)
		return -1;
	*out = 0;
	for (i = 0; i < bytes; i++)
		*out |= (uint64_t)p[i] << (8 * i);
	return 0;
}

/* Up to the end of the line. */
static const uint8_t *
take_line(struct machine *m, int64_t *n)
{
	const uint8_t *p = m->data + m->at;
	const uint8_t *end = memchr(p, '\n', m->n - m->at);

	if (end == NULL) {
		bad(m, "cut short");
		return NULL;
	}
	*n = end - p;
	m->at += *n + 1;
	return p;
}

/* A length of some bytes, then as many bytes. */
static int
op_text(struct machine *m, enum cb_value_kind kind, int bytes)
{
	const uint8_t *p;
	uint64_t n;

	if (take_number(m, bytes, &n) < 0 || (p = take(m, n)) == NULL)
		return -1;
	return push_text(m, kind, p, (int64_t)n);
}

/* An int of any length; what has more than 64 bits stays as it is. */
static int
op_long(struct machine *m, int bytes)
{
	const uint8_t *p;
	uint64_t n, v = 0, i;

	if (take_number(m, bytes, &n) < 0 || (p = take(m, n)) == NULL)
		return -1;
	if (n > 8)
		return push_text(m, CB_V_BIG, p, (int64_t)n);
	for (i = 0; i < n; i++)
		v |= (uint64_t)p[i] << (8 * i);
	if (n > 0 && n < 8 && p[n - 1] & 0x80)
		v |= ~(uint64_t)0 << (8 * n);
	return push_int(m, CB_V_INT, (int64_t)v);
}

static int
op_float(struct machine *m)
{
	const uint8_t *p = take(m, 8);
	struct cb_value *v;
	uint64_t bits = 0;
	int i;

	if (p == NULL || (v = push_new(m, CB_V_REAL)) == NULL)
		return -1;
	for (i = 0; i < 8; i++)
		bits = bits << 8 | p[i];
	memcpy(&v->d, &bits, 8);
	return 0;
}

static int
op_global(struct machine *m)
{
	const uint8_t *module, *name;
	int64_t n, k;

	if ((module = take_line(m, &n)) == NULL ||
	    (name = take_line(m, &k)) == NULL)
		return -1;
	return push_global(m, module, n, name, k);
}

static int
op_stack_global(struct machine *m)
{
	const struct cb_value *name = pop(m), *module;

	if (name == NULL || (module = pop(m)) == NULL)
		return -1;
	if (name->kind != CB_V_STR || module->kind != CB_V_STR)
		return bad(m, "a global without a name");
	return push_global(m, module->s.at, module->s.n, name->s.at,
	    name->s.n);
}

static int
op_put(struct machine *m, uint64_t i)
{
	struct cb_value *v = top(m);

	if (v == NULL)
		return -1;
	if (i >= OPCODES_MAX)
		return bad(m, "a memo that is too large");
	if (grow(m, (void **)&m->memo, &m->memo_room, (int)i + 1,
	    sizeof(*m->memo)) < 0)
		return -1;
	m->nmemo += m->memo[i] == NULL;
	m->memo[i] = v;
	return 0;
}

static int
op_get(struct machine *m, uint64_t i)
{
	if (i >= (uint64_t)m->memo_room || m->memo[i] == NULL)
		return bad(m, "takes what was never put into the memo");
	return push(m, m->memo[i]);
}

/* Runs one opcode: 1 to go on, 0 at STOP. */
static int
step(struct machine *m, uint8_t op)
{
	uint64_t k = 0;
	int from = 0, rc = 0;
	char text[16];

	switch (op) {
	case '.':		/* STOP */
		return 0;
	case 0x80:		/* PROTO */
		rc = take_number(m, 1, &k);
		if (rc == 0 && (k < 2 || k > 5))
			rc = bad(m, "not of protocol 2 to 5");
		break;
	case 0x95:		/* FRAME */
		rc = take_number(m, 8, &k);
		break;
	case '(':		/* MARK */
		rc = push_mark(m);
		break;
	case '0':		/* POP */
		rc = pop(m) != NULL ? 0 : -1;
		break;
	case '1':		/* POP_MARK */
		if ((rc = pop_mark(m, &from)) == 0)
			m->nstack = from;
		break;
	case '2':		/* DUP */
		rc = top(m) != NULL ? push(m, top(m)) : -1;
		break;
	case 'N':
		rc = push_int(m, CB_V_NONE, 0);
		break;
	case 0x88:
	case 0x89:		/* NEWTRUE, NEWFALSE */
		rc = push_int(m, CB_V_BOOL, op == 0x88);
		break;
	case 'J':
	case 'K':
	case 'M':		/* BININT, BININT1, BININT2 */
		rc = take_number(m, op == 'J' ? 4 : op == 'K' ? 1 : 2, &k);
		if (rc == 0)
			rc = push_int(m, CB_V_INT, op == 'J' ?
			    (int32_t)(uint32_t)k : (int64_t)k);
		break;
	case 0x8a:
	case 0x8b:		/* LONG1, LONG4 */
		rc = op_long(m, op == 0x8a ? 1 : 4);
		break;
	case 'G':
		rc = op_float(m);
		break;
	case 'T':		/* BINSTRING, of Python 2 */
	case 'X':		/* BINUNICODE */
		rc = op_text(m, CB_V_STR, 4);
		break;
	case 'U':
	case 0x8c:		/* SHORT_BINSTRING, SHORT_BINUNICODE */
		rc = op_text(m, CB_V_STR, 1);
		break;
	case 0x8d:		/* BINUNICODE8 */
		rc = op_text(m, CB_V_STR, 8);
		break;
	case 'B':
	case 'C':		/* BINBYTES, SHORT_BINBYTES */
		rc = op_text(m, CB_V_BYTES, op == 'B' ? 4 : 1);
		break;
	case 0x8e:
	case 0x96:		/* BINBYTES8, BYTEARRAY8 */
		rc = op_text(m, CB_V_BYTES, 8);
		break;
	case ']':
		rc = collect(m, CB_V_LIST, m->nstack);
		break;
	case '}':
		rc = collect(m, CB_V_DICT, m->nstack);
		break;
	case ')':
		rc = collect(m, CB_V_TUPLE, m->nstack);
		break;
	case 0x8f:		/* EMPTY_SET */
		rc = collect(m, CB_V_SET, m->nstack);
		break;
	case 0x85:
	case 0x86:
	case 0x87:		/* TUPLE1, TUPLE2, TUPLE3 */
		rc = collect(m, CB_V_TUPLE, m->nstack - (op - 0x84));
		break;
	case 't':
	case 'l':
	case 'd':
	case 0x91:		/* TUPLE, LIST, DICT, FROZENSET */
		if ((rc = pop_mark(m, &from)) == 0)
			rc = collect(m, op == 't' ? CB_V_TUPLE : op == 'l' ?
			    CB_V_LIST : op == 'd' ? CB_V_DICT : CB_V_SET, from);
		break;
	case 'a':		/* APPEND */
		rc = extend(m, CB_V_LIST, m->nstack - 1);
		break;
	case 's':		/* SETITEM */
		rc = extend(m, CB_V_DICT, m->nstack - 2);
		break;
	case 'e':
	case 'u':
	case 0x90:		/* APPENDS, SETITEMS, ADDITEMS */
		if ((rc = pop_mark(m, &from)) == 0)
			rc = extend(m, op == 'e' ? CB_V_LIST : op == 'u' ?
			    CB_V_DICT : CB_V_SET, from);
		break;
	case 'q':
	case 'r':		/* BINPUT, LONG_BINPUT */
		if ((rc = take_number(m, op == 'q' ? 1 : 4, &k)) == 0)
			rc = op_put(m, k);
		break;
	case 0x94:		/* MEMOIZE */
		rc = op_put(m, m->nmemo);
		break;
	case 'h':
	case 'j':		/* BINGET, LONG_BINGET */
		if ((rc = take_number(m, op == 'h' ? 1 : 4, &k)) == 0)
			rc = op_get(m, k);
		break;
	case 'c':
		rc = op_global(m);
		break;
	case 'i':		/* INST: a call; never one of ours */
		if ((rc = op_global(m)) == 0)
			rc = bad(m, "makes an object");
		break;
	case 0x93:
		rc = op_stack_global(m);
		break;
	case 'R':
	case 0x81:		/* REDUCE, NEWOBJ */
		rc = reduce(m);
		break;
	case 'b':
		rc = build(m);
		break;
	case 'Q':
		rc = persistent(m);
		break;
	default:
		snprintf(text, sizeof(text), "opcode 0x%02x", op);
		rc = refuse(m, text, (int64_t)strlen(text));
	}
	return rc < 0 ? -1 : 1;
}

int
cb_pickle_load(struct cb_value **out, struct cb_pickle *p, const uint8_t *data,
    int64_t n, int64_t *used)
{
	struct machine m = { .p = p, .data = data, .n = n };
	const uint8_t *op;
	int rc = 1;

	while (rc > 0) {
		if ((op = take(&m, 1)) == NULL)
			rc = -1;
		else if (m.at == 1 && *op != 0x80)
			rc = bad(&m, "not a pickle of protocol 2 to 5");
		else if (--p->budget < 0)
			rc = bad(&m, "more opcodes than any weights need");
		else
			rc = step(&m, *op);
	}
	if (rc == 0 && (*out = pop(&m)) == NULL)
		rc = -1;
	*used = m.at;
	free(m.stack);
	free(m.memo);
	free(m.marks);
	return rc;
}
