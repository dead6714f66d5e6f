#!/bin/bash
# Every file of ../shared/reference that a model can run, some on the plain C
# engine too; a wrong expectation must be seen.
. "$(dirname "$0")/lib.sh"
R=$SHARED/reference
[ -d "$R" ] || skip_all "no $R"
plan 16

# trunk, heads and frames are no cases, but parts of them
cases=$(ls "$R"/tiny/*.safetensors |
    grep -Ev '/(trunk|frames|head_[a-z_]*)\.safetensors$')
n=$(echo "$cases" | wc -l)
for e in ref cpu; do
	few=$cases
	[ $e = cpu ] || few=$(ls "$R"/tiny/{vqa_f1,open_qa_c3_f2_lse,\
pretrain_f2_pix,regression_c3_f2_mean}.safetensors)
	reference -e $e $few >out 2>err; is $? 0 "$e: activations, losses, gradients, steps"
	grep -v '^ok' out | cat - err | diag
done
is "$(grep -c ^ok out)" "$n" "all $n files were run"
reference "$R/preprocess" >out 2>&1
is "$? $(grep -c ^ok out)" "0 $(ls "$R"/preprocess/*.safetensors | wc -l)" \
    'a folder of pictures resized, padded, normalised'
reference "$R"/base/*.safetensors >out 2>&1
is $? 0 'the full-size model'

# One expected number changed: each kind of file must fail.
bend()
{
	python3 - "$1" "$2" "$3" <<'PY'
import json, struct, sys
src, dst, name = sys.argv[1:]
b = bytearray(open(src, 'rb').read())
n = struct.unpack_from('<Q', b)[0]
at = 8 + n + json.loads(b[8:8 + n])[name]['data_offsets'][0]
v = struct.unpack_from('<f', b, at)[0]
struct.pack_into('<f', b, at, v * 1.01 + 0.01)
open(dst, 'wb').write(b)
PY
}
ln -s "$R"/tiny/{trunk,head_{vqa,pretrain,regression,retrieval_{rank,ce}},frames}\
.safetensors .
seen()
{
	bend "$R/tiny/$1.safetensors" bent.safetensors "$2"
	reference bent.safetensors >out 2>&1
	like out "^FAIL .* $2 bent" "a wrong $2 is seen"
}
for name in tap/pooled grad/transformer.bert.pooler.dense.weight loss; do
	seen vqa_f1 $name
done
for name in mlm_scores mlm_loss_each; do
	seen pretrain_f2_pix $name
done
seen regression_c3_f2_mean eval_logits
seen regression_c3_f2_mean after/transformer.regressor.2.running_var
seen steps_regression step1/w/transformer.regressor.2.running_mean

# A margin that no pair falls short of: loss and gradients are 0, and that is right.
python3 - "$R/tiny/retrieval_rank_c3_f2_max.safetensors" <<'PY'
import json, struct, sys
b = bytearray(open(sys.argv[1], 'rb').read())
n = struct.unpack_from('<Q', b)[0]
for name, t in json.loads(b[8:8 + n]).items():
    if name.startswith(('loss', 'dclip_logits', 'grad')):
        i, j = t['data_offsets']
        b[8 + n + i:8 + n + j] = bytes(j - i)
b = b.replace(b'margin\\": 0.2', b'margin\\": -9 ')
open('margin.safetensors', 'wb').write(b)
PY
reference margin.safetensors >out 2>&1; is $? 0 'nothing to learn'
grep -v '^ok' out | diag

# Two options of each question in place of five.
python3 - "$R/tiny/msrvtt_mc_rank_c3_f2_mean.safetensors" <<'PY'
import json, struct, sys
b = open(sys.argv[1], 'rb').read()
n = struct.unpack_from('<Q', b)[0]
head, out = json.loads(b[8:8 + n]), b''
for name, t in head.items():
    if name == '__metadata__':
        continue
    d = b[8 + n:][slice(*t['data_offsets'])]
    s = t['shape']
    axis = {'prob': 1, 'ids': 0, 'mask': 0, 'logits': 0, 'clip_logits': 1}.get(name)
    if axis is not None:
        row = 4 * s[axis + 1] if axis + 1 < len(s) else 4
        rows = [d[i:i + row] for i in range(0, len(d), row)]
        d = b''.join(r for i, r in enumerate(rows) if i % 5 < 2)
        s[axis] = s[axis] * 2 // 5
    if name == 'prob':
        p = struct.unpack('<6f', d)
    if name == 'counts':
        d = struct.pack('<3i', 2, 2, 2)
    t['data_offsets'] = [len(out), len(out) + len(d)]
    out += d
i = head['answers']['data_offsets'][0]
best = [max(range(2), key=lambda j: p[2 * q + j]) for q in range(3)]
out = out[:i] + struct.pack('<3i', *best) + out[i + 12:]
text = json.dumps(head).encode()
text += b' ' * (-len(text) % 8)
open('two.safetensors', 'wb').write(struct.pack('<Q', len(text)) + text + out)
PY
reference two.safetensors >out 2>&1; is $? 0 'two options a question'
grep -v '^ok' out | diag
mkdir empty; reference empty >out 2>&1
is $? 1 'a folder without cases is no success'
