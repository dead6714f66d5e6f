#!/bin/bash
# A real full disk, where we may mount one; 6030 limits the file size instead.
. "$(dirname "$0")/lib.sh"
mkdir small
mount -t tmpfs -o size=96k none small 2>/dev/null || skip_all 'may not mount'
trap 'cd /; umount "$DIR/small"; rm -rf "$DIR"' EXIT
cd small && "$BUILD/t/restore" small-disk
