#!/bin/bash
# The real cuDNN plans every convolution of a training step at 448 pixels for
# an A100 and an H100 that are only described to it: forward fused with bias,
# residual and ReLU, and both gradients, by engines that repeat bit for bit and
# need no compiler at run time (cuda/plan.c takes no others).
. "$(dirname "$0")/lib.sh"
[ -x "$BUILD/t/cudnn-plans" ] || skip_all 'no cuDNN here'
plan 13

for t in bf16 f16 f32; do
	cudnn-plans -t $t >plans 2>err
	is $? 0 "$t: all planned" || head -n 5 err | diag
	is "$(cut -f1,6 plans | sort | uniq -c | tr -s ' \t' ' ' | tr '\n' ';')" \
	    ' 66 A100 fused; 66 H100 fused;' '... on both, and fused'
	most=$([ $t = f32 ] && echo 256 || echo 64)
	is "$(awk -F'\t' -v most=$most '$8 > most' plans | wc -l)" 0 \
	    "... in $most MiB at most"
done
cudnn-plans -p 1 >one && cut -f2-5 one >a && cut -f2-5 plans >b
same a b 'one picture: the same calls'
# By hand: 16 pictures, 112 x 112 positions, 9 x 64 x 64 products, twice each.
like plans '^A100	y relu	3/1	\[112,112,64\]	64	.*	14.8$' 'operations counted'
cudnn-plans -p 0 >out 2>err
is $? 2 'no pictures: usage'
like err '^usage: cudnn-plans' '... is told'
