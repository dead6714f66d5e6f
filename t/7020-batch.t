#!/bin/bash
# cb-batch: groups to batches.
. "$(dirname "$0")/lib.sh"; plan 64

# 11 images with 1 to 3 questions
for i in $(seq 0 10); do
	for q in $(seq 0 $((i % 3))); do
		echo "{\"question\": \"what is number $q of the things here?\"," \
		    "\"image_id\": \"i$i\", \"question_id\": $((10 * i + q))," \
		    "\"labels\": {\"a$((i % 4))\": 1.0, \"a9\": 0.5}," \
		    "\"answer_type\": \"other\"}"
	done
done >v.jsonl
cb-list v.jsonl >l.cb
fake-pictures 2 3 4 5 <l.cb >g.cb
cb-batch -b 4 <g.cb >b.cb 2>err; is $? 0 'batches'
cb-dump <b.cb >b
is "$(head -n 1 b | jq -c '[.batch_size, .batches, .groups]')" '[4,3,11]' \
    'the header tells how many'
is "$(head -n 1 b | jq -c '[.provenance[].program]')" \
    '["cb-list","fake-pictures","cb-batch"]' 'provenance grows'
is "$(jq -c '.batch // empty | [.seq,.epoch,.task,.clips,.frames,(.media|length)]' b |
    tr -d '\n')" '[0,0,"vqa",2,3,4][1,0,"vqa",2,3,4][2,0,"vqa",2,3,3]' 'shape'
is "$(jq -c '.end // empty' b | tr -d '\n')" \
    '{"pictures":24,"error":null}{"pictures":24,"error":null}{"pictures":18,"error":null}' \
    'pictures'
is "$(tail -n 1 b | jq -c .eos)" '{"groups":3,"skipped":0,"error":null}' eos
jq -c '.picture // empty' b >p1; cb-dump <g.cb | jq -c '.picture // empty' >p2
same p1 p2 'the pictures are those of the groups, in their order'
is "$(jq -c 'select(.picture) | [.video,.clip,.index]' b | head -n 8 | tr -d '\n')" \
    '[0,0,0][0,0,1][0,0,2][0,1,3][0,1,4][0,1,5][1,0,0][1,0,1]' 'and numbered'
jq -c '.batch.examples // empty | .[]' b >x1
cb-dump <g.cb | jq -c '.group.examples // empty | .[]' >x2
same x1 x2 'so are the examples'
is "$(jq -c '.batch // empty | [.ids.shape[0],.labels.shape,(.examples|length)] |
    [.[0] == .[2], .[1][0] == .[2], .[1][1]]' b | sort -u)" '[true,true,5]' \
    'a row of ids and of labels for each'

# the tensors themselves, looked at by a program
tensors() { # FILE: dump with the values of small tensors
	python3 "$T/values.py" <"$1"
}
cb-list --no-shuffle v.jsonl | fake-pictures 1 1 2 2 | cb-batch -b 2 |
    tensors /dev/stdin >t
is "$(jq -c '.batch // empty | .counts' t | tr -d '\n')" \
    '[1,2][3,1][2,3][1,2][3,1][2]' 'counts'
is "$(jq -c '.batch // empty | .labels' t | head -n 1)" \
    '[[0.5,1,0,0,0],[0.5,0,1,0,0],[0.5,0,1,0,0]]' 'scores of the answers'
printf '%s\n' '[PAD]' '[UNK]' '[CLS]' '[SEP]' one two three >voc
printf '%s\n' '{"question": "one", "answer": "x", "video_id": "a"}' \
    '{"question": "two three one", "answer": "y", "video_id": "b"}' \
    '{"question": "two zwei", "answer": "x", "video_id": "c"}' >o.jsonl
cb-list --no-shuffle --vocab voc o.jsonl | fake-pictures 1 2 2 2 >o.cb
cb-batch -b 3 <o.cb | tensors /dev/stdin | jq -c '.batch // empty' >t
is "$(jq -c .ids t)" '[[2,4,3,0,0],[2,5,6,4,3],[2,5,1,3,0]]' \
    'ids, as long as the longest'
is "$(jq -c .mask t)" '[[1,1,1,0,0],[1,1,1,1,1],[1,1,1,1,0]]' 'mask'
is "$(jq -c .labels t)" '[0,1,0]' 'labels'
cb-batch -b 3 -L 4 <o.cb | tensors /dev/stdin | jq -c '.batch.ids // empty' >t
is "$(cat t)" '[[2,4,3,0],[2,5,6,3],[2,5,1,3]]' '-L cuts'
cb-batch -b 3 --pad 7 <o.cb | cb-dump | jq -c '.batch.ids.shape // empty' >t
is "$(cat t)" '[3,7]' '--pad fills up'
cb-tokenize <o.cb | cb-batch -b 3 | cb-dump | jq -c '.batch // empty' >t1
cb-batch -b 3 <o.cb | cb-dump | jq -c '.batch // empty' >t2
same t1 t2 'with and without cb-tokenize: the same'
cb-list --split eval --vocab voc o.jsonl | fake-pictures 1 1 2 2 |
    cb-batch | cb-dump | jq -c '.batch // empty | has("labels")' >t
