#!/bin/bash
# cb-train as a filter: what it takes, what it fills in, what it refuses.  That
# a run goes on after a kill: 6100-resume.t.
. "$(dirname "$0")/lib.sh"
. "$T/media.sh"
plan 59

SMALL="-s max_img_size=64 -s hidden_size=16 -s num_hidden_layers=1
    -s num_attention_heads=2 -s intermediate_size=32 -s stem_out_channels=4
    -s width_per_group=4 -s res2_out_channels=8 -s init_stats=4
    -s train_batch_size=4 --log-every 1 -j 1"
train() { cb-train $SMALL -o "$@" 2>err; }
equal() { python3 "$T/weights.py" same "$@" 2>&1 | diag; }

mkdir videos
for i in 0 1 2 3 4 5 6 7; do
	video videos/v$i.y4m 20
	echo "{\"question\": \"what is number $i?\", \"video_id\": \"v$i\"," \
	    "\"answer\": \"a$((i % 3))\", \"answer_type\": \"what\"}"
done >train.jsonl

# What the README shows.
cb-decode train.jsonl | cb-sample -n 2 | cb-train -o run 2>err
is "$?" 0 'cb-decode train.jsonl | cb-sample -n 2 | cb-train -o run'
is "$(cat err)" '' '... without a word'
is "$(ls run run/ckpt | tr '\n' ' ')" \
    'run: args.json ckpt log.jsonl restore.0.safetensors  run/ckpt: model_step_1.safetensors ' \
    '... leaves checkpoint, log and restore point'
is "$(jq -c '[.provenance[].program]' run/args.json)" \
    '["cb-decode","cb-sample"]' '... and who made it'
is "$(jq -r '.settings.model_config.hidden_size' run/args.json)" 128 \
    '... with the built-in settings'

# Groups or batches.
cb-list -e 2 train.jsonl | fake-pictures 2 1 40 40 >groups.cb
cb-tokenize <groups.cb | cb-batch -b 4 >batches.cb
END=ckpt/model_step_4.safetensors
train a <batches.cb; is $? 0 'batches in'
train b <groups.cb; is $? 0 'groups in'
equal a/$END b/$END; ok $? 'the same weights come out'
cb-tokenize <groups.cb >ids.cb; train c <ids.cb
equal a/$END c/$END; ok $? '... and from groups with ids'
is "$(jq -s 'length' a/log.jsonl) $(jq -s '.[0].examples' a/log.jsonl)" '4 4' \
    'a line a step'
train d -s seed=43 <batches.cb
equal a/$END d/$END 2>/dev/null; is $? 1 'another seed, other weights'
train e -s init_stats=0 <batches.cb
equal a/$END e/$END 2>/dev/null; is $? 1 'the norms set from data or not'
train f --init-stats 0 <batches.cb
equal e/$END f/$END; ok $? '--init-stats goes over the settings'
train g --memory 1 <batches.cb; is $? 0 'little memory'
first() { jq -sc '.[0] | [.loss, .grad_norm | . * 1e4 | round]' $1/log.jsonl; }
is "$(first g)" "$(first a)" '... takes the same first step'
train clips --clip-memory 1 --memory 1 <batches.cb
is $? 0 'one clip of one video at a time'
is "$(first clips)" "$(first a)" '... takes it too'
train h --steps 3 --checkpoint-every 1 <batches.cb
is "$(ls h/ckpt | tr '\n' ' ')" 'model_step_1.safetensors model_step_2.safetensors model_step_3.safetensors ' \
    '--steps and --checkpoint-every'
train i -s gradient_accumulation_steps=3 <batches.cb
is "$(ls i/ckpt) $(jq -sc 'map(.examples)' i/log.jsonl)" \
    'model_step_2.safetensors [12,4]' 'what is left at the end makes a step'

# Settings.
echo '{"max_img_size": 64, "train_batch_size": 4, "colour": 1, "smell": 2,
    "fp16": 1, "model_config": {"hidden_size": 16, "taste": 3,
    "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 0,
    "intermediate_size": 32, "stem_out_channels": 4, "width_per_group": 4,
    "res2_out_channels": 8, "freeze_at": 0}}' >s.json
cb-train -c s.json -o s -j 1 <batches.cb 2>err; is $? 0 'a file of settings'
is "$(grep -c 'unknown keys' err) $(grep 'unknown keys' err)" \
    '1 cb-train: s.json: unknown keys, passed over: taste, colour, smell' \
    'unknown keys are named once'
train t -s learning_rte=1 <batches.cb
is "$? $(cat err)" '1 cb-train: --set: learning_rte: no such key' 'a slip in -s'
cb-train -c gone.json -o t <batches.cb 2>err
is "$? $(cat err)" '1 cb-train: gone.json: No such file or directory' \
    'no such settings'
train t -s num_labels=2 <batches.cb; is $? 1 'fewer classes than answers'
like err 'num_labels is 2, but the stream has 3' '... are refused'
train t -s task=juggling <batches.cb; is $? 1 'a task that is not built'
like err '"juggling" cannot be trained: ' '... is refused'
is "$(ls -d t 2>&1 | grep -c cannot)" 1 'before anything is written'
train t --on-error perhaps <batches.cb; is $? 2 'a wrong word'
train t batches.cb </dev/null; is $? 2 'an operand'

