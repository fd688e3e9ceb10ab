"""Places and ticks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen.html_report.charts.axis import Axis, linear_axis, loss_axis


def test_a_linear_axis_is_linear() -> None:
    axis = Axis(0.0, 10.0, 100.0, 200.0)
    assert [axis.place(value) for value in (0.0, 2.5, 10.0)] == [100.0, 125.0, 200.0]


def test_values_outside_lie_at_the_ends() -> None:
    axis = Axis(0.0, 10.0, 200.0, 100.0)
    assert (axis.place(-5.0), axis.place(99.0)) == (200.0, 100.0)


def test_equal_ratios_are_equal_distances_on_a_logarithmic_axis() -> None:
    axis = Axis(0.01, 100.0, 0.0, 400.0, is_log=True)
    assert [axis.place(value) for value in (0.1, 1.0, 10.0)] == pytest.approx([100.0, 200.0, 300.0])
    assert axis.ticks() == pytest.approx([0.01, 0.1, 1.0, 10.0, 100.0])


def test_ticks_are_round() -> None:
    assert linear_axis([0.0, 9.3], 0.0, 1.0, from_zero=True).ticks() == [0.0, 2.0, 4.0, 6.0, 8.0]


def test_losses_of_several_orders_are_logarithmic_and_others_begin_at_0() -> None:
    assert loss_axis([0.001, 2.0], 0.0, 1.0).is_log
    plain = loss_axis([0.5, 2.0], 0.0, 1.0)
    assert (plain.is_log, plain.low) == (False, 0.0)
    assert not loss_axis([0.0, 2.0], 0.0, 1.0).is_log


def test_equal_values_have_room_on_both_sides() -> None:
    axis = linear_axis([100.0, 100.0], 0.0, 1.0, from_zero=False)
    assert (axis.low, axis.high) == (99.0, 101.0)


def test_the_room_beside_equal_values_ends_where_no_value_can_be() -> None:
    top, bottom = (
        linear_axis([value, value], 0.0, 1.0, from_zero=False, within=(0.0, 100.0))
        for value in (100.0, 0.0)
    )
    assert (top.low, top.high) == (99.0, 100.0)
    assert (bottom.low, bottom.high) == (0.0, 1.0)


def test_nothing_finite_still_has_an_axis() -> None:
    axis = linear_axis([float("nan"), float("inf")], 0.0, 1.0, from_zero=True)
    assert (axis.low, axis.high) == (0.0, 1.0)


@given(st.lists(st.floats(-1e30, 1e30), min_size=1), st.booleans())
def test_ticks_lie_on_the_axis_and_are_few(values: list[float], from_zero: bool) -> None:
    axis = linear_axis(values, 0.0, 500.0, from_zero=from_zero)
    ticks = axis.ticks()
    assert len(ticks) <= 8
    assert all(0.0 <= axis.place(tick) <= 500.0 for tick in ticks)
