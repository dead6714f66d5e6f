/*
 * Reading a stream: its header, the order of its messages, and whether it is
 * whole.  The messages themselves come from scan.c.
 */
#include <stdlib.h>
#include <unistd.h>

#include "stream/link.h"
#include "stream/source.h"

/* What may come next. */
enum place { BETWEEN, IN_GROUP, IN_BATCH, AFTER };

struct cb_reader {
	struct source from;
	struct cb_msg *header, *eos;
	enum place place;
	int64_t pictures;	/* of this group or batch, so far */
};

static int
read_header(struct cb_reader *r)
{
	struct cb_msg *m;
	int64_t version;
	int rc;

	if ((rc = scan_message(&r->from, &m)) < 0)
		return -1;
	if (rc == 0)
		return cb_fail(CB_EFORMAT, "%s: empty, not even a header: the "
		    "upstream program failed", r->from.name);
	r->header = m;
	if (cb_msg_kind(m) != CB_MSG_HEADER ||
	    cb_map_int(&m->root, "cb", &version) < 0)
		return cb_fail(CB_EFORMAT, "%s: not a cb stream", r->from.name);
	if (version != CB_STREAM_VERSION)
		return cb_fail(CB_EFORMAT, "%s: version %lld of cb-stream, "
		    "this program reads %d", r->from.name, (long long)version,
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
	if (source_open(&r->from, fd, name) < 0 || read_header(r) < 0)
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
	source_close(&r->from);
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
	peer_ask(r->from.peer, what);
}

void
cb_reader_keep(struct cb_reader *r, int64_t pictures)
{
	if (r->from.peer == NULL)
		r->from.peer = peer_alone();
	peer_keep(r->from.peer, pictures);
}

void *
cb_reader_memory(const struct cb_reader *r, int64_t *bytes)
{
	return peer_memory(r->from.peer, bytes);
}

void
cb_reader_limit(struct cb_reader *r, int64_t message_bytes)
{
	r->from.limit = message_bytes > 0 ? message_bytes : MESSAGE_MAX;
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

	return cb_fail(CB_EFORMAT, "%s: out of order: %s %s", r->from.name,
	    what, where[r->place]);
}

/* The end of a group or batch: its count tells whether a picture was lost. */
static int
check_end(struct cb_reader *r, const struct cb_msg *m)
{
	const msgpack_object *end = cb_map_get(&m->root, "end");
	int64_t n;

	if (cb_map_int(end, "pictures", &n) < 0)
		return cb_fail_at("%s: end", r->from.name);
	if (n != r->pictures)
		return cb_fail(CB_EFORMAT, "%s: end tells of %lld pictures, "
		    "%lld came", r->from.name, (long long)n,
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
			    "gave up", r->from.name);
		cb_fail(CB_EFORMAT, "%s: the upstream program gave up: %s",
		    r->from.name, why);
		free(why);
		return -1;
	}
	if (r->place != BETWEEN)
		return disorder(r, "eos");
	r->place = AFTER;
	if ((rc = source_fill(&r->from, 1)) > 0)
		return cb_fail(CB_EFORMAT, "%s: something follows eos",
		    r->from.name);
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
		    "%s: read beyond its end", r->from.name);
	if ((rc = scan_message(&r->from, &m)) < 0)
		return -1;
	if (rc == 0)
		return cb_fail(CB_EFORMAT, "%s: the stream ends without eos: "
		    "the upstream program died", r->from.name);
	if (cb_msg_kind(m) == CB_MSG_EOS)
		return finish(r, m);
	if (follow(r, m) < 0) {
		cb_msg_free(m);
		return -1;
	}
	*out = m;
	return 1;
}
