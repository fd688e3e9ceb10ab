"""Exported networks come back as torch graphs that compute the same."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import fx, nn

from smidgen.errors import UnsupportedOperatorError
from smidgen.formats.pt2 import ExportedModel, read_pt2
from smidgen.graph.build import build_graph
from smidgen.graph.operations import OpKind
from smidgen.graph.printing import format_model
from tests.python.formats.pt2_files import export
from tests.python.graph.networks import NETWORKS, MobileNet, randomize


def _network(name: str, *, training: bool) -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    network_class, shape = NETWORKS[name]
    return randomize(network_class()).train(training), torch.randn(2, *shape)


def _import(path: Path) -> tuple[ExportedModel, fx.GraphModule]:
    model = read_pt2(path)
    return model, build_graph(model)


def _assert_close(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_evaluation_mode_gives_the_outputs_of_the_original(name: str, tmp_path: Path) -> None:
    network, example = _network(name, training=False)
    _, graph = _import(export(tmp_path / "m.pt2", network, example))
    inputs = torch.randn(5, *example.shape[1:])
    assert not graph.training
    _assert_close(graph(inputs), network(inputs))


@pytest.mark.parametrize("name", ["mobilenet", "resnet"])
def test_a_training_mode_export_trains_as_the_original(name: str, tmp_path: Path) -> None:
    network, example = _network(name, training=True)
    model, graph = _import(export(tmp_path / "m.pt2", network, example))
    graph.train()
    inputs = torch.randn(4, *example.shape[1:])
    for module in (network, graph):
        torch.manual_seed(5)
        module(inputs).sum().backward()
    network.zero_grad()
    graph.zero_grad()
    torch.manual_seed(6)
    expected = network(inputs)
    torch.manual_seed(6)
    found = graph(inputs)
    _assert_close(found, expected)
    expected.square().sum().backward()
    found.square().sum().backward()
    norms = [p.grad.norm() for p in network.parameters() if p.grad is not None]
    assert len(norms) == len(list(graph.parameters()))
    found_norms = [p.grad.norm() for p in graph.parameters() if p.grad is not None]
    _assert_close(torch.stack(found_norms).sort()[0], torch.stack(norms).sort()[0])
    # The running statistics have moved alike, so evaluation agrees as well.
    _assert_close(graph.eval()(inputs), network.eval()(inputs))
    assert model.batch_range == (1, 64)


def test_a_decomposed_program_is_read_as_well(tmp_path: Path) -> None:
    for training in (False, True):
        network, example = _network("mobilenet", training=training)
        if training:
            network.dropout.eval()  # decomposed, it draws numbers on its own
        export(tmp_path / "m.pt2", network, example, decompose=True)
        _, graph = _import(tmp_path / "m.pt2")
        inputs = torch.randn(3, *example.shape[1:])
        _assert_close(graph.train(training)(inputs), network(inputs))


def test_names_and_metadata_follow_the_contract(tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = export(tmp_path / "m.pt2", MobileNet().eval(), torch.randn(2, 3, 32, 32))
    _, graph = _import(path)
    nodes = list(graph.graph.nodes)
    assert nodes[0].name == "x0"
    assert nodes[0].meta["input_name"] == "image"
    assert nodes[0].meta["shape"] == (None, 3, 32, 32)
    inner = nodes[1:-1]
    assert [node.name for node in inner] == [f"v{index}" for index in range(len(inner))]
    assert all(node.target == node.name for node in inner if node.op == "call_module")
    first, last = inner[0], inner[-1]
    assert (first.meta["op"], first.meta["module_path"]) == (OpKind.CONV2D, "stem.0")
    assert first.meta["op"] == "conv2d"
    assert first.meta["shape"] == (None, 8, 16, 16)
    assert (last.meta["op"], last.meta["shape"]) == (OpKind.LINEAR, (None, 10))
    assert nodes[-1].meta["output_names"] == ("output",)
    kinds = [node.meta["op"] for node in inner]
    assert kinds.count(OpKind.RELU6) == 4
    assert kinds[-4:] == ["global_average_pool", "flatten", "dropout", "linear"]
    assert isinstance(graph.get_submodule(inner[1].target), nn.BatchNorm2d)
    functions = {node.target for node in inner if node.op == "call_function"}
    assert functions == {torch.add, torch.flatten}


def test_the_same_file_gives_the_same_graph(tmp_path: Path) -> None:
    network, example = _network("concat", training=False)
    path = export(tmp_path / "m.pt2", network, example)
    first, second = (_import(path)[1] for _ in range(2))
    assert str(first.graph) == str(second.graph)
    state, again = first.state_dict(), second.state_dict()
    assert list(state) == list(again)
    assert all(torch.equal(state[name], again[name]) for name in state)


def test_weights_are_copies(tmp_path: Path) -> None:
    network, example = _network("mobilenet", training=False)
    path = export(tmp_path / "m.pt2", network, example)
    model, graph = _import(path)
    before = {name: array.copy() for name, array in model.weights.items()}
    with torch.no_grad():
        for tensor in (*graph.parameters(), *graph.buffers()):
            tensor.add_(1)
    assert all((model.weights[name] == array).all() for name, array in before.items())
    assert not any(array.flags.writeable for array in model.weights.values())


def test_tied_weights_stay_tied(tmp_path: Path) -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(3, 3, 3, padding=1)
            self.second = nn.Conv2d(3, 3, 3, padding=1)
            self.second.weight = self.first.weight

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.first(self.second(self.first(x)))

    network, inputs = Tied().eval(), torch.randn(2, 3, 6, 6)
    model, graph = _import(export(tmp_path / "m.pt2", network, inputs))
    _assert_close(graph(inputs), network(inputs))
    assert graph.v0.weight is graph.v1.weight is graph.v2.weight
    assert model.parameter_count == 81 + 3 + 3
    assert model.parameter_bytes == 4 * 87


def test_strided_weights_are_read_in_their_order(tmp_path: Path) -> None:
    class Strided(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(4, 6, 3)
            self.fc = nn.Linear(6, 5)
            self.conv.weight = nn.Parameter(self.conv.weight.detach().permute(0, 1, 3, 2))
            self.fc.weight = nn.Parameter(torch.randn(12, 5)[::2].t())

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.fc(self.conv(x).mean((-1, -2)))

    network, inputs = Strided().eval(), torch.randn(2, 4, 6, 6)
    _, graph = _import(export(tmp_path / "m.pt2", network, inputs, dynamic=False))
    _assert_close(graph(inputs), network(inputs))
    assert graph.v0.weight.is_contiguous()


def test_a_flood_of_writes_to_a_constant_is_refused(tmp_path: Path) -> None:
    class Writes(nn.Module):
        def __init__(self, count: int) -> None:
            super().__init__()
            self.count = count

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            counter = torch.zeros(4)
            for _ in range(self.count):
                counter.add_(1.0)
            return x + counter

    inputs = torch.randn(2, 4)
    _, graph = _import(export(tmp_path / "few.pt2", Writes(3).eval(), inputs))
    _assert_close(graph(inputs), inputs + 3)
    path = export(tmp_path / "many.pt2", Writes(300).eval(), inputs)
    with pytest.raises(UnsupportedOperatorError, match="more than 256 writes to constants"):
        read_pt2(path)


def test_the_norm_of_zeros_has_the_gradient_that_torch_gives_it(tmp_path: Path) -> None:
    class Norm(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.linalg.vector_norm(x * self.scale, dim=-1)

    _, graph = _import(export(tmp_path / "m.pt2", Norm().eval(), torch.randn(2, 3, 4)))
    rows = torch.tensor([[[0.0] * 4, [3.0, 0.0, 4.0, 0.0]]]).requires_grad_()

    graph(rows).sum().backward()

    assert rows.grad is not None
    assert rows.grad.tolist() == [[[0.0] * 4, pytest.approx([0.6, 0.0, 0.8, 0.0])]]


def test_the_printed_table_names_nodes_as_the_graph_does(tmp_path: Path) -> None:
    network, example = _network("functional", training=False)
    model, graph = _import(export(tmp_path / "m.pt2", network, example))
    lines = format_model(model).splitlines()
    assert lines[0].split() == ["name", "op", "inputs", "shape", "from"]
    assert lines[1].split() == ["x0", "input", "[?,", "3,", "9,", "9]", "x"]
    assert [line.split()[0] for line in lines[2:-1]] == [
        node.name for node in graph.graph.nodes if node.name.startswith("v")
    ]
    assert lines[-1].split()[0] == "output"
