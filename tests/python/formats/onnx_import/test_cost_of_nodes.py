"""What is the same for many nodes is not worked out for each: counted, for a clock would waver."""

from __future__ import annotations

import cProfile
import pstats
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from smidgen.errors import InvalidModelError
from smidgen.formats.onnx_import import read_onnx

# NumPy puts the name of an element type together by a dozen calls; there are three element types.
MOST_NAMES = 8


def _slices(count: int, path: Path) -> None:
    """Writes y = x + row 0 of a table [count, 8] of which every row is cut out."""
    tensors = [numpy_helper.from_array(np.arange(8 * count, dtype="<f4").reshape(count, 8), "w")]
    nodes = []
    for row in range(count):
        bounds = [f"from{row}", f"to{row}"]
        tensors += [numpy_helper.from_array(np.array([row + at]), bounds[at]) for at in (0, 1)]
        nodes.append(helper.make_node("Slice", ["w", *bounds], [f"row{row}"], f"slice{row}"))
    nodes.append(helper.make_node("Add", ["x", "row1"], ["y"]))
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 8]) for name in ("x", "y")
    )
    graph = helper.make_graph(nodes, "slices", [x], [y], tensors)
    opsets = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    path.write_bytes(model.SerializeToString())


def test_a_node_of_more_operands_than_a_model_has_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "concat.onnx"
    value = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 4]) for name in ("x", "y")
    ]
    nodes = [helper.make_node("Concat", ["x"] * 65_537, ["y"], "wide", axis=1)]
    graph = helper.make_graph(nodes, "concat", value[:1], value[1:])
    opsets = [helper.make_opsetid("", 17)]
    path.write_bytes(
        helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    )
    with pytest.raises(InvalidModelError, match="'wide' has more than 65536 operands") as caught:
        read_onnx(path)
    assert caught.value.reason == "ONNX_TOO_LARGE"


def test_names_of_types_are_not_made_for_each_slice_of_a_constant(tmp_path: Path) -> None:
    path, count = tmp_path / "slices.onnx", 512
    _slices(count, path)
    read_onnx(path)  # what is cached is not counted
    profile = cProfile.Profile()
    model = profile.runcall(read_onnx, path)
    assert [type(node.operation).__name__ for node in model.nodes] == ["Constant", "Add"]
    (row,) = model.weights.values()
    np.testing.assert_array_equal(row, np.arange(8, 16, dtype=np.float32)[None])
    calls = {name: entry[1] for (_, _, name), entry in pstats.Stats(profile).stats.items()}  # type: ignore[attr-defined]
    assert calls["slice_"] == count
    assert calls.get("_name_get", 0) <= MOST_NAMES
    assert calls.get("_field_kinds", 0) <= MOST_NAMES
