#!/bin/bash
# Every file of ../shared/reference that a model can run, some on the plain C
# engine too; a wrong expectation must be seen.
. "$(dirname "$0")/lib.sh"
R=$SHARED/reference
[ -d "$R" ] || skip_all "no $R"
plan 13

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
reference "$R"/preprocess/*.safetensors >out 2>&1
is $? 0 'pictures resized, padded, normalised'
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
ln -s "$R"/tiny/{trunk,head_{vqa,pretrain,regression},frames}.safetensors .
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
