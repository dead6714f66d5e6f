# For tests of cb-decode, cb-sample and cb-pack: media made without an encoder,
# and streams without their header (whose provenance differs by command).

# video FILE FRAMES: 10 frames a second, 16x16, each a gray of its own
video()
{
	python3 - "$1" "$2" <<-'E'
	import sys
	with open(sys.argv[1], 'wb') as f:
	    f.write(b'YUV4MPEG2 W16 H16 F10:1 Ip A1:1 C420jpeg\n')
	    for i in range(int(sys.argv[2])):
	        f.write(b'FRAME\n' + bytes([20 + 4 * i % 220]) * 256 +
	            b'\x80' * 128)
	E
}

# image FILE WIDTH HEIGHT GRAY
image()
{
	python3 -c 'import sys
w, h, v = map(int, sys.argv[2:])
open(sys.argv[1], "wb").write(b"P6\n%d %d\n255\n" % (w, h) +
    bytes([v]) * (3 * w * h))' "$@"
}

# body FILE: the stream from its first group on
body()
{
	python3 -c 'import sys
d = open(sys.argv[1], "rb").read()
i = d.find(b"\x81\xa5group")
sys.stdout.buffer.write(d[i:] if i >= 0 else b"")' "$1"
}

# picked FILE: "clip:index" of each picture, on one line
picked()
{
	cb-dump <"$1" | jq -rs '[.[] | select(.picture) |
	    "\(.clip):\(.index)"] | join(" ")'
}

# orders NAME FILE OPTIONS: both orders of the filters write the same
orders()
{
	local name=$1 file=$2
	shift 2
	cb-decode "$file" 2>orders.err | cb-sample "$@" >a.cb 2>>orders.err
	cb-sample "$@" "$file" 2>>orders.err | cb-decode >b.cb 2>>orders.err
	body a.cb >a.body
	body b.cb >b.body
	[ -s a.body ] && cmp a.body b.body >cmp.out 2>&1
	local s=$?
	ok $s "$name: both orders write the same"
	[ $s -eq 0 ] || diag <cmp.out
}
