/*
 * Restore points: everything that a run needs to go on as if nothing had
 * happened.  Two files are written in turn, each of them beside its place and
 * renamed, so that at any moment one is whole; a checksum over the data finds
 * what the file system did not keep.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "train.h"

#define FORMAT "cb-restore 1"
#define SLOTS 2

static char *
slot_path(const char *run, int slot)
{
	return cb_strf("%s/restore.%d.safetensors", run, slot);
}

/* ---- checksum ---------------------------------------------------------------- */

/*
 * Four lanes of multiply and rotate, as fast as memory.  Each step can be undone,
 * so one changed word always changes the result.  It guards against accidents,
 * not against intent.
 */
struct sum {
	uint64_t lane[4];
};

static uint64_t
stir(uint64_t h, uint64_t word)
{
	h = (h ^ word) * 0x9e3779b97f4a7c15u;
	return h << 29 | h >> 35;
}

static void
sum_add(struct sum *s, const void *data, int64_t bytes)
{
	const unsigned char *p = data;
	uint64_t w[4];
	int i;

	s->lane[0] = stir(s->lane[0], (uint64_t)bytes);
	for (; bytes >= (int64_t)sizeof(w); bytes -= sizeof(w)) {
		memcpy(w, p, sizeof(w));
		for (i = 0; i < 4; i++)
			s->lane[i] = stir(s->lane[i], w[i]);
		p += sizeof(w);
	}
	memset(w, 0, sizeof(w));
	memcpy(w, p, bytes);
	for (i = 0; i < 4; i++)
		s->lane[i] = stir(s->lane[i], w[i]);
}

/* The metadata counts too, all but the checksum itself. */
static void
sum_meta(struct sum *s, const json_t *meta)
{
	static const char *const keys[] = { "format", "step", "batches",
	    "identity", "state" };
	const char *text;
	size_t i;

	for (i = 0; i < CB_LEN(keys); i++) {
		text = json_string_value(json_object_get(meta, keys[i]));
		if (text != NULL)
			sum_add(s, text, (int64_t)strlen(text));
	}
}

static void
sum_text(char text[65], const struct sum *s)
{
	snprintf(text, 65, "%016llx%016llx%016llx%016llx",
	    (unsigned long long)s->lane[0], (unsigned long long)s->lane[1],
	    (unsigned long long)s->lane[2], (unsigned long long)s->lane[3]);
}

/* ---- the tensors of a point ------------------------------------------------ */

struct parts {
	struct cb_tensor *at;
	int n;
};

static void
parts_clear(struct parts *p)
{
	int i;

	for (i = 0; i < p->n; i++)
		free((char *)(uintptr_t)p->at[i].name);
	free(p->at);
}

static void
parts_add(struct parts *all, const char *kind, const struct cb_param *p,
    float *arena)
{
	struct cb_tensor *t = &all->at[all->n++];

	t->name = cb_strf("%s/%s", kind, p->name);
	t->array.type = CB_F32;
	t->array.rank = p->rank;
	memcpy(t->array.dim, p->dim, sizeof(p->dim));
	t->array.data = arena + p->at;
}

/* w/NAME of every parameter; m/NAME and v/NAME of those that train. */
static int
parts_init(struct parts *all, const struct cb_restore *r)
{
	const struct cb_param *p;
	int i;

	all->n = 0;
	all->at = calloc(3 * (size_t)r->nparams + 1, sizeof(*all->at));
	if (all->at == NULL)
		return cb_fail(CB_ENOMEM, "restore point");
	for (i = 0; i < r->nparams; i++) {
		p = &r->params[i];
		parts_add(all, "w", p, r->w);
		if (!p->trainable)
			continue;
		parts_add(all, "m", p, r->m);
		parts_add(all, "v", p, r->v);
	}
	return 0;
}

/* ---- which is the newest ------------------------------------------------------ */

struct slot {
	struct cb_safetensors *file;	/* NULL: none, or damaged */
	int64_t step;			/* -1 then */
	bool damaged;
};

static int64_t
meta_int(const struct cb_safetensors *f, const char *key)
{
	const char *text = cb_safetensors_meta(f, key);
	char *end;
	long long x;

	if (text == NULL)
		return -1;
	x = strtoll(text, &end, 10);
	return *text == '\0' || *end != '\0' || x < 0 ? -1 : x;
}

