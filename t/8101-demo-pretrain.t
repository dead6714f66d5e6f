#!/bin/bash
# pipelines/demo-pretrain.mk from nothing to the comparison, with few videos and
# steps: that it works and says so, not that pretraining is worth it.
. "$(dirname "$0")/lib.sh"
plan 12

jq '.max_img_size = 64 | .init_stats = 4 | .train_batch_size = 4 |
    .inference_n_clips = 1 | .num_train_epochs = 2 | .model_config.hidden_size = 16 |
    .model_config.num_hidden_layers = 1 | .model_config.intermediate_size = 32 |
    .model_config.stem_out_channels = 4 | .model_config.width_per_group = 4 |
    .model_config.res2_out_channels = 8' "$TOP/pipelines/demo.json" >tiny.json
demo() {
	make -s -f "$TOP/pipelines/demo-pretrain.mk" BIN="$BUILD/bin" \
	    CONFIG=tiny.json VIDEOS=12 HELD_OUT=4 STEPS=3 PRE_EPOCHS=1 \
	    PRE_TEXTS=2 "$@" >out 2>err
}
demo OUT=o; is $? 0 'from nothing to a comparison'
diag <err
is "$(jq -c '[.steps, (.[] | type)] | unique' o/compare.3.json)" '[3,"number"]' \
    'figures'
is "$(jq -s 'map(.step) | max' o/alone.3/log.jsonl o/pretrained.3/log.jsonl)" 3 \
    'as many steps for both'
is "$(jq -r '.settings.task' o/pre/args.json) $(jq -s 'all(.mlm_loss > 0)' o/pre/log.jsonl)" \
    'pretrain true' 'one is pretrained on captions'
like err 'pre/ckpt/model_step_3.safetensors: .* 4 missing as transformer.classifier.0.weight, 7 unexpected' \
    'and the questions begin with it'
is "$(grep -c 'tensors taken' err)" 1 'the other begins afresh'
like out '^questions alone, 3 steps ' 'both figures are printed'
like out '^captions first, then the same ' '...'
before=$(stat -c %Y.%i o/compare.3.json o/*/ckpt/*)
demo OUT=o
is "$(stat -c %Y.%i o/compare.3.json o/*/ckpt/*)" "$before" 'nothing is done twice'
demo OUT=again DATA="$PWD/o/data" TRAIN_FLAGS='-j 1'; is $? 0 'with data that are there'
same o/compare.3.json again/compare.3.json 'the same figures, on one thread too'
demo help && grep -q 'Pretrains the model' out; ok $? 'it explains itself'
