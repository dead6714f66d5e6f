#!/bin/bash
# Pretraining on captions and counting: trained, scored, measured; and what was
# pretrained is where another task begins.
. "$(dirname "$0")/lib.sh"; plan 41

SMALL="-s max_img_size=128 -s hidden_size=32 -s num_hidden_layers=1
    -s num_attention_heads=2 -s intermediate_size=32 -s stem_out_channels=4
    -s width_per_group=4 -s res2_out_channels=8 -s init_stats=4
    -s initializer_range=0.1 -s train_batch_size=4 -s freeze_at=0 -j 1"
train() { # RUN SETTING...: of stdin
	local run=$1; shift
	cb-train $SMALL --log-every 1 -o "$run" "$@" 2>err
}
tensors() { cb-dump "$(weights "$1")" | tail -n +2; }
weights() { echo "$1"/ckpt/*.safetensors; }

# two texts an image; the second word follows from the first
words=(red green blue black white)
for i in $(seq 0 11); do
	a=${words[i % 5]} b=${words[(i + 1) % 5]}
	echo "{\"caption\": \"$a then $b is seen\", \"coco_id\": $i}"
	echo "{\"caption\": \"it is $a then $b\", \"coco_id\": $i}"
done >c.jsonl
printf '%s\n' '[PAD]' '[UNK]' '[CLS]' '[SEP]' '[MASK]' it is then seen what \
    how often "${words[@]}" >vocab.txt
list() { cb-list -g 2 --vocab vocab.txt "$@"; }
list -e 2 c.jsonl | fake-pictures 1 1 40 40 >g.cb
train a <g.cb; is "$? $(grep -v 'init_stats' err)" '0 ' 'captions are trained on'
is "$(jq -c '[.mlm_loss, .itm_loss, .mlm_acc, .itm_acc | type]' a/log.jsonl |
    sort -u)" '["number","number","number","number"]' \
    'losses and accuracies of both in the log'
is "$(jq -s 'all(((.mlm_loss + .itm_loss - .loss) | fabs) < 1e-5 and
    .mlm_loss > 0 and .itm_loss > 0 and .itm_acc >= 0 and .itm_acc <= 1)' \
    a/log.jsonl)" true 'the losses add up'
cb-tokenize <g.cb | cb-batch -b 4 | train b; is $? 0 'from batches'
cmp -s <(tensors a) <(tensors b); ok $? 'the words are masked in the same way'
is "$(jq -c .task a/args.json) $(cb-dump "$(weights a)" | jq -r '.name // empty' |
    grep -c 'transformer.cls')" 'null 9' 'the heads of pretraining'
head -c $(($(wc -c <g.cb) * 2 / 3)) g.cb | train cut; is $? 1 'broken off'
train cut <g.cb; is $? 0 'and gone on with'
same "$(weights a)" "$(weights cut)" 'the same weights'

# some cells of the grid, in training only
train cells -s pixel_random_sampling_size=2 <g.cb; is $? 0 'two of four cells'
cmp -s "$(weights a)" "$(weights cells)"; is $? 1 'are other weights'
train cells2 -s pixel_random_sampling_size=2 -j 2 <g.cb
same "$(weights cells)" "$(weights cells2)" 'the same ones again'
train cells4 -s pixel_random_sampling_size=4 <g.cb
cmp -s <(tensors a) <(tensors cells4); ok $? 'all of them is the whole grid'
list --split eval c.jsonl | fake-pictures 1 1 40 40 >e.cb
cb-score -j 1 -m cells <e.cb >s1; cb-score -j 1 -m cells <e.cb >s2
same s1 s2 'scoring draws no cells'

# what it tells
list --split eval --mismatch 0.5 c.jsonl | fake-pictures 1 1 40 40 >e.cb
cb-score -j 1 -m a <e.cb >told 2>err; is "$? $(cat err)" '0 ' 'scored'
is "$(head -n 1 told | jq -c keys_unsorted)" \
    '["question_id","caption","media","match","score","words"]' 'a line a text'
is "$(jq -s -c '[length, (map(.match) | unique)]' told)" '[24,[0,1]]' \
    'with mismatches'
cb-tokenize <e.cb | python3 "$T/values.py" >v
is "$(jq -s -c 'map(.words[][0])' told)" "$(jq -s -c '(.[0].vocab) as $v |
    map(select(.group).group.mlm_labels[][] | select(. >= 0) | $v[.])' v)" \
    'the words are those that were masked'
cb-score -j 1 -m a -b 1 <e.cb | jq -c '[.words[][1]]' >w1
jq -c '[.words[][1]]' told | cmp -s - w1; ok $? 'one medium at a time'
cb-eval c.jsonl told >m; is $? 0 'measured'
is "$(jq -c '[.captions, .words]' m)" "[24,$(jq -s 'map(.words | length) |
    add' told)]" 'all of them'
list -e 120 c.jsonl | fake-pictures 1 1 40 40 | train learn \
    -s learning_rate=0.01 -s cnn_learning_rate=0.001
is $? 0 'longer'
list --split eval --mismatch 0.5 c.jsonl | fake-pictures 1 1 40 40 |
    cb-score -j 1 -m learn | cb-eval c.jsonl >m
is "$(jq '.mlm_acc > 1.5 * .most_frequent_word_acc' m)" true \
    'words are told' || diag <m
is "$(jq -s '(.[-20:] | map(.mlm_loss) | add) < 0.5 * (.[:20] |
    map(.mlm_loss) | add)' learn/log.jsonl)" true 'the loss falls'

# where other tasks begin
for i in $(seq 0 11); do
	echo "{\"question\": \"what is seen\", \"video_id\": \"v$i\"," \
	    "\"answer\": \"${words[i % 5]}\"}"
done >q.jsonl
list q.jsonl | fake-pictures 2 1 40 40 >q.cb
train qa -s e2e_weights_path="$(weights a)" --steps 1 <q.cb
is $? 0 'questions begin with what was pretrained'
n=$(cb-dump "$(weights a)" | jq -r '.name // empty' | grep -vc transformer.cls)
like err "$n tensors taken, 4 missing as transformer.classifier.0.weight, 7 unexpected as transformer.cls.predictions.bias, 0 of another shape" \
    'the heads are missing and unexpected, all else is taken'
for i in $(seq 0 5); do
	echo "{\"caption\": \"it is ${words[i % 5]}\", \"clip_name\": \"v$i\"}"
done >r.jsonl
cb-list --vocab vocab.txt r.jsonl | fake-pictures 2 1 40 40 |
    train ret -s e2e_weights_path="$(weights a)" --steps 1
is "$? $(grep -c "$n tensors taken, 4 missing" err)" '0 1' 'so does retrieval'
tac vocab.txt >tacov.txt
cb-list --vocab tacov.txt q.jsonl | fake-pictures 2 1 40 40 |
    train other -s e2e_weights_path="$(weights a)"
is "$? $(grep -c 'its vocabulary is not that of the stream' err)" '1 1' \
    'words in another order are refused'
cb-tokenize -m 0.5 <q.cb | train no; is $? 1 'masked words for another task'
like err 'its words are masked, which is for pretraining: cb-tokenize -m 0' \
    'are refused'
cb-tokenize -m 0.5 <q.cb | cb-score -j 1 -m qa >out 2>err
is "$? $(grep -c 'its words are masked' err)" '1 1' 'in scoring too'
cb-tokenize -m 0 <g.cb | train no
is "$? $(grep -c 'no masked words to learn from' err)" '1 1' \
    'no words to learn from'

# how often?
for i in $(seq 0 15); do
	n=$((2 + i % 4 * 2))
	echo "{\"question\": \"how often is ${words[i % 4]} seen\"," \
	    "\"gif_name\": \"v$i\", \"answer\": $n}"
done >n.jsonl
list -g 1 n.jsonl | fake-pictures 2 1 40 40 | cb-batch -b 5 >n.cb
is "$(python3 "$T/values.py" <n.cb | jq -c 'select(.batch).batch.labels' |
    tail -n 1 | jq -c 'map(type) | unique')" '["number"]' 'counts as labels'
train one <n.cb; is $? 0 'the last batch has one row only'
like err 'batch 3 has one row, too few for the batch norm of this head; left out' \
    'which is told'
list -g 1 n.jsonl | fake-pictures 2 1 40 40 | train all -s train_batch_size=1
is "$? $(grep -c 'one row; the batch norm of this head learns from two' err)" \
    '1 1' 'all batches have'
list -g 1 -e 80 n.jsonl | fake-pictures 2 1 40 40 | cb-batch -b 5 --drop-last |
    train count -s learning_rate=0.01
is $? 0 'counting is trained'
list --split eval n.jsonl | fake-pictures 2 1 40 40 |
    cb-score -j 1 -m count >out; is $? 0 'scored'
is "$(jq -s -c 'all(.answer == ((.score + 0.5) | floor |
    if . < 1 then 1 elif . > 10 then 10 else . end)) and length == 16' out)" \
    true 'scores are rounded to answers'
cb-eval n.jsonl out >m
is "$? $(jq '.mse < 0.5 * .constant_mse' m)" '0 true' 'and learnt' || diag <m
train count5 -s loss_type=ce <n.cb
is "$? $(grep -c 'regression goes with the mse loss' err)" '1 1' 'another loss'
