#!/usr/bin/env python3
"""make bench: the model on this machine, beside PyTorch and beside the limit.

    bench.py build/t/bench-model ../shared/reference build

Two processes that stay, ours (t/bench-model.c) and PyTorch's, are told in
turns to run one row; the figures are ratios of medians.  PyTorch is the newest
from PyPI in an environment of its own, build/bench-torch; the model there is
clipbert_ref.py, weights and pictures channels-last, inference under
inference_mode, one thread a core, fused AdamW.  Each row runs it as it is
and under torch.compile, and the faster of the two counts.  Without PyTorch the
rest is printed, and the bench says so.

    FULL=1              the model of the paper; else small, to end in minutes
    BENCH_ROUNDS=N      runs a row, 5 at least
    BENCH_ROWS="..."    some rows, by parts of their names
    BENCH_COMPILE=0     without torch.compile
    BENCH_TIMEOUT=N     seconds to wait for one run, 1800
    BENCH_DEVICE=cuda   PyTorch there, under autocast to bf16: t/bench-cuda.py

"start to first answer" is a cold process each time: ours are cb-decode and
cb-score on a picture file, PyTorch's imports torch, reads the same checkpoint
by mapping it, and answers about pixels that it has.

"training step waits", of the full model only, is a run of cb-train at the end of
its pipeline on the videos of ../shared.

"of peak": effective multiplications a second (of plain convolutions and matrix
products, whatever is computed instead) over fused multiply-adds of all cores.
"spread": half the distance of the quartiles over the median, ours and theirs.
"""
import json
import os
import platform
import re
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib

ROWS = [('cnn 1 picture', 'cnn 1 0'), ('cnn 8 pictures', 'cnn 8 0'),
        ('cnn 32 pictures', 'cnn 32 0'),
        ('cnn 8 and back', 'cnn-train 8 0'),
        ('bert 16 rows', 'bert 16 0'),
        ('bert 16 and back', 'bert-train 16 0'),
        ('training step', 'train 2 2'),
        ('1 clip, 1 question', 'score 1 0'),
        ('1 clip, 16 questions', 'score 16 0'),
        ('32 texts x 8 videos', 'pairs 32 0')]
GROWTH = [('step, 2x clips', 'train 4 2', 'train 2 2'),
          ('step, 4x clips', 'train 8 2', 'train 2 2'),
          ('step, 2x frames', 'train 2 4', 'train 2 2'),
          ('pairs, 2x texts', 'pairs 64 0', 'pairs 32 0'),
          ('pairs, 4x texts', 'pairs 128 0', 'pairs 32 0')]
MEMORY = ['train 2 2', 'score 16 0', 'pairs 32 0']
STARTUP = 'start to first answer'
QUESTION = 'what is it ?'
WAITS = 'training step waits'
WAIT_STEPS = 7


# ---- PyTorch's side, run inside the environment ------------------------------

