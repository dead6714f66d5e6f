#!/bin/bash
# Weights in the formats of others: a checkpoint of the original scored, and
# each setting that names weights, with each format.
. "$(dirname "$0")/lib.sh"
plan 28
tab=$(printf '\t')
convert() { python3 "$T/convert.py" "$@"; }
SMALL="-s max_img_size=64 -s hidden_size=16 -s num_hidden_layers=1
    -s num_attention_heads=2 -s intermediate_size=32 -s stem_out_channels=4
    -s width_per_group=4 -s res2_out_channels=8 -s init_stats=4
    -s initializer_range=0.3 -s train_batch_size=4 -j 1"
for i in 0 1 2 3; do
	echo "{\"question\": \"what is number $i?\", \"video_id\": \"v$i\"," \
	    "\"answer\": \"a$((i % 3))\"}"
done >train.jsonl
cb-list train.jsonl | fake-pictures 2 1 40 40 >train.cb
train() { local run=$1; shift; cb-train $SMALL -o $run "$@" <train.cb 2>err; }
train a; is $? 0 'a model'
A=$(echo a/ckpt/*)
jq .settings a/args.json >s.json
cb-dump <train.cb | jq -c 'select(.vocab).answers' >answers.json
cb-dump <train.cb | jq -r 'select(.vocab).vocab[]' >vocab.txt
cb-score -j 1 -m a <train.cb >want.jsonl

# ---- the original's file, scored
for form in zip legacy; do
	convert clipbert $form "$A" clip-$form.pt
	cb-import -o m.st -c s.json -v vocab.txt -a answers.json -t open_qa \
	    clip-$form.pt >lines 2>err
	is "$? $(grep -c "^missing" lines)" '0 0' "a $form file with settings"
	cb-score -j 1 -m m.st <train.cb >got.jsonl 2>err; is $? 0 '... can be scored'
	same want.jsonl got.jsonl '... with the same result'
done
is "$(cut -f1 lines | sort | uniq -c | tr -s ' ' | paste -sd,)" \
    " 3 left out, $(grep -c ^renamed lines) renamed" 'nothing is unexpected'
cb-dump m.st | jq -c 'select(.metadata).metadata | [.format, .task, .step]' >got
is "$(cat got)" '["cb-checkpoint 1","open_qa","0"]' 'it is a checkpoint'
cb-import -o plain.st clip-zip.pt >lines 2>err
cb-score -m plain.st <train.cb >got 2>err; is $? 1 'without settings it is none'
like err 'plain.st: not a checkpoint of cb-train' '... which is said'

# ---- what does not fit
python3 "$T/weights.py" drop "$A" less.st transformer.bert.pooler.dense.bias
settings() { cb-import -o bad.st -c "$1" -v vocab.txt -t open_qa \
    -a answers.json "$2" >lines 2>err; }
settings s.json less.st; is $? 1 'a weight less'
is "$(grep ^missing lines)" "missing${tab}transformer.bert.pooler.dense.bias" \
    'is named as missing'
is "$(cat err)" 'cb-import: bad.st: not written: 1 weights of the model are missing' \
    'and no file is written'
python3 "$T/weights.py" resize "$A" cut.st transformer.bert.pooler.dense.weight
settings s.json cut.st; is $? 1 'another shape'
like err 'cut.st: transformer.bert.pooler.dense.weight: shape is \[255\], must be \[16, 16\]$' \
    'is told with both'
jq '.model_config.num_hidden_layers = 2' s.json >two.json
settings two.json "$A"
is "$? $(grep -c "^missing${tab}transformer.bert.encoder.layer.1" lines)" '1 16' \
    'a model of more layers'
cb-list train.jsonl | cb-dump >/dev/null
jq '.model_config.num_hidden_layers = 0' s.json >none.json
settings none.json "$A"; s=$?
[ $s -eq 1 ] || is "$(grep -c ^unexpected lines)" 16 'one of less'
[ $s -eq 0 ] || ok 0 'one of less'
cb-import -o bad.st -c s.json "$A" >lines 2>err; is $? 2 'settings need a vocabulary'

# ---- initial weights: all formats give the same model as safetensors
for kind in bert resnet; do
	python3 "$T/weights.py" make $kind "$A" $kind.st
done
convert same zip bert.st bert.bin
convert same legacy bert.st bert.pt
convert same numpy resnet.st resnet.pkl
convert same zip resnet.st resnet.pth
# equal KEY FILE OTHER: one step from either ends with the same weights
equal()
{
	rm -rf b c
	train b -s $1=$2 --steps 1 || diag <err
	train c -s $1=$3 --steps 1 || diag <err
	python3 "$T/weights.py" same b/ckpt/* c/ckpt/* 2>err
	ok $? "$1: $3"
}
equal e2e_weights_path "$A" clip-zip.pt
equal e2e_weights_path "$A" clip-legacy.pt
equal bert_weights_path bert.st bert.bin
equal bert_weights_path bert.st bert.pt
equal detectron2_weights_path resnet.st resnet.pkl
equal detectron2_weights_path resnet.st resnet.pth
convert torchvision zip "$A" tv.pth
train d -s detectron2_weights_path=tv.pth --steps 1; is $? 0 'torchvision names'
like err 'tv.pth: a torchvision ResNet: its stride' '... with their warning'
like err 'tv.pth: [0-9]+ tensors taken' '... are taken'
