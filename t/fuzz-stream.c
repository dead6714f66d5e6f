/* Fuzz target of the stream reader. */
#include "stream/stream.h"
#include "fuzz.h"

/* Reads everything and looks at each value. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct cb_reader *r;
	struct cb_msg *m, *copy;
	int fd = file_of(data, n);

	if (cb_reader_open(&r, fd, "fuzz") == 0) {
		cb_reader_limit(r, 1 << 20);
		while (cb_reader_next(r, &m) > 0) {
			fuzz_got++;
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

#define HEADER "\x81\xa2" "cb\1"
#define TENSOR "\xc7\x48\1" "\4\1\0\0\0\0\0\0" "\1\0\0\0\0\0\0\0" \
	"\0\0\0\0\0\0\0\0" "\0\0\0\0\0\0\0\0" "\0\0\0\0\0\0\0\0" \
	"\0\0\0\0\0\0\0\0" "\0\0\0\0\0\0\0\0" "\0\0\0\0\0\0\0\0" \
	"\0\0\0\0\0\0\xf0\x3f"

void
fuzz_seeds(void)
{
	FUZZ_TEXT("tensors", HEADER "\x81\xa5group\x82\xa3seq\0\xa3ids" TENSOR
	    "\x81\xa7picture" TENSOR "\x81\xa3" "end\x81\xa8pictures\1"
	    "\x81\xa3" "eos\x80");
	FUZZ_TEXT("numbers", HEADER "\x81\xa1x\xdd\0\0\0\3\xca\x3f"
	    "\x80\0\0\xd9\2ab\xc4\1z"
	    "\x81\xa1y\xde\0\1\xcf\xff\xff\xff\xff\xff\xff\xff\xff\xd3\x80\0\0"
	    "\0\0\0\0\0\x81\xa3" "eos\x81\xa5" "error\xa3why");
	FUZZ_TEXT("rest", HEADER "\x81\xa1x\x93\x92\x91\xc0\xd6\xff" "time"
	    "\xdf\0\0\0\1\xda\0\3key\xdc\0\2\xc2\xc3\x81\xa3" "eos\x80");
}
