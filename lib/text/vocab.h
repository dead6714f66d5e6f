/* Private to lib/text: what a vocabulary is made of. */
#ifndef CB_TEXT_VOCAB_H
#define CB_TEXT_VOCAB_H

#include "text.h"

struct cb_vocab {
	char	**tokens;		/* by id; point into text */
	char	*text;
	int	 n;
	int	 longest;		/* bytes of the longest token */
	int	 special[CB_NSPECIAL];	/* ids */
	int	*slots;			/* ids by hash, -1: free */
	int64_t	 nslots;		/* a power of two */
};

/* Id of a token of that many bytes, -1: none. */
int	vocab_find(const struct cb_vocab *v, const char *text, int bytes);

#endif
