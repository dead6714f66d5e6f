/* Plans and infos as values of messages: written, and read with suspicion. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "media/group.h"

#define FPS_MIN 1e-3		/* what --fps takes */
#define FPS_MAX 1e3

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

int
plan_read_general(struct cb_plan *out, const msgpack_object *plan)
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
	if (plan_read_general(out, plan) < 0)
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

int
plan_draw(struct cb_plan *plan, const msgpack_object *g, uint64_t seed)
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
