#!/bin/bash
# Each function of the libraries refused once, at its first call and in the
# middle of a run: one line that names it and status 1, or, where there is
# another way, the same weights as ever.
. "$(dirname "$0")/lib.sh"
. "$T/cuda.sh"
batches
END=ckpt/model_step_1.safetensors
ONE='--steps 1 --precision fp32 --restore-every 100'
CBSIM_COUNTS=$DIR/counts cuda like $ONE || { cat err; exit 1; }
# cudaFree and what is looked up but cannot fail are not refused
grep -Ev '^(\(|cudaFree )' counts | grep -E '^(cuda|cublasLt|cudnn)' >calls
plan $(($(wc -l <calls) + 3))

# seen NAME N: whether refusing that call ends as it should
seen() {
	rm -rf no
	CBSIM_FAIL=$1:$2 cuda no $ONE
	case $? in
	0)	cmp -s no/$END like/$END ;;
	1)	[ "$(wc -l <err)" = 1 ] && grep -Eq '^cb-train: (.*: )?cuda: ' err &&
		    ! [ -e no/$END ] ;;
	*)	false ;;
	esac
}
while read -r name n; do
	seen $name 1 && seen $name $(((n + 1) / 2))
	ok $? "$name, of $n calls" || cat err | diag
done <calls

# What has another way.
for name in cudaGraphExecUpdate CUBLASLT_EPILOGUE_BIAS CUDNN_POINTWISE_ADD; do
	rm -rf no
	CBSIM_FAIL=$name cuda no $ONE
	is "$? $(cat err)" '0 ' "$name: there is another way"
done
