/*
 * Private to the feed: what its files share.  feed.c opens a stream and says
 * what comes next; gather.c reads one group and judges it; collate.c puts
 * groups together into a batch; ready.c reads a batch that came as one;
 * batch.c holds what a batch of either kind is made of.
 */
#ifndef CB_TASK_FEED_H
#define CB_TASK_FEED_H

#include "task/task.h"

/* A group and its pictures. */
struct group {
	struct cb_msg *m;
	const msgpack_object *map;
	int64_t seq, epoch;
	char *name;
	struct cb_msg **pictures;
	int64_t n, room, bytes;
	int K, T;		/* 0: not looked over yet */
	struct cb_array ids, mask, mlm_labels;	/* the last may have no data */
	char *bad;		/* why it cannot be used; NULL: it can */
	bool marked;		/* the upstream said so */
};

struct cb_feed {
	struct cb_reader *r;
	char *name;
	struct cb_feed_options o;
	char *task;
	int classes;		/* 0: no answers in the header */
	int rows;		/* of an example: 1, or its options; 0: none
				 * seen yet */
	int pad_id;
	struct cb_vocab *own;	/* the header's, once it is needed */
	const struct cb_vocab *vocab;
	struct cb_masking masking;
	bool foreign;		/* the header's is not options.vocab */
	int K, T;		/* of the first good group; 0: none yet */
	int64_t seq;		/* of the next batch made here */
	int64_t marked;		/* bad groups that carried their error: the
				 * upstream has counted these */
	int64_t skipped;	/* others */
	bool ended, kept;	/* kept: the reader knows how many are */
};

/* ---- feed.c -------------------------------------------------------------- */

/* Ids of another vocabulary would be taken for other words without a sign. */
int	feed_check_ids(const struct cb_feed *f);

/* ---- gather.c ------------------------------------------------------------ */

/* Reads the rest of a group whose first message is m, taken.  0; -1. */
int	group_gather(struct cb_feed *f, struct group *g, struct cb_msg *m);
/* 1: good; 0: bad, dealt with; -1: the feed ends. */
int	group_judge(struct cb_feed *f, struct group *g);
void	group_clear(struct group *g);
/* The list of its examples, borrowed; NULL: there is none. */
const msgpack_object *group_examples(const struct group *g);

/* ---- collate.c, ready.c -------------------------------------------------- */

/* A batch of n good groups, whose messages it takes over.  1; -1. */
int	batch_collate(struct cb_feed *f, struct cb_batch **out,
	    struct group *g, int n);
/* The batch whose head is m; takes m.  1; -1. */
int	batch_take(struct cb_feed *f, struct cb_batch **out, struct cb_msg *m);

/* ---- batch.c ------------------------------------------------------------- */

/* Memory for media, pictures and messages; B, K and T are set. */
int	batch_alloc(struct cb_batch *b);
/* Fills place i of the batch; the message stays where it is. */
int	batch_place_picture(struct cb_batch *b, int64_t i,
	    const struct cb_msg *m);
/* The pixels of a picture's message, borrowed, once they are u8 [H,W,3]. */
int	feed_picture_of(struct cb_array *out, const struct cb_msg *m);
/* A key that may be missing: *out keeps its value then. */
int	feed_int_or(const msgpack_object *map, const char *key, int64_t *out);

#endif
