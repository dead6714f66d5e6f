#!/bin/bash
# --compat clipbert through the filters: media that the original has no frames
# of, in both orders.
. "$(dirname "$0")/lib.sh"; . "$T/media.sh"

# refused NAME FILE PATTERN: why, the same in both orders
refused()
{
	cb-decode "$2" 2>a.err | cb-sample --compat clipbert -f 4 >a.cb 2>>a.err
	is $? 1 "$1: refused behind cb-decode"
	cb-sample --compat clipbert -f 4 "$2" 2>b.err | cb-decode >b.cb 2>>b.err
	is $? 1 "$1: refused before it"
	body a.cb >a.body; body b.cb >b.body
	same a.body b.body "$1: the same bytes"
	like b.err "$3" "$1: says why"
}

video v.y4m 40
refused 'no count' v.y4m 'v.y4m: division by zero'
cb-sample -f 4 v.y4m | cb-decode --compat clipbert >c.cb 2>err
body c.cb >c.body
same b.body c.body 'cb-decode makes any plan one of the original'
cb-sample --compat pyav v.y4m >/dev/null 2>err
is $? 2 'another word is a wrong call'
cb-decode --compat pyav v.y4m >/dev/null 2>err
is $? 2 'of cb-decode too'

V=$SHARED/media/videos B=$SHARED/media/broken
[ -d "$V" ] || { echo "# no $SHARED/media"; echo 1..$test_n; exit 0; }
cb-sample -n 2 "$V/carphone.mp4" | cb-decode >a.cb
cb-sample -n 2 --compat clipbert "$V/carphone.mp4" | cb-decode >b.cb
is "$(picked b.cb)" "$(picked a.cb)" 'a file that is well behaved'
cb-dump <b.cb | jq -se '.[1].group.plan.original' >/dev/null
ok $? 'the plan says whose it is'
refused '5:1' "$V/cars_strip.mp4" 'cars_strip.mp4: 768 x 120 is over 5 to 1'
cb-sample "$V/cars_strip.mp4" | cb-decode >/dev/null 2>err
is $? 0 'by default it is taken'
refused 'sizes' "$B/size_change.mp4" \
    'size_change.mp4: the size changes within a clip'
# A frame that cannot be decoded: the original has none then, we take another.
ends() { cb-decode 2>/dev/null | cb-dump | jq -c 'select(.end).end.pictures'; }
is "$(cb-sample -n 4 --compat clipbert "$B/hole.mp4" | ends)" 0 \
    'a missing frame is refused'
is "$(cb-sample -n 4 "$B/hole.mp4" | ends)" 8 'and made up for by default'
echo 1..$test_n
