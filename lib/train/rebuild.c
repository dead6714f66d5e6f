/*
 * The few functions of Python that a pickle of weights needs, and the only ones
 * that it gets: what PyTorch and numpy rebuild tensors with.
 */
#include <stdlib.h>
#include <string.h>

#include "machine.h"

enum global {
	G_DICT, G_SET, G_SIZE, G_BYTES, G_ENCODE, G_TENSOR, G_PARAMETER,
	G_NDARRAY, G_RECONSTRUCT, G_DTYPE, G_SCALAR, G_FROMBUFFER,
	G_TYPE,			/* what a defaultdict makes; never made */
	G_STORAGE,		/* + index into elements */
};

static const struct {
	const char *name;
	enum global is;
} globals[] = {
	{ "collections.OrderedDict", G_DICT },
	{ "collections.defaultdict", G_DICT },
	{ "__builtin__.dict", G_TYPE }, { "builtins.dict", G_TYPE },
	{ "__builtin__.list", G_TYPE }, { "builtins.list", G_TYPE },
	{ "__builtin__.int", G_TYPE }, { "builtins.int", G_TYPE },
	{ "__builtin__.float", G_TYPE }, { "builtins.float", G_TYPE },
	{ "__builtin__.set", G_SET }, { "builtins.set", G_SET },
	{ "__builtin__.frozenset", G_SET }, { "builtins.frozenset", G_SET },
	{ "__builtin__.bytes", G_BYTES }, { "builtins.bytes", G_BYTES },
	{ "_codecs.encode", G_ENCODE },
	{ "torch.Size", G_SIZE },
	{ "torch._utils._rebuild_tensor", G_TENSOR },
	{ "torch._utils._rebuild_tensor_v2", G_TENSOR },
	{ "torch._utils._rebuild_parameter", G_PARAMETER },
	{ "torch._utils._rebuild_parameter_with_state", G_PARAMETER },
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

/* An argument of a call or a state: NULL where it is absent or another kind. */
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
	struct cb_value *v = pk_push_new(m, CB_V_TENSOR);

	if (v == NULL ||
	    (v->tensor = cb_pickle_alloc(m->p, sizeof(**out))) == NULL)
		return -1;
	if (out != NULL)
		*out = v->tensor;
	return 0;
}

/*
 * (storage, offset, sizes, strides, requires_grad, hooks[, {mark: True}]): the
 * marks say that numbers stand negated or conjugated in the file.
 */
static int
build_tensor(struct machine *m, const struct cb_value *args)
{
	const struct cb_value *s = arg(args, 0, CB_V_STORAGE);
	const struct cb_value *offset = arg(args, 1, CB_V_INT);
	const struct cb_value *marks = arg(args, 6, CB_V_DICT);
	struct cb_strided *t;

	if (marks != NULL && marks->list.n > 0)
		return marks->list.at[0]->kind != CB_V_STR ?
		    pk_bad(m, "a tensor with odd marks") :
		    pk_refuse(m, (const char *)marks->list.at[0]->s.at,
		    marks->list.at[0]->s.n);
	if (push_tensor(m, &t) < 0)
		return -1;
	t->rank = int_tuple(t->dim, arg(args, 2, CB_V_TUPLE));
	if (s == NULL || offset == NULL || offset->i < 0 || t->rank < 0 ||
	    int_tuple(t->stride, arg(args, 3, CB_V_TUPLE)) != t->rank)
		return pk_bad(m, "a tensor that is none, or of too "
		    "many dimensions");
	if (__builtin_add_overflow(offset->i, s->storage->first, &t->offset))
		return pk_bad(m, "a tensor far outside its storage");
	t->storage = s->storage;
	return 0;
}

static int
refuse_dtype(struct machine *m, const struct cb_value *dtype)
{
	char *text = cb_strf("numpy.dtype %.*s", (int)(dtype->dtype.n < 40 ?
	    dtype->dtype.n : 40), (const char *)dtype->dtype.name);
	int rc = pk_refuse(m, text, (int64_t)strlen(text));

	free(text);
	return rc;
}

