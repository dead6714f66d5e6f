/*
 * A vocabulary: token texts by id, and ids by token through a hash table with
 * open addressing.  Read from vocab.txt or a header, never changed after.
 */
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "vocab.h"
#include "words.h"

#define VOCAB_BYTES ((int64_t)64 << 20)		/* of a vocab.txt */
#define VOCAB_TOKENS (1 << 24)

static const char *const special_names[CB_NSPECIAL] = {
	[CB_PAD] = "[PAD]", [CB_UNK] = "[UNK]", [CB_CLS] = "[CLS]",
	[CB_SEP] = "[SEP]", [CB_MASK] = "[MASK]",
};

const char *
cb_special_name(enum cb_special which)
{
	return special_names[which];
}

/* The slot that holds the token, or the free one where it would go. */
static int *
slot_of(const struct cb_vocab *v, const char *text, int bytes)
{
	uint64_t i = words_hash(text, bytes);
	const char *have;

	for (;; i++) {
		i &= v->nslots - 1;
		if (v->slots[i] < 0)
			return &v->slots[i];
		have = v->tokens[v->slots[i]];
		if (strncmp(have, text, bytes) == 0 && have[bytes] == '\0')
			return &v->slots[i];
	}
}

int
vocab_find(const struct cb_vocab *v, const char *text, int bytes)
{
	return *slot_of(v, text, bytes);
}

static int
check_specials(const struct cb_vocab *v)
{
	char lacks[64] = "";
	int i;

	for (i = 0; i < CB_NSPECIAL; i++) {
		if (i == CB_MASK || v->special[i] >= 0)
			continue;
		strcat(lacks, " ");
		strcat(lacks, special_names[i]);
	}
	if (*lacks != '\0')
		return cb_fail(CB_EFORMAT, "the vocabulary lacks%s", lacks);
	return 0;
}

/* Takes over the array of n tokens and the block of text they point into. */
static int
vocab_make(struct cb_vocab **out, char **tokens, int n, char *text)
{
	struct cb_vocab *v;
	int i, bytes, rc = -1;

	if ((v = calloc(1, sizeof(*v))) == NULL) {
		free(tokens);
		free(text);
		return cb_fail(CB_ENOMEM, "a vocabulary");
	}
	v->tokens = tokens;
	v->text = text;
	v->n = n;
	for (v->nslots = 16; v->nslots < 2 * (int64_t)n; )
		v->nslots *= 2;
	if ((v->slots = malloc(sizeof(*v->slots) * v->nslots)) == NULL) {
		cb_fail(CB_ENOMEM, "a vocabulary of %d tokens", n);
		goto done;
	}
	memset(v->slots, 0xff, sizeof(*v->slots) * v->nslots);
	for (i = 0; i < n; i++) {
		bytes = (int)strlen(tokens[i]);
		*slot_of(v, tokens[i], bytes) = i;	/* the last wins */
		v->longest = bytes > v->longest ? bytes : v->longest;
	}
	for (i = 0; i < CB_NSPECIAL; i++)
		v->special[i] = cb_vocab_id(v, special_names[i]);
	if (check_specials(v) < 0)
		goto done;
	*out = v;
	v = NULL;
	rc = 0;
done:
	cb_vocab_free(v);
	return rc;
}

static bool
is_utf8(const char *text)
{
	const utf8proc_uint8_t *s = (const utf8proc_uint8_t *)text;
	utf8proc_ssize_t left = strlen(text), n;
	utf8proc_int32_t c;

	for (; left > 0; s += n, left -= n)
		if ((n = utf8proc_iterate(s, left, &c)) <= 0)
			return false;
	return true;
}

/* Cuts one line off in place; returns where the next begins, NULL: bad. */
static char *
cut_line(char *s, char *stop, const char *where, int number)
{
	char *end = memchr(s, '\n', stop - s), *last;

	if (end == NULL)
		end = stop;
	*end = '\0';
	if (strlen(s) < (size_t)(end - s)) {
		cb_fail(CB_EFORMAT, "%s:%d: a NUL byte", where, number);
		return NULL;
	}
	if (!is_utf8(s)) {
		cb_fail(CB_EFORMAT, "%s:%d: not UTF-8", where, number);
		return NULL;
	}
	for (last = end; last > s && strchr(" \t\r\v\f", last[-1]) != NULL; )
		*--last = '\0';
	return end + 1;
}

static int
add_token(char ***tokens, int *n, int *room, char *token)
{
	char **more;

	if (*n == *room) {
		*room = *room > 0 ? 2 * *room : 1024;
		more = realloc(*tokens, sizeof(*more) * *room);
		if (more == NULL)
			return cb_fail(CB_ENOMEM, "%d tokens", *room);
		*tokens = more;
	}
	(*tokens)[(*n)++] = token;
	return 0;
}

