"""Ifs within Ifs take no more time and memory than their file, however many ways lead through."""

from __future__ import annotations

import cProfile
import pstats
import tracemalloc
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from onnx import GraphProto, NodeProto, TensorProto, helper

from smidgen.errors import InvalidModelError, UnsupportedOperatorError
from smidgen.formats.limits import Limits
from smidgen.formats.onnx_import import read_onnx
from tests.python.formats.onnx_import.models import Array, model, node, rng_array, run_graph

X = rng_array((2, 4))
MEGABYTE = 1 << 20


def _write(
    nodes: Sequence[NodeProto], folder: Path, constants: Mapping[str, Array] | None = None
) -> Path:
    path = folder / "model.onnx"
    known = {"yes": np.array(True), **(constants or {})}
    path.write_bytes(model(nodes, {"x": X}, known).SerializeToString())
    return path


def _branch(nodes: Sequence[NodeProto], output: str) -> GraphProto:
    stated = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
    return helper.make_graph(list(nodes), "branch", [], [stated])


def _choice(then: GraphProto, otherwise: GraphProto, output: str) -> NodeProto:
    return node("If", ["yes"], [output], then_branch=then, else_branch=otherwise)


def _tree(depth: int, width: int, source: str, output: str) -> list[NodeProto]:
    """Makes so many Ifs one after the other, each with as many in both branches, and so on.

    Each of the width ** depth innermost branches that are chosen adds its input to itself.
    """
    if depth == 0:
        return [node("Add", [source, source], [output])]
    nodes = []
    for at in range(width):
        made = output if at == width - 1 else f"{output}{at}"
        inner = _branch(_tree(depth - 1, width, source, f"{made}i"), f"{made}i")
        nodes.append(_choice(inner, inner, made))
        source = made
    return nodes


def _imports(path: Path) -> int:
    """Counts how many nodes are imported, those of branches among them."""
    profile = cProfile.Profile()
    profile.runcall(read_onnx, path)
    return _called(profile)["_import"]


def _called(profile: cProfile.Profile) -> Mapping[str, int]:
    """Returns how often functions were called, by their names."""
    stats = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    return {name: entry[1] for (_, _, name), entry in stats.items()}


@pytest.mark.parametrize(("depth", "width"), [(4, 1), (3, 2), (2, 5)])
def test_each_node_of_a_chosen_branch_is_imported_once(
    depth: int, width: int, tmp_path: Path
) -> None:
    path = _write(_tree(depth, width, "x", "y"), tmp_path)

    (found,) = run_graph(read_onnx(path), [X])

    np.testing.assert_array_equal(found, X * 2 ** (width**depth))
    # The Ifs of all levels, and the additions; the branches that are not chosen are as many.
    assert _imports(path) == sum(width**level for level in range(1, depth + 1)) + width**depth


def test_more_levels_than_a_model_has_are_refused(tmp_path: Path) -> None:
    path = _write(_tree(5, 1, "x", "y"), tmp_path)

    with pytest.raises(InvalidModelError, match="16 levels, of which each If within another takes"):
        read_onnx(path)


def test_nodes_of_all_branches_are_counted_before_any_is_parsed(tmp_path: Path) -> None:
    path = _write(_tree(3, 6, "x", "y"), tmp_path)  # 2,670 nodes, of which 474 are chosen
    profile = cProfile.Profile()

    with pytest.raises(InvalidModelError, match="more than 1000 nodes") as caught:
        profile.runcall(read_onnx, path, limits=Limits(nodes=1000))

    assert caught.value.reason == "ONNX_TOO_LARGE"
    assert not any("ParseFromString" in name for name in _called(profile))
    profile = cProfile.Profile()
    assert profile.runcall(read_onnx, path).nodes
    assert any("ParseFromString" in name for name in _called(profile))


def _peak(path: Path) -> int:
    """Returns the most memory that reading a file takes, refused or not, in bytes."""
    tracemalloc.start()
    try:
        read_onnx(path)
    except UnsupportedOperatorError as error:
        assert "constant elements" in error.message  # noqa: PT017 - files of both kinds come here
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak


def test_constants_that_branches_make_are_counted_together(tmp_path: Path) -> None:
    many = [
        _choice(_branch([node("Add", ["row", "column"], ["b"])], "b"),
                _branch([node("Identity", ["row"], ["b"])], "b"), f"v{at}")
        for at in range(60)
    ]  # fmt: skip
    constants = {"row": rng_array((1, 1024)), "column": rng_array((1024, 1))}
    path = _write([*many, node("Relu", ["x"], ["y"])], tmp_path, constants)

    assert _peak(path) < 48 * MEGABYTE  # and not 240, as all of them would take

    with pytest.raises(UnsupportedOperatorError, match="constant elements"):
        read_onnx(path)


def test_a_constant_that_many_branches_give_is_there_once(tmp_path: Path) -> None:
    giving = _branch([node("Identity", ["w"], ["b"])], "b")
    nested = _branch([_choice(giving, giving, "c")], "c")
    many = [_choice(nested, nested, f"v{at}") for at in range(60)]
    constants = {"w": np.ones((1024, 1024), np.float32)}
    path = _write([*many, node("Relu", ["x"], ["y"])], tmp_path, constants)

    assert _peak(path) < 12 * MEGABYTE  # three times the constant at most
