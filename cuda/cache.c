/* A hash table of chains; see cache.h. */
#include <stdalign.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "cache.h"

struct cache_entry {
	struct cache_entry *next;
	uint64_t hash;
	alignas(16) unsigned char bytes[];	/* the value, then the key */
};

/* FNV-1a. */
static uint64_t
hash_of(const unsigned char *p, size_t n)
{
	uint64_t h = 0xcbf29ce484222325;

	while (n-- > 0)
		h = (h ^ *p++) * 0x100000001b3;
	return h;
}

static int
grow(struct cache *c)
{
	size_t n = c->nslots == 0 ? 64 : 2 * c->nslots, i;
	struct cache_entry **slots = calloc(n, sizeof(*slots)), *e, *next;

	if (slots == NULL)
		return -1;
	for (i = 0; i < c->nslots; i++)
		for (e = c->slots[i]; e != NULL; e = next) {
			next = e->next;
			e->next = slots[e->hash % n];
			slots[e->hash % n] = e;
		}
	free(c->slots);
	c->slots = slots;
	c->nslots = n;
	return 0;
}

void *
cache_get(struct cache *c, const void *key, bool *found)
{
	uint64_t h = hash_of(key, c->key_bytes);
	struct cache_entry *e;

	*found = true;
	for (e = c->nslots > 0 ? c->slots[h % c->nslots] : NULL; e != NULL;
	    e = e->next)
		if (e->hash == h && memcmp(e->bytes + c->value_bytes, key,
		    c->key_bytes) == 0)
			return e->bytes;
	*found = false;
	if ((c->count >= c->nslots && grow(c) < 0) || (e = calloc(1,
	    sizeof(*e) + c->value_bytes + c->key_bytes)) == NULL) {
		cb_fail(CB_ENOMEM, "plans");
		return NULL;
	}
	e->hash = h;
	memcpy(e->bytes + c->value_bytes, key, c->key_bytes);
	e->next = c->slots[h % c->nslots];
	c->slots[h % c->nslots] = e;
	c->count++;
	return e->bytes;
}

void
cache_clear(struct cache *c, void (*clear)(void *value))
{
	struct cache_entry *e, *next;
	size_t i;

	for (i = 0; i < c->nslots; i++)
		for (e = c->slots[i]; e != NULL; e = next) {
			next = e->next;
			clear(e->bytes);
			free(e);
		}
	free(c->slots);
	c->slots = NULL;
	c->nslots = c->count = 0;
}
