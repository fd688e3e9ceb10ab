"""Which values are quantized where some operations have no integer step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from smidgen.calibration import calibrate
from smidgen.convert import convert_graph
from smidgen.float_model import FloatModel
from smidgen.forms import Form, assign_forms
from smidgen.passes import fuse_for_inference
from smidgen.passes.operators import module_of
from smidgen.placement import place_quantization
from smidgen.program import Binary, Conv2d, Dequantize, Lookup, Program, Quantize, Reshape, Unary
from smidgen.qat.fake_quantize import FakeQuantize
from smidgen.qat.prepare import prepare_qat

ImportModel = Callable[..., FloatModel]


class _Island(nn.Module):
    """A product that has no integer step, a function and a sum of it, between convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.before = nn.Conv2d(3, 4, 3, padding=1)
        self.map = nn.Conv2d(3, 1, 3, padding=1)
        self.after = nn.Conv2d(4, 4, 1)
        self.other = nn.Conv2d(4, 2, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        image = self.before(x)
        weighed = image * self.map(x)
        y = torch.tanh(weighed) + weighed
        y = y.flatten(2).reshape(y.shape)
        return self.after(y), self.other(y)


def _program(model: FloatModel) -> tuple[Program, dict[str, object]]:
    shape = tuple(extent or 8 for extent in model.exported.inputs[0].shape)
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    profile = calibrate(model, [{model.exported.inputs[0].name: x}])
    program = convert_graph(
        fuse_for_inference(model.graph),
        profile.ranges,
        inputs=model.exported.inputs,
        outputs=model.exported.outputs,
    )
    return program, dict(profile.ranges)


@pytest.fixture(scope="module")
def island(import_model: ImportModel) -> FloatModel:
    torch.manual_seed(0)
    return import_model(_Island(), (3, 8, 8))


def test_an_island_is_entered_and_left_once(island: FloatModel) -> None:
    program, ranges = _program(island)
    counts = Counter(type(step) for step in program.steps)
    assert counts[Binary] == 2
    assert counts[Unary] == 1
    assert counts[Conv2d] == 4
    assert counts[Quantize] == 2  # the input, and the sum for both convolutions behind it
    assert counts[Dequantize] == 4  # both factors and both outputs
    assert counts[Lookup] == 0
    # The product and its tanh are never quantized; the reshapes have collapsed.
    graph = fuse_for_inference(island.graph)
    assert set(ranges) == {"x", *_nodes(graph, "conv2d"), *_nodes(graph, "add")}


def test_forms_follow_what_has_integer_steps(island: FloatModel) -> None:
    graph = fuse_for_inference(island.graph)
    forms = assign_forms(graph)
    written = {node.meta.get("op", node.op): forms.writes[node.name] for node in graph.graph.nodes}
    assert written["conv2d"] is Form.QUANTIZED
    assert written["multiply"] is written["tanh"] is written["add"] is Form.PLAIN
    points = place_quantization(graph)
    assert set(points.values()) == {"x0", *_nodes(graph, "conv2d"), *_nodes(graph, "add")}


def test_training_quantizes_what_the_program_quantizes(island: FloatModel) -> None:
    _, ranges = _program(island)
    prepared = prepare_qat(island.graph, ranges)
    behind = {
        node.all_input_nodes[0].meta.get("op", "input")
        for node in prepared.graph.nodes
        if isinstance(module_of(prepared, node), FakeQuantize)
    }
    assert behind == {"input", "conv2d", "add"}
    x = torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    sum(y.square().mean() for y in prepared.train()(x)).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in prepared.parameters())


class _Read(nn.Module):
    """A plain value that a convolution reads, and an output as it is."""

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Conv2d(3, 1, 1)
        self.after = nn.Conv2d(3, 2, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        y = x * self.map(x)
        return self.after(y), y, y


def test_what_plain_steps_read_is_not_rounded_for_others(import_model: ImportModel) -> None:
    torch.manual_seed(0)
    model = import_model(_Read(), (3, 6, 6))
    program, ranges = _program(model)
    product = next(step for step in program.steps if isinstance(step, Binary))
    assert product.lhs == program.inputs[0]
    # The product is an output under that name, and a copy of it another.
    assert product.output == program.outputs[1]
    assert [s.output for s in program.steps if isinstance(s, Reshape)] == [program.outputs[2]]
    prepared = prepare_qat(model.graph, ranges).eval()
    x = torch.randn(4, 3, 6, 6, generator=torch.Generator().manual_seed(1))
    scaled, first, second = prepared(x)
    assert torch.equal(first, second)
    steps = first.div(program.tensor("v1_quantized").scale)
    assert not torch.allclose(steps, steps.round(), atol=1e-3)
    assert scaled.shape == (4, 2, 6, 6)


def _nodes(graph: torch.fx.GraphModule, op: str) -> list[str]:
    return [node.name for node in graph.graph.nodes if node.meta.get("op") == op]
