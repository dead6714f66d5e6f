#!/bin/bash
# The accuracies, against the reference figures: equal, not near.
. "$(dirname "$0")/lib.sh"
dir=$SHARED/reference/metrics
[ -d "$dir" ] || skip_all "no reference figures in $SHARED"
exec metrics "$dir/vqa.json" "$dir/msrvtt_qa.json" "$dir/frameqa.json"
