"""Activations and weights of extreme size: in float with a warning, or refused; never clamped."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from smidgen.calibration import calibrate
from smidgen.config import (
    Activations,
    ConversionConfig,
    LayerPrecision,
    PostTrainingConfig,
    PrecisionConfig,
)
from smidgen.config.precision import FLOAT, WeightBits
from smidgen.convert import convert_graph
from smidgen.engine import Engine
from smidgen.errors import CalibrationError
from smidgen.float_model import FloatModel
from smidgen.passes import fuse_for_inference
from smidgen.pipeline import Conversion, convert, plan
from smidgen.profile import CalibrationProfile
from smidgen.qat.prepare import finish_qat, prepare_qat

ImportModel = Callable[..., FloatModel]
Floats = NDArray[np.float32]


class _Scaled(nn.Module):
    """An int8 layer, a layer between two factors, and an int8 layer."""

    def __init__(self, up: float, down: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Linear(8, 8), nn.Linear(8, 4)
        self.inner = nn.Linear(8, 8, bias=False)
        self.up, self.down = up, down

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.first(x))
        y: torch.Tensor = self.last(torch.relu(self.inner(x * self.up) * self.down))
        return y


class _Pooled(nn.Module):
    """A max pool, which works on integers alone, of extreme values."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(1, 2, 3, padding=1)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.pool(self.conv(x * 1e25) * 1.5) * 1e-25
        return y


