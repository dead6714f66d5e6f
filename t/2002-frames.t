#!/bin/bash
# Frames equal those of the reference decoder, decoded plainly and fetched by
# seeking: every kind of container here, all videos in 9000-frames.t.
. "$(dirname "$0")/lib.sh"
[ -d "$SHARED/media/golden" ] || skip_all "no $SHARED/media"
plan 1
frames "$SHARED/media/golden" "$SHARED/media" bear_odd.webm bird_nonref.mp4 \
    brook_h264.avi clay_branch.mp4 cups_opengop.mp4 deck_av1.mp4 desk.3gp \
    dog_oneframe.mp4 face_badfrag.mp4 makeup.avi newton.gif park_trees.mp4 \
    sideways.mov sign_again.wmv sign_eat.mkv testcard_nokey.mp4 \
    title_badlen.avi toy_elf_headless.ts toy_frog.mpg toy_pig.ogv \
    toy_rabbit_hevc.mp4 >out
is $? 0 'all frames have the expected bytes'
grep '^FAIL' out | diag
exit 0
