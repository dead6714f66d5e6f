#!/bin/bash
# cb-shapes: the files are what scenes.jsonl says, and the same every time.
. "$(dirname "$0")/lib.sh"
plan 21
formats='mp4/h264 webm/vp9 avi/mpeg4 gif mkv/h264 webm/vp8 mp4/mpeg4 mov/mjpeg'

cb-shapes -o a -n 30 -v 10 -j 2 2>err; is $? 0 'makes a set'
is "$(wc -c <err)" 0 'silently'
cb-shapes -o b -n 30 -v 10 -j 1; diff -r a b >diff.out
ok $? 'the same with another number of threads'
cb-shapes -o c -n 30 -v 10 -s 1; cmp -s a/scenes.jsonl c/scenes.jsonl
is $? 1 'other videos with another seed'
cb-shapes -o d -n 12 -v 3 &&
    head -n 12 a/scenes.jsonl | cmp -s - <(head -n 12 d/scenes.jsonl)
ok $? 'a video does not depend on how many there are'

cb-decode a/videos/* >a.cb; is $? 0 'cb-decode reads them all'
jq -c '[.video_id, .size, .frames, (.fps * 10 | round)]' a/scenes.jsonl |
    sort >expected
cb-dump <a.cb | jq -c 'select(.group) | .group | [(.media | sub(".*/"; "") |
    sub("\\..*"; "")), [.info.w, .info.h], .info.frames,
    (.info.fps * 10 | round)]' | sort >got
is "$(wc -l <got)" 40 'as many as there are'
same got expected 'sizes, numbers of frames and rates are those that are said'

for f in $formats; do
	rm -rf f; cb-shapes -o f -n 2 -v 0 -f $f
	is "$(cb-decode f/videos/* | cb-dump |
	    jq -r 'select(.group) | .group.info.codec' | sort -u)" "${f#*/}" \
	    "$f"
done

is "$(jq -r '.video_id' a/train.jsonl a/val.jsonl | sort -u | wc -l)" 40 \
    'each video is asked about'
jq -r 'select(.split == "val") | .background as $b | .shapes[] |
    "\(.shape) \(.colour) \(.place) \($b)"' a/scenes.jsonl | sort -u >val
jq -r 'select(.split == "train") | .background as $b | .shapes[] |
    "\(.shape) \(.colour) \(.place) \($b)"' a/scenes.jsonl | sort -u >train
is "$(comm -12 val train | wc -l) $(($(wc -l <val) > 8))" '0 1' \
    'the splits share no combination'

cb-shapes -o a 2>err; is $? 1 'a set that is there is not overwritten'
like err '^cb-shapes: a/videos: is there already; remove it' 'and why'
cb-shapes -o a/train.jsonl/x 2>err; is "$? $(cat err)" \
    '1 cb-shapes: a/train.jsonl/x: Not a directory' 'nowhere to write'
