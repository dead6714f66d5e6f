# TAP for shell tests.  Each test runs in a directory of its own, with the
# programs under test on PATH; $T is t/, $SHARED the folder of shared data.
set -u
set -o pipefail
T=$(cd "$(dirname "$0")" && pwd)
TOP=$(dirname "$T")
BUILD=${CB_BUILD:-$TOP/build}
SHARED=${CB_SHARED:-$TOP/../shared}
PATH=$BUILD/bin:$BUILD/t:$PATH
LC_ALL=C.UTF-8
export PATH LC_ALL
DIR=$(mktemp -d "${TMPDIR:-/tmp}/cb-t.XXXXXX")
trap 'rm -rf "$DIR"' EXIT
cd "$DIR" || exit 1
test_n=0

plan() { echo "1..$1"; }
skip_all() { echo "1..0 # SKIP $*"; exit 0; }
diag() { sed 's/^/# /' >&2; }

# ok STATUS NAME: passes where STATUS is 0
ok()
{
	test_n=$((test_n + 1))
	if [ "$1" -eq 0 ]; then echo "ok $test_n - $2"
	else echo "not ok $test_n - $2"; fi
}

# is GOT EXPECTED NAME
is()
{
	[ "$1" = "$2" ]; ok $? "$3"
	[ "$1" = "$2" ] || printf 'got:      %s\nexpected: %s\n' "$1" "$2" | diag
}

# like FILE PATTERN NAME: an extended regular expression found in a file
like()
{
	grep -qE -- "$2" "$1"; local s=$?
	ok $s "$3"
	[ $s -eq 0 ] || { echo "no /$2/ in:"; head -n 20 "$1"; } | diag
}

# same A B NAME: two files are equal byte for byte
same()
{
	cmp "$1" "$2" >cmp.out 2>&1; local s=$?
	ok $s "$3"; [ $s -eq 0 ] || diag <cmp.out
}
