#!/usr/bin/env python3
"""Safetensors for tests, read and written without this project's code.

weights.py same A B		tensors equal byte for byte, metadata aside
weights.py make KIND A B	as if pretrained: what KIND (bert, resnet) has of
				checkpoint A goes into B under its maker's names,
				with other values, one tensor less, one more
weights.py uses KIND A B	checkpoint A has the values of B, up to one step of
				a rate of 1e-8; prints how many tensors
weights.py resize A B NAME	B is A with one value less in that tensor
weights.py drop A B NAME	B is A without that tensor
weights.py sort A B		B is A with its tensors in the order of their names
weights.py moved A B C D	how far C to D is from A to B, over A to B
"""
import json
import random
import struct
import sys


def load(path):
    with open(path, "rb") as f:
        n = struct.unpack("<Q", f.read(8))[0]
        head = json.loads(f.read(n))
        data = f.read()
    meta = head.pop("__metadata__", {})
    return {k: (v["shape"], data[slice(*v["data_offsets"])])
            for k, v in head.items()}, meta


def save(path, tensors, meta):
    head, at = {"__metadata__": meta} if meta else {}, 0
    for name, (shape, data) in tensors.items():
        head[name] = {"dtype": "F32", "shape": shape,
                      "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for _, data in tensors.values():
            f.write(data)


def theirs(kind, name):
    """The maker's name, or None: not of this kind."""
    if kind == "resnet":
        start = "cnn.feature.backbone."
        return name.startswith(start) and "backbone." + name[len(start):]
    if not name.startswith("transformer.bert.") or "visual" in name:
        return None
    name = name[len("transformer."):]
    return name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
        "LayerNorm.bias", "LayerNorm.beta")


def make(kind, ckpt, out):
    draw = random.Random(1)
    tensors = {}
    for name, (shape, data) in load(ckpt)[0].items():
        if theirs(kind, name):
            n = len(data) // 4
            tensors[theirs(kind, name)] = shape, struct.pack(
                "<%df" % n, *(draw.uniform(0.1, 0.2) for _ in range(n)))
    del tensors[{"bert": "bert.pooler.dense.bias",
                 "resnet": "backbone.stem.conv1.norm.bias"}[kind]]
    tensors["spare.weight"] = [1], bytes(4)
    save(out, tensors, {})


def uses(kind, ckpt, given):
    given, count = load(given)[0], 0
    for name, (shape, data) in load(ckpt)[0].items():
        if theirs(kind, name) in given:
            n = len(data) // 4
            a = struct.unpack("<%df" % n, data)
            b = struct.unpack("<%df" % n, given[theirs(kind, name)][1])
            if max(abs(x - y) for x, y in zip(a, b)) > 1e-6:
                sys.exit("%s: other values" % name)
            count += 1
    print(count)


def numbers(path):
    return {k: struct.unpack("<%df" % (len(d) // 4), d)
            for k, (_, d) in load(path)[0].items() if len(d) % 4 == 0}


def moved(*paths):
    a, b, c, d = map(numbers, paths)
    off = size = 0
    for k in a:
        for w, x, y, z in zip(a[k], b[k], c[k], d[k]):
            off += ((x - w) - (z - y)) ** 2
            size += (x - w) ** 2
    return (off / size) ** .5


def main(what, *args):
    if what == "same":
        a, b = (load(path)[0] for path in args)
        if a != b:
            sys.exit("differ: %s" % [k for k in a.keys() | b.keys()
                                     if a.get(k) != b.get(k)][:5])
    elif what == "moved":
        print("%.4f" % moved(*args))
    elif what == "sort":
        tensors, meta = load(args[0])
        save(args[1], dict(sorted(tensors.items())), meta)
    elif what in ("resize", "drop"):
        tensors, meta = load(args[0])
        shape, data = tensors.pop(args[2])
        if what == "resize":
            tensors[args[2]] = [len(data) // 4 - 1], data[:-4]
        save(args[1], tensors, meta)
    else:
        {"make": make, "uses": uses}[what](*args)


main(*sys.argv[1:])
