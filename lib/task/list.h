/*
 * Private to the list of groups: list.c reads the annotations and writes header
 * and groups, draw.c says which texts a group has.
 */
#ifndef CB_TASK_LIST_H
#define CB_TASK_LIST_H

#include "task/annotation.h"

/* Some examples of a medium: those from first on in its list. */
struct chunk {
	int64_t medium, first;
};

struct cb_list {
	struct cb_list_options o;
	struct annotation *a;
	json_t *answers;		/* names, index = label; NULL: none */
	json_t *labels;			/* name -> label */
	struct cb_vocab *vocab;		/* NULL: none */
	struct cb_vocab_maker *maker;	/* while one is being made */
	int64_t options;		/* of each question; 0: none */
	int64_t strangers;		/* answers not in the list (eval) */
	char stranger[64];
	struct cb_msg *header;
	int64_t *start, *members;	/* examples of medium m: members[
					 * start[m] .. start[m+1]-1] */
	struct chunk *chunks;		/* file by file, medium by medium */
	int64_t nchunks;
	int64_t *begin;			/* chunks of file f: from begin[f] on,
					 * up to begin[f+1] */
	int64_t *order, order_epoch;	/* of the chunks in one epoch; -1: not
					 * worked out */
	int64_t next, end;		/* sequence numbers */
};

/* ---- draw.c -------------------------------------------------------------- */

/* The examples of each medium; then the chunks of all.  0; -1. */
int	list_sort(struct cb_list *l);
int	list_cut(struct cb_list *l);
/* Works out l->order of an epoch. */
void	list_order(struct cb_list *l, int64_t epoch);

/* The file that a chunk is from. */
int	chunk_file(const struct cb_list *l, const struct chunk *c);
/* Examples of a chunk that are its own, and with those drawn to fill it up. */
void	chunk_size(const struct cb_list *l, const struct chunk *c,
	    int64_t *own, int64_t *all);
/* Appends the examples of group seq, which is chunk c. */
int	chunk_examples(const struct cb_list *l, json_t *to,
	    const struct chunk *c, int64_t epoch, int64_t seq);

#endif
