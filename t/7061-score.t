#!/bin/bash
# cb-score: questions and pictures in, answers out.
. "$(dirname "$0")/lib.sh"
. "$T/media.sh"
plan 48

SMALL="-s max_img_size=64 -s hidden_size=16 -s num_hidden_layers=1
    -s num_attention_heads=2 -s intermediate_size=32 -s stem_out_channels=4
    -s width_per_group=4 -s res2_out_channels=8 -s init_stats=4
    -s initializer_range=0.3 -s train_batch_size=4 -j 1"
score() { cb-score -j 1 "$@" 2>err; }
words() { cb-dump <"$1" | jq -r '.header // . | select(.vocab) | .vocab[]'; }

for i in 0 1 2 3 4 5 6; do
	echo "{\"question\": \"what is number $i?\", \"video_id\": \"v$i\"," \
	    "\"answer\": \"a$((i % 3))\", \"answer_type\": \"what\"}"
	echo "{\"question\": \"and more of $i, if it is more?\"," \
	    "\"video_id\": \"v$i\", \"answer\": \"a$((i % 2))\"}"
done >train.jsonl
cb-list train.jsonl | fake-pictures 2 1 40 40 >train.cb
cb-train $SMALL -o run <train.cb 2>err || diag <err
cb-list --split eval train.jsonl | fake-pictures 2 1 40 40 >eval.cb

# One video, one question, as in the README.
video clip.y4m 20
cb-decode clip.y4m 2>err0 | cb-sample -n 2 |
    score -m run --text 'what colour is the circle?' >one.jsonl
is "$?" 0 'cb-decode clip | cb-sample -n 2 | cb-score -m run --text ...'
is "$(cat err0 err)" '' '... without a word'
is "$(jq -c 'keys_unsorted' one.jsonl)" \
    '["question_id","question","media","answer","label","prob","answers"]' \
    'one line with these keys'
is "$(jq -rc '[.question_id, .question, .media]' one.jsonl)" \
    '[0,"what colour is the circle?","clip.y4m"]' '... for this question'
is "$(jq -c '[(.answers | length), (.answers | map(.[1]) | add * 1000 | round),
    .answer == .answers[0][0], .prob == .answers[0][1]]' one.jsonl)" \
    '[3,1000,true,true]' 'probabilities add up, the best is the answer'
cb-decode clip.y4m | cb-sample -n 2 | score -m run -t 'what?' -t 'and?' >two.jsonl
is "$(jq -c '[.question_id, .question]' two.jsonl | paste -s -d ' ')" \
    '[0,"what?"] [1,"and?"]' 'two questions'
cb-decode clip.y4m clip.y4m | cb-sample -n 2 |
    score -m run -t 'what?' -t 'and?' >four.jsonl
is "$? $(wc -l <four.jsonl)" '0 4' 'of two videos'
cb-decode clip.y4m | cb-sample -n 2 | score -m run >none.jsonl
is "$? $(wc -c <none.jsonl)" '1 0' 'neither texts nor --text'
like err 'nothing to score|no texts' '... is said'

# All ways to the same scores.
score -m run -k 9 <eval.cb >all.jsonl; is $? 0 'a stream of groups'
is "$(wc -l <all.jsonl) $(jq -s 'map(.question_id) | sort == [range(14)]' all.jsonl)" \
    '14 true' 'each question is answered once'
is "$(jq -s 'map(.answers | length) | unique' -c all.jsonl)" '[3]' \
    'all answers, as -k asks'
is "$(jq -s 'all(.answers | . == (sort_by(-.[1])))' all.jsonl)" true \
    'the most probable first'
[ "$(jq .prob all.jsonl | sort -u | wc -l)" -gt 7 ]
ok $? 'the scores are not all the same'
score -m run -k 1 <eval.cb >top.jsonl
is "$(jq -sc 'map(.answers | length) | unique' top.jsonl)" '[1]' '-k 1'
is "$(jq -c '[.answer,.prob]' top.jsonl)" "$(jq -c '[.answer,.prob]' all.jsonl)" \
    '... the same answers'
# near A B: the same texts, answers and, to rounding, probabilities
near()
{
	jq -en --slurpfile a "$1" --slurpfile b "$2" '
	    [$a, $b] | map(map({id: .question_id, m: .media,
	        p: (.answers | sort | map(.[1])), w: (.answers | map(.[0]) | sort)}))
	    | . as [$x, $y] | ($x | map([.id, .m, .w])) == ($y | map([.id, .m, .w]))
	    and ([$x[].p[]] | length) > 0 and
	    ([[$x[].p[]], [$y[].p[]]] | transpose | all((.[0] - .[1]) |
	        fabs < 0.00003))' >near.out
}
close() { near "$1" "$2"; ok $? "$3"; }
for b in 1 2 5 100; do
	score -b $b -m run -k 9 <eval.cb >b.jsonl
	close all.jsonl b.jsonl "$b media at a time"
