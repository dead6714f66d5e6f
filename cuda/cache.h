/*
 * cache: what was once found out for some sizes, by these sizes.  Entries stay
 * where they are until cache_clear().
 */
#ifndef CB_CUDA_CACHE_H
#define CB_CUDA_CACHE_H

#include <stdbool.h>
#include <stddef.h>

struct cache_entry;

struct cache {
	size_t	 key_bytes, value_bytes;	/* set by the owner */
	struct cache_entry **slots;
	size_t	 nslots, count;
};

/*
 * The value that belongs to key: found, or new and zeroed (*found tells).  A
 * key is compared byte by byte, so its padding must be zero.  NULL: no memory,
 * and cb_fail() said so.
 */
void	*cache_get(struct cache *c, const void *key, bool *found);
/* Calls clear for every value, then forgets all. */
void	cache_clear(struct cache *c, void (*clear)(void *value));

#endif
