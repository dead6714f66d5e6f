/*
 * A WordPiece vocabulary from texts, whose words have been counted (count.c).
 * Each begins as its characters, all but the first with ##.  Then, again and
 * again, the two neighbours that stand side by side most often become one token,
 * until the vocabulary is full or no pair is frequent enough (byte pair
 * encoding: Sennrich et al., arXiv:1508.07909).  A frequent word so ends as one
 * token.
 *
 * The most frequent pair is found with a heap whose entries may be out of
 * date: a count that has fallen since is put back with what it is now.  Pairs
 * of one count go by the text of what they make, so nothing depends on the
 * order of the texts or of a hash.
 */
#include <stdlib.h>
#include <string.h>

#include "count.h"
#include "vocab.h"
#include "words.h"

/* ---- merging ----------------------------------------------------------- */

/* Two tokens side by side, and the words where they may be. */
struct pair {
	int	 a, b;
	int64_t	 count;
	int	*words, nwords, room;
};

struct entry {
	int64_t	 count;		/* when it was put in */
	int	 pair;
};

struct word {
	int	*t, n;		/* tokens */
	int64_t	 count;
};

struct build {
	struct strings tokens;
	struct word *words;
	int	 nwords;
	struct pair *pairs;
	int	 npairs, pairs_room;
	int	*slots;		/* pairs by hash, -1: free */
	int64_t	 nslots;
	struct entry *heap;
	int	 nheap, heap_room;
};

static int *
pair_slot(const struct build *b, int left, int right)
{
	uint64_t key = (uint64_t)left << 32 | (uint32_t)right;
	uint64_t i = words_hash((const char *)&key, sizeof(key));
	const struct pair *p;

	for (;; i++) {
		i &= b->nslots - 1;
		if (b->slots[i] < 0)
			return &b->slots[i];
		p = &b->pairs[b->slots[i]];
		if (p->a == left && p->b == right)
			return &b->slots[i];
	}
}

static int
pairs_rehash(struct build *b)
{
	int64_t nslots = b->nslots > 0 ? 2 * b->nslots : 1024;
	int *slots = malloc(sizeof(*slots) * nslots), i;

	if (slots == NULL)
		return cb_fail(CB_ENOMEM, "a vocabulary");
	memset(slots, 0xff, sizeof(*slots) * nslots);
	free(b->slots);
	b->slots = slots;
	b->nslots = nslots;
	for (i = 0; i < b->npairs; i++)
		*pair_slot(b, b->pairs[i].a, b->pairs[i].b) = i;
	return 0;
}

/* The number of a pair, made where it is new; -1: no memory. */
static int
pair_put(struct build *b, int left, int right)
{
	int *slot;

	if (2 * ((int64_t)b->npairs + 1) > b->nslots && pairs_rehash(b) < 0)
		return -1;
	slot = pair_slot(b, left, right);
	if (*slot >= 0)
		return *slot;
	if (strings_grow(&b->pairs, b->npairs, &b->pairs_room, sizeof(*b->pairs)) < 0)
		return -1;
	b->pairs[b->npairs] = (struct pair){ .a = left, .b = right };
	return *slot = b->npairs++;
}

/* Without the ## where the token continues a word. */
static const char *
tail_text(const char *token)
{
	return strncmp(token, "##", 2) == 0 && token[2] != '\0' ? token + 2 :
	    token;
}

/* Text of what a pair makes; yours to free. */
static char *
merged(const struct build *b, const struct pair *p)
{
	return cb_strf("%s%s", b->tokens.at[p->a],
	    tail_text(b->tokens.at[p->b]));
}

/* Compares a pair's merged text with another's, without building either. */
static int
merged_order(const struct build *b, const struct pair *p, const struct pair *q)
{
	const char *s = b->tokens.at[p->a], *s2 = b->tokens.at[p->b];
	const char *t = b->tokens.at[q->a], *t2 = b->tokens.at[q->b];
	bool s_tail = false, t_tail = false;

	s2 = tail_text(s2);
	t2 = tail_text(t2);
	for (;; s++, t++) {
		if (*s == '\0' && !s_tail) {
			s = s2;
			s_tail = true;
		}
		if (*t == '\0' && !t_tail) {
			t = t2;
			t_tail = true;
		}
		if (*s != *t || *s == '\0')
			break;
	}
	if (*s != *t)
		return (unsigned char)*s < (unsigned char)*t ? -1 : 1;
	return strcmp(b->tokens.at[p->a], b->tokens.at[q->a]);
}

