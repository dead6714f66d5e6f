#!/usr/bin/env python3
"""Files for the tests of cb-import, without PyTorch: pickles written by
Python's own pickle with modules that only have PyTorch's and numpy's names.
usage: import-files.py DIRECTORY"""
import os
import pickle
import struct
import sys
import types
import zipfile
from collections import OrderedDict, defaultdict

out = sys.argv[1] if __name__ == "__main__" else ""


def module(name, **names):
    m = sys.modules.setdefault(name, types.ModuleType(name))
    for k, v in names.items():
        if isinstance(v, (type, types.FunctionType)):
            v.__module__, v.__qualname__, v.__name__ = name, k, k
        setattr(m, k, v)
    return m


class Call:
    """What pickles as a call of a function; a state as what BUILD gives it."""
    def __init__(self, f, *args, state=None):
        self.how = (f, args) if state is None else (f, args, state)

    def __reduce__(self):
        return self.how


def function():
    return lambda *args: None


STORAGES = {"f": "FloatStorage", "d": "DoubleStorage", "e": "HalfStorage",
            "q": "LongStorage", "i": "IntStorage", "h": "ShortStorage",
            "b": "CharStorage", "B": "ByteStorage", "?": "BoolStorage",
            "H": "BFloat16Storage"}
module("torch", **{v: type(v, (), {}) for v in STORAGES.values()})
module("torch._utils", _rebuild_tensor_v2=function(),
       _rebuild_parameter=function(),
       _rebuild_parameter_with_state=function())
module("numpy", ndarray=type("ndarray", (), {}), dtype=function())
module("numpy.core")
module("numpy.core.multiarray", _reconstruct=function(), scalar=function())


class Storage:
    def __init__(self, key, code, values):
        self.key, self.code, self.values = key, code, values

    def id(self):
        return ("storage", getattr(sys.modules["torch"], STORAGES[self.code]),
                self.key, "cpu", len(self.values))

    def data(self, order="<"):
        return struct.pack("%s%d%s" % (order, len(self.values), self.code),
                           *self.values)


class Pickler(pickle._Pickler):
    def persistent_id(self, x):
        return x.id() if isinstance(x, Storage) else None


def tensor(storage, size, stride, offset=0, parameter=False, marks=()):
    u = sys.modules["torch._utils"]
    t = Call(u._rebuild_tensor_v2, storage, offset, size, stride, False,
             OrderedDict(), *marks)
    return Call(u._rebuild_parameter, t, True, OrderedDict()) if parameter \
        else t


def dump(x, protocol=2):
    import io
    f = io.BytesIO()
    Pickler(f, protocol).dump(x)
    return f.getvalue()


class Zip64:
    """An archive whose sizes and places are all in 64 bits, as if it were
    larger than 4 GB; what zipfile writes only when it is."""
    def __init__(self, path):
        self.f, self.directory, self.n = open(path, "wb"), b"", 0

    def __enter__(self):
        return self

    def writestr(self, name, data):
        at, name = self.f.tell(), name.encode()
        self.f.write(struct.pack("<IHHHHHIIIHH", 0x04034b50, 45, 0, 0, 0, 0, 0,
                                 len(data), len(data), len(name), 3) +
                     name + b"pad" + data)
        extra = struct.pack("<HHHHQQQ", 7, 0, 1, 24, len(data), len(data), at)
        self.directory += struct.pack(
            "<IHHHHHHIIIHHHHHII", 0x02014b50, 45, 45, 0, 0, 0, 0, 0, 2**32 - 1,
            2**32 - 1, len(name), len(extra), 0, 0, 0, 0, 2**32 - 1) + \
            name + extra
        self.n += 1

    def __exit__(self, *how):
        at = self.f.tell()
        self.f.write(self.directory)
        end = self.f.tell()
        self.f.write(struct.pack("<IQHHIIQQQQ", 0x06064b50, 44, 45, 45, 0, 0,
                                 self.n, self.n, end - at, at))
        self.f.write(struct.pack("<IIQI", 0x07064b50, 0, end, 1))
        self.f.write(struct.pack("<IHHHHIIH", 0x06054b50, 0, 0, 2**16 - 1,
                                 2**16 - 1, 2**32 - 1, 2**32 - 1, 0))
        self.f.close()


def write_zip(name, x, storages, order="<", method=zipfile.ZIP_STORED,
              zip64=False):
    path = os.path.join(out, name)
    with Zip64(path) if zip64 else zipfile.ZipFile(path, "w", method) as z:
        def put(entry, data):
            z.writestr("archive/" + entry, data)
        put("data.pkl", dump(x))
        put("byteorder", b"little" if order == "<" else b"big")
        for s in storages:
            put("data/" + s.key, s.data(order))
        put("version", b"3\n")


