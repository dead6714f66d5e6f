#!/bin/bash
# make bench-cuda: what it says without a GPU; and with one, which is the
# simulated device here, that it comes to its end unattended, with a PyTorch
# (stood in for by a script that answers as t/bench.py does), without, and with
# one that ends in the middle.
. "$(dirname "$0")/lib.sh"
[ -e "$BUILD/ptxsim/cb_cuda.so" ] && [ -e "$BUILD/cudasim/plain/cb_cuda.so" ] ||
	skip_all 'no simulated device here (it needs the CUDA toolkit, and no SAN=)'
plan 36
cp -r "$BUILD/ptxsim" . && mkdir t &&
    cp "$BUILD/t/sass" "$BUILD/t/bench-model" t || exit 1
export BENCH_PRESET=small

bench() {
	python3 "$T/bench-cuda.py" . "$SHARED/reference" >out 2>err
}
# json EXPRESSION: of what it leaves for programs
json() { jq -e "$1" bench-cuda.json >json.out 2>&1; }

CB_CUDA_PLUGIN=$BUILD/ptxsim/cb_cuda.so BENCH_STEP="train 1 2" bench
is $? 0 'without a GPU it ends well' || diag <err
if grep -q '^MEASURED on' out; then
	for i in {1..18}; do ok 0 'without a GPU # SKIP there is one'; done
else
	like out '^NOT MEASURED: no GPU answers' 'it says that nothing is measured'
	# name, registers, spills, shared, threads, blocks, share of threads, waves,
	# loads, stores, tensor cores, ldmatrix, cp.async
	like out '^attention_fwd_mma<cb_bf16, 32> +[0-9]+/[0-9]+ +0 +20480 +128 +4/[0-9]+ +25/[0-9]+ *% +[0-9.]+ +0/2 +2/4 +32 +18 +10 +1\.00/1\.00$' \
	    'each kernel as it is made'
	json '[.kernels[] | select(.stack > 0 or .regs < 1 or .blocks < 1)] == []'
	ok $? '... none of which spills' || diag <json.out
	json '[.kernels[].arch] | unique == ["sm_100", "sm_80", "sm_90"]'
	ok $? '... on each architecture'
	like out 'for sm_100, sm_80, sm_90; with local memory \(spills\): none$' \
	    '... nor one of those that the step does not need'
	json '[.kernels[] | select(."LDG.128" > 0 and ."STG.128" > 0)] | length > 30'
	ok $? '... most of them with loads and stores of 128 bits'
	like out '^adamw<cb_bf16> +1 +[0-9.]+ +[0-9.]+ +[0-9.]+ b +[0-9.]+ b$' \
	    'launches, operations and bytes of one, the least time of all'
	# 4 numbers read and 3 written, of 4 bytes, a copy of most in 2, and what is
	# read of segments
	json '.parts[] | select(.name == "adamw<cb_bf16>") |
	    .bytes / .flop * 15.8 / 30 | . > 0.9 and . < 1.1'
	ok $? '... AdamW moves 30 bytes for 16 operations' || diag <json.out
	json '[.parts[].name | select(test("^(cast|conv_weights|channels)<"))] == []'
	ok $? 'nobody copies weights after it, nor pictures after prepare' ||
	    diag <json.out
	for kind in kernels cuDNN cuBLASLt; do
		json "[.parts[] | select(.kind == \"$kind\" and .times > 0 and
		    .bytes > 0 and .least_s.A100 > .least_s.H100)] | length > 5"
		ok $? "... parts of kind $kind"
	done
	json '([.parts[].least_s.A100] | add) / .least_s.A100 | . > .999 and . < 1.001'
	ok $? 'the step is their sum'
	like out '^AT LEAST [0-9.]+ ms a step on an A100, [0-9.]+ ms on an H100' \
	    '... and told as a bound'
	json '.launches | .asked == .kernels + .cublaslt + .cudnn + .copies + .fills
	    and .captured > .asked * .9 and .graphs >= 1 and .graphs <= 4 and
	    .single < 60'
	ok $? 'launches before and after they are captured' || diag <json.out
	like out '^[0-9]+ of them are captured; the host launches [1-4] graphs and' \
	    '... are told'
	mv t/sass t/sass.away; bench; is $? 1 'without its tools it fails'
	mv t/sass.away t/sass
