/*
 * text: BERT's uncased WordPiece.  Text comes in as UTF-8, ids go out, exactly
 * as Hugging Face's BertTokenizerFast gives them.  Knows messages; never what
 * a picture shows or what a model does with an id.
 *
 * A vocabulary does not change once it is made, so any number of threads may
 * tokenise with one.
 */
#ifndef CB_TEXT_H
#define CB_TEXT_H

#include "stream/stream.h"

#define CB_TEXT_MAX_LEN 20	/* max_txt_len of ClipBERT's settings */
#define CB_VOCAB_SIZE 8000	/* what a vocabulary is built to by default */

/* ---- vocabulary: vocab.c ------------------------------------------------ */

struct cb_vocab;

enum cb_special {
	CB_PAD, CB_UNK, CB_CLS, CB_SEP, CB_MASK, CB_NSPECIAL
};

/*
 * From vocab.txt: one token a line, the line's number from 0 being its id.
 * White space at the end of a line is no part of the token.  Of a token that
 * stands there twice the last line counts, as in BERT's own reader; the
 * earlier id still has its text.  [PAD] [UNK] [CLS] [SEP] must be there:
 * else CB_EFORMAT, naming what lacks.  [MASK] may be missing.
 */
int	cb_vocab_load(struct cb_vocab **out, const char *path);

/* The same from n strings, index = id; they are copied. */
int	cb_vocab_from_list(struct cb_vocab **out, const char *const *tokens,
	    int n);

/*
 * The header's "vocab" list, both ways.  get: CB_EMISSING where the header has
 * none.  put: replaces what is there.
 */
int	cb_vocab_from_header(struct cb_vocab **out, struct cb_msg *header);
int	cb_vocab_to_header(const struct cb_vocab *v, struct cb_msg *header);

void	cb_vocab_free(struct cb_vocab *v);

/* Writes vocab.txt, whole or not at all; "-" is stdout. */
int	cb_vocab_save(const struct cb_vocab *v, const char *path);

int	cb_vocab_size(const struct cb_vocab *v);
/* Id of a token, -1: not there. */
int	cb_vocab_id(const struct cb_vocab *v, const char *token);
/* Text of an id, borrowed; NULL out of range. */
const char *cb_vocab_token(const struct cb_vocab *v, int id);
/* Id of a special token; only CB_MASK can be -1. */
int	cb_vocab_special(const struct cb_vocab *v, enum cb_special which);
/* "[PAD]", "[UNK]", ... */
const char *cb_special_name(enum cb_special which);

/* ---- building a vocabulary from texts: build.c --------------------------- */

struct cb_vocab_maker;

int	cb_vocab_maker_new(struct cb_vocab_maker **out);
void	cb_vocab_maker_free(struct cb_vocab_maker *m);

/* Counts the words of one text; bytes < 0: up to the NUL. */
int	cb_vocab_maker_add(struct cb_vocab_maker *m, const char *text,
	    int64_t bytes);

/*
 * Counts the texts of one example of annotation jsonl: of every key in keys
 * (NULL: question, text, caption, options) that is a string or a list of
 * strings.  Returns how many texts there were, or -1.
 */
int	cb_vocab_maker_add_json(struct cb_vocab_maker *m, const json_t *example,
	    const struct cb_strs *keys);

/*
 * Makes a vocabulary of at most `size` tokens: the special ones in BERT's
 * order, every character that was seen, alone and as a continuation (##), and
 * then pairs of pieces merged in the order of how often they stand side by
 * side, as long as that is at least min_count times.  Same texts, in any
 * order, same vocabulary.  CB_EUSAGE where the characters alone do not fit.
 */
int	cb_vocab_maker_build(struct cb_vocab **out,
	    const struct cb_vocab_maker *m, int size, int64_t min_count);

/* ---- text to ids: tokenize.c --------------------------------------------- */

/* A growing list of ids; start from {0}, clear when done. */
struct cb_ids {
	int32_t	*at;
	int64_t	 n, room;
};

void	cb_ids_clear(struct cb_ids *ids);

/*
 * Appends [CLS], the ids of one text and [SEP].  max_len > 0 cuts the text so
 * that no more than max_len ids come, these two included (max_len >= 2); 0
 * does not cut.  bytes < 0: up to the NUL.  Bytes that are not UTF-8 read as
 * U+FFFD, which BERT drops.
 */
int	cb_text_ids(struct cb_ids *out, const struct cb_vocab *v,
	    const char *text, int64_t bytes, int max_len);

/*
 * Adds to a group message the tensors "ids" and "mask", i32 [n,L]: one row for
 * each example, L the longest of them after cutting to max_len, shorter rows
 * filled up with [PAD] and mask 0.  The text of an example is its "question",
 * "text" or "caption", the first that is there; with "options" it gives one
 * row an option, the text and the option with a space between (the text may
 * then be missing).  A group without texts stays as it is.  An example without
 * text: CB_EFORMAT, naming group and example.
 */
int	cb_text_group(const struct cb_vocab *v, struct cb_msg *m, int max_len);

/* ---- masked words: mask.c -------------------------------------------------- */

#define CB_NOT_MASKED (-100)	/* in mlm_labels, as in the original */

struct cb_masking {
	double	 share;		/* chance of a token to be chosen; 0: none */
	uint64_t seed;
};

/* share < 0: 0.15 where the header's task is "captions", else 0; seed < 0: the
 * header's. */
int	cb_masking_init(struct cb_masking *k, struct cb_msg *header,
	    double share, int64_t seed);

/*
 * Masks words of a group that has been through cb_text_group(): its "ids" change
 * and "mlm_labels", i32 [n,L], has the ids that were there, CB_NOT_MASKED
 * for tokens that were not chosen.  Which are depends on the seed and the
 * group's "epoch" and "seq" alone.  Without a share, labels that were there go.
 */
int	cb_text_mask(const struct cb_vocab *v, struct cb_msg *m,
	    const struct cb_masking *k);

#endif
