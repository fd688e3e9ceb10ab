"""Every ONNX operator, with any operands and attributes, is read or refused for a reason."""

from __future__ import annotations

import random
import tracemalloc
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from smidgen.errors import InvalidModelError, UnsupportedOperatorError
from smidgen.formats.onnx_import import read_onnx
from smidgen.formats.onnx_import.rules import RULES

NODES = 40
SPARE_BYTES = 96 << 20
INPUTS = [
    ["N", 4, 8, 8], ["N", 4, 16], ["N", 8], ["N", 1 << 20], [2, 3], [4], ["N", (1 << 31) - 1],
]  # fmt: skip
SHAPES = [(), (1,), (2,), (4,), (8,), (0,), (2, 3), (4, 4), (4, 1, 1), (4, 4, 3, 3)]
NUMBERS = [0, 1, 2, 3, 4, -1, -2, 8, 1 << 12, 1 << 20, (1 << 31) - 1, 1 << 40, -(1 << 62)]
REALS = [0.0, 1.0, 0.5, -1.0, 2.0, 1e-30, 3e38, float("inf"), float("nan")]
TEXTS = ["NOTSET", "SAME_UPPER", "VALID", "constant", "reflect", "nearest", "linear", "CRD", "é"]
INTEGERS = (
    "axis", "axes", "keepdims", "group", "kernel_shape", "strides", "pads", "dilations", "perm",
    "output_padding", "ceil_mode", "count_include_pad", "blocksize", "to", "allowzero", "start",
    "end", "num_outputs", "num_groups", "transA", "transB", "value_int", "value_ints", "split",
    "select_last_index", "noop_with_empty_axes", "training_mode", "output_shape", "antialias",
)  # fmt: skip
FLOATS = ("alpha", "beta", "gamma", "epsilon", "momentum", "value_float", "value_floats")
STRINGS = (
    "auto_pad", "mode", "coordinate_transformation_mode", "nearest_mode", "approximate",
)  # fmt: skip


def attribute(chance: random.Random) -> tuple[str, Any]:
    kind = chance.randrange(8)
    if kind == 0:
        return chance.choice(STRINGS), chance.choice(TEXTS)
    if kind == 1:
        return chance.choice(FLOATS), chance.choice([chance.choice(REALS), REALS[:3]])
    if kind == 2:
        array = np.array([chance.choice(NUMBERS)], np.int64)
        return "value", numpy_helper.from_array(array)
    numbers = [chance.choice(NUMBERS) for _ in range(chance.choice([1, 2, 2, 4, 4]))]
    return chance.choice(INTEGERS), chance.choice([numbers, numbers[0]])


def constant(chance: random.Random, name: str) -> TensorProto:
    shape = chance.choice(SHAPES)
    dtype = chance.choice([np.float32, np.int64, np.int64, np.bool_, np.int8, np.float64])
    numbers = np.array([chance.choice(NUMBERS) for _ in range(8)])
    with np.errstate(all="ignore"):
        return numpy_helper.from_array(np.resize(numbers, shape).astype(dtype), name)


def model(chance: random.Random, operator: str) -> bytes:
    inputs = [
        helper.make_tensor_value_info(
            f"x{index}", chance.choice([TensorProto.FLOAT] * 3 + [TensorProto.INT64]), shape
        )
        for index, shape in enumerate(chance.sample(INPUTS, 3))
    ]
    constants = [constant(chance, f"c{index}") for index in range(4)]
    shaped = helper.make_node("Shape", ["x0"], ["extents"])
    names = ["x0", "x0", "x1", "x2", *(tensor.name for tensor in constants), "extents", ""]
    operands = [chance.choice(names) for _ in range(chance.randrange(6))]
    attributes = dict(attribute(chance) for _ in range(chance.randrange(6)))
    outputs = [f"y{index}" for index in range(chance.choice([1, 1, 1, 2, 3]))]
    node = helper.make_node(operator, operands, outputs, **attributes)
    graph = helper.make_graph(
        [shaped, node],
        "g",
        inputs,
        [helper.make_tensor_value_info("y0", TensorProto.FLOAT, None)],
        constants,
    )
    opset = helper.make_opsetid("", chance.choice([13, 17, 18, 21]))
    return helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString()


@pytest.mark.parametrize("operator", RULES)
def test_a_node_is_read_or_refused(operator: str, tmp_path: Path) -> None:
    chance = random.Random(zlib.crc32(operator.encode()))
    path = tmp_path / "m.onnx"
    tracemalloc.start()
    try:
        for _ in range(NODES):
            path.write_bytes(model(chance, operator))
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            with suppress(InvalidModelError, UnsupportedOperatorError):
                read_onnx(path)
            assert tracemalloc.get_traced_memory()[1] - before <= SPARE_BYTES
    finally:
        tracemalloc.stop()
