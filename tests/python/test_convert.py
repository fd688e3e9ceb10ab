"""Converted programs against the fake-quantized graph, the float graph and the engine."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from smidgen.calibration import calibrate
from smidgen.convert import convert_graph
from smidgen.errors import CalibrationError, UnsupportedOperatorError
from smidgen.float_model import FloatModel
from smidgen.passes import fuse_for_inference
from smidgen.program import (
    Add,
    AveragePool2d,
    Concat,
    Conv2d,
    ConvTranspose2d,
    GlobalAveragePool,
    Linear,
    Lookup,
    MaxPool2d,
    Multiply,
    Program,
    Reshape,
    Resize,
    interpret,
    verify,
)
from smidgen.qat.prepare import prepare_qat
from smidgen.verification import check_parity

ImportModel = Callable[..., FloatModel]
Forward = Callable[[torch.Tensor], torch.Tensor]


class _Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.point = nn.Conv2d(8, 8, 1)
        self.head = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.stem(x)))
        y = self.point(functional.relu6(self.depthwise(x)))
        x = torch.relu(x + y)
        z: torch.Tensor = self.head(functional.adaptive_avg_pool2d(x, 1).flatten(1))
        return z


class _Branches(nn.Module):
    """A concatenation of different ranges: one operand shares its scale, one has its own."""

    def __init__(self) -> None:
        super().__init__()
        self.small = nn.Conv2d(3, 4, 1)
        self.large = nn.Conv2d(3, 4, 3, padding=1)
        self.after = nn.Conv2d(8, 4, 1)
        with torch.no_grad():
            self.large.weight.mul_(8.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        small = torch.relu(self.small(x))
        joined = torch.cat([small, functional.max_pool2d(self.large(x), 3, 1, 1)], dim=1)
        return self.after(joined) + small


class _Pools(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, dilation=2, padding=2)
        self.head = nn.Linear(4 * 2 * 2, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.max_pool2d(self.conv(x), 3, stride=2, padding=1)
        x = torch.relu(functional.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False))
        y: torch.Tensor = self.head(x.flatten(1))
        return y


class _Segmentation(nn.Module):
    """A transposed convolution and resizes, joined."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(3, 6, 3, stride=2, padding=1, output_padding=1, groups=3)
        self.norm = nn.BatchNorm2d(6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        low = functional.max_pool2d(torch.relu(self.norm(self.up(x))), 2)
        return torch.cat(
            [functional.interpolate(low, scale_factor=2), functional.interpolate(x, (16, 16))], 1
        )


class _Unary(nn.Module):
    def __init__(self, function: Forward) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x)


class _Excited(nn.Module):
    """Squeeze and excitation: each channel times a factor."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Conv2d(3, 3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        factor = functional.hardsigmoid(self.gate(functional.adaptive_avg_pool2d(x, 1)))
        return torch.relu(factor * x)


class _Gated(nn.Module):
    """The product of two tensors of one shape."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.gate = nn.Conv2d(8, 8, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        return x * self.gate(x)


NETS: dict[str, tuple[Callable[[], nn.Module], dict[type, int]]] = {
    "residual": (_Residual, {Conv2d: 3, Add: 1, GlobalAveragePool: 1, Reshape: 1, Linear: 1}),
    "excited": (_Excited, {Conv2d: 1, GlobalAveragePool: 1, Lookup: 1, Multiply: 1}),
    "gated": (_Gated, {Conv2d: 2, Multiply: 1}),
    "concat": (_Branches, {Conv2d: 3, MaxPool2d: 1, Concat: 1, Lookup: 1, Add: 1}),
    "segmentation": (_Segmentation, {ConvTranspose2d: 1, Resize: 2, Concat: 1}),
    "pools": (_Pools, {Conv2d: 1, MaxPool2d: 1, AveragePool2d: 1, Reshape: 1, Linear: 1}),
}

FUNCTIONS: dict[str, Forward] = {
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "hardsigmoid": functional.hardsigmoid,
    "hardswish": functional.hardswish,
    "silu": functional.silu,
    "gelu": functional.gelu,
    "gelu_tanh": lambda x: functional.gelu(x, approximate="tanh"),
    "tanh": torch.tanh,
    "leaky_relu": lambda x: functional.leaky_relu(x, 0.2),
    "elu": lambda x: functional.elu(x, 0.7),
}


