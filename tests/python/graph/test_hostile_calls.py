"""Calls whose arguments ask for more than a model needs, or for nothing that exists."""

from __future__ import annotations

import time
import tracemalloc
from typing import Any

import numpy as np
import pytest

from smidgen.graph.arguments import (
    ArgumentError,
    Constant,
    TypeNumber,
    UnsupportedCase,
    Value,
    Weight,
)
from smidgen.graph.assembly import Assembly, Origin
from smidgen.graph.operator_table import PREFIX, find_operator
from smidgen.graph.shapes import ShapeError

HUGE = (1 << 31) - 1
SPARE_BYTES = 64 << 20
MOST_SECONDS = 5

# Stands for a value of this shape that is computed from the inputs.
Shape = list[int | None]


def constant(*shape: int, dtype: str = "float32") -> Constant:
    return Constant(np.ones(shape, dtype))


def indices(*numbers: int) -> Constant:
    return Constant(np.array(numbers, np.int64))


def weight(*shape: int) -> Weight:
    array = np.ones(shape, np.float32)
    return Weight("w", "float32", array.shape, array=array)


MANY = Constant(np.zeros(1 << 17, np.int64))
IMAGE: Shape = [None, 4, 8, 8]
SIGNAL: Shape = [None, 4, 16]
CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "uneven pool to many places": (
        "adaptive_avg_pool2d.default", {"self": IMAGE, "output_size": (HUGE, 3)}),
    "uneven pool of a signal to many places": (
        "adaptive_avg_pool1d.default", {"self": SIGNAL, "output_size": (HUGE,)}),
    "running sum of a long axis": ("cumsum.default", {"self": [None, 1 << 20], "dim": -1}),
    "replication of the edge": (
        "pad.default", {"self": IMAGE, "pad": (0, HUGE), "mode": "replicate"}),
    "circular padding": ("pad.default", {"self": IMAGE, "pad": (HUGE, 0), "mode": "circular"}),
    "padding beyond int64": (
        "pad.default", {"self": IMAGE, "pad": (1 << 62, 1 << 62), "mode": "replicate"}),
    "selection of a constant many times": (
        "index_select.default", {"self": constant(1 << 17, 64), "dim": 0, "index": MANY}),
    "outer selection": (
        "index.Tensor",
        {"self": constant(4, 4), "indices": (Constant(MANY.array[:, None]), MANY)}),
    "gather of nothing": (
        "gather.default", {"self": constant(0, 4), "dim": 0, "index": indices(0)}),
    "gather by more axes": (
        "gather.default", {"self": Constant(np.arange(4.0, dtype=np.float32)), "dim": 0,
                           "index": constant(2, 2, dtype="int64")}),
    "power of other shapes": (
        "pow.Tensor_Tensor", {"self": constant(2), "exponent": constant(3)}),
    "power of many pairs": (
        "pow.Tensor_Tensor",
        {"self": constant(1 << 13, 1), "exponent": constant(1, 1 << 13)}),
    "negative power of integers": (
        "pow.Tensor_Tensor", {"self": indices(2), "exponent": indices(-1)}),
    "weight norm of other lengths": (
        "_weight_norm.default", {"v": weight(4, 3), "g": Weight(
            "g", "float32", (5, 1), array=np.ones((5, 1), np.float32)), "dim": 0}),
    "weight norm to a larger weight": (
        "_weight_norm.default", {"v": weight(1, 3), "g": Weight(
            "g", "float32", (4, 1), array=np.ones((4, 1), np.float32)), "dim": 0}),
    "rotation of a missing axis": (
        "roll.default", {"self": constant(4), "shifts": (1,), "dims": (3,)}),
    "windows of many places": (
        "im2col.default",
        {"self": IMAGE, "kernel_size": (1 << 20, 1 << 20), "dilation": (1, 1),
         "padding": (1 << 20, 1 << 20), "stride": (1, 1)}),
    "windows without a stride": (
        "im2col.default",
        {"self": IMAGE, "kernel_size": (2, 2), "dilation": (1, 1), "padding": (0, 0),
         "stride": (0, 1)}),
    "repetition by nothing": ("repeat.default", {"self": [None, 1, 4], "repeats": (1, 0, 1)}),
    "negative repetition": ("repeat.default", {"self": constant(1, 4), "repeats": (-5, 1)}),
    "negative expansion": ("expand.default", {"self": constant(1, 4), "size": (-5, 4)}),
    "negative filling": ("full.default", {"size": (-2, -3), "fill_value": 1}),
    "two negative extents": ("view.default", {"self": constant(2, 3), "size": (-2, -3)}),
    "enlargement of a constant": (
        "upsample_bilinear2d.vec",
        {"input": constant(1, 1, 8, 8), "output_size": (1 << 20, 1 << 20),
         "align_corners": False, "scale_factors": None}),
    "enlargement of nothing": (
        "upsample_bilinear2d.vec",
        {"input": constant(1, 1, 0, 8), "output_size": (2, 2), "align_corners": True,
         "scale_factors": None}),
    "negation of truth values": ("neg.default", {"self": constant(2, dtype="bool")}),
    "difference of truth values": (
        "sub.Tensor",
        {"self": constant(2, dtype="bool"), "other": constant(2, dtype="bool")}),
    "matrix product of vectors": (
        "mm.default", {"self": constant(4), "mat2": weight(4, 2)}),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_a_hostile_call_is_refused_at_once(name: str) -> None:
    target, stated = CALLS[name]
    operator = find_operator(PREFIX + target)
    assert operator is not None
    assembly = Assembly([value for value in stated.values() if isinstance(value, Weight)])
    arguments: dict[str, Value] = {
        key: assembly.new_activation(tuple(value), "float32") if isinstance(value, list) else value
        for key, value in stated.items()
    }
    tracemalloc.start()
    start = time.process_time()
    try:
        with pytest.raises((ArgumentError, ShapeError, UnsupportedCase)) as refusal:
            assembly.apply(Origin("call"), operator.call(arguments, assembly))
        seconds = time.process_time() - start
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert str(refusal.value)
    assert peak <= SPARE_BYTES
    assert seconds <= MOST_SECONDS


def test_a_rotation_of_a_long_axis_takes_no_list_of_its_elements() -> None:
    assembly = Assembly([])
    value = assembly.new_activation((None, HUGE), "float32")
    operator = find_operator(PREFIX + "roll.default")
    assert operator is not None
    tracemalloc.start()
    try:
        lowered = operator.call({"self": value, "shifts": (5,), "dims": (1,)}, assembly)
        (result,) = assembly.apply(Origin("call"), lowered)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert getattr(result, "shape", None) == (None, HUGE)
    assert peak < 1 << 20


def test_a_type_that_the_graph_lacks_is_no_constant() -> None:
    operator = find_operator(PREFIX + "to.dtype")
    assert operator is not None
    with pytest.raises(UnsupportedCase, match="float16"):
        operator.call({"self": constant(2), "dtype": TypeNumber("scalar_type", "float16")})
