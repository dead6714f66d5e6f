#!/bin/bash
# Damaged and hostile files: which are refused and which yield pictures, in
# both orders, within bounds of time and memory.
. "$(dirname "$0")/lib.sh"; . "$T/media.sh"
B=$SHARED/media/broken
[ -d "$B" ] || skip_all "no $B"
table="absurd_dims_stsd.mp4 4|absurd_sample_count.mp4 error|audio_only.mp4 error
cut_faststart.mp4 4|cut_faststart_clean.mp4 4|cut_moov_at_end.mp4 error
empty.mp4 error|flip_mdat_few.mp4 4|flip_mdat_many.mp4 4|flip_moov.mp4 error
hole.mp4 4|no_mdat.mp4 error|no_moov.mp4 error|real_broken.mp4 error
real_corrupted.mp4 4|short_mdhd.mp4 4|size_change.mp4 4|text.mp4 error
cut.avi 4|noindex.avi 4|absurd.gif error|cut.gif 1|flip.gif 4
bad_huffman.jpg error|bomb_12000.jpg error|bomb_30000x1.jpg 1
bomb_65000.jpg error|cut.jpg error|empty.jpg error|flip_scan.jpg 1|no_eoi.jpg 1
real_invalid.jpg 1|real_truncated.jpg error|text.jpg error|trailing.jpg 1
bad_crc.png 1|bomb_65000.png error|cut.png error|zero_size.png error
cut.mkv 4|flip.mkv 4|size_change.ts 4"
list=$(echo "$table" | tr '|' '\n')
plan $(($(echo "$list" | wc -l) + 6))

files=$(echo "$list" | sed "s|^|$B/|; s/ .*//")
[ "$(ls "$B" | grep -vcE 'tsv|jsonl')" = "$(echo "$list" | wc -l)" ]
ok $? 'the table has all files'
# the sanitizers need address space that they never touch; not grep -q, which
# would end nm by SIGPIPE and, with pipefail, look like no match
nm "$BUILD/bin/cb-decode" 2>/dev/null | grep -c __asan >nm.out || ulimit -v 3000000
timeout 300 cb-decode $files 2>a.err | cb-sample -n 2 >a.cb 2>b.err
cb-sample -n 2 $files | timeout 300 cb-decode >b.cb 2>err
is $? 1 'bad media give status 1'
body a.cb >a.body; body b.cb >b.body
same a.body b.body 'both orders write the same'
cb-dump <b.cb | jq -r 'if .group then .group.media else empty end,
    if .end then (if .end.error then "error" else .end.pictures end) else
    empty end' | paste - - | sed 's|.*/||' >out
while read -r file want; do
	got=$(awk -v f="$file" '$1 == f { print $2 }' out)
	is "$got" "$want" "$file"
done <<<"$list"
# Nothing is amiss with what is decoded of these.
whole=' bad_crc.png no_eoi.jpg noindex.avi real_invalid.jpg short_mdhd.mp4
 size_change.mp4 size_change.ts trailing.jpg '
for f in $files; do
	grep -qF "cb-decode: $f: " err || echo "${f##*/}"
done | LC_ALL=C sort >quiet
is "$(paste -sd' ' quiet)" "$(echo $whole)" \
    'all others are named with what is wrong'
like err "^cb-decode: $(grep -c error <<<"$list") of .* media could not be read" \
    'they are counted'
cb-decode --timeout 0.000001 "$B"/{trailing.jpg,bad_crc.png,noindex.avi} \
    2>err >/dev/null
is "$(grep -c ': took longer than --timeout$' err)" 3 'all can be bounded in time'
