/*
 * Fuzz target of everything that reads text: the tokeniser, vocabulary files
 * and the builder.
 */
#include "text/text.h"
#include "fuzz.h"

static const char *const tokens[] = {
	"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "##a", "the", "e",
	"##e", "\xc3\xb8", "##\xc3\xb8", "\xe3\x80\xae", "##\xe3\x80\xae",
	"\xe4\xbd\xa0", "?", "caf", "##\xf0\x9d\x85\xa5", ""
};

/* Well formed: [CLS] ... [SEP], no longer than asked, ids of the vocabulary. */
static void
check_ids(const struct cb_vocab *v, const char *text, size_t n, int max_len,
    bool all_known)
{
	struct cb_ids ids = { 0 };
	int64_t i;

	if (cb_text_ids(&ids, v, text, (int64_t)n, max_len) < 0)
		abort();
	if (ids.n < 2 || (max_len > 0 && ids.n > max_len) ||
	    ids.at[0] != cb_vocab_special(v, CB_CLS) ||
	    ids.at[ids.n - 1] != cb_vocab_special(v, CB_SEP))
		abort();
	for (i = 0; i < ids.n; i++)
		if (cb_vocab_token(v, ids.at[i]) == NULL ||
		    (all_known && ids.at[i] == cb_vocab_special(v, CB_UNK)))
			abort();
	fuzz_got += ids.n > 2;
	cb_ids_clear(&ids);
}

/* A vocabulary of a text covers its words, but those over 100 characters. */
static void
check_builder(const char *text, size_t n)
{
	struct cb_vocab_maker *m;
	struct cb_vocab *v;

	if (cb_vocab_maker_new(&m) < 0 ||
	    cb_vocab_maker_add(m, text, (int64_t)n) < 0 ||
	    cb_vocab_maker_build(&v, m, 1 << 20, 1) < 0)
		abort();
	check_ids(v, text, n, 0,
	    n <= 100 && memmem(text, n, "[UNK]", 5) == NULL);
	cb_vocab_free(v);
	cb_vocab_maker_free(m);
}

static void
check_file(const uint8_t *data, size_t n)
{
	struct cb_vocab *v;
	char path[64];
	int fd = file_of(data, n);

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (cb_vocab_load(&v, path) == 0) {
		check_ids(v, (const char *)data, n, 0, false);
		cb_vocab_free(v);
	}
	close(fd);
}

/* The first byte chooses what to try. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct cb_vocab *v;
	char *text;

	if (n == 0)
		return 0;
	if ((text = malloc(n > 1 ? n - 1 : 1)) == NULL)
		abort();
	memcpy(text, data + 1, n - 1);	/* of its very size: overreads show */
	switch (data[0] % 8) {
	case 0:
		check_file(data + 1, n - 1);
		break;
	case 1:
		check_builder(text, n - 1);
		break;
	default:
		if (cb_vocab_from_list(&v, tokens, CB_LEN(tokens)) < 0)
			abort();
		check_ids(v, text, n - 1, 0, false);
		check_ids(v, text, n - 1, 2 + data[0] / 8, false);
		cb_vocab_free(v);
	}
	free(text);
	return 0;
}

void
fuzz_seeds(void)
{
	FUZZ_TEXT("file", "\0" "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nthe\n"
	    "##s\r\n\na\n");
	FUZZ_TEXT("builder", "\1" "The caf\xc3\xa9s of \xe4\xbd\xa0"
	    "\xe5\xa5\xbd, cafes [MASK]");
	FUZZ_TEXT("marks", "\2" "e\xcc\x81\xe3\x80\xae\xf0\x9d\x85\xa5 "
	    "aaaaaa[MASK]the[SEP]?");
	FUZZ_TEXT("scripts", "\xff" "\xea\xb0\x81 \xef\xac\x81 \xe1\x84\x92"
	    "\xe1\x86\x9e\xe1\x86\xab \xc4\xb0 \xf3\xa0\x84\x80 \xe2\x80\x8d "
	    "\xf0\x91\xa4\xb8");
	FUZZ_TEXT("long", "\3" "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	    "aaaaa [CLS");
}
