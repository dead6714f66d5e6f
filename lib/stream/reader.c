/*
 * Reading a stream that may be damaged or hostile.
 *
 * A scanner walks the msgpack tokens as they arrive.  It copies small things
 * to a buffer, one message's worth; the data of a tensor it reads straight into
 * memory of their own, aligned, and leaves a struct cb_array in the buffer in
 * place of the ext; or it finds them in the memory of the link, where they stay
 * if there is room (cb_reader_keep()).  msgpack-c then unpacks the buffer.  So
 * big data are copied once at most, and everything that msgpack-c is given has
 * been checked: it is whole, not nested too deep, and small.
 *
 * A length that the stream claims is only compared with the cap; memory grows
 * with the bytes that really come.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stream/link.h"
#include "stream/wire.h"

#define BUFFER (64 << 10)
#define MESSAGE_MAX ((int64_t)1 << 30)
#define GROW_FROM ((int64_t)64 << 20)	/* larger tensors grow as they come */

/*
 * Values in one message: msgpack-c spends up to 48 bytes on a value that takes
 * one byte in the stream.
 */
#define VALUES_MAX ((int64_t)4 << 20)

/* What may come next. */
enum place { BETWEEN, IN_GROUP, IN_BATCH, AFTER };

/* The message being scanned. */
struct scan {
	char *text;		/* what msgpack-c will unpack */
	int64_t have, room;
	msgpack_zone *zone;	/* owns the data of tensors */
	int64_t bytes;		/* of the message, to hold against the cap */
	int64_t values;
	int64_t left[WIRE_DEPTH + 2];	/* values still to come, each level */
	int depth;
};

struct cb_reader {
	int fd;
	struct peer *peer;	/* the program upstream; NULL: not linked */
	char *name;
	int64_t limit;
	unsigned char *buffer;
	size_t at, have;
	struct cb_msg *header, *eos;
	enum place place;
	int64_t pictures;	/* of this group or batch, so far */
};

/* ---- bytes -------------------------------------------------------------- */

static int
cut(struct cb_reader *r)
{
	return cb_fail(CB_EFORMAT, "%s: the stream ends within a message: the "
	    "upstream program died", r->name);
}

/* At least n bytes at r->buffer + r->at, n small.  1; 0: the end; -1. */
static int
fill(struct cb_reader *r, size_t n)
{
	ssize_t got;

	if (r->have - r->at >= n)
		return 1;
	memmove(r->buffer, r->buffer + r->at, r->have - r->at);
	r->have -= r->at;
	r->at = 0;
	while (r->have < n) {
		got = read(r->fd, r->buffer + r->have, BUFFER - r->have);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return cb_fail(CB_EIO, "%s", r->name);
		if (got == 0)
			return r->have == 0 ? 0 : cut(r);
		r->have += (size_t)got;
	}
	return 1;
}

static int
need(struct cb_reader *r, size_t n)
{
	int got = fill(r, n);

	return got > 0 ? 0 : got == 0 ? cut(r) : -1;
}

/* Holds n more bytes of the message against the cap. */
static int
count(struct cb_reader *r, struct scan *s, int64_t n)
{
	if (n > r->limit - s->bytes)
		return cb_fail(CB_ELIMIT, "%s: a message of more than %lld "
		    "bytes", r->name, (long long)r->limit);
	s->bytes += n;
	return 0;
}

static int
keep(struct scan *s, const void *p, int64_t n)
{
	int64_t room = s->room > 0 ? s->room : 256;
	char *more;

	while (room < s->have + n)
		room *= 2;
	if (room != s->room) {
		if ((more = realloc(s->text, (size_t)room)) == NULL)
			return cb_fail(CB_ENOMEM, "message");
		s->text = more;
		s->room = room;
	}
	memcpy(s->text + s->have, p, (size_t)n);
	s->have += n;
	return 0;
}

/* Moves n counted bytes from the stream to the text. */
static int
keep_body(struct cb_reader *r, struct scan *s, int64_t n)
{
	int64_t k;

	while (n > 0) {
		if (need(r, 1) < 0)
			return -1;
		k = (int64_t)(r->have - r->at);
		k = k < n ? k : n;
		if (keep(s, r->buffer + r->at, k) < 0)
			return -1;
		r->at += (size_t)k;
		n -= k;
	}
	return 0;
}

