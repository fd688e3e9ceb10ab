"""Calibration: what it accepts and what it finds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from smidgen.calibration import Calibrator, calibrate
from smidgen.config import CalibrationConfig, ObserverMethod
from smidgen.errors import CalibrationError, InvalidTensorError
from smidgen.float_model import FloatModel, check_belongs
from smidgen.profile import ActivationRange, CalibrationProfile
from smidgen.profile_file import decode_profile, encode_profile

ImportModel = Callable[..., FloatModel]


class _Doubled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 2, bias=False)
        with torch.no_grad():
            self.linear.weight.copy_(torch.tensor([[2.0, 0.0], [0.0, 2.0]]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.linear(x))


@pytest.fixture(scope="module")
def doubled(import_model: ImportModel) -> FloatModel:
    return import_model(_Doubled(), (2,))


def _batch(*rows: tuple[float, float]) -> dict[str, NDArray[np.float32]]:
    return {"x": np.array(rows, np.float32)}


def test_ranges_are_those_of_all_batches(doubled: FloatModel) -> None:
    profile = calibrate(doubled, [_batch((1, -3), (0, 2)), _batch((4, 0))])
    low_high = list(profile.ranges.values())
    assert next(iter(profile.ranges)) == "x"
    assert low_high == [ActivationRange(low=-3, high=4), ActivationRange(low=0, high=8)]
    assert (profile.sample_count, profile.batch_count) == (3, 2)
    assert profile.model_sha256 == doubled.exported.sha256
    assert CalibrationProfile.from_json(profile.to_json()) == profile.without_statistics()
    assert decode_profile(encode_profile(profile)) == profile


def test_streaming_equals_the_one_call(doubled: FloatModel) -> None:
    calibrator = Calibrator(doubled)
    calibrator.observe(_batch((1, 2)))
    assert calibrator.finish() == calibrate(doubled, [_batch((1, 2))])


@pytest.mark.parametrize(
    ("batch", "reason"),
    [
        ({"y": np.zeros((1, 2), np.float32)}, "TENSOR_NAME_MISMATCH"),
        ({"x": np.zeros((1, 2), np.float64)}, "TENSOR_DTYPE_MISMATCH"),
        ({"x": np.zeros((1, 3), np.float32)}, "TENSOR_SHAPE_MISMATCH"),
        ({"x": np.zeros((0, 2), np.float32)}, "TENSOR_SHAPE_MISMATCH"),
        ({"x": np.zeros(2, np.float32)}, "TENSOR_SHAPE_MISMATCH"),
        ({"x": np.array([[np.nan, 0]], np.float32)}, "TENSOR_NOT_FINITE"),
        ({"x": np.array([[0, np.inf]], np.float32)}, "TENSOR_NOT_FINITE"),
    ],
    ids=["name", "dtype", "shape", "empty", "rank", "nan", "infinity"],
)
def test_bad_batches_are_refused(
    doubled: FloatModel, batch: dict[str, NDArray[np.float32]], reason: str
) -> None:
    with pytest.raises(InvalidTensorError) as caught:
        Calibrator(doubled).observe(batch)
    assert caught.value.reason == reason


def test_no_sample_is_an_error(doubled: FloatModel) -> None:
    with pytest.raises(CalibrationError) as caught:
        calibrate(doubled, [])
    assert caught.value.reason == "NO_CALIBRATION_SAMPLES"


def test_activation_that_overflows_is_named(doubled: FloatModel) -> None:
    with pytest.raises(CalibrationError, match="not finite for finite inputs") as caught:
        calibrate(doubled, [_batch((3e38, 0))])
    assert caught.value.reason == "ACTIVATION_NOT_FINITE"


def test_warnings(doubled: FloatModel) -> None:
    config = CalibrationConfig(method=ObserverMethod.MOVING_AVERAGE)
    few, one_batch, constant = calibrate(doubled, [_batch((-1, -2))], config).warnings
    assert "only 1 sample was seen;" in few
    assert "one batch" in one_batch
    assert "is 0 in all samples" in constant
    many = {"x": np.random.default_rng(0).normal(size=(32, 2)).astype(np.float32)}
    assert calibrate(doubled, [many, many]).warnings == ()


def test_dead_and_constant_channels_are_named(import_model: ImportModel) -> None:
    linear = nn.Linear(2, 12)
    with torch.no_grad():
        linear.weight.zero_()
        linear.weight[3, 0] = 1.0
        linear.bias.fill_(-1.0)
        linear.bias[3] = 0.0
    samples = np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32)
    batches = [{"input": samples[:20]}, {"input": samples[20:]}]
    (constant,) = calibrate(import_model(nn.Sequential(linear), (2,)), batches).warnings
    assert constant.startswith("11 of 12 channels of 0 (")
    assert "never change in all samples (0, 1, 2, 4, 5, 6, 7, 8 and 3 more)" in constant
    (dead,) = calibrate(import_model(nn.Sequential(linear, nn.ReLU()), (2,)), batches).warnings
    assert dead.startswith("11 of 12 channels of 0 (")
    assert "are dead in all samples (0, 1, 2, 4, 5, 6, 7, 8 and 3 more)" in dead


def _scaled(scales: list[float], *, is_relu: bool) -> nn.Module:
    """A layer whose channels are inputs times scales."""
    linear = nn.Linear(2, len(scales), bias=False)
    with torch.no_grad():
        linear.weight.zero_()
        linear.weight[:, 0] = torch.tensor(scales)
    return nn.Sequential(linear, nn.ReLU()) if is_relu else nn.Sequential(linear)


@pytest.mark.parametrize(
    ("scales", "is_relu", "told"),
    [
        # The range of a signed tensor is twice the reach of its largest channel.
        ([1.0] * 15 + [1 / 33], False, "1 of 16 channels of 0 ("),
        ([1.0] * 15 + [1 / 31], False, None),
        ([1.0] * 12 + [1 / 65] * 4, True, "4 of 16 channels of 0 ("),
        ([1.0] * 12 + [1 / 63] * 4, True, None),
        ([1.0] * 13 + [1e-3] * 3, True, None),  # as many may be nearly dead
        ([1.0] * 3 + [0.0] * 12 + [1e-3], True, "1 of 16 channels of 0 ("),  # a quarter is alive
    ],
)
def test_channels_that_one_scale_is_too_coarse_for_are_counted(
    import_model: ImportModel, scales: list[float], is_relu: bool, told: str | None
) -> None:
    half = np.random.default_rng(0).uniform(-1, 1, (20, 2)).astype(np.float32)
    half[0], half[1] = 1, -1
    batches = [{"input": half}, {"input": half[::-1].copy()}]
    model = import_model(_scaled(scales, is_relu=is_relu), (2,))
    found = [text for text in calibrate(model, batches).warnings if "coarse" in text]
    assert len(found) == (told is not None)
    if told is not None:
        first = next(index for index, scale in enumerate(scales) if 0 < scale < 1)
        assert found[0].startswith(told)
        assert "less than 1/64 of the range" in found[0]
        assert f"coarse for them ({first}" in found[0]
        assert "--equalize" in found[0]
        assert "--override NAME=float" in found[0]


def test_every_method_finds_a_range_within_what_was_seen(doubled: FloatModel) -> None:
    samples = np.random.default_rng(0).standard_t(3, size=(4000, 2)).astype(np.float32)
    batches = [{"x": part} for part in np.split(samples, 4)]
    whole = calibrate(doubled, batches)
    for method in ObserverMethod:
        is_percentile = method is ObserverMethod.PERCENTILE
        config = CalibrationConfig(method, percentile=99.0 if is_percentile else 99.99)
        profile = calibrate(doubled, batches, config)
        assert profile.statistics == whole.statistics
        for name, found in profile.ranges.items():
            assert whole.ranges[name].low <= found.low <= found.high <= whole.ranges[name].high
        if method is not ObserverMethod.MOVING_AVERAGE:
            assert encode_profile(whole.with_method(config)) == encode_profile(profile)


def test_profile_of_another_model_is_refused(
    doubled: FloatModel, import_model: ImportModel
) -> None:
    other = import_model(nn.Sequential(nn.Linear(2, 3)), (2,))
    profile = calibrate(doubled, [_batch((1, 2))])
    check_belongs(doubled, profile)
    with pytest.raises(CalibrationError) as caught:
        check_belongs(other, profile)
    assert caught.value.reason == "PROFILE_MODEL_MISMATCH"