is "$(cat t)" false 'without labels there are none'
cb-list --split eval o.jsonl | fake-pictures 1 1 2 2 | cb-batch 2>err >out
is $? 1 'texts without ids and vocabulary'
like err 'no ids, and no vocabulary is at hand' 'are told of'
printf '%s\n' '[PAD]' '[UNK]' '[CLS]' '[SEP]' three one two >voc2
cb-batch --vocab voc2 <o.cb >v.cb
is "$(cb-dump <v.cb | jq -c '.vocab // empty | .[4:]')" '["three","one","two"]' \
    '--vocab is told to those downstream'
cb-tokenize <o.cb | cb-batch --vocab voc >out; is $? 0 \
    'ids of the same vocabulary'
cb-tokenize <o.cb | cb-batch --vocab voc2 2>err >out; is $? 1 \
    'ids of another vocabulary'
like err 'ids of another vocabulary than the one' 'are refused'

# last batch, batches again, messages of others
cb-batch -b 4 --drop-last <g.cb | cb-dump >t
is "$(head -n 1 t | jq .batches) $(jq -c '.batch.seq // empty' t | wc -l)" '2 2' \
    '--drop-last'
cb-batch -b 9 <b.cb | cb-dump | tail -n +2 >t; tail -n +2 b >u
same t u 'batches go through as they are'
is "$(cb-batch -b 4 -s 1 <g.cb | sha256sum)" \
    "$(cb-batch -b 4 -s 1 <g.cb | sha256sum)" 'the same bytes again'

# a message of someone else's, in a group and before eos, and unknown keys
python3 -c '
import sys
b = sys.stdin.buffer.read()
mine = b"\x81\xa4mine\x93\x01\xca\x3f\x80\x00\x00\xd6\x05abcd"
i, j = b.index(b"\x84\xa7picture"), b.rindex(b"\x81\xa3eos")
sys.stdout.buffer.write(b[:i] + mine + b[i:j] + mine + b[j:])' <g.cb >mine.cb
for p in 'cb-batch -b 4' cb-tokenize; do
	$p <mine.cb >out 2>err; is $? 0 "$p: messages of others are no error"
	is "$(python3 "$T/values.py" <out | jq -c '.mine // empty' | tr -d '\n')" \
	    '[1,1,{"ext":5,"hex":"61626364"}][1,1,{"ext":5,"hex":"61626364"}]' \
	    'and pass through'
done

# bad groups
fake-pictures 2 3 4 5 bad=2 few=4 <l.cb >bad.cb
cb-batch -b 4 <bad.cb 2>err >out; is $? 1 'bad groups: status 1'
is "$(tail -n 1 err)" 'cb-batch: 2 groups skipped' 'the last line counts'
like err '^cb-batch: i[0-9]+: no such file; skipped$' 'each is named with its reason'
like err '^cb-batch: i[0-9]+: clips of different lengths; skipped$' 'also the short one'
is "$(cb-dump <out | jq -c '.batch.groups // empty' | tr -d '\n')" \
    '[0,1,3,5][6,7,8,9][10]' 'the others are there'
is "$(cb-dump <out | tail -n 1 | jq .eos.skipped)" 2 'eos counts them'
cb-batch -b 4 --on-error stop <bad.cb 2>err >out; is $? 1 '--on-error stop'
is "$(wc -l <err)" 1 'one message'
like err 'cb-batch: i[0-9]+: no such file$' 'which says why'
cb-dump <out 2>err >/dev/null; is $? 1 'and is passed on'
like err 'the upstream program gave up: i[0-9]+: no such file' 'downstream'
fake-pictures 2 3 4 5 die=5 <l.cb | cb-batch -b 4 2>err >out
is $? 1 'an upstream that dies: status 1'
like err 'ends without eos: the upstream program died' 'is said'
is "$(cb-dump <out 2>/dev/null | jq -c '.batch.seq // empty')" 0 \
    'what was whole came out'

# augmentation
pics() { cb-batch "$@" <g.cb | cb-dump | jq -r '.picture.sha256 // empty'; }
pics -b 4 --shift 2 --brightness 0.3 >a1
pics -b 3 --shift 2 --brightness 0.3 >a2
same a1 a2 'augmentation does not depend on the size of the batch'
pics -b 4 >a0; cmp -s a0 a1; is $? 1 'and does something'
pics -b 4 --shift 2 --brightness 0.3 --seed 9 >a3
cmp -s a1 a3; is $? 1 'another seed, another draw'

