"""What is read from good files, and that nothing but its own errors ever escapes the reader."""

from __future__ import annotations

import ast
import json
import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

import smidgen.formats
import smidgen.graph
from smidgen.errors import InvalidModelError, UnsupportedOperatorError
from smidgen.formats.pt2 import ExportedModel, read_pt2
from smidgen.tensor_spec import TensorSpec
from tests.python.formats.pt2_files import MODEL, WEIGHTS, Pt2File, export
from tests.python.graph.networks import MobileNet


def _read(
    tmp_path: Path, module: nn.Module, *examples: torch.Tensor, **options: Any
) -> ExportedModel:
    return read_pt2(export(tmp_path / "m.pt2", module.eval(), *examples, **options))


def test_inputs_and_outputs_have_the_names_of_the_user(tmp_path: Path) -> None:
    class Net(nn.Module):
        def forward(self, left: torch.Tensor, right: torch.Tensor) -> dict[str, Any]:
            return {"sum": left + right, "parts": [F.relu(left), torch.tanh(right)]}

    model = _read(tmp_path, Net(), torch.randn(2, 3, 4), torch.randn(2, 3, 4))
    shape = (None, 3, 4)
    assert model.inputs == (
        TensorSpec("left", "float32", shape),
        TensorSpec("right", "float32", shape),
    )
    assert [spec.name for spec in model.outputs] == ["sum", "parts_0", "parts_1"]
    assert model.batch_range == (1, 64)


