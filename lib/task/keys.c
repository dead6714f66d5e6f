/*
 * The keys of settings: one row a key gives type, place in the struct, range
 * and defaults.  There are two columns of defaults, as JSON: what the original
 * takes for a key that a settings file leaves out, and the small model that
 * runs without a file.  Reading, writing and checking all walk the same rows.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "keys.h"

static const char *const aggs[] = { "mean", "max", "lse", NULL };
const char *const keys_losses[] = { "ce", "bce", "mse", "rank", "", NULL };
static const char *const decays[] = { "linear", "invsqrt", "constant",
	"multi_step", NULL };

#define BIG 1e9
#define AT(field) offsetof(struct cb_settings, field)
const struct key keys_run[] = {
	{ "task", TEXT, AT(task), 0, 0, 0, "\"\"", NULL, NULL },
	{ "ans2label_path", PATH, AT(ans2label_path), 0, 0, 0, "null", NULL,
	    NULL },
	{ "loss_type", CHOICE, AT(loss_type), 0, 0, 0, "\"\"", NULL,
	    keys_losses },
	{ "num_labels", INT, AT(num_labels), 0, 0, BIG, "0", NULL, NULL },
	{ "margin", REAL, AT(margin), 0, 0, BIG, "0.2", NULL, NULL },
	{ "max_txt_len", INT, AT(max_txt_len), 0, 2, 65536, "20", NULL, NULL },
	{ "max_img_size", INT, AT(max_img_size), 0, 33, 16384, "448", "128",
	    NULL },
	{ "img_pixel_mean", REALS, AT(img_pixel_mean), 3, -BIG, BIG,
	    "[123.675, 116.28, 103.53]", NULL, NULL },
	{ "img_pixel_std", REALS, AT(img_pixel_std), 3, 1e-6, BIG,
	    "[1, 1, 1]", NULL, NULL },
	{ "img_input_format", TEXT, AT(img_input_format), 0, 0, 0, "\"BGR\"",
	    NULL, NULL },
	{ "fps", REAL, AT(fps), 0, 1e-3, 1e4, "1", NULL, NULL },
	{ "num_frm", INT, AT(num_frm), 0, 1, 4096, "3", "2", NULL },
	{ "frm_sampling_strategy", TEXT, AT(frm_sampling_strategy), 0, 0, 0,
	    "\"rand\"", NULL, NULL },
	{ "train_n_clips", INT, AT(train_n_clips), 0, 1, 4096, "3", "1",
	    NULL },
	{ "inference_n_clips", INT, AT(inference_n_clips), 0, 1, 4096, "1",
	    NULL, NULL },
	{ "score_agg_func", CHOICE, AT(score_agg_func), 0, 0, 0, "\"mean\"",
	    NULL, aggs },
	{ "max_n_example_per_group", INT, AT(max_n_example_per_group), 0, 1,
	    1e6, "2", NULL, NULL },
	{ "itm_neg_size", INT, AT(itm_neg_size), 0, 0, 1e6, "1", NULL, NULL },
	{ "itm_neg_prob", REAL, AT(itm_neg_prob), 0, 0, 1, "0.5", NULL,
	    NULL },
	{ "train_batch_size", INT, AT(train_batch_size), 0, 1, 1e6, "128",
	    "16", NULL },
	{ "val_batch_size", INT, AT(val_batch_size), 0, 1, 1e6, "128", "16",
	    NULL },
	{ "gradient_accumulation_steps", INT, AT(gradient_accumulation_steps),
	    0, 1, 1e6, "1", NULL, NULL },
	{ "num_train_epochs", REAL, AT(num_train_epochs), 0, 0, 1e9, "10",
	    NULL, NULL },
	{ "num_valid", INT, AT(num_valid), 0, 1, 1e6, "20", NULL, NULL },
	{ "min_valid_steps", INT, AT(min_valid_steps), 0, 1, BIG, "100", "1",
	    NULL },
	{ "save_steps_ratio", REAL, AT(save_steps_ratio), 0, 0, 1, "0.01",
	    "0.05", NULL },
	{ "seed", INT64, AT(seed), 0, 0, 9e15, "42", NULL, NULL },
	{ "optim", TEXT, AT(optim), 0, 0, 0, "\"adamw\"", NULL, NULL },
	{ "betas", REALS, AT(betas), 2, 0, 0.999999, "[0.9, 0.98]", NULL,
	    NULL },
	{ "learning_rate", REAL, AT(learning_rate), 0, 0, 1e3, "5e-5", "3e-4",
	    NULL },
	{ "weight_decay", REAL, AT(weight_decay), 0, 0, 1e3, "1e-3", NULL,
	    NULL },
	{ "transformer_lr_mul", REAL, AT(transformer_lr_mul), 0, 0, 1e6, "1",
	    NULL, NULL },
	{ "transformer_lr_mul_prefix", TEXT, AT(transformer_lr_mul_prefix), 0,
	    0, 0, "\"\"", NULL, NULL },
	{ "decay", CHOICE, AT(decay), 0, 0, 0, "\"linear\"", NULL, decays },
	{ "step_decay_epochs", MILESTONES, AT(step_decay_epochs),
	    AT(n_step_decay_epochs), 0, BIG, "null", NULL, NULL },
	{ "cnn_learning_rate", REAL, AT(cnn_learning_rate), 0, 0, 1e3, "5e-5",
	    "3e-4", NULL },
	{ "cnn_weight_decay", REAL, AT(cnn_weight_decay), 0, 0, 1e3, "1e-3",
	    NULL, NULL },
	{ "cnn_lr_mul", REAL, AT(cnn_lr_mul), 0, 0, 1e6, "1", NULL, NULL },
	{ "cnn_lr_mul_prefix", TEXT, AT(cnn_lr_mul_prefix), 0, 0, 0,
	    "\"grid_encoder\"", NULL, NULL },
	{ "cnn_lr_decay", CHOICE, AT(cnn_lr_decay), 0, 0, 0, "\"linear\"",
	    NULL, decays },
	{ "cnn_step_decay_epochs", MILESTONES, AT(cnn_step_decay_epochs),
	    AT(n_cnn_step_decay_epochs), 0, BIG, "null", NULL, NULL },
	{ "warmup_ratio", REAL, AT(warmup_ratio), 0, 0, 1, "0.1", NULL, NULL },
	{ "grad_norm", REAL, AT(grad_norm), 0, -1, BIG, "2", "5", NULL },
	{ "freeze_cnn", BOOL, AT(freeze_cnn), 0, 0, 0, "0", NULL, NULL },
	{ "pixel_random_sampling_size", INT, AT(pixel_random_sampling_size),
	    0, 0, 1e6, "0", NULL, NULL },
	{ "init_stats", INT, AT(init_stats), 0, 0, 1e6, "0", "64", NULL },
	{ "augment_shift", INT, AT(augment_shift), 0, 0, 4096, "0", NULL,
	    NULL },
	{ "augment_brightness", REAL, AT(augment_brightness), 0, 0, 1, "0",
	    NULL, NULL },
	{ "e2e_weights_path", PATH, AT(e2e_weights_path), 0, 0, 0, "null",
	    NULL, NULL },
	{ "bert_weights_path", PATH, AT(bert_weights_path), 0, 0, 0, "null",
	    NULL, NULL },
	{ "detectron2_weights_path", PATH, AT(detectron2_weights_path), 0, 0,
	    0, "null", NULL, NULL },
	{ 0 }
};
#undef AT

/* The original's defaults are those of its base_model.json. */
#define AT(field) offsetof(struct cb_model_settings, field)
const struct key keys_model[] = {
	{ "hidden_size", INT, AT(hidden_size), 0, 1, 65536, "768", "128",
	    NULL },
	{ "num_hidden_layers", INT, AT(num_hidden_layers), 0, 0, 1024, "12",
	    "2", NULL },
	{ "num_attention_heads", INT, AT(num_attention_heads), 0, 1, 1024,
	    "12", "4", NULL },
	{ "intermediate_size", INT, AT(intermediate_size), 0, 1, 1e6, "3072",
	    "512", NULL },
	{ "vocab_size", INT, AT(vocab_size), 0, 0, 1e7, "30522", "0", NULL },
	{ "max_position_embeddings", INT, AT(max_position_embeddings), 0, 1,
	    65536, "512", "64", NULL },
	{ "type_vocab_size", INT, AT(type_vocab_size), 0, 1, 1024, "2", NULL,
	    NULL },
	{ "max_grid_row_position_embeddings", INT,
	    AT(max_grid_row_position_embeddings), 0, 1, 65536, "100", "16",
	    NULL },
	{ "max_grid_col_position_embeddings", INT,
	    AT(max_grid_col_position_embeddings), 0, 1, 65536, "100", "16",
	    NULL },
	{ "pad_token_id", INT, AT(pad_token_id), 0, 0, 1e7, "0", NULL, NULL },
	{ "hidden_dropout_prob", REAL, AT(hidden_dropout_prob), 0, 0, 0.999,
	    "0.1", "0", NULL },
	{ "attention_probs_dropout_prob", REAL,
	    AT(attention_probs_dropout_prob), 0, 0, 0.999, "0.1", "0", NULL },
	{ "layer_norm_eps", REAL, AT(layer_norm_eps), 0, 0, 1, "1e-12", NULL,
	    NULL },
	{ "initializer_range", REAL, AT(initializer_range), 0, 0, 1e3, "0.02",
	    "0.1", NULL },
	{ "hidden_act", TEXT, AT(hidden_act), 0, 0, 0, "\"gelu\"", NULL,
	    NULL },
	{ "stem_out_channels", INT, AT(stem_out_channels), 0, 1, 65536, "64",
	    "16", NULL },
	{ "width_per_group", INT, AT(width_per_group), 0, 1, 65536, "64",
	    "16", NULL },
	{ "res2_out_channels", INT, AT(res2_out_channels), 0, 1, 65536, "256",
	    "64", NULL },
	{ "blocks_per_stage", INTS, AT(blocks_per_stage), CB_STAGES, 1, 256,
	    "[3, 4, 6, 3]", "[1, 1, 1, 1]", NULL },
	{ "freeze_at", INT, AT(freeze_at), 0, 0, 5, "2", "0", NULL },
	{ 0 }
};
#undef AT

