/*
 * Groups of the stream and their media: what cb-decode and cb-sample do with
 * one group.  Both orders of the two filters have to write the same bytes, so
 * whatever both can write is written by the same function here, and the keys
 * kind, info, error, plan stand at the end of a group in this order.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "media/media.h"

#define FPS_MIN 1e-3		/* what --fps takes */
#define FPS_MAX 1e3

/* ---- values ----------------------------------------------------------------- */

/* Moves a key to the end of its map. */
static void
put_last(msgpack_object *map, const char *key)
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

msgpack_object
cb_plan_obj(struct cb_msg *m, const struct cb_plan *p)
{
	msgpack_object o = cb_obj_map(m, 6), list;
	int k;

	cb_map_set(m, &o, "strategy", cb_obj_text(m,
	    cb_strategy_name(p->strategy)));
	cb_map_set(m, &o, "clips", cb_obj_int(p->clips));
	cb_map_set(m, &o, "frames", cb_obj_int(p->frames));
	cb_map_set(m, &o, "fps", cb_obj_real(p->fps));
	if (p->original)
		cb_map_set(m, &o, "original", cb_obj_bool(true));
	if (p->draw != NULL) {
		list = cb_obj_list(m, p->clips);
		for (k = 0; k < p->clips; k++)
			list.via.array.ptr[k] = cb_obj_real(p->draw[k]);
		cb_map_set(m, &o, "draws", list);
	}
	return o;
}

static int
read_draws(struct cb_plan *p, const msgpack_object *list)
{
	const msgpack_object *o;
	int k;

	if (list == NULL || list->type != MSGPACK_OBJECT_ARRAY ||
	    list->via.array.size != (uint32_t)p->clips)
		return cb_fail(CB_EFORMAT, "plan: draws do not fit its clips");
	if ((p->draw = calloc(p->clips, sizeof(*p->draw))) == NULL)
		return cb_fail(CB_ENOMEM, "plan");
	for (k = 0; k < p->clips; k++) {
		o = &list->via.array.ptr[k];
		if ((o->type != MSGPACK_OBJECT_FLOAT64 &&
		    o->type != MSGPACK_OBJECT_FLOAT32) ||
		    !(o->via.f64 >= 0 && o->via.f64 < 1))
			return cb_fail(CB_EFORMAT, "plan: a draw is not in "
			    "[0,1)");
		p->draw[k] = o->via.f64;
	}
	return 0;
}

/* All but the draws. */
static int
read_general(struct cb_plan *out, const msgpack_object *plan)
{
	const msgpack_object *o = cb_map_get(plan, "original");
	int64_t clips, frames;
	char *name;
	int rc;

	memset(out, 0, sizeof(*out));
	if (cb_map_int(plan, "clips", &clips) < 0 ||
	    cb_map_int(plan, "frames", &frames) < 0 ||
	    cb_map_real(plan, "fps", &out->fps) < 0 ||
	    cb_map_text(plan, "strategy", &name) < 0)
		return cb_fail_at("plan");
	rc = cb_strategy_parse(&out->strategy, name);
	free(name);
	if (rc < 0)
		return cb_fail_at("plan");
	if (clips < 1 || clips > CB_MAX_CLIPS || frames < 1 ||
	    frames > CB_MAX_FRAMES || !(out->fps >= FPS_MIN) ||
	    !(out->fps <= FPS_MAX))
		return cb_fail(CB_ELIMIT, "plan: %lld clips of %lld frames at "
		    "%g fps", (long long)clips, (long long)frames, out->fps);
	out->clips = (int)clips;
	out->frames = (int)frames;
	out->original = o != NULL && o->type == MSGPACK_OBJECT_BOOLEAN &&
	    o->via.boolean;
	return 0;
}

int
cb_plan_read(struct cb_plan *out, const msgpack_object *plan)
{
	if (read_general(out, plan) < 0)
		return -1;
	if (out->strategy == CB_SAMPLE_RAND &&
	    read_draws(out, cb_map_get(plan, "draws")) < 0) {
		cb_plan_clear(out);
		return -1;
	}
	return 0;
}

