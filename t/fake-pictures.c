/*
 * fake-pictures K T H W [bad=SEQ] [few=SEQ] [die=SEQ] <groups >groups: stands in
 * for cb-decode and cb-sample in tests.  Gives every group K clips of T pictures
 * whose pixels tell seq, clip, frame and place; a group named by bad carries an
 * error, one named by few lacks its last picture, at die the program ends
 * without a word.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stream/stream.h"

static int
number(int argc, char **argv, const char *key)
{
	size_t n = strlen(key);
	int i;

	for (i = 5; i < argc; i++)
		if (strncmp(argv[i], key, n) == 0)
			return atoi(argv[i] + n);
	return -1;
}

static int
pictures(struct cb_writer *w, int64_t seq, const int *dims, int n)
{
	int64_t dim[3] = { dims[2], dims[3], 3 }, j;
	struct cb_array a;
	int i;

	for (i = 0; i < n; i++) {
		if (cb_array_init(&a, CB_U8, 3, dim) < 0)
			return -1;
		for (j = 0; j < cb_array_count(&a); j++)
			((uint8_t *)a.data)[j] = (uint8_t)(31 * seq +
			    7 * i + j);
		if (cb_writer_picture(w, &a, i / dims[1], i, i / 4.0) < 0)
			return -1;
		cb_array_clear(&a);
	}
	return cb_writer_end(w, n, NULL);
}

static int
group(struct cb_writer *w, struct cb_msg *m, int argc, char **argv,
    const int *dims)
{
	msgpack_object *g = cb_msg_map(m, "group");
	int64_t seq;

	if (cb_map_int(g, "seq", &seq) < 0)
		return -1;
	if (seq == number(argc, argv, "die="))
		_exit(0);
	if (seq == number(argc, argv, "bad=")) {
		cb_map_set(m, g, "error", cb_obj_text(m, "no such file"));
		return cb_writer_put(w, m) < 0 ? -1 :
		    cb_writer_end(w, 0, NULL);
	}
	if (cb_writer_put(w, m) < 0)
		return -1;
	return pictures(w, seq, dims, dims[0] * dims[1] -
	    (seq == number(argc, argv, "few=")));
}

int
main(int argc, char **argv)
{
	struct cb_reader *r;
	struct cb_writer *w;
	struct cb_msg *m;
	int dims[4], i, rc;

	cb_program_set(argv[0]);
	for (i = 0; i < 4; i++)
		dims[i] = argc > i + 1 ? atoi(argv[i + 1]) : 1;
	if (cb_reader_open(&r, STDIN_FILENO, "stdin") < 0 ||
	    cb_writer_open(&w, STDOUT_FILENO, cb_reader_header(r), argc,
	    argv) < 0)
		return cb_complain();
	while ((rc = cb_reader_next(r, &m)) > 0) {
		switch (cb_msg_kind(m)) {
		case CB_MSG_GROUP:
			rc = group(w, m, argc, argv, dims);
			break;
		case CB_MSG_END:
			break;
		default:
			rc = cb_writer_put(w, m);
		}
		cb_msg_free(m);
		if (rc < 0)
			break;
	}
	if (rc < 0 || cb_writer_eos(w, 0, NULL) < 0)
		return cb_complain();
	cb_writer_close(w);
	cb_reader_close(r);
	return 0;
}
