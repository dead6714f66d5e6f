#!/bin/bash
# Linear maps and convolutions by libraries, on the simulated device and the
# stand-ins of t/standin, against their plain C twins, whose operands are rounded
# to TF32 where products may be: in every build; where the library fuses nothing;
# and with each call refused once.
. "$(dirname "$0")/lib.sh"
[ -x "$BUILD/cudasim/plain/libs" ] || skip_all 'no simulated device here' \
    '(it needs the headers of the CUDA toolkit and cuDNN, and no SAN=)'
export ASAN_OPTIONS=detect_leaks=0
plan 128

# right BUILD WHAT [OPTION]: every case as its twin.
right() {
	"$BUILD/cudasim/$1/libs" ${3-} >out 2>err
	is $? 0 "$1, $2: $(grep -c '^ok' out) cases as their twins" ||
	    { grep '^not ok' out; head -n 20 err; } | diag
}
CBSIM_LOG=log right plain 'all'
right asan 'small ones' -s
for seed in 0 1; do CBSIM_SEED=$seed right race "order $seed" -s; done

# Without what may be missing.
for f in CUBLASLT_EPILOGUE_BIAS CUDNN_POINTWISE_ADD CUDNN_HEUR_MODE_A; do
	CBSIM_FAIL=$f:0 CBSIM_LOG=log.$f right plain "no $f" -s
done
CBSIM_FAIL=CUDNN_POINTWISE_ADD:0 right asan 'no CUDNN_POINTWISE_ADD' -s

# The log tells what ran: all is fused, or nothing is.
fused() { grep -c '^cublasLtMatmul .* bias \|^cudnnBackendExecute .*+bias' $1; }
rest() { grep -c 'bias_act' $1; }
is "$(fused log):$(rest log)" 78:0 'every bias is fused'
is "$(fused log.CUBLASLT_EPILOGUE_BIAS):$(rest log.CUBLASLT_EPILOGUE_BIAS)" \
    40:26 'without the epilogue those of linear maps are not'
is "$(fused log.CUDNN_POINTWISE_ADD):$(rest log.CUDNN_POINTWISE_ADD)" \
    26:40 'without fusion those of convolutions are not'
like log '^cublasLtMatmul m 391 n 130 k 768 bytes 2 to 2 bias flop 78074880 '\
'read 801038 written 101660$' 'sizes, operations and bytes are told'
like log '^cudnnBackendExecute forward\+res\+bias\+relu x 2,6,9,16 y 2,6,9,24 '\
'k 3 stride 1 pad 1 bytes 2 flop 746496 read [0-9]+ written 5184$' \
    '... of convolutions as well'

# refused CALL [N [MESSAGE]]: the N-th call fails, which one line tells, and
# nothing is left behind: the stand-ins look when the last handle goes.
refused() {
	CBSIM_FAIL=$1:${2-1} "$BUILD/cudasim/plain/libs" -s >out 2>err
	is $? 1 "$1 is refused (${2-1})" || diag <err
	is "$(wc -l <err)" 1 '... which one line tells' || diag <err
	like err "^libs: ${3-$1: CU[A-Z]*_STATUS_[A-Z_]*.* of \[}" '... and how'
}
for call in cublasLtCreate cublasLtMatmulPreferenceCreate cudnnCreate \
    cudnnSetStream; do
	refused $call 1 "$call: CU[A-Z]*_STATUS_[A-Z]*"
done
for call in cublasLtMatmulDescCreate cublasLtMatmulDescSetAttribute \
    cublasLtMatmulPreferenceSetAttribute cublasLtMatrixLayoutCreate \
    cublasLtMatmulAlgoGetHeuristic cublasLtMatmul cudnnBackendExecute; do
	refused $call
	refused $call 14
done
# The first of these describe the device.
for call in cudnnBackendCreateDescriptor cudnnBackendSetAttribute \
    cudnnBackendGetAttribute cudnnBackendFinalize; do
	for n in 11 23 42; do refused $call $n; done
done
refused cublasLtMatmulAlgo 0 'cublasLtMatmulAlgoGetHeuristic: '\
'CUBLAS_STATUS_NOT_SUPPORTED: forward of \[1,1\] to \[1,1\]$'
refused CUDNN_ATTR_ENGINEHEUR_RESULTS 0 'no engine of cuDNN will do: '\
'CUDNN_STATUS_NOT_SUPPORTED: convolution alone 1x1/1 of \[1,1,1,8\] to'
refused cudaLaunchKernel 3 'cu_'

# caught BUILD CASE STATUS MESSAGE: one thing done wrong, which the stand-ins
# see (t/lib-faults).
caught() {
	"$BUILD/cudasim/$1/lib-faults" $2 >out 2>err
	is $? $3 "$1: $2 is seen" || diag <err
	like err "$4" '... and named'
}
caught plain short_z 66 'cublasLtMatmul: D ends 16 bytes behind its 112 bytes'
caught plain short_dx 66 'cudnnBackendExecute: x ends 16 bytes behind its 240'
caught plain space 1 'a convolution needs 272 bytes of space, there are 64$'
caught race streams 66 'cublasLtMatmul: race: write after write .* of another'
caught plain algorithm 1 '^lib-faults: CUBLAS_STATUS_INVALID_VALUE$'
caught plain aligned 66 'B is not aligned to 256 bytes, as was said'
caught plain destroyed 66 'is not what it should be, or no more'
caught plain left 66 'cublasLtDestroy: 4 descriptors are left'
