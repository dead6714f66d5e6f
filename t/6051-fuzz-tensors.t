#!/bin/bash
# Files with all that the parsers know; laughs.pkl and the like take long.
. "$(dirname "$0")/lib.sh"
python3 "$T/import-files.py" . || exit 1
gunzip -c "$T/data/torch-numpy5.pkl.gz" >numpy5.pkl || exit 1
fuzz-tensors 1000 zip.pt zip64.pt legacy.pt ckpt.pt numpy.pkl numpy5.pkl \
    python2.pkl caffe2.pkl
