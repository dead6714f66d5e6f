#!/bin/bash
# The whole tiny model on the simulated device: all heads, forward, backward and
# three steps of the optimiser, against the reference numbers.
. "$(dirname "$0")/lib.sh"
. "$T/cuda.sh"
R=$SHARED/reference/tiny
[ -d "$R" ] || skip_all "no $R"
plan 8

cd "$R" || exit 1
one="vqa_f1 open_qa_c3_f2_lse regression_c3_f2_mean pretrain_f2_pix
    retrieval_rank_c3_f2_max mc_qa_c3_f2_max msrvtt_mc_ce_c3_f2_mean"
files() { local f; for f in $*; do echo "$R/$f.safetensors"; done; }
right() {
	local b=$1
	shift
	on $b "$BUILD/t/reference" -e cuda:fp32 $(files $*) >"$DIR/out" 2>&1
	is $? 0 "$b: $*" || grep -v '^ok' "$DIR/out" | diag
}
right plain $one
right plain retrieval_ce_c3_f2_max vqa_f2 pretrain_f1 regression_c1_f1_max
right plain steps_open_qa steps_vqa_lr_mul steps_pretrain steps_regression
right asan vqa_f1
right race regression_c1_f1_mean

# In 16 bits errors are those of f32 times what one rounding is larger: a chain
# of operations passes a small error on in proportion.  Up to a factor, for the
# error in f32 is a matter of luck too; and where it would come to as much as the
# value itself nothing can be said, as of most gradients of this CNN in bf16.
derived() {
	python3 - "$DIR/fp32" "$DIR/$1" $2 $3 <<'PY'
import re, sys
def read(path):
    got = {}
    for line in open(path):
        m = re.match(r" +(\S+) +(\S+) of", line)
        if m and not m[1].startswith(("gradnorm", "answers")):
            got.setdefault(m[1], []).append(float(m[2]))
    return got
wide, narrow = read(sys.argv[1]), read(sys.argv[2])
unit = 2.0 ** -int(sys.argv[3])
told = bad = 0
for name, errors in wide.items():
    for e, x in zip(errors, narrow[name]):
        may = 16 * (e * 2 ** 24 + 1) * unit
        told += may < 1
        if may < 1 and not x <= may:
            bad += 1
            print("%s: %.2e, may be %.2e" % (name, x, may))
print("%d of %d beyond" % (bad, told))
sys.exit(bad > 0 or told < int(sys.argv[4]))
PY
}
few=$(files vqa_f1 open_qa_c3_f2_lse regression_c3_f2_mean pretrain_f2_pix)
for p in fp32 bf16 fp16 tf32; do
	"$BUILD/t/reference" -v -e cuda:$p $few >"$DIR/$p" 2>&1
done
derived bf16 8 30 >"$DIR/out"
ok $? "bf16: errors as derived ($(tail -n 1 "$DIR/out"))" || diag <"$DIR/out"
derived fp16 11 150 >"$DIR/out"
ok $? "fp16: errors as derived ($(tail -n 1 "$DIR/out"))" || diag <"$DIR/out"
derived tf32 11 150 >"$DIR/out"
ok $? "tf32: errors as derived ($(tail -n 1 "$DIR/out"))" || diag <"$DIR/out"
