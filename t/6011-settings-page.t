#!/bin/bash
# cb-settings(5) lists every key, with the defaults that the program has.
. "$(dirname "$0")/lib.sh"; plan 3
page=$TOP/man/cb-settings.5
echo '{}' >empty.json
settings empty.json >file.json; settings - >built-in.json
python3 - file.json built-in.json >want <<'P'
import json, sys
a, b = (json.load(open(f)) for f in sys.argv[1:])
def show(v):
    t = "none" if v in ("", []) else v if isinstance(v, str) else json.dumps(v)
    return '"%s"' % t if " " in t else t
def rows(a, b):
    for k in a:
        if isinstance(a[k], dict):
            yield from rows(a[k], b[k])
        elif show(a[k]) == show(b[k]):
            yield f".It Cm {k} Pq {show(a[k])}"
        else:
            yield f".It Cm {k} Pq {show(a[k])} ; {show(b[k])}"
print("\n".join(sorted(rows(a, b))))
P
[ -s want ]; ok $? "$(wc -l <want) keys"
grep '^\.It Cm .* Pq ' "$page" | sort >have
diff want have >out; s=$?; ok $s 'defaults as on the page'; [ $s = 0 ] || diag <out
mandoc -Tlint -Wwarning "$page" "$TOP/man/cb-checkpoint.5" >out 2>&1
is "$(cat out)" '' 'the pages are clean'
