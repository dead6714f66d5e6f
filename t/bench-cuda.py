#!/usr/bin/env python3
"""make bench-cuda: the model on a GPU, or what can be said of it without one.

    bench-cuda.py build ../shared/reference [CUDA]

Where a GPU answers it is measured, the model of the paper in bf16 beside
PyTorch on the same GPU (t/bench.py: eager and torch.compile, the faster
counts, under autocast to bf16), to the terminal and build/bench-cuda.json.

Where none does, nothing is measured.  Printed is, for each kernel, what the
compiler made of it (t/sass.c reads it in the machine code), and for a training
step of MSRVTT-QA (16 videos of 8 clips of 2 frames at 448 pixels) what is asked
of the device: the engine that ships runs on libraries that only take down what
they are asked (t/cudasim/cost.cpp), and of each launch a few blocks of its PTX
are executed and counted (t/ptxsim).  From operations, bytes and the limits of
two GPUs follows the least time that each part can take.  That is a bound from
below, from data sheets; it is no measurement and no prediction.
"""
import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import bench                                                     # noqa: E402

# Dense bf16 with f32 sums on tensor cores, f32 without them, bytes a second of
# memory: NVIDIA's data sheets.  Instructions of warps a second: multiprocessors
# x 4 x clock, of the CUDA programming guide.
GPUS = {'A100': dict(mma=312e12, flops=19.5e12, bytes=2.0e12,
                     ins=108 * 4 * 1.41e9),
        'H100': dict(mma=989e12, flops=67e12, bytes=3.35e12,
                     ins=132 * 4 * 1.98e9)}
ARCH = {'A100': 'sm_80', 'H100': 'sm_90'}
STEP = os.environ.get('BENCH_STEP', 'qa-train 8 2')
PRESET = os.environ.get('BENCH_PRESET', 'full')
ROWS = [('cnn 32 pictures', 'cnn 32 0'), ('cnn 32 and back', 'cnn-train 32 0'),
        ('bert 128 rows', 'bert 128 0'),
        ('bert 128 and back', 'bert-train 128 0'),
        ('training step', 'train 2 2'), ('MSRVTT-QA step', STEP),
        ('1 clip, 16 questions', 'score 16 0'),
        ('32 texts x 8 videos', 'pairs 32 0')]


def fail(message):
    sys.exit('bench-cuda: ' + message)


# ---- with a GPU -----------------------------------------------------------------

def gpu_name():
    try:
        p = subprocess.run(['nvidia-smi', '--query-gpu=name',
                            '--format=csv,noheader'], text=True,
                           stdout=subprocess.PIPE)
        return p.stdout.split('\n')[0] or 'a GPU'
    except OSError:
        return 'a GPU'


def measure(build, program, reference):
    name = gpu_name()
    peak = [g['mma'] for n, g in GPUS.items() if n in name]
    rounds = max(5, int(os.environ.get('BENCH_ROUNDS', '7')))
    commands = {'ours': [program, PRESET, 'cuda']}
    python = bench.install(os.path.join(build, 'bench-torch'))
    os.environ['BENCH_DEVICE'] = 'cuda'
    for peer in ('eager', 'compiled') if python else ():
        commands[peer] = [python, bench.__file__, '--peer', peer, PRESET,
                          reference]
    print('MEASURED on %s, bf16, the %s model%s' % (name, PRESET, '' if python
          else '; without PyTorch: it could not be installed from PyPI'))
    print('%-22s %9s %9s %8s %8s %7s' % ('seconds', 'ours', 'PyTorch',
                                         'speedup', 'of peak', 'spread'))
    servers = {n: bench.Server(c) for n, c in commands.items()}
    out = {'gpu': name, 'measured': True, 'rows': []}
    for row, line in ROWS:
        got = bench.measure(servers, line, rounds)
        if 'ours' not in got:
            fail('our side has ended at ' + line)
        ours, spread = bench.summary(got['ours'][0])
        r = {'name': row, 'ours_s': ours, 'spread': spread,
             'gmac': got['ours'][1]}
        for peer in ('eager', 'compiled'):
            if peer in got:
                r['pytorch_%s_s' % peer] = bench.summary(got[peer][0])[0]
        theirs = min((v for k, v in r.items() if k.startswith('pytorch')),
                     default=None)
        share = 2e9 * r['gmac'] / ours / peak[0] if peak else None
        print('%-22s %9.5f %9s %8s %8s %6.0f%%' % (
            row, ours, '%.5f' % theirs if theirs else '-',
            '%.2f' % (theirs / ours) if theirs else '-',
            '%.0f%%' % (100 * share) if share else '-', 100 * spread),
            flush=True)
        out['rows'].append(r)
    for s in servers.values():
        s.close()
    with open(os.path.join(build, 'bench-cuda.json'), 'w') as f:
        json.dump(out, f, indent=1)


