/*
 * LMDBs in ClipBERT's layout: key = stem of the file name, value = bytes of the
 * file.  Reading hands out pointers into the map; writing (cb-pack) starts with
 * a small map and doubles it whenever it is full.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "media/lmdb.h"

#define MAP_START ((size_t)16 << 20)
#define COMMIT_BYTES ((int64_t)64 << 20)	/* lost at most when killed */
#define FILE_MAX ((int64_t)0x7fffffff)	/* LMDB's limit is just above */

/* LMDB's status to cb_fail(); MDB_NOTFOUND and MDB_MAP_FULL are for callers. */
static int
lmdb(int status, const char *where)
{
	if (status == 0)
		return 0;
	if (status == ENOMEM)
		return cb_fail(CB_ENOMEM, "%s", where);
	errno = status;
	if (status > 0)
		return cb_fail(CB_EIO, "%s", where);
	return cb_fail(CB_EFORMAT, "%s: %s", where, mdb_strerror(status));
}

/* ---- reading --------------------------------------------------------------- */

bool
lmdb_is(const char *path)
{
	char *data = cb_strf("%s/data.mdb", path);
	struct stat st;
	bool yes;

	yes = stat(data, &st) == 0 || (stat(path, &st) == 0 &&
	    S_ISREG(st.st_mode));
	free(data);
	return yes;
}

/*
 * Without a lock file, which may lie where nobody may write; values that were
 * committed stay as they are while the one read transaction is open only if no
 * writer is at work, so cb-decode must not read what cb-pack still packs.
 */
int
lmdb_open(struct lmdb **out, const char *path)
{
	unsigned flags = MDB_RDONLY | MDB_NOLOCK | MDB_NOTLS;
	struct stat st;
	struct lmdb *l;

	if ((l = calloc(1, sizeof(*l))) == NULL)
		return cb_fail(CB_ENOMEM, "%s", path);
	if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode))
		flags |= MDB_NOSUBDIR;
	if (lmdb(mdb_env_create(&l->env), path) < 0 ||
	    lmdb(mdb_env_open(l->env, path, flags, 0644), path) < 0 ||
	    lmdb(mdb_txn_begin(l->env, NULL, MDB_RDONLY, &l->txn), path) < 0 ||
	    lmdb(mdb_dbi_open(l->txn, NULL, 0, &l->dbi), path) < 0) {
		lmdb_close(l);
		return -1;
	}
	*out = l;
	return 0;
}

void
lmdb_close(struct lmdb *l)
{
	if (l == NULL)
		return;
	if (l->txn != NULL)
		mdb_txn_abort(l->txn);
	if (l->env != NULL)
		mdb_env_close(l->env);
	free(l);
}

int
lmdb_get(struct lmdb *l, const char *key, const void **data, int64_t *bytes)
{
	MDB_val k = { strlen(key), (void *)(uintptr_t)key }, v;
	int rc;

	if (k.mv_size == 0 ||
	    k.mv_size > (size_t)mdb_env_get_maxkeysize(l->env))
		return 0;
	rc = mdb_get(l->txn, l->dbi, &k, &v);
	if (rc == MDB_NOTFOUND)
		return 0;
	if (lmdb(rc, key) < 0)
		return -1;
	*data = v.mv_data;
	*bytes = (int64_t)v.mv_size;
	return 1;
}

int
lmdb_each(struct lmdb *l, cb_place_fn *fn, void *arg)
{
	struct cb_source src = { .path = NULL };
	MDB_cursor *c;
	MDB_val k, v;
	char *name;
	int rc, stop = 0;

	if (lmdb(mdb_cursor_open(l->txn, l->dbi, &c), "LMDB") < 0)
		return -1;
	while (stop == 0 && (rc = mdb_cursor_get(c, &k, &v, MDB_NEXT)) == 0) {
		name = cb_strf("%.*s", (int)k.mv_size, (char *)k.mv_data);
		src.name = name;
		src.data = v.mv_data;
		src.bytes = (int64_t)v.mv_size;
		stop = fn(arg, &src);
		free(name);
	}
	mdb_cursor_close(c);
	return stop != 0 ? stop : rc == MDB_NOTFOUND ? 0 : lmdb(rc, "LMDB");
}

/* ---- writing ---------------------------------------------------------------- */

/*
 * Puts that are not committed yet are kept as paths of files: when the map is
 * full the transaction is lost, and they are put again into the larger map.
 */
struct cb_pack {
	char	*path;
	MDB_env	*env;
	MDB_txn	*txn;
	MDB_dbi	 dbi;
	struct cb_strs waiting;	/* own copies of paths */
	bool	 broken;	/* the database failed, not a file */
	int64_t	 waiting_bytes;
};

static int
begin(struct cb_pack *p)
{
	if (p->txn != NULL)
		return 0;
	if (lmdb(mdb_txn_begin(p->env, NULL, 0, &p->txn), p->path) < 0) {
		p->txn = NULL;
		return -1;
	}
	return lmdb(mdb_dbi_open(p->txn, NULL, 0, &p->dbi), p->path);
}

static void
forget(struct cb_pack *p)
{
	while (p->waiting.n > 0)
		free((void *)(uintptr_t)p->waiting.at[--p->waiting.n]);
	p->waiting_bytes = 0;
}

