#!/bin/bash
# Every operation of the CUDA engine against its plain C twin on the simulated
# device, in each precision and build; without graphs and with them the bits are
# the same.
. "$(dirname "$0")/lib.sh"
. "$T/cuda.sh"
plan 7

right() {
	on $1 "$BUILD/t/engine" cuda:$2 >out 2>err
	is $? 0 "$1, $2: $(grep -c '^ok' out) of $(grep -c '^[no]' out)" ||
	    { grep '^not ok' out; head -n 20 err; } | diag
}
for p in fp32 tf32 bf16 fp16; do right plain $p; done
right asan bf16
right race fp16
CBSIM_SEED=3 "$BUILD/t/engine" cuda:bf16 >out 2>err
is $? 0 'plain, bf16, in another order of threads and streams' ||
    grep '^not ok' out | cat - err | diag
