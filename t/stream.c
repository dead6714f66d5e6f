/* cb-stream(5): what goes in comes out, and what is wrong is refused. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "stream/stream.h"
#include "says.h"
#include "tap.h"

/* A file in memory, positioned at its start. */
static int
file_of(const void *p, size_t n)
{
	int fd = memfd_create("stream", MFD_CLOEXEC);

	if (fd < 0 || cb_write_full(fd, p, (int64_t)n, "memfd") < 0)
		abort();
	lseek(fd, 0, SEEK_SET);
	return fd;
}

static char *
bytes_of(int fd, size_t *n)
{
	char *p;

	*n = (size_t)lseek(fd, 0, SEEK_END);
	p = malloc(*n + 1);
	lseek(fd, 0, SEEK_SET);
	if (cb_read_full(fd, p, (int64_t)*n, "memfd") != (int64_t)*n)
		abort();
	lseek(fd, 0, SEEK_SET);
	return p;
}

/* One value of every kind under its own key. */
static void
add_all_kinds(struct cb_msg *m, msgpack_object *map)
{
	msgpack_object o = { .type = MSGPACK_OBJECT_BIN }, list;
	struct cb_array a, empty;
	int64_t dim[] = { 3, 5 }, none[] = { 0, 7 };
	int i;

	o.via.bin.ptr = "\0\1\2";
	o.via.bin.size = 3;
	cb_map_set(m, map, "bin", o);
	o.type = MSGPACK_OBJECT_EXT;
	o.via.ext.type = -1;
	o.via.ext.ptr = "time";
	o.via.ext.size = 4;
	cb_map_set(m, map, "ext", o);
	o.type = MSGPACK_OBJECT_FLOAT32;
	o.via.f64 = 0.1f;
	cb_map_set(m, map, "f32", o);
	o.type = MSGPACK_OBJECT_POSITIVE_INTEGER;
	o.via.u64 = UINT64_MAX;
	cb_map_set(m, map, "huge", o);
	cb_map_set(m, map, "least", cb_obj_int(INT64_MIN));
	cb_map_set(m, map, "yes", cb_obj_bool(true));
	cb_map_set(m, map, "nil", cb_obj_nil());
	cb_map_set(m, map, "real", cb_obj_real(0.1));
	cb_map_set(m, map, "text", cb_obj_text(m, "caf\xc3\xa9"));
	cb_map_set(m, map, "none", cb_obj_text(m, ""));
	list = cb_obj_list(m, 300);
	for (i = 0; i < 300; i++)
		list.via.array.ptr[i] = cb_obj_int(i * 1000003LL);
	cb_map_set(m, map, "list", list);
	cb_map_set(m, map, "map", cb_obj_map(m, 0));
	cb_array_init(&a, CB_I32, 2, dim);
	for (i = 0; i < 15; i++)
		((int32_t *)a.data)[i] = i - 7;
	cb_map_set(m, map, "tensor", cb_obj_tensor_take(m, &a));
	cb_array_init(&empty, CB_F32, 2, none);
	cb_map_set(m, map, "empty", cb_obj_tensor_take(m, &empty));
	cb_array_init(&a, CB_F64, 0, NULL);
	((double *)a.data)[0] = 2.5;
	cb_map_set(m, map, "scalar", cb_obj_tensor_take(m, &a));
}

static void
put_group(struct cb_writer *w, int seq, int pictures, int h, bool all)
{
	msgpack_object group;
	struct cb_msg *m;
	struct cb_array a;
	int64_t dim[3] = { h, 5, 3 };
	int i, j;

	cb_msg_new(&m);
	group = cb_obj_map(m, 4);
	cb_map_set(m, &group, "seq", cb_obj_int(seq));
	if (all)
		add_all_kinds(m, &group);
	cb_map_set(m, &m->root, "group", group);
	cb_writer_put(w, m);
	cb_msg_free(m);
	for (i = 0; i < pictures; i++) {
		cb_array_init(&a, CB_U8, 3, dim);
		for (j = 0; j < h * 15; j++)
			((uint8_t *)a.data)[j] = (uint8_t)(i + j);
		cb_writer_picture(w, &a, 0, i, i / 10.0);
		cb_array_clear(&a);
	}
	cb_writer_end(w, pictures, NULL);
}

/* A whole stream: two groups, pictures of h rows; all: with odd values. */
static char *
make(size_t *n, int h, bool all)
{
	char *argv[] = { "t", "-x", "\xff odd", NULL }, *p;
	int fd = memfd_create("stream", MFD_CLOEXEC);
	struct cb_writer *w;

	if (cb_writer_open(&w, fd, NULL, 3, argv) < 0)
		abort();
	put_group(w, 0, 2, h, all);
	put_group(w, 1, 0, h, false);
	if (cb_writer_eos(w, 0, NULL) < 0)
		abort();
	cb_writer_close(w);
	p = bytes_of(fd, n);
	close(fd);
	return p;
}