const char *const keys_idle[] = {
	"train_datasets", "val_datasets", "output_dir", "tokenizer_dir",
	"random_sample_clips",
	"debug", "data_ratio", "n_workers", "pin_mem", "fp16",
	"detectron2_model_cfg", "cnn_optim", "cnn_sgd_momentum", "classifier",
	"cls_hidden_scale", "do_inference", "inference_model_step",
	"inference_split", "inference_txt_db", "inference_img_db",
	"inference_batch_size", "use_itm",
	"use_mlm", "eval_retrieval_batch_size",
	/* found out by a run and saved with its settings */
	"n_gpu", "num_train_steps", "valid_steps", NULL
};
const char *const keys_idle_model[] = {
	"model_type", "max_temporal_position_embeddings", "architectures",
	"gradient_checkpointing", "position_embedding_type", "use_cache",
	"transformers_version", "classifier_dropout", "num_labels",
	"classifier", "cls_hidden_scale", "loss_type", NULL
};

/* ---- one value ------------------------------------------------------------- */

static int
refuse(const struct key *r, const json_t *v, const char *where,
    const char *must)
{
	char *text = cb_json_exact(v, JSON_COMPACT);

	cb_fail(CB_EUSAGE, "%s: %s: must be %s, is %s", where, r->key, must,
	    text != NULL ? text : "?");
	free(text);
	return -1;
}

