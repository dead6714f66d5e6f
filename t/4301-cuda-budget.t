#!/bin/bash
# What every kernel of the plug-in may cost and must have: cuda/budget.txt.  The
# kernels in the machine code are those in that file, and those that tests run.
. "$(dirname "$0")/lib.sh"
SO=$BUILD/ptxsim/cb_cuda.so
[ -e "$SO" ] && [ -x "$BUILD/ptxsim/kernels-100" ] ||
	skip_all 'no plug-in to look at here (it needs the CUDA toolkit, and' \
	    'no SAN=)'
plan 15

LD_LIBRARY_PATH=$BUILD/ptxsim CBSIM_LOG=$DIR/log \
    "$BUILD/ptxsim/kernels-100" -s >out 2>err
is $? 0 'the kernels run' || diag <err
awk '$1 == "kernel" { print $NF }' log | sort -u >tested
sass -l log "$SO" >all
for arch in 80 90 100; do
	awk -v a=sm_$arch '$1 == a { print $2 }' all | sort -u >kernels
	same kernels tested "those of sm_$arch are those that are tested"
done
is "$(cut -d' ' -f1 all | sort -u | wc -l)" 3 '... and there are no others'

# held STATUS MESSAGE: ./budget
held() {
	sass -l log -b budget "$SO" >out 2>err
	is $? "$1" "$2"
}
cp "$TOP/cuda/budget.txt" budget
held 0 'all keep to the budget' || diag <err
is "$(wc -l <err)" 0 '... without a word' || diag <err
sass -l log -u budget "$SO" >again
same budget again '... which is as tight as it can be'

# It can fail.
grep -v '^adamw<float>' "$TOP/cuda/budget.txt" >budget
held 1 'a kernel that it lacks'
is "$(cat err)" "$(for a in 80 90 100; do
	echo "sass: budget: sm_$a adamw<float> is not in it"; done)" '... is told'
echo 'adamw2 regs<=8' | cat "$TOP/cuda/budget.txt" - >budget
held 1 'a kernel that is not there'
is "$(cat err)" 'sass: budget: adamw2: no such kernel' '... is told'
sed "/^attention_fwd_mma.*,64>/s/HMMA>=64/HMMA>=65/" \
    "$TOP/cuda/budget.txt" >budget
held 1 'fewer instructions of tensor cores than there must be'
is "$(wc -l <err)" 6 '... is told of both types on each architecture'
like err '^sass: sm_90 attention_fwd_mma<cb_bf16,64>: HMMA is 64, at least 65$' \
    '... and how many'
