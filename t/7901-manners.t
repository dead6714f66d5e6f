#!/usr/bin/env python3
# What all programs have in common: -h and -V, wrong calls, a broken pipe, a
# terminal, and a stream that was cut off.
import glob
import os
import pty
import signal
import struct
import subprocess
import tempfile
import zlib

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), ".."))
BIN = os.path.join(os.environ.get("CB_BUILD", os.path.join(TOP, "build")),
                   "bin")
PROGRAMS = sorted(os.path.basename(p)[:-2] for p in
                  glob.glob(os.path.join(TOP, "filters", "*.c")))
# Programs that write a stream, and what makes them.
WRITERS = {"cb-list": ["a.jsonl"], "cb-decode": ["a.png"],
           "cb-sample": [], "cb-tokenize": [], "cb-batch": []}
# All of these write more than a pipe holds: 1 MiB where the program enlarges
# it for its stream, else 64 KiB.
LONG = dict(WRITERS, **{"cb-dump": [],
                        "cb-vocab": ["-m1", "-s30000", "a.jsonl"]})
READERS = ["cb-decode", "cb-sample", "cb-tokenize", "cb-batch", "cb-dump"]
count = 0


def ok(good, name, why=""):
    global count
    count += 1
    print("%sok %d - %s" % ("" if good else "not ", count, name), flush=True)
    if not good:
        os.write(2, ("# %.300s\n" % (why,)).encode())


def run(program, *args, **how):
    how.setdefault("stdin", subprocess.DEVNULL)
    how.setdefault("stdout", subprocess.PIPE)
    return subprocess.run([os.path.join(BIN, program), *args], timeout=60,
                          stderr=subprocess.PIPE, **how)


def calls(p):
    for args in ["-h"], ["--help"]:
        got = run(p, *args)
        ok(got.returncode == 0 and not got.stderr and
           got.stdout.startswith(b"usage: %s" % p.encode()),
           "%s %s: usage on stdout" % (p, args[0]), got)
    got = run(p, "--version")
    ok(got.returncode == 0 and not got.stderr and
       got.stdout.startswith(p.encode() + b" "), "%s --version" % p, got)
    got = run(p, "--no-such-option")
    lines = got.stderr.split(b"\n")
    ok(got.returncode == 2 and not got.stdout and
       lines[0] == b"%s: --no-such-option: no such option" % p.encode() and
       lines[1].startswith(b"usage: "), "%s: a wrong call" % p, got)


def stdin_of(p, name):
    return open(name, "rb") if not LONG.get(p) else subprocess.DEVNULL


def broken_pipe(p, args):
    """Even where the parent ignores SIGPIPE: no message, ended by it."""
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    child = subprocess.Popen(
        [os.path.join(BIN, p), *args], stdin=stdin_of(p, "long.cb"),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, restore_signals=False)
    first = child.stdout.read(10)
    child.stdout.close()
    err = child.stderr.read()
    child.wait(60)
    ok(len(first) == 10 and child.returncode == -signal.SIGPIPE and not err,
       "%s | head -c 10: quiet" % p, (child.returncode, err))


def terminal(p, args):
    master, slave = pty.openpty()
    got = run(p, *args, stdin=stdin_of(p, "short.cb"), stdout=slave)
    os.set_blocking(master, False)
    try:
        shown = os.read(master, 100)
    except BlockingIOError:
        shown = b""
    os.close(slave)
    os.close(master)
    ok(got.returncode == 1 and b"terminal" in got.stderr and not shown,
       "%s writes no stream to a terminal" % p, (got, shown))


def cut(p):
    with open("cut.cb", "rb") as f:
        got = run(p, stdin=f)
    last = got.stderr.strip().split(b"\n")[-1]
    ok(got.returncode == 1 and last.startswith(p.encode() + b": "),
       "%s: a stream without eos is an error" % p, got.stderr)


def write_png(path, side):
    def chunk(kind, data):
        return (struct.pack(">I", len(data)) + kind + data +
                struct.pack(">I", zlib.crc32(kind + data)))
    with open(path, "wb") as f:
        f.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(
            ">IIBBBBB", side, side, 8, 2, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(bytes((3 * side + 1) * side))) +
            chunk(b"IEND", b""))


def make_data():
    write_png("a.png", 900)
    with open("a.jsonl", "w") as f:
        for i in range(12000):
            f.write('{"question_id": %d, "image_id": "i%d", "question": '
                    '"is it %x or %d?", "labels": {"yes": 1.0}}\n' %
                    (i, i, i * 7919, i * i))
    header = ('{"cb":1,"task":"vqa","answers":["yes","no"],'
              '"vocab":["[PAD]","[UNK]","[CLS]","[SEP]"]}')
    group = ('{"group":{"seq":%d,"epoch":0,"media":"m%d","kind":"image",'
             '"info":{"w":64,"h":64,"fps":1.0,"frames":1,"duration":1.0},'
             '"examples":[{"id":1,"question":"is it?","labels":[[0,1.0]]}]}}')
    picture = ('{"picture":{"$tensor":["U8",[64,64,3],%d]},"clip":0,'
               '"index":0,"pts":0.0}')
    end = '{"end":{"pictures":1,"error":null}}'
    eos = '{"eos":{"groups":%d,"skipped":0,"error":null}}'
    groups = sum([[group % (i, i), picture % i, end] for i in range(600)], [])
    for name, lines in {
            "long.cb": [header] + groups + [eos % 600],
            "short.cb": [header] + groups[:3] + [eos % 1],
            "cut.cb": [header] + groups[:3]}.items():
        with open(name, "wb") as f:
            subprocess.run(["python3", os.path.join(TOP, "t",
                                                    "json-stream.py")],
                           input="\n".join(lines).encode(), stdout=f)


def main():
    print("1..%d" % (4 * len(PROGRAMS) + len(LONG) + len(WRITERS) +
                     len(READERS)))
    with tempfile.TemporaryDirectory() as where:
        os.chdir(where)
        make_data()
        for p in PROGRAMS:
            calls(p)
        for p, args in LONG.items():
            broken_pipe(p, args)
        for p, args in WRITERS.items():
            terminal(p, args)
        for p in READERS:
            cut(p)
        os.chdir("/")


main()
