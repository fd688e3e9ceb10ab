"""The moving average of weights, by arithmetic."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from smidgen.qat.average import WeightAverage


def test_average_follows_the_weights() -> None:
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 1.0)
    average = WeightAverage(model, 0.5)
    expected = 1.0
    for step, value in enumerate([2.0, 4.0, 8.0], start=1):
        nn.init.constant_(model.weight, value)
        average.update()
        kept = min(0.5, (1 + step) / (10 + step))
        expected = kept * expected + (1 - kept) * value
        assert float(average.values["weight"]) == pytest.approx(expected)


def test_average_takes_the_place_of_the_weights_for_a_while() -> None:
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 3.0)
    average = WeightAverage(model, 0.0)
    nn.init.constant_(model.weight, 5.0)
    with average.applied():
        assert model.weight.item() == 3.0
    assert model.weight.item() == 5.0


def test_average_goes_on_where_another_was() -> None:
    model = nn.Linear(2, 2)
    first = WeightAverage(model, 0.9)
    first.update()
    second = WeightAverage(nn.Linear(2, 2), 0.9)
    second.restore(first.values, first.step_count)
    assert second.step_count == 1
    assert all(torch.equal(second.values[name], first.values[name]) for name in first.values)
