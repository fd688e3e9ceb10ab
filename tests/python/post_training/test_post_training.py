"""Equalization and bias correction: the same model in float, and a better one in integers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import fx, nn

from smidgen import pipeline
from smidgen.calibration import Calibrator
from smidgen.config import (
    CalibrationConfig,
    ConversionConfig,
    LayerPrecision,
    ObserverMethod,
    PostTrainingConfig,
    PrecisionConfig,
    WeightBits,
)
from smidgen.convert import convert_graph
from smidgen.engine import Engine
from smidgen.errors import InvalidConfigError
from smidgen.float_model import FloatModel
from smidgen.passes import fuse_for_inference
from smidgen.post_training import apply_post_training, correct_bias, equalize
from smidgen.profile import ActivationRange, CalibrationProfile

ImportModel = Callable[..., FloatModel]
SHAPE = (3, 12, 12)


class _Net(nn.Module):
    """A plain, a depthwise and a grouped pair, with channels of very different scales."""

    def __init__(self, *, spread: float = 5.0, clamp: type[nn.Module] = nn.ReLU) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1),
            clamp(),
            nn.Conv2d(16, 16, 3, padding=1, groups=16),
            clamp(),
            nn.Conv2d(16, 24, 1),
            clamp(),
            nn.Conv2d(24, 8, 3, groups=2),
        )
        with torch.no_grad():
            for at in (0, 2, 4):
                layer, reader = self.layers[at], self.layers[at + 2]
                factors = 2 ** torch.empty(layer.out_channels).uniform_(-spread, spread)
                layer.weight *= factors.reshape(-1, 1, 1, 1)
                layer.bias *= factors
                grouped = reader.weight.reshape(reader.groups, -1, *reader.weight.shape[1:])
                grouped /= factors.reshape(reader.groups, 1, -1, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.layers(x)
        return found


@pytest.fixture(scope="module")
def samples() -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(size=(48, *SHAPE)).astype(np.float32)


@pytest.fixture(scope="module")
def model(import_model: ImportModel) -> FloatModel:
    return import_model(_Net(), SHAPE)


@pytest.fixture(scope="module")
def profile(model: FloatModel, samples: NDArray[np.float32]) -> CalibrationProfile:
    return pipeline.calibrate(model, [{"x": part} for part in np.split(samples, 2)])


def errors(
    model: FloatModel,
    graph: fx.GraphModule,
    ranges: Mapping[str, ActivationRange],
    samples: NDArray[np.float32],
) -> tuple[NDArray[np.float32], float]:
    """Returns the errors of the integer program, and its signal to noise ratio in dB."""
    exported = model.exported
    program = convert_graph(graph, ranges, inputs=exported.inputs, outputs=exported.outputs)
    (found,) = Engine(program).run({"x": samples}).values()
    with torch.inference_mode():
        expected = model.graph(torch.from_numpy(samples)).numpy()
    error = found - expected
    return error, 10 * float(np.log10((expected**2).sum() / (error**2).sum()))


def test_equalization_leaves_the_float_model_as_it_is(
    model: FloatModel, profile: CalibrationProfile, samples: NDArray[np.float32]
) -> None:
    fused = fuse_for_inference(model.graph)
    graph, pairs = equalize(fused, profile.statistics)
    assert pairs == 3
    with torch.inference_mode():
        before, after = (one(torch.from_numpy(samples)) for one in (model.graph, graph))
    torch.testing.assert_close(after, before, rtol=1e-5, atol=1e-5 * float(before.abs().max()))
    state = fuse_for_inference(model.graph).state_dict()
    assert all(torch.equal(value, state[name]) for name, value in fused.state_dict().items())


def test_equalized_channels_use_the_range(
    model: FloatModel, profile: CalibrationProfile, samples: NDArray[np.float32]
) -> None:
    graph, _ = equalize(fuse_for_inference(model.graph), profile.statistics)
    calibrator = Calibrator(model, graph=graph)
    calibrator.observe({"x": samples})
    after = calibrator.finish().statistics

    def unevenness(found: CalibrationProfile | Mapping, name: str) -> float:  # type: ignore[type-arg]
        high = found[name].channel_high  # type: ignore[index]
        return float(high.max() / np.median(high))

    first = next(name for name, found in after.items() if found.channel_high is not None)
    # What a depthwise layer reads becomes even; other pairs meet half way.
    assert unevenness(after, first) == pytest.approx(1.0, abs=1e-4)
    assert unevenness(profile.statistics, first) > 5


def test_equalization_gains_accuracy(
    model: FloatModel, profile: CalibrationProfile, samples: NDArray[np.float32]
) -> None:
    plain = errors(model, fuse_for_inference(model.graph), profile.ranges, samples)[1]
    config = PostTrainingConfig(equalize=True)
    found = apply_post_training(model, profile, lambda: [{"x": samples}], config)
    assert found.equalized_pairs == 3
    equalized = errors(model, found.graph, found.ranges, samples)[1]
    assert equalized > plain + 6


def test_clamps_that_do_not_scale_are_left_alone(
    import_model: ImportModel, samples: NDArray[np.float32]
) -> None:
    model = import_model(_Net(clamp=nn.ReLU6), SHAPE)
    profile = pipeline.calibrate(model, [{"x": samples}])
    assert equalize(fuse_for_inference(model.graph), profile.statistics)[1] == 0


def test_dead_channels_stay(import_model: ImportModel, samples: NDArray[np.float32]) -> None:
    net = _Net()
    with torch.no_grad():
        net.layers[0].weight[3] = 0
        net.layers[0].bias[3] = 0
        net.layers[4].weight[:, 5] = 0
    model = import_model(net, SHAPE)
    profile = pipeline.calibrate(model, [{"x": samples}])
    graph, _ = equalize(fuse_for_inference(model.graph), profile.statistics)
    assert all(bool(torch.isfinite(value).all()) for value in graph.state_dict().values())


def test_bias_correction_lowers_the_mean_error(
    import_model: ImportModel, samples: NDArray[np.float32]
) -> None:
    model = import_model(_Net(spread=0.0), SHAPE)
    # Ranges that clip move means a lot.
    config = CalibrationConfig(method=ObserverMethod.PERCENTILE, percentile=97.0)
    profile = pipeline.calibrate(model, [{"x": samples}], config)
    fused = fuse_for_inference(model.graph)
    specs = model.exported.inputs
    graph, layers = correct_bias(fused, profile.ranges, [{"x": samples[:32]}], specs)
    assert layers == 4
    held_out = samples[32:]
    plain, corrected = (
        errors(model, one, profile.ranges, held_out)[0].mean(axis=(0, 2, 3))
        for one in (fused, graph)
    )
    assert np.abs(corrected).mean() < 0.5 * np.abs(plain).mean()


def test_a_layer_without_bias_gets_one(
    import_model: ImportModel, samples: NDArray[np.float32]
) -> None:
    torch.manual_seed(1)
    model = import_model(nn.Sequential(nn.Conv2d(3, 4, 3, bias=False)), SHAPE)
    profile = pipeline.calibrate(model, [{model.exported.inputs[0].name: samples}])
    fused = fuse_for_inference(model.graph)
    batch = {model.exported.inputs[0].name: samples}
    graph, layers = correct_bias(fused, profile.ranges, [batch], model.exported.inputs)
    assert layers == 1
    assert sum(value.ndim == 1 for value in graph.state_dict().values()) == 1


def test_conversion_takes_the_options(
    model: FloatModel, profile: CalibrationProfile, samples: NDArray[np.float32]
) -> None:
    options = ConversionConfig(PostTrainingConfig(True, True, True))
    found = pipeline.convert(model, profile, config=options, samples=samples)
    assert found.program.lineage["post_training"] == "equalize,round_weights,correct_bias"
    again = pipeline.convert(model, profile.without_statistics(), config=options, samples=samples)
    assert [a.tobytes() for a in found.program.constants.values()] == [
        a.tobytes() for a in again.program.constants.values()
    ]
    assert "post_training" not in pipeline.convert(model, profile).program.lineage
    with pytest.raises(InvalidConfigError) as caught:
        pipeline.convert(model, profile, config=options)
    assert caught.value.reason == "POST_TRAINING_NEEDS_SAMPLES"


def test_options_that_reckon_with_int8_are_refused_beside_another_precision(
    model: FloatModel, profile: CalibrationProfile, samples: NDArray[np.float32]
) -> None:
    options = ConversionConfig(PostTrainingConfig(correct_bias=True))
    precision = PrecisionConfig(LayerPrecision(WeightBits.INT4, 128))
    with pytest.raises(InvalidConfigError) as caught:
        pipeline.convert(model, profile, precision=precision, config=options, samples=samples)
    assert caught.value.reason == "POST_TRAINING_WITH_PRECISION"
