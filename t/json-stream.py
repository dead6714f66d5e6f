#!/usr/bin/env python3
"""JSON lines to a cb stream, written without this project's code.

Each line is one message.  {"$tensor": ["U8", [2, 2, 3], seed]} becomes a
tensor of made-up bytes.  Usage: json-stream.py <lines >stream
"""
import json
import struct
import sys

TYPES = {"U8": (0, 1), "I32": (1, 4), "I64": (2, 8), "F32": (3, 4)}


def head(n, fix, fixmax, wide):
    if n <= fixmax:
        return bytes([fix | n])
    if n < 65536:
        return bytes([wide]) + struct.pack(">H", n)
    return bytes([wide + 1]) + struct.pack(">I", n)


def tensor(name, shape, seed):
    code, size = TYPES[name]
    for n in shape:
        size *= n
    payload = struct.pack("<BB6x", code, len(shape))
    payload += b"".join(struct.pack("<Q", n) for n in shape)
    payload = payload.ljust(64, b"\0")
    payload += bytes((seed + 7 * i) % 251 for i in range(size))
    return b"\xc9" + struct.pack(">Ib", len(payload), 1) + payload


def pack(v):
    if v is None:
        return b"\xc0"
    if isinstance(v, bool):
        return b"\xc3" if v else b"\xc2"
    if isinstance(v, int):
        return bytes([v]) if 0 <= v < 128 else b"\xd3" + struct.pack(">q", v)
    if isinstance(v, float):
        return b"\xcb" + struct.pack(">d", v)
    if isinstance(v, str):
        s = v.encode("utf-8", "surrogateescape")
        return head(len(s), 0xA0, 31, 0xDA) + s
    if isinstance(v, list):
        return head(len(v), 0x90, 15, 0xDC) + b"".join(map(pack, v))
    if "$tensor" in v:
        return tensor(*v["$tensor"])
    return head(len(v), 0x80, 15, 0xDE) + b"".join(
        pack(k) + pack(x) for k, x in v.items())


for line in sys.stdin:
    sys.stdout.buffer.write(pack(json.loads(line)))
