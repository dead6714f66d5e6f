/* Private to groups: what values.c, load.c and pick.c share. */
#ifndef CB_MEDIA_GROUP_H
#define CB_MEDIA_GROUP_H

#include "media/media.h"

/* ---- values.c ------------------------------------------------------------ */

/* A plan without its draws. */
int	plan_read_general(struct cb_plan *out, const msgpack_object *plan);
/* The draws of group g, into plan->draw, yours to free. */
int	plan_draw(struct cb_plan *plan, const msgpack_object *g, uint64_t seed);

/* ---- group.c ------------------------------------------------------------- */

/* Moves a key to the end of its map. */
void	group_put_last(msgpack_object *map, const char *key);
/* The group with an error, no pictures, and its end.  0 written, and why is
 * cb_error(); -1. */
int	group_put_lost(struct cb_writer *w, struct cb_msg *group,
	    const char *why);
/* Are there so many of the n frames wanted that the medium counts as good?  If
 * not, group_not_enough() says so. */
bool	group_enough(const struct cb_plan *plan, int exact, int n);
void	group_not_enough(const char *name, int exact, int n);
/*
 * What the original refuses after decoding: pictures over five times as long
 * as wide, and a clip whose frames differ in size.  first: dimensions of the
 * first frame of the clip, set by frame 0.
 */
int	group_refuse_size(int64_t first[2], int frame, const int64_t *dim,
	    const char *name);

#endif