/* ---- tensors ------------------------------------------------------------ */

/* The next WIRE_HEAD bytes.  *bytes: how many the data have. */
static int
parse_head(struct cb_reader *r, struct cb_array *a, int64_t *bytes)
{
	const unsigned char *head = r->buffer + r->at;
	int i;

	memset(a, 0, sizeof(*a));
	if (head[0] >= CB_NDTYPE || head[1] > CB_MAX_RANK)
		return cb_fail(CB_EFORMAT, "%s: a tensor of element type %d "
		    "and rank %d", r->name, head[0], head[1]);
	a->type = head[0];
	a->rank = head[1];
	for (i = 2; i < WIRE_HEAD; i++)
		if (head[i] != 0 && (i < WIRE_DIMS ||
		    i >= WIRE_DIMS + 8 * a->rank))
			return cb_fail(CB_EFORMAT, "%s: a tensor with a "
			    "damaged head", r->name);
	memcpy(a->dim, head + WIRE_DIMS, 8 * (size_t)a->rank);
	if (cb_size_mul(bytes, (int64_t)cb_dtype_size(a->type), a->rank,
	    a->dim, INT64_MAX) < 0)
		return cb_fail_at("%s: a tensor", r->name);
	r->at += WIRE_HEAD;
	return 0;
}

/* n bytes on a boundary of 64; yours to free. */
static void *
room_for(struct cb_reader *r, int64_t n)
{
	void *p = aligned_alloc(64, ((size_t)n + 64) / 64 * 64);

	if (p == NULL)
		cb_fail(CB_ENOMEM, "%s: a tensor of %lld bytes", r->name,
		    (long long)n);
	return p;
}

/* Takes the data, the message's from now on, and leaves the array in the text,
 * as an ext.  release(arg) will free them. */
static int
keep_tensor(struct scan *s, struct cb_array *a, void (*release)(void *),
    void *arg)
{
	const unsigned char head[3] = { 0xc7, sizeof(struct cb_array),
	    CB_EXT_TENSOR };

	if (!msgpack_zone_push_finalizer(s->zone, release, arg)) {
		release(arg);
		return cb_fail(CB_ENOMEM, "message");
	}
	if (keep(s, head, sizeof(head)) < 0)
		return -1;
	return keep(s, a, sizeof(*a));
}

static int
read_into(struct cb_reader *r, char *to, int64_t n)
{
	int64_t k = (int64_t)(r->have - r->at), got;

	k = k < n ? k : n;
	memcpy(to, r->buffer + r->at, (size_t)k);
	r->at += (size_t)k;
	if ((got = cb_read_full(r->fd, to + k, n - k, r->name)) < 0)
		return -1;
	return got < n - k ? cut(r) : 0;
}

/* Aligned memory with n bytes of the stream; yours to free. */
static int
read_data(struct cb_reader *r, void **out, int64_t n)
{
	int64_t room = n < GROW_FROM ? n : GROW_FROM, have = 0;
	char *p = NULL, *more;

	for (;;) {
		if ((more = room_for(r, room)) == NULL) {
			free(p);
			return -1;
		}
		if (have > 0)
			memcpy(more, p, (size_t)have);
		free(p);
		p = more;
		if (read_into(r, p + have, room - have) < 0) {
			free(p);
			return -1;
		}
		if (room == n)
			break;
		have = room;
		room = n / 4 < room ? n : 4 * room;
	}
	*out = p;
	return 0;
}

static void
give_back(void *loan)
{
	peer_give(loan);
	free(loan);
}

/* A picture is read to where it will stay.  1: it was; 0: it cannot; -1. */
static int
read_kept(struct cb_reader *r, struct scan *s, struct cb_array *a,
    int64_t bytes)
{
	struct loan *l = malloc(sizeof(*l));

	if (l == NULL)
		return cb_fail(CB_ENOMEM, "message");
	if (peer_place(r->peer, l, bytes) < 0) {
		free(l);
		return 0;
	}
	a->data = l->data;
	if (read_into(r, a->data, bytes) < 0) {
		give_back(l);
		return -1;
	}
	return keep_tensor(s, a, give_back, l) < 0 ? -1 : 1;
}

