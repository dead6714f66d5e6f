#!/bin/sh
exec "${CB_BUILD:-$(dirname "$0")/../build}/t/fuzz-link" 200
