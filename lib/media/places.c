/*
 * Where media are: directories and LMDBs, searched in the order given.  A
 * directory is listed once; a medium is found by the stem of its file name.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "media/lmdb.h"

struct entry {
	char	*stem, *path;
};

struct place {
	char	*path;
	struct lmdb *lmdb;	/* NULL: a directory */
	struct entry *entries;	/* by stem */
	int	 n;
};

struct cb_places {
	struct place *at;
	int	 n;
	char	*found;		/* path of the last answer */
	struct cb_places *others;	/* each with one place, by its path */
};

/* Names of files that FFmpeg or libjpeg may read; content decides later. */
static const char *const extensions[] = {
	"3g2", "3gp", "apng", "asf", "avi", "bmp", "divx", "dv", "exr", "f4v",
	"flv", "gif", "h264", "h265", "hevc", "ico", "ivf", "j2k", "jp2", "jpe",
	"jpeg", "jpg", "jxl", "m1v", "m2ts", "m2v", "m4v", "mjpeg", "mjpg",
	"mkv", "mov", "mp4", "mpe", "mpeg", "mpg", "mts", "mxf", "nut", "obu",
	"ogg", "ogv", "pam", "pbm", "pcx", "pgm", "png", "ppm", "qt", "rm",
	"rmvb", "sgi", "tga", "tif", "tiff", "ts", "vob", "webm", "webp", "wmv",
	"y4m",
};

static const char *
base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

bool
cb_media_is_name(const char *path)
{
	const char *dot = strrchr(base_name(path), '.');
	size_t i;

	if (dot == NULL || dot == base_name(path))
		return false;
	for (i = 0; i < CB_LEN(extensions); i++)
		if (strcasecmp(dot + 1, extensions[i]) == 0)
			return true;
	return false;
}

char *
cb_media_stem(const char *path)
{
	const char *name = base_name(path), *dot = strrchr(name, '.');
	int n = dot != NULL && dot != name ? (int)(dot - name) :
	    (int)strlen(name);

	return cb_strf("%.*s", n, name);
}

int
cb_places_new(struct cb_places **out)
{
	if ((*out = calloc(1, sizeof(**out))) == NULL)
		return cb_fail(CB_ENOMEM, "places");
	return 0;
}

static void
clear_place(struct place *p)
{
	int i;

	for (i = 0; i < p->n; i++) {
		free(p->entries[i].stem);
		free(p->entries[i].path);
	}
	free(p->entries);
	lmdb_close(p->lmdb);
	free(p->path);
}

void
cb_places_free(struct cb_places *p)
{
	int i;

	if (p == NULL)
		return;
	for (i = 0; i < p->n; i++)
		clear_place(&p->at[i]);
	free(p->at);
	free(p->found);
	cb_places_free(p->others);
	free(p);
}

static int
by_stem(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	int d = strcmp(x->stem, y->stem);

	return d != 0 ? d : strcmp(x->path, y->path);
}

static int
list_directory(struct place *p)
{
	struct entry *more;
	struct dirent *e;
	int room = 0;
	DIR *d;

	if ((d = opendir(p->path)) == NULL)
		return cb_fail(CB_EIO, "%s", p->path);
	while ((e = readdir(d)) != NULL) {
		if (!cb_media_is_name(e->d_name))
			continue;
		if (p->n == room) {
			room = room > 0 ? 2 * room : 64;
			more = realloc(p->entries, sizeof(*more) * room);
			if (more == NULL) {
				closedir(d);
				return cb_fail(CB_ENOMEM, "%s", p->path);
			}
			p->entries = more;
		}
		p->entries[p->n].stem = cb_media_stem(e->d_name);
		p->entries[p->n++].path = cb_strf("%s/%s", p->path, e->d_name);
	}
	closedir(d);
	if (p->n > 0)
		qsort(p->entries, p->n, sizeof(*p->entries), by_stem);
	return 0;
}

int
cb_places_add(struct cb_places *p, const char *path)
{
	struct place *more, new = { .path = NULL };
	struct stat st;

	if (stat(path, &st) < 0)
		return cb_fail(CB_EIO, "%s", path);
	new.path = cb_strf("%s", path);
	if ((lmdb_is(path) ? lmdb_open(&new.lmdb, path) :
	    list_directory(&new)) < 0) {
		clear_place(&new);
		return -1;
	}
	if ((more = realloc(p->at, sizeof(*more) * (p->n + 1))) == NULL) {
		clear_place(&new);
		return cb_fail(CB_ENOMEM, "%s", path);
	}
	p->at = more;
	p->at[p->n++] = new;
	return 0;
}

