#!/bin/bash
# The tokeniser against ids that Hugging Face's library gave; data/README says
# which text that is.
. "$(dirname "$0")/lib.sh"; plan 11
D=$T/data
make_text="python3 $D/make-tokens.py"
zcat "$D/bert-vocab.txt.gz" >vocab.txt

# equal NAME WHAT: all lines of NAME.txt
equal()
{
	zcat "$D/tokens-$1.ids.gz" >want
	tokens vocab.txt "$1.txt" >got; is $? 0 "$1: runs"
	same got want "$1: $(wc -l <want) lines, $2"
}

for name in sample damaged; do
	zcat "$D/tokens-$name.txt.gz" >$name.txt
done
$make_text sweep >sweep.txt
equal sample 'sentences, mixtures, special tokens'
equal damaged 'not UTF-8'
equal sweep 'every code point'

$make_text letters >letters.txt
$make_text letters-vocab >letters-vocab.txt
tokens letters-vocab.txt letters.txt >got; is $? 0 'letters: runs'
$make_text hashes <got >got.hash
zcat "$D/tokens-letters.sha256.gz" >want.hash
same got.hash want.hash 'marks come in canonical order'

head -n 400 sample.txt >short.txt
for n in 2 3 4 5 8 20 64; do tokens -m $n vocab.txt short.txt; done >got
zcat "$D/tokens-cut.ids.gz" >want
same got want 'cut to a length'

printf '\nthe\n\n' >few.txt
is "$(tokens vocab.txt few.txt | tr '\n' /)" '101 102/101 1996 102/101 102/' \
    'an empty line gives [CLS] [SEP]'
printf 'a\rb' >few.txt
is "$(tokens vocab.txt few.txt)" '101 1037 1038 102' \
    'a line without end, a carriage return inside'
