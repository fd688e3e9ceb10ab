"""What a gate lets pass, and what its refusals say."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen.config import GateConfig
from smidgen.errors import GateError, InvalidConfigError
from smidgen.gate import Measured, check_gate, holds_drop
from smidgen.report import GateReport


def test_a_kept_gate_reports_its_figures() -> None:
    gate = GateConfig(max_drop=0.02, min_sqnr_db=20.0)
    found = check_gate(gate, Measured(100, 2, 20.0, 0.97, 0.95))
    assert found == GateReport(100, max_drop=0.02, drop=0.02, min_sqnr_db=20.0, sqnr_db=20.0)
    better = check_gate(GateConfig(max_drop=0.0), Measured(100, -1, math.inf))
    assert better == GateReport(100, max_drop=0.0, drop=-0.01)


def test_a_failed_drop_says_by_how_much() -> None:
    with pytest.raises(GateError) as caught:
        check_gate(GateConfig(max_drop=0.01), Measured(400, 13, 30.0, 0.975, 0.9425))
    error = caught.value
    assert error.reason == "ACCURACY_GATE_FAILED"
    assert error.message.startswith(
        "accuracy drops by 0.0325, from 0.9750 in float to 0.9425 on 400 samples; "
        "max_drop allows 0.01, missed by 0.0225. Nothing was published; "
    )
    assert error.metadata == {
        "limit": "max_drop",
        "found": "0.0325",
        "allowed": "0.01",
        "missed_by": "0.0225",
        "sample_count": "400",
    }


def test_without_labels_the_two_disagree() -> None:
    with pytest.raises(GateError, match=r"classes of 3 of 50 samples, a drop of 0\.0600"):
        check_gate(GateConfig(max_drop=0.05), Measured(50, 3, 30.0))


@pytest.mark.parametrize(
    ("sqnr_db", "text"),
    [(9.5, "is 9.50 dB .* missed by 10.50 dB"), (-math.inf, "is -inf dB .* missed by inf dB")],
)
def test_a_failed_ratio_says_by_how_much(sqnr_db: float, text: str) -> None:
    with pytest.raises(GateError, match=text) as caught:
        check_gate(GateConfig(min_sqnr_db=20.0), Measured(8, None, sqnr_db))
    assert caught.value.metadata["limit"] == "min_sqnr_db"


def test_both_limits_are_named() -> None:
    with pytest.raises(GateError, match=r"max_drop allows 0.*signal to noise ratio is 9.00 dB"):
        check_gate(GateConfig(max_drop=0.0, min_sqnr_db=20.0), Measured(8, 1, 9.0))


@given(st.integers(0, 1000), st.integers(1, 1000))
def test_the_limit_itself_is_allowed_as_a_decimal(thousandths: int, hundreds: int) -> None:
    count = 1000 * hundreds
    lost = int(Fraction(thousandths, 1000) * count)
    assert holds_drop(float(f"{thousandths / 1000:.3f}"), count, lost)
    assert not holds_drop(float(f"{thousandths / 1000:.3f}"), count, lost + 1)


@pytest.mark.parametrize(
    "fields",
    [
        {"max_drop": -0.01},
        {"max_drop": 1.01},
        {"max_drop": math.nan},
        {"min_sqnr_db": math.inf},
        {"min_sqnr_db": -201.0},
    ],
)
def test_limits_have_bounds(fields: dict[str, float]) -> None:
    with pytest.raises(InvalidConfigError, match=next(iter(fields))):
        GateConfig(**fields)