/* Reads all; the number of messages, or -1.  Copies to `to` where >= 0. */
static int
drain(int fd, int to, int64_t limit)
{
	struct cb_reader *r;
	struct cb_writer *w = NULL;
	struct cb_msg *m;
	char *argv[] = { "t", "copy", NULL };
	int rc, n = 0;

	if (cb_reader_open(&r, fd, "in") < 0)
		return -1;
	cb_reader_limit(r, limit);
	if (to >= 0 && cb_writer_open(&w, to, cb_reader_header(r), 2, argv) < 0)
		abort();
	while ((rc = cb_reader_next(r, &m)) > 0) {
		if (w != NULL && cb_writer_put(w, m) < 0)
			abort();
		cb_msg_free(m);
		n++;
	}
	if (w != NULL && rc == 0)
		cb_writer_eos(w, cb_reader_skipped(r), NULL);
	cb_writer_close(w);
	cb_reader_close(r);
	return rc < 0 ? -1 : n;
}

static void
test_values(void)
{
	const msgpack_object *g, *o;
	struct cb_reader *r;
	struct cb_msg *m;
	struct cb_array a;
	int64_t v;
	double x;
	char *p, *s;
	size_t n;
	int fd;

	p = make(&n, 4, true);
	fd = file_of(p, n);
	ok(cb_reader_open(&r, fd, "in") == 0, "a header is read");
	o = cb_map_get(&cb_reader_header(r)->root, "provenance");
	ok(o != NULL && o->type == MSGPACK_OBJECT_ARRAY &&
	    o->via.array.size == 1 && cb_obj_is(&cb_map_get(
	    o->via.array.ptr, "args")->via.array.ptr[0], "-x"),
	    "and carries the arguments");
	ok(cb_reader_next(r, &m) == 1 && cb_msg_kind(m) == CB_MSG_GROUP,
	    "then a group");
	g = cb_map_get(&m->root, "group");
	o = cb_map_get(g, "bin");
	ok(o->type == MSGPACK_OBJECT_BIN && o->via.bin.size == 3 &&
	    memcmp(o->via.bin.ptr, "\0\1\2", 3) == 0, "bin");
	o = cb_map_get(g, "ext");
	ok(o->type == MSGPACK_OBJECT_EXT && o->via.ext.type == -1 &&
	    o->via.ext.size == 4 && memcmp(o->via.ext.ptr, "time", 4) == 0,
	    "an ext that is not ours");
	ok(cb_map_get(g, "f32")->type == MSGPACK_OBJECT_FLOAT32 &&
	    cb_map_real(g, "f32", &x) == 0 && x == 0.1f, "float32 stays one");
	ok(cb_map_get(g, "huge")->via.u64 == UINT64_MAX &&
	    cb_map_int(g, "huge", &v) < 0 && says("huge"),
	    "an integer that fits no int64 stays and is refused as one");
	ok(cb_map_int(g, "least", &v) == 0 && v == INT64_MIN, "the least");
	ok(cb_map_real(g, "real", &x) == 0 && x == 0.1, "a real");
	ok(cb_map_text(g, "text", &s) == 0 &&
	    strcmp(s, "caf\xc3\xa9") == 0, "a text");
	free(s);
	ok(cb_map_get(g, "nil")->type == MSGPACK_OBJECT_NIL &&
	    cb_map_get(g, "yes")->via.boolean, "nil and true");
	ok(cb_map_get(g, "list")->via.array.size == 300 &&
	    cb_map_get(g, "list")->via.array.ptr[299].via.u64 == 299000897,
	    "a list of 300");
	ok(cb_map_array(g, "tensor", &a) == 0 && a.type == CB_I32 &&
	    a.rank == 2 && a.dim[0] == 3 && a.dim[1] == 5 &&
	    ((int32_t *)a.data)[14] == 7, "a tensor");
	ok((uintptr_t)a.data % 64 == 0, "on a 64-byte boundary");
	ok(cb_map_array(g, "empty", &a) == 0 && cb_array_count(&a) == 0 &&
	    a.dim[1] == 7, "an empty tensor keeps its shape");
	ok(cb_map_array(g, "scalar", &a) == 0 && a.rank == 0 &&
	    *(double *)a.data == 2.5, "a scalar tensor");
	ok(cb_map_array(g, "list", &a) < 0 && says("\"list\" is not a tensor"),
	    "a list is not a tensor");
	ok(cb_map_int(g, "absent", &v) < 0 && says("\"absent\" is missing"),
	    "a missing key is named");
	cb_msg_free(m);
	ok(cb_reader_next(r, &m) == 1 && cb_msg_kind(m) == CB_MSG_PICTURE &&
	    cb_map_array(&m->root, "picture", &a) == 0 && a.dim[0] == 4 &&
	    ((uint8_t *)a.data)[59] == 59 && (uintptr_t)a.data % 64 == 0,
	    "a picture");
	cb_msg_free(m);
	cb_reader_close(r);
	close(fd);
	free(p);
}

