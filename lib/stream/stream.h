/*
 * stream: cb-stream(5), the msgpack messages between the filters.  Knows
 * messages, tensors and pipes; never what a picture shows or a text means.
 *
 * Values are msgpack-c's own struct msgpack_object.  A tensor is an object of
 * type MSGPACK_OBJECT_EXT that cb_obj_array() turns into a struct cb_array.
 */
#ifndef CB_STREAM_H
#define CB_STREAM_H

#include <msgpack.h>

#include "base/base.h"

#define CB_STREAM_VERSION 1
#define CB_EXT_TENSOR 1		/* msgpack ext type of a tensor */
#define CB_EXT_SHARED 2		/* one whose data are in memory: cb-link(7) */

/* ---- messages ---------------------------------------------------------- */

/*
 * A message: a map and all the memory it needs, which is its zone's.  `root`
 * may be changed with cb_map_set(); everything in it is valid until
 * cb_msg_free().  In memory a tensor is an ext object of type CB_EXT_TENSOR
 * whose bytes are a struct cb_array; take it apart with cb_obj_array() only.
 */
struct cb_msg {
	msgpack_zone *zone;
	msgpack_object root;	/* a map */
};

/* An empty map, to be filled with cb_map_set(). */
int	cb_msg_new(struct cb_msg **out);
void	cb_msg_free(struct cb_msg *m);

/* Value of a key, borrowed; NULL where map is NULL, no map, or has no such
 * key. */
const msgpack_object *cb_map_get(const msgpack_object *map, const char *key);

/* The map under a key of the root, to be changed in place; NULL: none. */
msgpack_object *cb_msg_map(struct cb_msg *m, const char *key);

/* Typed reads.  0: found and of that type; -1: absent or of another type, and
 * cb_fail() has said which key.  The int reader refuses what does not fit. */
int	cb_map_int(const msgpack_object *map, const char *key, int64_t *out);
int	cb_map_real(const msgpack_object *map, const char *key, double *out);
/* Text is yours to free. */
int	cb_map_text(const msgpack_object *map, const char *key, char **out);
int	cb_map_array(const msgpack_object *map, const char *key,
	    struct cb_array *out);	/* data borrowed from the message */

/* Is the object a string equal to text? */
bool	cb_obj_is(const msgpack_object *o, const char *text);
/* A tensor's array, borrowed; -1: not a tensor. */
int	cb_obj_array(const msgpack_object *o, struct cb_array *out);

/*
 * Values made in the message's zone (text is copied; an array's data is
 * borrowed and must live as long as the message).
 */
msgpack_object cb_obj_nil(void);
msgpack_object cb_obj_bool(bool v);
msgpack_object cb_obj_int(int64_t v);
msgpack_object cb_obj_real(double v);
msgpack_object cb_obj_text(struct cb_msg *m, const char *text);
msgpack_object cb_obj_map(struct cb_msg *m, int room);
msgpack_object cb_obj_list(struct cb_msg *m, int n);	/* n nils to fill */
msgpack_object cb_obj_tensor(struct cb_msg *m, const struct cb_array *a);
/* The same with the data handed over to the message (freed with it). */
msgpack_object cb_obj_tensor_take(struct cb_msg *m, struct cb_array *a);

/* Puts or replaces a key of a map that belongs to m. */
void	cb_map_set(struct cb_msg *m, msgpack_object *map, const char *key,
	    msgpack_object value);

/* A deep copy into m's zone, so that values can move between messages.
 * Tensor data is copied too. */
msgpack_object cb_obj_copy(struct cb_msg *m, const msgpack_object *o);

/* JSON both ways.  A tensor becomes {"dtype","shape","sha256"}; binary becomes
 * {"bin": bytes, "sha256"}; the JSON is yours to decref. */
json_t	*cb_obj_json(const msgpack_object *o);
msgpack_object cb_obj_from_json(struct cb_msg *m, const json_t *v);

/* ---- what kind of message ----------------------------------------------- */

