#!/bin/bash
# Preparation of pictures by the engine "ref" against the reference numbers.
. "$(dirname "$0")/lib.sh"
[ -d "$SHARED/reference/preprocess" ] || skip_all 'no reference numbers here'
"$BUILD/t/engine-prepare" ref "$SHARED"/reference/preprocess/*.safetensors
