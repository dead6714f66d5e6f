#!/bin/bash
# pipelines/vqa.mk from annotations and pictures to accuracies, on pictures of
# one colour each; and what it says when something is missing.
. "$(dirname "$0")/lib.sh"
plan 20

mkdir -p data/images
python3 - <<'PY'
import json, struct, zlib
def png(path, rgb, w=40, h=30):
    def chunk(kind, data):
        return (struct.pack('>I', len(data)) + kind + data +
                struct.pack('>I', zlib.crc32(kind + data)))
    row = b'\0' + bytes(rgb) * w
    open(path, 'wb').write(b'\x89PNG\r\n\x1a\n' +
        chunk(b'IHDR', struct.pack('>IIBBBBB', w, h, 8, 2, 0, 0, 0)) +
        chunk(b'IDAT', zlib.compress(row * h)) + chunk(b'IEND', b''))
colours = dict(red=(220, 30, 20), green=(30, 200, 40), blue=(20, 40, 230))
n = 0
for split, count in ('train', 24), ('val', 6):
    with open(f'data/{split}.jsonl', 'w') as f:
        for i in range(count):
            name, rgb = list(colours.items())[i % 3]
            png(f'data/images/{split}{i}.png', [max(0, min(255, c + 3 * i - 30)) for c in rgb])
            for q, a, t in (('what colour is it?', name, 'other'),
                            ('is it red?', 'yes' if name == 'red' else 'no', 'yes/no')):
                n += 1
                f.write(json.dumps(dict(question_id=n, image_id=f'{split}{i}',
                    question=q, labels={a: 1.0}, answer_type=t)) + '\n')
json.dump({a: i for i, a in enumerate(['red', 'green', 'blue', 'yes', 'no'])},
          open('data/ans2label.json', 'w'))
json.dump(dict(task='vqa', loss_type='bce', max_img_size=64, train_batch_size=3,
    max_n_example_per_group=2, num_train_epochs=60, learning_rate=3e-4,
    cnn_learning_rate=3e-4, init_stats=16, dropout=0, seed=1, model_config=dict(
    hidden_size=64, num_hidden_layers=1, num_attention_heads=4,
    intermediate_size=64, vocab_size=0, initializer_range=0.05, max_position_embeddings=20,
    max_grid_row_position_embeddings=4, max_grid_col_position_embeddings=4,
    stem_out_channels=8, width_per_group=4, res2_out_channels=16,
    blocks_per_stage=[1, 1, 1, 1], freeze_at=0)), open('small.json', 'w'))
PY

vqa() { make -s -f "$TOP/pipelines/vqa.mk" BIN="$BUILD/bin" "$@" >out 2>err; }

vqa DATA=data CONFIG=small.json OUT=o; is $? 0 'from annotations to accuracies'
diag <err
is "$(jq -r '.overall_acc > 0.9' o/metrics.json)" true 'it has learnt the colours'
is "$(jq -r '[."other_acc", ."yes/no_acc"] | map(type) | unique[]' o/metrics.json)" \
    number 'a figure for each type'
is "$(wc -l <o/predictions.jsonl)" 12 'a prediction for each question'
like out '^overall_acc ' 'the figures are printed'
before=$(stat -c %Y.%i o/metrics.json o/run/ckpt/*)
vqa DATA=data CONFIG=small.json OUT=o
is "$(stat -c %Y.%i o/metrics.json o/run/ckpt/*)" "$before" 'nothing is done twice'
mkdir again && cp -r data small.json again
(cd again && vqa DATA=data CONFIG=small.json OUT=o TRAIN_FLAGS='-j 1')
same o/run/ckpt/*_480* again/o/run/ckpt/*_480* 'the same command gives the same bytes, on one thread too'

# Questions of another set about the same pictures, some to be sent to a server,
# and the pictures in an LMDB from the start.
mkdir more; cp data/*.json* more; cp -r o/images.lmdb more
jq -c '.question = "which colour is there?" | .question_id += 1000' \
    data/train.jsonl | head -n 12 >more/vg.jsonl
jq -c 'del(.labels)' data/val.jsonl >more/test.jsonl
vqa DATA=more CONFIG=small.json OUT=m TRAIN_FLAGS='--steps 2'
is $? 0 'two sets of questions, an LMDB'
diag <err
is "$(jq -c '[type, length, (.[0] | keys), (map(.answer | type) | unique)]' \
    m/submission.json)" '["array",12,["answer","question_id"],["string"]]' \
    'a file for the server'
is "$(jq -c '[.[].question_id]' m/submission.json)" \
    "$(jq -sc 'map(.question_id)' more/test.jsonl)" 'of every question'
vqa help; is $? 0 'it explains itself'
like out 'ans2label.json' '... and the layout of DATA'
vqa; is $? 2 'DATA is needed'
like err 'DATA is not given' '... and asked for'
vqa DATA=nowhere; is $? 2 'a folder that is not there'
like err 'nowhere/train.jsonl is missing' '... is named'

# A filter that fails fails the make, and leaves nothing half made.
cp -r data bad; echo '{"question_id": 1, "image_id"' >>bad/val.jsonl
vqa DATA=bad CONFIG=small.json OUT=o2 TRAIN_FLAGS='--steps 2'
is $? 2 'a line that is not JSON fails the make'
like err 'bad/val.jsonl:13: not JSON' '... and is named with file and line'
[ -e o2/predictions.jsonl ]; is $? 1 '... no half-made predictions stay'
[ -e o2/metrics.json ]; is $? 1 '... and no metrics'
