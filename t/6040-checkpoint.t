#!/bin/bash
. "$(dirname "$0")/lib.sh"
"$BUILD/t/checkpoint" 2>err; s=$?
grep -qx 'checkpoint: tv.st: a torchvision ResNet: its stride is in the 3x3 convolutions, ours in the first 1x1; features differ until trained' err ||
    { echo 'not ok 25 - no warning of the stride'; exit 1; }
exit $s
