/*
 * tokens VOCAB FILE: prints the ids of each line of FILE, [CLS] and [SEP]
 * included.  Only \n ends a line.  With -m N lines are cut to N ids.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "text/text.h"

#define MAX_BYTES ((int64_t)1 << 32)

static int
print_line(const struct cb_vocab *v, struct cb_ids *ids, const char *line,
    int64_t bytes, int max_len)
{
	int64_t i;

	ids->n = 0;
	if (cb_text_ids(ids, v, line, bytes, max_len) < 0)
		return -1;
	for (i = 0; i < ids->n; i++)
		printf(i > 0 ? " %d" : "%d", ids->at[i]);
	putchar('\n');
	return 0;
}

int
main(int argc, char **argv)
{
	struct cb_vocab *v = NULL;
	struct cb_ids ids = { 0 };
	char *text = NULL, *s, *end, *stop;
	int64_t bytes, max_len = 0;
	const struct cb_opt options[] = {
		{ 'm', "max-len", CB_OPT_INT, &max_len, "N",
		    "cut to N ids [0: do not]", 0, 1 << 20 },
		{ 0 }
	};
	int i, rc = 1;

	i = cb_options(argc, argv, options, "[-m N] VOCAB FILE");
	if (argc - i != 2)
		cb_usage("a vocabulary and a file are needed");
	if (cb_vocab_load(&v, argv[i]) < 0 ||
	    cb_file_read(&text, &bytes, argv[i + 1], MAX_BYTES) < 0)
		goto done;
	stop = text + bytes;
	for (s = text; s < stop; s = end + 1) {
		if ((end = memchr(s, '\n', stop - s)) == NULL)
			end = stop;
		if (print_line(v, &ids, s, end - s, (int)max_len) < 0)
			goto done;
	}
	if (fflush(stdout) == 0)
		rc = 0;
	else
		cb_fail(CB_EIO, "standard output");
done:
	if (rc != 0)
		cb_complain();
	cb_ids_clear(&ids);
	cb_vocab_free(v);
	free(text);
	return rc;
}
