/*
 * Fuzz target of the stream reader.  With libFuzzer:
 *
 *	clang -fsanitize=fuzzer,address -DFUZZER -Ilib t/fuzz-stream.c ...
 *
 * Without, main() mutates a few seeds a fixed number of times, always the same
 * way, so that `make check` runs it; an argument is the number of rounds.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stream/stream.h"
#include "fuzz.h"
#include "tap.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Reads everything and looks at each value; must end, whatever the bytes. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct cb_reader *r;
	struct cb_msg *m, *copy;
	int fd = file_of(data, n);

	if (cb_reader_open(&r, fd, "fuzz") == 0) {
		cb_reader_limit(r, 1 << 20);
		while (cb_reader_next(r, &m) > 0) {
			json_decref(cb_obj_json(&m->root));
			if (cb_msg_new(&copy) == 0)
				cb_obj_copy(copy, &m->root);
			cb_msg_free(m);
			cb_msg_free(copy);
		}
		cb_reader_close(r);
	}
	close(fd);
	return 0;
}

#ifndef FUZZER
#define HEADER "\x81\xa2" "cb\1"
#define TENSOR "\xc7\x48\1" "\4\1\0\0\0\0\0\0" "\1\0\0\0\0\0\0\0" \
	"\0\0\0\0\0\0\0\0" "\0\0\0\0\0\0\0\0" "\0\0\0\0\0\0\0\0" \
	"\0\0\0\0\0\0\0\0" "\0\0\0\0\0\0\0\0" "\0\0\0\0\0\0\0\0" \
	"\0\0\0\0\0\0\xf0\x3f"

static const struct seed seeds[] = {
	SEED(HEADER "\x81\xa5group\x82\xa3seq\0\xa3ids" TENSOR
	    "\x81\xa7picture" TENSOR "\x81\xa3" "end\x81\xa8pictures\1"
	    "\x81\xa3" "eos\x80"),
	SEED(HEADER "\x81\xa1x\xdd\0\0\0\3\xca\x3f\x80\0\0\xd9\2ab\xc4\1z"
	    "\x81\xa1y\xde\0\1\xcf\xff\xff\xff\xff\xff\xff\xff\xff\xd3\x80\0\0"
	    "\0\0\0\0\0\x81\xa3" "eos\x81\xa5" "error\xa3why"),
	SEED(HEADER "\x81\xa1x\x93\x92\x91\xc0\xd6\xff" "time\xdf\0\0\0\1\xda\0"
	    "\3key\xdc\0\2\xc2\xc3\x81\xa3" "eos\x80"),
};

int
main(int argc, char **argv)
{
	int64_t rounds = argc > 1 ? atoll(argv[1]) : 30000, i;
	struct cb_rng rng = { 0 };
	uint8_t text[1024];
	size_t n, at;
	uint32_t k, edits;

	plan(1);
	for (i = 0; i < rounds; i++) {
		n = seed_draw(text, &rng, seeds, CB_LEN(seeds), i);
		edits = 1 + cb_rng_below(&rng, 1, 4);
		for (k = 0; k < edits; k++) {
			at = cb_rng_below(&rng, 8 * k + 10, (uint32_t)n);
			switch (cb_rng_below(&rng, 8 * k + 11, 5)) {
			case 0:
				text[at] ^= 1u << cb_rng_below(&rng,
				    8 * k + 12, 8);
				break;
			case 1:
				text[at] = (uint8_t)(0xc0 + cb_rng_below(&rng,
				    8 * k + 12, 32));
				break;
			case 2:
				text[at] = 0xff;
				break;
			case 3:			/* repeat a tail */
				memmove(text + at + (n - at) / 2, text + at,
				    n - at - (n - at) / 2);
				break;
			default:		/* drop a byte */
				memmove(text + at, text + at + 1, n - at - 1);
				n--;
			}
		}
		LLVMFuzzerTestOneInput(text, n);
	}
	ok(true, "%lld damaged streams read to their end", (long long)rounds);
	return done();
}
#endif
