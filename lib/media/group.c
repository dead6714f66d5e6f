/*
 * Groups of the stream: what both orders of cb-decode and cb-sample have to write
 * or refuse in the same way.  The keys kind, info, error, plan stand at the end
 * of a group in this order.
 */
#include <stdlib.h>
#include <string.h>

#include "media/group.h"

void
group_put_last(msgpack_object *map, const char *key)
{
	msgpack_object_kv kv;
	uint32_t i;

	for (i = 0; i < map->via.map.size; i++) {
		if (!cb_obj_is(&map->via.map.ptr[i].key, key))
			continue;
		kv = map->via.map.ptr[i];
		memmove(map->via.map.ptr + i, map->via.map.ptr + i + 1,
		    sizeof(kv) * (map->via.map.size - i - 1));
		map->via.map.ptr[map->via.map.size - 1] = kv;
		return;
	}
}

int
group_put_lost(struct cb_writer *w, struct cb_msg *group, const char *why)
{
	msgpack_object *g = cb_msg_map(group, "group");
	char *text = cb_strf("%s", why);	/* outlives cb_error() */
	int rc;

	cb_map_set(group, g, "error", cb_obj_text(group, text));
	group_put_last(g, "error");
	group_put_last(g, "plan");
	rc = cb_writer_put(w, group) < 0 || cb_writer_end(w, 0, text) < 0 ?
	    -1 : 0;
	if (rc == 0)
		cb_fail(CB_EFORMAT, "%s", text);
	free(text);
	return rc;
}

void
group_not_enough(const char *name, int exact, int n)
{
	cb_fail(CB_EFORMAT, "%s: only %d of %d frames wanted could be decoded",
	    name, exact, n);
}

/* The original wants all of its frames; we make do with half. */
bool
group_enough(const struct cb_plan *plan, int exact, int n)
{
	return plan->original ? exact == n : cb_picker_enough(exact, n);
}

int
group_refuse_size(int64_t first[2], int frame, const int64_t *dim,
    const char *name)
{
	int64_t h = dim[0], w = dim[1];

	if (w > 5 * h || h > 5 * w)
		return cb_fail(CB_EFORMAT, "%s: %lld x %lld is over 5 to 1 "
		    "(--compat clipbert)", name, (long long)w, (long long)h);
	if (frame == 0) {
		first[0] = h;
		first[1] = w;
	} else if (first[0] != h || first[1] != w) {
		return cb_fail(CB_EFORMAT, "%s: the size changes within a "
		    "clip (--compat clipbert)", name);
	}
	return 0;
}