def write_legacy(name, x, storages):
    with open(os.path.join(out, name), "wb") as f:
        for v in 0x1950a86a20f9469cfc6c, 1001, {
                "protocol_version": 1001, "little_endian": True,
                "type_sizes": {"short": 2, "int": 4, "long": 4}}:
            f.write(pickle.dumps(v, 2))
        f.write(dump(x))
        f.write(pickle.dumps(sorted(s.key for s in storages), 2))
        for s in sorted(storages, key=lambda s: s.key):
            f.write(struct.pack("<q", len(s.values)) + s.data())


def array(code, shape, data, fortran=False):
    np, ma = sys.modules["numpy"], sys.modules["numpy.core.multiarray"]
    order = code[0]
    dtype = Call(np.dtype, code[1:], False, True,
                 state=(3, order, None, None, None, -1, -1, 0))
    return Call(ma._reconstruct, np.ndarray, (0,), b"b",
                state=(1, shape, dtype, fortran, data))


def write(name, data):
    with open(os.path.join(out, name), "wb") as f:
        f.write(data)


def all_types():
    """Every element type, views that share a storage, odd strides."""
    s = {c: Storage(str(i), c, v) for i, (c, v) in enumerate([
        ("f", [i / 4 for i in range(24)]), ("d", [0.1, -2.0]),
        ("e", [1.5, -0.25]), ("q", [-7]), ("i", [1, -2]),
        ("h", [300, -300]), ("b", [-128, 127]), ("B", [0, 255]),
        ("?", [True, False]), ("H", [0x3fc0, 0xbf80])])}
    m = OrderedDict()
    m["whole"] = tensor(s["f"], (24,), (1,))
    m["matrix"] = tensor(s["f"], (4, 6), (6, 1))
    m["turned"] = tensor(s["f"], (6, 4), (1, 6))
    m["part"] = tensor(s["f"], (2, 3), (6, 1), 8)
    m["expanded"] = tensor(s["f"], (2, 3), (0, 1), 1)
    m["parameter"] = tensor(s["f"], (1, 2), (2, 1), 22, True)
    m["empty"] = tensor(s["f"], (0, 3), (3, 1))
    for c, name in [("d", "double"), ("e", "half"), ("i", "int"),
                    ("h", "short"), ("b", "char"), ("B", "byte"),
                    ("?", "bool"), ("H", "bfloat")]:
        m[name] = tensor(s[c], (2,), (1,))
    m["long"] = tensor(s["q"], (), ())
    return m, list(s.values())


def small(names):
    """A tensor of 2 numbers for each name."""
    s = [Storage(str(i), "f", [i, i + .5]) for i in range(len(names))]
    return OrderedDict((n, tensor(x, (2,), (1,)))
                       for n, x in zip(names, s)), s