class _Sum(nn.Module):
    """A sum and a concatenation of extreme values between int8 layers."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(8, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.first(x))
        high, low = x * 1e24, x * -2e24
        y: torch.Tensor = self.last(torch.cat([high + low, high * x], 1) * 1e-24)
        return y


def _samples(*shape: int) -> Floats:
    return np.random.default_rng(1).standard_normal((64, *shape)).astype(np.float32)


def _profile(model: FloatModel, samples: Floats) -> CalibrationProfile:
    return calibrate(model, [{"x": samples[:32]}, {"x": samples[32:]}])


def _relative_error(module: nn.Module, converted: Conversion, samples: Floats) -> float:
    with torch.inference_mode():
        expected = module(torch.from_numpy(samples)).numpy()
    (found,) = Engine(converted.program, tune=False).run({"x": samples}).values()
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("activations", Activations)
@pytest.mark.parametrize(("up", "down"), [(1e30, 1e-30), (1e-30, 1e30), (1e22, 1e-22)])
def test_activations_beyond_1e18_run_in_float_with_a_warning_instead_of_being_clamped(
    import_model: ImportModel, up: float, down: float, activations: Activations
) -> None:
    module, samples = _Scaled(up, down), _samples(8)
    model = import_model(module, (8,))
    profile = _profile(model, samples)
    converted = convert(model, profile, activations=activations)
    assert _relative_error(module, converted, samples) < 0.03  # clamped, it was 0.5 and more
    layers = {n.module_path: n for n in converted.report.nodes if n.op == "linear"}
    assert {path: n.is_quantized for path, n in layers.items()} == {
        "first": True,
        "inner": False,
        "last": True,
    }
    assert (layers["inner"].reason, layers["inner"].weight_bits) == ("FLOAT", 32)
    (warning,) = [text for text in profile.warnings if "integers cannot hold" in text]
    assert "affine, test_extreme_ranges.py:" in warning
    assert "stays in float" in warning


def test_only_ranges_that_integers_cannot_hold_are_kept_in_float(import_model: ImportModel) -> None:
    module, samples = _Scaled(1e15, 1e-15), _samples(8)
    model = import_model(module, (8,))
    profile = _profile(model, samples)
    converted = convert(model, profile)
    assert all(n.is_quantized for n in converted.report.nodes if n.op == "linear")
    assert _relative_error(module, converted, samples) < 0.03
    assert not any("integers cannot hold" in text for text in profile.warnings)


def test_sums_and_concatenations_of_extreme_values_run_in_float(import_model: ImportModel) -> None:
    module, samples = _Sum(), _samples(2, 6, 6)
    model = import_model(module, (2, 6, 6))
    converted = convert(model, _profile(model, samples))
    assert _relative_error(module, converted, samples) < 0.03
    assert {n.module_path: n.is_quantized for n in converted.report.nodes if n.op == "conv2d"} == {
        "first": True,
        "last": True,
    }


def test_extreme_values_in_an_operation_on_integers_alone_are_refused_by_name(
    import_model: ImportModel,
) -> None:
    model = import_model(_Pooled(), (1, 8, 8))
    profile = _profile(model, _samples(1, 8, 8))
    with pytest.raises(
        CalibrationError,
        match=r"has the range \[-.*\(pool, test_extreme_ranges.py:\d+ in forward\) works",
    ) as refused:
        convert(model, profile)
    assert refused.value.reason == "RANGE_NOT_REPRESENTABLE"
    assert "\n" not in refused.value.message
    assert refused.value.message.endswith(
        "works on integers alone; rescale the model so that its values are nearer to 1"
    )
    with pytest.raises(CalibrationError, match="rescale the model"):
        plan(model, profile)


def test_graphs_that_nothing_was_kept_in_float_of_are_refused(import_model: ImportModel) -> None:
    model = import_model(_Scaled(1e30, 1e-30), (8,))
    profile = _profile(model, _samples(8))
    with pytest.raises(CalibrationError, match=r"activation v\d+ \(affine, .*has the range"):
        convert_graph(
            fuse_for_inference(model.graph),
            profile.ranges,
            inputs=model.exported.inputs,
            outputs=model.exported.outputs,
        )


def test_plans_tell_which_layers_stay_in_float(import_model: ImportModel) -> None:
    model = import_model(_Scaled(1e30, 1e-30), (8,))
    report = plan(model, _profile(model, _samples(8)))
    found = {n.module_path: n.is_quantized for n in report.nodes if n.op == "linear"}
    assert found == {"first": True, "inner": False, "last": True}


def test_clipped_shares_of_extreme_activations_are_those_of_their_ranges(
    import_model: ImportModel,
) -> None:
    model = import_model(_Scaled(1e30, 1e-30), (8,))
    profile = _profile(model, _samples(8))
    assert set(profile.clipped_shares.values()) == {0.0}
    assert not all(found.has_scale for found in profile.ranges.values())


@pytest.mark.parametrize(
    "post_training", [PostTrainingConfig(round_weights=True, correct_bias=True, equalize=True)]
)
def test_post_training_leaves_extreme_layers_alone(
    import_model: ImportModel, post_training: PostTrainingConfig
) -> None:
    module, samples = _Scaled(1e30, 1e-30), _samples(8)
    model = import_model(module, (8,))
    converted = convert(
        model,
        _profile(model, samples),
        samples=samples,
        config=ConversionConfig(post_training=post_training),
    )
    assert _relative_error(module, converted, samples) < 0.03


def test_training_keeps_extreme_layers_in_float(import_model: ImportModel) -> None:
    model, samples = import_model(_Scaled(1e30, 1e-30), (8,)), _samples(8)
    prepared = prepare_qat(model.graph, _profile(model, samples).ranges)
    prepared.train()(torch.from_numpy(samples))
    graph, ranges = finish_qat(prepared.eval())
    assert all(found.has_scale for found in ranges.values())
    with torch.inference_mode():
        expected, found = model.graph(torch.from_numpy(samples)), graph(torch.from_numpy(samples))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("factor", [1e25, 1e-25])
@pytest.mark.parametrize("bits", [WeightBits.INT8, WeightBits.INT4])
def test_weights_beyond_all_scales_stay_in_float_instead_of_being_clamped(
    import_model: ImportModel, factor: float, bits: WeightBits
) -> None:
    module, samples = _Scaled(1.0, 1.0 / factor), _samples(8)
    with torch.no_grad():
        module.inner.weight *= factor
    model = import_model(module, (8,))
    precision = PrecisionConfig(default=LayerPrecision(bits))
    converted = convert(model, _profile(model, samples), precision=precision)
    assert _relative_error(module, converted, samples) < 0.03
    (inner,) = [n for n in converted.report.nodes if n.module_path == "inner"]
    assert inner.weight_bits == FLOAT.weights.width


@pytest.mark.parametrize("weight", [0.0, 1e-40])
def test_activations_of_zeros_are_quantized_and_denormal_ones_right(
    import_model: ImportModel, weight: float
) -> None:
    module, samples = _Scaled(1.0, 1.0), _samples(8)
    with torch.no_grad():
        module.inner.weight.fill_(weight)
    model = import_model(module, (8,))
    profile = _profile(model, samples)
    converted = convert(model, profile)
    assert _relative_error(module, converted, samples) < 0.03
    (inner,) = [n for n in converted.report.nodes if n.module_path == "inner"]
    assert inner.is_quantized == (weight == 0.0)
    is_told = any("is 0 in all samples" in text for text in profile.warnings)
    assert is_told == (weight == 0.0)


def test_numbers_that_fit_no_scale_are_refused_with_the_layer_and_its_line(
    import_model: ImportModel,
) -> None:
    module, samples = _Scaled(1e-14, 1e14), _samples(8)
    module.inner = nn.Linear(8, 8)
    with torch.no_grad():
        module.inner.bias.fill_(1e12)
    model = import_model(module, (8,))
    named = r"v\d+ \(inner, test_extreme_ranges.py:\d+ in forward\): a bias reaches 1e\+12, "
    with pytest.raises(CalibrationError, match=named) as refused:
        convert(model, _profile(model, samples))
    assert refused.value.reason == "BIAS_NOT_REPRESENTABLE"
