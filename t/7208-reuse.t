#!/bin/bash
# What is kept from one medium to the next leaves no trace: the pictures of each
# are the same whatever came before, on one thread and on several.
. "$(dirname "$0")/lib.sh"; . "$T/media.sh"
V=$SHARED/media/videos B=$SHARED/media/broken
[ -d "$B" ] || skip_all "no $B"
plan 5

for i in 1 2 3; do video v$i.y4m $((4 * i)); done
python3 -c 'import sys; sys.stdout.buffer.write(
    b"YUV4MPEG2 W16 H16 F10:1 Ip A1:1 C444\n" + 6 * (b"FRAME\n" +
    bytes(range(256)) * 3))' >full.y4m
# H.264 that differs in parameter sets, encoders, delays, sizes and ranges of
# colours; damaged ones; a size in several formats
files="v1.y4m full.y4m $V/park_trees.mp4 $B/flip_mdat_many.mp4 $V/cars_strip.mp4
    $B/hole.mp4 $V/sign_eat.mkv $B/real_broken.mp4 $V/title_badlen.avi
    $B/flip.mkv v2.y4m $V/bear_odd.webm $B/size_change.mp4 $B/cut.avi
    $V/makeup.avi $B/flip.gif $V/newton.gif $V/desk.3gp $B/size_change.ts
    $V/testcard_nokey.mp4 $B/flip_mdat_few.mp4 $V/sign_again.wmv v3.y4m
    $B/short_mdhd.mp4 $B/absurd_dims_stsd.mp4 $B/noindex.avi"

# sums THREADS FILE...: a line for each picture and error, in order of names
sums()
{
	local j=$1
	shift
	cb-sample -n 3 "$@" 2>err | cb-decode -j "$j" 2>err | cb-dump |
	    jq -r 'if .group then .group.media, .group.error else empty end,
	    if .picture then "\(.clip) \(.index) \(.picture.sha256)"
	    else empty end' | awk '/^[^ ]*[.][^ ]*$/ { m = $0; n = 0; next }
	    { print m, n++, $0 }' | sort
}

for f in $files; do sums 1 "$f"; done | sort >alone
is "$(grep -c ' [0-9a-f]\{64\}$' alone)" 150 'each alone'
sums 1 $files >all; same alone all 'one after the other'
sums 1 $(tac -s ' ' <<<"$(echo $files) ") >all
same alone all 'in the other order'
sums 1 $(printf '%s\n' $files $files | shuf --random-source=<(yes)) |
    uniq >all
same alone all 'twice, in some order'
sums 4 $files >all; same alone all 'on four threads'