static int
count_of(const char *p, size_t n, const char *what)
{
	const char *end = p + n;
	int k = 0;

	while ((p = memmem(p, (size_t)(end - p), what, strlen(what))) != NULL) {
		p++;
		k++;
	}
	return k;
}

/* Copying through reader and writer changes only the provenance. */
static void
test_pass(void)
{
	int fd, once = memfd_create("a", 0), twice = memfd_create("b", 0);
	char *p, *q, *s;
	size_t n, k, l;

	p = make(&n, 4000, true);	/* pictures larger than the buffers */
	fd = file_of(p, n);
	ok(drain(fd, once, 0) == 6, "six messages pass");
	q = bytes_of(once, &k);
	ok(drain(once, twice, 0) == 6, "and again");
	s = bytes_of(twice, &l);
	ok(l > k && memcmp(s + l - n / 2, p + n - n / 2, n / 2) == 0,
	    "the body is the same, byte for byte");
	ok(memmem(s + l - n + 200, n - 200, p + 200, 200) != NULL,
	    "with the odd values");
	ok(count_of(s, 200, "copy") == 2, "provenance grows");
	free(p), free(q), free(s);
	close(fd), close(once), close(twice);
}

static void
test_cuts(void)
{
	size_t n, i, wrong = 0, silent = 0;
	char *p = make(&n, 2, true);
	int fd;

	for (i = 0; i < n; i++) {
		fd = file_of(p, i);
		cb_fail(CB_OK, "nothing");
		wrong += drain(fd, -1, 0) != -1;
		silent += strstr(cb_error(), "upstream program") == NULL;
		close(fd);
	}
	ok(wrong == 0, "a stream cut at any of %zu bytes is an error", n);
	ok(silent == 0, "and each says that the upstream program is to blame");
	p = realloc(p, n + 1);
	p[n] = 0;
	fd = file_of(p, n + 1);
	ok(drain(fd, -1, 0) == -1 && says("something follows eos"),
	    "a byte behind eos is an error");
	close(fd);
	free(p);
}

/* Header, then the given bytes. */
static int
hostile(const char *bytes, size_t n, int64_t limit)
{
	static const char head[] = "\x81\xa2" "cb\1";
	char *p = malloc(sizeof(head) + n);
	int fd, rc;

	memcpy(p, head, sizeof(head) - 1);
	memcpy(p + sizeof(head) - 1, bytes, n);
	fd = file_of(p, sizeof(head) - 1 + n);
	rc = drain(fd, -1, limit);
	close(fd);
	free(p);
	return rc;
}

