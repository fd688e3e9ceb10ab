"""Profiles: merged in any order, extended, chosen anew, saved and read."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.config import CalibrationConfig, ObserverMethod
from smidgen.errors import CalibrationError
from smidgen.histogram import count_values
from smidgen.profile import ActivationRange, CalibrationProfile, make_profile, merge_profiles
from smidgen.profile_file import decode_profile, encode_profile
from smidgen.statistics import ActivationStatistics

SHA256 = "0" * 64
SQUARED_ERROR = CalibrationConfig(method=ObserverMethod.SQUARED_ERROR)


def statistics(values: Sequence[float], *, channels: int | None = None) -> ActivationStatistics:
    array = np.array(values, np.float32)
    low, high = float(array.min()) + 0.0, float(array.max()) + 0.0
    ends = None if channels is None else np.full(channels, low, np.float32)
    return ActivationStatistics(
        low, high, count_values(array, low, high), ends, None if ends is None else ends + 1
    )


def profile(
    values: Sequence[float],
    config: CalibrationConfig | None = None,
    *,
    sha256: str = SHA256,
    names: tuple[str, ...] = ("x", "conv"),
) -> CalibrationProfile:
    found = {name: statistics(values, channels=i or None) for i, name in enumerate(names)}
    return make_profile(sha256, found, config or CalibrationConfig(), len(values), 1)


values = st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=10)


@settings(max_examples=100, deadline=None)
@given(values, values, values, st.sampled_from([CalibrationConfig(), SQUARED_ERROR]))
def test_merging_has_no_order_to_the_byte(
    a: list[float], b: list[float], c: list[float], config: CalibrationConfig
) -> None:
    x, y, z = (profile(part, config) for part in (a, b, c))
    left = encode_profile(merge_profiles(merge_profiles(x, y), z))
    right = encode_profile(merge_profiles(z, merge_profiles(y, x)))
    assert left == right
    merged = decode_profile(left)
    assert merged.sample_count == len(a) + len(b) + len(c)
    assert merged.batch_count == 3
    whole = profile(a + b + c, config)
    assert (merged.statistics["x"], merged.ranges) == (whole.statistics["x"], whole.ranges)


def test_warnings_are_those_of_all_samples() -> None:
    few = profile([1.0, 2.0] * 10)
    assert [text.split()[0] for text in few.warnings] == ["only", "all"]
    assert merge_profiles(few, few).warnings == ()


def test_another_method_needs_no_samples() -> None:
    samples = np.random.default_rng(0).standard_t(2, size=5000).tolist()
    wide = profile(samples)
    narrow = wide.with_method(SQUARED_ERROR)
    assert narrow == profile(samples, SQUARED_ERROR)
    assert narrow.ranges["x"].high < wide.ranges["x"].high
    assert narrow.with_method(CalibrationConfig()) == wide


def test_methods_must_agree_unless_one_is_said() -> None:
    one, other = profile([1.0, 2.0]), profile([3.0], SQUARED_ERROR)
    with pytest.raises(CalibrationError) as caught:
        merge_profiles(one, other)
    assert caught.value.reason == "PROFILE_METHOD_MISMATCH"
    assert merge_profiles(one, other, CalibrationConfig()) == merge_profiles(
        one, other.with_method(CalibrationConfig())
    )


def test_moving_average_is_not_merged() -> None:
    average = CalibrationConfig(method=ObserverMethod.MOVING_AVERAGE)
    found = {"x": statistics([1.0, 4.0])}
    moving = make_profile(SHA256, found, average, 2, 2, averages={"x": ActivationRange(1.0, 3.0)})
    for attempt in (lambda: merge_profiles(moving, moving), lambda: moving.with_method(average)):
        with pytest.raises(CalibrationError) as caught:
            attempt()
        assert caught.value.reason == "METHOD_NEEDS_SAMPLES"
    assert moving.with_method(CalibrationConfig()).ranges == {"x": ActivationRange(1.0, 4.0)}


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (profile([1.0], sha256="1" * 64), "PROFILE_MODEL_MISMATCH"),
        (profile([1.0], names=("x", "other")), "PROFILE_MODEL_MISMATCH"),
        (profile([1.0], names=("conv", "y", "x")), "PROFILE_MODEL_MISMATCH"),
        (profile([1.0]).without_statistics(), "PROFILE_WITHOUT_STATISTICS"),
    ],
)
def test_profiles_of_other_models_are_refused(other: CalibrationProfile, reason: str) -> None:
    with pytest.raises(CalibrationError) as caught:
        merge_profiles(profile([1.0]), other)
    assert caught.value.reason == reason


def test_endless_doubling_is_refused() -> None:
    found = profile([1.0, 2.0])
    for _ in range(52):
        found = merge_profiles(found, found)
    with pytest.raises(CalibrationError) as caught:
        merge_profiles(found, found)
    assert caught.value.reason == "PROFILE_TOO_LARGE"
    assert found.statistics["x"].histogram.total == 1 << 53


def test_bytes_hold_everything() -> None:
    found = profile([-1.0, 0.25, 7.5], SQUARED_ERROR, names=("x", "a/é", "conv"))
    encoded = encode_profile(found)
    again = decode_profile(encoded)
    assert again == found
    assert encode_profile(again) == encoded
    assert again.statistics["x"].channel_low is None
    assert decode_profile(found.to_json()) == found.without_statistics()


def test_profile_of_the_first_version_is_read() -> None:
    document = {
        "format_version": 1,
        "model_sha256": SHA256,
        "method": "moving_average",
        "sample_count": 64,
        "batch_count": 2,
        "ranges": {"x": {"low": -1.0, "high": 2.5}},
        "warnings": ["careful"],
    }
    found = decode_profile(json.dumps(document).encode())
    assert found.method is ObserverMethod.MOVING_AVERAGE
    assert found.ranges == {"x": ActivationRange(-1.0, 2.5)}
    assert found.warnings == ("careful",)
    assert found.histogram("x") is None
    assert found.clipped_shares == {}
    with pytest.raises(CalibrationError) as caught:
        found.with_method(CalibrationConfig())
    assert caught.value.reason == "PROFILE_WITHOUT_STATISTICS"


def test_damaged_bytes_are_no_profile() -> None:
    encoded = encode_profile(profile([1.0, 2.0]))
    for damaged in (b"", encoded[:-1], encoded + b"\0", b"\x08" + bytes(20), b"{}", encoded[:40]):
        with pytest.raises(CalibrationError) as caught:
            decode_profile(damaged)
        assert caught.value.reason == "INVALID_PROFILE"


def test_clipped_share_counts_what_lies_outside() -> None:
    config = CalibrationConfig(method=ObserverMethod.PERCENTILE, percentile=90.0)
    found = profile([float(i) for i in range(-100, 100)], config)
    chosen = found.ranges["x"]
    outside = sum(not chosen.low <= i <= chosen.high for i in range(-100, 100))
    assert found.clipped_shares["x"] == outside / 200 == 0.2
    assert profile([1.0, 2.0, 3.0]).clipped_shares["x"] == 0.0
    assert profile([-3.0, -1.0]).clipped_shares["x"] == 0.0


def test_warnings_name_modules_through_merging_and_bytes() -> None:
    found = {"v1": statistics([0.0] * 40)}
    paths = {"v1": "blocks.3.conv"}
    named = make_profile(SHA256, found, CalibrationConfig(), 40, 2, module_paths=paths)
    plain = make_profile(SHA256, found, CalibrationConfig(), 40, 2)
    expected = "activation blocks.3.conv (v1) is 0 in all samples; its range is a guess"
    again = decode_profile(encode_profile(named))
    assert again == named
    for whole in (
        named,
        again.with_method(SQUARED_ERROR),
        merge_profiles(named, plain),
        merge_profiles(plain, named),
    ):
        assert whole.warnings == (expected,)
        assert whole.module_paths == paths
    assert plain.warnings == ("activation v1 is 0 in all samples; its range is a guess",)
    assert b"module_paths" not in plain.to_json()


def test_a_million_channels_are_one_short_warning() -> None:
    ends = np.zeros(1_000_000, np.float32)
    found = statistics([0.0, 1.0])
    wide = ActivationStatistics(found.low, found.high, found.histogram, ends, ends)
    many = make_profile(SHA256, {"x": wide}, CalibrationConfig(), 64, 2)
    (warning,) = many.warnings
    assert warning.startswith("1000000 of 1000000 channels of x are dead")
    assert len(warning) < 200
    assert decode_profile(encode_profile(many)) == many
