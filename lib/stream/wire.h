/*
 * Private to the stream room: how a tensor lies in a msgpack ext of type 1.
 *
 * The payload starts with a head of 64 bytes: element type (enum cb_dtype),
 * rank, six zeros, six dimensions as little-endian u64 (those beyond the rank
 * are zero), eight zeros.  The data follow, so a payload that lies on a 64-byte
 * boundary has its data on one too.
 */
#ifndef CB_STREAM_WIRE_H
#define CB_STREAM_WIRE_H

#include "stream/stream.h"

/*
 * The payload of type 2 is such a head and, as little-endian u64, where in the
 * memory of the link the data lie.  u8 tensors from WIRE_SHARE bytes on go there,
 * which is pictures: their values mean nothing to a reader, so it matters not
 * that a hostile writer could change what others have checked.
 */
#define WIRE_HEAD 64
#define WIRE_SHARED (WIRE_HEAD + 8)
#define WIRE_SHARE (64 << 10)
#define WIRE_DIMS 8		/* offset of the dimensions */

/*
 * Containers in containers.  msgpack-c's unpacker has room for 32; a writer
 * refuses what a reader would.
 */
#define WIRE_DEPTH 24

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "tensors are copied as they lie in memory, which must be little-endian"
#endif

/*
 * What a pipe should hold: with the usual 64 KiB the programs at its two ends
 * wake each other a hundred times for a picture.  Where the system does not
 * allow it, or it is no pipe, all works as well, slower.
 */
#define WIRE_PIPE (1 << 20)

/* Memory from the message's zone; aborts when there is none. */
void	*wire_zalloc(struct cb_msg *m, size_t bytes);

/* A new message whose zone is handed over. */
int	 wire_msg_wrap(struct cb_msg **out, msgpack_zone *zone,
	    msgpack_object root);

/* Is the object a string of these bytes? */
bool	 wire_is(const msgpack_object *o, const char *text, size_t n);

#endif
