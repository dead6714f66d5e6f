#!/bin/bash
. "$(dirname "$0")/lib.sh"
python3 "$T/import-files.py" . || exit 1
tensors .
