#!/bin/bash
# Manual pages: clean, and with the sections that every one has.
. "$(dirname "$0")/lib.sh"
pages=$(cd "$TOP/man" && ls)
plan $((2 * $(echo "$pages" | wc -l)))
for p in $pages; do
	mandoc -Tlint -Wwarning "$TOP/man/$p" >lint 2>&1; s=$?
	[ $s -eq 0 ] || diag <lint
	ok $s "$p is clean mdoc"
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
