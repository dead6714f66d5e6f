/* lib/text: vocabularies, building them, groups; ids are t/3000-tokens.t's. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "text/text.h"
#include "tap.h"

static const char *const small[] = {
	"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "what", "##ever", "is",
	"?", "red", "blue"
};

static bool
failed_with(int rc, enum cb_code code, const char *text)
{
	bool good = rc == -1 && cb_error_code() == code &&
	    strstr(cb_error(), text) != NULL;

	if (!good)
		printf("# %d, %s\n", rc, rc < 0 ? cb_error() : "no failure");
	return good;
}

static struct cb_vocab *
small_vocab(void)
{
	struct cb_vocab *v;

	if (cb_vocab_from_list(&v, small, CB_LEN(small)) < 0)
		abort();
	return v;
}

/* cb_vocab_load() of n bytes. */
static int
load(struct cb_vocab **out, const char *bytes, size_t n)
{
	char path[] = "/tmp/cb-t.XXXXXX";
	int fd = mkstemp(path), rc;

	if (fd < 0 || write(fd, bytes, n) != (ssize_t)n)
		abort();
	close(fd);
	rc = cb_vocab_load(out, path);
	unlink(path);
	return rc;
}

#define FIRST "[PAD]\n[UNK]\n[CLS]\n[SEP]\n"
#define LOAD(v, s) load(v, s, sizeof(s) - 1)

static void
test_vocab(void)
{
	struct cb_vocab *v, *u;
	struct cb_msg *m;

	ok(failed_with(LOAD(&v, "[PAD]\n[CLS]\nthe\n"), CB_EFORMAT,
	    "lacks [UNK] [SEP]"), "names the special tokens that lack");
	ok(failed_with(LOAD(&v, ""), CB_EFORMAT, "lacks [PAD] [UNK]"),
	    "an empty file");
	ok(failed_with(LOAD(&v, FIRST "a\xff\n"), CB_EFORMAT, ":5: not UTF-8"),
	    "a token that is not UTF-8");
	ok(failed_with(LOAD(&v, FIRST "a\0b\n"), CB_EFORMAT, ":5: a NUL"),
	    "a token with a NUL byte");
	ok(failed_with(cb_vocab_load(&v, "/nonexistent/v"), CB_EIO,
	    "/nonexistent/v"), "a file that is not there");

	ok(LOAD(&v, FIRST "one\r\n\ntwo \none\nend") == 0 &&
	    cb_vocab_size(v) == 9, "line ends, blank lines, no last newline");
	ok(cb_vocab_id(v, "one") == 7 && cb_vocab_id(v, "two") == 6 &&
	    cb_vocab_id(v, "end") == 8 && cb_vocab_id(v, "on") == -1,
	    "of a token that comes twice the last line counts");
	ok(strcmp(cb_vocab_token(v, 4), "one") == 0 &&
	    cb_vocab_token(v, 9) == NULL && cb_vocab_token(v, -1) == NULL,
	    "text of an id");
	ok(cb_vocab_special(v, CB_SEP) == 3 &&
	    cb_vocab_special(v, CB_MASK) == -1, "[MASK] may be missing");

	cb_msg_new(&m);
	ok(failed_with(cb_vocab_from_header(&u, m), CB_EMISSING, "no voc"),
	    "a header without vocabulary");
	cb_vocab_to_header(v, m);
	ok(cb_vocab_from_header(&u, m) == 0 && cb_vocab_size(u) == 9 &&
	    cb_vocab_id(u, "one") == 7 &&
	    strcmp(cb_vocab_token(u, 4), "one") == 0,
	    "through a header and back");
	cb_vocab_free(u);
	cb_map_set(m, &m->root, "vocab", cb_obj_list(m, 3));
	ok(failed_with(cb_vocab_from_header(&u, m), CB_EFORMAT,
	    "item 0 is not text"), "a header's vocabulary of something else");
	cb_map_set(m, &m->root, "vocab", cb_obj_int(3));
	ok(failed_with(cb_vocab_from_header(&u, m), CB_EFORMAT, "not a list"),
	    "a header's vocabulary that is no list");
	cb_msg_free(m);
	cb_vocab_free(v);
}

