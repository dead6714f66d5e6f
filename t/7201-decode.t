#!/bin/bash
. "$(dirname "$0")/lib.sh"; . "$T/media.sh"
plan 37

mkdir -p d/images d/videos
for i in 1 2 3; do image d/images/p$i.ppm 6 5 $((i * 50)); done
video d/videos/v.y4m 12
for i in 1 2 3; do
	echo '{"question_id": '$i', "image_id": "p'$i'", "question": "is it?", "labels": {"yes": 1.0}}'
done >d/train.jsonl
cb-decode d/train.jsonl >a.cb 2>err;    is $? 0 'decodes an annotation file'
is "$(picked a.cb)" '0:0 0:0 0:0' 'finds its media beside it'
cb-dump <a.cb | jq -se '[.[] | select(.group) | .group.kind] ==
    ["image", "image", "image"]' >/dev/null
ok $? 'they are images'
cb-list --no-shuffle d/train.jsonl >l.cb
cb-decode <l.cb >a.cb;                  is $? 0 'decodes a stream'

cb-pack lm d/images d/videos 2>err;     is $? 0 'packs an LMDB'
cb-decode -m lm <l.cb >b.cb;            is $? 0 'decodes from the LMDB'
body a.cb >a.body; body b.cb >b.body
same a.body b.body 'the same bytes as from files'
chmod a-w lm lm/*
cb-decode -m lm/data.mdb <l.cb >b.cb;   is $? 0 'its file will do, read only'
body b.cb >b.body
same a.body b.body 'the same bytes again'
chmod u+w lm lm/*

# a group that has its pictures stays as it is
cb-decode <a.cb >b.cb;                  is $? 0 'decodes a decoded stream'
body b.cb >b.body
same a.body b.body 'which changes nothing'

rm d/images/p2.ppm
cb-list --no-shuffle d/train.jsonl | cb-decode >b.cb 2>err
is $? 1 'a missing medium'
like err '^cb-decode: p2: ' 'is named'
like err '^cb-decode: 1 of 3 media could not be read$' 'and counted'
is "$(picked b.cb)" '0:0 0:0' 'the others are there'
cb-dump <b.cb | jq -se '[.[] | select(.group.error)] | length == 1' >/dev/null
ok $? 'its group carries the error'
cb-dump <b.cb | jq -se '.[-1].eos | .skipped == 1 and .error == null' \
    >/dev/null
ok $? 'eos counts it'
cb-decode <b.cb >c.cb 2>err;            is $? 0 'an error passes on'
body b.cb >b.body; body c.cb >c.body
same b.body c.body 'unchanged'
cb-list --no-shuffle d/train.jsonl | cb-decode --on-error stop >b.cb 2>err
is $? 1 'or stops all'
{ cb-dump <b.cb 2>/dev/null; true; } | jq -se '([.[] | select(.group)] | length == 2) and
    .[-1].eos.error != null' >/dev/null
ok $? 'with the reason in eos'

cp d/images/p1.ppm d/images/p1.pnm 2>/dev/null
image d/images/p1.bmp 2 2 9
cb-decode d/train.jsonl 2>err >/dev/null
like err 'p1: two files have this name: .*p1.bmp, .*p1.ppm' \
    'two files with one stem'
cb-decode --max-pixels 20 d/images/p3.ppm >/dev/null 2>err
is $? 1 'a picture over the limit'
like err 'p3.ppm: ([Pp]icture of 6 x 5|Picture size 6x5)' 'is refused by name'
cp d/images/p3.ppm x.mp4
cb-decode x.mp4 | cb-dump | jq -se '.[1].group.kind == "image"' >/dev/null
ok $? 'content counts, not the name'
cat d/videos/v.y4m | cb-decode /dev/stdin >b.cb 2>err
is "$(picked b.cb | wc -w)" 12 'a pipe can be a medium'
mkfifo stalled
# open for both directions, so it has a writer that says nothing, or no writer
exec 9<>stalled
timeout 60 cb-decode --timeout 0.2 stalled x.mp4 >b.cb 2>err
is $? 1 'a pipe that stalls'
exec 9<&-
like err '^cb-decode: stalled: took longer than --timeout' 'is given up'
timeout 60 cb-decode --timeout 0.2 stalled x.mp4 2>err >c.cb
cb-dump <c.cb | jq -se '[.[] | select(.group)] | length == 2' >/dev/null
ok $? 'and so is one without a writer; the next medium is decoded'

# One gray, so every byte of a picture is the same, its last columns included.
python3 - <<'P'
import hashlib
with open("sums", "w") as s:
    for w in range(148, 182):
        c = (w + 1) // 2
        with open("w%d.y4m" % w, "wb") as f:
            f.write(b"YUV4MPEG2 W%d H6 F10:1 Ip A1:1 C420jpeg\nFRAME\n" % w)
            f.write(bytes([90]) * (w * 6) + bytes([128]) * (2 * c * 3))
        for v in range(256):
            print(hashlib.sha256(bytes([v]) * (w * 18)).hexdigest(), file=s)
P
is "$(cb-decode w*.y4m | cb-dump | jq -r 'select(.picture).picture.sha256' |
    grep -cFf sums)" 34 'pictures of any width are whole'

: >empty.mp4
cb-decode empty.mp4 nope.mp4 d >/dev/null 2>err
is $? 1 'a directory without media'
cb-decode empty.mp4 nope.mp4 >/dev/null 2>err
is $? 1 'bad files'
like err 'empty.mp4: is empty' 'an empty file is named'
like err 'nope.mp4: No such file' 'a missing one too'
like err '2 of 2 media could not be read' 'and they are counted'
cb-decode --on-error maybe x.mp4 >/dev/null 2>err
is $? 2 'a wrong option'

# options of the program and of its page are the same
for p in cb-decode cb-sample cb-pack; do
	diff <($p -h | grep -oE -- '--[a-z-]+' | sort -u) \
	    <(sed -nE 's/^\.It Fl .*Fl -([a-z-]+).*|^\.It Fl -([a-z-]+).*/--\1\2/p' \
	    "$TOP/man/$p.1" | sort -u) >>options.diff
done
[ ! -s options.diff ]; ok $? 'the pages have the options of -h'
diag <options.diff
