"""How training and conversion tell what they are doing. Needs no torch."""

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
    SEARCH = "search"
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


@dataclass(frozen=True, slots=True)
class ConversionProgress:
    """One report of a conversion.

    Attributes:
        stage: CONVERT, SEARCH or VERIFY.
        program_count: Programs that a search has measured.
        most_programs: Its budget of programs; 0 outside a search, which may well end before it.
        message: What the last of these programs was and brought, for people; empty before it.
    """

    stage: Stage
    program_count: int = 0
    most_programs: int = 0
    message: str = ""

    @property
    def progress(self) -> float:
        """Share done, 0 to 1."""
        start, end = _SHARES[self.stage]
        return start + (end - start) * self.program_count / max(self.most_programs, 1)


_SHARES = {Stage.CONVERT: (0.2, 0.2), Stage.SEARCH: (0.2, 0.7), Stage.VERIFY: (0.7, 0.7)}


class Stopped(Exception):
    """Training ended because it was asked to stop; its checkpoint is written."""