def _samples(*shape: int, scale: float = 1.0) -> NDArray[np.float32]:
    return (np.random.default_rng(0).normal(size=shape) * scale).astype(np.float32)


def _convert(model: FloatModel, x: NDArray[np.float32]) -> tuple[Program, torch.fx.GraphModule]:
    """Returns the program and the graph that simulates it."""
    name = model.exported.inputs[0].name
    profile = calibrate(model, [{name: x}])
    program = convert_graph(
        fuse_for_inference(model.graph),
        profile.ranges,
        inputs=model.exported.inputs,
        outputs=model.exported.outputs,
    )
    verify(program)
    return program, prepare_qat(model.graph, profile.ranges).eval()


def _differences(
    program: Program, simulated: torch.fx.GraphModule, x: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Returns the distance of program and simulation in steps of the output's scale."""
    found = interpret(program, {program.inputs[0]: x})[program.outputs[0]]
    with torch.no_grad():
        expected = simulated(torch.from_numpy(x)).numpy()
    last = program.steps[-1]
    scale = program.tensor(last.input).scale
    assert scale is not None
    return np.abs(np.rint((found.astype(np.float64) - expected) / scale))


@pytest.mark.parametrize("net", NETS)
def test_program_computes_what_training_simulates(import_model: ImportModel, net: str) -> None:
    torch.manual_seed(0)
    make, _ = NETS[net]
    model = import_model(make(), (3, 8, 8))
    x = _samples(24, 3, 8, 8)
    program, simulated = _convert(model, x)
    difference = _differences(program, simulated, x)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.03


@pytest.mark.parametrize("net", NETS)
def test_program_is_near_the_float_model(import_model: ImportModel, net: str) -> None:
    torch.manual_seed(0)
    make, kinds = NETS[net]
    model = import_model(make(), (3, 8, 8))
    x = _samples(24, 3, 8, 8)
    program, _ = _convert(model, x)
    counts = Counter(type(step) for step in program.steps)
    assert {kind: counts[kind] for kind in kinds} == kinds
    found = interpret(program, {program.inputs[0]: x})[program.outputs[0]]
    with torch.no_grad():
        expected = model.graph(torch.from_numpy(x)).numpy()
    noise = np.square(found - expected).mean() / np.square(expected).mean()
    assert noise < 0.01


@pytest.mark.parametrize("net", NETS)
def test_engine_equals_the_interpreter(import_model: ImportModel, net: str) -> None:
    torch.manual_seed(0)
    make, _ = NETS[net]
    program, _ = _convert(import_model(make(), (3, 8, 8)), _samples(24, 3, 8, 8))
    certificate = check_parity(program, {program.inputs[0]: _samples(5, 3, 8, 8, scale=2.0)})
    assert certificate.sample_count == 5
    assert certificate.max_difference == 0
    assert "portable" in certificate.isas


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_become_tables(import_model: ImportModel, name: str) -> None:
    model = import_model(_Unary(FUNCTIONS[name]), (3, 4, 4))
    x = _samples(16, 3, 4, 4, scale=2.0)
    program, simulated = _convert(model, x)
    assert sum(isinstance(step, Lookup) for step in program.steps) == 1
    difference = _differences(program, simulated, x)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.02


def test_interpolation_is_rounded_in_training_too(import_model: ImportModel) -> None:
    def double(x: torch.Tensor) -> torch.Tensor:
        return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)

    model = import_model(_Unary(double), (3, 4, 4))
    x = _samples(16, 3, 4, 4)
    program, simulated = _convert(model, x)
    difference = _differences(program, simulated, x)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.08  # a sixteenth of all values are ties


def test_relu_is_a_clamp_at_the_zero_point(import_model: ImportModel) -> None:
    torch.manual_seed(0)
    program, _ = _convert(import_model(_Branches(), (3, 8, 8)), _samples(8, 3, 8, 8))
    (relu,) = (step for step in program.steps if isinstance(step, Conv2d) and step.output == "v1")
    assert relu.qmin == program.tensor("v1").zero_point


