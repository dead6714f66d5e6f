#!/bin/sh
# The backward passes of the twins against finite differences of the forward ones.
BUILD=${CB_BUILD:-$(dirname "$0")/../build}
exec "$BUILD/t/engine-gradient" ref