fi

# A GPU, and no PyTorch on the path of this interpreter.
export CB_CUDA_PLUGIN=$BUILD/cudasim/plain/cb_cuda.so
export BENCH_STEP='cnn 1 0' BENCH_ROWS=MSRVTT BENCH_ROUNDS=5
mkdir -p hide bench-torch/bin
echo 'raise ModuleNotFoundError("No module named '"'torch'"'")' >hide/torch.py
export PYTHONPATH=$DIR/hide
# torch COMMANDS: what PyTorch does when asked for a run
torch() {
	cat >bench-torch/bin/python <<EOF
#!/bin/bash
[ "\$1" = -c ] && { [[ \$2 != *version* ]] || echo 9.9; exit 0; }
n=0
while read -r kind a b; do
	n=\$((n + 1)) peer=\$3
	$1
	echo '9.000000000 0.000000'
done
EOF
	chmod +x bench-torch/bin/python
}
row='[0-9]\.[0-9]{5} +9\.00000 +[0-9]+\.[0-9]{2} +- +[0-9]+%$'

torch 'echo a word of a library'
bench; is $? 0 'beside PyTorch' || diag <err
like out '^MEASURED on .*, bf16, the small model, beside PyTorch 9\.9$' '... told'
like out "^MSRVTT-QA step +$row" 'a row'
is "$(wc -l <out)" 3 '... and no other' || diag <out
json '.measured and .preset == "small" and .rounds == 5 and .pytorch == "9.9" and
    (.rows | length == 1) and all(.rows[]; .ended == {} and .ours_s > 0 and
    .gmac > 0 and .pytorch_eager_s == 9 and .pytorch_compiled_s == 9 and
    (.speedup_vs_pytorch * .ours_s - 9 | fabs) < 1e-6)'
ok $? 'the same for programs' || diag <bench-cuda.json

torch 'if [ $peer$n = compiled3 ]; then
		echo "Error: CUDA out of memory" >&2; exit 1; fi'
BENCH_ROWS='MSRVTT 16' bench; is $? 0 'PyTorch that ends in the middle' || diag <err
is "$(grep -c '^#   compiled ended: Error: CUDA out of memory$' out)" 2 \
    '... is told, and tried again for the next row'
json 'all(.rows[]; .pytorch_s == 9 and .pytorch_compiled_s == null and
    (.ended | keys) == ["compiled"])'
ok $? '... while the other counts' || diag <bench-cuda.json
torch 'exit 3'
bench; is $? 0 'PyTorch that never answers a run'
like out '^MSRVTT-QA step +[0-9.]+ +- +- +- +[0-9]+%$' '... leaves our times'
torch 'if [ $peer$n = eager2 ]; then exec sleep 1000; fi'
BENCH_TIMEOUT=2 bench; is $? 0 'one that hangs'
json '.rows[0] | .pytorch_s == 9 and (.ended | keys) == ["eager"]'
ok $? '... is waited for so long and no longer' || diag <bench-cuda.json

printf '#!/bin/sh\necho "ERROR: no network" >&2; exit 1\n' \
    >bench-torch/bin/python
bench; is $? 0 'no PyTorch' || diag <err
like out '^MEASURED on .*, without PyTorch: it could not be installed from PyPI$' \
    '... is told'
json '.pytorch == null and all(.rows[]; .ours_s > 0 and .pytorch_s == null)'
ok $? '... and our times are there' || diag <bench-cuda.json

torch ''
CBSIM_FAIL=cudaGraphLaunch:67 bench
is $? 1 'our side that ends in the middle'
like err 'cuda: cudaGraphLaunch: ' '... says why'
like out '^MSRVTT-QA step +- +9\.00000 +- +- +-$' \
    '... and leaves PyTorch alone'
