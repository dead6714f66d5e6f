#!/bin/bash
# cb-list: several files of annotations in one stream, each with its media.
. "$(dirname "$0")/lib.sh"; plan 32

caps() { # N KEY PREFIX: two captions for each of N media
	local i
	for ((i = 0; i < $1; i++)); do
		echo "{\"caption\": \"$3 a$i is here\", \"$2\": $i}"
		echo "{\"caption\": \"$3 b$i is there\", \"$2\": $i}"
	done
}
caps 300 coco_id coco >coco.jsonl
caps 100 vg_id vg >vg.jsonl
groups() { cb-list "$@" | cb-dump | jq -c '.group // empty'; }

cb-list -e 2 -s 3 -g 2 --mismatch 0 coco.jsonl vg.jsonl >m.cb
is $? 0 'two files'
cb-dump <m.cb >m
is "$(head -n 1 m | jq -c '[.task, .groups, .epoch_groups, .examples]')" \
    '["captions",800,400,800]' 'one stream'
is "$(head -n 1 m | jq -r .annotations)" "$(printf '%s%s' "$(sha256sum \
    <coco.jsonl | cut -d' ' -f1)" "$(sha256sum <vg.jsonl | cut -d' ' -f1)" |
    sha256sum | cut -d' ' -f1)" 'with a hash of both'
jq -c '.group // empty' m >g
for e in 0 1; do
	jq -r "select(.epoch == $e).examples[].caption" g | sort >have$e
done
jq -r .caption coco.jsonl vg.jsonl | sort >want
same have0 want 'each text once in an epoch'
same have1 want 'and in the next'
is "$(jq -s 'map(.examples[].id) | unique | length' g)" 800 \
    'each with an id of its own'
is "$(jq -r '.media' g | sort | uniq -c | awk '$1 != 2 && $1 != 4' | wc -l)" 0 \
    'media of one name in both files are two media'
# of 40 groups in a row 10 are of the second file, give or take five deviations
is "$(jq -s 'map(.examples[0] | has("vg_id")) |
    [range(0; 800; 40) as $i | .[$i:$i + 40] | map(select(.)) | length] |
    all(. >= 1 and . <= 24) and add == 200' g)" true 'mixed by size'
is "$(jq -c 'select(.epoch == 0).media' g | head -n 50 | cmp -s - \
    <(jq -c 'select(.epoch == 1).media' g | head -n 50); echo $?)" 1 \
    'otherwise in each epoch'
cb-list -e 2 -s 3 -g 2 --mismatch 0 coco.jsonl vg.jsonl | cmp -s - m.cb
ok $? 'the same command gives the same bytes'
groups -e 2 -s 3 -g 2 --mismatch 0 --skip 500 coco.jsonl vg.jsonl >tail
tail -n +501 g >tail2; same tail tail2 'from the middle too'
groups --split eval coco.jsonl vg.jsonl | jq -c '.examples[].id' >ids
is "$(jq -s -c '. == [range(800)]' ids)" true 'evaluation: file by file'
groups --mismatch 1 coco.jsonl vg.jsonl >g
is "$(jq -c '[.examples[] | select(.label == 0) | has("vg_id")] | unique |
    length' g | sort -u)" 1 'a mismatch is of the same file'
is "$(jq -s 'all(.media as $m | .examples | all(.label == 0 and
    (.coco_id // .vg_id | tostring) != $m))' g)" true 'and of another medium'
head -n 4 vg.jsonl >one.jsonl; head -n 2 vg.jsonl >alone.jsonl
cb-list coco.jsonl alone.jsonl >out 2>err
is "$? $(cat err)" '1 cb-list: alone.jsonl: there is one medium only, so that no text can be a mismatch' \
    'which must be there'
cb-list --mismatch 0 coco.jsonl alone.jsonl >out; is $? 0 'if it is wanted'

# answers and vocabulary of all
echo '{"question": "is it?", "answer": "red", "video_id": "a"}' >q1.jsonl
echo '{"question": "was it?", "answer": "blue", "video_id": "a"}' >q2.jsonl
cb-list q1.jsonl q2.jsonl | cb-dump >m
is "$(head -n 1 m | jq -c '[.answers, (.vocab | map(select(. == "i" or . == "##t" or
    . == "w")) | sort)]')" '[["blue","red"],["##t","i","w"]]' \
    'answers and words are those of both'