def main():
    m, s = all_types()
    write_zip("zip.pt", m, s)
    write_zip("zip64.pt", m, s, zip64=True)
    write_zip("big.pt", m, s, ">")
    write_zip("packed.pt", m, s, method=zipfile.ZIP_DEFLATED)
    write_legacy("legacy.pt", m, s)
    state = {"epoch": 3, "lr": 1e-3, "big": 1 << 80, "neg": -5, "none": None,
             "ok": True, "set": {1, 2}, "list": [1, "x", (2,)],
             "optimizer": {"state": {0: {"exp_avg": m["whole"]}}},
             "model_state_dict": m}
    write_zip("ckpt.pt", state, s)

    write("numpy.pkl", dump({"__author__": "nobody", "model": {
        "c": array("<f4", (2, 3), struct.pack("<6f", *range(6))),
        "fortran": array("<f4", (2, 3), struct.pack("<6f", *range(6)), True),
        "swapped": array(">i8", (2,), struct.pack(">2q", 1, -2)),
        "latin": array("|u1", (3,), bytes([0, 128, 255])),
        "none": array("<f8", (0,), b""),
    }, "matching_heuristics": True}))
    # As Python 2 wrote it: the data is a str, protocol 2.
    write("python2.pkl", b"\x80\x02}U\x01aq\x01cnumpy.core.multiarray\n"
          b"_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01K\x02\x85"
          b"cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff"
          b"\xffJ\xff\xff\xff\xffK\x00tb\x89U\x08" +
          struct.pack("<2f", 1.5, -2) + b"tbs.")

    for name, names in {
            "bert.pt": ["bert.embeddings.word_embeddings.weight",
                        "bert.embeddings.position_ids",
                        "bert.embeddings.LayerNorm.gamma",
                        "bert.embeddings.LayerNorm.beta",
                        "bert.encoder.layer.0.output.dense.bias",
                        "cls.predictions.bias",
                        "cls.predictions.decoder.weight", "classifier.bias"],
            "clipbert.pt": [
                "module.cnn.feature.backbone.stem.conv1.norm.bias",
                "module.cnn.feature.roi_heads.x",
                "module.transformer.cls.predictions.decoder.bias",
                "module.transformer.classifier.0.bias"],
            "d2.pth": ["backbone.res2.0.conv1.norm.running_mean",
                       "proposal_generator.anchor", "backbone.res5.2.x"],
            }.items():
        m, s = small(names)
        write_zip(name, {"model": m}, s)
    m, s = small(["bert." + n for n in (
        "embeddings.word_embeddings.weight", "pooler.dense.weight",
        "pooler.dense.bias")])
    write_zip("flat.pt", m, s)
    u = sys.modules["torch._utils"]
    m["bert.pooler.dense.bias"] = Call(
        u._rebuild_parameter_with_state, m["bert.pooler.dense.bias"], True,
        OrderedDict(), {"note": 1})
    write_zip("nested.pt", {"epoch": 1, "log": defaultdict(list, a=[1]),
                            "state_dict": {"model": m}}, s)
    write("caffe2.pkl", dump({n: array("<f4", (2,), struct.pack("<2f", i, 1))
                              for i, n in enumerate([
        "conv1_w", "res_conv1_bn_s", "res_conv1_bn_b", "res2_0_branch1_w",
        "res2_0_branch1_bn_b", "res4_5_branch2a_w", "res5_2_branch2c_bn_s",
        "fc1000_w", "res2_0_branch2d_w"])}))
    rgb = struct.pack("<24f", *range(24))
    write("author.pkl", dump({"__author__": "torchvision", "model": {
        "stem.conv1.weight": array("<f4", (2, 3, 2, 2), rgb)}}))
    stem = Storage("0", "f", [float(i) for i in range(2 * 3 * 4)])
    one = Storage("1", "f", [1.0])
    write_legacy("torchvision.pth", OrderedDict([
        ("conv1.weight", tensor(stem, (2, 3, 2, 2), (12, 4, 2, 1))),
        ("bn1.num_batches_tracked", tensor(one, (1,), (1,))),
        ("layer1.0.conv1.weight", tensor(one, (1,), (1,))),
        ("layer1.0.downsample.1.bias", tensor(one, (1,), (1,))),
        ("fc.weight", tensor(one, (1,), (1,)))]), [stem, one])

    # What has to be refused.
    write("evil.pkl", b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00id\x85R.")
    write("evil4.pkl", b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x02id"
          b"\x85R.")
    with zipfile.ZipFile(os.path.join(out, "evil.pt"), "w") as z:
        z.writestr("archive/data.pkl", b"\x80\x02cos\nsystem\nX\x02\x00\x00"
                   b"\x00id\x85R.")
    write("inst.pkl", b"\x80\x02(ios\nsystem\n.")
    write("object.pkl", b"\x80\x02ccopy_reg\n_reconstructor\n.")
    one = Storage("0", "f", [1.0, 2.0])
    write_zip("beyond.pt", {"x": tensor(one, (3,), (1,))}, [one])
    write_zip("stride.pt", {"x": tensor(one, (3,), (2 ** 62,))}, [one])
    write_zip("huge.pt", {"x": tensor(one, (2 ** 40,), (0,))}, [one])
    write_zip("negated.pt", {"x": tensor(one, (2,), (1,), marks=[
        {"neg": True}])}, [one])
    write("complex.pkl", dump({"x": array("<c16", (1,), bytes(16))}))
    write("made.pkl", b"\x80\x02cbuiltins\nlist\n)R.")
    write_zip("lost.pt", {"x": tensor(one, (2,), (1,))}, [])
    write("object-array.pkl", dump({"x": array("|O8", (1,), b"")}))
    deep = x = []
    for i in range(100):
        x.append([])
        x = x[0]
    x.append(array("<f4", (1,), b"1234"))
    write("deep.pkl", dump({"x": deep}))
    laughs = b"\x80\x02]q\x00"
    for i in range(12):
        laughs += b"](" + b"h" + bytes([i])
        laughs += (b"h" + bytes([i])) * 9 + b"eq" + bytes([i + 1])
    write("laughs.pkl", laughs + b".")
    write("self.pkl", b"\x80\x02]q\x00h\x00a.")
    write("memo.pkl", b"\x80\x02Nr\xff\xff\xff\x7f.")
    write("zero.pkl", b"(dp0\n.")
    write("text.pt", b"hello world, this is no file of weights")


if __name__ == "__main__":
    main()
