#!/bin/bash
# cb-import: names of all makers, what is refused, what is printed.
. "$(dirname "$0")/lib.sh"
plan 38
python3 "$T/import-files.py" . || exit 1
tab=$(printf '\t')

# becomes FILE NAME OURS: in the lines of the last run
becomes() { like lines "^renamed$tab$1$tab$2\$" "$1"; }

cb-import -o bert.st bert.pt >lines 2>err; is $? 0 'BERT'
is "$(tail -n 1 err)" \
    "cb-import: bert.st: 5 tensors, 3 left out, $(grep -c ^missing lines) missing" \
    'counted'
becomes bert.embeddings.LayerNorm.gamma \
    transformer.bert.embeddings.LayerNorm.weight
becomes cls.predictions.bias transformer.cls.predictions.bias
like lines "^unexpected${tab}classifier.bias${tab}not a weight" 'a foreign head'
like lines "^left out${tab}cls.predictions.decoder.weight${tab}a copy" 'a copy'
like lines "^left out${tab}bert.embeddings.position_ids$tab" 'position_ids'
like lines "^missing${tab}transformer.bert.encoder.layer.11.output.dense.bias\$" \
    'what a full-size BERT has and this file has not'
is "$(grep -cE "^missing${tab}(cnn|transformer.(cls|classifier|bert.visual))" lines)" 0 \
    'but not what no BERT has'

cb-import -o clip.st clipbert.pt >lines 2>err; is $? 0 'ClipBERT'
becomes module.transformer.classifier.0.bias transformer.classifier.0.bias
becomes module.transformer.cls.predictions.decoder.bias \
    transformer.cls.predictions.decoder.bias
like lines "^left out${tab}module.cnn.feature.roi_heads.x$tab" 'the detector'
cb-import -o again.st clip.st >lines 2>err; is $? 0 'what it wrote, again'
is "$(grep -v ^missing lines | cut -f1 | sort | uniq -c | tr -s ' ')" ' 3 taken' \
    'is taken as it is'
same clip.st again.st 'and is the same file'

cb-import -o d2.st d2.pth >lines 2>err; is $? 0 'detectron2'
becomes backbone.res2.0.conv1.norm.running_mean \
    cnn.feature.backbone.res2.0.conv1.norm.running_mean
cb-import -o c2.st caffe2.pkl >lines 2>err; is $? 0 'Caffe2 names'
cnn=cnn.feature.backbone
is "$(cb-import -l c2.st | cut -f1 | tr '\n' ' ')" "$cnn.stem.conv1.weight \
$cnn.stem.conv1.norm.weight $cnn.stem.conv1.norm.bias \
$cnn.res2.0.shortcut.weight $cnn.res2.0.shortcut.norm.bias \
$cnn.res4.5.conv1.weight $cnn.res5.2.conv3.norm.weight " 'every part of them'
cb-import -o tv.st torchvision.pth >lines 2>err; is $? 0 'torchvision'
like err 'its stride is in the 3x3' 'its stride is told'
becomes layer1.0.downsample.1.bias $cnn.res2.0.shortcut.norm.bias
cb-import -o author.st author.pkl >lines 2>err
like err 'its stride is in the 3x3' 'and of one under the names of detectron2'
stem() { cb-dump $1 | jq -c 'select(.name == "cnn.feature.backbone.stem.conv1.weight")'; }
is "$(stem author.st)" "$(stem tv.st)" '... whose first convolution is turned too'

cb-import -o flat.st flat.pt >lines 2>err
cb-import -o nested.st nested.pt >lines 2>err
same flat.st nested.st 'weights deep inside, beside other containers'

cb-import -o both.st bert.pt torchvision.pth >lines 2>err
is "$?$(tail -n 1 err | sed 's/, [0-9]* missing//')" \
    '0cb-import: both.st: 8 tensors, 5 left out' 'two files'
cb-import -o twice.st bert.pt bert.pt >lines 2>err; is $? 1 'one file twice'
like err 'twice.st: transformer.* twice$' 'is refused by name'
[ ! -e twice.st ] && [ ! -e twice.st.new ]; ok $? 'and leaves nothing'

cb-import -l zip.pt >lines; is "$(sed -n 4p lines)" \
    "part${tab}F32${tab}[2, 3]" 'a list'

# refused MESSAGE FILE ...: each ends with 1 and this one line
refused()
{
	local want=$1 bad=0 f; shift
	for f; do
		cb-import -o out.st "$f" >lines 2>err
		[ $? -eq 1 ] && [ ! -e out.st ] &&
		    [ "$(cat err)" = "cb-import: $f: $want" ] && continue
		bad=1; diag <err
	done
	ok $bad "refused: $want"
}
refused 'wants os.system: refused' evil.pkl evil.pt inst.pkl
refused 'wants posix.system: refused' evil4.pkl
refused 'wants numpy.dtype O8: refused' object-array.pkl
refused 'wants neg: refused' negated.pt
refused 'x: goes beyond its storage of 8 bytes' beyond.pt stride.pt
refused 'a compressed zip archive: not written by PyTorch' packed.pt
bad=0
for f in complex.pkl deep.pkl huge.pt laughs.pkl lost.pt made.pkl memo.pkl \
    object.pkl self.pkl text.pt zero.pkl zip.pt; do
	timeout 20 cb-import -o out.st $f >lines 2>err
	if [ $? -ne 1 ] || [ "$(wc -l <err)" -ne 1 ] ||
	    ! grep -q "^cb-import: $f: " err; then
		bad=1; diag <err
	fi
done
ok $bad 'whatever else is wrong: one line, status 1'
