/*
 * Settings as objects and files: defaults, what a file or an option says over
 * them, and what several keys must be together.
 */
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "keys.h"

/* ---- defaults ---------------------------------------------------------------- */

/* Defaults are ours: that they can be read is a matter of tests. */
static void
take_defaults(void *base, const struct key *r, bool small)
{
	json_t *v;

	for (; r->key != NULL; r++) {
		v = json_loads(small && r->small != NULL ? r->small :
		    r->original, JSON_DECODE_ANY, NULL);
		if (v == NULL || key_take(base, r, v, "default", NULL) < 0)
			abort();
		json_decref(v);
	}
}

int
cb_settings_init(struct cb_settings *s)
{
	memset(s, 0, sizeof(*s));
	take_defaults(s, keys_run, true);
	take_defaults(&s->model, keys_model, true);
	return 0;
}

static void
clear_rows(void *base, const struct key *r)
{
	for (; r->key != NULL; r++) {
		if (r->kind == TEXT || r->kind == PATH) {
			free(*(char **)(void *)((char *)base + r->at));
			*(char **)(void *)((char *)base + r->at) = NULL;
		}
	}
}

void
cb_settings_clear(struct cb_settings *s)
{
	if (s == NULL)
		return;
	clear_rows(s, keys_run);
	clear_rows(&s->model, keys_model);
}

/* ---- objects and files --------------------------------------------------------- */

/* Names for a warning: "a, b, c", each once. */
struct names {
	char text[1024];
};

static void
name_add(struct names *n, const char *key)
{
	size_t at = strlen(n->text), len = strlen(key);
	const char *p;

	for (p = n->text; *p != '\0'; p += strspn(p, ", ")) {
		if (strcspn(p, ",") == len && strncmp(p, key, len) == 0)
			return;
		p += strcspn(p, ",");
	}
	snprintf(n->text + at, sizeof(n->text) - at, "%s%s",
	    at > 0 ? ", " : "", key);
}

static int
take_model(struct cb_settings *s, const json_t *object, const char *where,
    struct names *idle, struct names *unknown)
{
	const json_t *in = json_object_get(object,
	    "backbone_channel_in_size");
	const struct key *r;
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)(uintptr_t)object, key, v) {
		if (v == in)
			continue;	/* below */
		if ((r = key_find(keys_model, key)) == NULL)
			name_add(key_listed(keys_idle_model, key) ?
			    idle : unknown, key);
		else if (key_take(&s->model, r, v, where, NULL) < 0)
			return -1;
	}
	if (in != NULL && json_number_value(in) !=
	    8.0 * s->model.res2_out_channels)
		return cb_fail(CB_EUSAGE, "%s: backbone_channel_in_size: the "
		    "CNN gives %d channels (8 x res2_out_channels), not %g",
		    where, 8 * s->model.res2_out_channels,
		    json_number_value(in));
	return 0;
}

/* The original's own file of this name says what our defaults say. */
static bool
is_base_model(const char *path)
{
	const char *slash = strrchr(path, '/');

	return strcmp(slash != NULL ? slash + 1 : path, "base_model.json") == 0
	    && access(path, F_OK) != 0;
}

static int
take_model_config(struct cb_settings *s, const json_t *v, const char *where,
    const char *dir, struct names *idle, struct names *unknown)
{
	char *path = NULL;
	json_t *object = NULL;
	int rc = -1;

	if (json_is_object(v))
		return take_model(s, v, where, idle, unknown);
	if (!json_is_string(v))
		return cb_fail(CB_EUSAGE, "%s: model_config: must be a path or "
		    "an object", where);
	path = key_path(json_string_value(v), dir);
	if (is_base_model(path)) {
		rc = 0;
		goto done;
	}
	if (cb_json_load(&object, path) < 0) {
		cb_fail_at("%s: model_config", where);
		goto done;
	}
	if (!json_is_object(object)) {
		cb_fail(CB_EFORMAT, "%s: not an object", path);
		goto done;
	}
	rc = take_model(s, object, path, idle, unknown);
done:
	json_decref(object);
	free(path);
	return rc;
}

/* "dropout" stands for both probabilities. */
static int
take_dropout(struct cb_settings *s, const json_t *v, const char *where)
{
	struct key r = *key_find(keys_model, "hidden_dropout_prob");

	r.key = "dropout";
	if (key_take(&s->model, &r, v, where, NULL) < 0)
		return -1;
	s->model.attention_probs_dropout_prob = s->model.hidden_dropout_prob;
	return 0;
}

static int
take_key(struct cb_settings *s, const char *key, const json_t *v,
    const char *where, const char *dir, struct names *idle,
    struct names *unknown)
{
	const struct key *r = key_find(keys_run, key);

	if (r != NULL)
		return key_take(s, r, v, where, dir);
	if (strcmp(key, "dropout") == 0)
		return take_dropout(s, v, where);
	name_add(key_listed(keys_idle, key) ? idle : unknown, key);
	return 0;
}

static int
parse(struct cb_settings *s, const json_t *object, const char *where,
    const char *dir)
{
	struct names idle = { "" }, unknown = { "" };
	json_t *v = json_object_get(object, "model_config");
	const char *key;
	int rc = -1;

	memset(s, 0, sizeof(*s));
	take_defaults(s, keys_run, false);
	take_defaults(&s->model, keys_model, false);
	if (!json_is_object(object)) {
		cb_fail(CB_EFORMAT, "%s: settings must be an object", where);
		goto done;
	}
	/* First, since "dropout" goes over it. */
	if (v != NULL && take_model_config(s, v, where, dir, &idle,
	    &unknown) < 0)
		goto done;
	json_object_foreach((json_t *)(uintptr_t)object, key, v)
		if (strcmp(key, "model_config") != 0 &&
		    take_key(s, key, v, where, dir, &idle, &unknown) < 0)
			goto done;
	if (idle.text[0] != '\0')
		cb_warn("%s: keys without effect here: %s", where, idle.text);
	if (unknown.text[0] != '\0')
		cb_warn("%s: unknown keys, passed over: %s", where,
		    unknown.text);
	rc = 0;
done:
	if (rc < 0)
		cb_settings_clear(s);
	return rc;
}