/* The payload of a tensor, n counted bytes. */
static int
scan_tensor(struct cb_reader *r, struct scan *s, int64_t n)
{
	struct cb_array a;
	int64_t bytes;
	bool picture;
	int rc;

	if (n < WIRE_HEAD)
		return cb_fail(CB_EFORMAT, "%s: a tensor of %lld bytes, less "
		    "than its head", r->name, (long long)n);
	if (need(r, WIRE_HEAD) < 0 || parse_head(r, &a, &bytes) < 0)
		return -1;
	if (bytes != n - WIRE_HEAD)
		return cb_fail(CB_EFORMAT, "%s: a tensor of %lld bytes by its "
		    "shape has %lld", r->name, (long long)bytes,
		    (long long)n - WIRE_HEAD);
	picture = a.type == CB_U8 && bytes >= WIRE_SHARE;
	if (picture && (rc = read_kept(r, s, &a, bytes)) != 0)
		return rc < 0 ? -1 : 0;
	if (read_data(r, &a.data, bytes) < 0)
		return -1;
	if (picture)
		peer_offer(r->peer, bytes);
	return keep_tensor(s, &a, free, a.data);
}

/* Data that lie in the memory of the link stay there or are copied. */
static int
keep_shared(struct cb_reader *r, struct scan *s, struct cb_array *a,
    int64_t at, int64_t bytes)
{
	struct loan *l = malloc(sizeof(*l));

	if (l == NULL)
		return cb_fail(CB_ENOMEM, "message");
	if (peer_take(r->peer, l, at, bytes) < 0) {
		free(l);
		return cb_fail(CB_EFORMAT, "%s: a tensor in shared memory that "
		    "was not offered", r->name);
	}
	a->data = l->data;
	if (l->stay)
		return keep_tensor(s, a, give_back, l);
	if ((a->data = room_for(r, bytes)) != NULL)
		memcpy(a->data, l->data, (size_t)bytes);
	give_back(l);
	return a->data == NULL ? -1 : keep_tensor(s, a, free, a->data);
}

/* The same of one whose data are in the memory of the link. */
static int
scan_shared(struct cb_reader *r, struct scan *s, int64_t n)
{
	struct cb_array a;
	int64_t bytes, at;

	if (n != WIRE_SHARED)
		return cb_fail(CB_EFORMAT, "%s: a tensor in shared memory, "
		    "told in %lld bytes", r->name, (long long)n);
	if (need(r, WIRE_SHARED) < 0 || parse_head(r, &a, &bytes) < 0 ||
	    count(r, s, bytes) < 0)
		return -1;
	memcpy(&at, r->buffer + r->at, sizeof(at));
	r->at += sizeof(at);
	if (a.type != CB_U8)
		return cb_fail(CB_EFORMAT, "%s: a tensor of type %s in shared "
		    "memory", r->name, cb_dtype_name(a.type));
	return keep_shared(r, s, &a, at, bytes);
}

/* ---- tokens ------------------------------------------------------------- */

static int64_t
big_endian(const unsigned char *p, int n)
{
	int64_t v = 0;

	while (n-- > 0)
		v = v << 8 | *p++;
	return v;
}

/* n values open below this one. */
static int
descend(struct cb_reader *r, struct scan *s, int64_t n)
{
	if (s->depth >= WIRE_DEPTH)
		return cb_fail(CB_ELIMIT, "%s: a message is nested deeper "
		    "than %d", r->name, WIRE_DEPTH);
	if (n > VALUES_MAX - s->values)
		return cb_fail(CB_ELIMIT, "%s: a message of more than %lld "
		    "values", r->name, (long long)VALUES_MAX);
	s->values += n;
	s->left[++s->depth] = n;
	return 0;
}