# ---- without: what a step asks for ------------------------------------------------

def fields(line):
    """NAME k=1 k=2/3 ... -> name, {k: 1, k: (2, 3)}"""
    name, *rest = line.split()
    out = {}
    for word in rest:
        k, v = word.split('=')
        v = tuple(float(x) for x in v.split('/'))
        out[k] = v[0] if len(v) == 1 else v
    return name, out


def library_call(line):
    """A line of CBSIM_LOG: kind, what with sizes, operations, bytes; None: a
    kernel, which is counted elsewhere."""
    m = re.match(r'(\w+) (.*?)(?: bytes \d+.*)? flop (\d+) read (\d+) '
                 r'written (\d+)$', line)
    if m:
        kind = 'cuDNN' if m[1].startswith('cudnn') else 'cuBLASLt'
        return kind, kind + ' ' + m[2], int(m[3]), int(m[4]) + int(m[5])
    m = re.match(r'(set|copy\S*) bytes (\d+)$', line)
    return ('memory', m[1], 0, int(m[2])) if m else (None, '', 0, 0)


def dry_run(build, program, steps):
    """What a program of so many steps asks for: {(kind, name): totals}, calls
    of the host by name, and what was counted of each kernel."""
    files = {k: os.path.join(build, 'bench-cuda.' + k)
             for k in ('log', 'calls', 'kernels')}
    env = dict(os.environ, CBSIM_DRY='1', CBSIM_LOG=files['log'],
               CBSIM_COUNTS=files['calls'], PTXSIM_COUNT=files['kernels'],
               PTXSIM_SAMPLE='4', LD_LIBRARY_PATH=os.path.join(build,
                                                               'ptxsim'),
               CB_CUDA_PLUGIN=os.path.join(build, 'ptxsim', 'cb_cuda.so'))
    for f in files.values():
        if os.path.exists(f):
            os.remove(f)
    p = subprocess.run([program, PRESET, 'cuda'], env=env, text=True,
                       input=(STEP + '\n') * steps, stdout=subprocess.PIPE)
    if p.returncode != 0 or len(p.stdout.split('\n')) != steps + 1:
        fail('the engine has ended on the stand-ins (status %d)' %
             p.returncode)
    asked, kernels = {}, {}
    with open(files['log']) as f:
        for line in f:
            kind, what, flop, moved = library_call(line)
            if kind:
                t = asked.setdefault((kind, what), dict(
                    times=0, mma=0, bytes=0))
                t['times'] += 1
                t['mma'] += flop
                t['bytes'] += moved
    with open(files['kernels']) as f:
        for line in f:
            if line[0] == '\t':
                continue
            name, k = fields(line)
            kernels[name] = k
            asked['kernels', name] = dict(
                times=k['launches'], mma=k['mma'], flops=k['flops'],
                ins=k['ins'], bytes=k['read'][0] + k['written'][0])
    with open(files['calls']) as f:
        calls = {n: int(c) for n, c in (x.rsplit(' ', 1) for x in f)}
    return asked, calls, kernels