json_t *
cb_plan_ask(const struct cb_plan *plan, uint64_t seed)
{
	struct cb_plan general = *plan;
	msgpack_object o;
	struct cb_msg *m;
	json_t *what;

	general.draw = NULL;
	if (cb_msg_new(&m) < 0)
		return NULL;
	o = cb_plan_obj(m, &general);
	cb_map_set(m, &o, "seed", cb_obj_int((int64_t)seed));
	what = cb_obj_json(&o);
	cb_msg_free(m);
	return what;
}

/* The draws of one group. */
static int
draw(struct cb_plan *plan, const msgpack_object *g, uint64_t seed)
{
	struct cb_rng rng = { .seed = seed, .purpose = CB_RNG_SAMPLE };
	int64_t seq = 0, epoch = 0;
	int k;

	if (cb_map_int(g, "seq", &seq) < 0 ||
	    (cb_map_get(g, "epoch") != NULL &&
	    cb_map_int(g, "epoch", &epoch) < 0))
		return cb_fail_at("group");
	rng.seq = (uint32_t)seq;
	rng.epoch = (uint32_t)epoch;
	plan->draw = NULL;
	if (plan->strategy != CB_SAMPLE_RAND)
		return 0;
	if ((plan->draw = calloc(plan->clips, sizeof(*plan->draw))) == NULL)
		return cb_fail(CB_ENOMEM, "plan");
	for (k = 0; k < plan->clips; k++)
		plan->draw[k] = cb_rng_real(&rng, (uint32_t)k);
	return 0;
}

msgpack_object
cb_info_obj(struct cb_msg *m, const struct cb_media_info *i)
{
	msgpack_object o = cb_obj_map(m, 12), list;
	struct cb_array pts;

	cb_map_set(m, &o, "format", cb_obj_text(m, i->format));
	cb_map_set(m, &o, "codec", cb_obj_text(m, i->codec));
	cb_map_set(m, &o, "w", cb_obj_int(i->w));
	cb_map_set(m, &o, "h", cb_obj_int(i->h));
	cb_map_set(m, &o, "frames", cb_obj_int(i->frames));
	if (i->image)
		return o;
	cb_map_set(m, &o, "fps", cb_obj_real(i->fps));
	cb_map_set(m, &o, "duration", cb_obj_real(i->duration_s));
	list = cb_obj_list(m, 2);
	list.via.array.ptr[0] = cb_obj_int(i->tb_num);
	list.via.array.ptr[1] = cb_obj_int(i->tb_den);
	cb_map_set(m, &o, "time_base", list);
	cb_map_set(m, &o, "header_frames", cb_obj_int(i->header_frames));
	cb_map_set(m, &o, "header_duration",
	    cb_obj_int(i->header_duration));
	if (cb_array_init(&pts, CB_I64, 1, &i->frames) == 0) {
		memcpy(pts.data, i->pts, sizeof(*i->pts) * i->frames);
		cb_map_set(m, &o, "pts", cb_obj_tensor_take(m, &pts));
	}
	return o;
}

static int
read_times(struct cb_media_info *out, const msgpack_object *info)
{
	struct cb_array pts;

	if (cb_map_array(info, "pts", &pts) < 0)
		return -1;
	if (pts.type != CB_I64 || pts.rank != 1 || pts.dim[0] < 1 ||
	    pts.dim[0] != out->frames)
		return cb_fail(CB_EFORMAT, "pts does not fit frames");
	out->pts = malloc(sizeof(*out->pts) * out->frames);
	if (out->pts == NULL)
		return cb_fail(CB_ENOMEM, "info");
	memcpy(out->pts, pts.data, sizeof(*out->pts) * out->frames);
	return 0;
}