/* A token of `size` bytes with a body of n behind it. */
static int
take(struct cb_reader *r, struct scan *s, int size, int64_t n)
{
	if (count(r, s, size + n) < 0 || keep_body(r, s, size) < 0)
		return -1;
	return keep_body(r, s, n);
}

static int
take_ext(struct cb_reader *r, struct scan *s, int size, int64_t n)
{
	int type;

	if (need(r, (size_t)size) < 0)
		return -1;
	type = (signed char)r->buffer[r->at + (size_t)size - 1];
	if (type != CB_EXT_TENSOR && type != CB_EXT_SHARED)
		return take(r, s, size, n);
	if (count(r, s, size + n) < 0)
		return -1;
	r->at += (size_t)size;
	return type == CB_EXT_SHARED ? scan_shared(r, s, n) :
	    scan_tensor(r, s, n);
}

static int
take_container(struct cb_reader *r, struct scan *s, int size, int64_t n)
{
	return take(r, s, size, 0) < 0 ? -1 : descend(r, s, n);
}

/* One token; the table of formats is msgpack's own specification. */
static int
scan_token(struct cb_reader *r, struct scan *s)
{
	static const int number[] = { 5, 9, 2, 3, 5, 9, 2, 3, 5, 9 };
	const unsigned char *p;
	int c, k;

	if (need(r, 1) < 0)
		return -1;
	c = r->buffer[r->at];
	if (c <= 0x7f || c >= 0xe0 || c == 0xc0 || c == 0xc2 || c == 0xc3)
		return take(r, s, 1, 0);
	if (c <= 0x8f)
		return take_container(r, s, 1, 2 * (c & 15));
	if (c <= 0x9f)
		return take_container(r, s, 1, c & 15);
	if (c <= 0xbf)
		return take(r, s, 1, c & 31);
	if (c == 0xc1)
		return cb_fail(CB_EFORMAT, "%s: damaged: a byte that msgpack "
		    "does not have", r->name);
	if (c >= 0xca && c <= 0xd3)
		return take(r, s, number[c - 0xca], 0);
	if (c >= 0xd4 && c <= 0xd8)			/* fixext 1 .. 16 */
		return take_ext(r, s, 2, 1 << (c - 0xd4));
	/* What is left has its length in 1, 2 or 4 bytes. */
	k = c == 0xc4 || c == 0xc7 || c == 0xd9 ? 1 :
	    c == 0xc5 || c == 0xc8 || c == 0xda || c == 0xdc || c == 0xde ?
	    2 : 4;
	if (need(r, (size_t)k + 1) < 0)
		return -1;
	p = r->buffer + r->at + 1;
	switch (c) {
	case 0xc7: case 0xc8: case 0xc9:
		return take_ext(r, s, k + 2, big_endian(p, k));
	case 0xdc: case 0xdd:
		return take_container(r, s, k + 1, big_endian(p, k));
	case 0xde: case 0xdf:
		return take_container(r, s, k + 1, 2 * big_endian(p, k));
	default:
		return take(r, s, k + 1, big_endian(p, k));
	}
}

static int
scan(struct cb_reader *r, struct scan *s)
{
	s->left[0] = 1;
	for (;;) {
		while (s->left[s->depth] == 0)
			if (s->depth-- == 0)
				return 0;
		s->left[s->depth]--;
		if (scan_token(r, s) < 0)
			return -1;
	}
}

/* ---- messages ----------------------------------------------------------- */

static bool
is_map(int c)
{
	return (c >= 0x80 && c <= 0x8f) || c == 0xde || c == 0xdf;
}

static int
unpack(struct cb_reader *r, struct scan *s, struct cb_msg **out)
{
	msgpack_unpacked u;
	size_t at = 0;
	int rc = -1;

	msgpack_unpacked_init(&u);
	if (msgpack_unpack_next(&u, s->text, (size_t)s->have, &at) !=
	    MSGPACK_UNPACK_SUCCESS || at != (size_t)s->have) {
		cb_fail(CB_EFORMAT, "%s: a damaged message", r->name);
		goto done;
	}
	/* The objects point into the text, the arrays' data are the scan's. */
	if (!msgpack_zone_push_finalizer(u.zone, free, s->text)) {
		cb_fail(CB_ENOMEM, "message");
		goto done;
	}
	s->text = NULL;
	if (!msgpack_zone_push_finalizer(u.zone,
	    (void (*)(void *))msgpack_zone_free, s->zone)) {
		cb_fail(CB_ENOMEM, "message");
		goto done;
	}
	s->zone = NULL;
	rc = wire_msg_wrap(out, msgpack_unpacked_release_zone(&u), u.data);
done:
	msgpack_unpacked_destroy(&u);
	return rc;
}

