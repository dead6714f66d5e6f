/*
 * task: what an example, a label, a batch and a metric are.  Reads annotation
 * jsonl into groups, puts groups together into batches, and measures
 * predictions.  Knows messages and words; never pixels or engines: a picture is
 * an array that passes through.
 */
#ifndef CB_TASK_H
#define CB_TASK_H

#include "stream/stream.h"
#include "text/text.h"

/* What the answers to questions of how often are limited to, from 1. */
#define CB_COUNT_MAX 10

/* ---- groups from annotations: list.c, annotation.c ---------------------- */

struct cb_list_options {
	const char *task;	/* NULL: guessed from the first line */
	bool	 eval;		/* split "eval": file order, no filling up */
	bool	 unshuffled;	/* file order in training too */
	int64_t	 epochs;	/* >= 1 */
	int64_t	 seed;
	/* Texts of a group at most; 0: all of the medium. */
	int64_t	 per_group;
	/* retrieval: so many texts of other media behind each, label 0;
	 * -1: one in training, none in evaluation. */
	int64_t	 negatives;
	/* captions: how likely a text is one of another medium; -1: half of
	 * them in training, none in evaluation. */
	double	 mismatch;
	bool	 pairs;		/* retrieval, eval: each medium with all texts */
	int64_t	 shard, shards;	/* groups with seq % shards == shard */
	int64_t	 skip;		/* groups of this shard left out in front */
	const char *answers;	/* ans2label.json; NULL: found or made */
	const char *vocab;	/* vocab.txt; NULL: found or made */
	/* Where the media of each file are, as many as files; NULL: looked for
	 * beside the first. */
	const char *const *places;
};

/* One epoch of training with seed 0, all texts of a medium in one group. */
struct cb_list_options cb_list_defaults(void);

struct cb_list;

/*
 * Reads n >= 1 whole files ("-": stdin) and checks every line; a message names
 * file and line.  Answers and vocabulary are those given, else ans2label.json and
 * vocab.txt beside the first file, else, in training, made from the files.
 * Groups of several files are shuffled together.
 */
int	cb_list_open(struct cb_list **out, char *const *paths, int n,
	    const struct cb_list_options *options);
void	cb_list_close(struct cb_list *l);

/* The header to begin the stream with: task, split, epochs, groups, ...;
 * valid until close. */
struct cb_msg *cb_list_header(struct cb_list *l);
int64_t	cb_list_groups(const struct cb_list *l);

/* The next group message, yours to free; the caller writes its end.  1; 0
 * behind the last; -1. */
int	cb_list_next(struct cb_list *l, struct cb_msg **out);

/* The names of the answers, index = label, from a file with {answer: label} or
 * a list of names; yours. */
int	cb_answers_load(json_t **out, const char *path);

/* ---- batches: batch.c, feed.c ------------------------------------------- */

struct cb_batch_medium {
	char	*name;		/* "media" of its group */
	int64_t	 seq, epoch;	/* of its group */
	int	 rows;		/* text rows */
};

/*
 * B media, each with K clips of T pictures, and their N rows of text in the
 * same order.  An image has K = T = 1.  All pointers are the batch's own.
 */
struct cb_batch {
	int64_t	 seq, epoch;	/* epoch: of the first group */
	char	*task;		/* "" where nothing says */
	int	 B, K, T, N, L;
	struct cb_batch_medium *media;	/* [B] */
	struct cb_array ids, mask;	/* i32 [N,L] */
	struct cb_array mlm_labels;	/* i32 [N,L], CB_NOT_MASKED where no
					 * word is masked; no data: none is */
	/*
	 * i32 [examples], -1: none; f32 [examples] (count), NaN: none; or f32
	 * [examples,C] (vqa); no data where no example has a label.
	 */
	struct cb_array labels;
	msgpack_object examples;	/* list of maps; N, or fewer with options */
	struct cb_array *pictures;	/* [B*K*T] u8 [H,W,3]: video, clip, frame */
	int64_t	*index;			/* [B*K*T] frame numbers */
	double	*pts_s;			/* [B*K*T] */
	/* Where pictures lie that stayed where they came; NULL: nowhere.  The
	 * same for all batches of a feed, and there until that is closed. */
	void	*memory;
	int64_t	 memory_bytes;
	/* private: the messages that data and examples lie in */
	struct cb_msg *own, **messages;
	int64_t	 nmessages;
};
void	cb_batch_free(struct cb_batch *b);

