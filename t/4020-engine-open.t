#!/bin/bash
# Engines by name.
. "$(dirname "$0")/lib.sh"; plan 14
"$BUILD/t/engine-gradient" nonsense >out 2>err; is $? 1 'an unknown engine'
like err 'nonsense: no such engine \(auto, cpu, cuda, ref\)' '... is named'
if "$BUILD/t/engine-gradient" cuda >out 2>err; then
	ok 0 'the CUDA engine # SKIP it is there'
	ok 0 'it is there # SKIP'
else
	is $? 1 'no CUDA engine here'
	like err 'cuda: (cb_cuda.so cannot be loaded|no GPU answers): ' \
	    '... and why'
fi

# Without a driver CUDA's libraries, slow to load, are left alone.
if ldconfig -p | grep -q 'libcuda\.so\.1'; then
	ok 0 'auto without a driver # SKIP there is one'
else
	LD_DEBUG=files "$BUILD/t/engine-gradient" auto 2>&1 | grep cb_cuda >out
	is "$(cat out)" '' 'auto without a driver does not look for the plug-in'
fi
LD_DEBUG=files CB_CUDA_PLUGIN=$PWD/none.so "$BUILD/t/engine-gradient" auto \
    >out 2>&1
like out "file=$PWD/none.so" 'but for one that is named it does'

# Precision.
"$BUILD/t/engine-gradient" cpu:fp32 >out 2>err; is $? 0 'cpu:fp32'
for e in cpu ref; do
	"$BUILD/t/engine-gradient" $e:bf16 >out 2>err; s=$?
	is "$s $(cat err)" "1 cb: $e: computes in fp32 only, not bf16" \
	    "$e has no other"
done

# The plug-in by name: one that is not there, one that is no engine.
CB_CUDA_PLUGIN=$PWD/none.so "$BUILD/t/engine-gradient" cuda >out 2>err
is $? 1 'a plug-in that is not there'
like err 'cuda: cb_cuda.so cannot be loaded: /.*/none.so: ' '... is named'
CB_CUDA_PLUGIN=libm.so.6 "$BUILD/t/engine-gradient" cuda >out 2>err
is $? 1 'a library that is no engine'
like err 'cuda: cb_cuda.so is not an engine: .*cb_cuda_open' '... and why'
nm -D "$BUILD/bin/cb-train" >symbols
like symbols ' T cb_fail$' 'a plug-in finds cb_fail() in the program'
