#!/bin/bash
# pipelines/demo.mk, very small: from nothing to metrics, the same every time,
# and a filter that fails fails it all.
. "$(dirname "$0")/lib.sh"
plan 15
jq '.num_train_epochs = 1 | .train_batch_size = 4 | .max_img_size = 64 |
    .init_stats = 8 | .model_config.hidden_size = 32 |
    .model_config.intermediate_size = 64 | .model_config.num_hidden_layers = 1 |
    .model_config.width_per_group = 4 | .model_config.stem_out_channels = 4 |
    .model_config.res2_out_channels = 8' "$TOP/pipelines/demo.json" >tiny.json
demo() { make -s -f "$TOP/pipelines/demo.mk" BIN="$BUILD/bin" OUT=out \
    CONFIG="$DIR/tiny.json" VIDEOS=16 HELD_OUT=30 "$@"; }

mkdir a b c; cd a || exit 1
demo >log 2>err; is $? 0 'the demo ends well'
like log '^accuracy ' 'says how good it is'
like log '^chance ' 'and how good chance is'
is "$(jq '[.accuracy, .chance, .seconds, .types.colour.accuracy] |
    map(type) | unique[]' out/metrics.json)" '"number"' 'metrics.json'
is "$(jq '.questions' out/metrics.json)" "$(wc -l <out/data/val.jsonl)" \
    'all questions count'
is "$(jq -r .question out/asked.json)" 'what colour is the circle?' \
    'a question was asked'
sed 's/build/../' out/asked.txt >again.sh; bash again.sh >again.json
same again.json out/asked.json 'the command that it shows gives that answer'
touch before; demo >log2 2>&1; is $? 0 'once more'
is "$(find out -newer before | wc -l)" 0 'has nothing left to do'

cd ../b; demo >log 2>err; is $? 0 'in another place'
cp ../a/out/run/ckpt/*.safetensors a.st; cp out/run/ckpt/*.safetensors b.st
same a.st b.st 'the same checkpoint'
cd ../a
stream() { cb-list -e 2 -s 5 out/data/train.jsonl | cb-sample | cb-decode |
    cb-tokenize | cb-batch -b 4 --shift 2 --brightness 0.1; }
stream >1.cb && stream >2.cb; same 1.cb 2.cb 'the same bytes of stream'
is $(($(wc -c <1.cb) > 1000000)) 1 'many of them'

cd ../c; mkdir bin; cp "$BUILD"/bin/cb-* bin
printf '#!/bin/sh\ncat >/dev/null; exit 3\n' >bin/cb-tokenize
demo BIN="$PWD/bin" >log 2>err; is $? 2 'a filter that fails fails the make'
is "$(ls out)" "$(printf 'data\nseconds.data')" 'and nothing is half made'