/* Does x leave the heap before y? */
static bool
before(const struct build *b, const struct entry *x, const struct entry *y)
{
	if (x->count != y->count)
		return x->count > y->count;
	return merged_order(b, &b->pairs[x->pair], &b->pairs[y->pair]) < 0;
}

static int
heap_push(struct build *b, int pair)
{
	struct entry e = { b->pairs[pair].count, pair };
	int i, up;

	if (strings_grow(&b->heap, b->nheap, &b->heap_room, sizeof(*b->heap)) < 0)
		return -1;
	for (i = b->nheap++; i > 0; i = up) {
		up = (i - 1) / 2;
		if (!before(b, &e, &b->heap[up]))
			break;
		b->heap[i] = b->heap[up];
	}
	b->heap[i] = e;
	return 0;
}

static struct entry
heap_pop(struct build *b)
{
	struct entry top = b->heap[0], e = b->heap[--b->nheap];
	int i, down;

	for (i = 0; (down = 2 * i + 1) < b->nheap; i = down) {
		if (down + 1 < b->nheap &&
		    before(b, &b->heap[down + 1], &b->heap[down]))
			down++;
		if (!before(b, &b->heap[down], &e))
			break;
		b->heap[i] = b->heap[down];
	}
	b->heap[i] = e;
	return top;
}

/*
 * Adds the pairs of a word, or with sign -1 takes them away.  Those with token
 * `fresh` are new to the word: they are listed and go into the heap; any token
 * is where fresh is -1.
 */
static int
count_pairs(struct build *b, int word, int sign, int fresh)
{
	const struct word *w = &b->words[word];
	struct pair *p;
	int i, k;

	for (i = 0; i + 1 < w->n; i++) {
		if ((k = pair_put(b, w->t[i], w->t[i + 1])) < 0)
			return -1;
		p = &b->pairs[k];
		p->count += sign * w->count;
		if (sign < 0 || (fresh >= 0 && p->a != fresh && p->b != fresh))
			continue;
		if (p->nwords == 0 || p->words[p->nwords - 1] != word) {
			if (strings_grow(&p->words, p->nwords, &p->room,
			    sizeof(*p->words)) < 0)
				return -1;
			p->words[p->nwords++] = word;
		}
		if (fresh >= 0 && heap_push(b, k) < 0)
			return -1;
	}
	return 0;
}

static int
merge_in_word(struct build *b, int word, int left, int right, int token)
{
	struct word *w = &b->words[word];
	int i, n = 0;

	if (count_pairs(b, word, -1, -1) < 0)
		return -1;
	for (i = 0; i < w->n; i++) {
		if (i + 1 < w->n && w->t[i] == left && w->t[i + 1] == right) {
			w->t[n++] = token;
			i++;
		} else {
			w->t[n++] = w->t[i];
		}
	}
	w->n = n;
	return count_pairs(b, word, 1, token);
}

/* Makes one token of a pair, everywhere. */
static int
merge(struct build *b, int pair)
{
	int left = b->pairs[pair].a, right = b->pairs[pair].b;
	int n = b->pairs[pair].nwords, token, i;
	int *words = b->pairs[pair].words;
	char *text = merged(b, &b->pairs[pair]);

	token = strings_put(&b->tokens, text, (int)strlen(text));
	free(text);
	/* The list is taken out, for pairs[] may move while it is worked on. */
	b->pairs[pair].words = NULL;
	b->pairs[pair].nwords = b->pairs[pair].room = 0;
	for (i = 0; i < n && token >= 0; i++)
		if (merge_in_word(b, words[i], left, right, token) < 0)
			token = -1;
	free(words);
	return token < 0 ? -1 : 0;
}

