#!/bin/bash
# The original's choice of frames, replayed for every video and setting.
. "$(dirname "$0")/lib.sh"
[ -d "$SHARED/media/golden" ] || skip_all "no $SHARED/media"
plan 2
sampling "$SHARED/media/golden" "$SHARED/media" >out
is $? 0 'every row chooses the expected frames'
like out '^3870 of 3870 rows$' 'all rows were compared'
grep '^FAIL' out | head | diag
exit 0