# Bad media.
cb-list train.jsonl | fake-pictures 2 1 40 40 bad=3 few=5 |
    cb-tokenize >bad.cb
train u <bad.cb; is $? 1 'bad media'
is "$(grep -c '; skipped' err) $(tail -n 1 err)" \
    '2 cb-train: 2 media were skipped' 'are named, and counted'
is "$(jq .examples u/log.jsonl | paste -s)" '4	2' 'the rest is learnt from'
[ -e u/ckpt/model_step_2.safetensors ]; ok $? '... to the end'
train v --on-error stop <bad.cb; is $? 1 '--on-error stop'
like err 'no such file' '... says which medium'
[ -e v/ckpt ]; is $? 1 '... and leaves no checkpoint'
head -n 5 train.jsonl >lost.jsonl
echo '{"question": "q", "video_id": "gone", "answer": "a1"}' >>lost.jsonl
cb-decode lost.jsonl 2>/dev/null | cb-sample -n 2 2>/dev/null | train w
is "${PIPESTATUS[*]}" '1 0 1' 'a medium that is lost upstream'
like err '1 media were skipped' '... is counted once'

# Streams that are not right.
lines() { python3 "$T/json-stream.py"; }
HEAD='{"cb":1,"task":"open_qa","answers":["yes","no"],"vocab":["[PAD]","[UNK]","[CLS]","[SEP]"]'
group() { echo "{\"group\":{\"seq\":0,\"epoch\":0,\"media\":\"m\",\"kind\":\"image\",
    \"examples\":[{\"id\":1,\"question\":\"is it?\"$1}]}}" | tr -d '\n'; echo
	echo '{"picture":{"$tensor":["U8",[40,40,3],1]},"clip":0,"index":0,"pts":0.0}'
	echo '{"end":{"pictures":1,"error":null}}'; }
EOS='{"eos":{"groups":1,"skipped":0,"error":null}}'
{ echo "$HEAD,\"groups\":1}"; group ',"label":2'; echo "$EOS"; } | lines | train x
is $? 1 'a label that is no answer'
like err 'label 2 is not one of 2 answers' '... is named'
{ echo "$HEAD,\"groups\":1}"; group ''; echo "$EOS"; } | lines | train x
is $? 1 'no label'
like err 'has no label' '... is said'
{ echo "$HEAD}"; group ',"label":1'; echo "$EOS"; } >endless.txt
lines <endless.txt | train x; is $? 1 'a stream of unknown length'
like err 'give --steps' '... needs --steps'
lines <endless.txt | train x --steps 1; is $? 0 '... which is enough'
sed 's/"\[UNK\]",//' endless.txt | lines | train y --steps 1
is $? 1 'a vocabulary without [UNK]'
like err 'vocabulary lacks \[UNK\]' '... is said'
cb-list train.jsonl | fake-pictures 2 1 40 40 die=6 2>/dev/null | train z
is $? 1 'a program upstream that dies'
like err '; saved at step 1' '... leaves what was learnt'
: | train z; is "$? $(grep -c . err)" '1 1' 'nothing at all'

# Pretrained weights.
for kind in bert resnet; do
	python3 "$T/weights.py" make $kind a/$END $kind.safetensors
done
train p -s bert_weights_path=bert.safetensors --steps 1 \
    -s detectron2_weights_path=resnet.safetensors <batches.cb
is $? 0 'initial weights of BERT and a ResNet'
like err 'bert.safetensors: 22 tensors taken, 1 missing as transformer.bert.pooler.dense.bias, 1 unexpected as spare.weight, 0 of' \
    'what was taken of BERT'
like err 'resnet.safetensors: [0-9]+ tensors taken, 1 missing as cnn.feature.backbone.stem.conv1.norm.bias, 1 unexpected' \
    'and of the ResNet'
P=p/ckpt/model_step_1.safetensors
is "$(python3 "$T/weights.py" uses bert $P bert.safetensors 2>&1)" 22 \
    'they are in the model'
train q -s detectron2_weights_path=resnet.safetensors --steps 1 \
    --init-stats 0 <batches.cb
is "$(python3 "$T/weights.py" uses resnet q/ckpt/model_step_1.safetensors \
    resnet.safetensors 2>&1)" \
    "$(sed -n 's/.*resnet.safetensors: \([0-9]*\) .*/\1/p' err)" \
    'those of the ResNet too'
python3 "$T/weights.py" resize bert.safetensors cut.safetensors \
    bert.pooler.dense.weight
train r -s bert_weights_path=cut.safetensors <batches.cb; is $? 1 'another shape'
like err 'cut.safetensors: bert.pooler.dense.weight: shape is \[255\], must be \[16, 16\]' \
    '... is named, with both'
train r -s freeze_at=2 <batches.cb
like err 'frozen part of the CNN has random weights' \
    'frozen without pretrained weights: a warning'
