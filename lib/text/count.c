/* The words of texts, as the tokeniser would cut them, and how often each is. */
#include <stdlib.h>
#include <string.h>

#include "count.h"
#include "words.h"

/* ---- distinct strings, numbered as they come ------------------------ */

int
strings_grow(void *array, int n, int *room, size_t size)
{
	int more = *room > 0 ? 2 * *room : 16;
	void *p;

	if (n < *room)
		return 0;
	if ((p = realloc(*(void **)array, size * more)) == NULL)
		return cb_fail(CB_ENOMEM, "counting words");
	*(void **)array = p;
	*room = more;
	return 0;
}

static int *
slot_of(const struct strings *s, const char *text, int bytes)
{
	uint64_t i = words_hash(text, bytes);
	const char *have;

	for (;; i++) {
		i &= s->nslots - 1;
		if (s->slots[i] < 0)
			return &s->slots[i];
		have = s->at[s->slots[i]];
		if (strncmp(have, text, bytes) == 0 && have[bytes] == '\0')
			return &s->slots[i];
	}
}

static int
rehash(struct strings *s)
{
	int64_t nslots = s->nslots > 0 ? 2 * s->nslots : 64;
	int *slots = malloc(sizeof(*slots) * nslots), i;

	if (slots == NULL)
		return cb_fail(CB_ENOMEM, "counting words");
	memset(slots, 0xff, sizeof(*slots) * nslots);
	free(s->slots);
	s->slots = slots;
	s->nslots = nslots;
	for (i = 0; i < s->n; i++)
		*slot_of(s, s->at[i], (int)strlen(s->at[i])) = i;
	return 0;
}

int
strings_put(struct strings *s, const char *text, int bytes)
{
	int *slot;

	if (2 * ((int64_t)s->n + 1) > s->nslots && rehash(s) < 0)
		return -1;
	slot = slot_of(s, text, bytes);
	if (*slot >= 0)
		return *slot;
	if (strings_grow(&s->at, s->n, &s->room, sizeof(*s->at)) < 0)
		return -1;
	if ((s->at[s->n] = strndup(text, bytes)) == NULL)
		return cb_fail(CB_ENOMEM, "counting words");
	return *slot = s->n++;
}

void
strings_clear(struct strings *s)
{
	int i;

	for (i = 0; i < s->n; i++)
		free(s->at[i]);
	free(s->at);
	free(s->slots);
}

/* ---- counting words --------------------------------------------------- */

int
cb_vocab_maker_new(struct cb_vocab_maker **out)
{
	if ((*out = calloc(1, sizeof(**out))) == NULL)
		return cb_fail(CB_ENOMEM, "counting words");
	return 0;
}

void
cb_vocab_maker_free(struct cb_vocab_maker *m)
{
	if (m == NULL)
		return;
	strings_clear(&m->words);
	free(m->count);
	free(m);
}

static int
count_word(void *arg, const int32_t *c, int n)
{
	struct cb_vocab_maker *m = arg;
	char text[4 * WORD_MAX];
	int bytes = 0, known = m->words.n, i;

	if (n > WORD_MAX)
		return 0;	/* will be [UNK] whatever the vocabulary has */
	for (i = 0; i < n; i++)
		bytes += words_utf8(text + bytes, c[i]);
	if ((i = strings_put(&m->words, text, bytes)) < 0)
		return -1;
	if (i == known) {
		if (strings_grow(&m->count, i, &m->room, sizeof(*m->count)) < 0)
			return -1;
		m->count[i] = 0;
	}
	m->count[i]++;
	return 0;
}

int
cb_vocab_maker_add(struct cb_vocab_maker *m, const char *text, int64_t bytes)
{
	struct words w = { .word = count_word, .arg = m };
	int64_t i, from = 0;
	int which;

	if (bytes < 0)
		bytes = (int64_t)strlen(text);
	for (i = 0; i < bytes; i++) {
		if ((which = words_special(text + i, bytes - i)) < 0)
			continue;
		if (words_feed(&w, text + from, i - from) < 0 ||
		    words_end(&w) < 0)
			return -1;
		from = i + (int64_t)strlen(cb_special_name(which));
		i = from - 1;
	}
	if (words_feed(&w, text + from, bytes - from) < 0)
		return -1;
	return words_end(&w);
}

static int
add_value(struct cb_vocab_maker *m, const json_t *v)
{
	size_t i;
	int n = 0, k;

	if (json_is_string(v)) {
		if (cb_vocab_maker_add(m, json_string_value(v),
		    (int64_t)json_string_length(v)) < 0)
			return -1;
		return 1;
	}
	for (i = 0; i < json_array_size(v); i++) {
		if (!json_is_string(json_array_get(v, i)))
			continue;
		if ((k = add_value(m, json_array_get(v, i))) < 0)
			return -1;
		n += k;
	}
	return n;
}

int
cb_vocab_maker_add_json(struct cb_vocab_maker *m, const json_t *example,
    const struct cb_strs *keys)
{
	static const char *usual[] = {
		"question", "text", "caption", "options"
	};
	const char **key = keys != NULL ? keys->at : usual;
	int nkeys = keys != NULL ? keys->n : (int)CB_LEN(usual);
	int i, k, n = 0;

	for (i = 0; i < nkeys; i++) {
		if ((k = add_value(m, json_object_get(example, key[i]))) < 0)
			return -1;
		n += k;
	}
	return n;
}
