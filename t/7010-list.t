#!/bin/bash
# cb-list: annotation jsonl to groups.
. "$(dirname "$0")/lib.sh"; plan 78

# 7 media with 1 to 7 texts, interleaved; answers a.. d
for t in 1 2 3 4 5 6 7; do
	for m in $(seq "$t" 7); do
		a=$(echo "$((m * t % 4))" | tr 0123 abcd)
		echo "{\"question\": \"is it $m?\", \"answer\": \"$a\"," \
		    "\"video_id\": \"m$m\", \"answer_type\": \"what\"," \
		    "\"mine\": [$t, null]}"
	done
done >q.jsonl
list() { cb-list "$@" | cb-dump; }
groups() { list "$@" | jq -c '.group | select(. != null)'; }

cb-list q.jsonl >a.cb; is $? 0 'lists'
list q.jsonl | head -n 1 >h
is "$(jq -c '[.task,.split,.epochs,.groups,.epoch_groups,.examples,.seed,.base]' h)" \
    '["open_qa","train",1,7,7,28,0,"."]' 'the header tells what comes'
is "$(jq -r .annotations h)" "$(sha256sum <q.jsonl | cut -d' ' -f1)" \
    'and the hash of the annotations'
is "$(jq -c .answers h)" '["a","c","b","d"]' \
    'answers by frequency, ties by name'
is "$(jq -c '.vocab[:5]' h)" '["[PAD]","[UNK]","[CLS]","[SEP]","[MASK]"]' \
    'a vocabulary is made'
list q.jsonl >d
is "$(tail -n 1 d | jq -c .eos)" '{"groups":7,"skipped":0,"error":null}' 'eos'
is "$(jq -c 'select(.end) | .end' d | sort -u)" '{"pictures":0,"error":null}' \
    'every group has its end'
is "$(groups q.jsonl | jq -s 'map(.examples | length) | sort | join(" ")')" \
    '"1 2 3 4 5 6 7"' 'all texts of a medium are in one group'
is "$(groups q.jsonl | jq -c 'select(.media == "m2") | .examples')" \
    '[{"id":1,"question":"is it 2?","answer":"c","video_id":"m2","answer_type":"what","mine":[1,null],"label":1},{"id":7,"question":"is it 2?","answer":"a","video_id":"m2","answer_type":"what","mine":[2,null],"label":0}]' \
    'examples keep their keys, get id and label, stay in order'
is "$(groups q.jsonl --split eval | jq -r .media | tr '\n' ' ')" \
    'm1 m2 m3 m4 m5 m6 m7 ' 'eval: order of first appearance'
is "$(list q.jsonl --split eval | head -n 1 | jq -c '[.split,.answers,.vocab]')" \
    '["eval",null,null]' 'eval makes no lists up'
list q.jsonl --no-shuffle | jq -r '.group.media // empty' | tr '\n' ' ' >o
is "$(cat o)" 'm1 m2 m3 m4 m5 m6 m7 ' '--no-shuffle: the same'

# order and epochs
list -e 3 q.jsonl >e3
is "$(head -n 1 e3 | jq .groups)" 21 'three epochs, three times the groups'
is "$(jq -c '.group // empty | [.seq,.epoch]' e3 | tr -d '\n' | cut -c1-42)" \
    '[0,0][1,0][2,0][3,0][4,0][5,0][6,0][7,1][8' 'numbered through'
for e in 0 1 2; do
	jq -r ".group // empty | select(.epoch == $e) | .media" e3 >m$e
done
cmp -s m0 m1; a=$?; cmp -s m1 m2; is "$a $?" '1 1' 'each epoch has its order'
sort m0 >s0; sort m2 >s2; same s0 s2 'of the same media'
cb-list -e 3 q.jsonl >b1; cb-list -e 3 q.jsonl >b2
same b1 b2 'the same command gives the same bytes'
list -e 3 -s 8 q.jsonl | jq -r '.group.media // empty' >s8
jq -r '.group.media // empty' e3 >s0
cmp -s s0 s8; is $? 1 'another seed, another order'

# chunks
is "$(groups -g 3 q.jsonl | jq -s 'map(.examples | length) | unique[]')" 3 \
    'training: all chunks are full'
