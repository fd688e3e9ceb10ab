"""Attributes and operands that an operator does not take are refused, not passed over."""

from __future__ import annotations

from pathlib import Path

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

X = {"x": rng_array((2, 3))}


@pytest.mark.parametrize(
    ("made", "found"),
    [
        (node("Relu", ["x"], ["y"], alpha=0.5), "it takes no attribute 'alpha' in opset 17"),
        (node("Softmax", ["x"], ["y"], axes=[1]), "it takes no attribute 'axes' in opset 17"),
        (node("Relu", ["x", "x"], ["y"]), "it has 2 operands, expected at most 1"),
        (node("Sub", ["x", "x", "x"], ["y"]), "it has 3 operands, expected at most 2"),
    ],
)
def test_what_an_operator_does_not_take_is_refused(
    made: object, found: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidModelError) as caught:
        read_model(model([made], X), tmp_path)  # type: ignore[list-item]
    assert caught.value.reason == "ONNX_BAD_ATTRIBUTE"
    assert found in caught.value.message


def test_operands_of_lists_are_not_counted(tmp_path: Path) -> None:
    made = model([node("Concat", ["x"] * 9, ["y"], axis=1)], X)
    (expected,) = run_onnxruntime(made, X)
    (found,) = run_graph(read_model(made, tmp_path), list(X.values()))
    assert expected.shape == (2, 27)
    assert (found == expected).all()
