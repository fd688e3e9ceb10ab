"""How training tells what it is doing, and how it is stopped. Needs no torch."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Stage(enum.StrEnum):
    """What a running job is doing."""

    LOAD = "load"
    WARM_UP = "warm_up"
    QAT = "qat"
    FREEZE = "freeze"
    FINE_TUNE = "fine_tune"
    CONVERT = "convert"
    VERIFY = "verify"


@dataclass(frozen=True, slots=True)
class TrainingProgress:
    """One report from the training loop.

    Attributes:
        stage: WARM_UP, QAT, FREEZE or FINE_TUNE.
        epoch: From 1, counted through all stages.
        step: Optimizer steps done.
        total_steps: Optimizer steps in all, unless training ends early.
        task_loss: Mean since the report before.
        quantization_loss: Mean since the report before, not weighted.
        feature_loss: Mean since the report before, with the weights of the layers; 0 without any.
        learning_rate: Step size of the optimizer.
        accuracy: On the evaluation split, 0 to 1, at the end of an epoch; None otherwise.
        agreement: Share of the evaluation samples for which the float model's largest output is
            the largest here too, 0 to 1, at the end of an epoch; None otherwise, and for outputs
            other than [N, classes].
    """

    stage: Stage
    epoch: int
    step: int
    total_steps: int
    task_loss: float
    quantization_loss: float
    feature_loss: float
    learning_rate: float
    accuracy: float | None = None
    agreement: float | None = None

    @property
    def is_evaluated(self) -> bool:
        """Whether this is the report of an evaluation."""
        return self.accuracy is not None or self.agreement is not None

    @property
    def progress(self) -> float:
        """Share done, 0 to 1."""
        return self.step / self.total_steps


class Stopped(Exception):
    """Training ended because it was asked to stop; its checkpoint is written."""