int
cb_places_add_base(struct cb_places *p, const char *base)
{
	static const char *const under[] = {
		"", "/videos", "/images", "/media", "/../videos",
		"/../images", "/../media"
	};
	struct stat st;
	char *path;
	size_t i;
	int rc = 0;

	for (i = 0; i < CB_LEN(under) && rc == 0; i++) {
		path = cb_strf("%s%s", base, under[i]);
		if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
			rc = cb_places_add(p, path);
		free(path);
	}
	return rc;
}

static int
found_file(struct cb_places *p, const char *name, const char *path,
    struct cb_source *out)
{
	char *copy = cb_strf("%s", path);

	free(p->found);
	p->found = copy;
	memset(out, 0, sizeof(*out));
	out->name = name;
	out->path = copy;
	return 0;
}

/* 1 found, 0 not here, -1. */
static int
search(struct cb_places *p, const struct place *in, const char *name,
    struct cb_source *out)
{
	struct entry key = { .stem = NULL };
	char *file, *stem;
	int lo = 0, hi = in->n, mid, rc;

	if (in->lmdb != NULL) {
		memset(out, 0, sizeof(*out));
		out->name = name;
		rc = lmdb_get(in->lmdb, name, &out->data, &out->bytes);
		if (rc != 0 || !cb_media_is_name(name))
			return rc;
		stem = cb_media_stem(name);
		rc = lmdb_get(in->lmdb, stem, &out->data, &out->bytes);
		free(stem);
		return rc;
	}
	if (name[0] != '/') {
		file = cb_strf("%s/%s", in->path, name);
		rc = cb_media_is_name(name) && access(file, F_OK) == 0;
		if (rc == 1)
			found_file(p, name, file, out);
		free(file);
		if (rc == 1)
			return 1;
	}
	key.stem = (char *)(uintptr_t)name;
	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (strcmp(in->entries[mid].stem, key.stem) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == in->n || strcmp(in->entries[lo].stem, name) != 0)
		return 0;
	if (lo + 1 < in->n && strcmp(in->entries[lo + 1].stem, name) == 0)
		return cb_fail(CB_EFORMAT, "%s: two files have this name: %s, "
		    "%s", name, in->entries[lo].path,
		    in->entries[lo + 1].path);
	found_file(p, name, in->entries[lo].path, out);
	return 1;
}

/* The one place of this path; opened when it is first asked for. */
static struct cb_places *
other(struct cb_places *p, const char *path)
{
	struct cb_places *o;

	for (o = p->others; o != NULL; o = o->others)
		if (strcmp(o->at[0].path, path) == 0)
			return o;
	if (cb_places_new(&o) < 0)
		return NULL;
	if (cb_places_add(o, path) < 0) {
		cb_places_free(o);
		return NULL;
	}
	o->others = p->others;
	p->others = o;
	return o;
}

int
cb_places_find(struct cb_places *p, const char *place, const char *name,
    struct cb_source *out)
{
	struct stat st;
	int i, rc;

	if (place != NULL && (p = other(p, place)) == NULL)
		return -1;

	for (i = 0; i < p->n; i++)
		if ((rc = search(p, &p->at[i], name, out)) != 0)
			return rc < 0 ? -1 : 0;
	if (stat(name, &st) == 0 && !S_ISDIR(st.st_mode))
		return found_file(p, name, name, out);
	if (strchr(name, '/') != NULL || cb_media_is_name(name) || p->n == 0) {
		errno = ENOENT;
		return cb_fail(CB_EIO, "%s", name);
	}
	return cb_fail(CB_EMISSING, "%s: no medium of this name in %s%s", name,
	    p->at[0].path, p->n > 1 ? " and the other places" : "");
}

int
cb_places_each(struct cb_places *p, cb_place_fn *fn, void *arg)
{
	struct cb_source src;
	int i, k, rc = 0;

	for (i = 0; i < p->n && rc == 0; i++) {
		if (p->at[i].lmdb != NULL &&
		    (rc = lmdb_each(p->at[i].lmdb, fn, arg)) < 0)
			cb_fail_at("%s", p->at[i].path);
		for (k = 0; k < p->at[i].n && rc == 0; k++) {
			src = (struct cb_source){
			    .name = p->at[i].entries[k].stem,
			    .path = p->at[i].entries[k].path };
			rc = fn(arg, &src);
		}
	}
	return rc;
}
