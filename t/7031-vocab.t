#!/bin/bash
# cb-vocab: from annotations, lines and standard input.
. "$(dirname "$0")/lib.sh"; plan 25

for i in 1 2 3; do
	echo "{\"question\": \"What colour?\", \"answer\": \"crimson\"}"
	echo "{\"options\": [\"it jumps\", \"It runs\"], \"caption\": \"a cat\"}"
done >a.jsonl
has() { grep -qxF -- "$1" "$2" && echo yes || echo no; }

cb-vocab a.jsonl >v.txt 2>err; is $? 0 'from annotations'
is "$(cat err)" '' 'quiet'
is "$(head -n 5 v.txt | tr '\n' ' ')" '[PAD] [UNK] [CLS] [SEP] [MASK] ' \
    'special tokens come first'
for w in what colour it jumps runs cat; do
	is "$(has $w v.txt)" yes "$w is one token"
done
is "$(has crimson v.txt)" no 'answers are no texts'
cb-vocab -k answer -o k.txt a.jsonl; is "$(has crimson k.txt)" yes '--key'
is "$(has what k.txt)" no 'stands for the usual ones'

jq -r '.question // empty, .options[]?, .caption // empty' a.jsonl >lines
cb-vocab lines >l.txt; is $? 0 'from lines of text'
same l.txt v.txt 'the same texts give the same'
tac lines | cb-vocab - >r.txt; same r.txt v.txt 'in any order'
cb-vocab -j - <a.jsonl >j.txt; same j.txt v.txt 'jsonl on standard input'
cb-vocab -s 40 lines >s.txt; is "$(wc -l <s.txt | tr -d ' ')" 40 '--size'
printf 'what is it\nwhat\n' >few
tokens l.txt few >ids
is "$(sed -n 2p ids)" "2 $(($(grep -nxF what l.txt | cut -d: -f1) - 1)) 3" \
    'the tokeniser takes it'

cb-vocab -s 10 lines >out 2>err; is $? 1 'too small for the characters'
like err '^cb-vocab: a vocabulary of 10 is too small: .* take [0-9]+$' \
    'says how many they are'
: >empty; cb-vocab empty >out 2>err; is $? 1 'no texts'
is "$(cat err)" 'cb-vocab: empty: no text there' 'says so'
printf '{"question": "x"}\n{"question": \n' >bad.jsonl
cb-vocab bad.jsonl >out 2>err
like err '^cb-vocab: bad.jsonl:2: not JSON' 'file and line of what is no JSON'
cb-vocab none.txt >out 2>err
is "$?/$(cat err)" '1/cb-vocab: none.txt: No such file or directory' \
    'no such file'
cb-vocab lines >/dev/full 2>err
is "$?/$(cat err)" '1/cb-vocab: standard output: No space left on device' \
    'a full disk'
