#!/bin/bash
# The PTX that nvcc makes of the kernels, executed: right where they are right,
# by either of nvcc's two compilers, and faults are seen.  The program is one
# made for a GPU; only the library that it finds is ours.
. "$(dirname "$0")/lib.sh"
[ -x "$BUILD/ptxsim/faults-80" ] || skip_all 'no PTX to execute here' \
    '(it needs the CUDA toolkit, and no SAN=)'
plan 47
export LD_LIBRARY_PATH="$BUILD/ptxsim"

for v in 80 100; do
	for serial in '' 1; do
		PTXSIM_SERIAL=$serial "$BUILD/ptxsim/faults-$v" all >out 2>err
		is $? 0 "compute_$v, serial '$serial': right" || cat out err
		is "$(grep -c ^ok out)" 16 '... all cases'
	done
done

# seen VERSION CASE BUG STATUS MESSAGE
seen() {
	"$BUILD/ptxsim/faults-$1" $2 $3 >out 2>err
	is $? $4 "compute_$1: $2 $3 is seen"
	[ -z "$5" ] || like err "$5" '... and named, with its instruction'
}
for v in 80 100; do
	seen $v sum 1 66 'thread 255: line [0-9]+: .*ld.global.f32 .* 4 bytes at 0x[0-9a-f]+, (beyond the end of an allocation|which is no memory)'
	seen $v sum 2 3 ''
	seen $v sum 3 3 ''
	seen $v fetch 1 3 ''
	seen $v fetch 2 66 'ld.shared.v4.f32 .*: 16 bytes at .*, not aligned'
	seen $v diverge 1 66 '(bar.sync|thread 0: .*) .*(ends while others wait|waits for lanes that have ended)'
	seen $v diverge 2 66 'bar.sync 0: waits for lane 1, which waits at line [0-9]+: shfl.sync'
	seen $v diverge 3 66 'bar.sync.*while others wait at that of line'
	seen $v argument 1 66 'ld.global.* which is no memory of the device'
	PTXSIM_SERIAL=1 seen $v hand_on 1 3 ''
done

# Counts: a block reads 128 floats and writes as many, 16 bytes a lane; a tile
# is stored in pairs of floats, half a sector each; ldmatrix has no conflicts, but
# the copies before it do.
PTXSIM_COUNT=counts "$BUILD/ptxsim/faults-80" fetch 0
like counts '^_Z5fetchILi0EEvPfPKf launches=1 blocks=1 threads=32 .* read=512/512 written=512/512 memory=512/512 shared=8/8 banks=1.00$' \
    'bytes in sectors, passes through the banks'
PTXSIM_COUNT=counts "$BUILD/ptxsim/faults-80" tile 0
like counts '^_Z4tileI7cb_bf16EvPfPKT_S4_ .* flops=0 mma=4096 read=768/768 written=1024/512 memory=768/512 shared=24/16 banks=2.00$' \
    'a tile of 16 x 8 x 16 is 4096 operations'
PTXSIM_COUNT=counts "$BUILD/ptxsim/faults-80" fragments 0
like counts '^_Z9fragmentsI7cb_bf16EvPfPKjS3_ .* read=[0-9]+/[0-9]+ written=2048/512 memory=[0-9]+/512 ' \
    'stores of one word in four: four times the sectors'

PTXSIM_COUNT=counts "$BUILD/ptxsim/faults-80" stream 0
like counts '^_Z5scale.* launches=2 blocks=2 .* read=512/512 written=512/512 memory=512/512 ' \
    'what a block uses, of each block'

# What is not known is refused, not guessed.
cat >odd.cu <<'EOF'
__global__ void
odd(unsigned *y)
{
	unsigned n;

	asm("bfind.u32 %0, %1;" : "=r"(n) : "r"(y[0]));
	y[0] = n;
}
int
main()
{
	unsigned *y;

	cudaMalloc(&y, 4);
	odd<<<1, 32>>>(y);
	return cudaStreamSynchronize(0);
}
EOF
CUDA=${CUDA:-/usr/local/cuda}
"$CUDA/bin/nvcc" -arch=compute_80 --no-compress -cudart shared -o odd odd.cu
./odd >out 2>err
is $? 66 'an unknown opcode ends the program'
like err 'line [0-9]+ of the PTX: is no instruction that is known here: bfind.u32' \
    '... by its name'
"$CUDA/bin/nvcc" -arch=compute_80 -Xfatbin -compress-all -cudart shared -o odd \
    odd.cu && ./odd >out 2>err
like err 'the PTX is compressed: nvcc --no-compress|bfind' \
    'compressed PTX is refused too'
