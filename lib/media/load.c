/*
 * The media of groups: what cb-decode does with one group.  It is made, run on
 * any thread, and written in its turn.
 */
#include <stdlib.h>
#include <string.h>

#include "media/group.h"

static int
refuse_cut(const struct cb_cut *cut, struct cb_frame *const *got,
    const char *name)
{
	int n = cut->clips * cut->frames, i;
	int64_t first[2];

	for (i = 0; i < n; i++)
		if (group_refuse_size(first, i % cut->frames,
		    got[cb_cut_place(cut, cut->index[i])]->rgb.dim, name) < 0)
			return -1;
	return 0;
}

static int
put_cut(struct cb_writer *w, const struct cb_cut *cut,
    struct cb_frame *const *got)
{
	const struct cb_frame *f;
	int n = cut->clips * cut->frames, i;

	for (i = 0; i < n; i++) {
		f = got[cb_cut_place(cut, cut->index[i])];
		if (cb_writer_picture(w, &f->rgb, i / cut->frames, f->index,
		    f->pts_s) < 0)
			return -1;
	}
	return cb_writer_end(w, n, NULL);
}

struct cb_load {
	struct cb_msg *group;
	char	*name, *path;
	struct cb_source src;
	struct cb_media *m;	/* NULL: all that is needed was got */
	struct cb_plan plan;
	struct cb_cut cut;
	struct cb_frame **got;	/* [cut.nwant] */
	char	*why;		/* the medium is lost */
	char	*damage;
	bool	 asked;		/* what the reader asks for was tried */
};

int
cb_load_new(struct cb_load **out, struct cb_msg *group,
    struct cb_places *places)
{
	const msgpack_object *map = cb_msg_map(group, "group");
	char *place = NULL;
	struct cb_load *l;

	if ((l = calloc(1, sizeof(*l))) == NULL) {
		cb_msg_free(group);
		return cb_fail(CB_ENOMEM, "group");
	}
	l->group = group;
	if (cb_map_text(map, "media", &l->name) < 0 ||
	    (cb_map_get(map, "place") != NULL &&
	    cb_map_text(map, "place", &place) < 0) ||
	    cb_places_find(places, place, l->name, &l->src) < 0)
		l->why = cb_strf("%s", cb_error());
	else if (l->src.path != NULL)	/* that of places does not last */
		l->src.path = l->path = cb_strf("%s", l->src.path);
	free(place);
	*out = l;
	return 0;
}

static void
clear_got(struct cb_load *l)
{
	int i;

	for (i = 0; l->got != NULL && i < l->cut.nwant; i++)
		cb_frame_free(l->got[i]);
	free(l->got);
	l->got = NULL;
}

void
cb_load_free(struct cb_load *l)
{
	if (l == NULL)
		return;
	clear_got(l);
	cb_cut_clear(&l->cut);
	cb_plan_clear(&l->plan);
	cb_media_close(l->m);
	cb_msg_free(l->group);
	free(l->name);
	free(l->path);
	free(l->why);
	free(l->damage);
	free(l);
}

static int
get_plan(struct cb_load *l, msgpack_object *g, bool original)
{
	struct cb_plan *plan = &l->plan;
	int exact;

	if (cb_plan_read(plan, cb_map_get(g, "plan")) < 0)
		return cb_fail_at("%s", l->name);
	if (original && !plan->original) {
		plan->original = true;
		cb_map_set(l->group, g, "plan", cb_plan_obj(l->group, plan));
	}
	if (cb_plan_resolve(&l->cut, plan, cb_media_info(l->m)) < 0)
		return cb_fail_at("%s", l->name);
	if ((l->got = calloc(l->cut.nwant, sizeof(*l->got))) == NULL)
		return cb_fail(CB_ENOMEM, "%s", l->name);
	if (cb_media_fetch(l->m, l->cut.want, l->cut.nwant, l->got,
	    &exact) < 0)
		return -1;
	if (!group_enough(plan, exact, l->cut.nwant)) {
		group_not_enough(l->name, exact, l->cut.nwant);
		return -1;
	}
	return plan->original && !cb_media_info(l->m)->image ?
	    refuse_cut(&l->cut, l->got, l->name) : 0;
}

static int
read_asked(struct cb_load *l, const json_t *asked)
{
	msgpack_object *g = cb_msg_map(l->group, "group"), o;
	struct cb_msg *m;
	int64_t seed;
	int rc = -1;

	if (cb_msg_new(&m) < 0)
		return -1;
	o = cb_obj_from_json(m, asked);
	if (cb_map_int(&o, "seed", &seed) == 0 &&
	    plan_read_general(&l->plan, &o) == 0 &&
	    plan_draw(&l->plan, g, (uint64_t)seed) == 0)
		rc = cb_plan_resolve(&l->cut, &l->plan, cb_media_info(l->m));
	cb_msg_free(m);
	return rc;
}

/*
 * Fetches what the reader will pick, all that it need be sent.  1: it is in
 * l->got; 0: nobody asks, or something is amiss, and then the reader shall see
 * all that there is and judge; -1.
 */
static int
get_asked(struct cb_load *l, const json_t *asked)
{
	int exact;

	if (asked == NULL || l->asked || cb_media_info(l->m)->image)
		return 0;
	l->asked = true;
	if (read_asked(l, asked) < 0 || l->cut.nwant == 0 ||
	    (l->got = calloc(l->cut.nwant, sizeof(*l->got))) == NULL)
		return 0;
	if (cb_media_fetch(l->m, l->cut.want, l->cut.nwant, l->got,
	    &exact) == 0 && exact == l->cut.nwant &&
	    cb_media_damage(l->m) == NULL)
		return 1;
	clear_got(l);
	cb_media_rewind(l->m);
	return 0;
}

