#!/bin/bash
# The link: what cb-sample will pick is all that cb-decode decodes, the bytes
# are those of a plain pipe, and whatever stands between gets a plain pipe.
. "$(dirname "$0")/lib.sh"; . "$T/media.sh"
plan 21

# Larger than a pipe, so that cb-decode waits in the middle for a late reader.
python3 - <<'P'
for name, n in ("long.y4m", 200), ("short.y4m", 30):
    with open(name, "wb") as f:
        f.write(b"YUV4MPEG2 W320 H240 F10:1 Ip A1:1 C420jpeg\n")
        for i in range(n):
            f.write(b"FRAME\n" + bytes([20 + i]) * 76800 + b"\x80" * 38400)
P
image i.ppm 400 300 7
head -c 4000000 long.y4m >cut.y4m
files="long.y4m i.ppm nope.mp4 short.y4m cut.y4m"

# same_as_plain NAME: b.cb has the bytes of a.cb
same_as_plain()
{
	same a.cb b.cb "$1"
}

CB_LINK=0 cb-decode $files 2>/dev/null | cb-sample -s rand -n 3 >a.cb 2>err
CB_LINK=tell cb-decode $files 2>tell | cb-sample -s rand -n 3 >b.cb 2>err
like tell 'cb-decode: link: asked' 'cb-sample asks'
like tell ' asked, [1-9][0-9]* pictures through memory' 'and offers memory'
same_as_plain 'the bytes are the same'
CB_LINK=tell cb-decode -j 3 $files 2>tell | cb-sample -s rand -n 3 >b.cb 2>err
like tell 'cb-decode: link: asked' 'with threads'
# provenance has the arguments
body a.cb >a.body; body b.cb >b.body
same a.body b.body 'the bytes are the same'

mkfifo p
CB_LINK=tell cb-decode $files >p 2>tell &
exec 3<p				# which lets cb-decode start
timeout 60 python3 -c 'import array, fcntl, os, termios
n = array.array("i", [0])
while n[0] < 500000:			# two pictures
    os.sched_yield()
    fcntl.ioctl(3, termios.FIONREAD, n)'
cb-sample -s rand -n 3 <&3 >b.cb 2>err
wait $!
exec 3<&-
like tell 'cb-decode: link: asked' 'a reader that comes late'
same_as_plain 'which finds pictures that nobody asked for in the pipe'
cb-sample -s rand -n 3 <p >b.cb 2>err &
CB_LINK=tell cb-decode $files >p 2>tell
wait $!
like tell 'cb-decode: link: asked' 'a reader that was there before'
same_as_plain 'the bytes are the same'

# between NAME COMMAND: nobody asks through a program that is not ours
between()
{
	local name=$1
	shift
	CB_LINK=tell cb-decode $files 2>tell | "$@" |
	    cb-sample -s rand -n 3 >b.cb 2>err
	like tell 'cb-decode: link: not asked' "$name between"
	same_as_plain 'the bytes are the same'
}
between cat cat
between tee tee copy.cb
between sh sh -c 'cat | cat'
cb-sample -s rand -n 3 <copy.cb >b.cb 2>err
same_as_plain 'from a file'
f() { cb-sample "$@"; }
CB_LINK=tell cb-decode $files 2>tell | f -s rand -n 3 >b.cb 2>err
same_as_plain 'a shell function'
echo $files | CB_LINK=tell xargs cb-decode 2>tell |
    cb-sample -s rand -n 3 >b.cb 2>err
like tell 'cb-decode: link: asked' 'xargs'
same_as_plain 'the bytes are the same'

# Peers that mean ill: each is the first to come, before it reads anything.
cat >peer.py <<'P'
import os, socket, sys
os.read(0, 1)
st = os.fstat(0)
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
if sys.argv[1] == "uid":
    os.setuid(65534)
s.connect("\0cb-link/1/0/%x/%x" % (st.st_dev, st.st_ino))
text = {"uid": b'{"plan":{"strategy":"clips","clips":1,"frames":1,"fps":1.0,'
        b'"seed":0}}', "junk": b"\xff{[" * 99, "long": b"[" * 9000,
        "wide": b"[" * 4000, "list": b"[1]", "silent": None,
        "clips": b'{"plan":{"strategy":"clips","clips":1e99,"frames":-1,"fps":0,'
        b'"seed":0}}'}[sys.argv[1]]
try:
    if text is not None:
        socket.send_fds(s, [text], [0, 1, 2])
except OSError:
    pass
n = 1
while got := len(os.read(0, 1 << 20)):
    n += got
print(n)
P
CB_LINK=0 cb-decode short.y4m | wc -c >a.n
for ill in junk long wide list clips silent; do
	timeout 60 cb-decode short.y4m 2>err | timeout 60 python3 peer.py $ill >b.n
	echo "$? $ill" >>status
	cmp a.n b.n >>status 2>&1
done
is "$(cat status)" "$(printf '0 %s\n' junk long wide list clips silent)" \
    'a hostile peer changes nothing'
if [ "$(id -u)" = 0 ]; then
	CB_LINK=tell cb-decode short.y4m 2>tell | python3 peer.py uid >b.n
	like tell 'not asked' 'another user is not let in'
else
	ok 0 'another user is not let in # SKIP needs root'
fi
