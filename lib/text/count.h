/* Private to lib/text: counted words, of which build.c makes a vocabulary. */
#ifndef CB_TEXT_COUNT_H
#define CB_TEXT_COUNT_H

#include "text.h"

/* Distinct strings, numbered as they come. */
struct strings {
	char	**at;
	int	 n, room;
	int	*slots;
	int64_t	 nslots;
};

/* Makes room for n + 1 items of an array; doubles it. */
int	strings_grow(void *array, int n, int *room, size_t size);

/* The number of a string, which is added where it is new; -1: no memory. */
int	strings_put(struct strings *s, const char *text, int bytes);
void	strings_clear(struct strings *s);

struct cb_vocab_maker {
	struct strings words;
	int64_t	*count;		/* by word */
	int	 room;
};

#endif
