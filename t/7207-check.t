#!/bin/bash
# cb-check: each kind of fault is found, told and counted, and nothing else is.
. "$(dirname "$0")/lib.sh"; . "$T/media.sh"
plan 46

# faults FILE...: what cb-check counts, as "kind:n ..."
faults()
{
	cb-check --json "$@" 2>err >out
	jq -r '[.faults | to_entries[] | "\(.key):\(.value)"] | join(" ")' out
}
count() { jq -r ".counts.$1" out; }

mkdir set set/videos
for i in 1 2 3; do video set/videos/v$i.y4m $((3 * i)); done
cat >set/a.jsonl <<-'J'
{"question_id": 1, "question": "how many?", "answer": "two", "video_id": "v1"}
{"question_id": 2, "question": "where?", "answer": "here", "video_id": "v2"}

{"question_id": 3, "question": "who?", "answer": "two", "video_id": "v1"}
{"question_id": 4, "question": "who?", "answer": "she", "video_id": "v3.y4m"}
J
is "$(faults set/a.jsonl)" '' 'a good set has no faults'
is "$(count 'examples, .counts.texts, .counts.media, .counts.videos' |
    paste -sd' ')" '4 4 3 3' 'what it holds is counted'
is "$(count frames)" 18 'frames of all videos'
cb-check set/a.jsonl >out 2>err; is "$? $(wc -c <err)" '0 0' 'status 0, no word'
like out '^examples +4$' 'a table'
is "$(faults -m set/videos set/a.jsonl)" '' 'with a place that is named'

# ---- annotations
cat >set/bad.jsonl <<-'J'
{"question_id": 1, "question": "how many?", "answer": "two", "video_id": "v1"}
not json
{"question_id": 1, "question": "  ", "answer": "two", "video_id": "v2"}
{"question_id": 2, "question": "q", "video_id": "v2"}
{"question_id": 3, "question": "q", "answer": 7, "video_id": "v2"}
{"question_id": 4, "question": "q", "answer": "ten", "video_id": "v9"}
{"question_id": 5, "question": "q", "answer": "here", "video_id": "v9"}
{"question_id": 1, "question": "q", "answer": "two", "video_id": ""}
{"question_id": 1, "question": "q", "answer": "two", "video_id": "v3"}
J
echo '{"two": 0, "here": 1, "she": 2}' >labels.json
is "$(faults -a labels.json set/bad.jsonl)" \
    'line:2 repeated:2 text:1 answer:3 missing:1' 'all faults of a file'
is "$(jq -r '.found[] | select(.kind == "answer").what' out)" \
'set/bad.jsonl:4: key "answer" is missing, which training needs
set/bad.jsonl:5: key "answer" is not a text
set/bad.jsonl:6: "ten" is not in the answer list' 'each with its line'
is "$(jq -r '.found[] | select(.kind == "line").what' out | sed 's/: .*//')" \
'set/bad.jsonl:2
set/bad.jsonl:8' 'lines that are no examples'
is "$(faults --split eval -a labels.json set/bad.jsonl)" \
    'line:2 repeated:2 text:1 answer:2 missing:1' 'evaluation needs no answer'
cb-check -a labels.json set/bad.jsonl >out 2>err; is $? 1 'faults give status 1'
like err '^cb-check: repeated: set/bad.jsonl:9: the id 1 is that of line 1 too$' \
    'told one a line'
like err '^cb-check: missing: v9: no medium of this name in ' 'a missing medium'
is "$(tail -n 1 err)" 'cb-check: 9 faults' 'the last line sums up'
cb-check --show 1 -a labels.json set/bad.jsonl 2>err >out
is "$(grep -c ': answer: ' err) $(awk '$1 == "answer" { print $2 }' out)" '1 3' \
    '--show bounds what is told, not what is counted'
cb-check --allow line --allow text --allow repeated --allow answer \
    --allow missing -a labels.json set/bad.jsonl >out 2>err
is "$? $(cat err)" '0 ' '--allow forgives, in silence'
like out '^answer +3 \(allowed\)$' 'and says so'
cp labels.json set/ans2label.json
is "$(faults --split eval set/bad.jsonl)" \
    'line:2 repeated:2 text:1 answer:2 missing:1' 'labels beside the file'
