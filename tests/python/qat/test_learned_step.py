"""Ranges that training learns."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from examples.digits.data import Digits, load_split
from smidgen.calibration import calibrate
from smidgen.config import QATConfig, RangeSource
from smidgen.errors import TrainingError
from smidgen.float_model import FloatModel
from smidgen.formats.dataset import Dataset
from smidgen.profile import ActivationRange
from smidgen.qat.learned_step import LearnedStep, learned_rounding
from smidgen.qat.prepare import finish_qat, prepare_qat
from smidgen.qat.training import train_qat
from smidgen.qparams import QParams

ImportModel = Callable[..., FloatModel]


def test_values_are_those_of_the_step() -> None:
    module = LearnedStep(ActivationRange(low=-1.0, high=1.5))
    start = module.qparams
    with torch.no_grad():
        module.growth.fill_(np.log(2.0))
    assert module.qparams.scale == pytest.approx(2 * start.scale, rel=1e-6)
    assert module.qparams.zero_point == start.zero_point
    x = torch.linspace(-4, 4, 999)
    expected = torch.fake_quantize_per_tensor_affine(
        x, module.qparams.scale, start.zero_point, 0, 255
    )
    assert torch.allclose(module.train()(x), expected, atol=1e-6)
    assert torch.equal(module.train()(x), module.eval()(x))


@pytest.mark.parametrize("zero_point", [0, 100, 255])
def test_gradient_of_the_step_is_that_of_finite_differences(zero_point: int) -> None:
    """The rounded integers are held: what is differentiated is the error that they leave."""
    scale, count = 0.125, 501
    x = torch.linspace(-60.0, 60.0, count) + 0.013
    weights = torch.randn(count, generator=torch.Generator().manual_seed(0))
    growth = torch.zeros((), requires_grad=True)
    learned_rounding(x, growth, QParams(scale, zero_point)).backward(weights)
    low, high = -zero_point, 255 - zero_point
    quotient = x.double() / scale
    offset = quotient.clamp(low, high).round() - quotient.clamp(low, high)

    def value(log_step: float) -> float:
        step = scale * np.exp(log_step)
        held = (x.double() / step).clamp(low, high) + offset
        return float((held * step * weights).sum())

    width = 1e-6
    expected = (value(width) - value(-width)) / (2 * width) / np.sqrt(count * 255)
    assert growth.grad is not None
    assert float(growth.grad) == pytest.approx(expected, rel=1e-4)


def test_gradient_of_values_passes_inside_the_range() -> None:
    x = torch.tensor([-1.0, 0.0, 0.3, 25.5, 25.6, float("nan")], requires_grad=True)
    growth = torch.zeros((), requires_grad=True)
    learned_rounding(x, growth, QParams(0.125, 0)).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 1.0, 1.0, 1.0, 1.0, 0.0]


def test_state_is_a_range_and_comes_back_exactly() -> None:
    module = LearnedStep(ActivationRange(low=-0.1, high=0.3))
    with torch.no_grad():
        module.growth.fill_(0.123)
    state = module.state_dict()
    assert list(state) == ["ends"]
    other = LearnedStep(ActivationRange(low=0.0, high=9.0))
    other.load_state_dict(state)
    assert other.range == module.range
    assert other.qparams == module.qparams
    assert float(other.growth.detach()) == 0.0
    assert list(copy.deepcopy(module).state_dict()) == ["ends"]


@pytest.mark.parametrize("growth", [1e4, -1e4])
def test_steps_stay_within_the_scales(growth: float) -> None:
    module = LearnedStep(ActivationRange(low=0.0, high=1.0))
    with torch.no_grad():
        module.growth.fill_(growth)
    assert module.qparams.scale == 2.0 ** (60 if growth > 0 else -60)


def test_a_step_that_is_no_number_stops_training() -> None:
    module = LearnedStep(ActivationRange(low=0.0, high=1.0))
    with torch.no_grad():
        module.growth.fill_(float("nan"))
    with pytest.raises(TrainingError, match="lower the learning rate"):
        module(torch.ones(3))


class _Net(nn.Module):
    """A small net for digits."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 16, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(16)
        self.depthwise = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.head = nn.Linear(256, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.max_pool2d(torch.relu(self.norm(self.conv(x))), 2)
        y: torch.Tensor = self.head(torch.relu(self.depthwise(x)).flatten(1))
        return y


def _fitted(digits: Digits) -> nn.Module:
    torch.manual_seed(0)
    net = _Net()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    images, labels = map(torch.from_numpy, (digits.training_images, digits.training_labels))
    for _ in range(5):
        for batch in torch.randperm(len(labels)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(images[batch]), labels[batch]).backward()
            optimizer.step()
    return net


def test_steps_that_are_far_too_wide_are_learned(import_model: ImportModel) -> None:
    digits = load_split()
    model = import_model(_fitted(digits), (1, 8, 8))
    (name,) = (spec.name for spec in model.exported.inputs)
    images, labels = digits.training_images, digits.training_labels
    dataset = Dataset({name: images, "labels": labels}, len(labels))
    calibrated = calibrate(model, [{name: images[:256]}])
    wide = {
        key: ActivationRange(low=30.0 * found.low, high=30.0 * found.high)
        for key, found in calibrated.ranges.items()
    }
    profile = dataclasses.replace(calibrated, ranges=wide)
    config = QATConfig(
        epochs=4, fine_tune_epochs=1, learning_rate=1e-2, activations=RangeSource.LEARNED
    )
    trained = train_qat(model, profile, dataset, config)
    assert trained.accuracy is not None
    assert trained.float_accuracy is not None
    assert trained.accuracy >= trained.float_accuracy - 0.05
    assert trained.best_epoch > 0
    prepared = prepare_qat(model.graph, profile.ranges)
    prepared.load_state_dict(dict(trained.state))
    _, ranges = finish_qat(prepared)
    growths = [found.high / wide[key].high for key, found in ranges.items()]
    assert np.median(growths) < 0.9
