"""Layers that a conversion leaves in float: programs, reports, training, files and ONNX."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from smidgen.artifact import decode_artifact, encode_artifact
from smidgen.calibration import calibrate
from smidgen.config import Activations, LayerPrecision, Override, PrecisionConfig, QATConfig
from smidgen.config.precision import FLOAT, INT8
from smidgen.engine import Engine, available_isas
from smidgen.float_model import FloatModel
from smidgen.formats.dataset import Dataset
from smidgen.formats.onnx_export import export_onnx
from smidgen.passes import fuse_for_inference, keep_in_float, quantize_everywhere
from smidgen.pipeline import Conversion, convert, plan, train_qat
from smidgen.profile import CalibrationProfile
from smidgen.program import (
    Conv2d,
    ConvTranspose2d,
    FloatConv2d,
    FloatConvTranspose2d,
    Linear,
    MatMul,
    interpret,
)
from smidgen.sensitivity import measure_sensitivity

ImportModel = Callable[..., FloatModel]


class _Net(nn.Module):
    """Layers of each kind, a concatenation of two, and a flatten that two layers read."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.grouped = nn.Conv2d(8, 6, (1, 3), padding=(0, 2), dilation=(1, 2), groups=2)
        self.up = nn.ConvTranspose2d(14, 4, 3, stride=2, padding=1, output_padding=1, groups=2)
        self.left = nn.Linear(4 * 8 * 8, 5)
        self.right = nn.Linear(4 * 8 * 8, 5, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.stem(x)))
        x = torch.cat([nn.functional.relu6(self.depthwise(x)), self.grouped(x)], 1)
        x = torch.sigmoid(self.up(x)).flatten(1)
        y: torch.Tensor = self.left(x) + self.right(x)
        return y


LAYERS = ("stem", "depthwise", "grouped", "up", "left", "right")


@pytest.fixture(scope="module")
def model(import_model: ImportModel) -> FloatModel:
    torch.manual_seed(0)
    net = _Net()
    net(_samples(64) @ torch.eye(8))  # fills the running statistics
    return import_model(net, (3, 8, 8))


@pytest.fixture(scope="module")
def profile(model: FloatModel) -> CalibrationProfile:
    return calibrate(model, [{"x": _samples(64).numpy()}])


def _samples(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(seed))


def _keeping(*layers: str, default: LayerPrecision = INT8) -> PrecisionConfig:
    return PrecisionConfig(default, tuple(Override(layer, FLOAT) for layer in layers))


def _counts(conversion: Conversion) -> dict[str, int]:
    names = [type(step).__name__ for step in conversion.program.steps]
    return {name: names.count(name) for name in sorted(set(names))}


SUBSETS = [*((name,) for name in LAYERS), ("depthwise", "left"), ("grouped", "up"), LAYERS]


@pytest.mark.parametrize("layers", SUBSETS, ids=["+".join(subset) for subset in SUBSETS])
def test_any_layers_can_stay(
    model: FloatModel, profile: CalibrationProfile, layers: tuple[str, ...]
) -> None:
    conversion = convert(model, profile, precision=_keeping(*layers))
    kinds = [type(step) for step in conversion.program.steps]
    convolutions = [name for name in layers if name in ("stem", "depthwise", "grouped")]
    assert kinds.count(FloatConv2d) == len(convolutions)
    assert kinds.count(Conv2d) == 3 - len(convolutions)
    assert kinds.count(FloatConvTranspose2d) == ("up" in layers)
    assert kinds.count(ConvTranspose2d) == ("up" not in layers)
    linear = [name for name in layers if name in ("left", "right")]
    assert kinds.count(MatMul) == len(linear)
    assert kinds.count(Linear) == 2 - len(linear)
    parity = conversion.report.parity
    assert parity is not None
    assert parity.differing_bytes == 0
    assert parity.isas == available_isas()
    assert parity.fake_quantized is not None
    assert parity.fake_quantized.layers.max_lsb <= 1
    kept = [node for node in conversion.report.nodes if node.module_path in layers]
    assert [(n.is_quantized, n.reason, n.weight_bits) for n in kept] == [
        (False, "FLOAT", 32) for _ in layers
    ]
    assert all(node.quantized_bytes == node.float_bytes for node in kept if "stem" not in layers)
    encoded = encode_artifact(conversion.program)
    assert encode_artifact(decode_artifact(encoded)) == encoded