int
cb_info_read(struct cb_media_info *out, const msgpack_object *group)
{
	const msgpack_object *info = cb_map_get(group, "info"), *tb;
	int64_t w = 0, h = 0;

	memset(out, 0, sizeof(*out));
	out->image = cb_obj_is(cb_map_get(group, "kind"), "image");
	if (info == NULL)
		return cb_fail(CB_EFORMAT, "group without info");
	if (out->image)
		return 0;
	tb = cb_map_get(info, "time_base");
	if (cb_map_int(info, "w", &w) < 0 || cb_map_int(info, "h", &h) < 0 ||
	    cb_map_int(info, "frames", &out->frames) < 0 ||
	    cb_map_real(info, "fps", &out->fps) < 0 ||
	    cb_map_real(info, "duration", &out->duration_s) < 0 ||
	    cb_map_int(info, "header_frames", &out->header_frames) < 0 ||
	    cb_map_int(info, "header_duration", &out->header_duration) < 0)
		return cb_fail_at("info");
	if (tb == NULL || tb->type != MSGPACK_OBJECT_ARRAY ||
	    tb->via.array.size != 2 ||
	    tb->via.array.ptr[0].type != MSGPACK_OBJECT_POSITIVE_INTEGER ||
	    tb->via.array.ptr[1].type != MSGPACK_OBJECT_POSITIVE_INTEGER ||
	    tb->via.array.ptr[0].via.u64 - 1 >= INT32_MAX ||
	    tb->via.array.ptr[1].via.u64 - 1 >= INT32_MAX)
		return cb_fail(CB_EFORMAT, "info: time_base");
	out->w = (int)w;
	out->h = (int)h;
	out->tb_num = (int)tb->via.array.ptr[0].via.u64;
	out->tb_den = (int)tb->via.array.ptr[1].via.u64;
	/* numbers that the arithmetic can bear */
	if (!(out->fps >= 0 && out->fps <= 1e10) || !(out->duration_s >= 0 &&
	    out->duration_s / out->tb_num * out->tb_den < 1e18))
		return cb_fail(CB_EFORMAT, "info: fps or duration");
	return read_times(out, info) < 0 ? cb_fail_at("info") : 0;
}

/* ---- writing a group ----------------------------------------------------------- */

/* The group with an error, no pictures, and its end. */
static int
put_lost(struct cb_writer *w, struct cb_msg *group, const char *why)
{
	msgpack_object *g = cb_msg_map(group, "group");
	char *text = cb_strf("%s", why);	/* outlives cb_error() */
	int rc;

	cb_map_set(group, g, "error", cb_obj_text(group, text));
	put_last(g, "error");
	put_last(g, "plan");
	rc = cb_writer_put(w, group) < 0 || cb_writer_end(w, 0, text) < 0 ?
	    -1 : 0;
	if (rc == 0)
		cb_fail(CB_EFORMAT, "%s", text);
	free(text);
	return rc;
}

static void
not_enough(const char *name, int exact, int n)
{
	cb_fail(CB_EFORMAT, "%s: only %d of %d frames wanted could be decoded",
	    name, exact, n);
}

/* The original wants all of its frames; we make do with half. */
static bool
enough(const struct cb_plan *plan, int exact, int n)
{
	return plan->original ? exact == n : cb_picker_enough(exact, n);
}

/*
 * What the original refuses after decoding: pictures over five times as long
 * as wide, and a clip whose frames differ in size.  first: dimensions of the
 * first frame of the clip, set by frame 0.
 */
static int
refuse_size(int64_t first[2], int frame, const int64_t *dim, const char *name)
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

/* ---- decoding ---------------------------------------------------------------------- */

