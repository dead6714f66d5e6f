#!/bin/bash
# As t/4311-cuda-ptx-kernels.t, all cases: a minute.
. "$(dirname "$0")/lib.sh"
[ -x "$BUILD/ptxsim/kernels-80" ] || skip_all 'no PTX to execute here' \
    '(it needs the CUDA toolkit, and no SAN=)'
[ -n "${CB_SLOW-}" ] || skip_all 'slow: CB_SLOW=1 runs it'
export LD_LIBRARY_PATH="$BUILD/ptxsim"

plan 2
for v in 80 100; do
	"$BUILD/ptxsim/kernels-$v" >out 2>err
	is $? 0 "compute_$v: $(grep -c '^ok' out) as their twins" ||
	    { grep '^not ok' out; head -n 20 err; } | diag
done
