/*
 * The settings of a training run: ClipBERT's JSON keys under their own names.
 * One table in settings.c gives each key its type, default and range; this
 * struct, args.json and the "config" of a checkpoint are three faces of it.
 */
#ifndef CB_SETTINGS_H
#define CB_SETTINGS_H

#include "base/base.h"

enum cb_decay { CB_LINEAR, CB_INVSQRT, CB_CONSTANT, CB_MULTI_STEP };
/* The order of enum cb_agg and enum cb_loss_kind of the engine, which knows
 * nothing of settings. */
enum cb_set_agg { CB_SET_MEAN, CB_SET_MAX, CB_SET_LSE };
enum cb_set_loss { CB_SET_CE, CB_SET_BCE, CB_SET_MSE, CB_SET_RANK,
	CB_SET_AUTO };		/* "": what the task wants */

#define CB_MAX_MILESTONES 16
#define CB_STAGES 4

/* Keys of "model_config": BERT's, then ours for the ResNet. */
struct cb_model_settings {
	int	 hidden_size, num_hidden_layers, num_attention_heads;
	int	 intermediate_size;
	int	 vocab_size;		/* 0: as many as the stream's vocabulary */
	int	 max_position_embeddings, type_vocab_size;
	int	 max_grid_row_position_embeddings;
	int	 max_grid_col_position_embeddings;
	int	 pad_token_id;
	double	 hidden_dropout_prob, attention_probs_dropout_prob;
	double	 layer_norm_eps, initializer_range;
	char	*hidden_act;
	int	 stem_out_channels, width_per_group, res2_out_channels;
	int	 blocks_per_stage[CB_STAGES];
	int	 freeze_at;		/* 0 nothing, 1 stem, 2 stem and res2 ... */
};

struct cb_settings {
	/* task */
	char	*task;			/* "": what the stream says */
	char	*ans2label_path;	/* "": the stream's answers */
	enum cb_set_loss loss_type;
	int	 num_labels;		/* 0: as many as the stream's answers */
	double	 margin;
	/* input */
	int	 max_txt_len, max_img_size;
	double	 img_pixel_mean[3], img_pixel_std[3];	/* RGB order */
	char	*img_input_format;	/* "BGR": what the CNN is given */
	/* For the filters upstream; the trainer takes what the stream has. */
	double	 fps;
	int	 num_frm;
	char	*frm_sampling_strategy;
	int	 train_n_clips, inference_n_clips;
	enum cb_set_agg score_agg_func;
	int	 max_n_example_per_group;
	int	 itm_neg_size;		/* retrieval: mismatches of a text */
	double	 itm_neg_prob;		/* captions: chance of a mismatch */
	/* training */
	int	 train_batch_size, val_batch_size, gradient_accumulation_steps;
	double	 num_train_epochs;
	int	 num_valid, min_valid_steps;	/* validations of a run, and
						 * steps between two */
	double	 save_steps_ratio;	/* of the run, between restore points */
	int64_t	 seed;
	char	*optim;			/* "adamw" */
	double	 betas[2];
	double	 learning_rate, weight_decay, transformer_lr_mul;
	char	*transformer_lr_mul_prefix;
	enum cb_decay decay;
	int	 step_decay_epochs[CB_MAX_MILESTONES], n_step_decay_epochs;
	double	 cnn_learning_rate, cnn_weight_decay, cnn_lr_mul;
	char	*cnn_lr_mul_prefix;
	enum cb_decay cnn_lr_decay;
	int	 cnn_step_decay_epochs[CB_MAX_MILESTONES];
	int	 n_cnn_step_decay_epochs;
	double	 warmup_ratio;
	double	 grad_norm;		/* -1: no clipping */
	bool	 freeze_cnn;
	int	 pixel_random_sampling_size;	/* cells kept; 0: all */
	/* Ours, for training from scratch.  cb-batch does the augmenting: the
	 * pipelines take its options from here. */
	int	 init_stats;		/* pictures that set the norms; 0: none */
	int	 augment_shift;		/* pixels */
	double	 augment_brightness;
	/* initial weights, safetensors; "": none */
	char	*e2e_weights_path, *bert_weights_path, *detectron2_weights_path;
	struct cb_model_settings model;
};

/*
 * The built-in defaults: a small model that trains from scratch on a CPU
 * (cb-train(1) lists them).  cb_settings_clear() frees the strings.
 */
int	cb_settings_init(struct cb_settings *s);
void	cb_settings_clear(struct cb_settings *s);

/*
 * The original's defaults, then the keys of a file, then "model_config" (an
 * object, or a path: taken relative to the file, else to the working
 * directory; absent: the full-size model).  "dropout" sets both probabilities
 * of model_config; the original has that key too, without effect.  Paths of weights and answers are
 * made relative in the same way.  One warning names the keys that do not apply
 * here, another the unknown ones; wrong types and ranges are errors with file
 * and key.  On failure s is cleared.
 */
int	cb_settings_load(struct cb_settings *s, const char *path);

/* The same from an object; where: the name used in messages. */
int	cb_settings_parse(struct cb_settings *s, const json_t *object,
	    const char *where);

/*
 * One "key=value" over what is there; value is JSON, or else taken as a string.
 * A key of model_config is given as is or as model_config.key.  An unknown key
 * is an error.
 */
int	cb_settings_set(struct cb_settings *s, const char *assignment);

/* What only holds of several keys together; call after the last change. */
int	cb_settings_check(const struct cb_settings *s);

/* All keys, "model_config" as an object; yours to decref.  Parsing it gives
 * the same settings. */
json_t	*cb_settings_json(const struct cb_settings *s);

#endif