class Peer:
    def __init__(self, preset, reference, compiled, checkpoint=None):
        sys.path.insert(0, reference)
        import clipbert_ref as ref
        import torch
        self.ref, self.torch, self.compiled = ref, torch, compiled
        torch.set_num_threads(os.cpu_count())
        full = preset == 'full'
        size = {} if full else dict(stem=16, width=16, res2=64, hidden=128,
                                    layers=4, heads=4, inter=512)
        self.c = ref.Config(labels=1500 if full else 30, dropout=0.1,
                            attn_dropout=0.1, **size)
        self.side = 448 if full else 128
        self.device = os.environ.get('BENCH_DEVICE', 'cpu')
        self.P = {n: t.to(self.device, memory_format=torch.channels_last)
                  if t.dim() == 4 else t.to(self.device)
                  for n, t in (mapped(checkpoint) if checkpoint else
                               ref.formula_weights(self.c)).items()}
        self.names = ref.trainable(self.c)
        self.pictures = torch.randint(0, 256, (4, 3, self.side, self.side),
                                      dtype=torch.uint8)
        self.made, self.optim = {}, None

    def frames(self, B, T):
        """Videos of raw pictures, as ours get them -> what the CNN takes."""
        torch = self.torch
        x = self.pictures[torch.arange(B * T) % 4].to(self.device)
        x = x.float().contiguous(memory_format=torch.channels_last)
        mean = torch.tensor(self.ref.MEAN, device=self.device).view(3, 1, 1)
        return (x - mean).unflatten(0, (B, T))

    def texts(self, n):
        torch = self.torch
        i = torch.arange(n * 30, device=self.device).view(n, 30)
        mask = i % 30 < 5 + i // 30 * 7 % 21
        return (1000 + i % 997) * mask, mask.long()

    def function(self, key, f):
        """f itself and, once it was asked for, f compiled."""
        if not self.compiled:
            return f
        if key not in self.made:
            self.made[key] = self.torch.compile(f)
        return self.made[key]

    def model(self, train):
        for n in self.names:
            self.P[n].requires_grad_(train)
        return self.ref.ClipBert(self.c, self.P, train)

    def gradients(self, outcome, seed=None):
        torch = self.torch
        return torch.autograd.grad(
            outcome, [self.P[n] for n in self.names], seed,
            allow_unused=True)

    def run(self, kind, a, b):
        torch, train = self.torch, 'train' in kind
        model, mode = self.model(train), torch.enable_grad() if train else \
            torch.inference_mode()
        with mode, torch.autocast(self.device, torch.bfloat16,
                                  enabled=self.device != 'cpu'):
            if kind.startswith('cnn'):
                f = self.function((kind, a), model.cnn)
                y = f(self.frames(a, 1))
                return self.gradients(y, torch.ones_like(y)) if train else y
            videos = {'train': 4, 'qa-train': 16}.get(kind)
            ids, mask = self.texts(videos or a)
            h = self.side // 64
            if kind.startswith('bert'):
                grid = torch.zeros(a, 1, h, h, self.c.hidden,
                                   device=self.device, requires_grad=train)
                y = self.function((kind, a), model.bert)(ids, mask, grid)[1]
                return self.gradients(y, torch.ones_like(y)) if train else y
            if videos:
                return self.step(model, videos, ids, mask, a, b)
            videos, clips = (8, 4) if kind == 'pairs' else (1, 1)
            ids, mask = ids.repeat(videos, 1), mask.repeat(videos, 1)
            x = self.frames(videos, clips * 2).unflatten(1, (clips, 2))

            def score(x):
                return self.ref.aggregate(torch.stack(
                    [model.score(model.clip(x[:, k], ids, mask,
                                            [a] * videos)[1])
                     for k in range(clips)]), 'lse')
            return self.function((kind, a), score)(x)

    def step(self, model, B, ids, mask, K, F):
        torch = self.torch
        weights = [self.P[n] for n in self.names]
        if self.optim is None:
            self.optim = torch.optim.AdamW(
                weights, lr=1e-6, betas=(0.9, 0.98), eps=1e-6,
                weight_decay=1e-3, fused=True)
        labels = torch.zeros(B, dtype=torch.long, device=self.device)

        def loss(x):
            batch = dict(frames=x, ids=ids, mask=mask, counts=[1] * B,
                         labels=labels)
            return self.ref.forward_loss(model, batch, 'lse', K, F)['loss']
        y = self.function((B, K, F), loss)(self.frames(B, K * F))
        self.optim.zero_grad()
        y.backward()
        torch.nn.utils.clip_grad_norm_(
            [w for w in weights if w.grad is not None], 5)
        self.optim.step()
        return y

    def save(self, path):
        """The weights as a checkpoint of cb-train(1)."""
        c = self.c
        words = ['w%d' % i for i in range(c.vocab)]
        words[0], words[100:104] = '[PAD]', ['[UNK]', '[CLS]', '[SEP]',
                                             '[MASK]']
        words[1000:1004] = QUESTION.split()
        config = {
            'task': 'open_qa', 'loss_type': 'ce', 'score_agg_func': 'lse',
            'max_txt_len': 30, 'max_img_size': self.side, 'num_frm': 1,
            'train_n_clips': 1, 'inference_n_clips': 1,
            'train_batch_size': 4, 'val_batch_size': 4,
            'num_labels': c.labels, 'model_config': {
                'hidden_size': c.hidden, 'num_hidden_layers': c.layers,
                'num_attention_heads': c.heads, 'intermediate_size': c.inter,
                'vocab_size': c.vocab, 'max_position_embeddings': c.max_pos,
                'max_grid_row_position_embeddings': c.rows,
                'max_grid_col_position_embeddings': c.cols,
                'stem_out_channels': c.stem, 'width_per_group': c.width,
                'res2_out_channels': c.res2,
                'blocks_per_stage': list(c.blocks)}}
        # in cb-train's order: of the maps of attention first all weights
        order = sorted(self.P, key=lambda name: '.attention.self.' in name and
                       name.endswith('.bias'))
        self.ref.save_st(path, {name: self.P[name] for name in order}, {
            'format': 'cb-checkpoint 1', 'task': 'open_qa', 'config': config,
            'answers': ['a%d' % i for i in range(c.labels)], 'vocab': words})

    def answer(self):
        """One picture, one question, from a cold start."""
        with self.torch.inference_mode():
            ids = self.torch.tensor([[101, 1000, 1001, 1002, 1003, 102]])
            y = self.model(False).clip(self.frames(1, 1), ids,
                                       self.torch.ones_like(ids), [1])
            print('a%d' % int(self.model(False).score(y[1]).argmax()))

    def serve(self):
        import resource
        for line in sys.stdin:
            kind, a, b = line.split()
            t = time.perf_counter()
            more = 0
            if kind == 'memory':
                more = resource.getrusage(
                    resource.RUSAGE_SELF).ru_maxrss / 1024
            else:
                self.run(kind, int(a), int(b))
            if self.device != 'cpu':
                self.torch.cuda.synchronize()
            print('%.9f %.6f' % (time.perf_counter() - t, more), flush=True)


