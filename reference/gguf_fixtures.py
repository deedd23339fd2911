"""Writes `packages/tensor/src/io/__fixtures__/`: GGUF files made by gguf-py, and what gguf-py makes of them.

Run: `python3 reference/gguf_fixtures.py`, with numpy, safetensors and gguf (tried with 0.19.0) installed.

  formats.gguf         one tensor of each number format, and metadata of every scalar type and of arrays. The blocks are
                       bytes, not quantised numbers: their F16 scales are 0, -0, subnormal, the largest, infinite and
                       random; every byte comes up among the packed integers
  formats.safetensors  the same tensors by gguf.quants.dequantize, as float32
  written.gguf         the tensor `values` as F32, F16 and Q8_0 by gguf.quants.quantize: `writeGguf` must write the same
                       bytes

`python3 reference/gguf_fixtures.py digest FILE` prints, for each tensor of a GGUF file, its name, type and shape and
the SHA-256 of its float32 values, all by gguf-py: to compare a real model, or to see that gguf-py reads what
`writeGguf` wrote.
"""

import hashlib
import os
import sys

import gguf
import numpy as np
from safetensors.numpy import save_file

FOLDER = os.path.join(os.path.dirname(__file__), "..", "packages", "tensor", "src", "io", "__fixtures__")
Type = gguf.GGMLQuantizationType
Value = gguf.GGUFValueType
random = np.random.default_rng(20251123)

# 0, -0, the smallest and the largest subnormal, the smallest and the largest normal, 1, infinity.
SCALES = [0x0000, 0x8000, 0x0001, 0x8001, 0x03FF, 0x83FF, 0x0400, 0x7BFF, 0xFBFF, 0x3C00, 0x7C00, 0xFC00]
# Where a block's F16 numbers are, in bytes from its beginning.
HALVES = {
    Type.Q8_0: [0], Type.Q4_0: [0], Type.Q4_1: [0, 2], Type.Q5_0: [0], Type.Q5_1: [0, 2],
    Type.Q4_K: [0, 2], Type.Q5_K: [0, 2], Type.Q6_K: [208],
}


def blocks_of(kind, rows, per_row):
    """Random blocks whose first 256 packed bytes count from 0 to 255 in some order, with the scales above and others."""
    size = gguf.GGML_QUANT_SIZES[kind][1]
    blocks = random.integers(0, 256, (rows * per_row, size), dtype=np.uint8)
    packed = [i for i in range(size) if all(i - at not in (0, 1) for at in HALVES[kind])]
    count = min(len(blocks) * len(packed), 256)
    flat = blocks[:, packed].reshape(-1)
    flat[:count] = random.permutation(256)[:count].astype(np.uint8)
    blocks[:, packed] = flat.reshape(len(blocks), -1)
    scales = random.normal(0, 0.02, (len(blocks), 2)).astype(np.float16).view(np.uint16)
    order = random.permutation(len(blocks))
    for position, scale in enumerate(SCALES):
        if position < len(blocks) - 2:
            scales[order[position], 0] = scale
            scales[order[-1 - position], 1] = scale
    for column, at in enumerate(HALVES[kind]):
        blocks[:, at : at + 2] = scales[:, column : column + 1].view(np.uint8)
    return blocks.reshape(rows, per_row * size)


