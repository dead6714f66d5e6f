#!/bin/bash
# Pictures through the memory of a link: the pixels are the same, whatever
# becomes of the memory or of either side, and a peer that means ill breaks
# nothing.
. "$(dirname "$0")/lib.sh"; . "$T/media.sh"
plan 26
python3 - <<'P'
for name, n in ("long.y4m", 200), ("short.y4m", 30):
    with open(name, "wb") as f:
        f.write(b"YUV4MPEG2 W320 H240 F10:1 Ip A1:1 C420jpeg\n")
        for i in range(n):
            f.write(b"FRAME\n" + bytes([20 + i]) * 76800 + b"\x80" * 38400)
P
image i.ppm 400 300 7
files="long.y4m i.ppm nope.mp4 short.y4m"

hashes() { cb-dump | jq -c 'select(has("picture")) | .picture.sha256'; }
CB_LINK=0 cb-decode $files 2>/dev/null | hashes >a.sums
CB_LINK=tell cb-decode -j 2 $files 2>tell | hashes >b.sums
like tell ' not asked, [1-9][0-9]* pictures' 'without a plan, all go through memory'
same a.sums b.sums 'every pixel is the same'
chain() { cb-decode long.y4m i.ppm | cb-sample -n 3 -f 2 | hashes; }
CB_LINK=0 chain >a.sums
CB_LINK=tell chain 2>tell >b.sums
same a.sums b.sums 'and behind two links'
is "$(grep -c ' [1-9][0-9]* pictures through memory' tell)" 2 'each of them used'

# A reader that stops in the middle holds the writer up, as it would without a
# link.
mkfifo q go stops
CB_LINK=tell pass-pictures write 60 448 448 >q 2>tell &
w=$!
exec 3<q
pass-pictures read go <&3 >slow 2>stops &
r=$!
read -r -t 60 _ <stops
timeout 60 python3 - $w <<'P'
import array, fcntl, os, sys, termios
def held():
    """Something is in the pipe, and the writer sleeps: there is no room."""
    n = array.array("i", [0])
    fcntl.ioctl(3, termios.FIONREAD, n)
    with open("/proc/%s/stat" % sys.argv[1]) as f:
        state = f.read().rsplit(")", 1)[1].split()[0]
    assert state != "Z", "the writer has ended"
    return n[0] > 0 and state == "S"
while not held():
    os.sched_yield()
P
is $? 0 'a reader that stops'
exec 3<&-
: >go
wait $r; is "$? $(cut -d' ' -f1 slow)" "0 $((59 * 448 * 448 * 3))" \
    'everything comes in the end'
wait $w; is $? 0 'the writer ends well'
like tell ' [1-9][0-9]? pictures through memory' 'through memory'

CB_LINK=tell pass-pictures write 3 5000 5000 2>tell | pass-pictures read >big
is "$? $(cut -d' ' -f1 big)" "0 150000000" 'pictures larger than any memory'
like tell ' 0 pictures through memory' 'go through the pipe'

# Pictures that stay in memory until they are no longer wanted.
for i in $(seq 30); do echo '{"question": "?", "answer": "a", "video_id": "v'$i'"}'; done >q.jsonl
cb-list q.jsonl | fake-pictures 2 2 200 150 >pictures.cb
keep-pictures 12 <pictures.cb >kept; read n sum stayed <kept
is "$n $stayed" '120 117' 'without a link they stay in memory of the reader'
kept() { cb-list q.jsonl |
    CB_LINK=tell fake-pictures 2 2 200 150 2>tell | keep-pictures "$@"; }
for keep in '1' '12' '12 40' '12 119'; do
	kept $keep >kept; rc=$?
	read m was stayed <kept
	is "$rc $m $was $((stayed >= 30))" "0 120 $sum 1" \
	    "$keep kept: $stayed stay, all as they were"
done
kept 12 12 >kept; read m was stayed <kept
like tell " $stayed pictures through memory" 'all of them, where there is room'

# Shared memory is a file, and files may not be large here.
CB_LINK=tell pass-pictures write 9 448 448 2>tell |
    (ulimit -f 64; pass-pictures read >few)
is "$? $(cut -d' ' -f1 few)" "0 $((8 * 448 * 448 * 3))" 'no memory to be had'
like tell ' 0 pictures through memory' 'all through the pipe'

