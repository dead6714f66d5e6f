#!/bin/bash
# pipelines/pretrain.mk, vqa.mk and tgif-count.mk on the real set: a few steps of a
# tiny model from annotations to figures, from folders and from LMDBs; models that
# begin with what was pretrained; and what is said of missing files.
. "$(dirname "$0")/lib.sh"
[ -e "$SHARED/media/annotations" ] || skip_all 'no media'
plan 32
A=$SHARED/media/annotations

cat >tiny.json <<'X'
{"max_img_size": 64, "max_txt_len": 16, "train_batch_size": 4,
 "val_batch_size": 8, "gradient_accumulation_steps": 2,
 "max_n_example_per_group": 2, "num_train_epochs": 1, "num_frm": 2,
 "train_n_clips": 1, "inference_n_clips": 2, "init_stats": 4, "dropout": 0.1,
 "model_config": {"hidden_size": 16, "num_hidden_layers": 1,
 "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 0,
 "max_position_embeddings": 16, "max_grid_row_position_embeddings": 4,
 "max_grid_col_position_embeddings": 4, "stem_out_channels": 4,
 "width_per_group": 4, "res2_out_channels": 8, "blocks_per_stage": [1, 1, 1, 1],
 "freeze_at": 0}}
X
jq '.task = "pretrain" | .pixel_random_sampling_size = 3 | .max_img_size = 128' \
    tiny.json >pretrain.json
jq '.task = "count"' tiny.json >count.json
pipe() { # PIPELINE ...
	local p=$1; shift
	make -s -f "$TOP/pipelines/$p.mk" BIN="$BUILD/bin" "$@" >out 2>err
}

# two sets of pictures; the last four of each are held out
mkdir -p data/coco data/vg
jq -r .coco_id "$A/captions.jsonl" | uniq >ids
for s in coco vg; do
	ln -s "$SHARED/media/images" data/$s/images
	sed -n "$([ $s = coco ] && echo 1,20p || echo 21,36p)" ids >$s.ids
	jq -c --rawfile ids $s.ids --arg key ${s}_id 'select(.coco_id as $i |
	    $ids | split("\n") | index($i)) | {caption, ($key): .coco_id}' \
	    "$A/captions.jsonl" >$s.all
	n=$(($(wc -l <$s.all) - 12))
	head -n $n $s.all >data/$s/train.jsonl
	tail -n 12 $s.all >data/$s/val.jsonl
done
pipe pretrain DATA=data CONFIG=pretrain.json OUT=p; is $? 0 'from captions to figures'
diag <err
is "$(jq -c 'keys' p/metrics.json)" '["coco","vg"]' 'of each set'
is "$(jq -c '[.[] | .mlm_acc, .itm_acc, .mlm_loss, .itm_loss | type] | unique' \
    p/metrics.json)" '["number"]' 'losses and accuracies'
is "$(jq -c '[.[].captions]' p/metrics.json)" '[12,12]' 'of every caption'
like out '^vg itm_acc ' 'they are printed'
is "$(jq -s 'map(.examples) | add' p/run/log.jsonl)" \
    "$(($(wc -l <data/coco/train.jsonl) + $(wc -l <data/vg/train.jsonl) + 28))" \
    'two texts a picture, each once in an epoch, filled up to pairs'
is "$(jq -c '.valid.captions // empty' p/run/log.jsonl | sort -u)" 24 \
    'validated on those of all sets'
before=$(stat -c %Y.%i p/metrics.json p/run/ckpt/*)
pipe pretrain DATA=data CONFIG=pretrain.json OUT=p
is "$(stat -c %Y.%i p/metrics.json p/run/ckpt/*)" "$before" 'nothing is done twice'
cb-pack data/vg/images.lmdb data/vg/images/ 2>err
pipe pretrain DATA=data CONFIG=pretrain.json OUT=l TRAIN_FLAGS='-j 1'
is $? 0 'with an LMDB'
weights() { cb-dump "$1"/run/ckpt/* | tail -n +2; }
cmp -s <(weights p) <(weights l); ok $? 'the same weights'

# questions about those pictures
mkdir q r; ln -s "$SHARED/media/images" q/images; cp -r data/vg/images.lmdb r
jq '.task = "vqa"' tiny.json >vqa.json
for d in q r; do
	head -n 20 "$A/vqa.jsonl" >$d/train.jsonl
	tail -n 6 "$A/vqa.jsonl" >$d/val.jsonl
	cp "$A/vqa_ans2label.json" $d/ans2label.json
	cp p/vocab.txt $d
	pipe vqa DATA=$d CONFIG=vqa.json OUT=v.$d \
	    TRAIN_FLAGS="-s e2e_weights_path=$(echo "$PWD"/p/run/ckpt/*)"
	is $? 0 "questions about pictures, $d"
	diag <err
	is "$(jq -c '[.questions, .missing, (.overall_acc | type)]' \
	    v.$d/metrics.json)" '[6,0,"number"]' 'figures'
done
cmp -s <(weights v.q) <(weights v.r); ok $? 'the same weights from an LMDB'

# how often?  The questions are real ones, the numbers are not.
mkdir v; ln -s "$SHARED/media/videos" v/videos
jq -c -s 'group_by(.gif_name) | to_entries[] | {gif_name: .value[0].gif_name,
    question: .value[0].question, answer: (.key % 9 + 2)}' \
    "$A/videoqa_frameqa.jsonl" >all
head -n 18 all >v/train.jsonl; tail -n 6 all >v/val.jsonl
cp p/vocab.txt v
pipe tgif-count DATA=v CONFIG=count.json OUT=c \
    TRAIN_FLAGS="-s e2e_weights_path=$(echo "$PWD"/p/run/ckpt/*)"
is $? 0 'counts, from GIFs and videos'
diag <err
like err 'tensors taken, .* missing as transformer.regressor' \
    'begun with what was pretrained'
is "$(jq -c '[.questions, .missing, (.mse | type), (.constant_mse | type)]' \
    c/metrics.json)" '[6,0,"number","number"]' 'figures'
is "$(jq -s 'all(.answer >= 1 and .answer <= 10)' c/predictions.jsonl)" true \
    'answers from 1 to 10'
like out '^mse ' 'they are printed'
is "$(jq '.valid.questions // empty' c/run/log.jsonl | sort -u)" 6 'validated'
mkdir w; cp v/*.jsonl v/vocab.txt w; mkdir some
for i in $(jq -r .gif_name all | head -n 24); do ln -s "$SHARED/media/videos/$i".* some; done
for i in $(jq -r .gif_name v/val.jsonl); do ln -sf "$SHARED/media/videos/$i".* some; done
cb-pack w/videos.lmdb some 2>err
pipe tgif-count DATA=w CONFIG=count.json OUT=d \
    TRAIN_FLAGS="-s e2e_weights_path=$(echo "$PWD"/p/run/ckpt/*)"
is $? 0 'with an LMDB'
cmp -s <(weights c) <(weights d); ok $? 'the same weights'

# what they say
for p in pretrain tgif-count; do
	pipe $p help; is $? 0 "$p explains itself"
	like out 'DATA holds' '... and the layout of DATA'
	pipe $p DATA=nowhere; is $? 2 'a folder that is not there'
	like err 'nowhere/.*train.jsonl is missing' '... is named'
done
echo '{"caption"' >>data/vg/val.jsonl
pipe pretrain DATA=data CONFIG=pretrain.json OUT=p
like err 'vg/val.jsonl:13: not JSON' 'a wrong line is named'
