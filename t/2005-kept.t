#!/bin/bash
# Videos of which only decoding tells which frames there are: a stream without
# a container and so without times.  Frames that were kept from that and frames
# that did not fit are those of a plain decode, in either order of the filters.
. "$(dirname "$0")/lib.sh"; . "$T/media.sh"
from=$SHARED/media/videos/brook_h264.avi
[ -f "$from" ] || skip_all "no $from"
plan 6
export CB_LINK=0	# as two programs that know nothing of each other

# raw TIMES FILE: the packets of the AVI file, over and over
raw()
{
	python3 - "$from" "$1" >"$2" <<-'P'
	import struct, sys
	d = open(sys.argv[1], "rb").read()
	i, out = d.index(b"movi") + 4, b""
	while d[i:i + 4] in (b"00dc", b"01wb"):
	    n, = struct.unpack("<I", d[i + 4:i + 8])
	    if d[i:i + 4] == b"00dc":
	        out += d[i + 8:i + 8 + n]
	    i += 8 + n + n % 2
	sys.stdout.buffer.write(out * int(sys.argv[2]))
	P
}
sums() { cb-dump <"$1" | jq -r 'select(.picture).picture.sha256'; }

raw 1 one.h264
raw 2 two.h264
cb-decode one.h264 >a.cb 2>err; is $? 0 'a stream without times'
sums a.cb >one
cb-decode "$from" >a.cb; sums a.cb | cmp -s - one
ok $? 'has the frames of the file with them'
cb-decode two.h264 >a.cb; sums a.cb >two
cat one one | cmp -s - two; ok $? 'twice as long: more than fits'
orders 'kept' one.h264 -n 4
orders 'some kept' two.h264 -n 4
orders 'only kept ones' two.h264 -s rand --seed 3 -f 3