int
cb_vocab_load(struct cb_vocab **out, const char *path)
{
	char *text, *s, **tokens = NULL;
	int64_t bytes;
	int n = 0, room = 0;

	if (cb_file_read(&text, &bytes, path, VOCAB_BYTES) < 0)
		return -1;
	for (s = text; s < text + bytes; ) {
		if (add_token(&tokens, &n, &room, s) < 0 ||
		    (s = cut_line(s, text + bytes, path, n)) == NULL)
			goto bad;
	}
	if (vocab_make(out, tokens, n, text) < 0)
		return cb_fail_at("%s", path);
	return 0;
bad:
	free(tokens);
	free(text);
	return -1;
}

int
cb_vocab_from_list(struct cb_vocab **out, const char *const *list, int n)
{
	char **tokens, *text, *s;
	size_t bytes = 1;
	int i;

	for (i = 0; i < n; i++)
		bytes += strlen(list[i]) + 1;
	tokens = malloc(sizeof(*tokens) * (n > 0 ? n : 1));
	text = malloc(bytes);
	if (tokens == NULL || text == NULL) {
		free(tokens);
		free(text);
		return cb_fail(CB_ENOMEM, "a vocabulary of %d tokens", n);
	}
	for (s = text, i = 0; i < n; i++) {
		tokens[i] = s;
		s = stpcpy(s, list[i]) + 1;
	}
	return vocab_make(out, tokens, n, text);
}

int
cb_vocab_from_header(struct cb_vocab **out, struct cb_msg *header)
{
	const msgpack_object *list = cb_map_get(&header->root, "vocab"), *o;
	char **tokens, *text, *s;
	size_t bytes = 1;
	uint32_t i, n;

	if (list == NULL || list->type == MSGPACK_OBJECT_NIL)
		return cb_fail(CB_EMISSING, "the stream carries no vocabulary");
	if (list->type != MSGPACK_OBJECT_ARRAY ||
	    list->via.array.size > VOCAB_TOKENS)
		return cb_fail(CB_EFORMAT, "header: vocab: not a list of text");
	n = list->via.array.size;
	for (i = 0; i < n; i++) {
		o = &list->via.array.ptr[i];
		if (o->type != MSGPACK_OBJECT_STR || (o->via.str.size > 0 &&
		    memchr(o->via.str.ptr, '\0', o->via.str.size) != NULL))
			return cb_fail(CB_EFORMAT,
			    "header: vocab: item %u is not text", i);
		bytes += o->via.str.size + 1;
	}
	tokens = malloc(sizeof(*tokens) * (n > 0 ? n : 1));
	text = malloc(bytes);
	if (tokens == NULL || text == NULL) {
		free(tokens);
		free(text);
		return cb_fail(CB_ENOMEM, "a vocabulary of %u tokens", n);
	}
	for (s = text, i = 0; i < n; i++) {
		o = &list->via.array.ptr[i];
		tokens[i] = s;
		if (o->via.str.size > 0)
			memcpy(s, o->via.str.ptr, o->via.str.size);
		s += o->via.str.size;
		*s++ = '\0';
	}
	if (vocab_make(out, tokens, (int)n, text) < 0)
		return cb_fail_at("header");
	return 0;
}

int
cb_vocab_to_header(const struct cb_vocab *v, struct cb_msg *header)
{
	msgpack_object list = cb_obj_list(header, v->n);
	int i;

	for (i = 0; i < v->n; i++)
		list.via.array.ptr[i] = cb_obj_text(header, v->tokens[i]);
	cb_map_set(header, &header->root, "vocab", list);
	return 0;
}

void
cb_vocab_free(struct cb_vocab *v)
{
	if (v == NULL)
		return;
	free(v->slots);
	free(v->tokens);
	free(v->text);
	free(v);
}

static void
print_tokens(const struct cb_vocab *v, FILE *to)
{
	int i;

	for (i = 0; i < v->n; i++)
		fprintf(to, "%s\n", v->tokens[i]);
}

int
cb_vocab_save(const struct cb_vocab *v, const char *path)
{
	struct cb_file *f;

	if (strcmp(path, "-") == 0) {
		print_tokens(v, stdout);
		if (fflush(stdout) != 0 || ferror(stdout))
			return cb_fail(CB_EIO, "standard output");
		return 0;
	}
	if (cb_file_create(&f, path) < 0)
		return -1;
	print_tokens(v, f->fp);
	return cb_file_commit(f);
}

int
cb_vocab_size(const struct cb_vocab *v)
{
	return v->n;
}

int
cb_vocab_id(const struct cb_vocab *v, const char *token)
{
	return vocab_find(v, token, (int)strlen(token));
}

const char *
cb_vocab_token(const struct cb_vocab *v, int id)
{
	return id >= 0 && id < v->n ? v->tokens[id] : NULL;
}

int
cb_vocab_special(const struct cb_vocab *v, enum cb_special which)
{
	return v->special[which];
}