static void
test_hostile(void)
{
	static const struct {
		const char *name, *bytes;
		size_t n;
		const char *says;
	} cases[] = {
#define CASE(name, bytes, why) { name, bytes, sizeof(bytes) - 1, why }
		CASE("text of 4 GiB", "\x81\xa1x\xdb\xff\xff\xff\xff", "more than"),
		CASE("bin of 4 GiB", "\x81\xa1x\xc6\xff\xff\xff\xff", "more than"),
		CASE("ext of 4 GiB", "\x81\xa1x\xc9\xff\xff\xff\xff\x05",
		    "more than"),
		CASE("tensor of 4 GiB", "\x81\xa1x\xc9\xff\xff\xff\xff\x01",
		    "more than"),
		CASE("list of 4 Gi", "\x81\xa1x\xdd\xff\xff\xff\xff", "values"),
		CASE("map of 4 Gi", "\x81\xa1x\xdf\xff\xff\xff\xff", "values"),
		CASE("root map of 4 Gi", "\xdf\xff\xff\xff\xff", "values"),
		CASE("text of 1 GiB that ends", "\x81\xa1x\xdb\x3f\xff\xff\x00z",
		    "ends within"),
		CASE("tensor of 1 GiB that ends",
		    "\x81\xa1x\xc9\x3f\xff\xff\x00\x01" "\0\1\0\0\0\0\0\0"
		    "\xc0\xfe\xff\x3f\0\0\0\0" "\0\0\0\0\0\0\0\0"
		    "\0\0\0\0\0\0\0\0" "\0\0\0\0\0\0\0\0" "\0\0\0\0\0\0\0\0"
		    "\0\0\0\0\0\0\0\0" "\0\0\0\0\0\0\0\0" "abc", "ends within"),
		CASE("nested lists", "\x81\xa1x\x91\x91\x91\x91\x91\x91\x91\x91"
		    "\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91"
		    "\x91\x91\x91\x91\x91\xc0", "nested"),
		CASE("tensor less than its head",
		    "\x81\xa1x\xd8\x01" "0123456789abcdef", "less than"),
		CASE("tensor in shared memory", "\x81\xa1x\xd4\x02\0",
		    "shared memory"),
		CASE("byte 0xc1", "\x81\xa1x\xc1", "does not have"),
		CASE("root that is no map", "\x93\1\2\3", "not a map"),
#undef CASE
	};
	char head[9 + 64 + 8] = "\x81\xa1x\xc7\x48\x01";
	uint64_t dim;
	size_t i;

	for (i = 0; i < CB_LEN(cases); i++)
		ok(hostile(cases[i].bytes, cases[i].n, 0) == -1 &&
		    says(cases[i].says), "hostile: %s", cases[i].name);

	head[6 + 0] = CB_F64;		/* the smallest good tensor: [1] */
	head[6 + 1] = 1;
	head[6 + 8] = 1;
	hostile(head, 6 + 72, 0);
	ok(says("without eos"), "a good tensor made by hand is read");
	head[6 + 0] = CB_NDTYPE;
	ok(hostile(head, 6 + 72, 0) == -1 && says("element type"), "no type");
	head[6 + 0] = CB_F64;
	head[6 + 1] = CB_MAX_RANK + 1;
	ok(hostile(head, 6 + 72, 0) == -1 && says("rank"), "no such rank");
	head[6 + 1] = 1;
	head[6 + 8] = 2;
	ok(hostile(head, 6 + 72, 0) == -1 && says("by its shape"), "shape");
	head[6 + 8] = 1;
	head[6 + 16] = 1;
	ok(hostile(head, 6 + 72, 0) == -1 && says("head"), "spare dimension");
	head[6 + 1] = 2;
	dim = (uint64_t)1 << 62;
	memcpy(head + 6 + 8, &dim, 8);
	memcpy(head + 6 + 16, &dim, 8);
	ok(hostile(head, 6 + 72, 0) == -1 && says("overflows"), "overflow");
	dim = UINT64_MAX;
	memcpy(head + 6 + 8, &dim, 8);
	ok(hostile(head, 6 + 72, 0) == -1 && says("negative"), "negative");
	ok(hostile("\x81\xa1x\xaa" "0123456789", 14, 13) == -1 &&
	    says("more than 13"), "the cap counts all of a message");
	hostile("\x81\xa1x\xaa" "0123456789", 14, 14);
	ok(says("without eos"), "and lets through what it allows");
}

#define GROUP "\x81\xa5group\x80"
#define BATCH "\x81\xa5" "batch\x80"
#define PICTURE "\x81\xa7picture\xc0"
#define END0 "\x81\xa3" "end\x81\xa8pictures\0"
#define END1 "\x81\xa3" "end\x81\xa8pictures\1"
#define OTHER "\x81\xa2my\xc0"
#define EOS "\x81\xa3" "eos\x80"

static void
test_order(void)
{
	static const struct {
		const char *bytes;
		size_t n;
		int want;
		const char *says;
	} cases[] = {
#define CASE(bytes, want, why) { bytes, sizeof(bytes) - 1, want, why }
		CASE(EOS, 0, ""),
		CASE(OTHER GROUP OTHER PICTURE OTHER END1 OTHER BATCH END0 EOS,
		    9, ""),
		CASE(PICTURE EOS, -1, "out of order: a picture between"),
		CASE(END0 EOS, -1, "out of order: an end between"),
		CASE(GROUP GROUP EOS, -1, "out of order: a group in a group"),
		CASE(GROUP BATCH EOS, -1, "out of order: a batch in a group"),
		CASE(BATCH GROUP EOS, -1, "out of order: a group in a batch"),
		CASE(GROUP EOS, -1, "out of order: eos in a group"),
		CASE("\x81\xa2" "cb\1" EOS, -1, "a second header"),
		CASE(GROUP PICTURE END0 EOS, -1, "0 pictures, 1 came"),
		CASE(GROUP END1 EOS, -1, "1 pictures, 0 came"),
		CASE(GROUP "\x81\xa3" "end\x80" EOS, -1, "\"pictures\" is missing"),
		CASE(GROUP END0, -1, "without eos: the upstream program died"),
		CASE(EOS EOS, -1, "follows eos"),
		CASE("\x81\xa3" "eos\x81\xa5" "error\xc0", 0, ""),
		CASE(GROUP "\x81\xa3" "eos\x81\xa5" "error\xa7no disk", -1,
		    "gave up: no disk"),
		CASE("\x81\xa3" "eos\x81\xa5" "error\xc3", -1, "gave up"),
#undef CASE
	};
	size_t i;

	for (i = 0; i < CB_LEN(cases); i++)
		ok(hostile(cases[i].bytes, cases[i].n, 0) == cases[i].want &&
		    (cases[i].want >= 0 || says(cases[i].says)),
		    "order %zu: %s", i, cases[i].says);
}

