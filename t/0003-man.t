#!/bin/bash
# Manual pages have the sections that every one has; t/7900-man.t has the rest.
. "$(dirname "$0")/lib.sh"
pages=$(cd "$TOP/man" && ls)
plan $(echo "$pages" | wc -l)
for p in $pages; do
	want="NAME DESCRIPTION SEE"
	case $p in *.1)
		want="$want SYNOPSIS EXIT EXAMPLES DIAGNOSTICS CAVEATS";;
	esac
	for w in $want; do
		grep -q "^\.Sh $w" "$TOP/man/$p" || echo "no $w in $p"
	done >missing
	[ ! -s missing ]; s=$?
	[ $s -eq 0 ] || diag <missing
	ok $s "$p has its sections"
done