static int
refuse_cut(const struct cb_cut *cut, struct cb_frame *const *got,
    const char *name)
{
	int n = cut->clips * cut->frames, i;
	int64_t first[2];

	for (i = 0; i < n; i++)
		if (refuse_size(first, i % cut->frames,
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
	if (!enough(plan, exact, l->cut.nwant)) {
		not_enough(l->name, exact, l->cut.nwant);
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
	    read_general(&l->plan, &o) == 0 &&
	    draw(&l->plan, g, (uint64_t)seed) == 0)
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
	put_last(g, "kind");
	cb_map_set(l->group, g, "info", cb_info_obj(l->group,
	    cb_media_info(l->m)));
	put_last(g, "info");
	put_last(g, "plan");
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
		return put_lost(w, l->group, l->why);
	}
	if (l->m != NULL && l->got != NULL) {
		if (cb_writer_put(w, l->group) < 0 ||
		    put_asked(w, l, -1, 0) < 0)
			return -1;
	} else if (l->m != NULL) {
		if ((rc = decode_all(w, l, what)) == 1) {
			*what = CB_GROUP_LOST;
			return put_lost(w, l->group, cb_error());
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

/* ---- sampling ------------------------------------------------------------------------ */

/* The plan of one group: the general one with this group's draws. */
static int
add_plan(struct cb_msg *group, msgpack_object *g, struct cb_plan *plan,
    uint64_t seed)
{
	if (cb_map_get(g, "plan") != NULL)
		return cb_fail(CB_EFORMAT, "the stream has been sampled "
		    "already");
	if (draw(plan, g, seed) < 0)
		return -1;
	cb_map_set(group, g, "plan", cb_plan_obj(group, plan));
	put_last(g, "plan");
	return 0;
}

/* Writes messages as they are up to the end of the group. */
static int
pass_group(struct cb_writer *w, cb_next_fn *next, void *arg, bool pictures)
{
	enum cb_msg_kind kind;
	struct cb_msg *m;
	int rc;

	for (;;) {
		if ((rc = next(arg, &m)) <= 0)
			return rc < 0 ? -1 : cb_fail(CB_EFORMAT,
			    "the stream ends inside a group");
		kind = cb_msg_kind(m);
		rc = kind == CB_MSG_PICTURE && !pictures ?
		    cb_fail(CB_EFORMAT, "pictures of a group without info: "
		    "only those of cb-decode can be sampled") :
		    cb_writer_put(w, m);
		cb_msg_free(m);
		if (rc < 0)
			return -1;
		if (kind == CB_MSG_END)
			return 0;
	}
}

struct pick {
	struct cb_msg **got;	/* [nwant], may repeat one after another */
	struct cb_msg *last;
	struct cb_picker p;
};

static void
clear_pick(struct pick *k)
{
	int i;

	for (i = 0; k->got != NULL && i < k->p.n; i++)
		if (k->got[i] != NULL && k->got[i] != k->last &&
		    (i == 0 || k->got[i] != k->got[i - 1]))
			cb_msg_free(k->got[i]);
	cb_msg_free(k->last);
	free(k->got);
}

/* m is handed over. */
static int
offer(struct pick *k, struct cb_msg *m)
{
	int first = k->p.next, before, now, i;
	int64_t index;

	if (cb_map_int(&m->root, "index", &index) < 0) {
		cb_msg_free(m);
		return cb_fail_at("picture");
	}
	cb_picker_step(&k->p, index, &before, &now);
	for (i = first; i < before; i++)
		k->got[i] = k->last;
	if (k->last != NULL && (before == 0 || k->got[before - 1] != k->last))
		cb_msg_free(k->last);
	for (i = before; i < now; i++)
		k->got[i] = m;
	k->last = m;
	return 0;
}

/* Reads pictures to the end of the group; *why: the error of the end. */
static int
read_pictures(struct pick *k, struct cb_writer *w, cb_next_fn *next, void *arg,
    char **why)
{
	struct cb_msg *m;
	int rc;

	for (;;) {
		if ((rc = next(arg, &m)) <= 0)
			return rc < 0 ? -1 : cb_fail(CB_EFORMAT,
			    "the stream ends inside a group");
		switch (cb_msg_kind(m)) {
		case CB_MSG_PICTURE:
			if (k->p.next == k->p.n && k->p.n > 0)
				cb_msg_free(m);
			else if (offer(k, m) < 0)
				return -1;
			break;
		case CB_MSG_END:
			if (cb_map_get(cb_msg_map(m, "end"), "error") != NULL)
				cb_map_text(cb_msg_map(m, "end"), "error",
				    why);
			cb_msg_free(m);
			while (k->p.next < k->p.n)
				k->got[k->p.next++] = k->last;
			return 0;
		default:
			rc = cb_writer_put(w, m);
			cb_msg_free(m);
			if (rc < 0)
				return -1;
		}
	}
}

static int
put_picked(struct cb_writer *w, struct cb_msg *group, const struct cb_cut *cut,
    const struct pick *k)
{
	int n = cut->clips * cut->frames, i;
	struct cb_msg *m;

	if (cb_writer_put(w, group) < 0)
		return -1;
	for (i = 0; i < n; i++) {
		m = k->got[cb_cut_place(cut, cut->index[i])];
		cb_map_set(m, &m->root, "clip", cb_obj_int(i / cut->frames));
		if (cb_writer_put(w, m) < 0)
			return -1;
	}
	return cb_writer_end(w, n, NULL);
}

static int
refuse_picked(const struct cb_cut *cut, const struct pick *k, const char *name)
{
	int n = cut->clips * cut->frames, i;
	struct cb_array a;
	int64_t first[2];

	for (i = 0; i < n; i++)
		if (cb_map_array(&k->got[cb_cut_place(cut,
		    cut->index[i])]->root, "picture", &a) < 0 ||
		    refuse_size(first, i % cut->frames, a.dim, name) < 0)
			return -1;
	return 0;
}

/* A plan that cannot be is told when the pictures have been read. */
static int
sample_video(enum cb_outcome *what, struct cb_writer *w, struct cb_msg *group,
    cb_next_fn *next, void *arg, const struct cb_plan *plan, const char *name)
{
	msgpack_object *g = cb_msg_map(group, "group");
	struct cb_media_info info = { .pts = NULL };
	struct cb_cut cut = { .index = NULL };
	struct pick k = { .got = NULL };
	char *why = NULL, *unfit = NULL;
	int rc = -1;
	bool bad;

	if (cb_info_read(&info, g) < 0) {
		cb_fail_at("%s", name);
		goto done;
	}
	if (cb_plan_resolve(&cut, plan, &info) < 0)
		unfit = cb_strf("%s: %s", name, cb_error());
	k.p.want = cut.want;
	k.p.n = cut.nwant;
	if ((k.got = calloc(cut.nwant + 1, sizeof(*k.got))) == NULL) {
		cb_fail(CB_ENOMEM, "%s", name);
		goto done;
	}
	if (read_pictures(&k, w, next, arg, &why) < 0)
		goto done;
	bad = unfit != NULL || why != NULL || k.last == NULL ||
	    !enough(plan, k.p.exact, k.p.n);
	if (unfit != NULL || why != NULL)
		cb_fail(CB_EFORMAT, "%s", unfit != NULL ? unfit : why);
	else if (bad)
		not_enough(name, k.p.exact, k.p.n);
	else if (plan->original)
		bad = refuse_picked(&cut, &k, name) < 0;
	*what = bad ? CB_GROUP_LOST : CB_GROUP_GOOD;
	rc = bad ? put_lost(w, group, cb_error()) :
	    put_picked(w, group, &cut, &k);
done:
	clear_pick(&k);
	cb_cut_clear(&cut);
	free(info.pts);
	free(unfit);
	free(why);
	return rc;
}

int
cb_group_sample(enum cb_outcome *what, struct cb_writer *w,
    struct cb_msg *group, cb_next_fn *next, void *arg,
    const struct cb_plan *general, uint64_t seed)
{
	msgpack_object *g = cb_msg_map(group, "group");
	struct cb_plan plan = *general;
	const msgpack_object *kind;
	char *name = NULL;
	int rc = -1;

	*what = CB_GROUP_GOOD;
	if (cb_map_text(g, "media", &name) < 0) {
		cb_fail_at("group");
		return -1;
	}
	if (add_plan(group, g, &plan, seed) < 0) {
		cb_fail_at("%s", name);
		goto done;
	}
	kind = cb_map_get(g, "kind");
	if (cb_map_get(g, "error") == NULL && cb_obj_is(kind, "video"))
		rc = sample_video(what, w, group, next, arg, &plan, name);
	else
		rc = cb_writer_put(w, group) < 0 ? -1 :
		    pass_group(w, next, arg, kind != NULL);
done:
	cb_plan_clear(&plan);
	free(name);
	return rc;
}
