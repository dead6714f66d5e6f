#!/usr/bin/env python3
"""make bench-media: what it costs to get a few frames of a video, against peers.

CPU milliseconds of one thread a medium, the least of some rounds, for 8 clips
and for 1 clip of 2 frames at 2 fps:

    full    all frames decoded, none converted
    least   the least work possible, if it were known where the frames are
    cb      cb-decode (its library: open, choose, fetch)
    pyav    PyAV doing what ClipBERT's loader does
    decord, torchcodec      the same frames by number

The peers come from PyPI into an environment of their own, build/bench-venv;
what cannot be installed is left out and named.  BENCH_PEERS="pyav decord"
chooses some; BENCH_ROUNDS=N (3); BENCH_FILES="..." some files.
"""
import json
import math
import os
import subprocess
import sys
import time

PACKAGES = {'pyav': ['av', 'numpy'], 'decord': ['decord', 'numpy'],
            'torchcodec': ['torchcodec', 'torch', 'numpy']}


# ---- what peers do, run inside the environment ------------------------------

def pyav_clip(path, clip, clips, max_pts):
    """ClipBERT's decode(): one open a clip; the first looks through all."""
    import av
    import numpy as np
    n, fps = 2, 2
    c = av.open(path)
    s = c.streams.video[0]
    s.codec_context.thread_count = 1
    size, rate, length = s.frames, float(s.average_rate), s.duration
    if clips > 1 and length is not None:
        if max_pts is None:
            max_pts = max(f.pts for f in c.decode(s))
            if max_pts >= 0.8 * length:
                max_pts = length
        length = max_pts
    clip_size = n / fps * rate
    whole = length is None
    if whole:
        lo, hi = -math.inf, math.inf
        if clips > 1 or clip == 0:
            c.seek(0)
    else:
        start = max(size - clip_size, 0) * clip / clips
        lo = int(start * length / size)
        hi = int((start + clip_size - 1) * length / size)
        c.seek(max(lo - 1024, 0), any_frame=False, backward=True, stream=s)
    got = {}
    for f in c.decode(s):
        if f.pts < lo:
            continue
        got[f.pts] = f
        if f.pts > hi:
            break
    got = [got[k].to_rgb().to_ndarray() for k in sorted(got)]
    c.close()
    if whole:
        start = max(len(got) - clip_size, 0) * clip / clips
        at = np.linspace(start, start + clip_size - 1, n)
    else:
        at = np.linspace(0, clip_size - 1, n)
    return [got[int(i)] for i in np.clip(at, 0, len(got) - 1)], max_pts


def pyav(path, clips):
    max_pts = None
    for k in range(clips):
        _, max_pts = pyav_clip(path, k, clips, max_pts)


def numbers(count, rate, clips):
    size = 2 / 2 * rate
    free = max(count - size, 0)
    return sorted({min(int(free * k / clips + d), count - 1)
                   for k in range(clips) for d in (0, max(size - 1, 0))})


def decord(path, clips):
    import decord as d
    r = d.VideoReader(path, ctx=d.cpu(0), num_threads=1)
    r.get_batch(numbers(len(r), r.get_avg_fps(), clips)).asnumpy()


def torchcodec(path, clips):
    from torchcodec.decoders import VideoDecoder
    d = VideoDecoder(path, num_ffmpeg_threads=1, seek_mode='exact')
    m = d.metadata
    d.get_frames_at(numbers(m.num_frames, m.average_fps, clips))


def peer(name, clips, rounds, files):
    what = {'pyav': pyav, 'decord': decord, 'torchcodec': torchcodec}[name]
    try:
        __import__({'pyav': 'av'}.get(name, name))
    except Exception as e:
        sys.exit('%s: %s' % (name, str(e).split('\n')[0]))
    for path in files:
        best, why = None, None
        for _ in range(rounds):
            t = time.process_time()
            try:
                what(path, clips)
            except Exception as e:
                why = '%s: %s' % (type(e).__name__, str(e).split('\n')[0])
                break
            t = 1e3 * (time.process_time() - t)
            best = t if best is None else min(best, t)
        print(json.dumps([path, None if why else best, why]), flush=True)


# ---- the table ---------------------------------------------------------------

def install(venv, names):
    """The peers that are there."""
    python = os.path.join(venv, 'bin', 'python')
    if not os.path.exists(python):
        subprocess.run([sys.executable, '-m', 'venv', venv], check=True)
    there = []
    for name in names:
        try:
            done = subprocess.run(
                [python, '-m', 'pip', 'install', '-q'] + PACKAGES[name],
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                timeout=900)
            if done.returncode == 0:
                there.append(name)
            else:
                print('# without %s: %s' % (name, done.stderr.decode()
                      .strip().split('\n')[0]))
        except subprocess.TimeoutExpired:
            print('# without %s: not installed in time' % name)
    return python, there


def run_peer(python, name, clips, rounds, files):
    """One process for all files; one more if a file takes it down."""
    out, left = {}, list(files)
    while left:
        p = subprocess.run([python, __file__, '--peer', name, str(clips),
                            str(rounds)] + left, capture_output=True,
                           text=True)
        before = len(out)
        for line in p.stdout.splitlines():
            if line.startswith('['):
                path, ms, why = json.loads(line)
                out[path] = ms
                if why:
                    print('# %s: %s: %s' % (name, os.path.basename(path), why))
        if p.returncode == 0:
            break
        left = [f for f in left if f not in out]
        if len(out) == before and p.returncode > 0:
            print('# without %s: %s' % (name, p.stderr.strip()[-200:]))
            break
        print('# %s: %s: died' % (name, os.path.basename(left[0])))
        out[left[0]] = None
        left = left[1:]
    return out


