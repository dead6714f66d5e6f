#!/bin/bash
# Pictures equal those of Pillow, byte for byte.
. "$(dirname "$0")/lib.sh"
[ -d "$SHARED/media/golden" ] || skip_all "no $SHARED/media"
plan 3
images "$SHARED/media/golden" "$SHARED/media" >out
is $? 0 'every picture has the expected bytes'
like out '^34 of 34 prepared$' 'so were those that preprocessing takes'
like out '^36 of 36 pictures$' 'all pictures were compared'
grep '^FAIL' out | diag
exit 0
