#!/bin/bash
# The cases of ../shared/reference that the heads built so far can run, on every
# engine; a wrong expectation must be seen.
. "$(dirname "$0")/lib.sh"
R=$SHARED/reference
[ -d "$R" ] || skip_all "no $R"
plan 9

cases=$(ls "$R"/tiny/{open_qa,vqa,mc_qa,retrieval,msrvtt_mc}_*.safetensors)
n=$(echo "$cases" | wc -l)
for e in ref cpu; do
	few=$cases
	[ $e = cpu ] || few=$(ls "$R"/tiny/{vqa_f1,open_qa_c3_f2_lse}.safetensors)
	reference -e $e $few >out 2>err; is $? 0 "$e: activations, losses and gradients"
	grep -v '^ok' out | cat - err | diag
done
is "$(grep -c ^ok out)" "$n" "all $n files were run"
reference "$R"/tiny/steps_{open_qa,vqa_lr_mul}.safetensors >out 2>&1
is $? 0 'optimiser steps'
reference "$R"/preprocess/*.safetensors >out 2>&1
is $? 0 'pictures resized, padded, normalised'
reference "$R"/base/open_qa_c2_f2_lse.safetensors >out 2>&1
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
ln -s "$R"/tiny/{trunk,head_vqa,frames}.safetensors .
for name in tap/pooled grad/transformer.bert.pooler.dense.weight loss; do
	bend "$R/tiny/vqa_f1.safetensors" bent.safetensors $name
	reference bent.safetensors >out 2>&1
	like out "^FAIL .* $name bent" "a wrong $name is seen"
done