int
cb_settings_parse(struct cb_settings *s, const json_t *object,
    const char *where)
{
	return parse(s, object, where, NULL);
}

int
cb_settings_load(struct cb_settings *s, const char *path)
{
	char *copy = cb_strf("%s", path);
	json_t *object;
	int rc = -1;

	memset(s, 0, sizeof(*s));
	if (cb_json_load(&object, path) == 0) {
		rc = parse(s, object, path, dirname(copy));
		json_decref(object);
	}
	free(copy);
	return rc;
}

int
cb_settings_set(struct cb_settings *s, const char *assignment)
{
	const char *eq = strchr(assignment, '='), *prefix = "model_config.";
	struct names idle = { "" }, unknown = { "" };
	const struct key *r;
	char *key, *bare;
	json_t *v;
	int rc = -1;

	if (eq == NULL || eq == assignment)
		return cb_fail(CB_EUSAGE, "%s: must be key=value", assignment);
	key = cb_strf("%.*s", (int)(eq - assignment), assignment);
	bare = strncmp(key, prefix, strlen(prefix)) == 0 ?
	    key + strlen(prefix) : key;
	v = json_loads(eq + 1, JSON_DECODE_ANY, NULL);
	if (v == NULL && (v = json_string(eq + 1)) == NULL) {
		cb_fail(CB_EUSAGE, "%s: not text", assignment);
		goto done;
	}
	if (bare == key && strcmp(key, "model_config") == 0)
		rc = take_model_config(s, v, "--set", NULL, &idle, &unknown);
	else if ((r = key_find(keys_model, bare)) != NULL)
		rc = key_take(&s->model, r, v, "--set", NULL);
	else if (bare != key)
		rc = cb_fail(CB_EUSAGE, "%s: no such key", key);
	else
		rc = take_key(s, key, v, "--set", NULL, &idle, &unknown);
	if (rc == 0 && unknown.text[0] != '\0')
		rc = cb_fail(CB_EUSAGE, "--set: %s: no such key", unknown.text);
	if (rc == 0 && idle.text[0] != '\0')
		cb_warn("--set: keys without effect here: %s", idle.text);
done:
	json_decref(v);
	free(key);
	return rc;
}

/* ---- several keys together --------------------------------------------------- */

static int
check_model(const struct cb_model_settings *m)
{
	if (m->hidden_size % m->num_attention_heads != 0)
		return cb_fail(CB_EUSAGE, "hidden_size: %d is not a multiple "
		    "of num_attention_heads, %d", m->hidden_size,
		    m->num_attention_heads);
	if (strcmp(m->hidden_act, "gelu") != 0)
		return cb_fail(CB_EUSAGE, "hidden_act: must be gelu, is %s",
		    m->hidden_act);
	if (m->layer_norm_eps != 1e-12)
		return cb_fail(CB_EUSAGE, "layer_norm_eps: must be 1e-12, is "
		    "%g", m->layer_norm_eps);
	if (m->pad_token_id != 0)
		return cb_fail(CB_EUSAGE, "pad_token_id: must be 0, is %d",
		    m->pad_token_id);
	return 0;
}

int
cb_settings_check(const struct cb_settings *s)
{
	/* Five halvings round up, the grid encoder's pooling down. */
	int grid = (s->max_img_size + 31) / 32 / 2;

	if (check_model(&s->model) < 0)
		return -1;
	if (strcmp(s->optim, "adamw") != 0)
		return cb_fail(CB_EUSAGE, "optim: only adamw is built in, not "
		    "%s", s->optim);
	if (strcmp(s->img_input_format, "BGR") != 0)
		return cb_fail(CB_EUSAGE, "img_input_format: must be BGR, is "
		    "%s", s->img_input_format);
	if (s->score_agg_func == CB_SET_LSE && s->loss_type != CB_SET_CE &&
	    s->loss_type != CB_SET_AUTO)
		return cb_fail(CB_EUSAGE, "score_agg_func: lse goes with "
		    "loss_type ce only, not %s", keys_losses[s->loss_type]);
	if (s->max_txt_len > s->model.max_position_embeddings)
		return cb_fail(CB_EUSAGE, "max_txt_len: %d is more than "
		    "max_position_embeddings, %d", s->max_txt_len,
		    s->model.max_position_embeddings);
	if (grid > s->model.max_grid_row_position_embeddings ||
	    grid > s->model.max_grid_col_position_embeddings)
		return cb_fail(CB_EUSAGE, "max_img_size: %d gives a grid of %d "
		    "x %d, more than max_grid_row_position_embeddings or "
		    "max_grid_col_position_embeddings", s->max_img_size, grid,
		    grid);
	return 0;
}

/* ---- back to JSON -------------------------------------------------------------- */

json_t *
cb_settings_json(const struct cb_settings *s)
{
	json_t *all = json_object(), *model = json_object();
	const struct key *r;

	for (r = keys_run; r->key != NULL; r++)
		json_object_set_new(all, r->key, key_show(s, r));
	for (r = keys_model; r->key != NULL; r++)
		json_object_set_new(model, r->key, key_show(&s->model, r));
	json_object_set_new(all, "model_config", model);
	return all;
}