def mapped(path):
    """Tensors of a safetensors file, where they are."""
    import numpy as np
    import torch
    data = np.memmap(path, dtype=np.uint8, mode='c')
    n = int.from_bytes(data[:8].tobytes(), 'little')
    out = {}
    for name, t in json.loads(data[8:8 + n].tobytes()).items():
        if name != '__metadata__':
            a, b = t['data_offsets']
            out[name] = torch.from_numpy(
                data[8 + n + a:8 + n + b].view(np.float32)).view(t['shape'])
    return out


# ---- the driver ----------------------------------------------------------------

class Server:
    """A process that runs what it is told; a peer's stderr is kept."""

    def __init__(self, command):
        self.err = tempfile.TemporaryFile('w+') if '--peer' in command else \
            None
        self.p = subprocess.Popen(command, stdin=subprocess.PIPE, text=True,
                                  stdout=subprocess.PIPE, stderr=self.err)

    def ask(self, line):
        """Seconds and what else is told; None: it has ended, as it has to
        where it says nothing for BENCH_TIMEOUT seconds."""
        patience = threading.Timer(
            float(os.environ.get('BENCH_TIMEOUT', '1800')), self.p.kill)
        patience.start()
        try:
            self.p.stdin.write(line + '\n')
            self.p.stdin.flush()
            for answer in iter(self.p.stdout.readline, ''):
                if re.match(r'[0-9.]+ [0-9.]+$', answer):
                    return tuple(map(float, answer.split()))
        except BrokenPipeError:
            pass
        finally:
            patience.cancel()
        return None

    def close(self):
        """The last that a peer said of itself."""
        self.p.kill()
        self.p.communicate()
        if self.err is None:
            return ''
        self.err.seek(0)
        said = self.err.read().strip().split('\n')[-1]
        self.err.close()
        return said


def install(venv):
    python = os.path.join(venv, 'bin', 'python')
    if not os.path.exists(python) and subprocess.run(
            [sys.executable, '-m', 'venv', venv]).returncode != 0:
        return None
    if subprocess.run([python, '-c', 'import torch, numpy'],
                      stderr=subprocess.DEVNULL).returncode == 0:
        return python
    try:
        done = subprocess.run([python, '-m', 'pip', 'install', '-q', 'torch',
                               'numpy'], stderr=subprocess.PIPE, text=True,
                              timeout=1800)
    except subprocess.TimeoutExpired:
        return None
    return python if done.returncode == 0 else None


def summary(times):
    """Median, and half the distance of the quartiles over it."""
    q = statistics.quantiles(times, n=4)
    return statistics.median(times), (q[2] - q[0]) / 2 / q[1]


def measure(servers, line, rounds):
    """name -> ([seconds], what else), runs interleaved; the first is thrown
    away, and with it what is made once."""
    out = {}
    for turn in range(rounds + 1):
        for name, s in servers.items():
            answer = s.ask(line) if out.get(name) != 'ended' else None
            if answer is None:
                out[name] = 'ended'
            elif turn > 0:
                out.setdefault(name, ([], answer[1]))[0].append(answer[0])
    return {n: a for n, a in out.items() if a != 'ended'}


