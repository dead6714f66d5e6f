#!/usr/bin/env python3
"""A cb stream as JSON lines with the values of tensors, by other code than ours.

Usage: values.py <stream >lines
"""
import json
import struct
import sys

TYPES = "BiqfdeH"


def tensor(b):
    kind, rank = b[0], b[1]
    dims = struct.unpack("<6Q", b[8:56])
    assert not any(b[2:8]) and not any(dims[rank:]) and not any(b[56:64])
    n = 1
    for d in dims[:rank]:
        n *= d
    flat = list(struct.unpack("<%d%s" % (n, TYPES[kind]), b[64:]))
    for d in reversed(dims[1:rank]):
        flat = [flat[i:i + d] for i in range(0, len(flat), d)] if d else []
    return flat if rank else flat[0]


def value(f):
    c = f.read(1)[0]
    if c < 0x80:
        return c
    if c >= 0xe0:
        return c - 256
    if c < 0x90:
        return mapping(f, c & 15)
    if c < 0xa0:
        return [value(f) for _ in range(c & 15)]
    if c < 0xc0:
        return f.read(c & 31).decode()
    if c in (0xc0, 0xc2, 0xc3):
        return {0xc0: None, 0xc2: False, 0xc3: True}[c]
    if 0xca <= c <= 0xd3:
        form = "fdBHIQbhiq"[c - 0xca]
        return struct.unpack(">" + form, f.read(struct.calcsize(form)))[0]
    if 0xd4 <= c <= 0xd8:
        return ext(f, 1 << (c - 0xd4))
    wide = {0xc4: 1, 0xc7: 1, 0xd9: 1, 0xc5: 2, 0xc8: 2, 0xda: 2, 0xdc: 2,
            0xde: 2}.get(c, 4)
    n = int.from_bytes(f.read(wide), "big")
    if c in (0xd9, 0xda, 0xdb):
        return f.read(n).decode()
    if c in (0xc4, 0xc5, 0xc6):
        return f.read(n).hex()
    if c in (0xdc, 0xdd):
        return [value(f) for _ in range(n)]
    if c in (0xde, 0xdf):
        return mapping(f, n)
    return ext(f, n)


def ext(f, n):
    kind = f.read(1)[0]
    b = f.read(n)
    return tensor(b) if kind == 1 else {"ext": kind, "hex": b.hex()}


def mapping(f, n):
    return {value(f): value(f) for _ in range(n)}


while sys.stdin.buffer.peek(1):
    print(json.dumps(value(sys.stdin.buffer)))
