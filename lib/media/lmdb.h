/* Private to the media room: reading an LMDB. */
#ifndef CB_MEDIA_LMDB_H
#define CB_MEDIA_LMDB_H

#include <lmdb.h>

#include "media/media.h"

struct lmdb {
	MDB_env	*env;
	MDB_txn	*txn;
	MDB_dbi	 dbi;
};

/* Is the path a directory with data.mdb, or a file that may be an LMDB? */
bool	lmdb_is(const char *path);
int	lmdb_open(struct lmdb **out, const char *path);
void	lmdb_close(struct lmdb *l);
/* 1: *data points into the map until lmdb_close(); 0: no such key; -1. */
int	lmdb_get(struct lmdb *l, const char *key, const void **data,
	    int64_t *bytes);


/* Every key in turn, the name valid during the call, the bytes as above.  What
 * fn gives, when it is not 0, ends it; -1 too where the tree is damaged. */
int	lmdb_each(struct lmdb *l, cb_place_fn *fn, void *arg);

#endif