# shares PID: until the writer has mapped what its reader offers
shares()
{
	timeout 60 bash -c 'until grep -q cb-link /proc/$0/maps; do :; done' $1
}
pass-pictures write 100000 448 448 >q 2>err &
w=$!
pass-pictures read go <q >out 2>err &	# stops at the second picture
r=$!
shares $w; kill -9 $r
wait $w 2>/dev/null; is $? 141 'a reader that is killed ends the writer'
pass-pictures write 100000 448 448 >q 2>err.w &
w=$!
pass-pictures read <q >out 2>err &
r=$!
shares $w; kill -9 $w
wait $r 2>/dev/null; is $? 1 'a writer that is killed is noticed'
like err 'upstream program died' 'and its reader says so'
is "$(grep -c "cb-link/1/.*/$(printf %x "$(stat -c %i q)")\$" /proc/net/unix)" \
    0 'nothing is left behind'

# Readers that offer what is no memory, or not theirs alone to change.
cat >peer.py <<'P'
import fcntl, os, socket, sys
os.read(0, 1)
st = os.fstat(0)
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.connect("\0cb-link/1/%d/%x/%x" % (os.getuid(), st.st_dev, st.st_ino))

def ring(seals=6, size=4096 + (4 << 20)):	# SHRINK and GROW
    fd = os.memfd_create("ill", os.MFD_ALLOW_SEALING)
    os.posix_fallocate(fd, 0, size)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd

ill = sys.argv[1]
fds = {"file": lambda: [os.open("short.y4m", os.O_RDONLY)],
       "unsealed": lambda: [ring(0)], "tiny": lambda: [ring(6, 4096)],
       "huge": lambda: [ring(6, 300 << 20)], "fixed": lambda: [ring(14)],
       "many": lambda: [ring(), ring(), ring()]}.get(ill, lambda: [ring()])()
socket.send_fds(s, [b"r"], fds)
if ill == "lies":			# of how much it has taken
    os.pwrite(fds[0], b"\xff" * 8, 0)
s.setblocking(False)
n = 1
while got := len(os.read(0, 1 << 20)):
    n += got
    try:
        while ill == "wakes":
            s.send(b"w")
    except OSError:
        pass
print(n)
P
CB_LINK=0 cb-decode short.y4m | wc -c >a.n
for ill in file unsealed tiny huge fixed many; do
	CB_LINK=tell timeout 60 cb-decode short.y4m 2>tell |
	    timeout 60 python3 peer.py $ill >b.n
	echo "$? $(cmp a.n b.n 2>&1) $(grep -c ' 0 pictures through' tell)"
done >got
is "$(sort -u got)" '0  1' 'what is no memory is not taken'
for ill in keeps lies wakes; do
	CB_LINK=tell timeout 60 cb-decode long.y4m 2>tell |
	    timeout 60 python3 peer.py $ill >b.n
	echo "$? $(grep -c ' [1-9][0-9]* pictures through' tell)"
done >got
is "$(sort -u got)" '0 1' \
    'one that leaves in memory what is there does not hold the writer up'

# Writers that point outside of what was offered, or at what nobody offered.
cat >writer.py <<'P'
import os, socket, struct, sys
st = os.fstat(1)
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
if sys.argv[1] != "alone":
    s.bind("\0cb-link/1/%d/%x/%x" % (os.getuid(), st.st_dev, st.st_ino))
    s.listen()
out = os.fdopen(1, "wb")
def tensor(kind, more, shape=(128, 256, 3)):
    head = struct.pack("<BB6x6Q8x", 0, len(shape),
                       *(shape + (0,) * (6 - len(shape))))
    return b"\xc9" + struct.pack(">IB", len(head) + len(more), kind) + head + more
out.write(b"\x81\xa2cb\x01\x81\xa5group\x81\xa3seq\x00")
out.write(b"\x81\xa7picture" + tensor(1, bytes(128 * 256 * 3)))
out.flush()
if sys.argv[1] != "alone":
    c, _ = s.accept()
    text, fds, _, _ = socket.recv_fds(c, 4096, 4)
    assert text == b"r" and len(fds) == 1
at = {"alone": 0, "outside": 5 << 20, "negative": -4096, "far": 1 << 62,
      "across": (4 << 20) - 64, "good": 0}[sys.argv[1]]
out.write(b"\x81\xa7picture" + tensor(2, struct.pack("<q", at)))
try:
    out.write(b"\x81\xa3end\x81\xa8pictures\x02\x81\xa3eos\x80")
    out.flush()
except BrokenPipeError:
    pass
P
for ill in alone outside negative far across; do
	timeout 60 python3 writer.py $ill 2>/dev/null | cb-dump 2>err >out
	echo "${PIPESTATUS[1]} $(tail -n 1 err)"
done >got
is "$(sort -u got)" \
    '1 cb-dump: stdin: a tensor in shared memory that was not offered' \
    'what lies outside of the memory is refused'
timeout 60 python3 writer.py good | cb-dump 2>err >out
is "$? $(grep -c picture out)" '0 3' 'what lies in it is taken'