static int
take_number(double *out, const struct key *r, const json_t *v,
    const char *where)
{
	bool whole = r->kind == INT || r->kind == INT64 || r->kind == INTS ||
	    r->kind == MILESTONES;
	double x = json_number_value(v);
	char must[96];

	snprintf(must, sizeof(must), "a %snumber from %.12g to %.12g",
	    whole ? "whole " : "", r->min, r->max);
	if (!json_is_number(v) || !isfinite(x) || x < r->min || x > r->max ||
	    (whole && x != floor(x)))
		return refuse(r, v, where, must);
	*out = x;
	return 0;
}

static int
take_list(void *base, const struct key *r, const json_t *v, const char *where)
{
	char *to = (char *)base + r->at, must[64];
	size_t n = json_array_size(v), i;
	double x;

	if (r->kind == MILESTONES && json_is_null(v)) {
		*(int *)((char *)base + r->more) = 0;
		return 0;
	}
	if (r->kind == MILESTONES)
		snprintf(must, sizeof(must), "a list of up to %d epochs",
		    CB_MAX_MILESTONES);
	else
		snprintf(must, sizeof(must), "a list of %zu numbers", r->more);
	if (!json_is_array(v) ||
	    (r->kind == MILESTONES ? n > CB_MAX_MILESTONES : n != r->more))
		return refuse(r, v, where, must);
	for (i = 0; i < n; i++) {
		if (take_number(&x, r, json_array_get(v, i), where) < 0)
			return -1;
		if (r->kind == REALS)
			((double *)(void *)to)[i] = x;
		else
			((int *)(void *)to)[i] = (int)x;
	}
	if (r->kind == MILESTONES)
		*(int *)((char *)base + r->more) = (int)n;
	return 0;
}

