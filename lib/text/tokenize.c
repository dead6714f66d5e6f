/*
 * Words to ids: WordPiece takes the longest token that begins the word, then
 * the longest ##token that begins the rest, and so on; a word that cannot be
 * covered is [UNK] as a whole.  (Wu et al., arXiv:1609.08144, as simplified
 * in BERT.)
 */
#include <stdlib.h>
#include <string.h>

#include "vocab.h"
#include "words.h"

#define FULL 1		/* stops the feed: the rest would be cut off */

struct feed {
	const struct cb_vocab *v;
	struct cb_ids *ids;
	int64_t	 limit;		/* ids that may be in the list, [SEP] not */
};

void
cb_ids_clear(struct cb_ids *ids)
{
	free(ids->at);
	*ids = (struct cb_ids){ 0 };
}

static int
push(struct cb_ids *ids, int id)
{
	int64_t room = ids->room > 0 ? 2 * ids->room : 64;
	int32_t *more;

	if (ids->n == ids->room) {
		if ((more = realloc(ids->at, sizeof(*more) * room)) == NULL)
			return cb_fail(CB_ENOMEM, "%lld ids", (long long)room);
		ids->at = more;
		ids->room = room;
	}
	ids->at[ids->n++] = id;
	return 0;
}

static int
push_piece(struct feed *f, int id)
{
	if (f->ids->n >= f->limit)
		return FULL;
	return push(f->ids, id);
}

/*
 * Cuts a word into pieces; their number, or 0 where it cannot be covered.
 * s has two bytes of room before it: the ## of a later piece is written over
 * text that has been matched already.
 */
static int
cut_word(int piece[WORD_MAX], const struct cb_vocab *v, char *s, int bytes)
{
	int from = 0, to, id, n = 0, mark = 0;

	while (from < bytes) {
		if (from > 0) {
			mark = 2;
			memset(s + from - mark, '#', mark);
		}
		to = bytes - from + mark <= v->longest ? bytes :
		    from - mark + v->longest;
		for (id = -1; to > from; to--) {
			if (to < bytes && (s[to] & 0xc0) == 0x80)
				continue;	/* inside a character */
			id = vocab_find(v, s + from - mark, to - from + mark);
			if (id >= 0)
				break;
		}
		if (id < 0)
			return 0;
		piece[n++] = id;
		from = to;
	}
	return n;
}

static int
take_word(void *arg, const int32_t *c, int n)
{
	struct feed *f = arg;
	char text[2 + 4 * WORD_MAX + 1], *s = text + 2;
	int piece[WORD_MAX], bytes = 0, i, rc = 0, k = 0;

	if (n <= WORD_MAX) {
		for (i = 0; i < n; i++)
			bytes += words_utf8(s + bytes, c[i]);
		k = cut_word(piece, f->v, s, bytes);
	}
	if (k == 0)
		return push_piece(f, f->v->special[CB_UNK]);
	for (i = 0; i < k && rc == 0; i++)
		rc = push_piece(f, piece[i]);
	return rc;
}

/* All of the text, cut at the special tokens that stand in it. */
static int
feed_text(struct feed *f, const char *text, int64_t bytes)
{
	struct words w = { .word = take_word, .arg = f };
	int64_t i, from = 0;
	int which, rc = 0;

	for (i = 0; i < bytes && rc == 0; i++) {
		if (text[i] != '[')
			continue;
		which = words_special(text + i, bytes - i);
		if (which < 0 || f->v->special[which] < 0)
			continue;
		if ((rc = words_feed(&w, text + from, i - from)) == 0 &&
		    (rc = words_end(&w)) == 0)
			rc = push_piece(f, f->v->special[which]);
		from = i + (int64_t)strlen(cb_special_name(which));
		i = from - 1;
	}
	if (rc == 0 && (rc = words_feed(&w, text + from, bytes - from)) == 0)
		rc = words_end(&w);
	return rc;
}

int
cb_text_ids(struct cb_ids *out, const struct cb_vocab *v, const char *text,
    int64_t bytes, int max_len)
{
	struct feed f = { .v = v, .ids = out, .limit = INT64_MAX };

	if (max_len != 0 && max_len < 2)
		return cb_fail(CB_EUSAGE, "max_len %d: [CLS] and [SEP] need 2",
		    max_len);
	if (max_len > 0)
		f.limit = out->n + max_len - 1;
	if (push(out, v->special[CB_CLS]) < 0)
		return -1;
	if (feed_text(&f, text, bytes < 0 ? (int64_t)strlen(text) : bytes) < 0)
		return -1;
	return push(out, v->special[CB_SEP]);
}
