#!/usr/bin/env python3
"""Masked words, worked out again by other code than ours.

Usage: masked.py PLAIN MASKED SHARE SEED

Both are streams as values.py prints them, of the same groups without and with
masked words.  Prints what differs from the rule of mask.c, and the counts of
tokens, chosen ones and what became of them, as JSON.
"""
import json
import struct
import sys

plain, masked, share, seed = sys.argv[1:]
share, seed = float(share), int(seed)
M32 = 0xffffffff


def philox(key, ctr):
    """Philox4x32-10 of Salmon et al., SC 2011, from its definition."""
    k0, k1 = key & M32, key >> 32
    c = list(ctr)
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [b >> 32 ^ c[1] ^ k0, b & M32, a >> 32 ^ c[3] ^ k1, a & M32]
        k0, k1 = k0 + 0x9E3779B9 & M32, k1 + 0xBB67AE85 & M32
    return c


def real(epoch, seq, i):
    """Draw number i in [0,1): two words, 53 bits; purpose 3 is masking."""
    w = philox(seed, (i // 2, seq, epoch, 3))[2 * (i % 2):][:2]
    return ((w[0] << 32 | w[1]) >> 11) * 2.0 ** -53


def groups(path):
    for line in open(path):
        m = json.loads(line)
        if "cb" in m:
            vocab = m["vocab"]
        if "group" in m:
            yield vocab, m["group"]


n = dict(tokens=0, special=0, chosen=0, mask=0, other=0, same=0, wrong=0,
         words=0)
seen = set()
for (vocab, a), (_, b) in zip(groups(plain), groups(masked)):
    special = [vocab.index(s) for s in
               ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]") if s in vocab]
    draw = 0
    for ids, on, got, labels in zip(a["ids"], a["mask"], b["ids"],
                                    b["mlm_labels"]):
        for t, m, g, l in zip(ids, on, got, labels):
            want = t, -100
            if m:
                n["tokens"] += 1
                n["special"] += t in special
                u = [real(a["epoch"], a["seq"], draw + k) for k in range(3)]
                draw += 3
                if t not in special and u[0] < share:
                    want = (vocab.index("[MASK]") if u[1] < 0.8 else
                            int(u[2] * len(vocab)) if u[1] < 0.9 else t), t
            n["wrong"] += want != (g, l)
            if l >= 0:
                n["chosen"] += 1
                kind = "mask" if vocab[g] == "[MASK]" else \
                    "same" if g == l else "other"
                n[kind] += 1
                if kind == "other":
                    seen.add(g)
n["words"] = len(seen)
print(json.dumps(n))
