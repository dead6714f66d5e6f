#!/bin/bash
# Preparation of pictures by the engine "cpu" against the reference numbers.
. "$(dirname "$0")/lib.sh"
[ -d "$SHARED/reference/preprocess" ] || skip_all 'no reference numbers here'
"$BUILD/t/engine-prepare" cpu "$SHARED"/reference/preprocess/*.safetensors
