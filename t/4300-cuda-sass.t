#!/bin/bash
# What t/sass.c reads in machine code is what ptxas says and what the kernels
# of t/cubin/known.cu hold; a budget is held to.
. "$(dirname "$0")/lib.sh"
CUDA=${CUDA:-/usr/local/cuda}
[ -x "$CUDA/bin/nvcc" ] && [ -x "$BUILD/t/sass" ] ||
	skip_all 'no CUDA toolkit here'
plan 52

for arch in 80 90 100; do
	"$CUDA/bin/nvcc" -O3 -arch=sm_$arch -cubin -Xptxas -v \
	    -o sm_$arch.cubin "$T/cubin/known.cu" 2>told || exit 1
	# "Used 14 registers, ... 512 bytes smem" after "function 'tensor'"
	awk -v arch=$arch -F"'" '
	    /Compiling entry/ { name = $2; stack = shared = 0 }
	    /stack frame/ { split($0, w, " "); stack = w[1] }
	    /Used/ { n = split($0, w, " ")
		for (i = 1; i < n; i++) {
			if (w[i + 1] ~ /^registers/) regs = w[i]
			if (w[i + 2] ~ /^smem/) shared = w[i] }
		printf "sm_%s %s regs=%d stack=%d shared=%d\n", arch, name,
		    regs, stack, shared }' told | sort >want
	sass sm_$arch.cubin >got
	cut -d' ' -f1-5 got | sort | cmp - want >/dev/null
	ok $? "sm_$arch: registers, stack and shared memory as ptxas says" ||
	    diff got want
	for line in 'wide .*threads=256 blocks=8 .*LDG.128=1 STG.128=1$' \
	    'narrow .* LDG.16=1 LDG.32=1 LDG.64=1 STG.8=1$' \
	    'reverse .* BAR=1 SHFL=1 MUFU=1 LDG.32=2 STG.32=1 LDS.32=1 STS.32=1$' \
	    'local .*threads=1024 blocks=2 .* LDG.32=.* LDL.* STL.*' \
	    'tensor .*blocks=32 .* HMMA=1 LDSM=1 BAR=1 STG.128=1 (LDS.32=3 )?LDGSTS.128=1$'
	do
		like got "^sm_$arch $line" "sm_$arch: ${line%% *}"
	done
done

# An object of nvcc holds a cubin for each architecture.
if [ -f "$BUILD/t/cudasim/faults.cu.o" ]; then
	sass "$BUILD/t/cudasim/faults.cu.o" >got
	is "$(grep -c 'regs=' got)" $((3 * 24)) 'an object: 24 kernels, 3 times'
	is "$(grep -c '_Z4tileI7cb_bf16.* HMMA=1 LDSM=2 ' got)" 3 \
	    '... of which each has its tensor instruction'
else
	ok 0 'an object # SKIP made without SAN= only'
	ok 0 'its tensor instruction # SKIP made without SAN= only'
fi

# held STATUS MESSAGE BUDGET
held() {
	echo "$3" >budget
	sass -b budget sm_*.cubin >out 2>err
	is $? "$1" "budget '$(head -n 1 budget)' ..."
	[ -z "$2" ] || like err "$2" '... and why'
}
good='wide regs<=16 LDG.128>=1 LDG.32<=0 blocks>=8/8/8
narrow	narrow>=2 # anything
reverse shared<=1024
tensor HMMA>=1 LDGSTS>=1'
held 1 '^sass: sm_80 local: 128 bytes of local memory$' "$good
local"
held 1 '^sass: sm_80 wide: regs is 12, at most 11$' 'wide regs<=11/99/99'
held 1 '^sass: sm_100 wide: regs is [0-9]+, at most 9$' 'wide regs<=99/99/9'
held 1 '^sass: sm_90 wide: STG.128 is 1, at least 2$' 'wide STG.128>=2'
held 1 '^sass: budget: sm_90 wide is not in it$' 'local'
held 1 '^sass: budget: sm_80 wide is in it twice, again as wid\?$' 'w*
wid?'
held 1 '^sass: budget: gone: no such kernel$' 'gone regs<=1'
for bound in 'speed<=1' 'regs<=' 'regs<1' 'regs<=1/2' 'regs<=1/2/3/4' 'regs'; do
	held 1 "^sass: budget: wide: $bound is no bound\$" "wide $bound"
done

# Made again, it holds, and just so.
cat <<'EOF' >budget
# what this is
[nrtw]*  regs<=0 shared<=0 blocks>=0 code<=0	# a note
local stack<=0
EOF
sass -u budget sm_*.cubin >again 2>err
is "$(sed 's/ *[a-z]*[<>]=[0-9/]*//g; s/[ \t]\+#/ #/' again | paste -sd';')" \
    '# what this is;[nrtw]* # a note;local' 'a budget made again is the same'
like again '^local +stack<=128$' '... with what is the case'
like again '^\[nrtw\]\* +regs<=[0-9/]+ shared<=1024 blocks>=8 code' \
    '... in the worst of them'
sass -b again sm_*.cubin 2>&1 >out | grep -v 'local memory' >err
is "$(wc -l <err)" 0 '... and is kept to' || diag <err

echo 'kernel grid 9,1,1 block 32,1,1 shared 100000 tensor' >log
sass -l log sm_90.cubin | grep -q '^sm_90 tensor .* blocks=2 '
ok $? 'dynamic shared memory of a launch counts for the blocks'
head -c 3000 sm_90.cubin >cut.cubin
sass cut.cubin >out 2>err
is $? 1 'a cubin that is cut is refused'
