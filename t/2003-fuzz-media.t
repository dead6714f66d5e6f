#!/bin/bash
. "$(dirname "$0")/lib.sh"
V=$SHARED/media/videos I=$SHARED/media/images
[ -d "$V" ] || skip_all "no $V"
exec fuzz-media 60 "$V"/{dog_oneframe.mp4,testcard_nokey.mp4,bear_odd.webm} \
    "$V"/{title_badlen.avi,desk.3gp} "$I"/{window_422odd.jpg,grapefruit.jpg} \
    "$I"/{officer.gif,officer_1bit.png}
