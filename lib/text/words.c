/*
 * Text to words, as the `tokenizers` library does it for BERT uncased: its
 * BertNormalizer and BertPreTokenizer.  Character by character:
 *
 *	1  control, format and private characters and U+FFFD go; any white space
 *	   is a space
 *	2  a space goes before and after a Chinese character
 *	3  canonical decomposition (NFD), then non-spacing marks (Mn) go
 *	4  lower case, each character by itself
 *	5  words end at white space; a punctuation character is a word
 *
 * All of it streams: nothing larger than one word is held.  Putting marks in
 * canonical order needs only the word at hand, since a space has class 0.
 *
 * The library's tables are of several ages: categories of Unicode 8, NFD of
 * Unicode 9, lower case and white space newer than utf8proc's 15.  quirks[]
 * and lower() below hold every character where utf8proc would give another
 * result.  They were found by comparing all 1,112,064 characters with version
 * 0.23.3, alone and, for the combining class, beside U+302E (class 224).
 */
#include <string.h>

#include <utf8proc.h>

#include "words.h"

enum quirk {
	PLAIN = 1,	/* too young: a letter of class 0, never decomposed */
	ORDERED,	/* a letter that keeps its combining class */
	MARK,
	PUNCT,
};

/* Gaps of ordinary letters are covered where that saves a row. */
static const struct {
	int32_t	 lo, hi;
	enum quirk is;
} quirks[] = {
	{ 0x61D, 0x61D, PLAIN }, { 0x7FD, 0x7FD, PLAIN },
	{ 0x890, 0x8D3, PLAIN }, { 0x8D4, 0x8E1, ORDERED },
	{ 0x8E2, 0x8E2, PLAIN }, { 0x9FD, 0x9FE, PLAIN },
	{ 0xA76, 0xA76, PLAIN }, { 0xAFA, 0xAFF, PLAIN },
	{ 0xB55, 0xB55, PLAIN }, { 0xC04, 0xC3C, PLAIN },
	{ 0xC77, 0xC77, PLAIN }, { 0xC84, 0xC84, PLAIN },
	{ 0xD00, 0xD00, PLAIN }, { 0xD3B, 0xD3C, PLAIN },
	{ 0xD81, 0xD81, PLAIN }, { 0xEBA, 0xEBA, PLAIN },
	{ 0xECE, 0xECE, PLAIN }, { 0x166D, 0x166D, PUNCT },
	{ 0x1715, 0x1715, PLAIN }, { 0x1734, 0x1734, MARK },
	{ 0x180F, 0x1886, PLAIN }, { 0x1ABF, 0x1ACE, PLAIN },
	{ 0x1B7D, 0x1B7E, PLAIN }, { 0x1DF6, 0x1DFA, PLAIN },
	{ 0x1DFB, 0x1DFB, ORDERED }, { 0x2E43, 0x2E5D, PLAIN },
	{ 0xA82C, 0xA82C, PLAIN }, { 0xA8C5, 0xA8C5, PLAIN },
	{ 0xA8FF, 0xA8FF, PLAIN }, { 0xA9BD, 0xA9BD, PLAIN },
	{ 0x10D24, 0x10D27, PLAIN }, { 0x10EAB, 0x10F89, PLAIN },
	{ 0x11070, 0x11074, PLAIN }, { 0x110C2, 0x110CD, PLAIN },
	{ 0x111C9, 0x111C9, PUNCT }, { 0x111CF, 0x111CF, PLAIN },
	{ 0x1123E, 0x11241, PLAIN }, { 0x1133B, 0x1133B, PLAIN },
	{ 0x11438, 0x1143F, PLAIN }, { 0x11442, 0x11442, ORDERED },
	{ 0x11443, 0x11444, PLAIN }, { 0x11446, 0x11446, ORDERED },
	{ 0x1144B, 0x1145E, PLAIN }, { 0x11660, 0x1166C, PLAIN },
	{ 0x116B9, 0x116B9, PLAIN }, { 0x1182F, 0x11B09, PLAIN },
	{ 0x11C30, 0x11C3D, PLAIN }, { 0x11C3F, 0x11C3F, ORDERED },
	{ 0x11C41, 0x11D97, PLAIN }, { 0x11EF3, 0x11FFF, PLAIN },
	{ 0x12FF1, 0x12FF2, PLAIN }, { 0x13430, 0x13455, PLAIN },
	{ 0x16E97, 0x16F4F, PLAIN }, { 0x16FE2, 0x16FF1, PLAIN },
	{ 0x1CF00, 0x1CF46, PLAIN }, { 0x1E000, 0x1E006, ORDERED },
	{ 0x1E008, 0x1E018, ORDERED }, { 0x1E01B, 0x1E021, ORDERED },
	{ 0x1E023, 0x1E024, ORDERED }, { 0x1E026, 0x1E02A, ORDERED },
	{ 0x1E08F, 0x1E136, PLAIN }, { 0x1E2AE, 0x1E2EF, PLAIN },
	{ 0x1E4EC, 0x1E4EF, PLAIN }, { 0x1E944, 0x1E94A, ORDERED },
	{ 0x1E95E, 0x1E95F, PLAIN },
};

