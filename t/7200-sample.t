#!/bin/bash
. "$(dirname "$0")/lib.sh"; . "$T/media.sh"
plan 29

video v.y4m 40
image i.ppm 8 4 100
cb-decode v.y4m >all.cb;                is $? 0 'decodes a video'
is "$(picked all.cb | wc -w)" 40 'all its frames come out'

# 40 frames at 10 a second: a clip of two frames at rate 1 spans 20 of them
cb-sample -n 2 <all.cb >a.cb;           is $? 0 'samples two clips'
is "$(picked a.cb)" '0:0 0:19 1:10 1:29' 'an ensemble of two'
is "$(cb-sample -s middle <all.cb >b.cb; picked b.cb)" '0:6 0:25' \
    'middle begins at a third of the free length'
is "$(cb-sample -s end <all.cb >b.cb; picked b.cb)" '0:13 0:32' 'end'
is "$(cb-sample -s uniform -f 4 <all.cb >b.cb; picked b.cb)" \
    '0:0 0:13 0:26 0:39' 'uniform spreads over all'
is "$(cb-sample <all.cb >b.cb; picked b.cb)" '0:0 0:19' \
    'one clip is the beginning where nobody trains'
is "$(cb-sample -f 4 --fps 0.5 <all.cb >b.cb; picked b.cb)" \
    '0:0 0:26 0:39 0:39' 'frames repeat where the video is short'

for o in '-n 2' '-n 5 -f 3 --fps 2' '-s rand -n 3' '-s uniform -f 4' \
    '-s end' '-f 4 --fps 0.5' '-f 1'; do
	orders "video, $o" v.y4m $o
done
orders 'image' i.ppm -n 4
is "$(picked a.cb)" '0:0' 'an image has one picture'

cb-sample -s rand --seed 1 -n 8 v.y4m v.y4m >a.cb
cb-sample -s rand --seed 1 -n 8 v.y4m v.y4m >b.cb
cb-sample -s rand --seed 2 -n 8 v.y4m v.y4m >c.cb
same a.cb b.cb 'the same seed draws the same'
draws() { cb-dump <"$1" | jq -c "select(.group.seq == $2) | .group.plan.draws"; }
[ "$(draws a.cb 0)" != "$(draws c.cb 0)" ]; ok $? 'another seed draws others'
[ "$(draws a.cb 0)" != "$(draws a.cb 1)" ]; ok $? 'each group draws its own'

cb-sample -s middle -n 2 v.y4m >b.cb 2>err
is $? 2 'middle chooses one clip only'
cb-sample -s best v.y4m >b.cb 2>err;    is $? 2 'an unknown strategy'
like err 'best: no such strategy' 'is named'
cb-sample -n 2 v.y4m | cb-sample -n 2 >b.cb 2>err
is $? 1 'sampling twice is an error'
like err 'sampled already' 'and said so'
head -c 2000 all.cb | cb-sample >b.cb 2>err
is $? 1 'a stream that is cut is an error'
{ cb-dump <b.cb 2>/dev/null; true; } | tail -n 1 | jq -e .eos.error >/dev/null
ok $? 'the stream ends with the reason'

# a message that nobody knows, between header and group
python3 -c 'd = open("all.cb", "rb").read(); i = d.find(b"\x81\xa5group")
open("odd.cb", "wb").write(d[:i] + b"\x81\xa3odd\x07" + d[i:])'
cb-sample <odd.cb | cb-dump | jq -ce 'select(.odd)' >out
is "$(cat out)" '{"odd":7}' 'an unknown message passes through'