def row(name, line, servers, peak, rounds):
    got = measure(servers, line, rounds)
    if 'ours' not in got:
        sys.exit('bench: our side has ended at %s' % line)
    ours, spread = summary(got['ours'][0])
    r = {'name': name, 'ours_s': ours, 'pytorch_s': None,
         'speedup_vs_pytorch': None, 'gmac': got['ours'][1],
         'share_of_peak': got['ours'][1] / ours / peak, 'spread': spread,
         'pytorch_spread': None, 'pytorch_is': None}
    best = None
    for peer in ('eager', 'compiled'):
        if peer in got:
            s = summary(got[peer][0])
            r['pytorch_%s_s' % peer] = s[0]
            if best is None or s[0] < best[0]:
                best = s
                r['pytorch_is'] = peer
    if best:
        r.update(pytorch_s=best[0], pytorch_spread=best[1],
                 speedup_vs_pytorch=best[0] / ours)
    print('%-22s %9.4f %9s %8s %7.0f%% %6.0f%% %6s  %s' % (
        name, ours, '%.4f' % best[0] if best else '-',
        '%.2f' % r['speedup_vs_pytorch'] if best else '-',
        100 * r['share_of_peak'], 100 * spread,
        '%.0f%%' % (100 * best[1]) if best else '-', r['pytorch_is'] or ''),
        flush=True)
    return r


def memory(name, line, commands):
    """MiB at most of processes that do nothing else."""
    r = {'name': 'memory, ' + name}
    for who in ('ours', 'eager'):
        if who in commands:
            s = Server(commands[who])
            answer = [s.ask(line), s.ask(line), s.ask('memory 0 0')][-1]
            s.close()
            r[('ours' if who == 'ours' else 'pytorch') + '_mib'] = \
                answer and answer[1]
    a, b = r['ours_mib'], r.get('pytorch_mib')
    print('%-28s %7.0f MiB, PyTorch %s' % (r['name'], a, '%.0f MiB: %.2f of it'
          % (b, a / b) if b else '-'), flush=True)
    return r


def picture(path, side):
    """A grey PNG."""
    def chunk(kind, data):
        return struct.pack('>I', len(data)) + kind + data + struct.pack(
            '>I', zlib.crc32(kind + data))
    with open(path, 'wb') as f:
        f.write(b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack(
            '>IIBBBBB', side, side, 8, 2, 0, 0, 0)) + chunk(
                b'IDAT', zlib.compress(bytes([0] + [127] * side * 3) * side)) +
                chunk(b'IEND', b''))


def startup(python, preset, reference, build, rounds):
    """Seconds from nothing to an answer, in turns."""
    model = os.path.join(build, 'bench-%s.safetensors' % preset)
    pixels = os.path.join(build, 'bench-%s.png' % preset)
    picture(pixels, 448 if preset == 'full' else 128)
    peer = [python, __file__, '--answer', preset, reference, model]
    subprocess.run([python, __file__, '--save', preset, reference, model],
                   check=True)
    ours = ['sh', '-c', '"$0/cb-decode" "$1" | "$0/cb-score" -m "$2" -t "$3"',
            os.path.join(build, 'bin'), pixels, model, QUESTION]
    times = {'ours': [], 'eager': []}
    for turn in range(rounds + 1):
        for who, command in ('ours', ours), ('eager', peer):
            t = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            if turn > 0:
                times[who].append(time.perf_counter() - t)
    os.unlink(model)
    a, b = summary(times['ours']), summary(times['eager'])
    print('%-22s %9.4f %9.4f %8.2f %8s %6.0f%% %5.0f%%' % (
        STARTUP, a[0], b[0], b[0] / a[0], '', 100 * a[1], 100 * b[1]),
        flush=True)
    return {'name': STARTUP, 'ours_s': a[0], 'pytorch_s': b[0],
            'speedup_vs_pytorch': b[0] / a[0], 'spread': a[1],
            'pytorch_spread': b[1], 'pytorch_is': 'eager'}


