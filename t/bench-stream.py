#!/usr/bin/env python3
"""What the link of cb-link(7) saves: bench-stream.py BIN VIDEOS

Milliseconds of `cb-decode V | cb-sample -n 2` with and without the link, and of
`cb-sample -n 2 V | cb-decode`, which decodes what is needed and no more.  The
median of ROUNDS, taken in turns, so that a busy machine slows all alike.
"""
import os
import statistics
import subprocess
import sys
import time

ROUNDS = 7
FILES = ["bottles.mp4", "juggle.mp4", "park_trees.mp4", "toy_frog.mpg",
         "sign_eat.mkv"]


def seconds(command, link, path):
    began = time.monotonic()
    subprocess.run(["sh", "-c", command, "sh", path], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                   env=dict(os.environ, CB_LINK=link))
    return time.monotonic() - began


def main():
    os.environ["PATH"] = os.path.abspath(sys.argv[1]) + ":" + \
        os.environ["PATH"]
    ways = [('cb-decode "$1" | cb-sample -n 2', "1"),
            ('cb-decode "$1" | cb-sample -n 2', "0"),
            ('cb-sample -n 2 "$1" | cb-decode', "1")]
    print("%-16s %9s %9s %9s %9s" % ("ms", "link", "no link", "plan",
                                     "link/plan"))
    for name in FILES:
        path = os.path.join(sys.argv[2], name)
        rounds = [[seconds(c, link, path) for c, link in ways]
                  for _ in range(ROUNDS)]
        ms = [1000 * statistics.median(t) for t in zip(*rounds)]
        print("%-16s %9.1f %9.1f %9.1f %9.2f" % (name, *ms, ms[0] / ms[2]))


main()