static void
slot_open(struct slot *s, const char *path)
{
	const char *format;

	memset(s, 0, sizeof(*s));
	s->step = -1;
	if (access(path, F_OK) != 0)
		return;
	if (cb_safetensors_open(&s->file, path) < 0) {
		s->damaged = true;
		return;
	}
	format = cb_safetensors_meta(s->file, "format");
	s->step = meta_int(s->file, "step");
	if (format == NULL || strcmp(format, FORMAT) != 0 || s->step < 0) {
		cb_fail(CB_EFORMAT, "%s: not a restore point of this version",
		    path);
		cb_safetensors_close(s->file);
		s->file = NULL;
		s->step = -1;
		s->damaged = true;
	}
}

/* ---- saving -------------------------------------------------------------------- */

static int
meta_of(json_t **out, const struct cb_restore *r)
{
	char *identity = cb_json_text(r->identity);
	char *state = r->state != NULL ? cb_json_text(r->state) : NULL;
	char step[24], batches[24];

	snprintf(step, sizeof(step), "%lld", (long long)r->step);
	snprintf(batches, sizeof(batches), "%lld", (long long)r->batches);
	*out = json_pack("{s:s, s:s, s:s, s:s}", "format", FORMAT, "step",
	    step, "batches", batches, "identity",
	    identity != NULL ? identity : "");
	if (*out != NULL && state != NULL)
		json_object_set_new(*out, "state", json_string(state));
	free(identity);
	free(state);
	return *out != NULL ? 0 : cb_fail(CB_ENOMEM, "restore point");
}

int
cb_restore_save(const char *run, const struct cb_restore *r)
{
	struct parts all = { NULL, 0 };
	struct sum sum = { { 0 } };
	struct slot s[SLOTS];
	json_t *meta = NULL;
	char text[65], *path;
	int i, rc = -1;

	for (i = 0; i < SLOTS; i++) {
		path = slot_path(run, i);
		slot_open(&s[i], path);
		cb_safetensors_close(s[i].file);
		free(path);
	}
	path = slot_path(run, s[1].step < s[0].step ? 1 : 0);
	if (cb_mkdirs(run) < 0 || parts_init(&all, r) < 0)
		goto done;
	for (i = 0; i < all.n; i++)
		sum_add(&sum, all.at[i].array.data,
		    cb_array_bytes(&all.at[i].array));
	if (meta_of(&meta, r) < 0)
		goto done;
	sum_meta(&sum, meta);
	sum_text(text, &sum);
	json_object_set_new(meta, "checksum", json_string(text));
	rc = cb_safetensors_write(path, all.at, all.n, meta);
done:
	parts_clear(&all);
	json_decref(meta);
	free(path);
	return rc;
}

/* ---- loading ------------------------------------------------------------------- */

/* Collects "key: before, now" for whatever differs. */
struct diff {
	char text[700];
	int n;
};

static void
diff_add(struct diff *d, const char *where, const json_t *was,
    const json_t *is)
{
	char *a = was != NULL ? cb_json_text(was) : NULL;
	char *b = is != NULL ? cb_json_text(is) : NULL;
	size_t at = strlen(d->text);

	if (d->n++ < 4)
		snprintf(d->text + at, sizeof(d->text) - at,
		    "%s%s: was %.60s, is %.60s", at > 0 ? "; " : "", where,
		    a != NULL ? a : "absent", b != NULL ? b : "absent");
	free(a);
	free(b);
}

static void
diff_walk(struct diff *d, const char *where, const json_t *was,
    const json_t *is)
{
	const char *key;
	char *path;
	json_t *v;
	size_t i;

	if (json_equal(was, is))
		return;
	if (json_is_object(was) && json_is_object(is)) {
		json_object_foreach((json_t *)(uintptr_t)was, key, v) {
			path = cb_strf("%s%s%s", where,
			    *where != '\0' ? "." : "", key);
			diff_walk(d, path, v, json_object_get(is, key));
			free(path);
		}
		json_object_foreach((json_t *)(uintptr_t)is, key, v) {
			if (json_object_get(was, key) != NULL)
				continue;
			path = cb_strf("%s%s%s", where,
			    *where != '\0' ? "." : "", key);
			diff_add(d, path, NULL, v);
			free(path);
		}
	} else if (json_is_array(was) && json_is_array(is) &&
	    json_array_size(was) == json_array_size(is)) {
		json_array_foreach(was, i, v) {
			path = cb_strf("%s[%zu]", where, i);
			diff_walk(d, path, v, json_array_get(is, i));
			free(path);
		}
	} else {
		diff_add(d, where, was, is);
	}
}

static int
check_identity(const struct cb_safetensors *f, const json_t *is)
{
	struct diff d = { "", 0 };
	json_t *was;

	if (cb_safetensors_meta_json(&was, f, "identity") < 0)
		return -1;
	diff_walk(&d, "", was, is);
	json_decref(was);
	if (d.n == 0)
		return 0;
	return cb_fail(CB_EUSAGE, "%s: of another run: %s%s; give another run "
	    "directory, or remove it to start again",
	    cb_safetensors_name(f), d.text, d.n > 4 ? "; ..." : "");
}

