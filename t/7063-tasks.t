#!/bin/bash
# Questions with options and retrieval: trained, scored, measured.
. "$(dirname "$0")/lib.sh"; plan 27

SMALL="-s max_img_size=64 -s hidden_size=16 -s num_hidden_layers=1
    -s num_attention_heads=2 -s intermediate_size=32 -s stem_out_channels=4
    -s width_per_group=4 -s res2_out_channels=8 -s init_stats=4
    -s initializer_range=0.3 -s train_batch_size=4 -s freeze_at=0 -j 1"
train() { # RUN SETTING...: of stdin
	local run=$1; shift
	cb-train $SMALL -o "$run" "$@" 2>err
}

# options: the answer is in the text, the pictures do not matter
for i in 0 1 2 3 4 5 6 7; do
	if [ $((i % 2)) -eq 0 ]; then
		o='"here", "there", "gone", "away"' a=1
	else
		o='"away", "gone", "here", "there"' a='"3"'
	fi
	echo "{\"question\": \"where is $i?\", \"gif_name\": \"v$i\"," \
	    "\"options\": [$o], \"answer\": $a, \"task\": \"action\"}"
	[ $((i % 3)) -ne 0 ] || echo "{\"question\": \"and this?\"," \
	    "\"gif_name\": \"v$i\", \"answer\": 2," \
	    "\"options\": [\"away\", \"gone\", \"there\", \"here\"]}"
done >mc.jsonl
cb-list -e 2 mc.jsonl | fake-pictures 2 1 40 40 >mc.cb
train mc <mc.cb; is $? 0 'a choice among options is trained'
[ -s err ] && diag <err
is "$(jq -s 'all(.loss > 0.1 and .loss < 20)' mc/log.jsonl)" true 'its loss'
cb-list --split eval mc.jsonl | fake-pictures 2 1 40 40 >mce.cb
cb-score -j 1 -m mc -k 9 <mce.cb >mc.out 2>err; is "$? $(cat err)" '0 ' 'scored'
is "$(wc -l <mc.out) $(jq -s -c 'map(.question_id) == [0,1,2,3,4,5,6,7,8,9,10]' mc.out)" \
    '11 true' 'a line for each question'
is "$(jq -s -c 'all((.answers | map(.[1]) | add * 1000 | round) == 1000 and
    (.answers | map(.[0]) | sort) == [0,1,2,3] and .answer == .label)' mc.out)" \
    true 'probabilities of the options'
for b in 1 3; do
	cb-score -j 1 -m mc -k 9 -b $b <mce.cb | jq -c '[.question_id,.answer]' >b.out
	jq -c '[.question_id,.answer]' mc.out | cmp -s - b.out
	ok $? "$b media at a time"
done
cb-eval mc.jsonl mc.out >m.json; is $? 0 'and measured'
is "$(jq -c '[.questions, .missing, .ratios.action_ratio[1]]' m.json)" \
    '[11,0,8]' 'all of them'
cb-list -e 20 mc.jsonl | fake-pictures 1 1 40 40 |
    train learn -s learning_rate=0.02 -s warmup_ratio=0; is $? 0 'longer'
cb-score -j 1 -m learn <mce.cb 2>err | cb-eval mc.jsonl | jq .overall_acc >acc
is "$(jq '. > 0.7' acc)" true 'the choice is learnt' || diag <acc
train t -s task=action -s num_labels=4 <mc.cb; is $? 0 "the original's names"
train t5 -s num_labels=5 <mc.cb; is $? 1 'another number of options'
like err 'batch 0: 4 options a question, the model has 5' '... is told'

# retrieval
for i in 0 1 2 3 4 5; do
	echo "{\"caption\": \"number $i is shown\", \"clip_name\": \"v$i\"}"
done >r.jsonl
cb-list -e 2 -n 2 r.jsonl | fake-pictures 2 1 40 40 >r.cb
train ce <r.cb; is $? 0 'retrieval is trained'
train rank -s loss_type=rank <r.cb; is $? 0 '... with the rank loss'
cb-list -e 2 -n 0 r.jsonl | fake-pictures 2 1 40 40 |
    train none -s loss_type=rank
is "$? $(grep -c 'one match for each medium with equally many mismatches' err)" \
    '1 1' '... which needs mismatches'
train bce -s loss_type=bce <r.cb
is "$? $(grep -c 'retrieval goes with the loss_type ce or rank' err)" '1 1' \
    'another loss'
cb-list --split eval r.jsonl | fake-pictures 2 1 40 40 >re.cb
for m in ce rank; do
	cb-score -j 1 -m $m --pairs r.jsonl <re.cb >$m.out 2>err
	is "$? $(cat err)" '0 ' "$m: all pairs are scored"
	cb-eval r.jsonl $m.out >m.json; is $? 0 "$m: and measured"
done
is "$(jq -c '[keys_unsorted, .media, (.scores | length)]' ce.out | tail -n 1)" \
    '[["media","scores"],"v5",6]' 'a line for each medium'
is "$(jq -s 'map(.scores[]) | all(. >= 0 and . <= 1) and length == 36 and
    (unique | length) > 20' ce.out)" true 'of probabilities'
is "$(jq -c '[.texts,.media,.pairs,.missing]' m.json)" '[6,6,36,0]' 'all'

# captions to choose from, by a retrieval model: its scores of the pairs
jq -c -n '{qid: "q", clip_name: "v0", answer: 3,
    options: [range(6) | "number \(.) is shown"]}' >cm.jsonl
cb-list --split eval cm.jsonl | fake-pictures 2 1 40 40 |
    cb-score -j 1 -m ce -k 1 >cm.out 2>err
is "$(jq -c '[.question_id, .answer, (.prob * 10000 | round)]' cm.out)" \
    "$(jq -c 'select(.media == "v0").scores | to_entries | max_by(.value) |
        ["q", .key, (.value * 10000 | round)]' ce.out)" \
    'a retrieval model chooses the caption that matches best'
cb-eval cm.jsonl cm.out >m.json
is "$? $(grep -cE '"(10)?0.00"' m.json)" '0 1' 'which is measured too'