/* Any message.  1, 0 at the end of the file, -1. */
static int
read_message(struct cb_reader *r, struct cb_msg **out)
{
	struct scan s = { 0 };
	int rc;

	if ((rc = fill(r, 1)) <= 0)
		return rc;
	if (!is_map(r->buffer[r->at]))
		return cb_fail(CB_EFORMAT, r->header == NULL ?
		    "%s: not a cb stream" :
		    "%s: damaged: a message that is not a map", r->name);
	if ((s.zone = msgpack_zone_new(64)) == NULL)
		return cb_fail(CB_ENOMEM, "message");
	rc = -1;
	if (scan(r, &s) == 0 && unpack(r, &s, out) == 0)
		rc = 1;
	free(s.text);
	if (s.zone != NULL)
		msgpack_zone_free(s.zone);
	return rc;
}

/* ---- the reader --------------------------------------------------------- */

static int
read_header(struct cb_reader *r)
{
	struct cb_msg *m;
	int64_t version;
	int rc;

	if ((rc = read_message(r, &m)) < 0)
		return -1;
	if (rc == 0)
		return cb_fail(CB_EFORMAT, "%s: empty, not even a header: the "
		    "upstream program failed", r->name);
	r->header = m;
	if (cb_msg_kind(m) != CB_MSG_HEADER ||
	    cb_map_int(&m->root, "cb", &version) < 0)
		return cb_fail(CB_EFORMAT, "%s: not a cb stream", r->name);
	if (version != CB_STREAM_VERSION)
		return cb_fail(CB_EFORMAT, "%s: version %lld of cb-stream, "
		    "this program reads %d", r->name, (long long)version,
		    CB_STREAM_VERSION);
	return 0;
}

int
cb_reader_open(struct cb_reader **out, int fd, const char *name)
{
	struct cb_reader *r;
	int rc = -1;

	if (isatty(fd))
		return cb_fail(CB_EUSAGE, "%s: a terminal; a stream comes "
		    "from a pipe or a file", name);
	if ((r = calloc(1, sizeof(*r))) == NULL)
		return cb_fail(CB_ENOMEM, "%s", name);
	if ((r->buffer = malloc(BUFFER)) == NULL) {
		cb_fail(CB_ENOMEM, "%s", name);
		goto done;
	}
	r->fd = fd;
	fcntl(fd, F_SETPIPE_SZ, WIRE_PIPE);
	r->peer = peer_connect(fd);
	r->name = cb_strf("%s", name);
	r->limit = MESSAGE_MAX;
	if (read_header(r) < 0)
		goto done;
	*out = r;
	r = NULL;
	rc = 0;
done:
	cb_reader_close(r);
	return rc;
}

void
cb_reader_close(struct cb_reader *r)
{
	if (r == NULL)
		return;
	cb_msg_free(r->header);
	cb_msg_free(r->eos);
	peer_close(r->peer);
	free(r->buffer);
	free(r->name);
	free(r);
}

struct cb_msg *
cb_reader_header(struct cb_reader *r)
{
	return r->header;
}

void
cb_reader_ask(struct cb_reader *r, const json_t *what)
{
	peer_ask(r->peer, what);
}

void
cb_reader_keep(struct cb_reader *r, int64_t pictures)
{
	if (r->peer == NULL)
		r->peer = peer_alone();
	peer_keep(r->peer, pictures);
}

void *
cb_reader_memory(const struct cb_reader *r, int64_t *bytes)
{
	return peer_memory(r->peer, bytes);
}

void
cb_reader_limit(struct cb_reader *r, int64_t message_bytes)
{
	r->limit = message_bytes > 0 ? message_bytes : MESSAGE_MAX;
}