/* A numpy array: bytes, dense, in the order of C or Fortran. */
static int
fill_array(struct machine *m, struct cb_strided *t,
    const struct cb_value *dtype, const struct cb_value *shape,
    bool fortran, const struct cb_value *bytes)
{
	struct cb_storage *s = cb_pickle_alloc(m->p, sizeof(*s));
	int64_t step = 1;
	int i, k;

	if (s == NULL)
		return -1;
	t->rank = int_tuple(t->dim, shape);
	if (dtype != NULL && dtype->dtype.type == NULL)
		return refuse_dtype(m, dtype);
	if (dtype == NULL || bytes == NULL || t->rank < 0)
		return pk_bad(m, "an array that is none, or of too many "
		    "dimensions");
	for (i = 0; i < t->rank; i++) {
		k = fortran ? i : t->rank - 1 - i;
		t->stride[k] = step;
		if (__builtin_mul_overflow(step, t->dim[k] > 0 ? t->dim[k] : 1,
		    &step))
			return pk_bad(m, "the size of an array overflows");
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
		return pk_bad(m, "_codecs.encode of something else than "
		    "latin1");
	if ((m->p->decoded += s->s.n) > 2 * m->n)
		return pk_bad(m, "the same bytes over and over");
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
			return pk_bad(m, "text that is not latin1");
	}
	return pk_push_text(m, CB_V_BYTES, to, k);
}

/* "f4", "<f4": NULL for what is no number. */
static int
build_dtype(struct machine *m, const struct cb_value *args)
{
	const struct cb_value *name = arg(args, 0, CB_V_STR);
	struct cb_value *v = pk_push_new(m, CB_V_DTYPE);
	int64_t skip;
	size_t i;

	if (v == NULL)
		return -1;
	if (name == NULL)
		return pk_bad(m, "a dtype without a name");
	v->dtype.name = name->s.at;
	v->dtype.n = name->s.n;
	skip = name->s.n > 0 && strchr("<>=|", name->s.at[0]) != NULL;
	v->dtype.swap = skip > 0 && name->s.at[0] == '>';
	for (i = 0; i < CB_LEN(elements); i++)
		if (elements[i].numpy[0] != '\0' && name->s.n - skip == 2 &&
		    memcmp(name->s.at + skip, elements[i].numpy, 2) == 0)
			v->dtype.type = &elements[i];
	return 0;
}

/* [(key, value), ...], what a defaultdict makes, or nothing. */
static int
build_dict(struct machine *m, const struct cb_value *args)
{
	const struct cb_value *pairs = arg(args, 0, CB_V_LIST), *pair;
	int from = m->nstack, i;

	for (i = 0; pairs != NULL && i < pairs->list.n; i++) {
		pair = pairs->list.at[i];
		if ((pair->kind != CB_V_TUPLE && pair->kind != CB_V_LIST) ||
		    pair->list.n != 2)
			return pk_bad(m, "an OrderedDict of something else");
		if (--m->p->budget < 0)
			return pk_bad(m, "more opcodes than any weights need");
		if (pk_push(m, pair->list.at[0]) < 0 ||
		    pk_push(m, pair->list.at[1]) < 0)
			return -1;
	}
	return pk_collect(m, CB_V_DICT, from);
}