/* Writes batch, pictures and end. */
int	cb_batch_put(struct cb_writer *w, const struct cb_batch *b);

struct cb_feed_options {
	int64_t	 groups;	/* media of a batch, >= 1 */
	bool	 stop;		/* a bad group is an error, not skipped */
	bool	 drop_last;	/* drop the last batch if it is not full */
	bool	 need_labels;	/* an example without label is an error */
	int	 max_len;	/* cut texts that have no ids yet; 0: 20 */
	bool	 pad;		/* all rows max_len long, not as the longest */
	bool	 pictures_only;	/* groups need no texts, and theirs are not
				 * looked at: N is 0 */
	bool	 mask;		/* of captions that have no ids yet: mask words */
	int	 keep;		/* batches whose pictures may stay where they
				 * came, in memory that is shared; 0: none */
	/* Questions asked of groups that have no texts; or NULL. */
	const struct cb_strs *texts;
	/* Vocabulary for texts without ids; borrowed.  NULL: the header's.
	 * Ids that were made with another are an error. */
	const struct cb_vocab *vocab;
	/* Is given messages that are not ours, to pass them on; or NULL. */
	int	(*other)(void *arg, const struct cb_msg *m);
	void	*other_arg;
};

/* Batches, from a stream of batches or a stream of groups. */
struct cb_feed;

int	cb_feed_open(struct cb_feed **out, int fd, const char *name,
	    const struct cb_feed_options *options);
void	cb_feed_close(struct cb_feed *f);
struct cb_msg *cb_feed_header(struct cb_feed *f);
/* Labels of the header's "answers", 0: it has none. */
int	cb_feed_classes(const struct cb_feed *f);

/*
 * 1: a batch, yours to free; 0: the end; -1.  A group that carries an error,
 * has no pictures or another number of them than the rest is skipped, counted
 * and warned of, or ends it (options.stop).
 */
int	cb_feed_next(struct cb_feed *f, struct cb_batch **out);

/* Groups lost so far, upstream's included (those are known at the end). */
int64_t	cb_feed_skipped(const struct cb_feed *f);

/* ---- texts to pair with any medium: texts.c ------------------------------ */

/* N texts as rows of at most L ids, filled up with [PAD] and mask 0. */
struct cb_texts {
	int	 N, L;
	int32_t	*ids, *mask;	/* [N,L] */
};

/* All texts of annotations of the task retrieval, in the order of the file;
 * cut to max_len ids. */
int	cb_texts_load(struct cb_texts *out, const char *path,
	    const struct cb_vocab *vocab, int max_len);
void	cb_texts_clear(struct cb_texts *t);

/* ---- metrics: metric.c, rank.c ------------------------------------------- */

/*
 * Accuracies of predictions against annotations, both lists of objects:
 *
 *	overall_acc, TYPE_acc ...	means of the scores, 0 for an empty type
 *	ratios: TYPE_ratio ...		[share, count] of the questions
 *	mc_accuracy			(caption_mc) percentage, a text
 *	questions, missing		how many, and how many not predicted
 *	most_frequent_answer, _acc	the best that one constant answer can do
 *
 * The accuracies and ratios are the original's raw figures.  task: "vqa" (the
 * score of an answer is its weight in "labels"), "open_qa" (1 where "answer"
 * is equal), or "mc_qa" and "caption_mc" (1 where it is the same option; a
 * number, or a text of digits).  types: names that must appear, in this
 * order; NULL: those of the data in order of appearance.  A question predicted
 * twice counts once, by its last prediction; one without prediction scores 0; a
 * prediction without question is an error.  answers: names for predictions that
 * are labels; NULL.
 */
int	cb_metrics(json_t **out, const char *task, const json_t *annotations,
	    const json_t *predictions, const struct cb_strs *types,
	    const json_t *answers);

/* The answer that a score of the regression head stands for: rounded as in the
 * original (quirk 22), from 1 to CB_COUNT_MAX; 1 for what is no number. */
int	cb_count_of(float score);

/* The accuracies and ratios as the original prints them: percentages with two
 * decimals, shares of the number of predictions; yours. */
json_t	*cb_metrics_printed(const json_t *metrics, int64_t predictions);

