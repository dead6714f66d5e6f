/*
 * Private to lib/text: normalising and cutting text into words, the part of
 * BERT's tokeniser that needs no vocabulary.
 */
#ifndef CB_TEXT_WORDS_H
#define CB_TEXT_WORDS_H

#include "text.h"

#define WORD_MAX 100	/* characters; a longer word is [UNK] whatever it is */

/* What a character is, after normalising. */
enum word_class { WORD_LETTER, WORD_MARK, WORD_PUNCT, WORD_SPACE, WORD_DROP };

/*
 * Text goes in with words_feed(), words come out through `word`: their n
 * characters in c.  n == WORD_MAX + 1 stands for any longer word, of which
 * only the first WORD_MAX characters are given.  A nonzero return stops the
 * feed and comes back from it.
 */
struct words {
	int	(*word)(void *arg, const int32_t *c, int n);
	void	*arg;
	int	 n;			/* characters of the word so far */
	int	 run;			/* where combining marks may move to */
	int32_t	 c[WORD_MAX];
	uint8_t	 ccc[WORD_MAX];		/* canonical combining classes */
};

int	words_feed(struct words *w, const char *text, int64_t bytes);
int	words_end(struct words *w);	/* the last word */

/*
 * Special tokens that stand in the text as such, like "[MASK]", are cut out
 * before anything is normalised.  Returns which one begins at text, or -1.
 */
int	words_special(const char *text, int64_t bytes);

/* Always a word of its own: punctuation or a Chinese character. */
bool	words_alone(int32_t c);

/* Writes c as UTF-8, at most 4 bytes, no NUL; returns how many. */
int	words_utf8(char *to, int32_t c);

/* The other way; the text must be UTF-8.  Returns how many bytes it took. */
int	words_char(int32_t *c, const char *text);

uint64_t words_hash(const char *text, int64_t bytes);

#endif
