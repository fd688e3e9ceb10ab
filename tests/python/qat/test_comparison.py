"""Fake-quantized layers against the engine's, and differences that were planted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import fx, nn

from smidgen.calibration import calibrate
from smidgen.convert import convert_graph
from smidgen.engine import Engine
from smidgen.float_model import FloatModel
from smidgen.functional import dequantize
from smidgen.passes import fuse_for_inference
from smidgen.passes.operators import module_of
from smidgen.program import Conv2d, DType, Linear, Program
from smidgen.qat.comparison import compare_fake_quantized, distance, run_freely
from smidgen.qat.fake_quantize import FakeQuantize, Requantize
from smidgen.qat.prepare import prepare_fused, prepare_qat
from smidgen.report import Distance
from tests.python.graph.networks import NETWORKS, randomize


class _Net(nn.Module):
    """Depthwise convolution, a residual sum, a concatenation, a function, softmax and pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.pointwise = nn.Conv2d(8, 8, 1)
        self.head = nn.Linear(16, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        y = x + self.pointwise(torch.nn.functional.hardswish(self.depthwise(x)))
        joined = torch.cat([nn.functional.max_pool2d(y, 2), nn.functional.avg_pool2d(x, 2)], 1)
        scores: torch.Tensor = self.head(torch.softmax(joined.mean((2, 3)), 1))
        return scores


@pytest.fixture(scope="module")
def model(import_model: Callable[..., FloatModel]) -> FloatModel:
    torch.manual_seed(0)
    return import_model(_Net(), (3, 12, 12))


@pytest.fixture(scope="module")
def prepared(model: FloatModel) -> fx.GraphModule:
    profile = calibrate(model, [{"x": _samples(64, seed=1)}])
    return prepare_qat(model.graph, profile.ranges).eval()


@pytest.fixture(scope="module")
def program(model: FloatModel) -> Program:
    profile = calibrate(model, [{"x": _samples(64, seed=1)}])
    graph = fuse_for_inference(model.graph)
    exported = model.exported
    return convert_graph(graph, profile.ranges, inputs=exported.inputs, outputs=exported.outputs)


def _samples(count: int, seed: int = 7) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 3, 12, 12)).astype(np.float32)


def _rounded(graph: fx.GraphModule) -> dict[str, FakeQuantize]:
    """Returns the fake quantization behind each node that has one."""
    modules = {node: module_of(graph, node) for node in graph.graph.nodes}
    return {
        node.all_input_nodes[0].name: module
        for node, module in modules.items()
        if isinstance(module, FakeQuantize)
    }


def _tensor(program: Program, layer: str) -> str:
    names = (layer, f"{layer}_quantized")
    (name,) = (n for n in names if n in program.tensors and program.tensor(n).dtype is DType.UINT8)
    return name


def test_every_layer_is_at_most_one_level_apart(prepared: fx.GraphModule, program: Program) -> None:
    layers = compare_fake_quantized(prepared, program, {"x": _samples(32)})
    assert layers.keys() == _rounded(prepared).keys()
    assert len(layers) == 9
    assert all(layer.max_lsb <= 1 for layer in layers.values())
    assert all(layer.differing < 0.01 * layer.elements for layer in layers.values())
    assert sum(layer.elements for layer in layers.values()) > 100_000


@pytest.mark.parametrize("net", NETWORKS)
def test_no_rounded_value_of_a_network_is_left_out(
    net: str, import_model: Callable[..., FloatModel]
) -> None:
    torch.manual_seed(0)
    kind, shape = NETWORKS[net]
    model = import_model(randomize(kind()), shape)
    x = np.random.default_rng(1).normal(size=(8, *shape)).astype(np.float32)
    name = model.exported.inputs[0].name
    profile = calibrate(model, [{name: x}])
    graph = fuse_for_inference(model.graph)
    exported = model.exported
    program = convert_graph(graph, profile.ranges, inputs=exported.inputs, outputs=exported.outputs)
    prepared = prepare_fused(graph, profile.ranges).eval()
    layers = compare_fake_quantized(prepared, program, {name: x[:2]})
    modules = [module_of(prepared, node) for node in prepared.graph.nodes]
    assert len(layers) == sum(isinstance(m, FakeQuantize | Requantize) for m in modules)
    assert all(layer.max_lsb <= 1 for layer in layers.values())


def test_folded_graph_is_as_close(model: FloatModel, program: Program) -> None:
    profile = calibrate(model, [{"x": _samples(64, seed=1)}])
    folded = prepare_fused(fuse_for_inference(model.graph), profile.ranges).eval()
    layers = compare_fake_quantized(folded, program, {"x": _samples(32)})
    assert len(layers) == 9
    assert all(layer.max_lsb <= 1 for layer in layers.values())