static int
take_choice(int *to, const struct key *r, const json_t *v, const char *where)
{
	const char *text = json_is_null(v) ? "" : json_string_value(v);
	char must[96] = "one of";
	int i;

	for (i = 0; text != NULL && r->names[i] != NULL; i++) {
		if (strcmp(text, r->names[i]) == 0) {
			*to = i;
			return 0;
		}
	}
	for (i = 0; r->names[i] != NULL; i++)
		if (r->names[i][0] != '\0')
			snprintf(must + strlen(must),
			    sizeof(must) - strlen(must), " %s", r->names[i]);
	return refuse(r, v, where, must);
}

/*
 * A path that a file names is meant from where that file is; where nothing is
 * there, from where we are.
 */
char *
key_path(const char *path, const char *dir)
{
	char *beside;

	if (dir == NULL || path[0] == '/' || path[0] == '\0')
		return cb_strf("%s", path);
	beside = cb_strf("%s/%s", dir, path);
	if (access(beside, F_OK) == 0 || access(path, F_OK) != 0)
		return beside;
	free(beside);
	return cb_strf("%s", path);
}

int
key_take(void *base, const struct key *r, const json_t *v, const char *where,
    const char *dir)
{
	void *to = (char *)base + r->at;
	const char *text;
	double x;

	switch (r->kind) {
	case INT:
	case INT64:
	case REAL:
		if (take_number(&x, r, v, where) < 0)
			return -1;
		if (r->kind == INT)
			*(int *)to = (int)x;
		else if (r->kind == INT64)
			*(int64_t *)to = (int64_t)x;
		else
			*(double *)to = x;
		return 0;
	case BOOL:
		x = json_number_value(v);
		if (!json_is_boolean(v) &&
		    (!json_is_integer(v) || (x != 0 && x != 1)))
			return refuse(r, v, where, "true or false");
		*(bool *)to = json_is_true(v) || x == 1;
		return 0;
	case TEXT:
	case PATH:
		if (!json_is_string(v) && !json_is_null(v))
			return refuse(r, v, where, "a string");
		text = json_is_null(v) ? "" : json_string_value(v);
		free(*(char **)to);
		*(char **)to = key_path(text, r->kind == PATH ? dir : NULL);
		return 0;
	case CHOICE:
		return take_choice(to, r, v, where);
	case INTS:
	case REALS:
	case MILESTONES:
		return take_list(base, r, v, where);
	}
	return 0;
}

const struct key *
key_find(const struct key *rows, const char *key)
{
	for (; rows->key != NULL; rows++)
		if (strcmp(rows->key, key) == 0)
			return rows;
	return NULL;
}

bool
key_listed(const char *const *list, const char *key)
{
	for (; *list != NULL; list++)
		if (strcmp(*list, key) == 0)
			return true;
	return false;
}

/* ---- back to JSON ---------------------------------------------------------- */

/* Whole numbers without a point, as people write them. */
static json_t *
number(double x)
{
	if (x == floor(x) && fabs(x) < 1e15)
		return json_integer((json_int_t)x);
	return json_real(x);
}

json_t *
key_show(const void *base, const struct key *r)
{
	const void *from = (const char *)base + r->at;
	json_t *list;
	size_t n, i;

	switch (r->kind) {
	case INT:
		return json_integer(*(const int *)from);
	case INT64:
		return json_integer(*(const int64_t *)from);
	case REAL:
		return number(*(const double *)from);
	case BOOL:
		return json_boolean(*(const bool *)from);
	case TEXT:
	case PATH:
		return json_string(*(char *const *)from);
	case CHOICE:
		return json_string(r->names[*(const int *)from]);
	case INTS:
	case REALS:
	case MILESTONES:
		break;
	}
	list = json_array();
	n = r->kind == MILESTONES ?
	    (size_t)*(const int *)(const void *)((const char *)base + r->more) :
	    r->more;
	for (i = 0; i < n; i++)
		json_array_append_new(list, r->kind == REALS ?
		    number(((const double *)from)[i]) :
		    json_integer(((const int *)from)[i]));
	return list;
}