def waits(reference, build):
    """Share of its time that a training run on real videos waits for pictures:
    2 clips x 2 frames, batches of 4, one thread that decodes."""
    folder = os.path.join(build, 'bench-waits')
    videos = os.path.join(reference, '../media/videos')
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    os.symlink(os.path.abspath(videos), os.path.join(folder, 'videos'))
    names = sorted(n[:-4] for n in os.listdir(videos) if n.endswith('.mp4'))
    with open(os.path.join(folder, 'train.jsonl'), 'w') as f:
        for i, name in enumerate(names):
            f.write(json.dumps({'question_id': i, 'question': QUESTION,
                                'answer': ('yes', 'no')[i % 2],
                                'video_id': name}) + '\n')
    command = ('cb-list -e 9 $0/train.jsonl | cb-sample -n 2 -f 2 -r 2 | '
               'cb-decode -j 1 | cb-tokenize | cb-batch -b 4 | '
               'cb-train -o $0/run -c pipelines/msrvtt-qa.json --steps %d '
               '--log-every 1 --restore-every 1000' % WAIT_STEPS)
    path = os.path.abspath(os.path.join(build, 'bin')) + ':' + \
        os.environ['PATH']
    done = subprocess.run(['sh', '-c', command, folder],
                          env=dict(os.environ, PATH=path),
                          stderr=subprocess.PIPE, text=True)
    if done.returncode:
        print('%-22s failed: %s' % (WAITS, done.stderr.strip()))
        return {'name': WAITS, 'error': done.stderr.strip()}
    with open(os.path.join(folder, 'run/log.jsonl')) as f:
        steps = [json.loads(line) for line in f]
    share = statistics.median(s['wait_data'] for s in steps[1:])
    print('%-22s %8.3f%% of the time for data, the first step %.3f%%' % (
        WAITS, share, steps[0]['wait_data']), flush=True)
    shutil.rmtree(folder)
    return {'name': WAITS, 'wait_data_percent': share}


def machine():
    with open('/proc/cpuinfo') as f:
        name = [x.split(':')[1].strip() for x in f if 'model name' in x][:1]
    return {'cpu': name[0] if name else platform.machine(),
            'cores': os.cpu_count()}


def main():
    program, reference, build = sys.argv[1:4]
    preset = 'full' if os.environ.get('FULL') else 'small'
    rounds = max(5, int(os.environ.get('BENCH_ROUNDS', '7')))
    some = os.environ.get('BENCH_ROWS', '').split()
    commands = {'ours': [program, preset]}
    python = install(os.path.join(build, 'bench-torch'))
    for peer in ('eager', 'compiled') if python else ():
        if peer == 'eager' or os.environ.get('BENCH_COMPILE') != '0':
            commands[peer] = [python, __file__, '--peer', peer, preset,
                              reference]
    if not python:
        print('# without PyTorch: it could not be installed from PyPI')
    servers = {n: Server(c) for n, c in commands.items()}
    got = [[servers['ours'].ask(k + ' 0 0')[1] for _ in range(5)]
           for k in ('peak', 'bytes')]
    peak, reads = map(statistics.median, got)
    out = {'machine': dict(machine(), peak_gmac_s=peak, read_gb_s=reads),
           'preset': preset, 'rounds': rounds, 'rows': []}
    print('%s, %d cores: %.0f GMAC/s, %.0f GB/s read; the %s model\n'
          '%-22s %9s %9s %8s %8s %7s %6s' % (
              out['machine']['cpu'], os.cpu_count(), peak, reads, preset,
              'seconds', 'ours', 'PyTorch', 'speedup', 'of peak', 'spread',
              'theirs'), flush=True)

    def wanted(name):
        return not some or any(s in name for s in some)
    for name, line in ROWS:
        if wanted(name):
            out['rows'].append(row(name, line, servers, peak, rounds))
    done = dict(zip((l for n, l in ROWS if wanted(n)),
                    (r['ours_s'] for r in out['rows'])))
    for name, line, base in GROWTH:
        if wanted(name) and base in done:
            r = row(name, line, {'ours': servers['ours']}, peak, rounds)
            r['growth'] = r['ours_s'] / done[base]
            print('    grows by %.2f' % r['growth'])
            out['rows'].append(r)
    for s in servers.values():
        s.close()
    for name, line in ROWS:
        if line in MEMORY and wanted(name):
            out['rows'].append(memory(name, line, commands))
    if wanted(STARTUP) and python:
        out['rows'].append(startup(python, preset, reference, build, rounds))
    if wanted(WAITS) and preset == 'full':
        out['rows'].append(waits(reference, build))
    with open(os.path.join(build, 'bench.json'), 'w') as f:
        json.dump(out, f, indent=1)


if __name__ == '__main__':
    if sys.argv[1:2] == ['--peer']:
        Peer(sys.argv[3], sys.argv[4], sys.argv[2] == 'compiled').serve()
    elif sys.argv[1:2] == ['--save']:
        Peer(sys.argv[2], sys.argv[3], False).save(sys.argv[4])
    elif sys.argv[1:2] == ['--answer']:
        Peer(sys.argv[2], sys.argv[3], False, sys.argv[4]).answer()
    else:
        main()