is "$(groups -g 3 q.jsonl | wc -l)" 12 'as many as are needed'
groups -g 3 q.jsonl | jq -c 'select(.media == "m4") | .examples[].id' |
    sort -n | uniq >ids
groups --split eval q.jsonl |
    jq -c 'select(.media == "m4") | .examples[].id' | sort -n >all
same ids all 'every text is in a chunk of its medium'
is "$(groups -g 3 --split eval q.jsonl |
    jq -s -c 'map(select(.media == "m7") | [.examples[].id])')" \
    '[[6,12,17],[21,24,26],[27]]' 'eval: nothing is filled up'
list -g 3 -e 4 q.jsonl | jq -c '.group // empty | select(.media == "m1") |
    [.examples[].id]' | sort -u >fill
is "$(cat fill)" '[0,0,0]' 'a single text fills its chunk'
list -g 4 -e 9 q.jsonl | jq -c '.group // empty | select(.media == "m2") |
    [.examples[2:][].id]' | sort -u | wc -l >fill
[ "$(cat fill)" -gt 1 ]; ok $? 'what fills up is drawn anew each epoch'
is "$(list -g 3 q.jsonl | head -n 1 | jq .examples)" 36 'and counted'

# shards and skip
groups -e 3 -g 2 q.jsonl >all
for i in 0 1 2 3; do groups -e 3 -g 2 --shard $i/4 q.jsonl; done |
    jq -s -c 'sort_by(.seq)[]' >shards
same all shards 'shards are a partition of the stream'
cb-list -e 3 -g 2 --shard 1/4 q.jsonl >sh
is "$(cb-dump <sh | head -n 1 | jq .groups)" \
    "$(cb-dump <sh | jq -c '.group // empty' | wc -l)" 'the header counts them'
groups -e 3 -g 2 --skip 17 q.jsonl >tail1
tail -n +18 all >tail2; same tail1 tail2 '--skip gives the tail'
groups -e 3 -g 2 --shard 2/3 q.jsonl | tail -n +6 >tail1
groups -e 3 -g 2 --shard 2/3 --skip 5 q.jsonl >tail2
same tail1 tail2 'of a shard too'
list --skip 99 q.jsonl >none
is "$(head -n 1 none | jq .groups) $(wc -l <none)" '0 2' \
    'skipping all leaves an empty stream'

# answers and vocabulary
mkdir own; cp q.jsonl own
echo '{"d": 0, "c": 1, "b": 2, "a": 3}' >own/ans2label.json
is "$(list own/q.jsonl | head -n 1 | jq -c '[.answers,.base]')" \
    '[["d","c","b","a"],"own"]' 'ans2label.json beside the file is found'
printf '[PAD]\n[UNK]\n[CLS]\n[SEP]\nis\n' >own/vocab.txt
is "$(list own/q.jsonl | head -n 1 | jq -c .vocab)" \
    '["[PAD]","[UNK]","[CLS]","[SEP]","is"]' 'so is vocab.txt'
echo '["a", "b", "c", "d", "e"]' >list.json
is "$(list -a list.json own/q.jsonl | head -n 1 | jq -c .answers)" \
    '["a","b","c","d","e"]' '-a FILE, a list'
echo '{"a": 0, "b": 1, "c": 2}' >few.json
cb-list -a few.json q.jsonl >out 2>err; is $? 1 'a label not in the list'
like err '^cb-list: q.jsonl:3: "d" is not in the answer list$' 'is named'
is "$(wc -c <out)" 0 'before anything is written'
cb-list --split eval -a few.json q.jsonl 2>err >out; is $? 0 'in eval it is not an error'
like err 'cb-list: q.jsonl: 4 answers are not in the answer list, such as "d"' 'but told'
is "$(cb-dump <out | jq -s -c 'map(.group.examples // empty | .[] |
    select(.answer == "d") | .label) | unique')" '[null]' 'and no label'
echo '{"a": 0, "b": 2}' >bad.json
cb-list -a bad.json q.jsonl 2>err >out; is $? 1 'a gap in the labels'
like err 'bad.json: the label of "b" is not an integer from 0 to 1' 'is named'

