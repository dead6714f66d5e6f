/* cb-check: annotations, media and streams looked over before a long run. */
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "media/media.h"
#include "task/check.h"

static const char *const kinds[] = {
	"file", "line", "repeated", "text", "answer", "missing", "extra",
	"broken", "damaged", "stream",
};

struct item;

struct check {
	struct cb_check_how how;
	struct cb_media_limits limits;
	struct cb_strs media, allowed;
	json_t	*counts, *faults, *list;
	bool	 json, names_only, whole;
	int64_t	 show, threads;
	struct cb_places **places;	/* open as long as their media wait */
	struct item **items;		/* media to be opened at the end */
	int	 nplaces;
	int64_t	 nitems, room;
	json_t	*paths;			/* of those that are files */
};

static bool
allowed(const struct check *c, const char *kind)
{
	int i;

	for (i = 0; i < c->allowed.n; i++)
		if (strcmp(c->allowed.at[i], kind) == 0)
			return true;
	return false;
}

static void
found(void *arg, const char *kind, const char *what)
{
	struct check *c = arg;

	cb_count(c->faults, kind, 1);
	if (json_integer_value(json_object_get(c->faults, kind)) > c->show)
		return;
	if (c->json)
		json_array_append_new(c->list, json_pack("{s:s, s:s%}",
		    "kind", kind, "what", what, strlen(what)));
	else if (!allowed(c, kind))
		cb_warn("%s: %s", kind, what);
}

/* ---- media ---------------------------------------------------------------- */

/* A medium on its way, and what became of it. */
struct item {
	struct cb_source src;
	struct cb_media_info info;
	char	*name, *path, *why;
	int	 status;
};

static void
drop(void *arg)
{
	struct item *i = arg;

	free(i->name);
	free(i->path);
	free(i->why);
	free(i);
}

static void
work(void *arg, void *item)
{
	const struct check *c = arg;
	struct item *i = item;

	i->status = cb_media_check(&i->info, &i->src, &c->limits, c->whole);
	if (i->status != 0)
		i->why = cb_strf("%s", cb_error());
}

static int
out(void *arg, void *item)
{
	struct check *c = arg;
	struct item *i = item;

	if (i->status != 0)
		found(c, i->status < 0 ? "broken" : "damaged", i->why);
	if (i->status >= 0) {
		cb_count(c->counts, i->info.image ? "images" : "videos", 1);
		cb_count(c->counts, "frames", i->info.frames);
	}
	cb_progress("%lld media to go", (long long)--c->nitems);
	drop(i);
	return 0;
}

/* Opens what was noted, several at a time; found() is then out()'s alone. */
static int
run_media(struct check *c)
{
	static const struct cb_line_ops ops = { work, out, drop };
	int64_t i, n = c->nitems;
	struct cb_line *line;

	if (cb_line_new(&line, (int)c->threads, &ops, c) < 0)
		return -1;
	for (i = 0; i < n; i++)
		cb_line_put(line, c->items[i]);
	i = cb_line_end(line);
	cb_progress_end();
	return (int)i;
}

static int
note_medium(void *arg, const struct cb_source *src)
{
	struct check *c = arg;
	struct item *i;

	if (src->path != NULL && json_object_get(c->paths, src->path) != NULL)
		return 0;
	if (src->path != NULL)
		json_object_set_new_nocheck(c->paths, src->path, json_true());
	cb_count(c->counts, "media", 1);
	if (c->names_only)
		return 0;
	if (c->nitems == c->room) {
		c->room = c->room > 0 ? 2 * c->room : 64;
		c->items = realloc(c->items, sizeof(*c->items) *
		    (size_t)c->room);
	}
	if (c->items == NULL || (i = calloc(1, sizeof(*i))) == NULL)
		abort();
	i->name = cb_strf("%s", src->path != NULL ? src->path : src->name);
	i->path = src->path != NULL ? cb_strf("%s", src->path) : NULL;
	i->src = (struct cb_source){ .name = i->name, .path = i->path,
	    .data = src->data, .bytes = src->bytes };
	c->items[c->nitems++] = i;
	return 0;
}

static int
places_new(struct check *c, struct cb_places **p)
{
	c->places = realloc(c->places, sizeof(*c->places) *
	    (size_t)(c->nplaces + 1));
	if (c->places == NULL)
		abort();
	if (cb_places_new(p) < 0)
		return -1;
	c->places[c->nplaces++] = *p;
	return 0;
}

