#!/bin/bash
# Every CUDA kernel against its plain C twin, as the PTX that nvcc made of it:
# the cases of t/4200-cuda-kernels.t, the large ones in t/9310-cuda-ptx-large.t.
. "$(dirname "$0")/lib.sh"
[ -x "$BUILD/ptxsim/kernels-80" ] || skip_all 'no PTX to execute here' \
    '(it needs the CUDA toolkit, and no SAN=)'
export LD_LIBRARY_PATH="$BUILD/ptxsim"

plan 4
# right VERSION SERIAL OPTION
right() {
	PTXSIM_SERIAL=$2 "$BUILD/ptxsim/kernels-$1" ${3-} >out 2>err
	is $? 0 "compute_$1, serial '$2': $(grep -c '^ok' out) as their twins" ||
	    { grep '^not ok' out; head -n 20 err; } | diag
}
right 80 '' -s
right 100 '' -s
right 80 1 -s
right 100 1 -s
