#!/bin/bash
# A plan is decoded with the least: counts of packets, frames and conversions.
. "$(dirname "$0")/lib.sh"
set --
for f in bird_nonref.mp4 cups_opengop.mp4 toy_rabbit_hevc.mp4 desk.3gp \
    bear_odd.webm sign_eat.mkv telescope.mp4 crystal_1gop.mp4 toy_frog.mpg toy_pig.ogv; do
	[ -f "$SHARED/media/videos/$f" ] && set -- "$@" "$SHARED/media/videos/$f"
done
decoded "$@"
