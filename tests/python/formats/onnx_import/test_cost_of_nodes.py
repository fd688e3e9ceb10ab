"""What is the same for many nodes is not worked out for each: counted, for a clock would waver."""

from __future__ import annotations

import cProfile
import pstats
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from smidgen.errors import InvalidModelError
from smidgen.formats.limits import Limits
from smidgen.formats.onnx_import import read_onnx
from smidgen.formats.onnx_import.document import parse_document
from smidgen.graph.arguments import ArgumentError
from smidgen.graph.axis_numbers import distinct_axes

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


def _chain(count: int, path: Path) -> None:
    """Writes a model that transposes its input many times, one after the other."""
    nodes = [
        helper.make_node("Transpose", [f"v{at}"], [f"v{at + 1}"], perm=[0, 2, 1])
        for at in range(count)
    ]
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 4, 4])
        for name in ("v0", f"v{count}")
    )
    graph = helper.make_graph(nodes, "chain", [x], [y])
    opsets = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    path.write_bytes(model.SerializeToString())


def _calls(path: Path) -> int:
    """Returns how many functions are called to read a file."""
    profile = cProfile.Profile()
    profile.runcall(read_onnx, path)
    return int(pstats.Stats(profile).total_calls)  # type: ignore[attr-defined]


def test_the_last_of_many_nodes_takes_as_long_as_the_first(tmp_path: Path) -> None:
    few, many = tmp_path / "few.onnx", tmp_path / "many.onnx"
    _chain(100, few)
    _chain(400, many)
    read_onnx(few)  # what is cached is not counted
    once = _calls(few)
    assert (_calls(many) - once) / 300 <= once / 100 * 1.05


def test_a_permutation_is_read_no_further_than_its_first_wrong_axis() -> None:
    class Counted(tuple[int, ...]):
        read = 0

        def __iter__(self) -> Iterator[int]:
            for item in super().__iter__():
                Counted.read += 1
                yield item

    with pytest.raises(ArgumentError, match="uses axis 4 of 4"):
        distinct_axes(Counted(range(200_000)), 4)
    assert Counted.read == 5
    with pytest.raises(ArgumentError, match="uses axis -1 of 4 twice"):
        distinct_axes((0, 3, -1), 4)
    assert distinct_axes((-1, 0, -3), 4) == [3, 0, 1]


def test_empty_fields_take_no_more_memory_than_the_file(tmp_path: Path) -> None:
    # Each was kept as a view of 184 bytes: 500,000 of them, a file of 1 MB, took 100 MB.
    path, count = tmp_path / "fields.onnx", 50_000
    _chain(1, path)
    data = memoryview(path.read_bytes() + b"\x72\x00" * count)
    tracemalloc.start()
    try:
        with pytest.raises(InvalidModelError, match=f"more than {count} fields"):
            parse_document(data, Limits(fields=count))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < len(data) + (64 << 10)
