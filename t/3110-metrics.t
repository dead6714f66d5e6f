#!/bin/bash
# Accuracies, recalls and learning rates, against the reference figures: equal,
# not near; and that a wrong one is seen.
. "$(dirname "$0")/lib.sh"
dir=$SHARED/reference/metrics
[ -d "$dir" ] || skip_all "no reference figures in $SHARED"
plan 5

metrics "$dir"/*.json >out 2>err; is $? 0 'every file of the reference'
grep -v '^ok' out | cat - err | diag
is "$(grep -c '\.json$' out)" "$(ls "$dir"/*.json | wc -l)" 'and none left out'

# wrong FILE FILTER: a figure bent by jq must fail
wrong()
{
	jq "$2" "$dir/$1" >bent.json
	metrics bent.json >out 2>&1
	is $? 1 "a wrong figure of $1 is seen"
}
wrong vqa.json '.expected.number_acc += 1e-12'
wrong retrieval.json '.expected.video2text.meanR += 0.5'
wrong schedules.json '.tables[1].lr[7] *= 1.0000001'
