#!/bin/bash
# Shared memory has 32 banks of 4 bytes: accesses of a warp that want different
# words of one bank take a pass each.  Of the PTX of every kernel, executed, with
# the cases of t/4200-cuda-kernels.t: next to no pass more than must be.
. "$(dirname "$0")/lib.sh"
[ -x "$BUILD/ptxsim/kernels-80" ] || skip_all 'no PTX to execute here' \
    '(it needs the CUDA toolkit, and no SAN=)'
plan 10
export LD_LIBRARY_PATH=$BUILD/ptxsim

# passes FILE: passes for one, of all accesses and of the worst, and the kernel
passes() {
	awk '/^[^\t]/ { split($(NF - 1), p, "[=/]"); split($NF, b, "=")
		if (p[3] > 0) print p[2] / p[3], b[2], $1 }' "$1" |
	    c++filt -p | sed 's/(int)//g; s/(.*//; s/ void / /'
}
# more FILE ALL WORST [BUT]: kernels beyond that, but for those like BUT
more() {
	awk -v all=$2 -v worst=$3 -v but="${4-^$}" '($1 > all || $2 > worst) &&
	    $3 !~ but' "$1"
}
for v in 80 100; do
	PTXSIM_COUNT=counts "$BUILD/ptxsim/kernels-$v" -s >out 2>err
	is $? 0 "compute_$v: the kernels run" || diag <err
	passes counts >got
	[ "$(wc -l <got)" -gt 60 ]; ok $? "... $(wc -l <got) have shared memory"
	# In f32, two lanes have all of 8 channels.
	more got 1.1 1.5 '^conv_(weights|gradient)<float' >bad
	is "$(wc -l <bad)" 0 '... of which none has conflicts' || diag <bad
	more got 1.6 2 >bad
	is "$(wc -l <bad)" 0 '... or of two lanes at most' || diag <bad
done

# It can fail: a column of a matrix of 32 x 32 floats lies in one bank.
cat >column.cu <<'EOF'
__global__ void
column(float *y, const float *x)
{
	__shared__ float m[32 * 32];

	m[32 * threadIdx.x] = x[threadIdx.x];
	__syncthreads();
	y[threadIdx.x] = m[32 * (threadIdx.x ^ 1)];
}
int
main()
{
	float *p;

	cudaMalloc(&p, 256);
	column<<<1, 32>>>(p + 32, p);
	return cudaStreamSynchronize(0);
}
EOF
CUDA=${CUDA:-/usr/local/cuda}
"$CUDA/bin/nvcc" -arch=compute_80 --no-compress -cudart shared -o column \
    column.cu && PTXSIM_COUNT=counts ./column
is $? 0 'a kernel with conflicts runs'
passes counts >got
is "$(cat got)" '32 32.00 column' '... and they are seen'
