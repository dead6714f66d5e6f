#!/bin/sh
exec "${CB_BUILD:-$(dirname "$0")/../build}/t/fuzz-feed" 6000
