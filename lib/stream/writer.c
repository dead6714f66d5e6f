/*
 * Writing a stream.  msgpack-c packs into a buffer; data of a large tensor go
 * to the descriptor straight from where they lie, the buffer before them in the
 * same writev(), or through memory where the two are linked.  The buffer is
 * flushed behind every group and batch, so that a filter downstream never waits
 * for work that is done.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "stream/link.h"
#include "stream/wire.h"

#define BUFFER (64 << 10)
#define BORROW (4 << 10)	/* data from this size on are not copied */

struct cb_writer {
	int fd;
	struct link *link;	/* NULL: none can be */
	char *buffer;
	size_t have;
	msgpack_packer pack;
	bool failed;		/* the descriptor refused: say it once */
	bool due;		/* a picture is in memory, its message here */
	int64_t groups;
};

/* ---- bytes -------------------------------------------------------------- */

/* What is in the buffer, then n bytes of data. */
static int
flush_with(struct cb_writer *w, const char *data, size_t n)
{
	struct iovec v[2] = { { w->buffer, w->have }, { (void *)data, n } };
	size_t k;
	ssize_t put;

	while (v[0].iov_len + v[1].iov_len > 0) {
		put = v[1].iov_len > 0 ? writev(w->fd, v, 2) :
		    write(w->fd, v[0].iov_base, v[0].iov_len);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0) {
			w->failed = true;
			return cb_fail(CB_EIO, "writing the stream");
		}
		k = (size_t)put < v[0].iov_len ? (size_t)put : v[0].iov_len;
		v[0].iov_base = (char *)v[0].iov_base + k;
		v[0].iov_len -= k;
		if ((k = (size_t)put - k) == 0)
			continue;
		v[1].iov_base = (char *)v[1].iov_base + k;
		v[1].iov_len -= k;
	}
	w->have = 0;
	return 0;
}

/* The callback of msgpack-c's packer. */
static int
put_bytes(void *arg, const char *p, size_t n)
{
	struct cb_writer *w = arg;

	if (w->have + n > BUFFER || n >= BORROW)
		return flush_with(w, p, n);
	memcpy(w->buffer + w->have, p, n);
	w->have += n;
	return 0;
}

/* ---- values ------------------------------------------------------------- */

/*
 * Looks before anything is written, so that a message which cannot be does not
 * leave half of itself in the stream.
 */
static int
check(const msgpack_object *o, int depth)
{
	struct cb_array a;
	uint32_t i;

	if (o->type == MSGPACK_OBJECT_EXT && cb_obj_array(o, &a) == 0 &&
	    cb_array_bytes(&a) > (int64_t)UINT32_MAX - WIRE_HEAD)
		return cb_fail(CB_ELIMIT, "a tensor of %lld bytes does not "
		    "fit into a message", (long long)cb_array_bytes(&a));
	if (o->type != MSGPACK_OBJECT_ARRAY && o->type != MSGPACK_OBJECT_MAP)
		return 0;
	if (depth > WIRE_DEPTH)
		return cb_fail(CB_ELIMIT, "a message is nested deeper than %d",
		    WIRE_DEPTH);
	if (o->type == MSGPACK_OBJECT_ARRAY) {
		for (i = 0; i < o->via.array.size; i++)
			if (check(&o->via.array.ptr[i], depth + 1) < 0)
				return -1;
		return 0;
	}
	for (i = 0; i < o->via.map.size; i++)
		if (check(&o->via.map.ptr[i].key, depth + 1) < 0 ||
		    check(&o->via.map.ptr[i].val, depth + 1) < 0)
			return -1;
	return 0;
}

/* 1: the data are in the memory of the link; 0: they go through the pipe. */
static int
share(struct cb_writer *w, int64_t *at, const struct cb_array *a,
    int64_t bytes)
{
	if (a->type != CB_U8 || bytes < WIRE_SHARE)
		return 0;
	while ((*at = link_put(w->link, a->data, bytes)) == -1) {
		if (flush_with(w, NULL, 0) < 0)
			return -1;
		if (!link_wait(w->link))
			return 0;
	}
	w->due = *at >= 0;
	return *at >= 0;
}

