#!/bin/bash
# Binary data are neither written to a terminal nor read from one.
. "$(dirname "$0")/lib.sh"; plan 4
echo '{"question": "q", "answer": "a", "video_id": "x"}' >q.jsonl
cat >term.py <<'X'
import os, pty, subprocess, sys
master, slave = pty.openpty()
std = {sys.argv[1]: slave}
p = subprocess.run(sys.argv[2:], stderr=subprocess.PIPE,
                   stdin=std.get("stdin", subprocess.DEVNULL),
                   stdout=std.get("stdout", subprocess.DEVNULL))
sys.stderr.buffer.write(p.stderr)
os.set_blocking(master, False)
try:
    n = len(os.read(master, 100))
except BlockingIOError:
    n = 0
print(p.returncode, n)
X
is "$(python3 term.py stdout cb-list q.jsonl 2>err)" '1 0' 'cb-list to a terminal'
like err '^cb-list: a stream is binary data and is not written to a terminal' \
    'says why'
is "$(python3 term.py stdin cb-dump 2>err)" '1 0' 'cb-dump from a terminal'
like err '^cb-dump: stdin: a terminal' 'says why'
