"""Fewer, averaged progress reports: each one is a durable transaction on the server."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from smidgen.progress import TrainingProgress

_LEAST_SECONDS = 0.2


class ProgressThrottle:
    """Passes on at most five reports a second, and every report of an evaluation.

    Losses are averaged over the reports held back, weighted by their steps.
    """

    def __init__(
        self,
        sink: Callable[[TrainingProgress], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sink = sink
        self._clock = clock
        self._last_sent = clock()
        self._last_step = 0
        self._pending: TrainingProgress | None = None
        self._pending_steps = 0

    def __call__(self, report: TrainingProgress) -> None:
        """Takes a report."""
        if self._pending is not None and self._pending.stage is not report.stage:
            self.flush()
        steps = max(report.step - self._last_step, 0)
        self._last_step = report.step
        self._pending = self._merge(report, steps)
        self._pending_steps += steps
        if report.is_evaluated or self._clock() - self._last_sent >= _LEAST_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Passes on what is held back."""
        if self._pending is not None:
            self._sink(self._pending)
        self._pending, self._pending_steps = None, 0
        self._last_sent = self._clock()

    def _merge(self, report: TrainingProgress, steps: int) -> TrainingProgress:
        held = self._pending
        total = self._pending_steps + steps
        if held is None or total == 0:
            return report
        share = steps / total
        names = ("task_loss", "quantization_loss", "feature_loss")
        means = {
            name: getattr(report, name) * share + getattr(held, name) * (1 - share)
            for name in names
        }
        return replace(report, **means)