def test_names_are_those_of_the_user_and_of_the_nodes(import_model: ImportModel) -> None:
    model = import_model(_Residual(), (3, 8, 8))
    program, _ = _convert(model, _samples(4, 3, 8, 8))
    assert program.inputs == tuple(spec.name for spec in model.exported.inputs)
    assert program.outputs == tuple(spec.name for spec in model.exported.outputs)
    nodes = {node.name for node in model.graph.graph.nodes}
    assert program.tensors.keys() - {*program.inputs, *program.outputs} <= nodes
    assert program.tensor(program.outputs[0]).shape == (None, 5)


class _NamedAsANode(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, v0: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.conv(v0)
        return y


def test_input_named_as_a_node_keeps_its_name(import_model: ImportModel) -> None:
    model = import_model(_NamedAsANode(), (3, 4, 4))
    assert model.exported.inputs[0].name == "v0"
    x = _samples(4, 3, 4, 4)
    program, simulated = _convert(model, x)
    assert program.inputs == ("v0",)
    assert _differences(program, simulated, x).max() <= 1


def test_missing_range_is_named(import_model: ImportModel) -> None:
    model = import_model(_Pools(), (3, 8, 8))
    with pytest.raises(CalibrationError, match="has no range for") as caught:
        convert_graph(
            fuse_for_inference(model.graph),
            {},
            inputs=model.exported.inputs,
            outputs=model.exported.outputs,
        )
    assert caught.value.reason == "PROFILE_INCOMPLETE"


class _Unsupported(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pooled = functional.avg_pool2d(x, 3, stride=2, ceil_mode=True)
        return functional.avg_pool2d(pooled, 3, stride=2, ceil_mode=True)


def test_all_unsupported_nodes_are_named(import_model: ImportModel) -> None:
    model = import_model(_Unsupported(), (2, 8, 8))
    with pytest.raises(UnsupportedOperatorError) as caught:
        convert_graph(fuse_for_inference(model.graph), {}, inputs=(), outputs=())
    assert caught.value.reason == "UNSUPPORTED_COMBINATION"
    assert caught.value.metadata["node_count"] == "2"
    for part in ("v0", "v1", "rounds its extent up"):
        assert part in caught.value.message
    lines = re.findall(r"\(average_pool, test_convert\.py:(\d+) in forward\)", caught.value.message)
    assert int(lines[1]) == int(lines[0]) + 1


class _CeilPool(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.max_pool2d(x, 3, stride=2, ceil_mode=True)


def test_max_pool_that_rounds_up_pads_the_end(import_model: ImportModel) -> None:
    model = import_model(_CeilPool(), (2, 6, 7))
    x = _samples(4, 2, 6, 7)
    program, simulated = _convert(model, x)
    (pool,) = (step for step in program.steps if isinstance(step, MaxPool2d))
    assert pool.padding == (0, 0, 1, 0)
    assert _differences(program, simulated, x).max() == 0


def test_same_tensor_twice_in_a_sum(import_model: ImportModel) -> None:
    class Twice(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = torch.relu(x)
            return y + y

    x = _samples(4, 2, 3, 3)
    program, simulated = _convert(import_model(Twice(), (2, 3, 3)), x)
    assert _differences(program, simulated, x).max() <= 1


def test_several_inputs_and_outputs(import_model: ImportModel) -> None:
    class Two(nn.Module):
        def forward(
            self, left: torch.Tensor, right: torch.Tensor
        ) -> tuple[torch.Tensor, torch.Tensor]:
            return left + right, torch.relu(right)

    model = import_model(Two(), (2, 3), (2, 3))
    inputs = {"left": _samples(8, 2, 3), "right": -3 * _samples(8, 2, 3)}
    profile = calibrate(model, [inputs])
    program = convert_graph(
        fuse_for_inference(model.graph),
        profile.ranges,
        inputs=model.exported.inputs,
        outputs=model.exported.outputs,
    )
    values = interpret(program, inputs)
    total, positive = (values[name] for name in program.outputs)
    assert np.abs(total - (inputs["left"] + inputs["right"])).max() < 0.1
    assert np.abs(positive - np.maximum(inputs["right"], 0)).max() < 0.1


def test_same_file_gives_the_same_program(import_model: ImportModel) -> None:
    model = import_model(_Branches(), (3, 8, 8))
    x = _samples(8, 3, 8, 8)
    first, second = _convert(model, x)[0], _convert(model, x)[0]
    assert first.steps == second.steps
    assert first.tensors == second.tensors
    assert all(
        array.tobytes() == second.constants[name].tobytes()
        for name, array in first.constants.items()
    )