/* Every part there, nothing else, all of the right shape. */
static int
check_parts(const struct cb_safetensors *f, const struct parts *all)
{
	const struct cb_array *a, *b;
	char is[128], must[128];
	int i;

	for (i = 0; i < all->n; i++) {
		b = &all->at[i].array;
		if ((a = cb_safetensors_find(f, all->at[i].name)) == NULL)
			return cb_fail(CB_EMISSING, "%s: of another model: no "
			    "%s", cb_safetensors_name(f), all->at[i].name);
		if (a->type != CB_F32 || a->rank != b->rank ||
		    memcmp(a->dim, b->dim, sizeof(*a->dim) * a->rank) != 0)
			return cb_fail(CB_EFORMAT, "%s: of another model: %s "
			    "is %s, must be %s", cb_safetensors_name(f),
			    all->at[i].name,
			    cb_shape_text(is, a->rank, a->dim),
			    cb_shape_text(must, b->rank, b->dim));
	}
	if (cb_safetensors_count(f) != all->n)
		return cb_fail(CB_EFORMAT, "%s: of another model: %d tensors, "
		    "must be %d", cb_safetensors_name(f),
		    cb_safetensors_count(f), all->n);
	return 0;
}

static int
check_sum(const struct cb_safetensors *f)
{
	const char *must = cb_safetensors_meta(f, "checksum");
	const struct cb_array *a;
	struct sum sum = { { 0 } };
	char text[65];
	int i;

	for (i = 0; i < cb_safetensors_count(f); i++) {
		a = &cb_safetensors_at(f, i)->array;
		sum_add(&sum, a->data, cb_array_bytes(a));
	}
	sum_meta(&sum, cb_safetensors_metadata(f));
	sum_text(text, &sum);
	if (must == NULL || strcmp(text, must) != 0)
		return cb_fail(CB_EFORMAT, "%s: damaged: its checksum does not "
		    "fit", cb_safetensors_name(f));
	return 0;
}

/* 1: taken; 0: damaged, message recorded; -1: whole but not ours. */
static int
take_slot(const struct cb_safetensors *f, struct cb_restore *r)
{
	struct parts all = { NULL, 0 };
	const struct cb_array *a;
	json_t *state = NULL;
	int64_t batches = meta_int(f, "batches");
	int i, rc = -1;

	if (check_sum(f) < 0)
		return 0;
	if (batches < 0) {
		cb_fail(CB_EFORMAT, "%s: no count of batches",
		    cb_safetensors_name(f));
		return 0;
	}
	if (check_identity(f, r->identity) < 0 || parts_init(&all, r) < 0 ||
	    check_parts(f, &all) < 0)
		goto done;
	if (cb_safetensors_meta(f, "state") != NULL &&
	    cb_safetensors_meta_json(&state, f, "state") < 0)
		goto done;
	for (i = 0; i < all.n; i++) {
		a = cb_safetensors_find(f, all.at[i].name);
		cb_array_to_f32(all.at[i].array.data, a);
	}
	r->step = meta_int(f, "step");
	r->batches = batches;
	r->state = state;
	rc = 1;
done:
	parts_clear(&all);
	return rc;
}

/* What a killed writer left behind would only fill the disk. */
static void
sweep(const char *path)
{
	char *stale = cb_strf("%s.new", path);

	unlink(stale);
	free(stale);
}

int
cb_restore_load(const char *run, struct cb_restore *r)
{
	struct slot s[SLOTS];
	int i, first, rc = 0, bad = 0;
	char *path;

	for (i = 0; i < SLOTS; i++) {
		path = slot_path(run, i);
		sweep(path);
		slot_open(&s[i], path);
		if (s[i].damaged) {
			cb_warn("%s; passed over", cb_error());
			bad++;
		}
		free(path);
	}
	first = s[1].step > s[0].step;
	for (i = 0; i < SLOTS && rc == 0; i++) {
		if (s[first ^ i].file == NULL)
			continue;
		rc = take_slot(s[first ^ i].file, r);
		if (rc == 0) {
			cb_warn("%s; passed over", cb_error());
			bad++;
		}
	}
	for (i = 0; i < SLOTS; i++)
		cb_safetensors_close(s[i].file);
	if (rc == 0 && bad > 0)
		return cb_fail(CB_EFORMAT, "%s: no whole restore point; remove "
		    "restore.*.safetensors to start again", run);
	return rc;
}
