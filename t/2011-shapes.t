#!/bin/sh
# Pictures and draws of cb-shapes.
exec "${CB_BUILD:-$(dirname "$0")/../build}/t/shapes"
