#!/bin/bash
# Masked words: which, what becomes of them, and that it is always the same.
. "$(dirname "$0")/lib.sh"; plan 34

# 300 media with one or two captions of 4 to 12 words
awk 'BEGIN { srand(7); for (i = 0; i < 300; i++)
	for (k = 0; k <= i % 2; k++) {
		t = ""
		for (n = 4 + (3 * i + k) % 9; n > 0; n--)
			t = t (t != "" ? " " : "") "w" int(60 * rand())
		printf "{\"caption\": \"%s\", \"coco_id\": %d}\n", t, i
	} }' >c.jsonl
{ printf '%s\n' '[PAD]' '[UNK]' '[CLS]' '[SEP]' '[MASK]'
seq -f 'w%.0f' 0 54; } >vocab.txt	# w55 to w59 are [UNK]
cb-list -e 5 -s 11 --vocab vocab.txt c.jsonl >l.cb
values() { python3 "$T/values.py"; }
agree() { # PLAIN MASKED SHARE SEED
	python3 "$T/masked.py" "$@"
}
cb-tokenize -m 0 <l.cb >plain.cb; is $? 0 'no words masked'
values <plain.cb >plain
is "$(grep -c mlm_labels plain)" 0 'where none should be'
cb-tokenize <l.cb >masked.cb; is $? 0 'words of captions are masked'
values <masked.cb >masked
agree plain masked 0.15 11 >n
is "$(jq .wrong n)" 0 'the rule worked out by other code gives the same'
# within five standard deviations of what the rule says
near() { # COUNT OF SHARE
	jq "(.$2) as \$n | (.$1 - $3 * \$n | fabs) <
	    5 * ($3 * (1 - $3) * \$n | sqrt)" n
}
is "$(jq '.tokens > 15000 and .special > 4500' n)" true 'of many tokens'
is "$(jq -c '.n = .tokens - .special' n >n2; mv n2 n; near chosen n 0.15)" \
    true '15 in a hundred words are chosen'
is "$(near mask chosen 0.8)" true '80 in a hundred of these become [MASK]'
# one in 60 of the random words is the word itself, and one is [MASK]
is "$(near other chosen "(0.1 * 58 / 60)")" true '10 in a hundred another'
is "$(near same chosen "(0.1 * 61 / 60)")" true '10 in a hundred stay'
is "$(jq '.words > 45' n)" true 'any word of the vocabulary'
[ "$(jq -r 'select(.group).group | .ids[][0]' masked | sort -u)" = 2 ]
ok $? 'no [CLS] is masked'
is "$(jq -c 'select(.group).group | [.mlm_labels[][] | select(. >= 0 and . < 5)]' \
    masked | sort -u)" '[]' 'nor any other special token'
is "$(jq -c 'select(.group).group | .ids_shape = (.ids | length) |
    .ids_shape == (.mlm_labels | length)' masked | sort -u)" true 'a row each'
jq -c 'del(.group.ids,.group.mlm_labels,.provenance)' masked >m.rest
jq -c 'del(.group.ids,.provenance)' plain >p.rest
same m.rest p.rest 'all else is untouched'

# always the same, never the same twice
cb-tokenize <l.cb | cmp -s - masked.cb; ok $? 'again gives the same bytes'
cb-list -e 5 -s 11 --vocab vocab.txt --skip 900 c.jsonl | cb-tokenize | values |
    grep '"group"' >tail
grep '"group"' masked | tail -n +901 >tail2
same tail tail2 'so does going on in the middle'
cb-list -e 5 -s 11 --vocab vocab.txt --shard 1/3 c.jsonl | cb-tokenize |
    values | grep '"group"' >shard
grep '"group"' masked | awk 'NR % 3 == 2' >shard2
same shard shard2 'and one process of three'
jq -c 'select(.group).group | [.media, .epoch, .mlm_labels]' masked >by
is "$(jq -s -c 'map(select(.[0] == "7")) | length as $n |
    (map(.[2]) | unique | length) == $n' by)" true \
    'other words in each epoch'
cb-tokenize -s 12 <l.cb | values >other; agree plain other 0.15 12 >n
is "$(jq .wrong n)" 0 'a seed of its own'
cmp -s masked other; is $? 1 'masks other words'
cb-tokenize -m 1 <l.cb | values >all; agree plain all 1 11 >n
is "$(jq -c '[.wrong, .chosen == .tokens - .special]' n)" '[0,true]' \
    'all words can be masked'
cb-tokenize -m 0.5 -L 5 <l.cb | cb-tokenize -m 0 |
    cb-dump | grep -c '"mlm_labels":{' >count
is "$(cat count)" 0 'masks can be taken back'

# other tasks and in batches
echo '{"caption": "w1 w2 w3", "clip_name": "a"}' >r.jsonl
cb-list -n 0 --vocab vocab.txt r.jsonl | cb-tokenize | cb-dump |
    grep -c mlm_labels >count
is "$(cat count)" 0 'words of other tasks are not masked'
cb-list -n 0 --vocab vocab.txt r.jsonl | cb-tokenize -m 1 | values >r
is "$(jq -c 'select(.group).group.mlm_labels' r)" '[[-100,6,7,8,-100]]' \
    'unless they should be'
cb-list --vocab vocab.txt c.jsonl | fake-pictures 1 1 2 2 >g.cb
cb-tokenize <g.cb | cb-batch -b 7 | values | jq -c .batch >b1
cb-batch -b 7 <g.cb | values | jq -c .batch >b2
same b1 b2 'a batch masks in the same way where nobody has'
is "$(jq -c 'select(.) | [(.mlm_labels | length) == (.ids | length),
    ([.mlm_labels, .mask] | map(flatten) | transpose |
    map(select(.[1] == 0)[0]) | unique)] | flatten' b1 | sort -u)" \
    '[true,-100]' 'rows are filled up with -100'
cb-tokenize <g.cb | cb-batch -b 1 | values | jq -c 'select(.batch).batch |
    .mlm_labels' >b1
cb-tokenize <g.cb | values | jq -c 'select(.group).group.mlm_labels' >b2
same b1 b2 'as they are in the groups'
cb-tokenize <g.cb | cb-batch -b 7 | cb-batch -b 7 | values | jq -c .batch >b2
cb-batch -b 7 <g.cb | values | jq -c .batch | cmp -s - b2
ok $? 'and through a second cb-batch'

# refused
grep -v MASK vocab.txt >bad.txt
cb-tokenize -v bad.txt <l.cb >out 2>err; is $? 1 'without [MASK]'
is "$(head -n 1 err)" \
    'cb-tokenize: the vocabulary lacks [MASK], which stands for masked words' \
    'says so'
cb-tokenize -m 2 <l.cb >out 2>err; is $? 2 'more than all words'
like err 'mask 2: must be from 0 to 1' 'are refused'
python3 "$T/json-stream.py" >bad.cb <<'EOT'
{"cb":1,"by":"me","task":"captions","vocab":["[PAD]","[UNK]","[CLS]","[SEP]","[MASK]","a"]}
{"group":{"seq":0,"media":"a","examples":[{"caption":"a"}],"ids":{"$tensor":["I32",[1,3],5]},"mask":{"$tensor":["I32",[1,3],1]},"mlm_labels":{"$tensor":["I32",[1,2],5]}}}
{"picture":{"$tensor":["U8",[2,3,3],5]}}
{"end":{"pictures":1,"error":null}}
{"eos":{"groups":1,"skipped":0,"error":null}}
EOT
cb-batch <bad.cb >out 2>err; is $? 1 'labels of another shape'
like err 'group 0: mlm_labels are not of the shape of ids' 'are refused'
