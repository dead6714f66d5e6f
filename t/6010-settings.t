#!/bin/bash
. "$(dirname "$0")/lib.sh"; plan 46

# get FILTER: a value of the last output
get() { jq -c "$1" out; }

settings - >out 2>err; is $? 0 'built-in settings'
is "$(get '[.max_img_size, .learning_rate, .decay, .grad_norm,
    .model_config.hidden_size, .model_config.blocks_per_stage,
    .model_config.freeze_at, .model_config.hidden_dropout_prob]')" \
    '[128,0.0003,"linear",5,128,[1,1,1,1],0,0]' 'are those of a small model'
is "$(cat err)" '' 'and quiet'

# A file of the original, shortened.
mkdir d; cat >d/vqa.json <<'J'
{"train_datasets": [{"name": "vqa"}], "max_img_size": 768,
 "img_pixel_mean": [123.675, 116.28, 103.53], "img_pixel_std": [1.0, 1.0, 1.0],
 "img_input_format": "BGR", "model_config": "base.json",
 "e2e_weights_path": "w.st", "detectron2_weights_path": null, "fp16": 1,
 "train_batch_size": 32, "num_train_epochs": 5, "learning_rate": 1e-4,
 "betas": [0.9, 0.98], "dropout": 0.1, "cnn_lr_decay": "multi_step",
 "cnn_step_decay_epochs": [2, 5], "freeze_cnn": 1, "num_labels": 3129,
 "my_own": 1}
J
cat >d/base.json <<'J'
{"hidden_size": 96, "vocab_size": 30522, "model_type": "bert",
 "layer_norm_eps": 1e-12, "hidden_act": "gelu",
 "backbone_channel_in_size": 2048, "hidden_dropout_prob": 0.2}
J
: >d/w.st
settings d/vqa.json >out 2>err; is $? 0 'a file of the original'
is "$(get '[.max_img_size, .train_batch_size, .learning_rate, .freeze_cnn,
    .cnn_lr_decay, .cnn_step_decay_epochs, .num_labels]')" \
    '[768,32,0.0001,true,"multi_step",[2,5],3129]' 'its keys are taken'
is "$(get '[.weight_decay, .grad_norm, .num_frm, .train_n_clips, .seed]')" \
    '[0.001,2,3,3,42]' 'others have the defaults of the original'
is "$(get '[.model_config.hidden_size, .model_config.num_hidden_layers,
    .model_config.stem_out_channels, .model_config.freeze_at]')" \
    '[96,12,64,2]' 'model_config is found beside the file, over the full size'
is "$(get .e2e_weights_path)" '"d/w.st"' 'so are weights'
is "$(get .model_config.hidden_dropout_prob)" 0.1 'dropout goes over model_config'
is "$(wc -l <err)" 2 'two warnings'
like err 'd/vqa.json: keys without effect here: model_type, train_datasets, fp16$' \
    'one of keys without effect'
like err 'd/vqa.json: unknown keys, passed over: my_own$' 'one of unknown keys'

settings d/vqa.json learning_rate=3e-3 hidden_size=48 \
    model_config.freeze_at=0 task=open_qa dropout=0 decay=invsqrt \
    'betas=[0.5,0.6]' seed=9000000000000000 >out 2>err
is $? 0 'settings from the command line'
is "$(get '[.learning_rate, .model_config.hidden_size,
    .model_config.freeze_at, .task, .model_config.hidden_dropout_prob,
    .model_config.attention_probs_dropout_prob, .decay, .betas, .seed]')" \
    '[0.003,48,0,"open_qa",0,0,"invsqrt",[0.5,0.6],9000000000000000]' \
    'go over the file'

# refused MESSAGE ARGUMENT...: status 1 and the message
refused()
{
	local want=$1; shift
	settings "$@" >out 2>err
	is "$? $(tail -n 1 err)" "1 settings: $want" "refused: $*"
}
refused '--set: learning_rate: must be a number from 0 to 1000, is "fast"' \
    - learning_rate=fast
refused '--set: num_frm: must be a whole number from 1 to 4096, is 2.5' \
    - num_frm=2.5
refused '--set: num_frm: must be a whole number from 1 to 4096, is 0' - num_frm=0
refused '--set: betas: must be a list of 2 numbers, is [0.9]' - 'betas=[0.9]'
refused '--set: freeze_cnn: must be true or false, is 2' - freeze_cnn=2
refused '--set: decay: must be one of linear invsqrt constant multi_step, is "x"' \
    - decay=x
refused '--set: score_agg_func: must be one of mean max lse, is 1' \
    - score_agg_func=1
refused '--set: task: must be a string, is 3' - task=3
refused '--set: lr: no such key' - lr=1
refused 'model_config.lr: no such key' - model_config.lr=1
refused 'seed: must be key=value' - seed
refused '--set: seed: must be a whole number from 0 to 9e+15, is -1' - seed=-1
refused '--set: blocks_per_stage: must be a list of 4 numbers, is [1,2]' \
    - 'blocks_per_stage=[1,2]'
refused 'hidden_size: 130 is not a multiple of num_attention_heads, 4' \
    - hidden_size=130
refused 'hidden_act: must be gelu, is relu' - hidden_act=relu
refused 'layer_norm_eps: must be 1e-12, is 1e-05' - layer_norm_eps=1e-5
refused 'pad_token_id: must be 0, is 1' - pad_token_id=1
refused 'optim: only adamw is built in, not adam' - optim=adam
refused 'img_input_format: must be BGR, is RGB' - img_input_format=RGB
refused 'score_agg_func: lse goes with loss_type ce only, not bce' \
    - score_agg_func=lse loss_type=bce
refused 'max_txt_len: 65 is more than max_position_embeddings, 64' \
    - max_txt_len=65
refused 'max_img_size: 2048 gives a grid of 32 x 32, more than max_grid_row_position_embeddings or max_grid_col_position_embeddings' \
    - max_img_size=2048

echo '{"max_txt_len": "20"}' >a.json
refused 'a.json: max_txt_len: must be a whole number from 2 to 65536, is "20"' a.json
echo '{"model_config": {"hidden_size": 0}}' >a.json
refused 'a.json: hidden_size: must be a whole number from 1 to 65536, is 0' a.json
echo '{"model_config": "no.json"}' >a.json
refused 'a.json: model_config: ./no.json: No such file or directory' a.json
echo '{"model_config": 3}' >a.json
refused 'a.json: model_config: must be a path or an object' a.json
echo '{"model_config": {"backbone_channel_in_size": 512}}' >a.json
refused 'a.json: backbone_channel_in_size: the CNN gives 2048 channels (8 x res2_out_channels), not 512' a.json
echo '[]' >a.json; refused 'a.json: settings must be an object' a.json
printf '{"seed": 1,\n"seed": 2}' >a.json
refused "a.json:2: duplicate object key near '\"seed\"'" a.json
printf '{\n"seed": }' >a.json
refused "a.json:2: unexpected token near '}'" a.json
refused 'none.json: No such file or directory' none.json

# Nothing of what the built-in model is may leak into a file, nor the reverse.
echo '{}' >a.json; settings a.json >out 2>err
is "$(get '[.model_config.hidden_size, .model_config.vocab_size,
    .max_img_size, .num_frm]')" '[768,30522,448,3]' \
    'an empty file is the original'