def test_a_layer_reads_what_the_engine_read(prepared: fx.GraphModule, program: Program) -> None:
    samples = {"x": _samples(16)}
    values = Engine(program).run_all(samples)
    steps = [step for step in program.steps if isinstance(step, Conv2d)]
    layers = compare_fake_quantized(prepared, program, samples)
    for step, layer in zip(steps, ["stem", "depthwise", "pointwise"], strict=True):
        source, target = program.tensor(step.input), program.tensor(step.output)
        x = torch.from_numpy(dequantize(values[source.name], source.scale, source.zero_point))
        weight = program.constants[step.weight] * program.constants[step.weight_scale].reshape(
            -1, 1, 1, 1
        )
        bias = program.constants[step.bias].astype(np.float64) * source.scale
        with torch.no_grad():
            y = nn.functional.conv2d(
                x.double(),
                torch.from_numpy(weight).double(),
                torch.from_numpy(bias * program.constants[step.weight_scale]),
                padding=step.padding[0],
                groups=step.groups,
            ).numpy()
        expected = np.clip(
            np.rint(y / target.scale) + target.zero_point, step.qmin, step.qmax
        ).astype(int)
        apart = np.abs(expected - values[target.name])
        found = layers[step.output]
        assert found.elements == apart.size, layer
        assert found.max_lsb <= 1
        # Sums in double precision meet a middle between two levels about as rarely.
        assert abs(found.differing - np.count_nonzero(apart)) <= 0.001 * apart.size


def test_free_run_is_what_the_modules_compute(prepared: fx.GraphModule, program: Program) -> None:
    samples = {"x": _samples(16)}
    values = Engine(program).run_all(samples)
    seen: dict[str, np.ndarray] = {}
    rounded = _rounded(prepared)
    hooks = [
        module.register_forward_hook(
            lambda _m, _x, y, layer=layer: seen.update({layer: y.detach().numpy()})
        )
        for layer, module in rounded.items()
    ]
    with torch.no_grad():
        output = prepared(torch.from_numpy(samples["x"])).numpy()
    for hook in hooks:
        hook.remove()
    free = run_freely(prepared, program, values)
    np.testing.assert_array_equal(free.output, output)
    for layer, module in rounded.items():
        qparams = module.qparams
        fake = np.rint(seen[layer] / np.float32(qparams.scale)).astype(int) + qparams.zero_point
        apart = np.abs(fake - values[_tensor(program, layer)])
        expected = Distance(int(apart.max()), int(np.count_nonzero(apart)), apart.size)
        assert free.layers[layer] == expected, layer


def test_a_scale_one_step_off_is_found(prepared: fx.GraphModule, program: Program) -> None:
    samples = {"x": _samples(8)}
    clean = compare_fake_quantized(prepared, program, samples)
    step = next(step for step in program.steps if isinstance(step, Conv2d))
    tensor = program.tensor(step.output)
    wider = float(np.nextafter(np.float32(tensor.scale), np.float32(np.inf)))
    tensors = {**program.tensors, tensor.name: replace(tensor, scale=wider)}
    planted = replace(program, tensors=tensors)
    layers = compare_fake_quantized(prepared, planted, samples)
    values = Engine(planted).run_all(samples)[tensor.name]
    found = layers[step.output]
    # Some products of a level and either scale round to one number.
    assert found.differing > 0.5 * np.count_nonzero(values != tensor.zero_point) > 0
    assert found.differing > 100 * max(clean[step.output].differing, 1)
    others = [layer for name, layer in layers.items() if name != step.output]
    assert all(layer.max_lsb <= 1 for layer in others)


def test_a_flipped_weight_is_found_in_its_layer(prepared: fx.GraphModule, program: Program) -> None:
    samples = {"x": _samples(8)}
    for step in program.steps:
        if not isinstance(step, Conv2d | Linear):
            continue
        weight = program.constants[step.weight].copy()
        index = np.unravel_index(np.abs(weight.astype(int)).argmax(), weight.shape)
        weight[index] = -weight[index]
        planted = replace(program, constants={**program.constants, step.weight: weight})
        layers = compare_fake_quantized(prepared, planted, samples)
        at_fault = {name for name, layer in layers.items() if layer.max_lsb > 1}
        assert at_fault == {step.output}


def test_distance_of_values() -> None:
    fake = np.array([0.0, 0.5, 1.0, -1.5], np.float32)
    engine = np.array([0.0, 1.0, 1.0, 0.5], np.float32)
    assert distance(fake, engine, 0.5) == Distance(max_lsb=4, differing=2, elements=4)
    assert distance(fake, fake, 0.5) == Distance(max_lsb=0, differing=0, elements=4)
    assert distance(fake, engine[:2], 0.5) == Distance(max_lsb=255, differing=2, elements=2)
    nearly = np.nextafter(engine, np.float32(2.0))
    assert distance(engine, nearly, 0.5) == Distance(max_lsb=0, differing=4, elements=4)