def test_a_model_whose_layers_all_stay_is_near_the_float_one(
    model: FloatModel, profile: CalibrationProfile
) -> None:
    x = _samples(9, seed=1)
    with torch.no_grad():
        expected = model.graph(x).numpy()

    def error(precision: PrecisionConfig | None) -> float:
        program = convert(model, profile, precision=precision).program
        found = Engine(program).run({"x": x.numpy()})[program.outputs[0]]
        return float(np.abs(found - expected).max())

    quantized, kept = error(None), error(_keeping("*"))
    assert kept < quantized
    # The input, the concatenation and the sum are still in the model; nothing else is rounded.
    assert error(_keeping(default=FLOAT)) == kept


def test_plans_and_restored_graphs(model: FloatModel, profile: CalibrationProfile) -> None:
    precision = _keeping("up", "left")
    planned, done = (
        plan(model, profile, precision),
        convert(model, profile, precision=precision).report,
    )
    assert [replace(node, sqnr_db=None) for node in done.nodes] == list(planned.nodes)
    fused = fuse_for_inference(model.graph)
    names = {node.name for node in fused.graph.nodes}
    restored = quantize_everywhere(keep_in_float(fused, names))
    assert [node.meta for node in restored.graph.nodes] == [node.meta for node in fused.graph.nodes]
    assert keep_in_float(fused, ()) is fused


def test_training_leaves_them_alone(model: FloatModel, profile: CalibrationProfile) -> None:
    x = _samples(64).numpy()
    data = Dataset({"x": x, "labels": np.arange(64) % 5}, 64)
    precision = _keeping("stem", "up", "right", default=LayerPrecision())
    config = QATConfig(epochs=1, batch_size=16)
    trained = train_qat(model, profile, data, config, precision=precision)
    conversion = convert(model, profile, trained, evaluation=data)
    assert {"FloatConv2d": 1, "FloatConvTranspose2d": 1, "MatMul": 1}.items() <= (
        _counts(conversion).items()
    )
    parity = conversion.report.parity
    assert parity is not None
    assert parity.fake_quantized is not None
    assert parity.fake_quantized.layers.max_lsb <= 1
    stem = next(s for s in conversion.program.steps if isinstance(s, FloatConv2d))
    weight = conversion.program.constants[stem.weight]
    assert len(np.unique(weight)) == weight.size  # not on a grid


def test_dynamic_activations_leave_them_alone(
    model: FloatModel, profile: CalibrationProfile
) -> None:
    precision = _keeping("left")
    conversion = convert(model, profile, precision=precision, activations=Activations.DYNAMIC)
    assert {"DynamicLinear": 1, "MatMul": 1}.items() <= _counts(conversion).items()


def test_onnx_has_float_operators(model: FloatModel, profile: CalibrationProfile) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    program = convert(model, profile, precision=_keeping("*")).program
    exported = export_onnx(program)
    kinds = [node.op_type for node in exported.graph.node]
    assert (kinds.count("Conv"), kinds.count("ConvTranspose"), kinds.count("MatMul")) == (3, 1, 2)
    session = onnxruntime.InferenceSession(exported.SerializeToString())
    x = _samples(7, seed=2).numpy()
    (found,) = session.run(None, {"x": x})
    expected = interpret(program, {"x": x})[program.outputs[0]]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


def test_sensitivity_of_what_stays_is_that_of_its_rounded_output(
    model: FloatModel, profile: CalibrationProfile
) -> None:
    quantized = fuse_for_inference(model.graph)
    stem = next(n.name for n in quantized.graph.nodes if n.meta.get("module_path") == "stem")
    kept = keep_in_float(quantized, {stem})
    batch, specs = {"x": _samples(8).numpy()}, model.exported.inputs
    with_weights, without = (
        measure_sensitivity(graph, profile.ranges, batch, specs) for graph in (quantized, kept)
    )
    image = next(iter(with_weights))  # only the stem reads it
    del with_weights[image]
    assert without.keys() == with_weights.keys()
    before, after = with_weights.pop(stem), without.pop(stem)
    assert before.output_sqnr_db is not None
    assert after.output_sqnr_db is not None
    assert after.output_sqnr_db > before.output_sqnr_db
    assert without == with_weights
