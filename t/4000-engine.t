#!/bin/sh
# The CPU engine against the plain C twins, and with other numbers of threads.
BUILD=${CB_BUILD:-$(dirname "$0")/../build}
exec "$BUILD/t/engine" cpu
