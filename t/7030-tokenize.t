#!/bin/bash
# cb-tokenize: what it adds, what it leaves alone, what it refuses.
. "$(dirname "$0")/lib.sh"; plan 41
stream() { python3 "$T/json-stream.py"; }

printf '%s\n' '[PAD]' '[UNK]' '[CLS]' '[SEP]' '[MASK]' what is red '##der' \
    >vocab.txt
cat >lines <<'EOT'
{"cb":1,"by":"me","vocab":["[PAD]","[UNK]","[CLS]","[SEP]","red","is","what"],"mine":[1.5,null,true],"provenance":[{"program":"me","version":"1","args":[]}]}
{"group":{"seq":0,"epoch":2,"media":"a.mp4","mine":{"k":"v"},"examples":[{"id":1,"question":"What is redder?","label":3},{"id":2,"text":"RED"}]}}
{"picture":{"$tensor":["U8",[2,3,3],5]},"clip":0,"index":4,"pts":0.25,"mine":7}
{"picture":{"$tensor":["U8",[2,3,3],6]},"clip":0,"index":5,"pts":0.5}
{"end":{"pictures":2,"error":null,"mine":1}}
{"something":{"else":["é",-5]}}
{"group":{"seq":1,"epoch":2,"media":"b.mp4","examples":[]}}
{"end":{"pictures":0,"error":"gone"}}
{"group":{"seq":2,"epoch":2,"media":"c.mp4","examples":[{"id":3,"question":"is","options":["red","what","red red red"]}]}}
{"end":{"pictures":0,"error":null}}
{"batch":{"seq":0,"ids":{"$tensor":["I32",[1,2],9]},"examples":[{"text":"is"}]}}
{"end":{"pictures":0,"error":null}}
{"eos":{"groups":4,"skipped":1,"error":null}}
EOT
stream <lines >in.cb

cb-tokenize <in.cb >out.cb 2>err; is $? 0 'the vocabulary of the stream'
is "$(cat err)" '' 'quiet'
cb-dump <in.cb >in.json; is $? 0 'the input is a stream'
cb-dump <out.cb >out.json; is $? 0 'the output is one'
# SHA-256 of i32 numbers; "redder" and "?" are not in the vocabulary.
sha() { python3 -c 'import sys,struct,hashlib
print(hashlib.sha256(struct.pack("<%di" % len(sys.argv[1:]),
*map(int, sys.argv[1:]))).hexdigest())' "$@"; }
group() { jq -r "select(.group.seq==$1)|.group|$2" out.json; }
is "$(group 0 '.ids.shape|tostring')" '[2,6]' 'ids: examples by longest text'
is "$(group 0 '.ids.dtype')" I32 'ids are i32'
is "$(group 0 .ids.sha256)" "$(sha 2 6 5 1 1 3  2 4 3 0 0 0)" 'ids'
is "$(group 0 .mask.sha256)" "$(sha 1 1 1 1 1 1  1 1 1 0 0 0)" 'mask'
is "$(group 0 '.mask.dtype+(.mask.shape|tostring)')" 'I32[2,6]' 'its shape'
is "$(group 1 'has("ids")')" false 'a group without texts stays as it is'
is "$(group 2 '.ids.shape|tostring')" '[3,6]' 'options: a row each'
is "$(group 2 .ids.sha256)" \
    "$(sha 2 5 4 3 0 0  2 5 6 3 0 0  2 5 4 4 4 3)" 'options: ids'
jq -c 'del(.group.ids,.group.mask)|select(has("cb")|not)' out.json >out.rest
jq -c 'select(has("cb")|not)' in.json >in.rest
same out.rest in.rest 'all else is untouched'
jq -c 'select(.cb)|del(.provenance,.by)' out.json >out.head
jq -c 'select(.cb)|del(.provenance,.by)' in.json >in.head
same out.head in.head 'so is the header'
is "$(jq -c 'select(.cb)|.provenance|map([.program,.args])' out.json)" \
    '[["me",[]],["cb-tokenize",[]]]' 'provenance grows'

cb-tokenize -v vocab.txt -L 4 <in.cb >out.cb; is $? 0 'a vocabulary of its own'
cb-dump <out.cb >out.json
is "$(jq -c 'select(.cb)|.vocab' out.json)" \
    "$(jq -Rnc '[inputs]' vocab.txt)" 'goes into the header'
is "$(group 0 .ids.sha256)" "$(sha 2 5 6 3  2 7 3 0)" 'its ids, cut to 4'
cb-tokenize <out.cb | cb-dump | jq -c 'select(.group.seq==0)|.group.ids' >ids
is "$(jq -c .shape ids)" '[2,7]' 'a second one replaces the ids'
is "$(jq -r .sha256 ids)" "$(sha 2 5 6 7 8 1 3  2 7 3 0 0 0 0)" 'with whole texts'

# refused
jq -c 'if .cb then del(.vocab) else . end' lines | stream >none.cb
cb-tokenize <none.cb >out.cb 2>err; is $? 1 'no vocabulary'
is "$(cat err)" 'cb-tokenize: no vocabulary: the stream carries none, so name one with --vocab' 'says what to do'
is "$(wc -c <out.cb | tr -d ' ')" 0 'and writes nothing'
cb-tokenize -v vocab.txt <none.cb | cb-dump | tail -n 1 >last
is "$(cat last)" '{"eos":{"groups":4,"skipped":1,"error":null}}' \
    'it may then be named; skipped is passed on'
grep -v UNK vocab.txt >bad.txt
cb-tokenize -v bad.txt <in.cb >out.cb 2>err; is $? 1 'without [UNK]'
is "$(cat err)" 'cb-tokenize: bad.txt: the vocabulary lacks [UNK]' 'names it'
cb-tokenize -v none.txt <in.cb >out.cb 2>err; is $? 1 'no such vocabulary'
is "$(cat err)" 'cb-tokenize: none.txt: No such file or directory' 'names it'
jq -c 'if .cb then .vocab=["[PAD]","[UNK]"] else . end' lines |
    stream >bad.cb
cb-tokenize <bad.cb >out.cb 2>err; is $? 1 'a stream whose vocabulary lacks some'
is "$(cat err)" 'cb-tokenize: header: the vocabulary lacks [CLS] [SEP]' 'says so'
sed 's/"text":"RED"/"txt":"RED"/' lines | stream >bad.cb
cb-tokenize <bad.cb >out.cb 2>err; is $? 1 'an example without text'
like err '^cb-tokenize: a.mp4: example 1: no question, text, caption or opt' \
    'names it'
cb-dump <out.cb >out.json 2>err2; is $? 1 'those downstream see it'
like err2 'a.mp4: example 1: no question' 'with the reason'
cb-tokenize -L 1 <in.cb >out.cb 2>err; is $? 2 'no room for [CLS] and [SEP]'
cb-tokenize in.cb </dev/null >out.cb 2>err; is $? 2 'takes no operands'
cb-tokenize </dev/null >out.cb 2>err; is $? 1 'an empty input'
like err '^cb-tokenize: stdin: ' 'is named'
cb-dump <in.cb >/dev/null; is $? 0 'whole before it is cut'
size=$(wc -c <in.cb) bad=0 loud=0
for ((n = 1; n < size; n += 13)); do
	head -c $n in.cb | cb-tokenize >out.cb 2>err
	[ "${PIPESTATUS[1]}" = 1 ] || bad=$((bad + 1))
	[ "$(wc -l <err)" = 1 ] || loud=$((loud + 1))
done
is $bad 0 'cut anywhere: status 1'
is $loud 0 'and one line that says so'
