#!/bin/bash
# The original's conventions on the real set: every task to groups and batches.
. "$(dirname "$0")/lib.sh"
A=$SHARED/media/annotations
[ -d "$A" ] || skip_all "no annotations in $SHARED"
plan 37

one() { # FILE TASK ROWS KEY-OF-MEDIUM: ROWS of a line
	cb-list --no-shuffle --split eval "$A/$1.jsonl" >l.cb 2>err
	is "$? $(cat err)" '0 ' "$1"
	cb-dump <l.cb >l
	is "$(head -n 1 l | jq -r .task)" "$2" '... is told by its keys'
	jq -c '.group.examples // empty | .[] | del(.id, .label, .labels)' l |
	    sort >have
	jq -c 'del(.labels)' "$A/$1.jsonl" | sort >want
	same want have '... all lines as they are'
	is "$(jq -c ".group // empty | .media as \$m | .examples[] |
	    .$4 == \$m" l | sort -u)" true '... each with its medium'
	cb-list "$A/$1.jsonl" | fake-pictures 1 1 2 2 | cb-batch -b 7 >b.cb 2>err
	is "$? $(cat err) $(cb-dump <b.cb | jq -s 'map(.batch.ids.shape[0] // 0) | add')" \
	    "0  $(($3 * $(wc -l <want)))" '... and has so many rows in training'
}
one retrieval retrieval 2 clip_name
one caption_mc caption_mc 5 clip_name
one videoqa_mc mc_qa 5 gif_name
is "$(jq -c '.group.examples // empty | .[] | .label == .answer' l | sort -u)" \
    true 'the label is the option'
one videoqa_frameqa open_qa 1 gif_name
one videoqa_open open_qa 1 video_id
one vqa vqa 1 image_id
one captions captions 1 coco_id
sed 's/coco_id/vg_id/' "$A/captions.jsonl" >vg.jsonl
is "$(cb-list vg.jsonl | cb-dump | head -n 1 | jq -c '[.task, .groups]')" \
    '["captions",36]' 'Visual Genome calls them vg_id'
