#!/usr/bin/env python3
"""What the link of cb-link(7) saves: bench-stream.py BUILD VIDEOS

GB/s of 448x448 pictures from one process to the next, with the link and without,
beside memcpy() within one.  Then milliseconds of `cb-decode V | cb-sample -n 2` with and without the link, and of
`cb-sample -n 2 V | cb-decode`, which decodes what is needed and no more.  The
median of ROUNDS, taken in turns, so that a busy machine slows all alike.
"""
import os
import statistics
import subprocess
import sys
import time

ROUNDS = 7
PICTURES = 4000
FILES = ["bottles.mp4", "juggle.mp4", "park_trees.mp4", "toy_frog.mpg",
         "sign_eat.mkv"]


def seconds(command, link, path):
    began = time.monotonic()
    subprocess.run(["sh", "-c", command, "sh", path], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                   env=dict(os.environ, CB_LINK=link))
    return time.monotonic() - began


def rate(command, link):
    out = subprocess.run(["sh", "-c", command], check=True, text=True,
                         stdout=subprocess.PIPE,
                         env=dict(os.environ, CB_LINK=link)).stdout.split()
    return int(out[0]) / float(out[1]) / 1e9


def said(reached):
    return "reached" if reached else "missed"


def pass_pictures():
    size = "%d 448 448" % PICTURES
    ways = [("pass-pictures write %s | pass-pictures read" % size, "1"),
            ("pass-pictures write %s | pass-pictures read" % size, "0"),
            ("pass-pictures copy %s" % size, "0")]
    rounds = [[rate(c, link) for c, link in ways] for _ in range(ROUNDS)]
    link, pipe, copy = [statistics.median(t) for t in zip(*rounds)]
    print("448x448 pictures, GB/s: %.1f with the link (goal 5: %s), %.1f "
          "without (goal 2: %s), memcpy() %.1f" % (link, said(link >= 5), pipe,
                                                   said(pipe >= 2), copy))


def main():
    build = os.path.abspath(sys.argv[1])
    os.environ["PATH"] = "%s/bin:%s/t:%s" % (build, build, os.environ["PATH"])
    pass_pictures()
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
        print("%-16s %9.1f %9.1f %9.1f %9.2f (goal 1.1: %s)" % (
            name, *ms, ms[0] / ms[2], said(ms[0] <= 1.1 * ms[2])))


main()
