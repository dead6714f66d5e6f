#!/bin/bash
# cb-eval: numbers of times, and what a pretrained model tells.
. "$(dirname "$0")/lib.sh"; plan 22

for i in 0 1 2 3 4; do
	echo "{\"question\": \"how often?\", \"gif_name\": \"g$i\"," \
	    "\"answer\": $((2 * i + 2)), \"question_id\": $i}"
done >c.jsonl				# 2 4 6 8 10
printf '%s\n' '{"question_id":0,"answer":2}' '{"question_id":1,"answer":"4"}' \
    '{"question_id":2,"answer":7,"score":6.6}' \
    '{"question_id":3,"answer":10}' '{"question_id":4,"answer":7}' >p.jsonl
cb-eval c.jsonl p.jsonl >m 2>err; is "$? $(cat err)" '0 ' 'counts are measured'
# distances 0 0 1 2 3; one answer for all: 6, at 4 2 0 2 4
is "$(jq -c '[.overall_acc, .mse, .constant_mse, .questions, .missing]' m)" \
    '[0.4,2.8,8,5,0]' 'share of the right ones and mean square'
is "$(jq -c .most_frequent_acc m)" 0.2 'chance'
head -n 4 p.jsonl | cb-eval c.jsonl >m 2>err; is $? 1 'one is missing'
# 10 against 1
is "$(jq -c '[.overall_acc, .mse, .missing]' m)" '[0.4,17.2,1]' \
    'and counts as far off'
sed 's/"answer": \([0-9]*\)/"answer": "\1"/' c.jsonl >text.jsonl
cb-eval -t count text.jsonl p.jsonl >m2 && cb-eval c.jsonl p.jsonl >m
same m m2 'numbers may be texts, if the task is named'
sed '3s/6/11/' c.jsonl >bad.jsonl
cb-eval bad.jsonl p.jsonl >m 2>err; is $? 1 'a number that cannot be'
is "$(cat err)" 'cb-eval: bad.jsonl:3: key "answer" is not a number from 1 to 10' \
    'is named'
for a in 0 -3 1.5 '"x"' '"3x"' null; do
	echo "{\"question\": \"q\", \"gif_name\": \"g\", \"answer\": $a}" >bad.jsonl
	cb-list -t count bad.jsonl >out 2>err; s=$?
	[ $s -eq 1 ] && grep -q 'bad.jsonl:1: key "answer" is not a number' err ||
	    break
done
is "$a $s" 'null 1' 'nor can these'
echo '{"question": "q", "gif_name": "g"}' >bad.jsonl
cb-list -t count bad.jsonl >out 2>err; is $? 1 'none to learn from'
like err 'key "answer" is missing, which training needs' 'is an error'
cb-list --split eval -t count bad.jsonl >out 2>err
is "$? $(cb-dump <out | jq -c 'select(.group).group.examples[0] | has("label")')" \
    '0 false' 'in training only'

for i in 0 1 2 3; do echo "{\"caption\": \"w$i\", \"coco_id\": $i}"; done >p.cap
cat >told.jsonl <<'X'
{"question_id":0,"caption":"a","media":"0","match":1,"score":0.5001,"words":[["red","red",0.5],["dog","cat",1.5]]}
{"question_id":1,"caption":"b","media":"1","match":0,"score":0.6,"words":[]}
{"question_id":1,"caption":"b","media":"2","match":0,"score":0.25,"words":[["dog","dog",1]]}
{"question_id":3,"caption":"c","media":"3","score":0.25,"words":[["##s","x",3]]}
X
cb-eval p.cap told.jsonl >m 2>err; is "$? $(cat err)" '0 ' 'pretraining is measured'
is "$(jq -c '[.mlm_acc, .mlm_loss, .captions, .words]' m)" '[0.5,1.5,4,4]' 'words'
is "$(jq -c '[.most_frequent_word, .most_frequent_word_acc]' m)" '["dog",0.5]' \
    'and their chance'
# -log 0.5001, -log 0.4, -log 0.75
is "$(jq -c '[.itm_acc, .itm_loss, .most_frequent_match_acc | . * 10000 | round]' m)" \
    '[6667,6323,6667]' 'matches'
echo '{"question_id":3,"score":1,"match":0,"words":[]}' | cb-eval p.cap >m
is "$(jq -c '[.mlm_acc, .itm_acc, .itm_loss > 20]' m)" '[0,0,true]' \
    'sure and wrong'
sed 's/"question_id":3/"question_id":9/' told.jsonl | cb-eval p.cap >m 2>err
is "$? $(cat err)" '1 cb-eval: -:4: there is no caption with the id 9' \
    'a caption that is not there'
sed 's/,1.5\]/]/' told.jsonl | cb-eval p.cap >m 2>err
is "$? $(cat err)" '1 cb-eval: -:1: a word is not [word, told, loss]' 'half a word'
echo '{"question_id":0,"answer":"red"}' | cb-eval p.cap >m 2>err
is "$? $(cat err)" '1 cb-eval: -:1: "score" and "words" are needed' \
    'predictions of another task'
cb-eval p.cap /dev/null >m 2>err
is "$? $(cat err)" '1 cb-eval: /dev/null: no predictions' 'none at all'
cb-eval --compat clipbert p.cap told.jsonl >m2; is "$(jq .mlm_acc m2)" 0.5 \
    'the original has fractions here too'
