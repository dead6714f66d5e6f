#!/bin/bash
# The simulated device: kernels that are right run right in every build and
# order, and each kind of fault is seen by the build that is there for it.
. "$(dirname "$0")/lib.sh"
[ -x "$BUILD/cudasim/plain/faults" ] || skip_all 'no simulated device here' \
    '(it needs the headers of the CUDA toolkit, and no SAN=)'
plan 63
export ASAN_OPTIONS=detect_leaks=0

# right BUILD SEED: everything that is right, in one order of threads.
right() {
	CBSIM_SEED=$2 "$BUILD/cudasim/$1/faults" all >out 2>err
	is $? 0 "$1, order '$2': right" || cat out err
}
for seed in '' 0 1 2 3; do right plain "$seed"; done
for seed in '' 1; do right asan "$seed"; done
for seed in '' 0 1; do right race "$seed"; done

# caught BUILD CASE BUG STATUS MESSAGE [SEED]: the fault is seen, and how.
caught() {
	CBSIM_SEED=${6-} "$BUILD/cudasim/$1/faults" $2 $3 >out 2>err
	is $? $4 "$1: $2 $3 is seen"
	[ -z "$5" ] || like err "$5" '... and named'
}
caught asan sum 1 1 'heap-buffer-overflow'
caught race sum 1 66 'thread 255: read out of bounds of 4 bytes'
caught race sum 2 66 'read of what was never written .* byte 28 of 32 of shared'
caught race sum 3 66 'read of what was never written|race: '
caught race fetch 1 66 'read of a cp.async in flight'
caught asan fetch 2 1 'runtime error: .*misaligned address'
caught race hand_on 1 66 'read of what was never written|race: '
caught plain diverge 1 66 'thread 5: ends while others wait at the barrier'
caught plain diverge 2 66 'cannot go on: .*collective'
caught plain diverge 3 66 'barrier of line .* while others wait at that of'
caught race blocks 1 66 'race: write after write .* block 0'
caught race stream 1 66 'race: read after write .* of another launch'
caught plain argument 1 66 'argument 1 is .*, which is no memory of the device'
caught plain copy 1 66 'where the copy goes ends 4 bytes behind its 256 bytes'

# What only wrong numbers show: a kernel that reads too early, a second stream
# that is first.
caught plain sum 2 3 ''
caught plain fetch 1 3 ''
caught plain stream 1 3 '' 2

# Host memory that a copy waits to read.
caught plain pinned 1 66 'was changed before it was copied'

# Graphs: what captures do not allow, and nodes whose memory is gone.
caught plain graph 1 66 'argument 0 is .*, which is no memory of the device'
caught plain graph 2 1 'faults: cudaErrorGraphExecUpdateFailure'
for bug in 1 2 4; do
	caught plain capture $bug 1 'faults: cudaErrorStreamCaptureUnsupported'
done
caught plain capture 3 1 'faults: cudaErrorStreamCaptureIsolation'
caught plain capture 5 66 'captured, but .* is host memory that is not pinned'
caught plain capture 6 1 'faults: cudaErrorStreamCaptureImplicit'
caught plain capture 7 1 'faults: cudaErrorStreamCaptureInvalidated'

CBSIM_FAIL=cudaMalloc:2 "$BUILD/cudasim/plain/faults" sum 0 >out 2>err
is $? 1 'a call of the library that is refused'
like err '^faults: cudaErrorMemoryAllocation$' '... gives its error'