/* Calls one of the few functions that we know. */
int
pk_reduce(struct machine *m)
{
	struct cb_value *args = pk_pop(m), *v;
	struct cb_value *f = args != NULL ? pk_pop(m) : NULL;
	struct cb_strided *t;

	if (f == NULL)
		return -1;
	if (f->kind != CB_V_GLOBAL || args->kind != CB_V_TUPLE)
		return pk_bad(m, "calls what is no function");
	switch (f->global) {
	case G_DICT:
		return build_dict(m, args);
	case G_SET:
		if ((v = arg(args, 0, CB_V_LIST)) == NULL)
			return args->list.n == 0 ?
			    pk_collect(m, CB_V_SET, m->nstack) :
			    pk_bad(m, "a set of something else");
		return pk_push(m, v);
	case G_SIZE:
		if ((v = arg(args, 0, CB_V_TUPLE)) == NULL)
			return pk_bad(m, "a torch.Size of something else");
		return pk_push(m, v);
	case G_BYTES:
		if (args->list.n != 0)
			return pk_bad(m, "bytes of something");
		return pk_push_text(m, CB_V_BYTES, m->data, 0);
	case G_ENCODE:
		return encode(m, args);
	case G_TENSOR:
		return build_tensor(m, args);
	case G_PARAMETER:
		if ((v = arg(args, 0, CB_V_TENSOR)) == NULL)
			return pk_bad(m, "a parameter that is no tensor");
		return pk_push(m, v);
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
		return pk_bad(m, "calls what is no function");
	}
}

/* Gives an object its state.  That of a container or a tensor (hooks, the
 * _metadata of a state_dict) is nothing that we need. */
int
pk_build(struct machine *m)
{
	const struct cb_value *state = pk_pop(m), *b, *f;
	struct cb_value *to = state != NULL ? pk_top(m) : NULL;

	if (to == NULL)
		return -1;
	switch (to->kind) {
	case CB_V_DICT:
		return 0;
	case CB_V_DTYPE:
		if ((b = arg(state, 1, CB_V_STR)) == NULL &&
		    (b = arg(state, 1, CB_V_BYTES)) == NULL)
			return pk_bad(m, "a dtype without byte order");
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
		return pk_bad(m, "gives a state to what has none");
	}
}

/* ("storage", type, key, place, elements[, (view, first, elements)]) */
int
pk_persistent(struct machine *m)
{
	const struct cb_value *id = pk_pop(m), *what, *type, *key, *count;
	const struct cb_value *view;
	struct cb_storage *s;
	struct cb_value *v;

	if (id == NULL)
		return -1;
	if (!m->p->torch)
		return pk_bad(m, "a persistent id, but no storages are here");
	what = arg(id, 0, CB_V_STR);
	if (what == NULL)
		return pk_bad(m, "a persistent id that is no storage");
	if (!cb_value_is(what, "storage"))
		return pk_refuse(m, (const char *)what->s.at, what->s.n);
	type = arg(id, 1, CB_V_GLOBAL);
	key = arg(id, 2, CB_V_STR);
	count = arg(id, 4, CB_V_INT);
	view = arg(id, 5, CB_V_TUPLE);
	if (type == NULL || type->global < G_STORAGE || key == NULL ||
	    count == NULL || count->i < 0)
		return pk_bad(m, "a persistent id that is no storage");
	if ((v = pk_push_new(m, CB_V_STORAGE)) == NULL ||
	    (s = cb_pickle_alloc(m->p, sizeof(*s))) == NULL)
		return -1;
	s->type = &elements[type->global - G_STORAGE];
	s->key = (const char *)key->s.at;
	s->key_bytes = key->s.n;
	s->count = count->i;
	if (view != NULL) {
		if ((what = arg(view, 1, CB_V_INT)) == NULL || what->i < 0)
			return pk_bad(m, "a view that is none");
		s->first = what->i;
	}
	s->next = m->p->storages;
	m->p->storages = s;
	m->p->nstorages++;
	v->storage = s;
	return 0;
}

/* A function or class by its name.  Here is where a file is refused. */
int
pk_push_global(struct machine *m, const uint8_t *module, int64_t n,
    const uint8_t *name, int64_t k)
{
	char *text;
	int found = -1, rc;
	size_t i;

	if (n > 200 || k > 200)
		return pk_bad(m, "a name that is too long");
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
	rc = found < 0 ? pk_refuse(m, text, (int64_t)strlen(text)) :
	    pk_push_int(m, CB_V_GLOBAL, 0);
	free(text);
	if (rc == 0)
		m->stack[m->nstack - 1]->global = found;
	return rc;
}