# VQA
cat >v.jsonl <<'X'
{"question": "q", "image_id": "i1", "question_id": 70, "labels": {"yes": 1.0, "no": 0.5}, "answer_type": "yes/no"}

{"question": "r", "image_id": 12, "question_id": 71, "labels": {"yes": 0.3}}
X
is "$(groups --split eval -a <(echo '{"no": 0, "yes": 1}') v.jsonl |
    jq -c '[.media, .examples[0].id, .examples[0].labels]' | tr -d '\n')" \
    '["i1",70,[[0,0.5],[1,1]]]["12",71,[[1,0.3]]]' \
    'vqa: scores by label, ids of the annotation'

# what is wrong
bad() { # LINE MESSAGE NAME
	{ head -n 2 q.jsonl; echo "$1"; } >bad.jsonl
	cb-list bad.jsonl >out 2>err; local s=$?
	[ $s -eq 1 ] && [ ! -s out ] && [ "$(wc -l <err)" -eq 1 ] &&
	    grep -qE -- "^cb-list: $2" err; s=$?
	[ $s -eq 0 ] || diag <err
	ok $s "$3"
}
bad 'hello' 'bad.jsonl:3: not JSON' 'a line that is not JSON'
bad '{"question": "q", "answer": "a"}' \
    'bad.jsonl:3: key "gif_name" is missing' 'a missing medium'
bad '{"video_id": "v", "answer": "a"}' \
    'bad.jsonl:3: key "question" is missing' 'a missing question'
bad '{"video_id": "v", "question": "q"}' \
    'bad.jsonl:3: key "answer" is missing, which training needs' 'no answer'
bad '{"video_id": "v", "question": 3, "answer": "a"}' \
    'bad.jsonl:3: key "question" is not a text' 'a question that is a number'
: >empty.jsonl
cb-list empty.jsonl >out 2>err
is "$? $(cat err)" '1 cb-list: empty.jsonl: no examples in it' 'an empty file'
cb-list gone.jsonl >out 2>err
is "$? $(cat err)" '1 cb-list: gone.jsonl: No such file or directory' \
    'a missing file'
{ cat v.jsonl; head -n 1 v.jsonl; } >twice.jsonl
cb-list --split eval twice.jsonl 2>err >out; s=$?
is "$s $(cat err)" '1 cb-list: twice.jsonl:4: the id 70 is that of line 1 too' \
    'an id twice, in eval'
cb-list twice.jsonl 2>err >out
is $? 0 'but training does not mind'
echo '{"what": 1}' >x.jsonl; cb-list x.jsonl 2>err >out; s=$?
[ $s -eq 1 ] && grep -q '^cb-list: x.jsonl:1: .*no known task' err
ok $? 'keys of no known task'

# options
cat >mc.jsonl <<'X'
{"gif_name": "a", "question": "q", "options": ["x", "y", "z"], "answer": 2, "task": "action"}
{"gif_name": "a", "question": "r", "options": ["x", "y", "z"], "answer": "0"}
{"gif_name": "b", "question": "r", "options": ["x", "y", "z"]}
X
is "$(list --no-shuffle mc.jsonl | jq -s -c '[.[0].task, .[0].answers,
    .[0].options, (.[].group.examples | select(.) | .[].label)]')" \
    '["mc_qa",null,3,2,0,null]' 'options: the answer is a number, or digits'
echo '{"qid": "q1", "clip_name": 7, "options": ["x", "y"], "answer": "1"}' >cm.jsonl
is "$(list cm.jsonl | jq -s -c '[.[0].task, (.[1].group | .media,
    .examples[0].id, .examples[0].label)]')" \
    '["caption_mc","7","q1",1]' 'captions to choose from'
option() { # ANSWER NAME
	echo '{"clip_name": "a", "qid": 1, "options": ["x", "y"], "answer": '"$1}" >w.jsonl
	cb-list w.jsonl >out 2>err
	is "$? $(cat err)" '1 cb-list: w.jsonl:1: key "answer" is not the number of an option, from 0' "$2"
}
option 2 'no such option'
option -1 'a negative option'
sed '2s/, "z"//' mc.jsonl >w.jsonl
is "$(cb-list w.jsonl 2>&1 >out)" 'cb-list: w.jsonl:2: 2 options, not 3 as in the lines before' \
    'another number of options'