static int
pack_tensor(struct cb_writer *w, const struct cb_array *a)
{
	unsigned char head[WIRE_SHARED] = { 0 };
	int64_t bytes = cb_array_bytes(a), at;
	int shared;

	head[0] = (unsigned char)a->type;
	head[1] = (unsigned char)a->rank;
	memcpy(head + WIRE_DIMS, a->dim, sizeof(*a->dim) * (size_t)a->rank);
	if ((shared = share(w, &at, a, bytes)) < 0)
		return -1;
	if (shared > 0) {
		memcpy(head + WIRE_HEAD, &at, sizeof(at));
		return msgpack_pack_ext(&w->pack, WIRE_SHARED,
		    CB_EXT_SHARED) != 0 ? -1 :
		    msgpack_pack_ext_body(&w->pack, head, WIRE_SHARED);
	}
	if (msgpack_pack_ext(&w->pack, (size_t)bytes + WIRE_HEAD,
	    CB_EXT_TENSOR) != 0 ||
	    msgpack_pack_ext_body(&w->pack, head, WIRE_HEAD) != 0)
		return -1;
	return bytes == 0 ? 0 :
	    msgpack_pack_ext_body(&w->pack, a->data, (size_t)bytes);
}

/* -1: the descriptor refused, flush_with() has said why. */
static int
pack(struct cb_writer *w, const msgpack_object *o)
{
	struct cb_array a;
	uint32_t i;

	switch (o->type) {
	case MSGPACK_OBJECT_EXT:
		if (cb_obj_array(o, &a) == 0)
			return pack_tensor(w, &a);
		return msgpack_pack_object(&w->pack, *o);
	case MSGPACK_OBJECT_ARRAY:
		if (msgpack_pack_array(&w->pack, o->via.array.size) != 0)
			return -1;
		for (i = 0; i < o->via.array.size; i++)
			if (pack(w, &o->via.array.ptr[i]) < 0)
				return -1;
		return 0;
	case MSGPACK_OBJECT_MAP:
		if (msgpack_pack_map(&w->pack, o->via.map.size) != 0)
			return -1;
		for (i = 0; i < o->via.map.size; i++)
			if (pack(w, &o->via.map.ptr[i].key) < 0 ||
			    pack(w, &o->via.map.ptr[i].val) < 0)
				return -1;
		return 0;
	default:
		return msgpack_pack_object(&w->pack, *o);
	}
}

static void
pack_text(struct cb_writer *w, const char *s)
{
	size_t n = strlen(s);

	msgpack_pack_str(&w->pack, n);
	msgpack_pack_str_body(&w->pack, s, n);
}

static void
pack_why(struct cb_writer *w, const char *error)
{
	pack_text(w, "error");
	if (error == NULL)
		msgpack_pack_nil(&w->pack);
	else
		pack_text(w, error);
}

/* ---- the header --------------------------------------------------------- */

/* {"program", "version", "args": [...]} behind the entries so far. */
static msgpack_object
provenance(struct cb_msg *m, const msgpack_object *so_far, int argc,
    char **argv)
{
	msgpack_object me = cb_obj_map(m, 3), args, list;
	int i, n = 0;

	args = cb_obj_list(m, argc > 1 ? argc - 1 : 0);
	for (i = 1; i < argc; i++)
		args.via.array.ptr[i - 1] = cb_obj_text(m, argv[i]);
	cb_map_set(m, &me, "program", cb_obj_text(m, cb_program()));
	cb_map_set(m, &me, "version", cb_obj_text(m, CB_VERSION));
	cb_map_set(m, &me, "args", args);
	if (so_far != NULL && so_far->type == MSGPACK_OBJECT_ARRAY)
		n = (int)so_far->via.array.size;
	list = cb_obj_list(m, n + 1);
	for (i = 0; i < n; i++)
		list.via.array.ptr[i] = so_far->via.array.ptr[i];
	list.via.array.ptr[n] = me;
	return list;
}

/* The upstream's keys other than those that this program writes anew. */
static void
add_rest(struct cb_msg *m, const msgpack_object_map *from)
{
	msgpack_object_map *to = &m->root.via.map;
	msgpack_object_kv *kv;
	uint32_t i;

	kv = wire_zalloc(m, sizeof(*kv) * ((size_t)to->size + from->size));
	memcpy(kv, to->ptr, sizeof(*kv) * to->size);
	to->ptr = kv;
	for (i = 0; i < from->size; i++) {
		if (cb_obj_is(&from->ptr[i].key, "cb") ||
		    cb_obj_is(&from->ptr[i].key, "by") ||
		    cb_obj_is(&from->ptr[i].key, "provenance"))
			continue;
		to->ptr[to->size++] = from->ptr[i];
	}
}