int
cb_pack_open(struct cb_pack **out, const char *path)
{
	struct cb_pack *p;
	int dead;

	if ((p = calloc(1, sizeof(*p))) == NULL)
		return cb_fail(CB_ENOMEM, "%s", path);
	p->path = cb_strf("%s", path);
	if (cb_mkdirs(path) < 0)
		goto bad;
	if (lmdb(mdb_env_create(&p->env), path) < 0 ||
	    lmdb(mdb_env_set_mapsize(p->env, MAP_START), path) < 0 ||
	    lmdb(mdb_env_open(p->env, path, MDB_NORDAHEAD, 0644), path) < 0)
		goto bad;
	mdb_reader_check(p->env, &dead);
	if (begin(p) < 0)
		goto bad;
	*out = p;
	return 0;
bad:
	cb_pack_abandon(p);
	return -1;
}

/* One file into the open transaction: 0, or LMDB's status. */
static int
put(struct cb_pack *p, const char *file, const char *text, int64_t bytes)
{
	char *stem = cb_media_stem(file);
	MDB_val k = { strlen(stem), stem };
	MDB_val v = { bytes, (void *)(uintptr_t)text };
	int rc = mdb_put(p->txn, p->dbi, &k, &v, 0);

	free(stem);
	return rc;
}

static int
grow(struct cb_pack *p)
{
	MDB_envinfo info;

	if (p->txn != NULL)
		mdb_txn_abort(p->txn);
	p->txn = NULL;
	mdb_env_info(p->env, &info);
	if (lmdb(mdb_env_set_mapsize(p->env, 2 * info.me_mapsize),
	    p->path) < 0)
		return -1;
	return begin(p);
}

/* Puts the waiting files once more, and grows until they fit. */
static int
put_waiting(struct cb_pack *p)
{
	int64_t bytes;
	char *text;
	int i, rc;

	for (i = 0; i < p->waiting.n; i++) {
		if (cb_file_read(&text, &bytes, p->waiting.at[i],
		    FILE_MAX) < 0)
			return -1;
		rc = put(p, p->waiting.at[i], text, bytes);
		free(text);
		if (rc == MDB_MAP_FULL) {
			if (grow(p) < 0)
				return -1;
			i = -1;
		} else if (lmdb(rc, p->waiting.at[i]) < 0) {
			return -1;
		}
	}
	return 0;
}

static int
commit(struct cb_pack *p)
{
	int rc;

	while (p->txn != NULL) {
		rc = mdb_txn_commit(p->txn);
		p->txn = NULL;
		if (rc == 0)
			break;
		if (rc != MDB_MAP_FULL)
			return lmdb(rc, p->path);
		if (grow(p) < 0 || put_waiting(p) < 0)
			return -1;
	}
	forget(p);
	return 0;
}

static int
wait_for(struct cb_pack *p, const char *file, int64_t bytes)
{
	const char **more = realloc(p->waiting.at,
	    sizeof(*more) * (p->waiting.n + 1));

	if (more == NULL)
		return cb_fail(CB_ENOMEM, "%s", file);
	p->waiting.at = more;
	p->waiting.at[p->waiting.n++] = cb_strf("%s", file);
	p->waiting_bytes += bytes;
	return 0;
}

int
cb_pack_put(struct cb_pack *p, const char *file, enum cb_packed *what)
{
	char *stem = cb_media_stem(file), *text = NULL;
	MDB_val k = { strlen(stem), stem }, old;
	int64_t bytes;
	int rc = -1, found;

	if (k.mv_size == 0 ||
	    k.mv_size > (size_t)mdb_env_get_maxkeysize(p->env)) {
		cb_fail(CB_ELIMIT, "%s: stem of %zu bytes (a key has 1 to %d)",
		    file, k.mv_size, mdb_env_get_maxkeysize(p->env));
		goto done;
	}
	if (cb_file_read(&text, &bytes, file, FILE_MAX) < 0)
		goto done;
	p->broken = true;	/* until the end is reached */
	if (begin(p) < 0)
		goto done;
	found = mdb_get(p->txn, p->dbi, &k, &old);
	if (found != MDB_NOTFOUND && lmdb(found, p->path) < 0)
		goto done;
	*what = found == MDB_NOTFOUND ? CB_PACK_NEW :
	    (int64_t)old.mv_size == bytes &&
	    memcmp(old.mv_data, text, bytes) == 0 ? CB_PACK_SAME :
	    CB_PACK_CHANGED;
	if (*what == CB_PACK_SAME) {
		p->broken = false;
		rc = 0;
		goto done;
	}
	if (wait_for(p, file, bytes) < 0)
		goto done;
	rc = put(p, file, text, bytes);
	if (rc == MDB_MAP_FULL)
		rc = grow(p) < 0 ? -1 : put_waiting(p);
	else
		rc = lmdb(rc, file);
	if (rc == 0 && p->waiting_bytes > COMMIT_BYTES)
		rc = commit(p) < 0 ? -1 : begin(p);
	p->broken = rc < 0;
done:
	free(text);
	free(stem);
	return rc;
}

bool
cb_pack_whole(const struct cb_pack *p)
{
	return !p->broken;
}

int
cb_pack_close(struct cb_pack *p)
{
	int rc = p != NULL ? commit(p) : 0;

	cb_pack_abandon(p);
	return rc;
}

void
cb_pack_abandon(struct cb_pack *p)
{
	if (p == NULL)
		return;
	if (p->txn != NULL)
		mdb_txn_abort(p->txn);
	forget(p);
	free(p->waiting.at);
	if (p->env != NULL)
		mdb_env_close(p->env);
	free(p->path);
	free(p);
}
