#!/usr/bin/env python3
"""make bench-cuda: the model on a GPU, or what can be said of it without one.

    bench-cuda.py build ../shared/reference [CUDA]

Where a GPU answers it is measured, the model of the paper in bf16 beside
PyTorch on the same GPU (t/bench.py: eager and torch.compile, the faster
counts, under autocast to bf16).  Who ends, for want of memory as like as not,
is told and leaves the rest as it is; without PyTorch there are our times alone.
A step keeps all of its activations, as cb-train --memory 0 does.
Variables are those of t/bench.py, and BENCH_PRESET=small, BENCH_STEP.

Where none does, nothing is measured.  Printed is, for each kernel, what the
compiler made of it (t/sass.c reads it in the machine code), and for a training
step of MSRVTT-QA (16 videos of 8 clips of 2 frames at 448 pixels) what is asked
of the device: the engine that ships runs on libraries that only take down what
they are asked (CBSIM_DRY of t/cudasim), and of each launch a few blocks of its
PTX are executed and counted (t/ptxsim); bytes are those that a block uses, each
once.  From operations, bytes and the limits of
two GPUs follows the least time that each part can take.  That is a bound from
below, from data sheets; it is no measurement and no prediction.

Either goes to the terminal and, for programs, to build/bench-cuda.json.
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
SMS = 108                       # multiprocessors of an A100
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


def leave(build, out):
    with open(os.path.join(build, 'bench-cuda.json'), 'w') as f:
        json.dump(out, f, indent=1)


# ---- with a GPU -----------------------------------------------------------------

def gpu_name():
    try:
        p = subprocess.run(['nvidia-smi', '--query-gpu=name',
                            '--format=csv,noheader'], text=True,
                           stdout=subprocess.PIPE)
    except OSError:
        return 'a GPU'
    return p.stdout.split('\n')[0] if p.returncode == 0 else 'a GPU'


def pytorch(build):
    """An interpreter whose PyTorch computes on the device, and its version:
    that of this one, or else of one made for it; or None and why not."""
    look = ('import os, torch, numpy; print(torch.__version__); '
            'torch.zeros(1, device=os.environ["BENCH_DEVICE"])')
    why = 'it could not be installed from PyPI'
    for get in (lambda: sys.executable,
                lambda: bench.install(os.path.join(build, 'bench-torch'))):
        python = get()
        if python is None:
            continue
        p = subprocess.run([python, '-c', look], text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if p.returncode == 0:
            return python, p.stdout.strip()
        if 'No module named' not in p.stderr:
            why = p.stderr.strip().split('\n')[-1]
    return None, why


def measure_row(line, ours, peers, rounds):
    """Times of each side in a run of its own, so that who ends (the memory of
    a GPU is finite) takes nothing else along, and is ready for the next."""
    times, ended, gmac = {}, {}, None
    for peer in peers or [None]:
        servers = {'ours': bench.Server(ours)}
        if peer:
            servers[peer] = bench.Server(peers[peer])
        got = bench.measure(servers, line, rounds)
        said = {n: s.close() for n, s in servers.items()}
        for n in servers:
            if n in got:
                times.setdefault(n, []).extend(got[n][0])
            else:
                ended[n] = said[n] or 'see above'
        gmac = got['ours'][1] if 'ours' in got else gmac
    return times, ended, gmac


def row_of(name, times, ended, gmac, peak):
    r = {'name': name, 'ended': ended, 'gmac': gmac}
    for who in ('eager', 'compiled'):
        if who in times:
            r['pytorch_%s_s' % who] = bench.summary(times[who])[0]
    theirs = min((v for k, v in r.items() if k.startswith('pytorch_')),
                 default=None)
    r.update(ours_s=None, pytorch_s=theirs, speedup_vs_pytorch=None,
             share_of_peak=None, spread=None)
    if 'ours' in times:
        r['ours_s'], r['spread'] = bench.summary(times['ours'])
        if theirs:
            r['speedup_vs_pytorch'] = theirs / r['ours_s']
        if peak:
            r['share_of_peak'] = 2e9 * gmac / r['ours_s'] / peak
    return r


def print_row(r):
    def show(form, key, times=1):
        return '-' if r[key] is None else form % (times * r[key])
    print('%-22s %9s %9s %8s %8s %7s' % (
        r['name'], show('%.5f', 'ours_s'), show('%.5f', 'pytorch_s'),
        show('%.2f', 'speedup_vs_pytorch'),
        show('%.0f%%', 'share_of_peak', 100), show('%.0f%%', 'spread', 100)))
    for who, why in r['ended'].items():
        print('#   %s ended: %s' % (who, why[:200]))
    sys.stdout.flush()


def measure(build, program, reference):
    """Whether our side came through."""
    os.environ.setdefault('BENCH_DEVICE', 'cuda')
    name, (python, version) = gpu_name(), pytorch(build)
    peak = next((g['mma'] for n, g in GPUS.items() if n in name), None)
    rounds = max(5, int(os.environ.get('BENCH_ROUNDS', '7')))
    some = os.environ.get('BENCH_ROWS', '').split()
    kinds = ('eager', 'compiled') if os.environ.get('BENCH_COMPILE') != '0' \
        else ('eager',)
    peers = {k: [python, bench.__file__, '--peer', k, PRESET, reference]
             for k in kinds if python}
    print('MEASURED on %s, bf16, the %s model, %s' % (
        name, PRESET, 'beside PyTorch ' + version if python else
        'without PyTorch: ' + version))
    print('%-22s %9s %9s %8s %8s %7s' % ('seconds', 'ours', 'PyTorch',
                                         'speedup', 'of peak', 'spread'))
    rows = []
    for row, line in ROWS:
        if some and not any(x in row for x in some):
            continue
        rows.append(row_of(row, *measure_row(
            line, [program, PRESET, 'cuda'], peers, rounds), peak))
        print_row(rows[-1])
        leave(build, {'gpu': name, 'measured': True, 'preset': PRESET,
                      'rounds': rounds, 'pytorch': python and version,
                      'rows': rows})
    return all(r['ours_s'] for r in rows)


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
                ins=k['ins'], bytes=sum(k['memory']))
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


def banks(k):
    passes, fewest = k['shared']
    return '%.2f/%.2f' % (passes / fewest, k['banks']) if fewest else '-'


def print_kernels(sass, kernels):
    names = demangled(list(kernels))
    print('\nKernels of the step, as compiled (sm_80/sm_90; waves: the '
          'blocks of a launch\nover those that an A100 has at once; wide: of '
          '64 bits and more / all, in sm_80;\nbanks: passes through the banks '
          'of shared memory for one, of all accesses / the worst):\n')
    print('%-34s %7s %5s %6s %6s %7s %7s %7s %9s %9s %5s %5s %5s %9s' % (
        'kernel', 'regs', 'local', 'shared', 'block', 'blocks', 'full',
        'waves', 'LDG wide', 'STG wide', 'HMMA', 'LDSM', 'cp', 'banks'))
    for name in sorted(kernels, key=names.get):
        a, h = (sass['sm_' + x, name] for x in ('80', '90'))
        k = kernels[name]
        print('%-34s %3d/%-3d %5d %6d %6d %3d/%-3d %3.0f/%-3.0f%% %7.2f '
              '%9s %9s %5d %5d %5d %9s' % (
                  names[name][:34], a['regs'], h['regs'],
                  max(a['stack'], h['stack']),
                  a['shared'] + k['dynamic'], k['block'], a['blocks'],
                  h['blocks'], 100 * a['blocks'] * k['block'] / 2048,
                  100 * h['blocks'] * k['block'] / 2048,
                  k['blocks'] / k['launches'] / a['blocks'] / SMS,
                  wide(a, 'LDG'), wide(a, 'STG'), a.get('HMMA', 0),
                  a.get('LDSM', 0),
                  sum(v for n, v in a.items() if n.startswith('LDGSTS')),
                  banks(k)))
    spilled = sorted(n for (_, n), k in sass.items() if k['stack'] > 0)
    print('%d kernels in the plug-in, for %s; with local memory (spills): %s'
          % (len({n for _, n in sass}), ', '.join(sorted(
              {a for a, _ in sass})), ' '.join(spilled) or 'none'))


def parts_of(step):
    """The parts of the step, what takes longest first."""
    names = demangled([n for kind, n in step if kind == 'kernels'])
    parts = []
    for (kind, name), v in step.items():
        if name.startswith('copy-'):
            continue                    # on a bus, beside the rest
        t = {g: least(v, limits) for g, limits in GPUS.items()}
        parts.append({'kind': kind, 'name': names.get(name, name),
                      'times': v['times'], 'bytes': v['bytes'],
                      'flop': v.get('mma', 0) + v.get('flops', 0),
                      'least_s': {g: x[0] for g, x in t.items()},
                      'limit': {g: x[1] for g, x in t.items()}})
    return sorted(parts, key=lambda p: -p['least_s']['A100'])


def together(parts):
    out = {k: sum(p[k] for p in parts) for k in ('times', 'flop', 'bytes')}
    out['least_s'] = {g: sum(p['least_s'][g] for p in parts) for g in GPUS}
    return out


def print_step(parts):
    print('\nThe step: operations and bytes of one launch, the least time of '
          'all (limit: m tensor cores,\nf f32, b memory, i instructions):\n')
    print('%-58s %6s %9s %9s %12s %12s' % (
        '', 'times', 'MFLOP', 'MB', 'A100 ms', 'H100 ms'))
    for p in parts:
        print('%-58s %6.0f %9.1f %9.3f %10.3f %s %10.3f %s' % (
            p['name'][:58], p['times'], p['flop'] / 1e6 / p['times'],
            p['bytes'] / 1e6 / p['times'],
            1e3 * p['least_s']['A100'], p['limit']['A100'][0],
            1e3 * p['least_s']['H100'], p['limit']['H100'][0]))
    print('\n%-58s %6s %9s %9s' % ('together', 'times', 'GFLOP', 'GB'))
    for kind in sorted({p['kind'] for p in parts}) + ['the step']:
        t = together([p for p in parts if kind in (p['kind'], 'the step')])
        print('%-58s %6.0f %9.1f %9.3f %10.3f   %10.3f' % (
            kind, t['times'], t['flop'] / 1e9, t['bytes'] / 1e9,
            1e3 * t['least_s']['A100'], 1e3 * t['least_s']['H100']))


def calls_of(calls):
    """What the host asks the device for, a step."""
    n = {k: calls.get(c, 0) for k, c in {
        'kernels': 'cudaLaunchKernel', 'cublaslt': 'cublasLtMatmul',
        'cudnn': 'cudnnBackendExecute', 'copies': 'cudaMemcpyAsync',
        'fills': 'cudaMemsetAsync'}.items()}
    asked, captured = sum(n.values()), calls.get('(captured)', 0)
    return dict(n, asked=asked, captured=captured,
                graphs=calls.get('cudaGraphLaunch', 0),
                single=max(asked - captured, 0))


def estimate(build, program):
    plugin = os.path.join(build, 'ptxsim', 'cb_cuda.so')
    # The sizes have been met before: what a step of an epoch is.
    before, after = (dry_run(build, program, n) for n in (2, 3))
    step = less(after[0], before[0])
    kernels = {n: after[2][n] for kind, n in step if kind == 'kernels'}
    sass = made(build, plugin)
    print_kernels(sass, kernels)
    parts = parts_of(step)
    print_step(parts)
    calls = calls_of({k: n - before[1].get(k, 0) for k, n in
                      after[1].items()})
    print('\nA step asks for %(asked)d operations: %(kernels)d kernels of '
          'ours, %(cublaslt)d of cuBLASLt, %(cudnn)d of cuDNN, %(copies)d '
          'copies, %(fills)d fills.\n%(captured)d of them are captured; the '
          'host launches %(graphs)d graphs and %(single)d single operations '
          'instead of %(asked)d.' % calls)
    least_s = together(parts)['least_s']
    print('\nAT LEAST %.1f ms a step on an A100, %.1f ms on an H100, by their '
          'data sheets; with 3 us for\neach of %d operations and nothing '
          'hidden %.1f and %.1f ms.  Bounds, not measurements.' % (
              1e3 * least_s['A100'], 1e3 * least_s['H100'], calls['asked'],
              1e3 * least_s['A100'] + 3e-3 * calls['asked'],
              1e3 * least_s['H100'] + 3e-3 * calls['asked']))
    leave(build, {'measured': False, 'preset': PRESET, 'step': STEP,
                  'least_s': least_s, 'launches': calls, 'parts': parts,
                  'kernels': [dict(k, arch=a, name=n) for (a, n), k in
                              sass.items() if n in kernels]})


def main():
    build, reference = sys.argv[1:3]
    program = os.path.join(build, 't', 'bench-model')
    p = subprocess.run([program, 'small', 'cuda'], input='cnn 1 0\n',
                       text=True, stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE)
    if p.returncode == 0:
        sys.exit(not measure(build, program, reference))
    why = p.stderr.strip().split('\n')[-1]
    if 'no GPU answers' not in why:
        fail('our side has ended: ' + why)
    print('NOT MEASURED: no GPU answers (%s).\nA step of MSRVTT-QA, %s model, '
          'bf16, from what the code asks for.' % (why, PRESET))
    estimate(build, program)


if __name__ == '__main__':
    main()
