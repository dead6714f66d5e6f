/*
 * Sampling of groups: what cb-sample does with one.  It adds the plan, and where
 * pictures follow already picks those of it.
 */
#include <stdlib.h>
#include <string.h>

#include "media/group.h"

/* The plan of one group: the general one with this group's draws. */
static int
add_plan(struct cb_msg *group, msgpack_object *g, struct cb_plan *plan,
    uint64_t seed)
{
	if (cb_map_get(g, "plan") != NULL)
		return cb_fail(CB_EFORMAT, "the stream has been sampled "
		    "already");
	if (plan_draw(plan, g, seed) < 0)
		return -1;
	cb_map_set(group, g, "plan", cb_plan_obj(group, plan));
	group_put_last(g, "plan");
	return 0;
}

/* The next message of a group that has not ended. */
static int
next_within(cb_next_fn *next, void *arg, struct cb_msg **m)
{
	int rc = next(arg, m);

	return rc > 0 ? 0 : rc < 0 ? -1 : cb_fail(CB_EFORMAT, "the stream ends "
	    "inside a group");
}

/* Writes messages as they are up to the end of the group. */
static int
pass_group(struct cb_writer *w, cb_next_fn *next, void *arg, bool pictures)
{
	enum cb_msg_kind kind;
	struct cb_msg *m;
	int rc;

	for (;;) {
		if (next_within(next, arg, &m) < 0)
			return -1;
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
		if (next_within(next, arg, &m) < 0)
			return -1;
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
		    group_refuse_size(first, i % cut->frames, a.dim,
		    name) < 0)
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
	    !group_enough(plan, k.p.exact, k.p.n);
	if (unfit != NULL || why != NULL)
		cb_fail(CB_EFORMAT, "%s", unfit != NULL ? unfit : why);
	else if (bad)
		group_not_enough(name, k.p.exact, k.p.n);
	else if (plan->original)
		bad = refuse_picked(&cut, &k, name) < 0;
	*what = bad ? CB_GROUP_LOST : CB_GROUP_GOOD;
	rc = bad ? group_put_lost(w, group, cb_error()) :
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