static struct cb_vocab *
built(const char *const *texts, int n, int size, int min_count)
{
	struct cb_vocab_maker *m;
	struct cb_vocab *v = NULL;
	int i;

	cb_vocab_maker_new(&m);
	for (i = 0; i < n; i++)
		cb_vocab_maker_add(m, texts[i], -1);
	cb_vocab_maker_build(&v, m, size, min_count);
	cb_vocab_maker_free(m);
	return v;
}

static bool
is_list(const struct cb_vocab *v, const char *want)
{
	char got[1024] = "";
	int i;

	for (i = 0; v != NULL && i < cb_vocab_size(v); i++)
		snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%s",
		    i > 0 ? " " : "", cb_vocab_token(v, i));
	if (strcmp(got, want) != 0)
		printf("# got  %s\n# want %s\n", got, want);
	return strcmp(got, want) == 0;
}

#define SPECIALS "[PAD] [UNK] [CLS] [SEP] [MASK] "

static void
test_build(void)
{
	static const char *texts[] = { "Ab ab? [MASK]", "abab", "cab" };
	static const char *other[] = { "cab abab", "AB", "\xc3\xa1""b ?" };
	static const char *ties[] = { "dc ba", "ba dc", "\xe4\xbd\xa0" "x" };
	struct cb_vocab *v;

	/* a-##b 3 times, then ab-##a and ##a-##b twice: ##ab from abab, cab. */
	v = built(texts, 3, 100, 2);
	ok(is_list(v, SPECIALS "? a b c ##a ##b ##c ab ##ab"),
	    "characters, continuations, frequent pairs");
	cb_vocab_free(v);
	v = built(other, 3, 100, 2);
	ok(is_list(v, SPECIALS "? a b c ##a ##b ##c ab ##ab"),
	    "the same from the same words in other texts");
	cb_vocab_free(v);
	v = built(texts, 3, 100, 1);
	ok(is_list(v, SPECIALS "? a b c ##a ##b ##c ab ##ab abab cab"),
	    "every word is one token where one is enough");
	cb_vocab_free(v);
	v = built(texts, 3, 13, 1);
	ok(is_list(v, SPECIALS "? a b c ##a ##b ##c ab"), "size is kept");
	cb_vocab_free(v);
	v = built(ties, 3, 100, 2);
	ok(is_list(v, SPECIALS "a b c d x \xe4\xbd\xa0 ##a ##b ##c ##d ##x "
	    "ba dc"), "ties go by text; Chinese never continues");
	cb_vocab_free(v);
	v = built(texts, 3, 11, 1);
	ok(v == NULL && failed_with(-1, CB_EUSAGE, "alone take 12"),
	    "too small for the characters");
}

static void
test_json(void)
{
	static const char text[] = "{\"question\": \"a\", \"caption\": \"b\", "
	    "\"options\": [\"c\", 4, \"d\"], \"id\": 5, \"other\": \"e\"}";
	struct cb_vocab_maker *m;
	const char *names[] = { "other", "id", "none" };
	struct cb_strs keys = { names, 3 };
	json_t *v = json_loads(text, 0, NULL);

	cb_vocab_maker_new(&m);
	ok(cb_vocab_maker_add_json(m, v, NULL) == 4, "texts of an example");
	ok(cb_vocab_maker_add_json(m, v, &keys) == 1, "of named keys");
	cb_vocab_maker_free(m);
	json_decref(v);
}

/* A group message whose examples are this JSON. */
static struct cb_msg *
group_of(const char *examples)
{
	char *text = cb_strf("{\"group\": {\"seq\": 7, \"media\": \"m.mp4\", "
	    "\"examples\": %s, \"x\": [1]}}", examples);
	json_t *v = json_loads(text, 0, NULL);
	struct cb_msg *m;

	if (v == NULL || cb_msg_new(&m) < 0)
		abort();
	m->root = cb_obj_from_json(m, v);
	json_decref(v);
	free(text);
	return m;
}

