#!/bin/bash
# make bench-cuda without a GPU, of the model of the paper at 448 pixels, which
# t/4331-cuda-bench.t has not: sizes, plans and kernels are those of real runs.
. "$(dirname "$0")/lib.sh"
[ -e "$BUILD/ptxsim/cb_cuda.so" ] ||
	skip_all 'no simulated device here (it needs the CUDA toolkit, and no SAN=)'
plan 6
cp -r "$BUILD/ptxsim" . && mkdir t &&
    cp "$BUILD/t/sass" "$BUILD/t/bench-model" t || exit 1
# json EXPRESSION: of what it leaves for programs
json() { jq -e "$1" bench-cuda.json >json.out 2>&1; }

CB_CUDA_PLUGIN=$BUILD/ptxsim/cb_cuda.so BENCH_STEP="train 1 2" \
    python3 "$T/bench-cuda.py" . "$SHARED/reference" >out 2>err
is $? 0 'it ends well' || diag <err
if grep -q '^MEASURED on' out; then
	for i in {1..5}; do ok 0 'without a GPU # SKIP there is one'; done
	exit
fi
like out '^A step of MSRVTT-QA, full model, bf16' 'the full model'
for k in 'attention_bwd_mma<cb_bf16, 64>' 'norm_bwd<cb_bf16, 3, 12>'; do
	like out "^$k .* 1\.00/1\.00\$" "$k, of heads and rows as wide, in the step"
done
json '.preset == "full" and .launches.captured > .launches.asked * .9 and
    ([.parts[] | select(.kind == "cuDNN" and (.name | test(",448,448,8 "))
    and .times > 0)] != [])'
ok $? 'pictures of 448 pixels; nearly all of a step is captured' ||
    diag <json.out
json '[.parts[].name | select(test("^(cast|conv_weights|channels)<"))] == []'
ok $? 'no copies of weights or pictures' || diag <json.out
