#!/bin/bash
. "$(dirname "$0")/lib.sh"
f=$SHARED/reference/metrics/schedules.json
[ -e "$f" ] || skip_all 'no reference numbers'
"$BUILD/t/optim" schedules "$f"
