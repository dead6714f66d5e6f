#!/bin/bash
# The vocabulary builder against its definition, on words full of overlaps.
. "$(dirname "$0")/lib.sh"; plan 3
python3 - >words <<'EOT'
import random
r = random.Random(3003)
for _ in range(80):
    print(*["".join(r.choice("aaabbc") for _ in range(r.randrange(1, 12)))
            for _ in range(8)])
EOT
for args in '400 2' '600 1' '60 30'; do
	set -- $args
	python3 "$T/slow-vocab.py" words "$1" "$2" >want
	cb-vocab -s "$1" -m "$2" words >got
	same got want "size $1, pairs of $2: $(wc -l <want) tokens"
done
