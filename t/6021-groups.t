#!/bin/bash
. "$(dirname "$0")/lib.sh"
[ -e "$SHARED/reference/tiny" ] || skip_all 'no reference numbers'
"$BUILD/t/optim" steps "$SHARED"/reference/tiny/steps_{open_qa,vqa_lr_mul,pretrain,regression}.safetensors
