/* cb-pack: media files into an LMDB, the stem of the name as the key. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "media/media.h"

struct item {
	char	*stem, *path;
};

struct items {
	struct item *at;
	int	 n;
	int64_t	 bad;
};

static void
add(struct items *l, char *path)
{
	l->at = realloc(l->at, sizeof(*l->at) * (l->n + 1));
	if (l->at == NULL)
		abort();
	l->at[l->n].stem = cb_media_stem(path);
	l->at[l->n++].path = path;
}

/* A file as named; of a directory the media files. */
static void
collect(struct items *l, const char *path)
{
	struct dirent *e;
	struct stat st;
	DIR *d;

	if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode)) {
		add(l, cb_strf("%s", path));
		return;
	}
	if ((d = opendir(path)) == NULL) {
		cb_fail(CB_EIO, "%s", path);
		cb_warn("%s", cb_error());
		l->bad++;
		return;
	}
	while ((e = readdir(d)) != NULL)
		if (cb_media_is_name(e->d_name))
			add(l, cb_strf("%s/%s", path, e->d_name));
	closedir(d);
}

static int
by_stem(const void *a, const void *b)
{
	const struct item *x = a, *y = b;
	int c = strcmp(x->stem, y->stem);

	return c != 0 ? c : strcmp(x->path, y->path);
}

/* Files of the same stem would overwrite each other. */
static int
check_stems(const struct items *l)
{
	int i;

	for (i = 1; i < l->n; i++)
		if (strcmp(l->at[i].stem, l->at[i - 1].stem) == 0)
			return cb_fail(CB_EFORMAT, "two files with the stem "
			    "%s: %s, %s", l->at[i].stem, l->at[i - 1].path,
			    l->at[i].path);
	return 0;
}

static int
pack(struct items *l, const char *to, int64_t count[3])
{
	enum cb_packed what;
	struct cb_pack *p;
	struct stat st;
	int i;

	if (cb_pack_open(&p, to) < 0)
		return -1;
	for (i = 0; i < l->n; i++) {
		cb_progress("file %d of %d", i + 1, l->n);
		if (stat(l->at[i].path, &st) == 0 && S_ISREG(st.st_mode) &&
		    st.st_size == 0) {
			cb_warn("%s: is empty", l->at[i].path);
			l->bad++;
		} else if (cb_pack_put(p, l->at[i].path, &what) == 0) {
			count[what]++;
		} else if (cb_pack_whole(p)) {
			cb_warn("%s", cb_error());
			l->bad++;
		} else {
			cb_pack_abandon(p);
			return -1;
		}
	}
	cb_progress_end();
	return cb_pack_close(p);
}

int
main(int argc, char **argv)
{
	static const struct cb_opt table[] = { { 0 } };
	struct items l = { .n = 0 };
	int64_t count[3] = { 0 };
	int first, i, rc = 0;

	first = cb_options(argc, argv, table, "database file|directory ...");
	if (argc - first < 2)
		cb_usage("a database and what to put into it, please");
	for (i = first + 1; i < argc; i++)
		collect(&l, argv[i]);
	if (l.n > 0)
		qsort(l.at, l.n, sizeof(*l.at), by_stem);
	if (check_stems(&l) < 0 || pack(&l, argv[first], count) < 0) {
		cb_progress_end();
		rc = cb_complain();
	} else {
		cb_warn("%lld new, %lld changed, %lld as they were",
		    (long long)count[CB_PACK_NEW],
		    (long long)count[CB_PACK_CHANGED],
		    (long long)count[CB_PACK_SAME]);
	}
	if (rc == 0 && l.bad > 0) {
		cb_warn("%lld of %d files could not be packed",
		    (long long)l.bad, l.n);
		rc = 1;
	}
	for (i = 0; i < l.n; i++) {
		free(l.at[i].stem);
		free(l.at[i].path);
	}
	free(l.at);
	return rc;
}
