"""Histograms with the chosen range."""

from __future__ import annotations

import re

from smidgen.html_report.charts.histogram import histogram
from smidgen.html_report.document import ActivationView


def _bars(view: ActivationView) -> dict[str, int]:
    """Bars by colour."""
    paths = re.findall(r'd="([^"]*)" class="fill (\w+)"', histogram(view))
    return {colour: outline.count("M") for outline, colour in paths}


def test_what_is_clipped_is_red_and_the_rest_is_not() -> None:
    view = ActivationView(
        "n", low=-1.0, high=1.0, scale=2 / 255, zero_point=128, edges=(-2.0, 2.0), counts=(3,) * 8
    )
    assert _bars(view) == {"bad": 4, "c1": 4}


def test_many_bins_are_gathered() -> None:
    view = ActivationView(
        "n", low=0.0, high=1.0, scale=1 / 255, zero_point=0, edges=(0.0, 1.0), counts=(1,) * 2048
    )
    assert _bars(view) == {"c1": 40}


def test_a_range_of_one_value_is_drawn() -> None:
    view = ActivationView("n", 0.0, 0.0, 1.0, 0, edges=(0.0, 0.0), counts=(7,))
    assert 'class="limit"' in histogram(view)
