#!/bin/bash
# cb-train --val: measured on a stream of its own while it trains; best and last
# checkpoints stay; nothing else changes.
. "$(dirname "$0")/lib.sh"
plan 47

for i in 0 1 2 3 4 5 6 7 8 9 10 11; do
	echo "{\"question\": \"what is number $i?\", \"video_id\": \"v$i\"," \
	    "\"answer\": \"a$((i % 3))\", \"answer_type\": \"what\"}"
done >train.jsonl
head -n 7 train.jsonl | sed '4s/"a0"/"never seen"/' >val.jsonl
cb-vocab -o vocab.txt train.jsonl
cb-vocab -o other.txt <(sed 's/what/which/' train.jsonl)
echo '{"a0": 0, "a1": 1, "a2": 2}' >ans2label.json
cb-list -e 4 train.jsonl | fake-pictures 2 1 40 40 | cb-tokenize |
    cb-batch -b 4 >in.cb || exit 1		# 12 batches
cb-list --split eval val.jsonl 2>/dev/null | fake-pictures 2 1 40 40 >val.cb
SMALL="-s max_img_size=64 -s hidden_size=32 -s num_hidden_layers=1
    -s num_attention_heads=2 -s intermediate_size=32 -s stem_out_channels=4
    -s width_per_group=4 -s res2_out_channels=8 -s init_stats=4
    -s hidden_dropout_prob=0.1 -s gradient_accumulation_steps=2
    -s num_valid=3 -s learning_rate=3e-3 -s cnn_learning_rate=3e-3 --log-every 1 -j 1"
train() { timeout 60 cb-train $SMALL -o "$@" 2>err; }
END=ckpt/model_step_6.safetensors
steps() { ls $1/ckpt | tr -dc '0-9\n' | sort -n | paste -sd' '; }

train plain <in.cb; is $? 0 'a run without'
train whole --val 'cat val.cb' <in.cb; is $? 0 'a run with validation'
is "$(cat err)" '' '... without a word'
same whole/$END plain/$END 'the weights are the same'
is "$(jq -c 'select(.valid) | .step' whole/log.jsonl | paste -sd' ')" '2 4 6' \
    'num_valid=3 of 6 steps'
is "$(jq -c '[.validations[].step]' whole/result.json)" '[2,4,6]' \
    '... and in the result'
is "$(jq -r '[.task, .figure, .rule] | join("; ")' whole/result.json)" \
    'open_qa; overall_acc; highest, the first of equals' \
    'the result says what chose'
best=$(jq '[.validations[] | [-.value, .step]] | min[1]' whole/result.json)
is "$(jq -c '[.best.step, .last.step]' whole/result.json)" "[$best,6]" \
    '... the best and the last'
is "$(steps whole)" "$(printf '%s\n' $best 6 | sort -nu | paste -sd' ')" \
    'their checkpoints stay'
[ -e "whole/$(jq -r .best.checkpoint whole/result.json)" ]
ok $? 'the best is where the result says'

# The figures are those of cb-score and cb-eval.
figures() { jq -cS 'del(.ratios) | map_values(tonumber? // . |
    if type == "number" then . * 1e9 | round else . end)' "$@"; }
train all --checkpoint-every 1 --val 'cat val.cb' <in.cb
is "$(steps all)" '1 2 3 4 5 6' '--checkpoint-every keeps them all'
for n in 2 4 6; do
	cb-score -j 1 -m all/ckpt/model_step_$n.safetensors <val.cb >p.jsonl
	cb-eval val.jsonl p.jsonl | figures >want
	jq ".validations[] | select(.step == $n) | .metrics" all/result.json |
	    figures >got
	is "$(cat got)" "$(cat want)" "step $n: as cb-score | cb-eval say"
done
cb-score -j 1 -m all <val.cb >p.jsonl
cb-score -j 1 -m "all/$(jq -r .best.checkpoint all/result.json)" <val.cb >q.jsonl
same p.jsonl q.jsonl 'cb-score -m run takes the best'

# Where the settings put the points.
train few -s num_valid=1 -s min_valid_steps=4 --val 'cat val.cb' <in.cb
is "$(jq -c '[.validations[].step]' few/result.json)" '[6]' \
    'rarer than the run is long: at its end'
train odd -s num_valid=2 -s min_valid_steps=2 --val 'cat val.cb' <in.cb
is "$(jq -c '[.validations[].step]' odd/result.json)" '[4,6]' \
    'a multiple of min_valid_steps, and the end'

# Commands that fail: said, logged, and the run is done all the same.
fails() # NAME COMMAND MESSAGE
{
	rm -rf bad; train bad --val "$2" <in.cb
	is "$?" 1 "$1"
	like err "validation after step 6: $3" '... is said'
	is "$(tail -n 1 err)" \
	    'cb-train: 3 of 3 validations failed; the run is done' \
	    '... at the end too'
	cmp -s bad/$END plain/$END; ok $? '... and costs no training'
}
fails 'no such command' './no-such-thing' 'validation: empty'
fails 'a command that fails behind its stream' 'cat val.cb; exit 3' \
    "the command's exit status is 3"
fails 'a stream that is cut' 'head -c 9000 val.cb' 'validation: '
fails 'another vocabulary' \
    "cb-list --split eval --vocab other.txt val.jsonl 2>/dev/null |
    fake-pictures 2 1 40 40 | cb-tokenize" 'validation: the texts have ids of another vocabulary'
is "$(jq -c '[.best, (.validations[0].error != null)]' bad/result.json)" \
    '[null,true]' 'the result tells of it'
train some --val 'test -e once || { touch once; exit 1; }; cat val.cb' <in.cb
is $? 1 'one of three fails'
is "$(jq -c '[.validations[] | .error != null]' some/result.json)" \
    '[true,false,false]' '... the others count'

# Media that are bad are skipped, counted, and no failure.
train skip -s num_valid=1 --val "cb-list --split eval val.jsonl |
    fake-pictures 2 1 40 40 bad=3 2>/dev/null; true" <in.cb
is "$? $(jq .valid_skipped skip/log.jsonl | tail -n 1)" '0 1' 'a bad medium'

# Killed in the middle of a validation: its command waits for a line that only
# comes afterwards.
killed() # SIGNAL WHICH
{
	rm -rf run now count; mkfifo now; touch count
	cb-train $SMALL -o run --val "echo x >>count
	    if [ \$(wc -l <count) = $2 ]; then read x <now; fi; cat val.cb" \
	    <in.cb 2>err & pid=$!
	until [ "$(wc -l <count)" = $2 ]; do
		kill -0 $pid 2>/dev/null || break
	done
	kill -$1 $pid 2>/dev/null; wait $pid 2>/dev/null; status=$?
	# the command that a killed one leaves behind, once it waits
	[ $1 = TERM ] || timeout 60 sh -c 'echo >now'
}
for n in 1 2 3; do
	killed KILL $n
	train run --val 'cat val.cb' <in.cb
	is $? 0 "killed in validation $n, started again"
	is "$(cd run && sha256sum ckpt/* result.json)" \
	    "$(cd whole && sha256sum ckpt/* result.json)" \
	    '... the same checkpoints and result'
done
killed TERM 2
is $status 1 'SIGTERM in a validation that hangs'
like err 'stopped by signal 15 after step 4' '... ends it at once'
train run --val 'cat val.cb' <in.cb
is "$(cd run && sha256sum ckpt/* result.json)" \
    "$(cd whole && sha256sum ckpt/* result.json)" \
    '... which is done again when the run goes on'
is "$(timeout 60 validation whole 'read x <now')" stopped \
    'a signal that comes before the command'
