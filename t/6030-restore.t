#!/bin/bash
. "$(dirname "$0")/lib.sh"
"$BUILD/t/restore"
