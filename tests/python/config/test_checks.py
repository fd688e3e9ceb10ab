"""Bounds in messages are numbers that can be typed again."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from smidgen.config import BudgetConfig, LossConfig, QATConfig, StageConfig
from smidgen.config.checks import in_digits
from smidgen.errors import InvalidConfigError


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: QATConfig(seed=2**63),
            "seed is 9223372036854775808, expected a value at least -9223372036854775808 and at "
            "most 9223372036854775807",
        ),
        (
            lambda: StageConfig(warm_up_steps=-1),
            "stages.warm_up_steps is -1, expected a value at least 0 and at most 1000000000",
        ),
        (
            lambda: BudgetConfig(steps=0),
            "budget.steps is 0, expected a value at least 1 and at most 1000000000000",
        ),
        (
            lambda: LossConfig(weight_start=1e7),
            "loss.weight_start is 10000000.0, expected a value at least 0 and at most 1000000",
        ),
        (
            lambda: LossConfig(label_smoothing=1.0),
            "loss.label_smoothing is 1.0, expected a value at least 0 and at most 0.999",
        ),
    ],
    ids=["seed", "warm-up", "steps", "weight", "share"],
)
def test_bounds_are_written_in_digits(make: Callable[[], object], message: str) -> None:
    with pytest.raises(InvalidConfigError) as caught:
        make()
    assert caught.value.message == message


def test_numbers_in_digits() -> None:
    written = [in_digits(value) for value in (2**63 - 1, -1e6, 0.0, 1e-6, 0.25)]
    assert written == ["9223372036854775807", "-1000000", "0", "1e-06", "0.25"]
