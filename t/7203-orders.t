#!/bin/bash
# Decoding what a plan asks for gives the same bytes as picking from all
# frames, for every kind of file; the seed draws where the clips lie.
. "$(dirname "$0")/lib.sh"; . "$T/media.sh"
V=$SHARED/media/videos
[ -d "$V" ] || skip_all "no $V"
list="bear_odd.webm bird_nonref.mp4 brook_h264.avi clay_branch.mp4
cups_opengop.mp4 desk.3gp dog_oneframe.mp4 face_badfrag.mp4 juggle_twoframes.mp4
makeup.avi newton.gif park_trees.mp4 sideways.mov sign_again.wmv sign_eat.mkv
telescope.mp4 testcard_nokey.mp4 title_badlen.avi toy_elf_headless.ts
toy_frog.mpg toy_pig.ogv toy_rabbit_hevc.mp4"
plan $(wc -w <<<"$list")
for f in $list; do
	orders "$f" "$V/$f" -s rand -n 3 --seed ${#f}
done