option '"1x"' 'an option that is not digits'

# retrieval: 6 media with 2 texts each
for t in 0 1; do
	for m in 0 1 2 3 4 5; do
		echo "{\"caption\": \"$m or $t\", \"clip_name\": \"m$m\"}"
	done
done >r.jsonl
groups r.jsonl >g
is "$(list r.jsonl | head -n 1 | jq -c '[.task,.groups,.examples,.negatives]')" \
    '["retrieval",6,24,1]' 'retrieval: a mismatch behind each text'
is "$(jq -c '[.examples[].label]' g | sort -u)" '[1,0,1,0]' 'the match is first'
is "$(jq -c '.media as $m | .examples[] |
    ((.clip_name == $m) == (.label == 1))' g | sort -u)" true \
    'mismatches are texts of other media'
groups -e 60 -n 2 r.jsonl >g
is "$(jq -c 'select(.media == "m3") | .examples[] | select(.label == 0) |
    .clip_name' g | sort | uniq -c | awk '$1 > 20 && $1 < 76' | wc -l)" 5 \
    'of all others, alike'
is "$(jq -c '[.examples[].label]' g | sort -u)" '[1,0,0,1,0,0]' '-n 2'
for i in 0 1; do groups -e 60 -n 2 --shard $i/2 r.jsonl; done |
    jq -s -c 'sort_by(.seq)[]' >shards
same g shards 'a shard draws the same'
groups -e 60 -n 2 -s 5 r.jsonl | jq -c 'select(.media == "m3")' >g5
jq -c 'select(.media == "m3")' g | cmp -s - g5; is $? 1 'another seed does not'
is "$(groups -g 3 r.jsonl | jq -c '[(.examples | length), .media as $m |
    (.examples[] | (.label == 1) == (.clip_name == $m))]' | sort -u)" \
    '[6,true,true,true,true,true,true]' 'chunks are filled up, then mismatched'
is "$(groups --split eval r.jsonl | jq -c '[.examples[].label]' | sort -u)" \
    '[1,1]' 'evaluation: none'
groups --split eval --pairs r.jsonl >g
is "$(jq -c '[.media, (.examples | length)]' g | head -n 2 | tr -d '\n')" \
    '["m0",12]["m1",12]' '--pairs: each medium with all texts'
is "$(jq -c 'select(.media == "m2") | [.examples[] | select(.label == 1) | .id]' g)" \
    '[2,8]' 'of which its own match'
is "$(groups --split eval --pairs -g 5 r.jsonl | jq -c 'select(.media == "m1") |
    [.examples[].id]' | tr -d '\n')" '[0,1,2,3,4][5,6,7,8,9][10,11]' \
    'and cut into chunks'
cb-list --pairs r.jsonl >out 2>err; is $? 2 '--pairs in training'
cb-list --pairs --split eval q.jsonl >out 2>err; s=$?
[ $s -ne 0 ] && grep -q 'all pairs are for evaluation of the task retrieval' err
ok $? '--pairs of questions'
cb-list -n 1 q.jsonl >out 2>err; s=$?
[ $s -ne 0 ] && grep -q 'negatives are for the task retrieval, not open_qa' err
ok $? 'mismatches of questions'
grep m3 r.jsonl >one.jsonl; cb-list one.jsonl >out 2>err
is "$? $(cat err)" '1 cb-list: one.jsonl: there is one medium only, so that no text can be a mismatch' \
    'one medium only'

# captions
sed 's/clip_name/coco_id/' r.jsonl >c.jsonl
groups -e 60 c.jsonl >g
is "$(jq -c '.media as $m | .examples[] |
    ((.coco_id == $m) == (.label == 1))' g | sort -u)" true \
    'captions: a mismatch takes the place of a text'
is "$(jq -s '[.[].examples[].label] | [length, add > 310, add < 410]' g | tr -d ' \n')" \
    '[720,true,true]' 'half of them'
is "$(groups --mismatch 0 c.jsonl | jq '.examples[].label' | sort -u)" 1 \
    '--mismatch 0'
is "$(groups --mismatch 1 c.jsonl | jq '.examples[].label' | sort -u)" 0 \
    '--mismatch 1'
