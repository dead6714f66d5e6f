#!/bin/sh
# The same for the CPU engine.
BUILD=${CB_BUILD:-$(dirname "$0")/../build}
exec "$BUILD/t/engine-gradient" cpu