/*
 * The same from files; "-" is stdin, task NULL is guessed, answers NULL: none
 * is needed or ans2label.json.  Retrieval too.  original: percentages as above,
 * and scores of retrieval rounded.
 */
int	cb_metrics_files(json_t **out, const char *task,
	    const char *annotations, const char *predictions,
	    const char *answers, bool original);

/*
 * Retrieval: scores of pairs of texts and media, each with the medium that is
 * right for it.  All of the truth first, then the scores in any order; of
 * equal scores the one in front is that which came first, by media in the
 * order of the first text's, or by texts.  A pair that comes again is dropped.
 */
struct cb_pairs;

/* rounded: scores to 4 decimals, as the original does. */
int	cb_pairs_new(struct cb_pairs **out, bool rounded);
void	cb_pairs_free(struct cb_pairs *p);
int	cb_pairs_truth(struct cb_pairs *p, const char *text,
	    const char *medium);
int	cb_pairs_add(struct cb_pairs *p, const char *text,
	    const char *medium, double score);
/* A medium with all texts, in their order: a list of as many numbers. */
int	cb_pairs_add_all(struct cb_pairs *p, const char *medium,
	    const json_t *scores);

/*
 * "text2video", "video2text", each r1, r5, r10 in percent, medianR, meanR; the
 * same in "optimistic" and "pessimistic", where equal scores are behind or in
 * front of the match; "texts", "media", "pairs", "repeated", "missing".  What
 * is right for a medium is the last of its texts.  A match without score is
 * behind all.
 */
int	cb_pairs_metrics(json_t **out, const struct cb_pairs *p);

/* ---- metrics of a stream that carries its truth: measure.c --------------- */

/* The one number by which models are compared. */
struct cb_figure {
	const char *name;	/* its key among the metrics */
	bool	 lowest;	/* is best; else the highest */
	double	 value;
};

struct cb_measure;

/*
 * What cb-eval would say of the predictions of a whole stream, whose examples
 * bring what is right.  task: of the stream, the original's names included.
 * answers: names of its labels, borrowed; NULL.
 */
int	cb_measure_new(struct cb_measure **out, const char *task,
	    const json_t *answers);
void	cb_measure_free(struct cb_measure *m);

/* A batch and its predictions: JSON lines, one for each text of cb-score(1). */
int	cb_measure_add(struct cb_measure *m, const struct cb_batch *b,
	    const char *lines);

/* *out is yours.  An error where nothing came to be compared. */
int	cb_measure_end(json_t **out, struct cb_figure *f,
	    struct cb_measure *m);

/* ---- questions about made videos: demo.c ----------------------------------- */

/* What shapes, colours and backgrounds there are; NULL behind the last. */
struct cb_demo_words {
	const char *const *shapes, *const *colours, *const *patterns;
};

#define CB_DEMO_MOTIONS 3	/* from side to side, up and down, round */

/* What is told of a video: one or two shapes and what is behind them. */
struct cb_demo {
	bool	 held_out;
	bool	 stacked;	/* one above the other, else side by side */
	int	 pattern;
	int	 n;
	struct cb_demo_shape {
		int shape, colour, motion;
		int place;	/* 0: left or top, 1: right or bottom */
	} at[2];
};

/*
 * Draws what video number rng->seq of a split shows; rng->epoch is not used.
 * Shapes and colours of a video differ.  No (shape, colour, place, background)
 * of a held-out video is in any other video, while each three of the four are.
 */
void	cb_demo_draw(struct cb_demo *d, bool held_out,
	    const struct cb_demo_words *w, const struct cb_rng *rng);

/* "a red circle moves up and down, left of ..."; yours to free. */
char	*cb_demo_caption(const struct cb_demo *d,
	    const struct cb_demo_words *w);

/* All of it for jq: {"video_id", "split", "background", "shapes"}; yours. */
json_t	*cb_demo_json(const struct cb_demo *d, const struct cb_demo_words *w,
	    const char *id);

/* A list of annotations in the open_qa convention, question_id counting from
 * first; the wording is drawn.  Yours. */
json_t	*cb_demo_questions(const struct cb_demo *d,
	    const struct cb_demo_words *w, const char *id, int64_t first,
	    const struct cb_rng *rng);

/* {answer: label} of all answers that can be; yours. */
json_t	*cb_demo_answers(const struct cb_demo_words *w);

#endif
