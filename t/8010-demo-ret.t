#!/bin/bash
# pipelines/demo-ret.mk from made videos to recalls, a few steps long.
. "$(dirname "$0")/lib.sh"; plan 11

ret() { make -s -f "$TOP/pipelines/demo-ret.mk" BIN="$BUILD/bin" "$@" >out 2>err; }
small() { ret OUT=o VIDEOS=8 HELD_OUT=6 NEGATIVES=3 CONFIG=c.json "$@"; }
jq '.num_train_epochs = 2 | .max_img_size = 64 | .inference_n_clips = 2 |
    .train_batch_size = 4 | .init_stats = 8 | .model_config.num_hidden_layers = 1' \
    "$TOP/pipelines/demo-ret.json" >c.json

small; is $? 0 'from nothing to recalls'
diag <err
is "$(jq -c '[.texts, .media, .pairs, .missing]' o/metrics.json)" '[6,6,36,0]' \
    'all pairs of held-out videos'
is "$(jq -c '.scores | length' o/scores.jsonl | sort | uniq -c | tr -s ' ')" \
    ' 6 6' 'a line of scores for each'
is "$(jq -r .caption o/data/held-out.jsonl | sort -u | wc -l)" 6 \
    'no two captions are alike'
like out '^text2video  R@1 ' 'the recalls are printed'
before=$(stat -c %Y.%i o/metrics.json o/run/ckpt/*)
small; is "$(stat -c %Y.%i o/metrics.json o/run/ckpt/*)" "$before" \
    'nothing is done twice'
ret help; is $? 0 'it explains itself'
small compare; is $? 0 'and beside it one that is not pretrained'
is "$(grep -c '^text2video  R@1 ' out)" 2 'both are printed'
is "$(for r in o o/alone; do jq -s 'map(.step) | max' $r/run/log.jsonl; done | uniq |
    wc -l) $(grep -c 'tensors taken' err)" '1 0' \
    'after as many steps, without those weights'
mkdir bin; cp "$BUILD"/bin/cb-* bin; rm o/scores.jsonl
printf '#!/bin/sh\necho half; exit 3\n' >bin/cb-score
small BIN="$PWD/bin"
is "$? $(ls o/scores.jsonl 2>/dev/null)" '2 ' \
    'a filter that fails fails it and leaves no half file'