static int
quirk(int32_t c)
{
	int lo = 0, hi = CB_LEN(quirks) - 1, mid;

	if (c < quirks[0].lo)
		return 0;
	while (lo <= hi) {
		mid = (lo + hi) / 2;
		if (c < quirks[mid].lo)
			hi = mid - 1;
		else if (c > quirks[mid].hi)
			lo = mid + 1;
		else
			return quirks[mid].is;
	}
	return 0;
}

/* Unicode's White_Space; the set has been the same since version 6.3. */
static bool
is_space(int32_t c)
{
	return (c >= 0x09 && c <= 0x0d) || c == 0x20 || c == 0x85 ||
	    c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) ||
	    c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f ||
	    c == 0x3000;
}

/*
 * Not all Chinese characters: BERT's own list of blocks.  The library has
 * 2B920 where Unicode's block, and Google's code, begin at 2B820.
 */
static bool
is_chinese(int32_t c)
{
	return (c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3400 && c <= 0x4dbf) ||
	    (c >= 0x20000 && c <= 0x2a6df) || (c >= 0x2a700 && c <= 0x2b73f) ||
	    (c >= 0x2b740 && c <= 0x2b81f) || (c >= 0x2b920 && c <= 0x2ceaf) ||
	    (c >= 0xf900 && c <= 0xfaff) || (c >= 0x2f800 && c <= 0x2fa1f);
}

static enum word_class
class_of(int32_t c)
{
	switch (quirk(c)) {
	case PLAIN:
	case ORDERED:
		return WORD_LETTER;
	case MARK:
		return WORD_MARK;
	case PUNCT:
		return WORD_PUNCT;
	}
	/* All ASCII but letters and digits counts as punctuation: $ + ^ too. */
	if ((c >= '!' && c <= '/') || (c >= ':' && c <= '@') ||
	    (c >= '[' && c <= '`') || (c >= '{' && c <= '~'))
		return WORD_PUNCT;
	switch (utf8proc_category(c)) {
	case UTF8PROC_CATEGORY_PC:
	case UTF8PROC_CATEGORY_PD:
	case UTF8PROC_CATEGORY_PS:
	case UTF8PROC_CATEGORY_PE:
	case UTF8PROC_CATEGORY_PI:
	case UTF8PROC_CATEGORY_PF:
	case UTF8PROC_CATEGORY_PO:
		return WORD_PUNCT;
	case UTF8PROC_CATEGORY_MN:
		return WORD_MARK;
	case UTF8PROC_CATEGORY_CC:
	case UTF8PROC_CATEGORY_CF:
	case UTF8PROC_CATEGORY_CO:
		return c == '\t' || c == '\n' || c == '\r' ? WORD_SPACE :
		    WORD_DROP;
	default:
		return is_space(c) ? WORD_SPACE : c == 0xfffd ? WORD_DROP :
		    WORD_LETTER;
	}
}

/* The rows are capital letters that came with Unicode 16 and 17. */
static int32_t
lower(int32_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A' + 'a';
	if (c < 0x80)
		return c;
	switch (c) {
	case 0x1c89: case 0xa7cc: case 0xa7ce: case 0xa7d2: case 0xa7d4:
	case 0xa7da:
		return c + 1;
	case 0xa7cb:
		return 0x264;
	case 0xa7dc:
		return 0x19b;
	}
	if (c >= 0x10d50 && c <= 0x10d65)
		return c + 0x20;
	if (c >= 0x16ea0 && c <= 0x16eb8)
		return c + 0x1b;
	return utf8proc_tolower(c);
}

