#!/bin/bash
# As 2002-frames.t, for all videos (about a minute).
. "$(dirname "$0")/lib.sh"
[ -d "$SHARED/media/golden" ] || skip_all "no $SHARED/media"
plan 2
frames "$SHARED/media/golden" "$SHARED/media" >out
is $? 0 'all frames of all videos have the expected bytes'
like out '^43 of 43 videos, 8297 of 8297 frames, ' 'nothing was left out'
grep '^FAIL' out | diag
exit 0
