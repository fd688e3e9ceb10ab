"""What is traced right now: of the call, and of the inference that is computed for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import Protocol


class TimedSpan(Protocol):
    """A span to which others are added once it is known how long they took."""

    @property
    def trace_id(self) -> str:
        """The trace, 32 hexadecimal digits."""

    def add(
        self,
        name: str,
        start_s: float,
        end_s: float,
        *,
        attributes: Mapping[str, str | int] | None = None,
        linked: Sequence[TimedSpan] = (),
        error: str | None = None,
    ) -> TimedSpan:
        """Adds a span within this one.

        Args:
            name: What it is.
            start_s: When it began, by time.perf_counter.
            end_s: When it ended, by the same.
            attributes: What is known of it.
            linked: Spans of other traces that it has to do with.
            error: Why it failed, if it did.
        """


CALL_SPAN: ContextVar[TimedSpan | None] = ContextVar("call_span", default=None)
"""The span of the call that is answered; None where it is not recorded."""
