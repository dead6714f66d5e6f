#!/bin/bash
# Steps of a run, steps between validations and between restore points, as the
# original counts them:
#	steps	ceil(epochs * groups / (batch * accumulation))
#	valid	ceil(steps / num_valid / min_valid_steps) * min_valid_steps
#	save	(int)(save_steps_ratio * steps), here at least 1
# and settings files with the keys and values of each of its tasks.
. "$(dirname "$0")/lib.sh"
plan 22

points() { "$BUILD/t/optim" points "$@"; }
ORIGINAL='save_steps_ratio=0.01 min_valid_steps=100'
is "$(points 20 130260 16 1 $ORIGINAL num_valid=100)" '162825 1700 1628' \
    'a run of retrieval'
is "$(points 15 20475 16 1 $ORIGINAL num_valid=15 min_valid_steps=20)" \
    '19196 1280 191' 'of TGIF-QA action'
is "$(points 5 204721 32 1 $ORIGINAL num_valid=30)" '31988 1100 319' 'of VQA'
is "$(points 40 221242 32 2 $ORIGINAL num_valid=200)" '138277 700 1382' \
    'of pretraining'
is "$(points 1 7 4 1 $ORIGINAL)" '2 100 1' 'a run too short for any'
is "$(points 0.5 100 8 1 $ORIGINAL)" '7 100 1' 'half an epoch'
is "$(points 1 65 4 4 $ORIGINAL)" '5 100 1' 'rounded up once'
is "$(points 1 8000 1 1 num_valid=7 min_valid_steps=1)" '8000 1143 400' \
    'num_valid alone'
is "$(points 1 8000 1 1 num_valid=8000 min_valid_steps=3)" '8000 3 400' \
    'min_valid_steps alone'

# Keys and values of the original's files; those of all, then of each task.
common='"img_pixel_mean": [123.675, 116.28, 103.53],
    "img_pixel_std": [1.0, 1.0, 1.0], "img_input_format": "BGR",
    "model_config": "src/configs/base_model.json",
    "detectron2_model_cfg": "src/configs/detectron2_configs/R-50-grid.yaml",
    "tokenizer_dir": "/pretrain/bert-base-uncased/",
    "output_dir": "/storage/run", "gradient_accumulation_steps": 1,
    "min_valid_steps": 100, "num_valid": 30, "learning_rate": 5e-5,
    "weight_decay": 1e-3, "decay": "linear", "optim": "adamw",
    "betas": [0.9, 0.98], "dropout": 0.1, "grad_norm": 5.0,
    "cnn_learning_rate": 5e-5, "cnn_weight_decay": 1e-3,
    "cnn_lr_decay": "linear", "seed": 42, "fp16": 1,
    "e2e_weights_path": "/pretrain/weights.pt",
    "detectron2_weights_path": null, "bert_weights_path": null,
    "train_batch_size": 16, "val_batch_size": 16, "num_train_epochs": 20,
    "train_datasets": [{"name": "x", "txt": "a.jsonl", "img": "/img"}],
    "val_datasets": [{"name": "x", "txt": "b.jsonl", "img": "/img"}]'
IDLE='detectron2_model_cfg, tokenizer_dir, output_dir, fp16, train_datasets, val_datasets'
loads() # NAME KEYS [IDLE]
{
	echo "{$common, $2}" >$1.json
	settings $1.json >out 2>err
	is "$? $(cat err)" \
	    "0 settings: $1.json: keys without effect here: $IDLE${3-}" "$1"
}
loads pretrain '"max_txt_len": 30, "max_img_size": 768,
    "max_n_example_per_group": 2, "pixel_random_sampling_size": 100,
    "use_itm": 1, "use_mlm": 1, "itm_neg_prob": 0.5' ', use_itm, use_mlm'
is "$(jq -c '[.model_config.hidden_size, .model_config.vocab_size]' out)" \
    '[768,30522]' '... is of full size, its model_config being elsewhere'
loads vqa '"ans2label_path": "/txt/vqa/ans2label.json", "max_txt_len": 20,
    "classifier": "mlp", "cls_hidden_scale": 2, "num_labels": 3129' \
    ', classifier, cls_hidden_scale'
loads retrieval '"fps": 2, "num_frm": 2, "train_n_clips": 8, "max_txt_len": 100,
    "score_agg_func": "lse", "loss_type": "ce", "itm_neg_size": 1,
    "max_n_example_per_group": 1'
loads ranking '"num_frm": 2, "train_n_clips": 4, "loss_type": "rank",
    "margin": 0.2, "eval_retrieval_batch_size": 256' \
    ', eval_retrieval_batch_size'
for task in action transition frameqa msrvtt_qa; do
	loads $task '"task": "'$task'", "fps": 1, "num_frm": 1,
	    "train_n_clips": 1, "classifier": "mlp", "cls_hidden_scale": 2,
	    "ans2label_path": "/txt/a.json"' ', classifier, cls_hidden_scale'
done
loads saved '"n_gpu": 8, "num_train_steps": 1000, "valid_steps": 100,
    "num_labels": 2, "random_sample_clips": 1, "inference_n_clips": 16,
    "step_decay_epochs": null, "do_inference": false' \
    ', n_gpu, num_train_steps, valid_steps, random_sample_clips, do_inference'
mkdir -p src/configs; echo '{"hidden_size": 24, "num_attention_heads": 2,
    "classifier": "mlp"}' >src/configs/base_model.json
echo "{$common, \"classifier\": \"mlp\"}" >own.json
settings own.json >out 2>err
sed -i 's/.*without effect here: //; s/, /\n/g' err
is "$(sort err | uniq -d)" '' 'each key is named once'
is "$(jq .model_config.hidden_size out)" 24 'a model_config that is there counts'

# lse with another loss than cross-entropy, whoever chose that.
echo '{"image_id": "x", "question": "what", "labels": {"a": 1}}' >v.jsonl
echo '{"a": 0}' >ans2label.json
cb-list v.jsonl | fake-pictures 1 1 40 40 | cb-train -o run \
    -s score_agg_func=lse 2>err
is "$? $(cat err)" '1 cb-train: score_agg_func: lse goes with loss_type ce only, which is not that of the task vqa' \
    'lse with the loss of vqa is refused'
