#!/bin/bash
# cb-decode -j keeps the bytes, the messages and their order; --max-bad.
. "$(dirname "$0")/lib.sh"; . "$T/media.sh"
plan 19

mkdir d
for i in 1 2 3 4 5 6 7 8 9; do video d/v$i.y4m $((5 * i + 5)); done
for i in 1 2 3; do image d/w$i.ppm $((4 * i)) 4 $((60 * i)); done
for i in 2 5 6; do head -c 20 d/v$i.y4m >d/x$i.y4m; done
: >d/v4e.mp4
files=$(ls d/*)
n=$(echo "$files" | wc -l)

# threads NAME COMMAND: the same with one thread and with more
threads()
{
	local name=$1
	shift
	"$@" -j 1 <in.cb >a.cb 2>a.err
	is $? 1 "$name: bad ones give status 1"
	"$@" -j 4 <in.cb >b.cb 2>b.err
	is $? 1 "$name: with threads too"
	body a.cb >a.body; body b.cb >b.body
	[ "$(wc -c <a.body)" -gt 1000 ] && cmp a.body b.body
	ok $? "$name: the same bytes"
	same a.err b.err "$name: the same messages"
}

cb-sample -n 2 $files >in.cb
threads 'with plans' cb-decode
cb-decode $files </dev/null 2>err | cb-sample >b.cb 2>/dev/null
cb-sample $files >in.cb
python3 -c 'import sys
d = open("in.cb", "rb").read(); i = d.find(b"\x81\xa5group")
open("odd.cb", "wb").write(d[:i] + b"\x81\xa3odd\x07" + d[i:])'
mv odd.cb in.cb
threads 'with a message of others' cb-decode
cb-dump <b.cb | jq -se '.[1].odd == 7' >/dev/null
ok $? 'which keeps its place'
cb-decode -j 1 $files >a.cb 2>err; cb-decode -j 3 $files >b.cb 2>err
body a.cb >a.body; body b.cb >b.body
same a.body b.body 'whole videos: the same bytes'
cb-decode -j 2 <a.cb >b.cb; body b.cb >b.body
same a.body b.body 'a decoded stream passes through threads'

for j in 1 3; do
	cb-decode -j $j --max-bad 1 $files 2>err >b.cb
	like err '^cb-decode: 2 of [0-9]+ media could not be read: more than' \
	    "-j $j: the second bad one stops"
	{ cb-dump <b.cb 2>/dev/null; true; } | jq -se '([.[] |
	    select(.group)] | length) as $g | $g < '"$n"' and
	    (.[-1].eos.error | test("max-bad"))' >/dev/null
	ok $? "-j $j: before the end, with the reason"
done
cb-decode --max-bad 4 $files 2>err >b.cb
{ cb-dump <b.cb 2>/dev/null; true; } | jq -se '.[-1].eos.error == null' \
    >/dev/null
ok $? 'as many as are allowed'
cb-decode --max-bad 10% $files 2>err >/dev/null
like err 'more than --max-bad allows' 'a share of all'
cb-decode --max-bad 40% $files 2>err >b.cb
{ cb-dump <b.cb 2>/dev/null; true; } | jq -se '.[-1].eos.error == null' \
    >/dev/null
ok $? 'a larger one'
cb-decode --max-bad 1x $files 2>err >/dev/null
is $? 2 'neither'
exit 0