# messages
echo '{"question": 1}' >>q2.jsonl
cb-list q1.jsonl q2.jsonl >out 2>err; is $? 1 'a wrong line'
like err '^cb-list: q2.jsonl:2: ' 'is named with its file'
for f in a b; do
	echo '{"question": "q", "answer": "x", "video_id": "v", "question_id": 7}' \
	    >$f.jsonl
done
cb-list a.jsonl b.jsonl >out 2>err
is "$? $(cat err)" '0 cb-list: b.jsonl:1: the id 7 is that of line 1 of a.jsonl too; predictions for it could not be told apart' \
    'an id that is in both files'
cb-list coco.jsonl q1.jsonl >out 2>err; is $? 1 'two tasks'
like err '^cb-list: q1.jsonl:1: key "coco_id" is missing' 'are not one stream'
: >empty.jsonl; cb-list coco.jsonl empty.jsonl >out 2>err
is "$? $(cat err)" '1 cb-list: empty.jsonl: no examples in it' 'an empty file'
mkdir other; cp vg.jsonl other
cb-list coco.jsonl other/vg.jsonl >out 2>err
is "$? $(cat err)" '1 cb-list: other/vg.jsonl is not beside coco.jsonl: say where the media of each are' \
    'files in two folders'
cb-list -m x coco.jsonl vg.jsonl >out 2>err; is $? 2 'a place for each file'

# each with its media: pictures of one name, of other sizes
mkdir A B
python3 - <<'PY'
import struct, zlib
def chunk(k, d):
    return struct.pack('>I', len(d)) + k + d + struct.pack('>I', zlib.crc32(k + d))
for d, w in ('A', 20), ('B', 30):
    for n in '12':
        open(f'{d}/{n}.png', 'wb').write(b'\x89PNG\r\n\x1a\n' +
            chunk(b'IHDR', struct.pack('>IIBBBBB', w, 10, 8, 2, 0, 0, 0)) +
            chunk(b'IDAT', zlib.compress((b'\0' + b'\7' * 3 * w) * 10)) +
            chunk(b'IEND', b''))
PY
for i in 1 2; do echo "{\"caption\": \"one $i\", \"coco_id\": $i}"; done >a.jsonl
for i in 1 2; do echo "{\"caption\": \"two $i\", \"vg_id\": $i}"; done >other/b.jsonl
cb-pack B.lmdb B
sizes() { # of PLACE PLACE
	cb-list --mismatch 0 -m "$1" -m "$2" a.jsonl other/b.jsonl |
	    cb-decode | cb-dump | jq -c 'select(.group or .picture) |
	    if .group then [.group.examples[0].caption, .group.place] else
	    .picture.shape[1] end' | paste - - | sort
}
sizes A B >s; is "$(cut -f2 s | tr '\n' ' ')" '20 20 30 30 ' \
    'each file has its own pictures'
is "$(cut -f1 s | head -n 1)" '["one 1","A"]' 'the group says where'
sizes A B.lmdb >s2; is "$(cut -f2 s2 | tr '\n' ' ')" '20 20 30 30 ' \
    'an LMDB too'
cb-list --mismatch 0 -m A -m gone a.jsonl other/b.jsonl | cb-decode >out 2>err
is "$? $(grep -c '^cb-decode: .*gone: No such file' err)" '1 2' \
    'a place that is not there'
cb-list --mismatch 0 -m B a.jsonl | cb-decode -m A | cb-dump |
    jq '.picture.shape[1] // empty' | sort -u >s
is "$(cat s)" 30 'what the group says goes before what cb-decode is told'
sed 's/"caption"/"place": 3, "caption"/' a.jsonl >p.jsonl
cb-list --mismatch 0 -m A p.jsonl | cb-decode >out; is $? 0 \
    'a key of that name in the annotation is another'

# captions of videos are those of retrieval, unless the task is named
echo '{"caption": "c", "clip_name": "v"}' >v.jsonl
for t in '' '-t captions'; do
	cb-list $t --mismatch 0 -n 0 v.jsonl 2>err | cb-dump | jq -r '.task // empty'
	cb-list $t --split eval v.jsonl | cb-dump | jq -r '.task // empty'
done >tasks
is "$(tr '\n' ' ' <tasks)" 'retrieval retrieval captions captions ' \
    'captions of videos'