static void
test_headers(void)
{
	static const struct {
		const char *bytes;
		size_t n;
		const char *says;
	} cases[] = {
		{ "", 0, "empty" },
		{ "{\"a\": 1}\n", 9, "not a cb stream" },
		{ "\x81\xa1x\1", 4, "not a cb stream" },
		{ "\x81\xa2" "cb\xc3", 5, "not a cb stream" },
		{ "\x81\xa2" "cb\2", 5, "version 2" },
	};
	size_t i;
	int fd;

	for (i = 0; i < CB_LEN(cases); i++) {
		fd = file_of(cases[i].bytes, cases[i].n);
		ok(drain(fd, -1, 0) == -1 && says(cases[i].says),
		    "header: %s", cases[i].says);
		close(fd);
	}
}

static void
test_json(void)
{
	const char *text = "{\"a\":[1,-2,2.5,\"x\",null,true],\"b\":{\"c\":\"\"}}";
	json_t *v = json_loads(text, 0, NULL);
	struct cb_msg *m, *copy;
	msgpack_object o, bad;
	char *s;

	cb_msg_new(&m);
	o = cb_obj_from_json(m, v);
	json_decref(v);
	cb_msg_new(&copy);
	o = cb_obj_copy(copy, &o);
	cb_msg_free(m);
	v = cb_obj_json(&o);
	s = cb_json_text(v);
	ok(strcmp(s, text) == 0, "JSON comes back through a copied value");
	free(s);
	json_decref(v);
	cb_map_set(copy, &o, "a", cb_obj_real(0.0 / 0.0));
	bad = cb_obj_text(copy, "a\xff\xed\xa0\x80z");
	cb_map_set(copy, &o, "b", bad);
	v = cb_obj_json(&o);
	s = cb_json_text(v);
	ok(strcmp(s, "{\"a\":\"NaN\",\"b\":\"a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf"
	    "\xbd\xef\xbf\xbdz\"}") == 0, "NaN and what is not UTF-8");
	free(s);
	json_decref(v);
	cb_msg_free(copy);
}

/* A message that cannot be written leaves nothing behind. */
static void
test_refusals(void)
{
	char *argv[] = { "t", NULL };
	struct cb_writer *w;
	struct cb_msg *m;
	msgpack_object o = cb_obj_nil(), list;
	int64_t dim[2] = { 1 << 16, 1 << 16 };
	struct cb_array a = { .type = CB_U8, .rank = 2,
	    .dim = { dim[0], dim[1] }, .data = "" };
	int fd = memfd_create("w", 0), i;

	cb_msg_new(&m);
	for (i = 0; i < 24; i++) {
		list = cb_obj_list(m, 1);
		list.via.array.ptr[0] = o;
		o = list;
	}
	cb_map_set(m, &m->root, "x", o);
	cb_writer_open(&w, fd, NULL, 1, argv);
	ok(cb_writer_put(w, m) < 0 && says("nested"), "too deep is refused");
	ok(cb_writer_picture(w, &a, 0, 0, 0) < 0 && says("does not fit"),
	    "so is a tensor of 4 GiB");
	ok(cb_writer_eos(w, 3, NULL) == 0, "the stream goes on");
	cb_writer_close(w);
	lseek(fd, 0, SEEK_SET);
	ok(drain(fd, -1, 0) == 0, "and is whole");
	cb_msg_free(m);
	close(fd);
}

int
main(void)
{
	struct rlimit memory = { 1 << 30, 1 << 30 };

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	setrlimit(RLIMIT_AS, &memory);	/* so that a claim cannot be believed */
#endif
	(void)memory;
	plan(78);
	test_values();
	test_pass();
	test_cuts();
	test_hostile();
	test_order();
	test_headers();
	test_json();
	test_refusals();
	return done();
}
