/* The feed: what cb-batch cannot be asked from a shell. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "task/task.h"
#include "says.h"
#include "tap.h"

/* One group: JSON of its map, and how many pictures a clip. */
struct piece {
	const char *json;
	int clips, frames;
};

/* {"vocab": ...} and the groups. */
static int
stream_of(const struct piece *p, int n)
{
	static const char *const words[] = { "[PAD]", "[UNK]", "[CLS]",
	    "[SEP]", "what", "who" };
	int64_t dim[3] = { 1, 1, 3 };
	char *argv[] = { "t", NULL };
	int fd = memfd_create("feed", 0), i, k;
	struct cb_vocab *v;
	struct cb_writer *w;
	struct cb_msg *m;
	struct cb_array a;
	json_t *j;

	cb_array_init(&a, CB_U8, 3, dim);
	cb_msg_new(&m);
	cb_vocab_from_list(&v, words, CB_LEN(words));
	cb_vocab_to_header(v, m);
	cb_vocab_free(v);
	cb_writer_open(&w, fd, m, 1, argv);
	cb_msg_free(m);
	for (i = 0; i < n; i++) {
		cb_msg_new(&m);
		j = json_loads(p[i].json, 0, NULL);
		cb_map_set(m, &m->root, "group", cb_obj_from_json(m, j));
		cb_writer_put(w, m);
		for (k = 0; k < p[i].clips * p[i].frames; k++)
			cb_writer_picture(w, &a, k / p[i].frames, k, k);
		cb_writer_end(w, k, NULL);
		json_decref(j);
		cb_msg_free(m);
	}
	cb_writer_eos(w, 0, NULL);
	cb_writer_close(w);
	cb_array_clear(&a);
	lseek(fd, 0, SEEK_SET);
	return fd;
}

#define EXAMPLES "\"examples\": [{\"question\": \"what\"}]"
#define PLAN "\"kind\": \"video\", \"plan\": {\"clips\": 2, \"frames\": 2}"

static void
test_texts(void)
{
	static const struct piece p[] = {
		{ "{\"seq\": 0, \"media\": \"a\", \"examples\": []}", 1, 2 },
		{ "{\"seq\": 1, \"media\": \"b\", " EXAMPLES "}", 1, 2 },
	};
	const char *ask[] = { "who", "what" };
	struct cb_strs texts = { ask, 2 };
	struct cb_feed_options o = { .groups = 2, .texts = &texts };
	int fd = stream_of(p, 2);
	struct cb_batch *b = NULL;
	struct cb_feed *f;

	cb_feed_open(&f, fd, "t", &o);
	ok(cb_feed_next(f, &b) == 1 && b->B == 2 && b->N == 3 &&
	    b->media[0].rows == 2 && b->media[1].rows == 1,
	    "texts are asked of a group without");
	ok(b != NULL && ((int32_t *)b->ids.data)[1] == 5 &&
	    cb_obj_is(cb_map_get(&b->examples.via.array.ptr[1], "question"),
	    "what"), "in their order");
	ok(b != NULL && b->labels.data == NULL && b->K == 1 && b->T == 2,
	    "and no labels made up");
	cb_batch_free(b);
	ok(cb_feed_next(f, &b) == 0 && cb_feed_next(f, &b) == 0,
	    "the end stays the end");
	cb_feed_close(f);
	o.need_labels = true;
	lseek(fd, 0, SEEK_SET);
	cb_feed_open(&f, fd, "t", &o);
	ok(cb_feed_next(f, &b) < 0 && says("has no label"),
	    "a label that is needed");
	cb_feed_close(f);
	close(fd);
}