static int
put_header(struct cb_writer *w, const struct cb_msg *header, int argc,
    char **argv)
{
	struct cb_msg *m;
	char *by;
	int rc = -1;

	if (cb_msg_new(&m) < 0)
		return -1;
	by = cb_strf("%s %s", cb_program(), CB_VERSION);
	cb_map_set(m, &m->root, "cb", cb_obj_int(CB_STREAM_VERSION));
	cb_map_set(m, &m->root, "by", cb_obj_text(m, by));
	cb_map_set(m, &m->root, "provenance", provenance(m, header == NULL ?
	    NULL : cb_map_get(&header->root, "provenance"), argc, argv));
	free(by);
	if (header != NULL)
		add_rest(m, &header->root.via.map);
	if (check(&m->root, 1) == 0 && pack(w, &m->root) == 0)
		rc = flush_with(w, NULL, 0);
	cb_msg_free(m);
	return rc;
}

int
cb_writer_open(struct cb_writer **out, int fd, struct cb_msg *header,
    int argc, char **argv)
{
	struct cb_writer *w;
	int rc = -1;

	if (isatty(fd))
		return cb_fail(CB_EUSAGE, "a stream is binary data and is not "
		    "written to a terminal; use a pipe or a file");
	if ((w = calloc(1, sizeof(*w))) == NULL ||
	    (w->buffer = malloc(BUFFER)) == NULL) {
		cb_fail(CB_ENOMEM, "writing the stream");
		goto done;
	}
	w->fd = fd;
	fcntl(fd, F_SETPIPE_SZ, WIRE_PIPE);
	msgpack_packer_init(&w->pack, w, put_bytes);
	w->link = link_listen(fd);	/* a reader of the header finds it */
	if (put_header(w, header, argc, argv) < 0)
		goto done;
	*out = w;
	w = NULL;
	rc = 0;
done:
	cb_writer_close(w);
	return rc;
}

/* ---- messages ----------------------------------------------------------- */

/* What a message that is packed leaves to be done. */
static int
put_end(struct cb_writer *w, bool flush)
{
	if (w->failed)
		return -1;		/* cb_error() still says why */
	if (!flush && !w->due)
		return 0;
	w->due = false;
	return flush_with(w, NULL, 0);
}

int
cb_writer_put(struct cb_writer *w, const struct cb_msg *m)
{
	enum cb_msg_kind kind = cb_msg_kind(m);

	if (check(&m->root, 1) < 0 || pack(w, &m->root) < 0)
		return -1;
	w->groups += kind == CB_MSG_GROUP || kind == CB_MSG_BATCH;
	return put_end(w, kind == CB_MSG_END);
}

int
cb_writer_picture(struct cb_writer *w, const struct cb_array *a,
    int64_t clip, int64_t index, double pts_s)
{
	msgpack_object o = { .type = MSGPACK_OBJECT_EXT };

	o.via.ext.type = CB_EXT_TENSOR;
	o.via.ext.size = sizeof(*a);
	o.via.ext.ptr = (const char *)a;
	if (check(&o, 1) < 0)
		return -1;
	msgpack_pack_map(&w->pack, 4);
	pack_text(w, "picture");
	if (pack_tensor(w, a) < 0)
		return -1;
	pack_text(w, "clip");
	msgpack_pack_int64(&w->pack, clip);
	pack_text(w, "index");
	msgpack_pack_int64(&w->pack, index);
	pack_text(w, "pts");
	msgpack_pack_double(&w->pack, pts_s);
	return put_end(w, false);
}

const json_t *
cb_writer_asked(struct cb_writer *w)
{
	return link_asked(w->link);
}

int
cb_writer_end(struct cb_writer *w, int64_t pictures, const char *error)
{
	msgpack_pack_map(&w->pack, 1);
	pack_text(w, "end");
	msgpack_pack_map(&w->pack, 2);
	pack_text(w, "pictures");
	msgpack_pack_int64(&w->pack, pictures);
	pack_why(w, error);
	return flush_with(w, NULL, 0);
}

int
cb_writer_eos(struct cb_writer *w, int64_t skipped, const char *error)
{
	if (w->failed)
		return -1;
	msgpack_pack_map(&w->pack, 1);
	pack_text(w, "eos");
	msgpack_pack_map(&w->pack, 3);
	pack_text(w, "groups");
	msgpack_pack_int64(&w->pack, w->groups);
	pack_text(w, "skipped");
	msgpack_pack_int64(&w->pack, skipped);
	pack_why(w, error);
	return flush_with(w, NULL, 0);
}

void
cb_writer_close(struct cb_writer *w)
{
	if (w == NULL)
		return;
	link_close(w->link);
	free(w->buffer);
	free(w);
}
