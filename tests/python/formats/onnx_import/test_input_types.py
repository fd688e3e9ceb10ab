"""The element types of inputs: what is read, and what is refused with what to do about it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from smidgen.errors import InvalidModelError
from tests.python.formats.onnx_import.models import (
    model,
    node,
    read_model,
    rng_array,
    run_graph,
    run_onnxruntime,
)


def test_a_mask_of_truth_values_is_an_input(tmp_path: Path) -> None:
    inputs = {"x": rng_array((3, 4)), "mask": np.arange(12).reshape(3, 4) % 3 == 0}
    made = model([node("Where", ["mask", "x", "low"], ["y"])], inputs, {"low": np.float32(-7)})
    (expected,) = run_onnxruntime(made, inputs)

    exported = read_model(made, tmp_path)
    (found,) = run_graph(exported, list(inputs.values()))

    assert [spec.dtype for spec in exported.inputs] == ["float32", "bool"]
    assert (expected == -7).sum() == 8
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("dtype", "name"), [("i4", "INT32"), ("f2", "FLOAT16"), ("f8", "DOUBLE"), ("u1", "UINT8")]
)
def test_the_type_of_an_input_that_is_refused_is_named(
    dtype: str, name: str, tmp_path: Path
) -> None:
    made = model([node("Cast", ["x"], ["y"], to=1)], {"x": np.zeros((2, 4), dtype)})
    with pytest.raises(InvalidModelError) as caught:
        read_model(made, tmp_path)
    assert caught.value.reason == "ONNX_UNSUPPORTED_TYPE"
    assert f"the input 'x' is of {name}, expected a tensor of FLOAT, INT64 or BOOL. " in str(
        caught.value
    )
