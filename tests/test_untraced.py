"""What is not followed computes the same, and all is followed again afterwards."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest

from tests.untraced import untraced, untraced_environment


def _tracer(frame: FrameType, event: str, argument: Any) -> None:
    """Follows calls, and nothing in them."""


@pytest.fixture
def followed() -> Iterator[None]:
    before = sys.gettrace()
    sys.settrace(_tracer)
    yield
    sys.settrace(before)


@pytest.mark.usefixtures("followed")
def test_nothing_is_followed_meanwhile() -> None:
    assert untraced(lambda *values, by: (sys.gettrace(), values, by))(1, 2, by=3) == (
        None,
        (1, 2),
        3,
    )
    assert sys.gettrace() is _tracer


@pytest.mark.usefixtures("followed")
def test_all_is_followed_again_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError):
        untraced(lambda: 1 // 0)()
    assert sys.gettrace() is _tracer


def test_only_the_variable_of_coverage_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COVERAGE_PROCESS_CONFIG", "e30=")
    monkeypatch.setenv("ANOTHER", "1")
    found = untraced_environment()
    assert "COVERAGE_PROCESS_CONFIG" not in found
    assert found["ANOTHER"] == "1"