def less(a, b):
    """a - b, of dry runs of one step more and one less."""
    out = {}
    for key, v in a.items():
        w = b.get(key, {})
        d = {k: x - w.get(k, 0) for k, x in v.items()}
        if d['times'] > 0:
            out[key] = d
    return out


def least(v, gpu):
    """Seconds, and what sets them."""
    return max((v.get(k, 0) / limit, k) for k, limit in gpu.items())


# ---- and how the kernels are made --------------------------------------------------

def demangled(names):
    p = subprocess.run(['c++filt', '-p'], input='\n'.join(names), text=True,
                       stdout=subprocess.PIPE, check=True)
    return {n: re.sub(r'\(.*', '', d.replace('(int)', '')) for n, d in
            zip(names, p.stdout.split('\n'))}


def made(build, plugin):
    """{(arch, name): fields} of every kernel of the plug-in; blocks as they
    were launched."""
    p = subprocess.run([os.path.join(build, 't', 'sass'), '-l', os.path.join(
        build, 'bench-cuda.log'), plugin], stdout=subprocess.PIPE, text=True)
    if p.returncode != 0:
        fail('t/sass cannot read ' + plugin)
    out = {}
    for line in p.stdout.splitlines():
        arch, rest = line.split(' ', 1)
        name, k = fields(rest)
        out[arch, name] = k
    return out


def wide(k, what):
    """Loads or stores of 64 bits and more, of all."""
    n = {w: k.get('%s.%d' % (what, w), 0) for w in (8, 16, 32, 64, 128)}
    return '%d/%d' % (n[64] + n[128], sum(n.values()))


def print_kernels(sass, kernels):
    names = demangled(list(kernels))
    print('\nKernels of the step, as compiled (sm_80/sm_90; "wide": of 64 '
          'bits and more / all, in sm_80):\n')
    print('%-34s %7s %5s %6s %6s %7s %7s %9s %9s %5s %5s %5s' % (
        'kernel', 'regs', 'local', 'shared', 'block', 'blocks', 'full',
        'LDG wide', 'STG wide', 'HMMA', 'LDSM', 'cp'))
    for name in sorted(kernels, key=names.get):
        a, h = (sass['sm_' + x, name] for x in ('80', '90'))
        k = kernels[name]
        print('%-34s %3d/%-3d %5d %6d %6d %3d/%-3d %3.0f/%-3.0f%% %9s %9s '
              '%5d %5d %5d' % (
                  names[name][:34], a['regs'], h['regs'],
                  max(a['stack'], h['stack']),
                  a['shared'] + k['dynamic'], k['block'], a['blocks'],
                  h['blocks'], 100 * a['blocks'] * k['block'] / 2048,
                  100 * h['blocks'] * k['block'] / 2048, wide(a, 'LDG'),
                  wide(a, 'STG'), a.get('HMMA', 0), a.get('LDSM', 0),
                  sum(v for n, v in a.items() if n.startswith('LDGSTS'))))
    spilled = sorted(n for (_, n), k in sass.items() if k['stack'] > 0)
    print('%d kernels in the plug-in, for %s; with local memory (spills): %s'
          % (len({n for _, n in sass}), ', '.join(sorted(
              {a for a, _ in sass})), ' '.join(spilled) or 'none'))