rm set/ans2label.json
cat >set/o.jsonl <<-'J'
{"question": "q", "options": ["a", "b"], "answer": 1, "gif_name": "v1"}
{"question": "q", "options": ["a", "b"], "answer": 2, "gif_name": "v1"}
{"question": "q", "options": ["a", " "], "answer": 0, "gif_name": "v1"}
{"question": "q", "options": ["a", "b", "c"], "answer": 2, "gif_name": "v1"}
J
is "$(faults set/o.jsonl)" 'answer:1 text:1 line:1' 'options and their numbers'
: >set/empty.jsonl
is "$(faults set/empty.jsonl)" 'file:1' 'a file without a line'
is "$(faults set/gone.jsonl)" 'file:1' 'no file'
cb-check -a set/gone.json set/a.jsonl >out 2>err
is "$? $(cat err)" '1 cb-check: set/gone.json: No such file or directory' \
    'an answer list that is not there'

# ---- media
cb-pack db set/videos 2>err
head -c 700 set/videos/v3.y4m >v4.y4m
echo text >v5.y4m
cb-pack db v4.y4m v5.y4m 2>err
head -n 2 set/a.jsonl >two.jsonl
echo '{"question_id": 9, "question": "?", "answer": "a", "video_id": "v"}' \
    >>two.jsonl
is "$(faults -m db two.jsonl)" 'missing:1 extra:3' \
    'a name that is no key, and keys without annotation'
is "$(jq -r '.found[] | select(.kind == "extra").what' out | paste -sd' ')" \
    'v3 v4 v5' 'they are named'
is "$(faults --allow broken -m db set/a.jsonl)" 'extra:2' \
    'a file name is its stem'
is "$(faults db)" 'broken:1' 'an LMDB alone'
like out '"what":"v5: ' 'the damaged value is named'
is "$(count 'media, .counts.videos' | paste -sd' ')" '5 4' 'all of it is looked at'
is "$(faults -n db)" '' '-n opens nothing'
is "$(faults -j 3 db)" "$(faults db)" 'threads change nothing'
cb-check -j 1 --json db >a 2>err; cb-check -j 4 --json db >b 2>err
same a b 'not a byte'
cp set/videos/v1.y4m set/videos/v1.avi
is "$(faults set/videos)" 'repeated:1' 'two files of one stem'
is "$(faults set/a.jsonl)" 'repeated:1' 'also where it is asked for'
rm set/videos/v1.avi
head -c 300 db/data.mdb >cut.mdb
is "$(faults cut.mdb)" 'file:1' 'a database that was cut'
is "$(faults v5.y4m set/videos/v1.y4m)" 'broken:1' 'files by name'
B=$SHARED/media/broken
if [ -d "$B" ]; then
	is "$(faults "$B"/{flip_mdat_few.mp4,no_moov.mp4,flip_moov.mp4})" \
	    'damaged:1 broken:2' 'damaged and broken are told apart'
	is "$(faults -w "$B"/{flip_mdat_few.mp4,cut_faststart.mp4})" \
	    'damaged:2' 'all frames, with -w'
else
	ok 0 "# SKIP no $B"; ok 0 "# SKIP no $B"
fi

# ---- streams
cb-list --split eval -a labels.json set/a.jsonl 2>err | cb-decode >good.cb
is "$(faults good.cb)" '' 'a good stream'
is "$(count 'groups, .counts.examples, .counts.pictures' | paste -sd' ')" \
    '3 4 18' 'what it holds is counted'
is "$(cb-check --json <good.cb 2>err)" "$(cat out)" 'the same from stdin'
head -c 5000 good.cb >cut.cb
is "$(faults cut.cb)" 'stream:1' 'a stream that was cut'
rm set/videos/v3.y4m
cb-list --split eval -a labels.json set/a.jsonl 2>err | cb-decode 2>err >lost.cb
is "$(faults lost.cb)" 'broken:1' 'a medium that was lost upstream'
python3 - <<'P'
d = open("good.cb", "rb").read()
i = d.index(b"\x81\xa5group")
j = d.index(b"\x81\xa5group", i + 1)
k = d.index(b"\x81\xa3eos")
open("again.cb", "wb").write(d[:j] + d[i:j] + d[j:k] + d[k:])
open("few.cb", "wb").write(d[:i] + d[j:])
open("label.cb", "wb").write(d.replace(b"\xa5label\x01", b"\xa5label\x07"))
open("text.cb", "wb").write(d.replace(b"\xa6where?", b"\xa6      "))
P
is "$(faults again.cb)" 'repeated:3 stream:1' 'a group that comes again'
is "$(faults few.cb)" 'stream:1' 'a group that is not there'
is "$(faults label.cb text.cb)" 'answer:1 text:1' 'labels and texts in a stream'
cb-check --allow nothing set/a.jsonl >out 2>err; is $? 2 'no such kind'