/* Is the tensor i32 [n,L] with these values? */
static bool
holds(struct cb_msg *m, const char *key, int n, int len, const int32_t *want)
{
	struct cb_array a;

	return cb_map_array(cb_msg_map(m, "group"), key, &a) == 0 &&
	    a.type == CB_I32 && a.rank == 2 && a.dim[0] == n &&
	    a.dim[1] == len && memcmp(a.data, want, 4 * n * len) == 0;
}

static void
test_group(void)
{
	struct cb_vocab *v = small_vocab();
	struct cb_msg *m;
	char *before, *after;
	json_t *o;

	m = group_of("[{\"question\": \"What is?\", \"text\": \"no\"}, "
	    "{\"text\": \"whatever red\", \"k\": 1}, {\"caption\": \"\"}]");
	ok(cb_text_group(v, m, 20) == 0 &&
	    holds(m, "ids", 3, 5, (int32_t []){ 2, 5, 7, 8, 3, 2, 5, 6, 9, 3,
	    2, 3, 0, 0, 0 }) && holds(m, "mask", 3, 5, (int32_t []){ 1, 1, 1,
	    1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0 }), "one row an example");
	ok(cb_text_group(v, m, 3) == 0 &&
	    holds(m, "ids", 3, 3, (int32_t []){ 2, 5, 3, 2, 5, 3, 2, 3, 0 }),
	    "cut to 3; what was there is replaced");
	o = cb_obj_json(&m->root);
	ok(json_object_size(json_object_get(o, "group")) == 6,
	    "other keys stay");
	json_decref(o);
	ok(failed_with(cb_text_group(v, m, 1), CB_EUSAGE, "max_len 1"),
	    "no room for [CLS] and [SEP]");
	cb_msg_free(m);

	m = group_of("[{\"question\": \"is?\", \"options\": [\"red\", "
	    "\"whatever blue\"]}, {\"options\": [\"is\"]}]");
	ok(cb_text_group(v, m, 20) == 0 &&
	    holds(m, "ids", 3, 7, (int32_t []){ 2, 7, 8, 9, 3, 0, 0,
	    2, 7, 8, 5, 6, 10, 3, 2, 7, 3, 0, 0, 0, 0 }), "one row an option");
	cb_msg_free(m);

	m = group_of("[]");
	o = cb_obj_json(&m->root);
	before = cb_json_text(o);
	json_decref(o);
	ok(cb_text_group(v, m, 20) == 0, "no examples");
	o = cb_obj_json(&m->root);
	after = cb_json_text(o);
	json_decref(o);
	ok(strcmp(before, after) == 0, "such a group stays as it is");
	free(before);
	free(after);
	cb_msg_free(m);

	m = group_of("[{\"text\": \"is\"}, {\"answer\": \"is\"}]");
	ok(failed_with(cb_text_group(v, m, 20), CB_EFORMAT,
	    "m.mp4: example 1: no question, text"), "an example without text");
	cb_msg_free(m);
	m = group_of("[{\"text\": 5}]");
	ok(failed_with(cb_text_group(v, m, 20), CB_EFORMAT,
	    "m.mp4: example 0: text is not text"), "a text that is none");
	cb_msg_free(m);
	m = group_of("[{\"text\": \"is\", \"options\": \"red\"}]");
	ok(failed_with(cb_text_group(v, m, 20), CB_EFORMAT,
	    "example 0: options is not a list"), "options that are no list");
	cb_msg_free(m);
	m = group_of("[{\"text\": \"is\", \"options\": [1]}]");
	ok(failed_with(cb_text_group(v, m, 20), CB_EFORMAT,
	    "example 0: an option is not text"), "an option that is none");
	cb_msg_free(m);
	m = group_of("{\"a\": 1}");
	ok(failed_with(cb_text_group(v, m, 20), CB_EFORMAT, "no list"),
	    "examples that are no list");
	cb_msg_free(m);
	cb_vocab_free(v);
}

int
main(void)
{
	plan(33);
	test_vocab();
	test_build();
	test_json();
	test_group();
	return done();
}
