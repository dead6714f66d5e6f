#!/bin/bash
# Every CUDA kernel against its plain C twin, on the simulated device: in every
# build and in several orders of threads.  t/kernels/kern.h says how.
. "$(dirname "$0")/lib.sh"
[ -x "$BUILD/cudasim/plain/kernels" ] || skip_all 'no simulated device here' \
    '(it needs the headers of the CUDA toolkit, and no SAN=)'
export ASAN_OPTIONS=detect_leaks=0

plan 9
# right BUILD SEED OPTION
right() {
	CBSIM_SEED=$2 "$BUILD/cudasim/$1/kernels" ${3-} >out 2>err
	is $? 0 "$1, order '$2': $(grep -c '^ok' out) cases as their twins" ||
	    { grep '^not ok' out; head -n 20 err; } | diag
}
right plain ''
for seed in 0 1 2 3; do right plain $seed -s; done
for seed in '' 1; do right asan "$seed" -s; done
for seed in 0 1; do right race $seed -s; done
