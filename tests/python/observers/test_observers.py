"""What observers find."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.observers import HistogramObserver, MovingAverageObserver
from smidgen.profile import ActivationRange
from smidgen.statistics import ActivationStatistics

batches = st.lists(
    st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=8), min_size=1, max_size=5
)


def observed(parts: list[torch.Tensor], *, channel_axis: int | None = None) -> ActivationStatistics:
    observer = HistogramObserver(channel_axis=channel_axis)
    for part in parts:
        low, high = torch.aminmax(part)
        observer.observe(part, float(low), float(high))
    return observer.statistics


@settings(max_examples=50, deadline=None)
@given(batches)
def test_order_and_size_of_batches_make_no_difference(values: list[list[float]]) -> None:
    parts = [torch.tensor(batch) for batch in values]
    every = torch.cat(parts)
    whole = observed([every])
    assert observed(parts) == observed(parts[::-1]) == whole
    assert (whole.low, whole.high) == (float(every.min()), float(every.max()))
    assert whole.histogram.total == every.numel()


def test_negative_zero_is_zero() -> None:
    first = observed([torch.tensor([-0.0]), torch.tensor([0.0])])
    assert str((first.low, first.high)) == "(0.0, 0.0)"


def test_channels_have_their_own_ends() -> None:
    values = torch.tensor([[[1.0, 2.0], [5.0, 5.0], [-0.0, 0.0]]])
    more = torch.tensor([[[0.0, 9.0], [5.0, 5.0], [0.0, 0.0]]])
    found = observed([values, more], channel_axis=1)
    assert found.channel_low is not None
    assert found.channel_high is not None
    assert found.channel_low.tolist() == [0.0, 5.0, 0.0]
    assert found.channel_high.tolist() == [9.0, 5.0, 0.0]
    assert not np.signbit(found.channel_low).any()
    assert found.constant_channels == (1, 2)


def test_last_axis_may_be_the_channels() -> None:
    found = observed([torch.tensor([[1.0, -2.0], [3.0, -4.0]])], channel_axis=-1)
    assert found.channel_low is not None
    assert found.channel_low.tolist() == [1.0, -4.0]


def test_strided_values_are_counted() -> None:
    values = torch.arange(12.0).reshape(3, 4)
    assert observed([values.t()]) == observed([values])


def test_moving_average_by_hand() -> None:
    observer = MovingAverageObserver(0.5)
    for high in (1.0, 3.0, 3.0):
        observer.observe(torch.tensor([0.0, high]))
    assert observer.range == ActivationRange(low=0.0, high=2.5)


def test_first_batch_counts_whole() -> None:
    observer = MovingAverageObserver(0.25)
    observer.observe(torch.tensor([[-1.0, 3.0], [0.5, 2.0]]))
    assert observer.range == ActivationRange(low=-1.0, high=3.0)


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