def add_metadata(writer):
    writer.add_uint8("test.uint8", 255)
    writer.add_int8("test.int8", -128)
    writer.add_uint16("test.uint16", 65535)
    writer.add_int16("test.int16", -32768)
    writer.add_uint32("test.uint32", 2**32 - 1)
    writer.add_int32("test.int32", -(2**31))
    writer.add_uint64("test.uint64", 2**53 - 1)
    writer.add_int64("test.int64", -(2**53 - 1))
    writer.add_float32("test.float32", 1e-5)
    writer.add_float64("test.float64", 1e-5)
    writer.add_bool("test.bool", True)
    writer.add_bool("test.false", False)
    writer.add_string("test.string", "naïve ▁中 🙂 \ufeff\0")
    arrays = dict(
        UINT8=[0, 255], INT8=[-128, 127], UINT16=[65535], INT16=[-32768], UINT32=[2**32 - 1, 1], INT32=[-1, 2],
        UINT64=[2**53 - 1, 0], INT64=[-(2**53 - 1)], FLOAT32=[0.1, -0.0], FLOAT64=[0.1], BOOL=[True, False, True],
        STRING=["", "\ufeff", "a b", "Ġthe", "\n"],
    )  # fmt: skip
    for name, values in arrays.items():
        writer.add_key_value(f"test.{name.lower()}s", values, Value.ARRAY, sub_type=Value[name])


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_formats():
    writer = gguf.GGUFWriter(os.path.join(FOLDER, "formats.gguf"), "test")
    add_metadata(writer)
    shapes = {
        Type.F32: (3, 5), Type.F16: (2, 3, 4), Type.BF16: (24,), Type.Q8_0: (4, 4), Type.Q4_0: (8, 2), Type.Q4_1: (4, 4),
        Type.Q5_0: (2, 8), Type.Q5_1: (16, 1), Type.Q4_K: (3, 2), Type.Q5_K: (6, 1), Type.Q6_K: (2, 3),
    }  # fmt: skip
    expected = {}
    for kind, shape in shapes.items():
        if kind in HALVES:
            data = blocks_of(kind, *shape)
        elif kind == Type.F32:
            data = random.normal(0, 1, shape).astype(np.float32)
            data.flat[:5] = [0.0, -0.0, 1e-45, -np.inf, 3.4e38]
        else:  # 16 bits; the patterns above are numbers in BF16 too
            halves = random.integers(0, 0x7C00, shape, dtype=np.uint16)
            halves.flat[: len(SCALES)] = SCALES
            data = halves.view(np.float16) if kind == Type.F16 else halves.view(np.uint8)
        with np.errstate(invalid="ignore"):
            expected[kind.name] = gguf.quants.dequantize(data, kind)
        writer.add_tensor(kind.name, data, raw_dtype=kind)
    finish(writer)
    save_file(expected, os.path.join(FOLDER, "formats.safetensors"))


def write_written():
    """Values that tie when rounded, blocks of zeros, of one value, of tiny ones, and of some that F16 barely holds."""
    values = random.normal(0, 1, (12, 64)).astype(np.float32)
    values[0, :32] = np.arange(32) - 16.5
    values[0, 31] = 127  # d is 1: halves round away from zero
    values[1] = 0
    values[1, 1] = -0.0
    values[2, :32] = -3
    values[3] *= 1e-6  # d is subnormal in F16
    values[4] *= 1e-30  # d is 0 in F16, its inverse is not infinite
    values[5, 7] = 65504
    values[6, :32] = 2.0**-24 * np.arange(32)  # F16 subnormals
    values[7, :32] = 1 + 2.0**-11 * np.arange(32)  # F16 ties
    values[8] *= 1e-3
    steps = (random.integers(-126, 126, (3, 64)) + 0.5).astype(np.float32)
    steps[:, [0, 32]] = 127
    values[9:] = steps * (np.abs(values[9:, :1]) / 127)  # almost ties: float32's own rounding decides them
    writer = gguf.GGUFWriter(os.path.join(FOLDER, "written.gguf"), "test")
    add_metadata(writer)
    writer.add_tensor("values", values)
    writer.add_tensor("values.F16", gguf.quants.quantize(values, Type.F16), raw_dtype=Type.F16)
    writer.add_tensor("odd", values[:3, :5].copy())  # ends between two multiples of the alignment
    writer.add_tensor("values.Q8_0", gguf.quants.quantize(values, Type.Q8_0), raw_dtype=Type.Q8_0)
    finish(writer)


def digest(file):
    for tensor in gguf.GGUFReader(file).tensors:
        floats = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype("<f4")
        shape = "x".join(str(size) for size in reversed(tensor.shape.tolist()))
        print(tensor.name, tensor.tensor_type.name, shape, hashlib.sha256(floats.tobytes()).hexdigest())


if __name__ == "__main__":
    if sys.argv[1:2] == ["digest"]:
        digest(sys.argv[2])
    else:
        os.makedirs(FOLDER, exist_ok=True)
        write_formats()
        write_written()
