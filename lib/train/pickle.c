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
#include <stdlib.h>
#include <string.h>

#include "machine.h"

/* The next n bytes of the file; NULL where it ends. */
static const uint8_t *
take(struct machine *m, uint64_t n)
{
	const uint8_t *p = m->data + m->at;

	if (n > (uint64_t)(m->n - m->at)) {
		pk_bad(m, "cut short");
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
		pk_bad(m, "cut short");
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
	return pk_push_text(m, kind, p, (int64_t)n);
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
		return pk_push_text(m, CB_V_BIG, p, (int64_t)n);
	for (i = 0; i < n; i++)
		v |= (uint64_t)p[i] << (8 * i);
	if (n > 0 && n < 8 && p[n - 1] & 0x80)
		v |= ~(uint64_t)0 << (8 * n);
	return pk_push_int(m, CB_V_INT, (int64_t)v);
}

static int
op_float(struct machine *m)
{
	const uint8_t *p = take(m, 8);
	struct cb_value *v;
	uint64_t bits = 0;
	int i;

	if (p == NULL || (v = pk_push_new(m, CB_V_REAL)) == NULL)
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
	return pk_push_global(m, module, n, name, k);
}

static int
op_stack_global(struct machine *m)
{
	const struct cb_value *name = pk_pop(m), *module;

	if (name == NULL || (module = pk_pop(m)) == NULL)
		return -1;
	if (name->kind != CB_V_STR || module->kind != CB_V_STR)
		return pk_bad(m, "a global without a name");
	return pk_push_global(m, module->s.at, module->s.n, name->s.at,
	    name->s.n);
}

static int
op_put(struct machine *m, uint64_t i)
{
	struct cb_value *v = pk_top(m);

	if (v == NULL)
		return -1;
	if (i >= OPCODES_MAX)
		return pk_bad(m, "a memo that is too large");
	if (pk_grow(m, (void **)&m->memo, &m->memo_room, (int)i + 1,
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
		return pk_bad(m, "takes what was never put into the memo");
	return pk_push(m, m->memo[i]);
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
			rc = pk_bad(m, "not of protocol 2 to 5");
		break;
	case 0x95:		/* FRAME */
		rc = take_number(m, 8, &k);
		break;
	case '(':		/* MARK */
		rc = pk_push_mark(m);
		break;
	case '0':		/* POP */
		rc = pk_pop(m) != NULL ? 0 : -1;
		break;
	case '1':		/* POP_MARK */
		if ((rc = pk_pop_mark(m, &from)) == 0)
			m->nstack = from;
		break;
	case '2':		/* DUP */
		rc = pk_top(m) != NULL ? pk_push(m, pk_top(m)) : -1;
		break;
	case 'N':
		rc = pk_push_int(m, CB_V_NONE, 0);
		break;
	case 0x88:
	case 0x89:		/* NEWTRUE, NEWFALSE */
		rc = pk_push_int(m, CB_V_BOOL, op == 0x88);
		break;
	case 'J':
	case 'K':
	case 'M':		/* BININT, BININT1, BININT2 */
		rc = take_number(m, op == 'J' ? 4 : op == 'K' ? 1 : 2, &k);
		if (rc == 0)
			rc = pk_push_int(m, CB_V_INT, op == 'J' ?
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
		rc = pk_collect(m, CB_V_LIST, m->nstack);
		break;
	case '}':
		rc = pk_collect(m, CB_V_DICT, m->nstack);
		break;
	case ')':
		rc = pk_collect(m, CB_V_TUPLE, m->nstack);
		break;
	case 0x8f:		/* EMPTY_SET */
		rc = pk_collect(m, CB_V_SET, m->nstack);
		break;
	case 0x85:
	case 0x86:
	case 0x87:		/* TUPLE1, TUPLE2, TUPLE3 */
		rc = pk_collect(m, CB_V_TUPLE, m->nstack - (op - 0x84));
		break;
	case 't':
	case 'l':
	case 'd':
	case 0x91:		/* TUPLE, LIST, DICT, FROZENSET */
		if ((rc = pk_pop_mark(m, &from)) == 0)
			rc = pk_collect(m, op == 't' ? CB_V_TUPLE : op == 'l' ?
			    CB_V_LIST : op == 'd' ? CB_V_DICT : CB_V_SET, from);
		break;
	case 'a':		/* APPEND */
		rc = pk_extend(m, CB_V_LIST, m->nstack - 1);
		break;
	case 's':		/* SETITEM */
		rc = pk_extend(m, CB_V_DICT, m->nstack - 2);
		break;
	case 'e':
	case 'u':
	case 0x90:		/* APPENDS, SETITEMS, ADDITEMS */
		if ((rc = pk_pop_mark(m, &from)) == 0)
			rc = pk_extend(m, op == 'e' ? CB_V_LIST : op == 'u' ?
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
			rc = pk_bad(m, "makes an object");
		break;
	case 0x93:
		rc = op_stack_global(m);
		break;
	case 'R':
	case 0x81:		/* REDUCE, NEWOBJ */
		rc = pk_reduce(m);
		break;
	case 'b':
		rc = pk_build(m);
		break;
	case 'Q':
		rc = pk_persistent(m);
		break;
	default:
		snprintf(text, sizeof(text), "opcode 0x%02x", op);
		rc = pk_refuse(m, text, (int64_t)strlen(text));
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
			rc = pk_bad(&m, "not a pickle of protocol 2 to 5");
		else if (--p->budget < 0)
			rc = pk_bad(&m, "more opcodes than any weights need");
		else
			rc = step(&m, *op);
	}
	if (rc == 0 && (*out = pk_pop(&m)) == NULL)
		rc = -1;
	*used = m.at;
	free(m.stack);
	free(m.memo);
	free(m.marks);
	return rc;
}
