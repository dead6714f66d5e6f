#!/bin/bash
# base, from C and through the options of every program that is built.
. "$(dirname "$0")/lib.sh"
programs=$(cd "$TOP/filters" && ls *.c | sed 's/\.c$//')
n=$(echo "$programs" | wc -l)
plan $((4 * n + 1))
base 2>base.err >base.out; s=$?
[ "1..$(grep -c ^ok base.out)" = "$(head -n 1 base.out)" ] || s=1
grep '^not ok' base.out base.err | diag
ok $s "base: $(grep -c '^ok' base.out) checks in C"
for p in $programs; do
	$p -h >help 2>err </dev/null; s=$?
	[ $s -eq 0 ] && [ ! -s err ] && grep -q "^usage: $p" help &&
	    grep -qE -- '-V, --version' help
	ok $? "$p -h prints the usage on stdout"
	$p --version >out 2>err </dev/null; s=$?
	[ $s -eq 0 ] && grep -qE "^$p [0-9]" out
	ok $? "$p --version"
	$p --no-such-option >out 2>err </dev/null; s=$?
	[ $s -eq 2 ] && [ ! -s out ] && [ "$(wc -l <err)" -eq 2 ] &&
	    grep -q "^$p: .*no such option" err && grep -q '^usage:' err
	ok $? "$p: a wrong option is status 2, one line and the usage"
	mandoc -Tascii "$TOP/man/$p.1" 2>err | sed 's/.'$'\b''//g' >man
	for o in $(grep -oE -- '--[a-z-]+ ' help | sort -u); do
		grep -qE -- "(^|[^a-z-])$o([^a-z-]|\$)" man ||
		    echo "$p(1) does not tell of $o"
	done >missing
	[ -s man ] && [ ! -s missing ]; s=$?
	[ $s -eq 0 ] || cat err missing | diag
	ok $s "$p(1) describes every option of -h"
done