def mean(values):
    values = list(values)
    return math.exp(sum(map(math.log, values)) / len(values)) if values \
        else float('nan')


def table(clips, program, python, peers, rounds, files):
    own = subprocess.run([program, str(rounds), str(clips)] + files,
                         stdout=subprocess.PIPE, text=True).stdout
    rows = {}
    for line in own.splitlines():
        path, full, least, cb, came = line.split('\t')
        a, b = came.split(' of ')
        rows[path] = {'path': path, 'full': float(full), 'cb': float(cb),
                      'least': float(least) if a == b else None}
    for name in peers:
        for path, ms in run_peer(python, name, clips, rounds, files).items():
            if path in rows:
                rows[path][name] = ms
    columns = ['full', 'least', 'cb'] + peers
    print('\n%d clip%s of 2 frames, CPU ms a medium' %
          (clips, '' if clips == 1 else 's'))
    print('%-24s' % 'file' + ''.join('%11s' % c for c in columns))
    for path, r in rows.items():
        print('%-24s' % os.path.basename(path) + ''.join(
            '%11.1f' % r[c] if r.get(c) else '%11s' % '-' for c in columns))
    print('%-24s' % 'cb is faster by' + ''.join(
        '%11.2f' % mean(r[c] / r['cb'] for r in rows.values() if r.get(c))
        for c in columns) + '  (geometric mean)')
    print('%-24s' % 'on files' + ''.join(
        '%11s' % ('%d/%d' % (sum(r[c] > r['cb'] for r in rows.values()
                                 if r.get(c)),
                             sum(bool(r.get(c)) for r in rows.values())))
        for c in columns))
    goals(rows.values(), clips, peers)


def judge(what, bad, told):
    print('%-48s %s' % (what, 'reached' if not bad else 'missed: ' +
                        ', '.join(told(x) for x in bad)))


def goals(rows, clips, peers):
    """What is aimed at, and by how much it is missed."""
    def name(r):
        return os.path.basename(r['path'])
    print('goals, %d clip%s' % (clips, '' if clips == 1 else 's'))
    for p in peers:
        judge('  faster than %s on every file' % p,
              [r for r in rows if r.get(p) and r[p] <= r['cb']],
              lambda r: '%s %.2fx' % (name(r), r['cb'] / r[p]))
    judge('  at most 1.2x of the least on every file',
          [r for r in rows if r['least'] and r['cb'] > 1.2 * r['least']],
          lambda r: '%s %.2fx' % (name(r), r['cb'] / r['least']))
    if clips == 8 and 'pyav' in peers:
        times = mean(r['pyav'] / r['cb'] for r in rows if r.get('pyav'))
        judge('  at least 8x faster than pyav in the mean',
              [times] if times < 8 else [], lambda t: '%.2fx' % t)


def peak(decode, names):
    """MiB at most in memory, and media a second, of cb-decode."""
    code = ('import resource, subprocess, sys; p = subprocess.Popen('
            '["cb-sample", "-n", "2"] + sys.argv[2:], stdout=subprocess.PIPE);'
            'subprocess.run([sys.argv[1]], stdin=p.stdout, '
            'stdout=subprocess.DEVNULL); p.wait();'
            'print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)')
    t = time.monotonic()
    out = subprocess.run([sys.executable, '-c', code, decode] + names,
                         stdout=subprocess.PIPE, check=True, text=True,
                         stderr=subprocess.DEVNULL).stdout
    return int(out) / 1024, len(names) / (time.monotonic() - t)


def memory(build, files):
    """Flat over 10,000 media, all kinds in turn, the small ones more often."""
    os.environ['PATH'] = '%s/bin:%s/t:' % (build, build) + os.environ['PATH']
    small = [f for f in files if os.path.getsize(f) < 200000]
    decode = os.path.join(build, 'bin', 'cb-decode')
    rows = []
    for n in (1000, 10000):
        media = (files + small * n)[:n]
        rows.append((n,) + peak(decode, media))
        print('%6d media: at most %.0f MiB, %.0f media a second' % rows[-1])
    judge('goal: flat over 10,000 media',
          [r for r in rows[1:] if r[1] > 1.05 * rows[0][1]],
          lambda r: '%.0f MiB' % r[1])


def main():
    program, folder, venv = sys.argv[1:4]
    rounds = int(os.environ.get('BENCH_ROUNDS', '3'))
    names = os.environ.get('BENCH_PEERS', 'pyav decord torchcodec').split()
    some = os.environ.get('BENCH_FILES', '').split()
    if not os.path.isdir(folder):
        sys.exit('bench-media: no %s' % folder)
    files = [os.path.join(folder, f) for f in sorted(os.listdir(folder))
             if not some or f in some]
    python, peers = install(venv, names) if names else (None, [])
    for clips in (8, 1):
        table(clips, program, python, peers, rounds, files)
    if not some:
        memory(os.path.dirname(os.path.dirname(os.path.abspath(program))),
               files)


if __name__ == '__main__':
    if sys.argv[1:2] == ['--peer']:
        peer(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5:])
    else:
        main()
