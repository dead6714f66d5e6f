#!/bin/bash
# The very plug-in that ships, its kernels executed as PTX and its libraries
# stood in for: every operation against its plain C twin.
. "$(dirname "$0")/lib.sh"
[ -e "$BUILD/ptxsim/cb_cuda.so" ] || skip_all 'no plug-in to run here' \
    '(it needs the CUDA toolkit, and no SAN=)'
plan 3
SO=$BUILD/ptxsim/cb_cuda.so

is "$(nm -D --defined-only "$SO" | cut -d' ' -f3)" cb_cuda_open \
    'the plug-in exports one function'
for p in bf16 fp16; do
	CB_CUDA_PLUGIN=$SO LD_LIBRARY_PATH=$BUILD/ptxsim \
	    "$BUILD/t/engine" cuda:$p >out 2>err
	is $? 0 "$p: $(grep -c '^ok' out) as the twins" ||
	    { grep '^not ok' out; head -n 20 err; } | diag
done