static void
find_names(struct check *c, struct cb_places *p, const json_t *names)
{
	struct cb_source src;
	const char *name;
	json_t *v;

	json_object_foreach((json_t *)names, name, v) {
		if (cb_places_find(p, NULL, name, &src) == 0)
			note_medium(c, &src);
		else
			found(c, cb_error_code() == CB_EFORMAT ? "repeated" :
			    "missing", cb_error());
	}
}

struct each {
	struct check *c;
	const json_t *stems;	/* of all that annotations ask for */
	char	*last;		/* the name of the medium before */
};

static int
see_extra(void *arg, const struct cb_source *src)
{
	struct each *e = arg;

	if (json_object_get(e->stems, src->name) == NULL)
		found(e->c, "extra", src->path != NULL ? src->path :
		    src->name);
	return 0;
}

static int
see_medium(void *arg, const struct cb_source *src)
{
	struct each *e = arg;

	if (e->last != NULL && strcmp(e->last, src->name) == 0)
		found(e->c, "repeated", src->path);
	free(e->last);
	e->last = cb_strf("%s", src->name);
	return note_medium(e->c, src);
}

/* ---- operands --------------------------------------------------------------- */

/* All media of a directory or an LMDB. */
static int
check_place(struct check *c, const char *path)
{
	struct each e = { .c = c };
	struct cb_places *p;

	if (places_new(c, &p) < 0)
		return -1;
	if (cb_places_add(p, path) < 0 ||
	    cb_places_each(p, see_medium, &e) < 0)
		found(c, "file", cb_error());
	free(e.last);
	return 0;
}

/* Names as a place has them: a file name is found by its stem too. */
static json_t *
stems_of(const json_t *names)
{
	json_t *stems = json_object(), *v;
	const char *name;
	char *stem;

	json_object_foreach((json_t *)names, name, v) {
		stem = cb_media_is_name(name) ? cb_media_stem(name) : NULL;
		json_object_set_new_nocheck(stems, stem != NULL ? stem : name,
		    json_true());
		free(stem);
	}
	return stems;
}

/* The places of --media hold the media of all annotations. */
static int
check_named(struct check *c, const json_t *names)
{
	json_t *stems = stems_of(names);
	struct each e = { .c = c, .stems = stems };
	struct cb_places *p;
	int i, rc;

	rc = places_new(c, &p);
	for (i = 0; i < c->media.n && rc == 0; i++)
		rc = cb_places_add(p, c->media.at[i]);
	if (rc == 0) {
		find_names(c, p, names);
		rc = cb_places_each(p, see_extra, &e);
	}
	json_decref(stems);
	return rc;
}

static int
check_annotation(struct check *c, const char *path, json_t *names)
{
	json_t *own = json_object();
	char *copy = cb_strf("%s", path);
	struct cb_places *p;
	int rc;

	rc = cb_check_annotation(c->counts, own, path, &c->how);
	cb_count(c->counts, "files", 1);
	if (rc == 0 && c->media.n == 0 && (rc = places_new(c, &p)) == 0 &&
	    (rc = cb_places_add_base(p, dirname(copy))) == 0)
		find_names(c, p, own);
	json_object_update(names, own);
	json_decref(own);
	free(copy);
	return rc;
}

static int
check_stream(struct check *c, const char *path)
{
	bool standard = strcmp(path, "-") == 0;
	int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		cb_fail(CB_EIO, "%s", path);
		found(c, "file", cb_error());
		return 0;
	}
	cb_check_stream(c->counts, fd, standard ? "stdin" : path, &c->how);
	if (!standard)
		close(fd);
	return 0;
}

static bool
ends(const char *text, const char *with)
{
	size_t n = strlen(text), k = strlen(with);

	return n > k && strcmp(text + n - k, with) == 0;
}

/* What an operand is, its name tells. */
static int
check_operand(struct check *c, const char *path, json_t *names)
{
	struct cb_source src = { .name = path, .path = path };
	struct stat st;

	if (ends(path, ".jsonl"))
		return check_annotation(c, path, names);
	if (ends(path, ".mdb") || (stat(path, &st) == 0 && S_ISDIR(st.st_mode)))
		return check_place(c, path);
	return cb_media_is_name(path) ? note_medium(c, &src) :
	    check_stream(c, path);
}

static int
check_all(struct check *c, char *const *operands, int n)
{
	json_t *names = json_object();
	int i, rc = 0;

	if (n == 0)
		rc = check_stream(c, "-");
	for (i = 0; i < n && rc == 0; i++)
		rc = check_operand(c, operands[i], names);
	if (rc == 0 && c->media.n > 0)
		rc = check_named(c, names);
	if (rc == 0)
		rc = run_media(c);
	json_decref(names);
	return rc;
}

/* ---- the report --------------------------------------------------------------- */

