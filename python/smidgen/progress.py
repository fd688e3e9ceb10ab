"""How training tells what it is doing, and how it is stopped. Needs no torch."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Stage(enum.StrEnum):
    """What a running job is doing."""

    LOAD = "load"
    QAT = "qat"
    FINE_TUNE = "fine_tune"
    CONVERT = "convert"
    VERIFY = "verify"


@dataclass(frozen=True, slots=True)
class TrainingProgress:
    """One report from the training loop.

    Attributes:
        stage: QAT or FINE_TUNE.
        epoch: From 1, counted through both stages.
        step: Optimizer steps done.
        total_steps: Optimizer steps in all.
        task_loss: Mean since the report before.
        quantization_loss: Mean since the report before, not weighted.
        learning_rate: Step size of the optimizer.
        accuracy: On the evaluation split, 0 to 1, at the end of an epoch; None otherwise.
    """

    stage: Stage
    epoch: int
    step: int
    total_steps: int
    task_loss: float
    quantization_loss: float
    learning_rate: float
    accuracy: float | None = None

    @property
    def progress(self) -> float:
        """Share done, 0 to 1."""
        return self.step / self.total_steps


class Stopped(Exception):
    """Training ended because it was asked to stop; its checkpoint is written."""