const msgpack_object *
cb_reader_eos(const struct cb_reader *r)
{
	return r->eos == NULL ? NULL : cb_map_get(&r->eos->root, "eos");
}

int64_t
cb_reader_skipped(const struct cb_reader *r)
{
	const msgpack_object *eos = cb_reader_eos(r);
	int64_t n;

	if (cb_map_get(eos, "skipped") == NULL ||
	    cb_map_int(eos, "skipped", &n) < 0)
		return 0;
	return n;
}

static int
disorder(struct cb_reader *r, const char *what)
{
	static const char *const where[] = { "between groups", "in a group",
	    "in a batch", "after eos" };

	return cb_fail(CB_EFORMAT, "%s: out of order: %s %s", r->name, what,
	    where[r->place]);
}

/* The end of a group or batch: its count tells whether a picture was lost. */
static int
check_end(struct cb_reader *r, const struct cb_msg *m)
{
	const msgpack_object *end = cb_map_get(&m->root, "end");
	int64_t n;

	if (cb_map_int(end, "pictures", &n) < 0)
		return cb_fail_at("%s: end", r->name);
	if (n != r->pictures)
		return cb_fail(CB_EFORMAT, "%s: end tells of %lld pictures, "
		    "%lld came", r->name, (long long)n,
		    (long long)r->pictures);
	return 0;
}

/* Takes m.  0: the stream is whole; -1. */
static int
finish(struct cb_reader *r, struct cb_msg *m)
{
	const msgpack_object *eos;
	char *why;
	int rc;

	r->eos = m;
	eos = cb_reader_eos(r);
	if (cb_map_get(eos, "error") != NULL &&
	    cb_map_get(eos, "error")->type != MSGPACK_OBJECT_NIL) {
		if (cb_map_text(eos, "error", &why) < 0)
			return cb_fail(CB_EFORMAT, "%s: the upstream program "
			    "gave up", r->name);
		cb_fail(CB_EFORMAT, "%s: the upstream program gave up: %s",
		    r->name, why);
		free(why);
		return -1;
	}
	if (r->place != BETWEEN)
		return disorder(r, "eos");
	r->place = AFTER;
	if ((rc = fill(r, 1)) > 0)
		return cb_fail(CB_EFORMAT, "%s: something follows eos",
		    r->name);
	return rc;
}

static int
follow(struct cb_reader *r, struct cb_msg *m)
{
	switch (cb_msg_kind(m)) {
	case CB_MSG_HEADER:
		return disorder(r, "a second header");
	case CB_MSG_GROUP:
	case CB_MSG_BATCH:
		if (r->place != BETWEEN)
			return disorder(r, cb_msg_kind(m) == CB_MSG_GROUP ?
			    "a group" : "a batch");
		r->place = cb_msg_kind(m) == CB_MSG_GROUP ? IN_GROUP :
		    IN_BATCH;
		r->pictures = 0;
		return 0;
	case CB_MSG_PICTURE:
		if (r->place != IN_GROUP && r->place != IN_BATCH)
			return disorder(r, "a picture");
		r->pictures++;
		return 0;
	case CB_MSG_END:
		if (r->place != IN_GROUP && r->place != IN_BATCH)
			return disorder(r, "an end");
		r->place = BETWEEN;
		return check_end(r, m);
	default:
		return 0;
	}
}

int
cb_reader_next(struct cb_reader *r, struct cb_msg **out)
{
	struct cb_msg *m;
	int rc;

	if (r->eos != NULL)
		return r->place == AFTER ? 0 : cb_fail(CB_EFORMAT,
		    "%s: read beyond its end", r->name);
	if ((rc = read_message(r, &m)) < 0)
		return -1;
	if (rc == 0)
		return cb_fail(CB_EFORMAT, "%s: the stream ends without eos: "
		    "the upstream program died", r->name);
	if (cb_msg_kind(m) == CB_MSG_EOS)
		return finish(r, m);
	if (follow(r, m) < 0) {
		cb_msg_free(m);
		return -1;
	}
	*out = m;
	return 1;
}
