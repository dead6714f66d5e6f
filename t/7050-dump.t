#!/bin/bash
# cb-dump: streams and checkpoints as JSON, pictures as PNG.
. "$(dirname "$0")/lib.sh"; plan 21
cat >v.jsonl <<'X'
{"question": "q", "answer": "a", "video_id": "x"}
{"question": "r", "answer": "b", "video_id": "y"}
X
cb-list --no-shuffle v.jsonl | fake-pictures 2 2 3 4 >g.cb
cb-dump <g.cb >d 2>err; is "$? $(cat err)" '0 ' 'dumps'
cb-dump g.cb >dn; same d dn 'a stream that is named'
is "$(jq -c 'keys[0]' d | tr -d '\n')" \
    '"annotations""group""clip""clip""clip""clip""end""group""clip""clip""clip""clip""end""eos"' \
    'a line for each message'
# the same through a decoder that shares no code with ours
python3 "$T/values.py" <g.cb >e
jq -c 'del(.picture)' d >d1; jq -c 'del(.picture)' e >e1
same d1 e1 'the values that another decoder sees'
is "$(jq -c '.picture // empty | [.dtype, .shape]' d | sort -u)" \
    '["U8",[3,4,3]]' 'tensors by type and shape'
jq -r '.picture // empty | flatten | implode | @base64' e | head -n 1 >x
is "$(python3 -c '
import hashlib, json
for l in open("e"):
    m = json.loads(l)
    if "picture" in m:
        b = bytes(v for r in m["picture"] for p in r for v in p)
        print(hashlib.sha256(b).hexdigest())
')" "$(jq -r '.picture.sha256 // empty' d)" 'and the hash of the data'

cb-dump -p pics <g.cb >d2; is $? 0 '--pictures'
same d d2 'prints the same'
is "$(ls pics | tr '\n' ' ')" 'g000000-c000-000000.png g000000-c000-000001.png g000000-c001-000002.png g000000-c001-000003.png g000001-c000-000000.png g000001-c000-000001.png g000001-c001-000002.png g000001-c001-000003.png ' \
    'and writes a file for each'
python3 - pics/g000001-c001-000002.png >got <<'X'
import struct, sys, zlib
b = open(sys.argv[1], "rb").read()
at, idat = 8, b""
while at < len(b):
    n, kind = struct.unpack(">I4s", b[at:at + 8])
    body = b[at + 8:at + 8 + n]
    if kind == b"IHDR":
        w, h, depth, color = struct.unpack(">IIBB", body[:10])
    idat += body if kind == b"IDAT" else b""
    at += 12 + n
raw, out, above = zlib.decompress(idat), [], [0] * (3 * w)
assert (depth, color) == (8, 2)
for y in range(h):
    f, row = raw[y * (3 * w + 1)], list(raw[y * (3 * w + 1) + 1:][:3 * w])
    for i in range(3 * w):
        a = row[i - 3] if i >= 3 else 0
        u, c = above[i], above[i - 3] if i >= 3 else 0
        p = a + u - c
        best = min((abs(p - a), 0, a), (abs(p - u), 1, u), (abs(p - c), 2, c))
        row[i] = (row[i] + [0, a, u, (a + u) // 2, best[2]][f]) & 255
    out += row
    above = row
print(w, h, out == [(31 + 14 + j) & 255 for j in range(36)])
X
is "$(cat got)" '4 3 True' 'with the right pixels'
cb-batch -b 2 <g.cb | cb-dump -p batch >/dev/null
is "$(ls batch | head -n 5 | tail -n 1)" b000000-v001-c000-000000.png \
    'in batches by video too'

head -c 900 g.cb | cb-dump >d3 2>err; is $? 1 'a cut stream: status 1'
like err '^cb-dump: stdin: the stream ends within a message' 'says so'
head -n "$(wc -l <d3)" d >d4; same d3 d4 'what came before is shown'
[ -s d3 ]; ok $? '(it is something)'
cb-dump </dev/null >out 2>err
is "$? $(cat err)" \
    '1 cb-dump: stdin: empty, not even a header: the upstream program failed' \
    'an empty stream'
cb-dump <g.cb >/dev/full 2>err
is "$? $(cat err)" '1 cb-dump: stdout: No space left on device' 'a full disk'

python3 - >w.safetensors <<'X'
import json, struct, sys
h = json.dumps({"__metadata__": {"config": "{\"a\": 1}", "note": "x"},
    "w": {"dtype": "F32", "shape": [2, 1], "data_offsets": [0, 8]},
    "n": {"dtype": "I64", "shape": [], "data_offsets": [8, 16]}}).encode()
sys.stdout.buffer.write(struct.pack("<Q", len(h)) + h +
    struct.pack("<ffq", 1, 2, 3))
X
cb-dump w.safetensors >s 2>err; is "$? $(cat err)" '0 ' 'a checkpoint'
is "$(head -n 1 s)" \
    '{"safetensors":"w.safetensors","metadata":{"config":{"a":1},"note":"x"}}' \
    'metadata, JSON as JSON'
is "$(tail -n +2 s | jq -c '[.name,.dtype,.shape]' | tr -d '\n')" \
    '["w","F32",[2,1]]["n","I64",[]]' 'a line for each tensor'
cb-dump v.jsonl >out 2>err; s=$?
[ $s -eq 1 ] && grep -q '^cb-dump: v.jsonl: ' err; ok $? 'not a checkpoint'
