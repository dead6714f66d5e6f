/*
 * Private to the reader of pickles: pickle.c knows the opcodes, machine.c the
 * stack, rebuild.c the functions that may be called.  What fails has recorded
 * why, and gives -1 or NULL.
 */
#ifndef CB_MACHINE_H
#define CB_MACHINE_H

#include "pickle.h"

#define OPCODES_MAX (1 << 22)	/* a training checkpoint has some 100,000 */

struct machine {
	struct cb_pickle *p;
	const uint8_t *data;
	int64_t n, at;
	struct cb_value **stack, **memo;
	int *marks;		/* heights of the stack */
	int nstack, stack_room, nmarks, marks_room, memo_room, nmemo;
};

/* ---- machine.c ------------------------------------------------------------- */

/* Says that the pickle is damaged, or that it asks for what nobody gets. */
int	pk_bad(const struct machine *m, const char *why);
int	pk_refuse(const struct machine *m, const char *what, int64_t n);

/* Room for `need` in an array of units that grows. */
int	pk_grow(const struct machine *m, void **at, int *room, int need,
	    size_t unit);

/* The stack.  What is below the last mark is out of reach. */
int	pk_push(struct machine *m, struct cb_value *v);
struct cb_value *pk_push_new(struct machine *m, enum cb_value_kind kind);
int	pk_push_int(struct machine *m, enum cb_value_kind kind, int64_t i);
int	pk_push_text(struct machine *m, enum cb_value_kind kind,
	    const uint8_t *at, int64_t n);	/* borrowed from the file */
struct cb_value *pk_pop(struct machine *m);
struct cb_value *pk_top(const struct machine *m);
int	pk_push_mark(struct machine *m);
int	pk_pop_mark(struct machine *m, int *from);

/* All from a height on: into a new container, or into the one below. */
int	pk_collect(struct machine *m, enum cb_value_kind kind, int from);
int	pk_extend(struct machine *m, enum cb_value_kind kind, int from);

/* ---- rebuild.c: each takes what it needs from the stack --------------------- */

int	pk_reduce(struct machine *m);		/* a call */
int	pk_build(struct machine *m);		/* a state given to an object */
int	pk_persistent(struct machine *m);	/* a storage by its id */
int	pk_push_global(struct machine *m, const uint8_t *module, int64_t n,
	    const uint8_t *name, int64_t k);

#endif
