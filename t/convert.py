#!/usr/bin/env python3
"""Weights in safetensors as others would have written them.
usage: convert.py NAMES FORMAT A B

NAMES: same; clipbert: with "module." and all that ClipBERT's files have
besides; torchvision: a ResNet's.  FORMAT: zip, legacy (PyTorch) or numpy (a
pickle, in "model").  Made by t/import-files.py, without PyTorch."""
import importlib.machinery
import importlib.util
import json
import os
import re
import struct
import sys
from collections import OrderedDict

here = os.path.dirname(os.path.abspath(__file__))
loader = importlib.machinery.SourceFileLoader(
    "files", os.path.join(here, "import-files.py"))
files = importlib.util.module_from_spec(
    importlib.util.spec_from_loader("files", loader))
loader.exec_module(files)


def load(path):
    with open(path, "rb") as f:
        n = struct.unpack("<Q", f.read(8))[0]
        head = json.loads(f.read(n))
        data = f.read()
    head.pop("__metadata__", None)
    return OrderedDict((k, (v["dtype"], v["shape"],
                            data[slice(*v["data_offsets"])]))
                       for k, v in head.items())


def torchvision(name):
    """cnn.feature.backbone.res2.0.conv1.norm.bias: layer1.0.bn1.bias"""
    name = name.replace("cnn.feature.", "").replace("backbone.", "")
    name = name.replace("stem.conv1.norm", "bn1").replace("stem.", "")
    name = re.sub(r"^res(\d)", lambda m: "layer%d" % (int(m[1]) - 1), name)
    name = re.sub(r"conv(\d)\.norm", r"bn\1", name)
    return name.replace("shortcut.norm", "downsample.1").replace(
        "shortcut", "downsample.0")


def named(how, tensors):
    if how == "same":
        return tensors
    if how == "torchvision":
        return OrderedDict((torchvision(k), v) for k, v in tensors.items())
    more = OrderedDict(("module." + k, v) for k, v in tensors.items())
    one = ("F32", [1], struct.pack("<f", 1))
    more["module.transformer.bert.embeddings.position_ids"] = one
    more["module.cnn.feature.roi_heads.res5.0.conv1.weight"] = one
    more["module.cnn.feature.proposal_generator.anchor"] = one
    return more


def main(how, form, source, to):
    codes = {"F32": "f", "I64": "q"}
    tensors, storages = OrderedDict(), []
    for i, (name, (dtype, shape, data)) in enumerate(
            named(how, load(source)).items()):
        if form == "numpy":
            tensors[name] = files.array("<f4", tuple(shape), data)
            continue
        code = codes[dtype]
        n = len(data) // struct.calcsize(code)
        storages.append(files.Storage(str(i), code,
                                      struct.unpack("<%d%s" % (n, code), data)))
        stride = [1] * len(shape)
        for k in range(len(shape) - 2, -1, -1):
            stride[k] = stride[k + 1] * shape[k + 1]
        tensors[name] = files.tensor(storages[-1], tuple(shape), tuple(stride))
    if form == "zip":
        files.write_zip(to, tensors, storages)
    elif form == "legacy":
        files.write_legacy(to, tensors, storages)
    else:
        files.write(to, files.dump({"model": dict(tensors),
                                    "__author__": "Caffe2"}))


main(*sys.argv[1:])
