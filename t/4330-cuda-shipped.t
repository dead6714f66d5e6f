#!/bin/bash
# The very plug-in that ships, its kernels executed as PTX and its libraries
# stood in for: every operation against its plain C twin, and what
# `make bench-cuda` says where no GPU is.
. "$(dirname "$0")/lib.sh"
[ -e "$BUILD/ptxsim/cb_cuda.so" ] || skip_all 'no plug-in to run here' \
    '(it needs the CUDA toolkit, and no SAN=)'
plan 6
SO=$BUILD/ptxsim/cb_cuda.so

is "$(nm -D --defined-only "$SO" | cut -d' ' -f3)" cb_cuda_open \
    'the plug-in exports one function'
for p in bf16 fp16; do
	CB_CUDA_PLUGIN=$SO LD_LIBRARY_PATH=$BUILD/ptxsim \
	    "$BUILD/t/engine" cuda:$p >out 2>err
	is $? 0 "$p: $(grep -c '^ok' out) as the twins" ||
	    { grep '^not ok' out; head -n 20 err; } | diag
done

cp -r "$BUILD/ptxsim" . && mkdir t && cp "$BUILD/t/sass" "$BUILD/t/bench-model" t
BENCH_PRESET=small BENCH_STEP='train 1 2' \
    python3 "$T/bench-cuda.py" . "$SHARED/reference" >out 2>err
is $? 0 'bench-cuda ends well' || diag <err
like out '^NOT MEASURED: no GPU answers|^MEASURED on' 'it says which it is'
like out 'with local memory \(spills\): none$|^MEASURED on' 'no kernel spills'
