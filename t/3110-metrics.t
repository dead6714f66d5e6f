#!/bin/bash
# Accuracies and recalls, against the reference figures: equal, not near.
. "$(dirname "$0")/lib.sh"
dir=$SHARED/reference/metrics
[ -d "$dir" ] || skip_all "no reference figures in $SHARED"
exec metrics "$dir"/{vqa,msrvtt_qa,frameqa,action,transition,msrvtt_mc,retrieval}.json
