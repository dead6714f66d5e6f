#!/bin/bash
. "$(dirname "$0")/lib.sh"
exec "$BUILD/t/model"
