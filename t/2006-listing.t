#!/bin/bash
# Which frames a video holds, found without decoding where that can be.
. "$(dirname "$0")/lib.sh"
export SVT_LOG=1	# what the encoder of AV1 says of itself
set --
for f in toy_frog.mpg toy_elf_headless.ts brook_h264.avi title_badlen.avi \
    makeup.avi; do
	[ -f "$SHARED/media/videos/$f" ] && set -- "$@" "$SHARED/media/videos/$f"
done
listing "$@"
