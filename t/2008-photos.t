#!/bin/bash
# Photographs of rare kinds equal those of Pillow, byte for byte.
. "$(dirname "$0")/lib.sh"
photos "$T/data/photos.txt"