# calls
cb-batch --on-error maybe <g.cb >out 2>err; is $? 2 '--on-error maybe'
cb-batch -b 0 <g.cb >out 2>err; is $? 2 '-b 0'
cb-batch x <g.cb >out 2>err; is $? 2 'an operand'
echo '{}' | cb-batch >out 2>err; s=$?
is "$s $(cat err)" '1 cb-batch: stdin: not a cb stream' 'JSON is no stream'

# options: a row each, a label for all; media with 2, 1 and 1 questions
cat >mc.jsonl <<'X'
{"gif_name": "a", "question": "one", "options": ["two", "three three", "two"], "answer": 1}
{"gif_name": "b", "question": "two", "options": ["one", "two", "zwei"], "answer": "2"}
{"gif_name": "a", "question": "", "options": ["one", "two", "three"], "answer": 0}
{"gif_name": "c", "question": "one", "options": ["one", "two", "three"]}
X
cb-list --no-shuffle --vocab voc mc.jsonl | fake-pictures 2 1 2 2 >mc.cb
cb-batch -b 3 <mc.cb | tensors /dev/stdin | jq -c '.batch // empty' >t
is "$(jq -c '[.task, .counts, (.ids | length), (.examples | length)]' t)" \
    '["mc_qa",[6,3,3],12,4]' 'options: counts are of rows'
is "$(jq -c '[.ids[:5][]]' t)" \
    '[[2,4,5,3,0],[2,4,6,6,3],[2,4,5,3,0],[2,4,3,0,0],[2,5,3,0,0]]' \
    'a row is question and option'
is "$(jq -c .labels t)" '[1,0,2,-1]' 'labels are of questions'
cb-batch -b 2 <mc.cb | cb-batch -b 3 | tensors /dev/stdin |
    jq -c '.batch // empty | [.counts, .labels]' >t
is "$(tr -d '\n' <t)" '[[6,3],[1,0,2]][[3],null]' 'batches of them go through'
sed '/"b"/s/, "zwei"//;s/"2"/1/' mc.jsonl >two.jsonl
{ head -n 1 two.jsonl; sed -n 3,4p two.jsonl; } >w.jsonl
cb-list --no-shuffle --vocab voc w.jsonl | fake-pictures 1 1 2 2 >w.cb
python3 -c '
import sys	# the last option of the last question becomes a key
b = sys.stdin.buffer.read()
i = b.rindex(b"\xa7options\x93\xa3one\xa3two\xa5three")
sys.stdout.buffer.write(b[:i] + b"\xa7options\x92\xa3one\xa9two three" +
    b[i + 23:])' <w.cb >w2.cb
cb-batch <w2.cb >out 2>err; s=$?
is "$s $(cat err)" '1 cb-batch: stdin: group 1: an example has 2 options, not 3 as those before' \
    'another number of options'
python3 -c '
import sys
b = sys.stdin.buffer.read()
sys.stdout.buffer.write(b.replace(b"\xa5label\x01", b"\xa5label\x03"))' <mc.cb >l3.cb
cb-batch <l3.cb >out 2>err; s=$?
is "$s $(cat err)" '1 cb-batch: stdin: batch 0: label 3 is not one of 3 options' \
    'a label that is no option'
cb-tokenize <w.cb >ids.cb
python3 -c '
import sys	# the options lose their name
b = sys.stdin.buffer.read()
sys.stdout.buffer.write(b.replace(b"\xa7options", b"\xa7optimal"))' <ids.cb >ids2.cb
cb-batch <ids2.cb >out 2>err; s=$?
is "$s $(cat err)" '1 cb-batch: stdin: group 0: 6 rows of ids, the texts are 2' \
    'rows that belong to no text'

# retrieval: match and mismatch
printf '{"caption": "%s", "clip_name": "%s"}\n' one a two b three c 'one one' a >r.jsonl
cb-list -e 2 -n 2 --vocab voc r.jsonl | fake-pictures 2 1 2 2 >r.cb
cb-batch -b 3 <r.cb | tensors /dev/stdin | jq -c '.batch // empty' >t
is "$(jq -c '[(.media | map(if . == "a" then 6 else 3 end)) == .counts,
    (.ids | length), (.examples | length)]' t | sort -u)" '[true,12,12]' \
    'retrieval: counts with mismatches'
is "$(jq -c .labels t | sort -u)" '[1,0,0,1,0,0,1,0,0,1,0,0]' 'and labels'
is "$(jq -c '[.labels, .examples] | transpose[] | .[0] == .[1].label' t |
    sort -u)" true 'each that of its text'
cb-list --split eval --pairs --vocab voc r.jsonl | fake-pictures 1 1 2 2 |
    cb-batch -b 2 | tensors /dev/stdin |
    jq -c '.batch // empty | [.counts, .labels]' >t
is "$(tr -d '\n' <t)" '[[4,4],[1,0,0,1,0,1,0,0]][[4],[0,0,1,0]]' \
    'all pairs: the label tells the match'