static int
print(struct check *c)
{
	const char *key;
	json_t *v, *all;
	int bad = 0;

	if (c->json) {
		all = json_pack("{s:O, s:O, s:O}", "counts", c->counts,
		    "faults", c->faults, "found", c->list);
		bad = json_dumpf(all, stdout, JSON_COMPACT) != 0 ||
		    putchar('\n') == EOF;
		json_decref(all);
	} else {
		json_object_foreach(c->counts, key, v)
			printf("%-12s %lld\n", key,
			    (long long)json_integer_value(v));
		json_object_foreach(c->faults, key, v)
			printf("%-12s %lld%s\n", key,
			    (long long)json_integer_value(v),
			    allowed(c, key) ? " (allowed)" : "");
	}
	return bad || fflush(stdout) != 0 ? cb_fail(CB_EIO, "stdout") : 0;
}

/* Tells how many there are in all that nobody allowed; gives the status. */
static int
sum_up(const struct check *c)
{
	const char *key;
	int64_t n = 0;
	json_t *v;

	json_object_foreach(c->faults, key, v)
		n += allowed(c, key) ? 0 : json_integer_value(v);
	if (n > 0)
		cb_warn("%lld fault%s", (long long)n, n > 1 ? "s" : "");
	return n > 0;
}

static void
clear(struct check *c)
{
	while (c->nplaces > 0)
		cb_places_free(c->places[--c->nplaces]);
	free(c->places);
	free(c->items);
	free(c->media.at);
	free(c->allowed.at);
	json_decref(c->counts);
	json_decref(c->faults);
	json_decref(c->list);
	json_decref(c->paths);
}

static void
check_kinds(const struct check *c)
{
	size_t k;
	int i;

	for (i = 0; i < c->allowed.n; i++) {
		for (k = 0; k < CB_LEN(kinds); k++)
			if (strcmp(kinds[k], c->allowed.at[i]) == 0)
				break;
		if (k == CB_LEN(kinds))
			cb_usage("--allow %s: no such kind of fault",
			    c->allowed.at[i]);
	}
}

int
main(int argc, char **argv)
{
	struct check c = { .how.found = found, .how.arg = &c, .show = 20,
	    .threads = 1, .limits.max_pixels = CB_MAX_PIXELS };
	const char *split = "train";
	int first, rc;
	const struct cb_opt table[] = {
		{ 'm', "media", CB_OPT_LIST, &c.media, "PLACE",
		    "directory or LMDB of the media; repeatable [beside each "
		    "file]", 0, 0 },
		{ 'a', "answers", CB_OPT_STR, &c.how.answers, "FILE",
		    "list of labels [ans2label.json beside each file]", 0, 0 },
		{ 't', "task", CB_OPT_STR, &c.how.task, "TASK",
		    "kind of annotation [guessed from the first line]", 0, 0 },
		{ 0, "split", CB_OPT_STR, &split, "SPLIT",
		    "eval: answers may be missing [train]", 0, 0 },
		{ 'w', "whole", CB_OPT_FLAG, &c.whole, NULL,
		    "decode all frames [8 of each video]", 0, 0 },
		{ 'n', "names", CB_OPT_FLAG, &c.names_only, NULL,
		    "find the media, do not open them", 0, 0 },
		{ 'j', "threads", CB_OPT_INT, &c.threads, "N",
		    "media opened at a time [1]", 1, 256 },
		{ 0, "allow", CB_OPT_LIST, &c.allowed, "KIND",
		    "count this kind, but forgive it; repeatable", 0, 0 },
		{ 0, "show", CB_OPT_INT, &c.show, "N",
		    "tell at most N of each kind [20]", 0, 1e15 },
		{ 0, "json", CB_OPT_FLAG, &c.json, NULL,
		    "all as one JSON object", 0, 0 },
		{ 0, "max-pixels", CB_OPT_INT, &c.limits.max_pixels, "N",
		    "refuse larger pictures [67108864]", 1, 1e10 },
		{ 0, "timeout", CB_OPT_REAL, &c.limits.timeout_s, "SECONDS",
		    "give up on a medium after [0: never]", 0, 1e9 },
		{ 0 }
	};

	first = cb_options(argc, argv, table, "[options] [annotations.jsonl | "
	    "place | file | stream ...]");
	c.how.eval = cb_choice("--split", split, "train", "eval") == 1;
	check_kinds(&c);
	c.counts = json_object();
	c.faults = json_object();
	c.list = json_array();
	c.paths = json_object();
	rc = check_all(&c, argv + first, argc - first) < 0 || print(&c) < 0 ?
	    cb_complain() : sum_up(&c);
	clear(&c);
	return rc;
}