static int
load(struct cb_load *l, const struct cb_media_limits *limits,
    struct cb_writer *w)
{
	msgpack_object *g = cb_msg_map(l->group, "group");

	if (cb_media_open(&l->m, &l->src, limits) < 0)
		return -1;
	cb_map_set(l->group, g, "kind", cb_obj_text(l->group,
	    cb_media_info(l->m)->image ? "image" : "video"));
	group_put_last(g, "kind");
	cb_map_set(l->group, g, "info", cb_info_obj(l->group,
	    cb_media_info(l->m)));
	group_put_last(g, "info");
	group_put_last(g, "plan");
	if (cb_map_get(g, "plan") == NULL)
		return get_asked(l, cb_writer_asked(w)) < 0 ? -1 : 0;
	if (get_plan(l, g, limits->original) < 0)
		return -1;
	if (cb_media_damage(l->m) != NULL)
		l->damage = cb_strf("%s", cb_media_damage(l->m));
	cb_media_close(l->m);
	l->m = NULL;
	return 0;
}

void
cb_load_run(struct cb_load *l, const struct cb_media_limits *limits,
    struct cb_writer *w)
{
	if (l->why != NULL || load(l, limits, w) == 0)
		return;
	l->why = cb_strf("%s", cb_error());
	clear_got(l);
	cb_media_close(l->m);
	l->m = NULL;
}

/* Those pictures that were asked for, after the n up to number `last`. */
static int
put_asked(struct cb_writer *w, struct cb_load *l, int64_t last, int64_t n)
{
	const struct cb_frame *f;
	int i;

	for (i = 0; i < l->cut.nwant; i++) {
		f = l->got[i];
		if (f->index <= last)
			continue;
		last = f->index;
		n++;
		if (cb_writer_picture(w, &f->rgb, 0, f->index, f->pts_s) < 0)
			return -1;
	}
	return cb_writer_end(w, n, NULL);
}

/* After n pictures: as get_asked(), and where it gives 0 the next is again the
 * one behind them. */
static int
turn_to_asked(struct cb_load *l, struct cb_writer *w, int64_t n)
{
	struct cb_frame *f;
	bool before = l->asked;
	int rc = get_asked(l, cb_writer_asked(w));

	if (rc != 0 || before == l->asked)
		return rc;
	cb_media_rewind(l->m);
	for (; n > 0 && (rc = cb_media_next(l->m, &f)) > 0; n--)
		cb_frame_free(f);
	return rc < 0 ? -1 : 0;
}

/*
 * All frames one by one.  0 written; 1 lost, nothing written, cb_error() says
 * why; -1.
 */
static int
decode_all(struct cb_writer *w, struct cb_load *l, enum cb_outcome *what)
{
	const char *name = l->name;
	struct cb_media *m = l->m;
	struct cb_frame *f = NULL;
	int64_t n = 0, last;
	char *why;
	int rc, put;

	if ((rc = cb_media_next(m, &f)) <= 0) {
		if (rc == 0)
			cb_fail(CB_EFORMAT, "%s: %s", name,
			    cb_media_damage(m) != NULL ? cb_media_damage(m) :
			    "no picture could be decoded");
		return 1;
	}
	if (cb_writer_put(w, l->group) < 0) {
		cb_frame_free(f);
		return -1;
	}
	for (; rc > 0; rc = cb_media_next(m, &f)) {
		put = cb_writer_picture(w, &f->rgb, 0, f->index, f->pts_s);
		last = f->index;
		n++;
		cb_frame_free(f);
		if (put < 0)
			return -1;
		if ((rc = turn_to_asked(l, w, n)) < 0)
			break;
		if (rc > 0)
			return put_asked(w, l, last, n);
	}
	if (rc == 0)
		return cb_writer_end(w, n, NULL);
	/* too late for the group itself */
	*what = CB_GROUP_LOST;
	why = cb_strf("%s", cb_error());
	rc = cb_writer_end(w, n, why);
	if (rc == 0)
		cb_fail(CB_EFORMAT, "%s", why);
	free(why);
	return rc;
}

int
cb_load_write(enum cb_outcome *what, struct cb_load *l, struct cb_writer *w)
{
	const char *damage = l->damage;
	int rc = 0;

	*what = CB_GROUP_GOOD;
	if (l->why != NULL) {
		*what = CB_GROUP_LOST;
		return group_put_lost(w, l->group, l->why);
	}
	if (l->m != NULL && l->got != NULL) {
		if (cb_writer_put(w, l->group) < 0 ||
		    put_asked(w, l, -1, 0) < 0)
			return -1;
	} else if (l->m != NULL) {
		if ((rc = decode_all(w, l, what)) == 1) {
			*what = CB_GROUP_LOST;
			return group_put_lost(w, l->group, cb_error());
		}
		damage = cb_media_damage(l->m);
	} else if (cb_writer_put(w, l->group) < 0 ||
	    put_cut(w, &l->cut, l->got) < 0) {
		return -1;
	}
	if (rc == 0 && *what == CB_GROUP_GOOD && damage != NULL) {
		*what = CB_GROUP_DAMAGED;
		cb_fail(CB_EFORMAT, "%s: damaged, the rest is kept: %s",
		    l->name, damage);
	}
	return rc;
}
