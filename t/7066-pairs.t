#!/bin/bash
# cb-score --pairs: every medium with every text, each picture encoded once.
. "$(dirname "$0")/lib.sh"; plan 32

SMALL="-s max_img_size=64 -s hidden_size=16 -s num_hidden_layers=2
    -s num_attention_heads=2 -s intermediate_size=32 -s stem_out_channels=4
    -s width_per_group=4 -s res2_out_channels=8 -s init_stats=4
    -s initializer_range=0.3 -s train_batch_size=4 -s freeze_at=0 -j 1"
# v0 .. v5 have a caption each, v0 two; of number "0" there is no medium "v6"
for i in 0 1 2 3 4 5 0; do
	echo "{\"caption\": \"number $i is shown\", \"clip_name\": \"v$i\"}"
done >r.jsonl
stream() { # CLIPS
	cb-list --split eval r.jsonl | fake-pictures "$1" 2 40 40
}
cb-list -e 2 -g 1 -n 2 r.jsonl | fake-pictures 2 2 40 40 >r.cb
for agg in mean max lse; do
	cb-train $SMALL -s score_agg_func=$agg -o $agg <r.cb 2>err
	is $? 0 "a model that takes the $agg of clips"
done
cb-train $SMALL -s loss_type=rank -o rank <r.cb 2>err; is $? 0 'a ranking one'

for n in 1 2 7 16; do
	stream $n >$n.cb
	for m in mean max lse rank; do
		cb-score -m $m -p r.jsonl -j 1 -b 1 <$n.cb >$m.1 2>err
		cb-score -m $m -p r.jsonl -j 2 -b 4 <$n.cb >$m.2 2>>err
		cmp -s $m.1 $m.2 && [ ! -s err ] && [ "$(jq -s 'map(.scores |
		    length) == [7,7,7,7,7,7]' $m.1)" = true ]
		ok $? "$n clips, $m: the same with any batch and threads"
	done
done
is "$(for m in mean max lse rank; do jq -sc 'map(.scores)' $m.1; done | sort -u |
    wc -l)" 4 'each aggregation has scores of its own'

# what a medium's own texts get, by the way of questions
cb-score -m lse -j 1 <16.cb 2>err |
    jq -c '[.media, .question_id, (.score * 1e5 | round)]' | sort >own
jq -c '.media as $m | .scores | to_entries[] | select($m == "v\(.key % 6)") |
    [$m, .key, (.value * 1e5 | round)]' lse.1 | sort | cmp -s own -
ok $? 'a medium has the same score with its own texts'

# texts that go through in several parts, and one at a time
for i in $(seq 0 599); do
	echo "{\"caption\": \"number $((i % 7)) is shown\", \"clip_name\": \"v$i\"}"
done >many.jsonl
cb-score -m lse -p many.jsonl <16.cb >many 2>err
is "$(jq -s -c 'map(.scores | length) | unique' many)" '[600]' 'many texts'
is "$(jq -s '[.[].scores | [range(593)] as $i | . as $s | $i[] |
    ($s[.] - $s[. + 7] | fabs) < 1e-6] | all' many)" true \
    '... are scored alike in each part'
is "$(jq -c '.media, .scores[0:6]' lse.1 | md5sum)" \
    "$(jq -c '.media, .scores[0:6]' many | md5sum)" '... as among few'

# media without texts; batches
cb-list -n 0 --no-shuffle r.jsonl | fake-pictures 2 2 40 40 | cb-batch -b 4 |
    cb-score -m lse -p r.jsonl >batches 2>err
cb-score -m lse -p r.jsonl <2.cb >groups
same batches groups 'batches are scored too'
jq -c '{clip_name, caption: "x"}' r.jsonl >x.jsonl
cb-list --split eval x.jsonl | fake-pictures 2 2 40 40 |
    cb-score -m lse -p r.jsonl >others 2>err
same others groups 'the texts that a medium comes with do not matter'
sed 's/clip_name/video_id/; s/caption/question/;
    s/}/, "answer": "yes"}/' r.jsonl >q.jsonl
cb-list q.jsonl | fake-pictures 2 2 40 40 | cb-train $SMALL -o qa 2>err
cb-score -m qa -p r.jsonl <2.cb >out 2>err
is "$? $(wc -c <out) $(grep -c 'the model is not one of retrieval' err)" '1 0 1'     'a model that answers questions'

cb-score -m lse -p r.jsonl -t x <2.cb >out 2>err
is "$? $(head -n 1 err)" '2 cb-score: --pairs has the texts already, --text cannot add any' \
    'texts of two kinds'
cb-score -m lse -p none.jsonl <2.cb >out 2>err
is "$? $(wc -c <out)" '1 0' 'no such file'; like err 'none.jsonl' '... is named'
echo '{"caption": 3, "clip_name": "v"}' >bad.jsonl
cb-score -m lse -p bad.jsonl <2.cb >out 2>err
is "$? $(cat err)" '1 cb-score: bad.jsonl:1: key "caption" is not a text' 'a wrong line'