static void
test_shapes(void)
{
	static const struct piece p[] = {
		{ "{\"seq\": 0, \"media\": \"a\", " EXAMPLES ", " PLAN "}",
		    2, 1 },
		{ "{\"seq\": 1, \"media\": \"b\", " EXAMPLES ", " PLAN "}",
		    2, 2 },
		{ "{\"seq\": 2, \"media\": \"c\", " EXAMPLES "}", 2, 2 },
		{ "{\"seq\": 3, \"media\": \"d\", " EXAMPLES "}", 1, 4 },
		{ "{\"seq\": 4, \"media\": \"e\", " EXAMPLES "}", 0, 1 },
	};
	struct cb_feed_options o = { .groups = 8 };
	int fd = stream_of(p, 5);
	struct cb_batch *b = NULL;
	struct cb_feed *f;

	if (freopen("/dev/null", "w", stderr) == NULL)
		abort();		/* the warnings are not looked at */
	cb_feed_open(&f, fd, "t", &o);
	ok(cb_feed_next(f, &b) == 1 && b->K == 2 && b->T == 2 && b->B == 2 &&
	    b->media[0].seq == 1 && b->media[1].seq == 2,
	    "a first group that is not as planned does not set the shape");
	cb_batch_free(b);
	ok(cb_feed_skipped(f) == 3, "three others are skipped");
	cb_feed_close(f);
	close(fd);
}

/* A batch whose pieces do not fit, from JSON and tensors. */
static void
batch_says(const char *counts, int n, int rows, int pictures, const char *what)
{
	int64_t dim[3] = { 1, 1, 3 }, two[2] = { rows, 3 }, one = n;
	struct cb_feed_options o = { .groups = 1 };
	char *argv[] = { "t", NULL };
	int fd = memfd_create("batch", 0), i, rc;
	struct cb_array a, c, ids;
	struct cb_writer *w;
	struct cb_batch *b;
	struct cb_feed *f;
	struct cb_msg *m;
	msgpack_object map;
	json_t *j;

	cb_array_init(&a, CB_U8, 3, dim);
	cb_array_init(&ids, CB_I32, 2, two);
	cb_array_init(&c, CB_I32, 1, &one);
	for (i = 0; i < n; i++)
		((int32_t *)c.data)[i] = counts[i] - '0';
	cb_msg_new(&m);
	j = json_loads("{\"seq\": 0, \"clips\": 1, \"frames\": 2, \"media\": "
	    "[\"a\", \"b\"], \"groups\": [0, 1], \"examples\": [{}, {}, {}]}",
	    0, NULL);
	map = cb_obj_from_json(m, j);
	json_decref(j);
	cb_map_set(m, &map, "counts", cb_obj_tensor(m, &c));
	cb_map_set(m, &map, "ids", cb_obj_tensor(m, &ids));
	cb_map_set(m, &map, "mask", cb_obj_tensor(m, &ids));
	cb_map_set(m, &m->root, "batch", map);
	cb_writer_open(&w, fd, NULL, 1, argv);
	cb_writer_put(w, m);
	for (i = 0; i < pictures; i++)
		cb_writer_picture(w, &a, 0, i, 0);
	cb_writer_end(w, pictures, NULL);
	cb_writer_eos(w, 0, NULL);
	cb_writer_close(w);
	lseek(fd, 0, SEEK_SET);
	cb_feed_open(&f, fd, "t", &o);
	if ((rc = cb_feed_next(f, &b)) == 1)
		cb_batch_free(b);
	ok(what == NULL ? rc == 1 : rc == -1 && says(what), "a batch: %s",
	    what == NULL ? "good" : what);
	cb_feed_close(f);
	cb_msg_free(m);
	cb_array_clear(&a);
	cb_array_clear(&c);
	cb_array_clear(&ids);
	close(fd);
}

int
main(void)
{
	plan(13);
	test_texts();
	batch_says("12", 2, 3, 4, NULL);
	batch_says("13", 2, 3, 4, "counts add up to 4, not 3");
	batch_says("111", 3, 3, 4, "media and counts differ");
	batch_says("12", 2, 4, 4, "examples are not a list of 4");
	batch_says("12", 2, 3, 3, "3 pictures, not 4");
	batch_says("12", 2, 3, 5, "more than 4 pictures");
	test_shapes();
	return done();
}