enum cb_msg_kind {
	CB_MSG_HEADER,	/* {"cb": 1, ...} */
	CB_MSG_GROUP,	/* {"group": {...}} */
	CB_MSG_PICTURE,	/* {"picture": tensor, ...} */
	CB_MSG_BATCH,	/* {"batch": {...}} */
	CB_MSG_END,	/* {"end": {...}}: closes a group or a batch */
	CB_MSG_EOS,	/* {"eos": {...}} */
	CB_MSG_OTHER,	/* passed through */
};
enum cb_msg_kind cb_msg_kind(const struct cb_msg *m);

/* ---- reading -------------------------------------------------------------- */

struct cb_reader;

/*
 * Reads and checks the header.  fd is borrowed; name is for messages ("stdin").
 * Fails at once on an empty or foreign stream.
 */
int	cb_reader_open(struct cb_reader **out, int fd, const char *name);
void	cb_reader_close(struct cb_reader *r);

/* The header, valid until close; may be changed before it is passed on. */
struct cb_msg *cb_reader_header(struct cb_reader *r);

/*
 * 1: a message, yours to free.  0: eos was read and nothing follows; the
 * figures of eos are then in cb_reader_eos().  -1: damaged, cut (no eos), out
 * of order, over a cap, or the upstream gave up (eos.error): the message says
 * so.  Order is checked: group picture* end | batch picture* end | other.
 */
int	cb_reader_next(struct cb_reader *r, struct cb_msg **out);

/* The eos map, NULL before the end.  skipped: groups lost so far upstream. */
const msgpack_object *cb_reader_eos(const struct cb_reader *r);
int64_t	cb_reader_skipped(const struct cb_reader *r);

/*
 * Tells the program upstream, where the two are linked (cb-link(7)), what of
 * its work will be used, so that it can spare the rest.  It may ignore it: what
 * is read is to be taken as if nothing had been said.  Once a stream.
 */
void	cb_reader_ask(struct cb_reader *r, const json_t *what);

/*
 * So many pictures are kept at once, and their messages freed on any thread.
 * Those that come through memory (cb-link(7)) then stay where they lie, while
 * there is room, instead of being copied; without a link they are read into such
 * memory.  Before the first picture.
 */
void	cb_reader_keep(struct cb_reader *r, int64_t pictures);
/* The memory in which pictures stay, until the reader is closed and all messages
 * are freed; NULL: there is none so far. */
void	*cb_reader_memory(const struct cb_reader *r, int64_t *bytes);

/* Caps against hostile lengths; 0 keeps the default (1 GiB a message). */
void	cb_reader_limit(struct cb_reader *r, int64_t message_bytes);

/* ---- writing -------------------------------------------------------------- */

struct cb_writer;

/*
 * Starts a stream on fd.  header: an upstream header to extend (borrowed, its
 * keys and provenance are kept), or NULL to begin one.  Appends this program,
 * its version and argv to the provenance.  Refuses a terminal.
 */
int	cb_writer_open(struct cb_writer **out, int fd, struct cb_msg *header,
	    int argc, char **argv);

/* Writes one message; it stays yours.  Counts groups and batches. */
int	cb_writer_put(struct cb_writer *w, const struct cb_msg *m);

/* {"picture": a, "clip", "index", "pts"} without building a message; a's data
 * goes to the pipe uncopied. */
int	cb_writer_picture(struct cb_writer *w, const struct cb_array *a,
	    int64_t clip, int64_t index, double pts_s);

/* What the program downstream has asked for so far, else NULL; valid until
 * close.  Never waits; on any thread. */
const json_t *cb_writer_asked(struct cb_writer *w);

/* {"end": {"pictures": n, "error": error or nil}} */
int	cb_writer_end(struct cb_writer *w, int64_t pictures, const char *error);

/*
 * Writes {"eos": {"groups", "skipped", "error"}} and flushes; error NULL: all
 * is well.  Must be called before close for the stream to count as whole.
 */
int	cb_writer_eos(struct cb_writer *w, int64_t skipped, const char *error);
void	cb_writer_close(struct cb_writer *w);

#endif
