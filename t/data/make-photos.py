#!/usr/bin/env python3
# make-photos.py DIR >photos.txt: what Pillow 9.4 makes of the files that
# `build/t/photos - DIR` has written, by convert("RGB").
import hashlib, os, sys, warnings
from PIL import Image, ImageOps

warnings.simplefilter("ignore")
print("# Pillow", Image.__version__)
for name in sorted(os.listdir(sys.argv[1])):
    try:
        image = Image.open(os.path.join(sys.argv[1], name))
        image.load()
        turned = ImageOps.exif_transpose(image).convert("RGB")
        print(name, *(hashlib.sha256(i.tobytes()).hexdigest()
                      for i in (image.convert("RGB"), turned)))
    except Exception:
        print(name, "-")