done
cb-score -j 2 -m run -k 9 <eval.cb >b.jsonl 2>err
close all.jsonl b.jsonl 'two threads'
score --device ref -m run -k 9 <eval.cb >b.jsonl
close all.jsonl b.jsonl 'the reference engine'
words train.cb >vocab.txt
cb-tokenize --vocab vocab.txt <eval.cb | cb-batch -b 3 >batches.cb
score -m run -k 9 <batches.cb >b.jsonl; is $? 0 'a stream of batches'
close all.jsonl b.jsonl 'gives the same'
{ grep '^\[' vocab.txt; grep -v '^\[' vocab.txt | sort -r; } >other.txt
cb-tokenize --vocab other.txt <eval.cb | score -m run >b.jsonl
is "$? $(grep -c 'ids of another vocabulary' err)" '1 1' \
    'ids of another vocabulary are refused'
cb-list --split eval --vocab other.txt train.jsonl | fake-pictures 2 1 40 40 |
    score -m run -k 9 >b.jsonl
close all.jsonl b.jsonl '... texts are not'
score -m run/ckpt -k 9 <eval.cb >b.jsonl; same all.jsonl b.jsonl \
    '-m with the directory of the checkpoints'
F=$(ls run/ckpt/*.safetensors)
score -m "$F" -k 9 <eval.cb >b.jsonl; same all.jsonl b.jsonl '... with a file'
python3 "$T/weights.py" sort "$F" sorted.safetensors
score -m sorted.safetensors -k 9 <eval.cb >b.jsonl
same all.jsonl b.jsonl '... whatever the order of its tensors'
cb-eval train.jsonl all.jsonl >m.json; is $? 0 'cb-eval takes it'

# How scores of clips become one.  Of two equal clips mean and max are the score
# itself; lse adds the same to each class, which softmax does not see.
cb-list train.jsonl | fake-pictures 1 1 40 40 >clip1.cb
for how in mean max lse; do
	cb-train $SMALL -s score_agg_func=$how -o $how --steps 1 -s init_stats=0 \
	    -s learning_rate=0 -s cnn_learning_rate=0 <train.cb 2>err || diag <err
	score -m $how -k 9 <eval.cb >$how.2; score -m $how -k 9 <clip1.cb >$how.1
done
for x in max lse; do
	close mean.1 $x.1 "$x of one clip is that clip"
	near mean.2 $x.2; is $? 1 '... of two it is not the mean'
done

# Several right answers: each probability for itself.
for i in 0 1 2 3; do
	echo "{\"question\": \"is it $i?\", \"image_id\": \"i$i\"," \
	    "\"question_id\": \"q$i\", \"labels\": {\"yes\": 1.0, \"maybe\": 0.3}}"
done >vqa.jsonl
cb-list vqa.jsonl | fake-pictures 1 1 40 40 >vqa.cb
cb-train $SMALL -o vqa <vqa.cb 2>err; is $? 0 'a vqa model'
score -m vqa <vqa.cb >vqa.out
is "$(jq -s 'all(.answers[0][1] + .answers[1][1] != 1)' vqa.out) $(jq -r .question_id vqa.out | sort | paste -s)" \
    'true q0	q1	q2	q3' 'probabilities of their own, ids as they are'

# What goes wrong.
cb-list --split eval train.jsonl | fake-pictures 2 1 40 40 bad=2 |
    score -m run >b.jsonl
is "$? $(wc -l <b.jsonl) $(tail -n 1 err)" \
    '1 12 cb-score: 1 media were skipped' 'a bad medium is skipped and counted'
cb-list --split eval train.jsonl | fake-pictures 2 1 40 40 bad=2 |
    score -m run -b 1 --on-error stop >b.jsonl
is "$? $(wc -l <b.jsonl)" '1 4' '--on-error stop: what came before is there'
cb-list --split eval train.jsonl | fake-pictures 2 1 40 40 die=4 2>/dev/null |
    score -m run -b 1 >b.jsonl
is "$? $(wc -l <b.jsonl)" '1 8' 'a program upstream that dies'
like err 'eos|end' '... is told'
score -m run <eval.cb >/dev/full; is "$? $(cat err)" \
    '1 cb-score: stdout: No space left on device' 'a full disk'
mkdir empty; score -m empty <eval.cb >b.jsonl
is "$? $(cat err)" \
    '1 cb-score: empty: no checkpoint in it (ckpt/model_step_N.safetensors)' \
    'a directory without checkpoint'
score -m gone <eval.cb >b.jsonl
is "$? $(cat err)" '1 cb-score: gone: no such run or file' 'no such model'
score <eval.cb >b.jsonl; is "$? $(head -n 1 err)" \
    '2 cb-score: -m is missing: which model?' 'without -m'
python3 "$T/weights.py" resize "$F" bad.safetensors transformer.classifier.2.bias
score -m bad.safetensors <eval.cb >b.jsonl; is "$? $(cat err)" \
    '1 cb-score: bad.safetensors: transformer.classifier.2.bias: shape is [2], must be [3] (1 such)' \
    'a tensor of another shape'
python3 "$T/weights.py" drop "$F" bad.safetensors transformer.classifier.2.bias
score -m bad.safetensors <eval.cb >b.jsonl; is "$? $(cat err)" \
    '1 cb-score: bad.safetensors: no tensor transformer.classifier.2.bias (1 missing)' \
    'a tensor that is not there'
head -c 5000 "$F" >bad.safetensors
score -m bad.safetensors <eval.cb >b.jsonl; is $? 1 'a checkpoint cut short'
like err 'bad.safetensors: cut short' '... is told'
