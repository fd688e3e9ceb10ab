"""The shapes and types that a file states of its outputs are those that they have."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from onnx import ModelProto, TensorProto, helper

from smidgen.errors import InvalidModelError
from tests.python.formats.onnx_import.models import model, node, read_model, rng_array

ATTRIBUTES = {"Cast": {"to": TensorProto.INT64}}


def _of_type(operators: list[str], element_type: int) -> ModelProto:
    """Makes a model of operators one after the other, whose output is stated to be of a type."""
    values = ["x", *(f"v{index}" for index in range(1, len(operators))), "y"]
    nodes = [
        node(operator, [values[index]], [values[index + 1]], **ATTRIBUTES.get(operator, {}))
        for index, operator in enumerate(operators)
    ]
    made = model(nodes, {"x": rng_array((2, 3, 4))})
    made.graph.output[0].type.tensor_type.elem_type = element_type
    return made


@pytest.mark.parametrize(
    ("operators", "element_type"),
    [
        (["Relu"], TensorProto.FLOAT),
        (["Relu"], TensorProto.FLOAT16),  # computed in float32, as a Cast to it is
        (["Relu"], TensorProto.UNDEFINED),
        (["Cast"], TensorProto.INT64),
        (["Cast"], TensorProto.INT32),
        (["IsNaN"], TensorProto.BOOL),
    ],
)
def test_the_stated_type_of_an_output_is_accepted(
    operators: list[str], element_type: int, tmp_path: Path
) -> None:
    assert len(read_model(_of_type(operators, element_type), tmp_path).outputs) == 1


@pytest.mark.parametrize(
    ("operators", "element_type", "told"),
    [
        (["Relu"], TensorProto.INT64, "of INT64, but is float32."),
        (["Relu"], TensorProto.BOOL, "of BOOL, but is float32."),
        (["Relu"], TensorProto.UINT8, "of UINT8, but is float32."),
        (["Relu"], TensorProto.STRING, "of STRING, but is float32."),
        (["Cast"], TensorProto.FLOAT, "of FLOAT, but is int64."),
        (["IsNaN"], TensorProto.FLOAT, "of FLOAT, but is bool."),
    ],
)
def test_another_type_of_an_output_is_refused_with_both(
    operators: list[str], element_type: int, told: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidModelError) as caught:
        read_model(_of_type(operators, element_type), tmp_path)
    assert caught.value.reason == "ONNX_TYPE_MISMATCH"
    assert f"the output 'y' is stated to be {told}" in caught.value.message


def _stating(shape: Sequence[int | str | None] | None, *, is_dynamic: bool = True) -> ModelProto:
    """Makes a model whose output is [batch, 3, 4], and is stated to be another shape."""
    made = model([node("Relu", ["x"], ["y"])], {"x": rng_array((2, 3, 4))}, is_dynamic=is_dynamic)
    made.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.FLOAT, shape))
    return made


@pytest.mark.parametrize(
    "shape", [None, ("batch", 3, 4), (None, None, None), ("n", "k", 4), (2, 3, 4), (1, 3, 4)]
)
def test_what_an_output_may_be_is_accepted(
    shape: Sequence[int | str | None] | None, tmp_path: Path
) -> None:
    assert read_model(_stating(shape), tmp_path).outputs[0].shape == (None, 3, 4)


@pytest.mark.parametrize(
    ("shape", "shown"),
    [
        (("batch", 3, 5), "[?, 3, 5]"),
        (("batch", 3), "[?, 3]"),
        (("batch", 3, 4, 1), "[?, 3, 4, 1]"),
        ((2, None, 0), "[2, ?, 0]"),
        (("batch", 3, -1), "[?, 3, -1]"),
        ((), "[]"),
        ((7,) * 20, "[" + "7, " * 16 + "...]"),
    ],
)
def test_another_shape_of_an_output_is_refused_with_both(
    shape: Sequence[int | str | None], shown: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidModelError) as caught:
        read_model(_stating(shape), tmp_path)
    assert caught.value.reason == "ONNX_SHAPE_MISMATCH"
    assert f"the output 'y' is stated to be {shown}, but is [?, 3, 4]." in caught.value.message


def test_another_number_of_samples_is_refused_where_it_is_fixed(tmp_path: Path) -> None:
    assert read_model(_stating((2, 3, 4), is_dynamic=False), tmp_path).outputs
    with pytest.raises(InvalidModelError, match=r"stated to be \[5, 3, 4\], but is \[2, 3, 4\]"):
        read_model(_stating((5, 3, 4), is_dynamic=False), tmp_path)
