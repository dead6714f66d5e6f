/*
 * Messages out of a stream that may be damaged or hostile.
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
#include <stdlib.h>
#include <string.h>

#include "stream/link.h"
#include "stream/source.h"
#include "stream/wire.h"

#define GROW_FROM ((int64_t)64 << 20)	/* larger tensors grow as they come */

/*
 * Values in one message: msgpack-c spends up to 48 bytes on a value that takes
 * one byte in the stream.
 */
#define VALUES_MAX ((int64_t)4 << 20)

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

/* ---- the text ----------------------------------------------------------- */

/* Holds n more bytes of the message against the cap. */
static int
count(struct source *r, struct scan *s, int64_t n)
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
keep_body(struct source *r, struct scan *s, int64_t n)
{
	int64_t k;

	while (n > 0) {
		if (source_need(r, 1) < 0)
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
parse_head(struct source *r, struct cb_array *a, int64_t *bytes)
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
room_for(struct source *r, int64_t n)
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

/* Aligned memory with n bytes of the stream; yours to free. */
static int
read_data(struct source *r, void **out, int64_t n)
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
		if (source_copy(r, p + have, room - have) < 0) {
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
read_kept(struct source *r, struct scan *s, struct cb_array *a,
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
	if (source_copy(r, a->data, bytes) < 0) {
		give_back(l);
		return -1;
	}
	return keep_tensor(s, a, give_back, l) < 0 ? -1 : 1;
}

/* The payload of a tensor, n counted bytes. */
static int
scan_tensor(struct source *r, struct scan *s, int64_t n)
{
	struct cb_array a;
	int64_t bytes;
	bool picture;
	int rc;

	if (n < WIRE_HEAD)
		return cb_fail(CB_EFORMAT, "%s: a tensor of %lld bytes, less "
		    "than its head", r->name, (long long)n);
	if (source_need(r, WIRE_HEAD) < 0 || parse_head(r, &a, &bytes) < 0)
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
keep_shared(struct source *r, struct scan *s, struct cb_array *a,
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
scan_shared(struct source *r, struct scan *s, int64_t n)
{
	struct cb_array a;
	int64_t bytes, at;

	if (n != WIRE_SHARED)
		return cb_fail(CB_EFORMAT, "%s: a tensor in shared memory, "
		    "told in %lld bytes", r->name, (long long)n);
	if (source_need(r, WIRE_SHARED) < 0 || parse_head(r, &a, &bytes) < 0 ||
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
descend(struct source *r, struct scan *s, int64_t n)
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
take(struct source *r, struct scan *s, int size, int64_t n)
{
	if (count(r, s, size + n) < 0 || keep_body(r, s, size) < 0)
		return -1;
	return keep_body(r, s, n);
}

static int
take_ext(struct source *r, struct scan *s, int size, int64_t n)
{
	int type;

	if (source_need(r, (size_t)size) < 0)
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
take_container(struct source *r, struct scan *s, int size, int64_t n)
{
	return take(r, s, size, 0) < 0 ? -1 : descend(r, s, n);
}

/* One token; the table of formats is msgpack's own specification. */
static int
scan_token(struct source *r, struct scan *s)
{
	static const int number[] = { 5, 9, 2, 3, 5, 9, 2, 3, 5, 9 };
	const unsigned char *p;
	int c, k;

	if (source_need(r, 1) < 0)
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
	if (source_need(r, (size_t)k + 1) < 0)
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
scan(struct source *r, struct scan *s)
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
unpack(struct source *r, struct scan *s, struct cb_msg **out)
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

int
scan_message(struct source *r, struct cb_msg **out)
{
	struct scan s = { 0 };
	int rc;

	if ((rc = source_fill(r, 1)) <= 0)
		return rc;
	if (!is_map(r->buffer[r->at]))
		return cb_fail(CB_EFORMAT, r->begun ?
		    "%s: damaged: a message that is not a map" :
		    "%s: not a cb stream", r->name);
	if ((s.zone = msgpack_zone_new(64)) == NULL)
		return cb_fail(CB_ENOMEM, "message");
	rc = -1;
	if (scan(r, &s) == 0 && unpack(r, &s, out) == 0) {
		rc = 1;
		r->begun = true;
	}
	free(s.text);
	if (s.zone != NULL)
		msgpack_zone_free(s.zone);
	return rc;
}
