#!/usr/bin/env python3
"""Made torch-*.gz: what import-files.py imitates, by PyTorch 2.15 and numpy 2.4.
usage: make-torch.py (writes here; gzip -9n them)"""
import pickle
from collections import OrderedDict

import numpy as np
import torch

base = torch.arange(24, dtype=torch.float32) / 4
m = OrderedDict()
m["whole"] = base
m["matrix"] = base.view(4, 6)
m["turned"] = base.view(4, 6).t()
m["part"] = base.view(4, 6)[1:3, 2:5]
m["expanded"] = base[1:4].expand(2, 3)
m["parameter"] = torch.nn.Parameter(base[22:].view(1, 2))
m["empty"] = torch.zeros(0, 3)
m["double"] = torch.tensor([0.1, -2], dtype=torch.float64)
m["half"] = torch.tensor([1.5, -0.25]).half()
m["int"] = torch.tensor([1, -2], dtype=torch.int32)
m["short"] = torch.tensor([300, -300], dtype=torch.int16)
m["char"] = torch.tensor([-128, 127], dtype=torch.int8)
m["byte"] = torch.tensor([0, 255], dtype=torch.uint8)
m["bool"] = torch.tensor([True, False])
m["bfloat"] = torch.tensor([1.5, -1]).bfloat16()
m["long"] = torch.tensor(-7)
torch.save(m, "torch-zip.pt")
torch.save(m, "torch-legacy.pt", _use_new_zipfile_serialization=False)

x = np.arange(6, dtype="f4").reshape(2, 3)
for p in 2, 5:
    with open("torch-numpy%d.pkl" % p, "wb") as f:
        pickle.dump({"c": x, "fortran": np.arange(6, dtype="f4").reshape(3, 2).T,
                     "swapped": np.array([1, -2], dtype=">i8"),
                     "latin": np.array([0, 128, 255], dtype="u1"),
                     "none": np.zeros(0)}, f, p)
