#!/bin/bash
# The pipelines of videos on the real set: a few steps of a tiny model from
# annotations to figures, from a folder and from an LMDB; the settings that they
# come with; and what they say of files that are missing.
. "$(dirname "$0")/lib.sh"
[ -e "$SHARED/media/annotations" ] || skip_all 'no media'
A=$SHARED/media/annotations V=$SHARED/media/videos
ret='msrvtt-ret didemo-ret anet-ret' open='msrvtt-qa tgif-frameqa'
choice='tgif-action tgif-transition'
plan 86

cat >tiny.json <<'X'
{"max_img_size": 64, "max_txt_len": 16, "train_batch_size": 4,
 "val_batch_size": 8, "max_n_example_per_group": 1, "num_train_epochs": 1,
 "num_frm": 2, "fps": 2, "train_n_clips": 2, "inference_n_clips": 2,
 "init_stats": 4, "min_valid_steps": 1, "num_valid": 1,
 "model_config": {"hidden_size": 16, "num_hidden_layers": 1,
 "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 0,
 "max_position_embeddings": 16, "max_grid_row_position_embeddings": 4,
 "max_grid_col_position_embeddings": 4, "stem_out_channels": 4,
 "width_per_group": 4, "res2_out_channels": 8, "blocks_per_stage": [1, 1, 1, 1],
 "freeze_at": 0}}
X
pipe() { # PIPELINE ...
	local p=$1; shift
	make -s -f "$TOP/pipelines/$p.mk" BIN="$BUILD/bin" "$@" >out 2>err
}

# the smaller videos, of which the last of each file are held out
mkdir few
find "$V" -type f -size -300k -exec ln -s -t few {} +
ls few | sed 's/\.[^.]*$//' | jq -R . | jq -sc . >ids
# set NAME KEY FILE [jq]: train.jsonl and val.jsonl of a task
set_up()
{
	mkdir "$1"; ln -s ../few "$1/videos"
	jq -c --slurpfile ids ids --arg key "$2" "${4:-.}"' |
	    select(.[$key] as $i | $ids[0] | index($i))' "$A/$3" >"$1/all"
	sed -n '7,18p' "$1/all" >"$1/train.jsonl"
	head -n 6 "$1/all" >"$1/val.jsonl"
}
set_up ret clip_name retrieval.jsonl
set_up msrvtt-qa video_id videoqa_open.jsonl
set_up tgif-frameqa gif_name videoqa_frameqa.jsonl
for t in action transition; do
	set_up tgif-$t gif_name videoqa_mc.jsonl "select(.task == \"$t\")"
	cp tgif-$t/all tgif-$t/train.jsonl
done
set_up tgif-count gif_name videoqa_frameqa.jsonl '.answer = .question_id % 9 + 1'
set_up own video_id videoqa_open.jsonl
for p in msrvtt-qa tgif-frameqa own; do
	cp "$A/videoqa_ans2label.json" $p/ans2label.json
done
set_up mc clip_name caption_mc.jsonl; mv mc/all mc/test.jsonl
cb-pack videos.lmdb few/ 2>err; diag <err

# tried PIPELINE DATA FIGURES: jq of the figures in metrics.json gives true
tried()
{
	jq --arg t "$(jq -r '.task // ""' "$TOP/pipelines/$1.json")" --arg l "$4" \
	    '.task = $t | .score_agg_func = $l' tiny.json >$1.json
	pipe $1 DATA=$2 CONFIG=$1.json OUT=o/$1
	is $? 0 "$1: from annotations to figures"
	diag <err
	is "$(jq -c "$3" o/$1/metrics.json)" true 'which are there'
	is "$(jq -s 'map(select(.valid or .valid_error)) | length > 0 and
	    all(.valid)' o/$1/run/log.jsonl)" true 'it was validated'
	[ -s out ]; ok $? 'they are printed'
	before=$(stat -c %Y.%i o/$1/metrics.json o/$1/run/ckpt/*)
	pipe $1 DATA=$2 CONFIG=$1.json OUT=o/$1
	is "$(stat -c %Y.%i o/$1/metrics.json o/$1/run/ckpt/*)" "$before" \
	    'nothing is done twice'
}
for p in $ret; do
	tried $p ret '.pairs == .texts * .media and (.text2video.r1 | type) ==
	    "number"' lse
done
for p in $open; do
	tried $p $p '.overall_acc >= 0 and .questions == 6' lse
done
for p in $choice; do tried $p $p '.overall_acc >= 0 and .questions > 0' mean; done
tried tgif-count tgif-count '.mse >= 0 and .questions == 6' mean
tried own own '.overall_acc >= 0' mean

pipe msrvtt-mc DATA=mc MODEL=o/msrvtt-ret/run OUT=o/mc CLIPS=2
is $? 0 'msrvtt-mc: with the retrieval model'
diag <err
is "$(jq '.questions' o/mc/metrics.json)" "$(wc -l <mc/test.jsonl)" 'every one'

# an LMDB in place of the folder
weights() { cb-dump "$1"/run/ckpt/* | tail -n +2; }
for p in msrvtt-qa msrvtt-ret; do
	d=$p; [ $p = msrvtt-ret ] && d=ret
	mkdir l.$p; cp $d/*.jsonl* $d/ans2label.json l.$p 2>/dev/null
	cp -r videos.lmdb l.$p
	pipe $p DATA=l.$p CONFIG=$p.json OUT=o/l.$p; is $? 0 "$p: with an LMDB"
	cmp -s <(weights o/$p) <(weights o/l.$p); ok $? 'the same weights'
done

pipe msrvtt-qa DATA=msrvtt-qa FLAVOUR=papers
like err 'FLAVOUR is repo or paper, not papers' 'another flavour'
mkdir some; for p in bash make jq; do ln -s "$(command -v $p)" some; done
env PATH="$PWD/some" make -s -f "$TOP/pipelines/own.mk" BIN="$PWD/none" DATA=own \
    2>err >out
like err 'there are no programs in .*/none: make in .* builds them' 'not built yet'

# a medium that is not there is named before anything is learnt from the others
mkdir gone; cp msrvtt-qa/*.json* gone; ln -s ../few gone/videos
sed -i '3s/"video_id":"[^"]*"/"video_id":"nobody"/' gone/train.jsonl
pipe msrvtt-qa DATA=gone CONFIG=msrvtt-qa.json OUT=o/gone
is "$? $(ls o/gone)" '2 ' 'a medium that is missing fails it at once'
is "$(cat err | head -n 2 | paste -sd' ')" "cb-check: missing: nobody: no medium \
of this name in gone/videos cb-check: 1 fault" 'and is named'

# a filter that fails
mkdir bin; cp "$BUILD"/bin/cb-* bin; rm o/msrvtt-qa/predictions.jsonl
printf '#!/bin/sh\necho half; exit 3\n' >bin/cb-score
pipe msrvtt-qa DATA=msrvtt-qa CONFIG=msrvtt-qa.json OUT=o/msrvtt-qa BIN="$PWD/bin"
is "$? $(ls o/msrvtt-qa/predictions.jsonl 2>/dev/null)" '2 ' \
    'a filter that fails fails it and leaves no half file'

for p in $ret $open $choice tgif-count own msrvtt-mc; do
	pipe $p help; like out 'DATA holds' "$p explains itself"
	pipe $p DATA=nowhere MODEL=o
	like err 'nowhere/.*jsonl is missing: .*help' 'what is missing is named'
	pipe $p; like err "DATA is not given: make -f .*pipelines/$p.mk help" \
	    'and so is DATA'
done