bool
words_alone(int32_t c)
{
	return is_chinese(c) || class_of(c) == WORD_PUNCT;
}

int
words_end(struct words *w)
{
	int n = w->n;

	w->n = w->run = 0;
	return n > 0 ? w->word(w->arg, w->c, n) : 0;
}

/* Appends a letter; one with a combining class moves before higher ones. */
static void
append(struct words *w, int32_t c, int ccc)
{
	int i = w->n;

	if (i >= WORD_MAX) {
		w->n = WORD_MAX + 1;
		return;
	}
	for (; ccc > 0 && i > w->run && w->ccc[i - 1] > ccc; i--) {
		w->c[i] = w->c[i - 1];
		w->ccc[i] = w->ccc[i - 1];
	}
	w->c[i] = lower(c);
	w->ccc[i] = (uint8_t)ccc;
	w->n++;
	if (ccc == 0)
		w->run = w->n;
}

/* One character of the decomposed text: steps 3 (second half) to 5. */
static int
put_part(struct words *w, int32_t c)
{
	int ccc = quirk(c) == PLAIN ? 0 :
	    utf8proc_get_property(c)->combining_class;
	int32_t low;
	int rc;

	switch (class_of(c)) {
	case WORD_MARK:
		/* Gone, but a mark of class 0 still parts those around it. */
		if (ccc == 0)
			w->run = w->n;
		return 0;
	case WORD_SPACE:
		return words_end(w);
	case WORD_PUNCT:
		if ((rc = words_end(w)) != 0)
			return rc;
		low = lower(c);
		return w->word(w->arg, &low, 1);
	default:
		append(w, c, ccc);
		return 0;
	}
}

/* One character of the text as it came: steps 1 to 3. */
static int
put_char(struct words *w, int32_t c)
{
	utf8proc_int32_t part[32];
	bool alone = is_chinese(c);
	int i, n, last = 0, rc = 0;

	if (c < 0x80 || quirk(c) == PLAIN) {
		part[0] = c;
		n = 1;
	} else {
		n = utf8proc_decompose_char(c, part, CB_LEN(part),
		    UTF8PROC_DECOMPOSE, &last);
		if (n < 0 || n > (int)CB_LEN(part))
			return cb_fail(CB_EFORMAT, "U+%04X: %s", c,
			    utf8proc_errmsg(n));
	}
	if (alone && (rc = words_end(w)) != 0)
		return rc;
	for (i = 0; i < n && rc == 0; i++)
		rc = put_part(w, part[i]);
	if (alone && rc == 0)
		rc = words_end(w);
	return rc;
}

int
words_feed(struct words *w, const char *text, int64_t bytes)
{
	const utf8proc_uint8_t *s = (const utf8proc_uint8_t *)text;
	utf8proc_int32_t c;
	utf8proc_ssize_t n;
	int rc;

	while (bytes > 0) {
		n = utf8proc_iterate(s, bytes < 4 ? bytes : 4, &c);
		if (n <= 0) {	/* would read as U+FFFD, which step 1 drops */
			s++;
			bytes--;
			continue;
		}
		s += n;
		bytes -= n;
		if (class_of(c) == WORD_DROP)
			continue;
		if ((rc = put_char(w, c)) != 0)
			return rc;
	}
	return 0;
}

int
words_special(const char *text, int64_t bytes)
{
	const char *name;
	int i;

	for (i = 0; i < CB_NSPECIAL && *text == '['; i++) {
		name = cb_special_name(i);
		if (bytes >= (int64_t)strlen(name) &&
		    memcmp(text, name, strlen(name)) == 0)
			return i;
	}
	return -1;
}

int
words_utf8(char *to, int32_t c)
{
	return (int)utf8proc_encode_char(c, (utf8proc_uint8_t *)to);
}

int
words_char(int32_t *c, const char *text)
{
	return (int)utf8proc_iterate((const utf8proc_uint8_t *)text, -1, c);
}

uint64_t
words_hash(const char *text, int64_t bytes)
{
	uint64_t h = 1469598103934665603u;	/* FNV-1a */
	int64_t i;

	for (i = 0; i < bytes; i++)
		h = (h ^ (unsigned char)text[i]) * 1099511628211u;
	return h ^ h >> 29;
}
