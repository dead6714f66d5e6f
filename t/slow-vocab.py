#!/usr/bin/env python3
"""Pair merging by its definition: slow-vocab.py WORDS SIZE MIN_COUNT.

The twin of lib/text/build.c: counts all pairs anew before each merge.  For
words of plain letters between spaces.
"""
import collections
import sys


def main(path, size, min_count):
    with open(path) as f:
        counts = collections.Counter(f.read().split())
    letters = sorted(set("".join(counts)))
    vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + letters
    vocab += ["##" + c for c in letters]
    words = [[w[0]] + ["##" + c for c in w[1:]] for w in counts]
    while len(vocab) < size:
        pairs = collections.Counter()
        for w, n in zip(words, counts.values()):
            for p in zip(w, w[1:]):
                pairs[p] += n
        if not pairs:
            break
        p = min(pairs, key=lambda p: (-pairs[p], p[0] + p[1][2:], p[0]))
        if pairs[p] < min_count:
            break
        made = p[0] + p[1][2:]
        if made not in vocab:
            vocab.append(made)
        for w in words:
            i = 0
            while i + 1 < len(w):
                if (w[i], w[i + 1]) == p:
                    w[i:i + 2] = [made]
                i += 1
    print("\n".join(vocab))


main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
