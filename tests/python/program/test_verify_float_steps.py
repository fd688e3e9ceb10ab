"""Programs that break a rule of a float step are refused, and the message says which."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from smidgen.errors import ProgramError
from smidgen.program import (
    Binary,
    Compare,
    Concat,
    ConstantTensor,
    DType,
    DynamicLinear,
    Embedding,
    Expand,
    Gather,
    LayerNorm,
    MatMul,
    Pad,
    Program,
    Reduce,
    Slice,
    Softmax,
    Step,
    TensorInfo,
    Transpose,
    Unary,
    Where,
    verify,
)
from smidgen.program.shapes import broadcast_shape, sliced_extent
from tests.python.program.float_programs import float_step_program
from tests.python.program.small_programs import with_constant, with_step, with_tensor

BROKEN: dict[str, tuple[type[Step], dict[str, Any], str]] = {
    "unknown-function": (Unary, {"function": "explode"}, "function is 'explode'"),
    "missing-parameter": (Unary, {"function": "elu"}, "elu has 0 parameters, expected 1"),
    "nan-parameter": (
        Unary,
        {"function": "elu", "parameters": (float("nan"),)},
        "expected a finite float32",
    ),
    "double-parameter": (Unary, {"function": "elu", "parameters": (0.1,)}, "a float32 value"),
    "clamp": (Unary, {"function": "clamp", "parameters": (1.0, 0.0)}, "clamps to"),
    "not-of-floats": (Unary, {"function": "not"}, "expected bool"),
    "and-of-floats": (Binary, {"function": "and"}, "and writes float32, expected bool"),
    "operand-type": (Binary, {"lhs": "mask"}, "mask is int64, expected float32"),
    "comparison": (Compare, {"function": "is"}, "function is 'is'"),
    "comparison-types": (Compare, {"rhs": "words"}, "words is float32, expected int64"),
    "where-condition": (Where, {"condition": "mask"}, "mask is int64, expected bool"),
    "reduction": (Reduce, {"function": "product"}, "function is 'product'"),
    "no-axes": (Reduce, {"axes": ()}, "reduces no axis"),
    "axes": (Reduce, {"axes": (2, 1)}, "expected ascending ones"),
    "axis": (Reduce, {"axes": (3,)}, "an axis is 3, expected 0 to 2"),
    "argmax-type": (Reduce, {"function": "argmax"}, "mean is float32, expected int64"),
    "softmax-axis": (Softmax, {"axis": 3}, "axis is 3"),
    "weight-length": (LayerNorm, {"weight": "e.s"}, r"expected float32 \[8\]"),
    "epsilon": (LayerNorm, {"epsilon": -1.0}, "expected at least 0"),
    "matmul": (MatMul, {"transpose_rhs": False}, "multiplies"),
    "table-type": (Embedding, {"table": "p"}, "expected int8"),
    "linear-scales": (DynamicLinear, {"weight": "e.w"}, "expected float32"),
    "permutation": (Transpose, {"permutation": (0, 1, 1)}, "each of 0 to 2 once"),
    "empty-slice": (Slice, {"start": 5, "stop": 5}, "is empty"),
    "slice-stride": (Slice, {"stride": 0}, "stride is 0"),
    "pads": (Pad, {"pads": ((0, 0), (0, 0))}, "pads 2 axes of 3"),
    "negative-pad": (Pad, {"pads": ((0, 0), (0, 0), (-1, 1))}, "pads are"),
    "expand": (Expand, {"shape": (0, 6, 5)}, "cannot be"),
    "concat-axis": (Concat, {"axis": 3}, "axis is 3"),
    "concat-extents": (Concat, {"axis": 2}, "joins"),
    "gather-axis": (Gather, {"axis": 3}, "axis is 3"),
    "constant-type": (ConstantTensor, {"value": "k"}, "expected float32"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_step_is_refused(name: str) -> None:
    kind, changes, message = BROKEN[name]
    program = float_step_program()
    index = next(i for i, step in enumerate(program.steps) if isinstance(step, kind))
    with pytest.raises(ProgramError, match=message):
        verify(with_step(program, index, **changes))


def refused(program: Program, message: str) -> None:
    with pytest.raises(ProgramError, match=message):
        verify(program)


def test_tensors_without_scales_have_none() -> None:
    refused(with_tensor(float_step_program(), "ids", scale=1.0), "int64 tensor ids has a scale")
    refused(with_tensor(float_step_program(), "rows", zero_point=1), "bool tensor rows has a scale")


def test_accumulators_of_rows_with_scales_of_their_own_stay_within_int32() -> None:
    def one_layer(features: int) -> Program:
        tensors = (
            TensorInfo("x", DType.FLOAT32, (1, features)),
            TensorInfo("y", DType.FLOAT32, (1, 1)),
        )
        return Program(
            ("x",),
            ("y",),
            {tensor.name: tensor for tensor in tensors},
            (DynamicLinear("x", "y", "w", "s", "b"),),
            {
                "w": np.full((1, features), 127, np.int8),
                "s": np.ones(1, np.float32),
                "b": np.zeros(1, np.float32),
            },
        )

    verify(one_layer(66_311))
    refused(one_layer(66_312), "accumulators reach 2147514120")


def test_a_bool_of_another_byte_is_refused() -> None:
    values = np.array([0, 2], np.uint8).view(np.bool_)
    refused(with_constant(float_step_program(), "spare", values), "neither 0 nor 1")


def test_broadcast_shapes() -> None:
    assert broadcast_shape((None, 1, 5), (4, 1)) == (None, 4, 5)
    assert broadcast_shape((None,), (3,)) == (3,)
    with pytest.raises(ProgramError, match="cannot be broadcast"):
        broadcast_shape((2, 3), (2, 4))


def test_sliced_extents() -> None:
    assert sliced_extent(10, -3, 2**31 - 1, 2) == 2
    assert sliced_extent(None, 0, 1, 1) is None