def print_step(step):
    names = demangled([n for kind, n in step if kind == 'kernels'])
    rows, whole = [], {g: 0 for g in GPUS}
    for (kind, name), v in step.items():
        if name.startswith('copy-'):
            continue                    # on a bus, beside the rest
        t = {g: least(v, limits) for g, limits in GPUS.items()}
        rows.append((t['A100'][0], kind, names.get(name, name), v, t))
        for g in GPUS:
            whole[g] += t[g][0]
    print('\nThe step, the least time of each part (limit: m tensor cores, f '
          'f32, b memory, i instructions):\n')
    print('%-58s %6s %9s %8s %12s %12s' % ('', 'times', 'GFLOP', 'GB',
                                           'A100 ms', 'H100 ms'))
    groups = {}
    for _, kind, name, v, t in sorted(rows, reverse=True,
                                      key=lambda r: r[:3]):
        g = groups.setdefault(kind, dict(times=0, fl=0, b=0, A100=0, H100=0))
        fl = v.get('mma', 0) + v.get('flops', 0)
        g['times'] += v['times']
        g['fl'] += fl
        g['b'] += v['bytes']
        for n in GPUS:
            g[n] += t[n][0]
        print('%-58s %6.0f %9.1f %8.3f %10.3f %s %10.3f %s' % (
            name[:58], v['times'], fl / 1e9,
            v['bytes'] / 1e9, 1e3 * t['A100'][0], t['A100'][1][0],
            1e3 * t['H100'][0], t['H100'][1][0]))
    print()
    for kind, g in sorted(groups.items()):
        print('%-58s %6.0f %9.1f %8.3f %10.3f   %10.3f' % (
            kind, g['times'], g['fl'] / 1e9, g['b'] / 1e9, 1e3 * g['A100'],
            1e3 * g['H100']))
    whole_of = {k: sum(g[k] for g in groups.values())
                for k in ('times', 'fl', 'b')}
    print('%-58s %6.0f %9.1f %8.3f %10.3f   %10.3f' % (
        'the step', whole_of['times'], whole_of['fl'] / 1e9,
        whole_of['b'] / 1e9, 1e3 * whole['A100'], 1e3 * whole['H100']))
    return whole


def print_calls(calls):
    """What the host asks the device for, a step."""
    asked = sum(calls.get(n, 0) for n in (
        'cudaLaunchKernel', 'cublasLtMatmul', 'cudnnBackendExecute',
        'cudaMemcpyAsync', 'cudaMemsetAsync'))
    captured, graphs = calls.get('(captured)', 0), calls.get(
        'cudaGraphLaunch', 0)
    print('\nA step asks for %d operations: %d kernels of ours, %d of '
          'cuBLASLt, %d of cuDNN, %d copies, %d fills.\n%d of them are '
          'captured; the host launches %d graphs and %d single operations '
          'instead of %d.' % (
              asked, calls.get('cudaLaunchKernel', 0),
              calls.get('cublasLtMatmul', 0),
              calls.get('cudnnBackendExecute', 0),
              calls.get('cudaMemcpyAsync', 0),
              calls.get('cudaMemsetAsync', 0), captured, graphs,
              max(asked - captured, 0), asked))


def estimate(build, program):
    plugin = os.path.join(build, 'ptxsim', 'cb_cuda.so')
    # The sizes have been met before: what a step of an epoch is.
    before, after = (dry_run(build, program, n) for n in (2, 3))
    step = less(after[0], before[0])
    kernels = {n: after[2][n] for kind, n in step if kind == 'kernels'}
    print_kernels(made(build, plugin), kernels)
    whole = print_step(step)
    print_calls({k: n - before[1].get(k, 0) for k, n in after[1].items()})
    ops = sum(v['times'] for v in step.values())
    print('\nAT LEAST %.1f ms a step on an A100, %.1f ms on an H100, by their '
          'data sheets; with 3 us for\neach of %.0f launches and nothing '
          'hidden %.1f and %.1f ms.  Bounds, not measurements.' % (
              1e3 * whole['A100'], 1e3 * whole['H100'], ops,
              1e3 * whole['A100'] + 3e-3 * ops,
              1e3 * whole['H100'] + 3e-3 * ops))


def main():
    build, reference = sys.argv[1:3]
    program = os.path.join(build, 't', 'bench-model')
    p = subprocess.run([program, 'small', 'cuda'], input='cnn 1 0\n',
                       text=True, stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE)
    if p.returncode == 0:
        measure(build, program, reference)
        return
    print('NOT MEASURED: no GPU answers (%s).\nA step of MSRVTT-QA, %s model, '
          'bf16, from what the code asks for.' %
          (p.stderr.strip().split('\n')[-1], PRESET))
    estimate(build, program)


if __name__ == '__main__':
    main()
