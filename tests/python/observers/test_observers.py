"""Range estimators."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.config import CalibrationConfig, ObserverMethod
from smidgen.observers import OBSERVERS, MinMaxObserver, MovingAverageObserver, make_observer
from smidgen.profile import ActivationRange

batches = st.lists(
    st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=8), min_size=1, max_size=5
)


def test_every_method_has_an_observer() -> None:
    assert set(OBSERVERS) == set(ObserverMethod)


@pytest.mark.parametrize("method", list(ObserverMethod))
def test_first_batch_counts_whole(method: ObserverMethod) -> None:
    observer = make_observer(CalibrationConfig(method=method, averaging_constant=0.25))
    observer.observe(torch.tensor([[-1.0, 3.0], [0.5, 2.0]]))
    assert observer.range == ActivationRange(low=-1.0, high=3.0)


@settings(max_examples=50, deadline=None)
@given(batches)
def test_min_max_holds_every_value_in_any_order(values: list[list[float]]) -> None:
    forward, backward = MinMaxObserver(), MinMaxObserver()
    for batch in values:
        forward.observe(torch.tensor(batch))
    for batch in reversed(values):
        backward.observe(torch.tensor(batch))
    every = torch.tensor([value for batch in values for value in batch])
    assert forward.range == ActivationRange(low=float(every.min()), high=float(every.max()))
    assert forward.range == backward.range


def test_merging_equals_observing_all() -> None:
    left, right = MinMaxObserver(), MinMaxObserver()
    left.observe(torch.tensor([1.0, 2.0]))
    right.observe(torch.tensor([-4.0, 0.0]))
    left.merge(right)
    assert left.range == ActivationRange(low=-4.0, high=2.0)


def test_moving_average_by_hand() -> None:
    observer = MovingAverageObserver(0.5)
    for high in (1.0, 3.0, 3.0):
        observer.observe(torch.tensor([0.0, high]))
    assert observer.range == ActivationRange(low=0.0, high=2.5)


@settings(max_examples=50, deadline=None)
@given(batches, st.floats(0.01, 1.0))
def test_moving_average_stays_within_what_was_seen(
    values: list[list[float]], constant: float
) -> None:
    observer = MovingAverageObserver(constant)
    for batch in values:
        observer.observe(torch.tensor(batch))
    every = torch.tensor([value for batch in values for value in batch])
    slack = 1e-4
    assert float(every.min()) - slack <= observer.range.low
    assert observer.range.low <= observer.range.high
    assert observer.range.high <= float(every.max()) + slack