static int
merge_all(struct build *b, int size, int64_t min_count)
{
	struct entry e;
	int i;

	for (i = 0; i < b->nwords; i++)
		if (count_pairs(b, i, 1, -1) < 0)
			return -1;
	for (i = 0; i < b->npairs; i++)
		if (heap_push(b, i) < 0)
			return -1;
	while (b->nheap > 0 && b->tokens.n < size) {
		e = heap_pop(b);
		if (e.count < min_count)
			break;
		if (e.count == b->pairs[e.pair].count) {
			if (merge(b, e.pair) < 0)
				return -1;
		} else if (e.count > b->pairs[e.pair].count &&
		    b->pairs[e.pair].count > 0) {
			if (heap_push(b, e.pair) < 0)
				return -1;
		}
	}
	return 0;
}

/* ---- the first tokens -------------------------------------------------- */

#define CODE_POINTS 0x110000

/*
 * Special tokens, then every character that begins words, then the same as
 * continuations, each in the order of code points.  Punctuation and Chinese
 * characters never continue a word.
 */
static int
first_tokens(struct build *b, const struct strings *words)
{
	char text[2 + 4] = "##", *seen;
	int32_t c, last = 0;
	int i, n, tail, rc = -1;
	const char *s;

	if ((seen = calloc(CODE_POINTS, 1)) == NULL)
		return cb_fail(CB_ENOMEM, "a vocabulary");
	for (i = 0; i < words->n; i++)
		for (s = words->at[i]; *s != '\0'; s += n) {
			n = words_char(&c, s);
			seen[c] = 1;
			last = c > last ? c : last;
		}
	for (i = 0; i < CB_NSPECIAL; i++)
		if (strings_put(&b->tokens, cb_special_name(i),
		    (int)strlen(cb_special_name(i))) < 0)
			goto done;
	for (tail = 0; tail <= 1; tail++)
		for (c = 1; c <= last; c++) {
			if (!seen[c] || (tail && words_alone(c)))
				continue;
			n = words_utf8(text + 2, c);
			if (strings_put(&b->tokens, tail ? text : text + 2,
			    tail ? n + 2 : n) < 0)
				goto done;
		}
	rc = 0;
done:
	free(seen);
	return rc;
}

/* The words, as tokens of one character each. */
static int
first_words(struct build *b, const struct cb_vocab_maker *m)
{
	char text[2 + 4] = "##";
	int32_t c;
	int i, n;
	const char *s;
	struct word *w;

	b->words = calloc(m->words.n > 0 ? m->words.n : 1, sizeof(*b->words));
	if (b->words == NULL)
		return cb_fail(CB_ENOMEM, "a vocabulary");
	for (i = 0; i < m->words.n; i++) {
		s = m->words.at[i];
		w = &b->words[b->nwords++];
		w->count = m->count[i];
		if ((w->t = malloc(sizeof(*w->t) * strlen(s))) == NULL)
			return cb_fail(CB_ENOMEM, "a vocabulary");
		for (; *s != '\0'; s += n) {
			n = words_char(&c, s);
			memcpy(text + 2, s, n);
			w->t[w->n] = w->n > 0 ?
			    strings_put(&b->tokens, text, n + 2) :
			    strings_put(&b->tokens, s, n);
			if (w->t[w->n++] < 0)
				return -1;
		}
	}
	return 0;
}

static void
build_clear(struct build *b)
{
	int i;

	for (i = 0; i < b->nwords; i++)
		free(b->words[i].t);
	for (i = 0; i < b->npairs; i++)
		free(b->pairs[i].words);
	free(b->words);
	free(b->pairs);
	free(b->slots);
	free(b->heap);
	strings_clear(&b->tokens);
}

int
cb_vocab_maker_build(struct cb_vocab **out, const struct cb_vocab_maker *m,
    int size, int64_t min_count)
{
	struct build b = { 0 };
	int rc = -1;

	if (first_tokens(&b, &m->words) < 0)
		goto done;
	if (b.tokens.n > size) {
		cb_fail(CB_EUSAGE, "a vocabulary of %d is too small: the "
		    "characters of these texts alone take %d", size,
		    b.tokens.n);
		goto done;
	}
	if (first_words(&b, m) < 0 ||
	    merge_all(&b, size, min_count > 1 ? min_count : 1) < 0)
		goto done;
	rc = cb_vocab_from_list(out, (const char *const *)b.tokens.at,
	    b.tokens.n);
done:
	build_clear(&b);
	return rc;
}
