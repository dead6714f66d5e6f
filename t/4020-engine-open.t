#!/bin/bash
# Engines by name.
. "$(dirname "$0")/lib.sh"; plan 4
"$BUILD/t/engine-gradient" nonsense >out 2>err; is $? 1 'an unknown engine'
like err 'nonsense: no such engine \(auto, cpu, cuda, ref\)' '... is named'
if "$BUILD/t/engine-gradient" cuda >out 2>err; then
	ok 0 'the CUDA engine # SKIP it is there'
	ok 0 'it is there # SKIP'
else
	is $? 1 'no CUDA engine here'
	like err 'cuda: cb_cuda.so cannot be loaded: ' '... and why'
fi
