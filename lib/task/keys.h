/*
 * Private to the settings: what keys there are, and one value between JSON and
 * the struct.
 */
#ifndef CB_TASK_KEYS_H
#define CB_TASK_KEYS_H

#include "settings.h"

enum key_kind {
	INT,		/* int */
	INT64,
	REAL,		/* double */
	BOOL,		/* true, false, 1 or 0 */
	TEXT,		/* char *, null is "" */
	PATH,		/* TEXT that may be relative to the settings file */
	CHOICE,		/* an enum, by name */
	INTS,		/* int[n] */
	REALS,		/* double[n] */
	MILESTONES,	/* int[CB_MAX_MILESTONES] and how many, null is none */
};

struct key {
	const char *key;
	enum key_kind kind;
	size_t at;
	size_t more;		/* n of INTS and REALS, place of a count */
	double min, max;	/* of each number */
	const char *original;	/* default, JSON */
	const char *small;	/* NULL: the same */
	const char *const *names;	/* of CHOICE, NULL at the end */
};

/* Keys of struct cb_settings and of its model_config; the last has no name. */
extern const struct key keys_run[], keys_model[];

/* Keys of the original that other programs answer for, or that have no effect
 * (quirk 9), here or there; NULL at the end. */
extern const char *const keys_idle[], *const keys_idle_model[];

extern const char *const keys_losses[];	/* names of loss_type */

/* NULL: there is no such key. */
const struct key *key_find(const struct key *rows, const char *name);
bool	key_listed(const char *const *list, const char *name);

/*
 * Puts a value into base, a struct of the kind that the row is of.  where is for
 * messages; dir, which may be NULL, is the folder that paths are meant from.
 */
int	key_take(void *base, const struct key *r, const json_t *v,
	    const char *where, const char *dir);

/* A path that is named in a file of the folder dir; yours to free. */
char	*key_path(const char *path, const char *dir);

/* The value as JSON, yours. */
json_t	*key_show(const void *base, const struct key *r);

#endif
