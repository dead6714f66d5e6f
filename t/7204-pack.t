#!/bin/bash
. "$(dirname "$0")/lib.sh"; . "$T/media.sh"
command -v mdb_stat >/dev/null || skip_all 'no mdb_stat (lmdb-utils)'
plan 21

entries() { mdb_stat "$1" | awk '/Entries/ { print $2 }'; }
mkdir v w
for i in 1 2 3 4; do image v/p$i.ppm 20 20 $((i * 20)); done
echo text >v/notes.txt
cb-pack db v 2>err;                     is $? 0 'packs a directory'
like err '^cb-pack: 4 new, 0 changed, 0 as they were$' 'says what it did'
is "$(entries db)" 4 'media files only'
cb-pack db v 2>err;                     is $? 0 'packs it again'
like err '0 new, 0 changed, 4 as they were' 'and leaves what is there'
image v/p2.ppm 20 20 99
image v/p5.ppm 20 20 7
cb-pack db v 2>err;                     is $? 0 'packs changes'
like err '1 new, 1 changed, 3 as they were' 'new and changed files'
cb-decode -m db v/p2.ppm >a.cb
echo '{"image_id": "p2", "question": "q", "labels": {"yes": 1}}' >x.jsonl
cb-decode -m db x.jsonl >b.cb
is "$(cb-dump <b.cb | jq -r 'select(.picture).picture.sha256')" \
    "$(cb-dump <a.cb | jq -r 'select(.picture).picture.sha256')" \
    'the changed bytes are there'

image w/p1.ppm 3 3 3
cb-pack db2 v w 2>err;                  is $? 1 'two files with one stem'
like err 'the stem p1: v/p1.ppm, w/p1.ppm' 'both are named'
[ ! -e db2 ]; ok $? 'nothing is written'
: >v/p6.ppm
cb-pack db v v/nope.ppm 2>err;          is $? 1 'bad files'
like err 'v/p6.ppm: is empty' 'an empty one is named'
like err 'v/nope.ppm: No such file' 'a missing one is named'
like err '2 of 7 files could not be packed' 'and they are counted'
is "$(entries db)" 5 'the others are packed'
cb-pack db 2>err;                       is $? 2 'nothing to pack'

# 80 MB: the map starts at 16 and grows; commits come at 64
mkdir big
python3 -c 'for i in range(20):
    open("big/b%02d.ppm" % i, "wb").write(b"P6\n1200 1165\n255\n" +
        bytes([i]) * (3 * 1200 * 1165))'
cb-pack grown big 2>err;                is $? 0 'grows its map'
is "$(entries grown)" 20 'all files are in it'
# killed after the first commit: what was committed is whole
cb-pack killed big 2>err & pid=$!
while kill -0 $pid 2>/dev/null; do
	n=$(stat -c %b killed/data.mdb 2>/dev/null || echo 0)
	[ "$n" -gt 100000 ] && break
done
kill -9 $pid 2>/dev/null
wait $pid 2>/dev/null
mdb_stat killed >/dev/null 2>&1; ok $? 'a killed one can be opened'
cb-pack killed big 2>err
is "$? $(entries killed)" '0 20' 'and completed'