def test_several_outputs_are_numbered(tmp_path: Path) -> None:
    class Net(nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return x + x, F.relu(x), x

    model = _read(tmp_path, Net(), torch.randn(2, 3))
    assert [spec.name for spec in model.outputs] == ["output_0", "output_1", "output_2"]
    assert model.output_values == (1, 2, 0)


def test_nested_inputs_are_named_by_their_place(tmp_path: Path) -> None:
    class Net(nn.Module):
        def forward(self, pair: tuple[torch.Tensor, torch.Tensor], *, extra: torch.Tensor) -> Any:
            return pair[0] + pair[1] + extra

    examples = [torch.randn(2, 3) for _ in range(3)]
    program = torch.export.export(Net(), (tuple(examples[:2]),), {"extra": examples[2]})
    torch.export.save(program, tmp_path / "m.pt2")
    model = read_pt2(tmp_path / "m.pt2")
    assert [spec.name for spec in model.inputs] == ["pair_0", "pair_1", "extra"]
    assert model.batch_range is None


def test_without_names_the_placeholders_name_the_inputs(tmp_path: Path) -> None:
    export(tmp_path / "m.pt2", nn.ReLU(), torch.randn(2, 3))

    def edit(document: Any) -> None:
        document["graph_module"]["module_call_graph"] = []

    file = Pt2File.read(tmp_path / "m.pt2").edited(edit)
    model = read_pt2(file.write(tmp_path / "m.pt2"))
    assert model.inputs[0].name == "input_1" or model.inputs[0].name == "input"
    assert model.outputs[0].name == "output"


def test_a_fixed_batch_size_is_kept(tmp_path: Path) -> None:
    model = _read(tmp_path, nn.Linear(3, 2), torch.randn(5, 3), dynamic=False)
    assert (model.inputs[0].shape, model.outputs[0].shape) == ((5, 3), (5, 2))
    assert model.batch_range is None


def test_weights_are_read_only_views_with_the_values_of_the_module(tmp_path: Path) -> None:
    module = nn.Linear(3, 2)
    model = _read(tmp_path, module, torch.randn(5, 3))
    assert set(model.weights) == {"weight", "bias"}
    np.testing.assert_array_equal(model.weights["weight"], module.weight.detach().numpy())
    assert not model.weights["weight"].flags.writeable
    assert not model.weights["weight"].flags.owndata
    assert (model.parameter_count, model.parameter_bytes) == (8, 32)


def test_module_paths_and_labels_are_kept_for_display(tmp_path: Path) -> None:
    model = _read(tmp_path, nn.Sequential(nn.Flatten(), nn.Linear(3, 2)), torch.randn(5, 3))
    assert [(node.label, node.module_path) for node in model.nodes] == [("linear", "1")]


def test_operators_that_no_output_needs_are_dropped(tmp_path: Path) -> None:
    class Net(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            torch.tanh(x + x)
            return F.relu(x)

    def edit(document: Any) -> None:
        graph = document["graph_module"]["graph"]
        unused = json.loads(json.dumps(graph["nodes"][-1]))
        unused |= {"name": "spare", "outputs": [{"as_tensor": {"name": "spare"}}]}
        graph["nodes"].append(unused)
        graph["tensor_values"]["spare"] = graph["tensor_values"]["relu"]

    path = export(tmp_path / "m.pt2", Net(), torch.randn(2, 3))
    model = read_pt2(Pt2File.read(path).edited(edit).write(path))
    assert [node.operation.kind for node in model.nodes] == ["relu"]


def test_constants_and_unsaved_buffers_are_read(tmp_path: Path) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("variance", torch.full((4,), 2.0), persistent=False)
            self.mean = torch.arange(4.0)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.batch_norm(x, self.mean, self.variance)

    model = _read(tmp_path, Net(), torch.randn(2, 4, 5, 5))
    assert {name: array.tolist() for name, array in model.weights.items()} == {
        "variance": [2.0] * 4,
        "mean": [0.0, 1.0, 2.0, 3.0],
    }
    assert model.parameter_count == 0


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Pt2File:
    path = tmp_path_factory.mktemp("good") / "m.pt2"
    return Pt2File.read(export(path, MobileNet(), torch.randn(2, 3, 32, 32)))


def _read_or_refuse(path: Path) -> None:
    with suppress(InvalidModelError, UnsupportedOperatorError):
        read_pt2(path)


def _positions(document: Any) -> list[tuple[Any, Any]]:
    """Returns every container and key of a JSON document."""
    if isinstance(document, dict):
        keys: list[Any] = list(document)
    elif isinstance(document, list):
        keys = list(range(len(document)))
    else:
        return []
    found = [(document, key) for key in keys]
    return found + [place for key in keys for place in _positions(document[key])]


_JUNK: list[Any] = [
    None, True, 0, -1, 2**62, -(2**63), 1.5, "", "x", "NaN", [], {}, [[]], {"as_int": 0},
    {"as_none": True}, {"as_tensor": {"name": "x"}}, {"as_ints": []}, {"as_ints": [-1, 2**40]},
    {"as_sym_ints": [{"as_name": "x"}]}, {"as_float": "NaN"}, {"as_string": "same"},
]  # fmt: skip
_NUMBERS = [-(2**63), -1, 0, 1, 2, 3, 7, 12, 2**31, 2**62]


def _mutate(chance: random.Random, places: list[tuple[Any, Any]]) -> None:
    """Changes one place, mostly into something that the schema allows there."""
    container, key = chance.choice(places)
    value = container[key]
    alike = [
        other[place]
        for other, place in places
        if type(other[place]) is type(value)
        and (place == key or (isinstance(place, int) and isinstance(key, int)))
    ]
    choice = chance.random()
    if choice < 0.05:
        container[key] = chance.choice(_JUNK)
    elif type(value) is int and choice < 0.6:
        container[key] = chance.choice(_NUMBERS)
    elif isinstance(value, list) and choice < 0.5:
        chance.shuffle(value)
    elif isinstance(value, list) and choice < 0.6 and value:
        value.append(value[0])
    else:
        container[key] = json.loads(json.dumps(chance.choice(alike)))


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 2**32), count=st.integers(1, 2))
def test_any_edit_of_the_text_is_read_or_refused(
    good: Pt2File, tmp_path: Path, seed: int, count: int
) -> None:
    chance = random.Random(seed)

    def edit(document: Any) -> None:
        graph = document.get("graph_module", {}).get("graph", document)
        scope = chance.choice([document, graph, graph.get("nodes", document)])
        for _ in range(count):
            _mutate(chance, _positions(scope))

    name = chance.choice([MODEL, MODEL, WEIGHTS])
    _read_or_refuse(good.edited(edit, name).write(tmp_path / "m.pt2"))


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_edit_of_the_bytes_is_read_or_refused(
    good: Pt2File, tmp_path: Path, data: st.DataObject
) -> None:
    contents = bytearray(good.write(tmp_path / "m.pt2").read_bytes())
    at = data.draw(st.integers(0, len(contents) - 1))
    if data.draw(st.booleans()):
        contents[at:] = b""
    contents[at : at + 4] = data.draw(st.binary(min_size=1, max_size=4))
    (tmp_path / "m.pt2").write_bytes(contents)
    _read_or_refuse(tmp_path / "m.pt2")


FORBIDDEN = {"pickle", "marshal", "shelve", "importlib", "runpy", "ast", "yaml", "subprocess", "os"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "getattr"}


def _sources() -> list[Path]:
    return [
        source
        for package in (smidgen.formats, smidgen.graph)
        for folder in package.__path__
        for source in Path(folder).rglob("*.py")
    ]


def test_the_readers_cannot_run_what_they_read() -> None:
    assert len(_sources()) > 20
    for source in _sources():
        for item in ast.walk(ast.parse(source.read_text())):
            if isinstance(item, ast.Import):
                assert not {alias.name.split(".")[0] for alias in item.names} & FORBIDDEN, source
            if isinstance(item, ast.ImportFrom):
                assert (item.module or "").split(".")[0] not in FORBIDDEN, source
            if isinstance(item, ast.Call) and isinstance(item.func, ast.Name):
                assert item.func.id not in FORBIDDEN_CALLS, source
            if isinstance(item, ast.Attribute):
                assert item.attr not in {"load", "loads"} or source.name == "strict_json.py", source
            assert not (isinstance(item, ast.keyword) and item.arg == "allow_pickle"), source
