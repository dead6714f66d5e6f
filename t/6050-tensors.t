#!/bin/bash
. "$(dirname "$0")/lib.sh"
python3 "$T/import-files.py" . || exit 1
for f in "$T"/data/torch-*.gz; do gunzip -c "$f" >"$(basename "$f" .gz)"; done
tensors .
